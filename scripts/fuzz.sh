#!/usr/bin/env bash
# Builds the fuzzers with Clang and runs each for some time. Fails at the first input that crashes
# one, breaks a rule, or makes a sanitizer report; the input is left in build/fuzz.
#
#   scripts/fuzz.sh [SECONDS]      by default 60 for each
#
# New inputs that reach new code are collected in build/fuzz/corpus, beside those in
# tests/fuzz/corpus.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-60}
scripts/setup.sh --ci
cmake --preset fuzz
cmake --build --preset fuzz -j "${JOBS:-$(nproc)}"
cd build/fuzz
for fuzzer in tests/fuzz/*_fuzz; do
    name=$(basename "$fuzzer" _fuzz)
    mkdir -p "corpus/$name"
    "$fuzzer" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
        "corpus/$name" "../../tests/fuzz/corpus/$name"
done

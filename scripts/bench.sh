#!/usr/bin/env bash
# Builds and runs the benchmarks. Prints a table for each, and writes its samples as JSON to
# build/bench/.
#
#   scripts/bench.sh                  all of them
#   scripts/bench.sh http idle        some of: admit, http, tls, idle, neighbours,
#                                     boot, sleep, fleet, peers
#   scripts/bench.sh --smoke [NAME…]  small sizes: shows that the benchmarks work, measures nothing
#   scripts/bench.sh --help           further options
set -euo pipefail
cd "$(dirname "$0")/.."

if [ "${1:-}" != --help ]; then
    scripts/setup.sh --bench
    cmake --preset release
    cmake --build --preset release -j "${JOBS:-$(nproc)}"
fi
exec python3 -B bench/run.py "$@"

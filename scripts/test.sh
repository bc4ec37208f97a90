#!/usr/bin/env bash
# Builds a preset and runs its tests. The last line is "N passed, N failed, N skipped"; the exit
# code is 0 if none failed.
#
#   scripts/test.sh                      all tests of the preset "release"
#   scripts/test.sh asan                 all tests of another preset
#   scripts/test.sh release -L unit      further arguments are ctest's
#   scripts/test.sh --build asan         only builds, and prints no counts
set -euo pipefail
cd "$(dirname "$0")/.."

build_only=false
if [ "${1:-}" = --build ]; then
    build_only=true
    shift
fi
preset=${1:-release}
shift || true
results="$PWD/build/$preset/ctest.xml"

# The last line is printed however this script ends. If no test was run, that is a failure.
passed=0 failed=1 skipped=0
if ! $build_only; then
    trap 'echo "$passed passed, $failed failed, $skipped skipped"' EXIT
fi

# Clang's thread sanitizer cannot map its shadow memory if the kernel randomizes addresses with more
# bits than it expects.
run=()
if [ "$preset" = tsan ] && [ "$(cat /proc/sys/vm/mmap_rnd_bits 2>/dev/null || echo 28)" -gt 28 ]; then
    run=(setarch -R)
fi

case "$preset" in
    debug | release) scripts/setup.sh ;;
    *) scripts/setup.sh --ci ;;
esac
cmake --preset "$preset"
"${run[@]+"${run[@]}"}" cmake --build --preset "$preset" -j "${JOBS:-$(nproc)}"
if $build_only; then
    exit 0
fi

rm -f "$results"
code=0
"${run[@]+"${run[@]}"}" ctest --preset "$preset" -j2 --output-junit "$results" "$@" || code=$?

# ctest writes the counts as attributes of <testsuite>, one per line.
count() { awk -v name="$1" -F'"' '$1 ~ "(^|[ \t])" name "=$" { print $2; exit } /<testcase/ { exit }' "$results"; }
if [ -s "$results" ]; then
    failed=$(count failures)
    skipped=$(($(count skipped) + $(count disabled)))
    passed=$(($(count tests) - failed - skipped))
fi
if [ "$code" -ne 0 ] && [ "$failed" -eq 0 ]; then
    failed=1
fi
[ "$failed" -eq 0 ]

#!/usr/bin/env bash
# Compiles each header by itself, with warnings as errors: a header must include all that it uses.
set -euo pipefail
cd "$(dirname "$0")/.."

cmake --preset headers
# Ninja goes on with the other headers after a failure, so the failures are repeated at the end.
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! cmake --build --preset headers -j "${JOBS:-$(nproc)}" -- -k 0 | tee "$log"; then
    grep -E '^FAILED: |error: ' "$log" >&2
    exit 1
fi

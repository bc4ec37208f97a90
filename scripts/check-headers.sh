#!/usr/bin/env bash
# Compiles each header by itself, with warnings as errors: a header must include all that it uses.
set -euo pipefail
cd "$(dirname "$0")/.."

cmake --preset headers
cmake --build --preset headers -j "${JOBS:-$(nproc)}" -- -k 0

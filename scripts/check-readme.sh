#!/usr/bin/env bash
# Checks that the C++ example in README.md is the code between the marks in
# examples/embed_minimal.cpp, which is compiled.
set -euo pipefail
cd "$(dirname "$0")/.."

compiled=$(sed -n '/^\/\/ README: begin$/,/^\/\/ README: end$/p' examples/embed_minimal.cpp | sed '1d;$d')
shown=$(awk '/^```cpp$/ { on = 1; next } /^```$/ && on { exit } on' README.md)
if ! diff <(echo "$compiled") <(echo "$shown"); then
    echo "README.md: its C++ example differs from examples/embed_minimal.cpp: copy the code between the marks" >&2
    exit 1
fi

#!/usr/bin/env bash
# The embedding example in README.md is the one that is compiled: examples/embed_minimal.cpp, between its two marks.
set -euo pipefail
cd "$(dirname "$0")/.."

compiled=$(sed -n '/^\/\/ README: begin$/,/^\/\/ README: end$/p' examples/embed_minimal.cpp | sed '1d;$d')
shown=$(awk '/^```cpp$/ { on = 1; next } /^```$/ && on { exit } on' README.md)
if ! diff <(echo "$compiled") <(echo "$shown"); then
    echo "README.md: its C++ example is not what examples/embed_minimal.cpp has between its marks: copy that" >&2
    exit 1
fi

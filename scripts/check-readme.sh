#!/usr/bin/env bash
# Checks that the C++ example in README.md is the code between the marks in
# examples/embed_minimal.cpp, which is compiled, and that the tests that docs/threat-model.md names
# exist.
set -euo pipefail
cd "$(dirname "$0")/.."

compiled=$(sed -n '/^\/\/ README: begin$/,/^\/\/ README: end$/p' examples/embed_minimal.cpp | sed '1d;$d')
shown=$(awk '/^```cpp$/ { on = 1; next } /^```$/ && on { exit } on' README.md)
if ! diff <(echo "$compiled") <(echo "$shown"); then
    echo "README.md: its C++ example differs from examples/embed_minimal.cpp: copy the code between the marks" >&2
    exit 1
fi

# In one line, because the formatter may have split a name over two.
tests=$(find tests -name '*.cpp' -exec cat {} + | tr '\n' ' ' | sed 's/" *"//g')
missing=0
while IFS= read -r name; do
    if ! grep -qF "$name" <<<"$tests"; then
        echo "docs/threat-model.md: there is no test case $name" >&2
        missing=1
    fi
done < <(grep -o '"[^"]*"' docs/threat-model.md)
exit $missing

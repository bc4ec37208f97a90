#!/usr/bin/env bash
# Uses the library as its users do: installed and found with find_package, and included with
# add_subdirectory.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
launcher=()
if command -v ccache >/dev/null; then
    launcher=(-D CMAKE_CXX_COMPILER_LAUNCHER=ccache)
fi
version=$(sed -n 's/.* version_string = "\(.*\)";/\1/p' include/roundhouse/version.hpp)

step() { # description, command...
    local what=$1
    shift
    if ! "$@" >"$folder/log" 2>&1; then
        cat "$folder/log"
        echo "package: $what failed"
        exit 1
    fi
}

consume() { # folder, cmake option...
    local build="$folder/$1"
    shift
    step "configuring the consumer ($*)" cmake -S tests/package -B "$build" -G Ninja "${launcher[@]}" "$@"
    step "building the consumer ($*)" cmake --build "$build" -j "${JOBS:-$(nproc)}"
    local program printed
    for program in "$build"/consumer*; do
        printed=$("$program")
        if [ "$printed" != "$version" ]; then
            echo "package: ${program##*/} ($*) printed $printed instead of $version"
            exit 1
        fi
    done
}

step "configuring" cmake -S . -B "$folder/build" -G Ninja -D CMAKE_INSTALL_PREFIX="$folder/prefix" \
    -DROUNDHOUSE_BUILD_{TESTS,EXAMPLES,SERVER,BENCH}=OFF
step "installing" cmake --install "$folder/build"

components=$(find "$folder/prefix" -name 'roundhouse-*.cmake' -printf '%f\n' |
    sed -n 's/^roundhouse-\(.*\)\.cmake$/\1/p' | grep -vx roundhouse | sort | paste -sd ';')
consume found -D CMAKE_PREFIX_PATH="$folder/prefix" -D ROUNDHOUSE_WANTED="$components"
consume added -D ROUNDHOUSE_SOURCE_DIR="$PWD"

# A component that does not exist is refused by name.
if cmake -S tests/package -B "$folder/refused" -G Ninja -D CMAKE_PREFIX_PATH="$folder/prefix" \
    -D ROUNDHOUSE_WANTED=nonsense >"$folder/log" 2>&1 || ! grep -q 'no component nonsense' "$folder/log"; then
    cat "$folder/log"
    echo "package: asking for the component nonsense was not refused by name"
    exit 1
fi
echo "package: roundhouse $version with ${components//;/, }: found and added"

#!/usr/bin/env bash
# Builds the Docker image of the demo engine: the program and its shared libraries, FROM scratch.
# Needs no network. (A static program would be smaller, but Debian has no static cpp-httplib and
# simdjson.)
#
#   scripts/build-demo-image.sh [IMAGE]      by default roundhouse-demo-engine:latest
#
# DEMO_ENGINE may name a program that is already built.
set -euo pipefail
cd "$(dirname "$0")/.."

image=${1:-roundhouse-demo-engine:latest}
engine=${DEMO_ENGINE:-}
if [ -z "$engine" ]; then
    scripts/setup.sh
    cmake --preset release >/dev/null
    cmake --build --preset release -j "${JOBS:-$(nproc)}" --target demo_engine
    engine=build/release/examples/demo_engine
fi

root=$(mktemp -d -t roundhouse-image-XXXXXX)
trap 'rm -rf "$root"' EXIT
mkdir "$root/files"
cp "$engine" "$root/files/demo_engine"
# Lines of ldd are "name => /path (address)", or "/path (address)" for the loader.
ldd "$engine" | grep -o '/[^ ]*' | while read -r library; do
    mkdir -p "$root/files$(dirname "$library")"
    cp -L "$library" "$root/files$library"
done
printf 'FROM scratch\nCOPY files/ /\nENTRYPOINT ["/demo_engine"]\n' >"$root/Dockerfile"
docker build --quiet --tag "$image" "$root"

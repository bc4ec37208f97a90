#!/usr/bin/env bash
# Installs the dependencies of Roundhouse on Debian 12 and its relatives; on other systems it prints
# what is missing.
#
#   scripts/setup.sh             compiler, build tools and libraries
#   scripts/setup.sh --docker    also a Docker daemon, if Docker is not installed
#   scripts/setup.sh --bench     also the tools of the benchmarks, and what they compare with
#   scripts/setup.sh --ci        all of that, Clang 16 and its tools, and the needs of single tests
set -euo pipefail

packages=(
    g++ git cmake ninja-build ccache curl ca-certificates
    catch2 libasio-dev libcli11-dev libcpp-httplib-dev libexpected-dev libfmt-dev libhttp-parser-dev liblmdb-dev
    libsimdjson-dev libspdlog-dev libssl-dev
)
docker_packages=(docker.io iptables)
bench_packages=(
    libbenchmark-dev wrk nginx-light python3 python3-cryptography
    postgresql python3-fastapi python3-asyncpg python3-uvicorn python3-uvloop python3-httptools jupyterhub
)
ci_packages=(clang-16 clang-format-16 clang-tidy-16 libclang-rt-16-dev python3-cryptography docker-registry runsc)

case "${1:-}" in
    "") ;;
    --docker) command -v docker >/dev/null && command -v dockerd >/dev/null || packages+=("${docker_packages[@]}") ;;
    --bench) packages+=("${bench_packages[@]}") ;;
    --ci) packages+=("${ci_packages[@]}" "${bench_packages[@]}" "${docker_packages[@]}") ;;
    *)
        echo "usage: scripts/setup.sh [--docker | --bench | --ci]" >&2
        exit 2
        ;;
esac

install_with_apt() {
    local package missing=()
    for package in "${packages[@]}"; do
        if [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)" != installed ]; then
            missing+=("$package")
        fi
    done
    if [ ${#missing[@]} -eq 0 ]; then
        return
    fi
    local as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        if ! command -v sudo >/dev/null; then
            echo "setup: run as root: apt-get install ${missing[*]}" >&2
            exit 1
        fi
        as_root=(sudo)
    fi
    echo "setup: installing ${missing[*]}"
    # "${array[@]+...}": an empty array counts as unset in old versions of bash.
    "${as_root[@]+"${as_root[@]}"}" apt-get -q -o DPkg::Lock::Timeout=300 update
    "${as_root[@]+"${as_root[@]}"}" env DEBIAN_FRONTEND=noninteractive \
        apt-get -q -y -o DPkg::Lock::Timeout=300 install --no-install-recommends "${missing[@]}"
}

# Without apt nothing is installed. Prints the Debian names of the packages that are missing.
look_for_all() {
    local missing=() entry
    local compiler=${CXX:-c++}
    for entry in "$compiler:g++" cmake:cmake ninja:ninja-build git:git curl:curl; do
        command -v "${entry%%:*}" >/dev/null || missing+=("${entry#*:}")
    done
    if [ "${1:-}" = --ci ]; then
        for entry in clang++-16:clang-16 clang-format-16:clang-format-16 clang-tidy-16:clang-tidy-16; do
            command -v "${entry%%:*}" >/dev/null || missing+=("${entry#*:}")
        done
    fi
    if command -v "$compiler" >/dev/null; then
        for entry in asio.hpp:libasio-dev CLI/CLI.hpp:libcli11-dev httplib.h:libcpp-httplib-dev fmt/core.h:libfmt-dev \
            tl/expected.hpp:libexpected-dev http_parser.h:libhttp-parser-dev lmdb.h:liblmdb-dev \
            simdjson.h:libsimdjson-dev spdlog/spdlog.h:libspdlog-dev \
            openssl/evp.h:libssl-dev; do
            echo "__has_include(<${entry%%:*}>)" | has_include "$compiler" || missing+=("${entry#*:}")
        done
        echo "__has_include(<catch2/catch.hpp>) || __has_include(<catch2/catch_all.hpp>)" | has_include "$compiler" ||
            missing+=(catch2)
    fi
    if [ ${#missing[@]} -gt 0 ]; then
        echo "setup: this is not Debian or Ubuntu. Install these packages (Debian names): ${missing[*]}" >&2
        exit 1
    fi
}

has_include() {
    local condition
    read -r condition
    printf '#if !(%s)\n#error missing\n#endif\n' "$condition" | "$1" -std=c++20 -x c++ -fsyntax-only - 2>/dev/null
}

if command -v apt-get >/dev/null && command -v dpkg-query >/dev/null; then
    install_with_apt
else
    look_for_all "$@"
fi

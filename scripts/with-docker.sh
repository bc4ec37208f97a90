#!/usr/bin/env bash
# Runs a command where a Docker daemon can be reached. If none can, and this is root on a machine that has dockerd, a
# private one runs for as long as the command: with its own data, socket and pid file, ended by its pid. Elsewhere the
# command runs without one.
#
#   scripts/with-docker.sh CMD [ARGUMENT...]
set -euo pipefail

if [ $# -eq 0 ]; then
    echo "usage: scripts/with-docker.sh CMD [ARGUMENT...]" >&2
    exit 2
fi
source "$(dirname "$0")/private-docker.sh"

folder=$(mktemp -d -t roundhouse-docker-XXXXXX)
clean_up() {
    private_docker_stop
    rm -rf "$folder" || true # the command's outcome counts
}
trap clean_up EXIT
private_docker_start "$folder"

"$@"

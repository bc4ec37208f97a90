#!/usr/bin/env bash
# Runs a command with a Docker daemon. If no daemon can be reached, and this is root on a machine
# with dockerd, a private daemon runs for as long as the command, with its own data, socket and pid
# file. Otherwise the command runs without a daemon.
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
    rm -rf "$folder" || true # the exit code is the command's
}
trap clean_up EXIT
private_docker_start "$folder"

"$@"

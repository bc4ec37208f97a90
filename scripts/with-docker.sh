#!/usr/bin/env bash
# Runs a command with a Docker daemon. If no daemon can be reached, and this is root on a machine
# with dockerd, a private daemon runs for as long as the command, with its own data, socket and pid
# file. Otherwise the command runs without a daemon. The command and the private daemon have a network
# namespace of their own where the kernel allows it, with nothing but loopback: the networks of
# containers end with it, however the command ends. Left behind on the host, they would use up the
# addresses that Docker has for networks.
#
#   scripts/with-docker.sh CMD [ARGUMENT...]
set -euo pipefail

if [ $# -eq 0 ]; then
    echo "usage: scripts/with-docker.sh CMD [ARGUMENT...]" >&2
    exit 2
fi
source "$(dirname "$0")/private-docker.sh"

if [ -n "${ROUNDHOUSE_OWN_NETWORK:-}" ]; then
    unset ROUNDHOUSE_OWN_NETWORK
    ip link set lo up
elif private_docker_wanted && command -v ip >/dev/null && unshare --net true 2>/dev/null; then
    exec env ROUNDHOUSE_OWN_NETWORK=1 unshare --net "$0" "$@"
fi

folder=$(mktemp -d -t roundhouse-docker-XXXXXX)
clean_up() {
    private_docker_stop
    rm -rf "$folder" || true # the exit code is the command's
}
trap clean_up EXIT
private_docker_start "$folder"

"$@"

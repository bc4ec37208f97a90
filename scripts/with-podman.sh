#!/usr/bin/env bash
# Runs a command with Podman in Docker's place: as root, Podman's Docker-compatible socket is served
# for as long as the command runs, with data and socket of its own, and DOCKER_HOST names it. Both have
# a network namespace of their own where the kernel allows it, as with scripts/with-docker.sh.
#
#   scripts/with-podman.sh CMD [ARGUMENT...]
set -euo pipefail

if [ $# -eq 0 ]; then
    echo "usage: scripts/with-podman.sh CMD [ARGUMENT...]" >&2
    exit 2
fi
if ! command -v podman >/dev/null || ! command -v docker >/dev/null || [ "$(id -u)" -ne 0 ]; then
    echo "with-podman: needs root, podman and the docker command" >&2
    exit 1
fi
if [ -n "${ROUNDHOUSE_OWN_NETWORK:-}" ]; then
    unset ROUNDHOUSE_OWN_NETWORK
    ip link set lo up
elif command -v ip >/dev/null && unshare --net true 2>/dev/null; then
    exec env ROUNDHOUSE_OWN_NETWORK=1 unshare --net "$0" "$@"
fi

folder=$(mktemp -d -t roundhouse-podman-XXXXXX)
podman=(podman --root "$folder/data" --runroot "$folder/run" --cgroup-manager cgroupfs --events-backend file
    --storage-driver "${PODMAN_STORAGE_DRIVER:-vfs}")
# The limits that a container has by default can only be set with CAP_SYS_RESOURCE.
printf '[containers]\ndefault_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]\n' >"$folder/containers.conf"
export CONTAINERS_CONF="$folder/containers.conf"
# Debian 12's crun refuses hybrid cgroups.
if command -v runc >/dev/null; then podman+=(--runtime runc); fi

service=
clean_up() {
    "${podman[@]}" rm --all --force --time 0 >"$folder/log" 2>&1 || true
    "${podman[@]}" network prune --force >"$folder/log" 2>&1 || true
    [ -z "$service" ] || kill "$service" 2>/dev/null || true
    awk -v under="$folder/" 'index($2, under) == 1 { print $2 }' /proc/mounts | sort -r |
        while read -r mounted; do umount -l "$mounted" || true; done
    rm -rf "$folder" || true # the exit code is the command's
}
trap clean_up EXIT

export DOCKER_HOST="unix://$folder/podman.sock"
# In a separate session, so that Ctrl-C reaches only this script, which ends the service last.
setsid "${podman[@]}" system service --time=0 "$DOCKER_HOST" >"$folder/log" 2>&1 &
service=$!
for _ in $(seq 300); do
    docker version >/dev/null 2>&1 && break
    kill -0 "$service" 2>/dev/null || {
        cat "$folder/log" >&2
        exit 1
    }
    sleep 0.1
done

"$@"

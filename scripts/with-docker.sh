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
if ! command -v docker >/dev/null || docker version >/dev/null 2>&1 || [ "$(id -u)" -ne 0 ] ||
    ! command -v dockerd >/dev/null; then
    exec "$@"
fi

folder=$(mktemp -d -t roundhouse-docker-XXXXXX)
daemon=
clean_up() {
    if [ -n "$daemon" ]; then
        kill "$daemon" 2>/dev/null || true
        wait "$daemon" 2>/dev/null || true
    fi
    # What a daemon that was killed in a test left mounted.
    awk -v under="$folder/" 'index($2, under) == 1 { print $2 }' /proc/mounts | sort -r |
        while read -r mounted; do umount -l "$mounted" || true; done
    rm -rf "$folder"
}
trap clean_up EXIT

export DOCKER_HOST="unix://$folder/docker.sock"
dockerd --data-root "$folder/data" --exec-root "$folder/exec" --pidfile "$folder/pid" --host "$DOCKER_HOST" \
    >"$folder/log" 2>&1 &
daemon=$!
for _ in $(seq 600); do
    docker version >/dev/null 2>&1 && break
    if ! kill -0 "$daemon" 2>/dev/null; then
        tail -n 20 "$folder/log" >&2
        echo "with-docker: the private dockerd ended" >&2
        exit 1
    fi
    sleep 0.1
done

"$@"

# To be sourced. Runs a Docker daemon for as long as a script runs, if no daemon can be reached.

# private_docker_wanted: whether a daemon can be started, and none can be reached.
private_docker_wanted() {
    command -v docker >/dev/null && ! docker version >/dev/null 2>&1 && [ "$(id -u)" -eq 0 ] &&
        command -v dockerd >/dev/null
}

# private_docker_start FOLDER: starts a daemon with its data, socket and pid file in the folder, and
# sets DOCKER_HOST. Does nothing, and leaves private_docker_pid empty, if a daemon can be reached or
# none can be started (not root, no dockerd).
private_docker_pid=
private_docker_start() {
    local folder=$1
    private_docker_wanted || return 0
    private_docker_folder=$folder
    export DOCKER_HOST="unix://$folder/docker.sock"
    mkdir -p "$folder"
    # gVisor, if it is installed, with the kernel's network: the own one of Debian 12's runsc does not
    # start on newer kernels ("network enabled in root network namespace").
    local runtimes=()
    if command -v runsc >/dev/null; then
        printf '#!/bin/sh\nexec runsc --network=host "$@"\n' >"$folder/runsc"
        chmod 755 "$folder/runsc"
        runtimes=(--add-runtime "runsc=$folder/runsc")
    fi
    # In a separate session, so that Ctrl-C reaches only the script, which ends the daemon last.
    setsid dockerd --data-root "$folder/data" --exec-root "$folder/exec" --pidfile "$folder/pid" --host "$DOCKER_HOST" \
        "${runtimes[@]}" >"$folder/log" 2>&1 &
    private_docker_pid=$!
    for _ in $(seq 600); do
        docker version >/dev/null 2>&1 && return 0
        kill -0 "$private_docker_pid" 2>/dev/null || break
        sleep 0.1
    done
    tail -n 20 "$folder/log" >&2
    echo "private-docker: dockerd did not start (see $folder/log)" >&2
    return 1
}

# Ends the daemon, and unmounts what it left mounted.
private_docker_stop() {
    [ -n "$private_docker_pid" ] || return 0
    # By its pid file, because a test may have replaced the daemon that was started here.
    local pid
    pid=$(cat "$private_docker_folder/pid" 2>/dev/null || echo "$private_docker_pid")
    # The pid file of a killed daemon may name another process by now.
    if grep -qaF "$private_docker_folder/" "/proc/$pid/cmdline" 2>/dev/null; then
        kill "$pid" 2>/dev/null || true
        for _ in $(seq 300); do
            kill -0 "$pid" 2>/dev/null || break
            sleep 0.1
        done
        kill -KILL "$pid" 2>/dev/null || true
    fi
    awk -v under="$private_docker_folder/" 'index($2, under) == 1 { print $2 }' /proc/mounts | sort -r |
        while read -r mounted; do umount -l "$mounted" || true; done
}

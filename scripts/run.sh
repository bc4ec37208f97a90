#!/usr/bin/env bash
# Builds the reference server and the demo engine, starts the server, and prints calls to try.
# Ctrl-C stops the server.
#
#   scripts/run.sh             engines are subprocesses
#   scripts/run.sh --docker    engines are containers. If no Docker daemon can be reached, root gets
#                              one for as long as the server runs, with its data in var/docker
#
# The first run makes the keys and stores them in var/run.env. The fleet is in var/roundhouse (with
# --docker in var/roundhouse-docker). Later runs use both again; remove both to start over. ORCH_
# variables of the caller's environment take precedence over those set here.
set -euo pipefail
cd "$(dirname "$0")/.."

backend=subprocess
case "${1:-}" in
    "") ;;
    --docker) backend=docker ;;
    *)
        echo "usage: scripts/run.sh [--docker]" >&2
        exit 2
        ;;
esac

scripts/setup.sh ${1:+"$1"}
cmake --preset release >/dev/null
cmake --build --preset release -j "${JOBS:-$(nproc)}" --target roundhouse-server demo_engine

server="$PWD/build/release/reference-server/roundhouse-server"
engine="$PWD/build/release/examples/demo_engine"

random_key() { head -c 32 /dev/urandom | base64 | tr '+/' '-_' | tr -d '\n'; } # 44 characters, the last is =

keys="$PWD/var/run.env"
if [ ! -s "$keys" ]; then
    mkdir -p var
    # Written under another name and renamed, so that an interrupted first run leaves no partial
    # file.
    (
        umask 077
        admin=$(random_key) platform=$(random_key)
        {
            echo "ORCH_MASTER_KEY=$(random_key)"
            echo "ORCH_ADMIN_KEY=${admin%=}"
            echo "PLATFORM_KEY=pk-sept-${platform%=}"
        } >"$keys.next"
    )
    mv "$keys.next" "$keys"
fi

stored() { sed -n "s/^$1=//p" "$keys"; }
export ORCH_MASTER_KEY=${ORCH_MASTER_KEY:-$(stored ORCH_MASTER_KEY)}
export ORCH_ADMIN_KEY=${ORCH_ADMIN_KEY:-$(stored ORCH_ADMIN_KEY)}
export ORCH_BOOTSTRAP_PRODUCT=${ORCH_BOOTSTRAP_PRODUCT:-demo}
export ORCH_BOOTSTRAP_PLATFORM_KEY=${ORCH_BOOTSTRAP_PLATFORM_KEY:-$(stored PLATFORM_KEY)}
export ORCH_ENGINE_BACKEND=${ORCH_ENGINE_BACKEND:-$backend}
if [ "$ORCH_ENGINE_BACKEND" = docker ]; then
    source scripts/private-docker.sh
    trap private_docker_stop EXIT
    private_docker_start "$PWD/var/docker"
    if ! docker version >/dev/null 2>&1; then
        echo "run: no Docker daemon can be reached: start one, name it in DOCKER_HOST, or run this as root" >&2
        exit 1
    fi
    export ORCH_ENGINE_IMAGE=${ORCH_ENGINE_IMAGE:-roundhouse-demo-engine:latest}
    if [ "$ORCH_ENGINE_IMAGE" = roundhouse-demo-engine:latest ]; then
        DEMO_ENGINE=$engine scripts/build-demo-image.sh >/dev/null
    fi
    export ORCH_STORE_PATH=${ORCH_STORE_PATH:-$PWD/var/roundhouse-docker}
else
    export ORCH_ENGINE_COMMAND=${ORCH_ENGINE_COMMAND:-"'${engine//\'/\'\\\'\'}'"}
    export ORCH_STORE_PATH=${ORCH_STORE_PATH:-$PWD/var/roundhouse}
fi
export ORCH_LISTEN=${ORCH_LISTEN:-127.0.0.1:8000}

# A wildcard address is only for listening: calls go to the loopback address.
address=$ORCH_LISTEN
case "$address" in
    0.0.0.0:*) address=127.0.0.1:${address##*:} ;;
    '[::]':*) address="[::1]:${address##*:}" ;;
esac
url="http://$address"

# In a separate process group, so that Ctrl-C reaches the server once, through this script. A second
# signal would make it exit at once.
set -m
"$server" &
server_pid=$!
set +m
interrupted=
pass_on() {
    interrupted=yes
    kill -s "$1" "$server_pid" 2>/dev/null || true
}
trap 'pass_on INT' INT
trap 'pass_on TERM' TERM HUP

# Waits for the server, also if signals interrupt the wait, and exits with its exit code.
exit_with_server() {
    local code
    while :; do
        interrupted=
        code=0
        wait "$server_pid" || code=$?
        [ -n "$interrupted" ] || exit "$code"
    done
}

healthy() { [ "$(curl -s -o /dev/null -m 2 -w '%{http_code}' "$url/health")" = 200 ]; }

# Waits up to 60 s. A server that exits meanwhile has logged the reason.
for ((try = 0; ; ++try)); do
    kill -0 "$server_pid" 2>/dev/null || exit_with_server
    if healthy; then
        break
    fi
    if [ -n "$interrupted" ]; then
        exit_with_server
    fi
    if [ "$try" -ge 600 ]; then
        echo "run: $url/health did not answer 200 within 60 s" >&2
        kill -s TERM "$server_pid" 2>/dev/null || true
        wait "$server_pid" || true
        exit 1
    fi
    sleep 0.1
done

# With the caller's own keys there is nothing to source: the caller has the variables.
cat <<END

Roundhouse serves $url. The product "$ORCH_BOOTSTRAP_PRODUCT" is registered. In another shell:

  cd '$PWD' && source var/run.env

  # provision an engine for the user alice, or get the one she has
  curl -sX POST $url/engines/provision -H "X-Platform-Key: \$PLATFORM_KEY" -d '{"user_id":"alice"}'
  curl -sX POST $url/engines/alice/admit -H "X-Platform-Key: \$PLATFORM_KEY" -d '{"auto_provision":true,"auto_wake":true}'
  curl -s $url/engines/alice -H "X-Platform-Key: \$PLATFORM_KEY"

  # call the engine directly, at its url with its key
  engine=\$(curl -s $url/engines/alice -H "X-Platform-Key: \$PLATFORM_KEY")
  field() { sed -n "s/.*\"\$1\" *: *\"\([^\"]*\)\".*/\1/p" <<<"\$engine"; }
  curl -sX POST "\$(field url)/execute" -H "X-Engine-Key: \$(field api_key)" -d '{"input":"hello"}'

  # give the engine a new key, stop it, start it again on its data
  curl -sX POST $url/engines/alice/rotate-key -H "X-Platform-Key: \$PLATFORM_KEY"
  curl -sX POST $url/engines/alice/stop -H "X-Platform-Key: \$PLATFORM_KEY"
  curl -sX POST $url/engines/alice/start -H "X-Platform-Key: \$PLATFORM_KEY"

  # show the fleet; destroy the engine and its data
  curl -s $url/status -H "X-Platform-Key: \$PLATFORM_KEY"
  curl -sX DELETE $url/engines/alice -H "X-Platform-Key: \$PLATFORM_KEY"

  # register another product: only this reply shows its platform key
  curl -sX POST $url/products/register -H "X-Admin-Key: \$ORCH_ADMIN_KEY" -d '{"slug":"acme","display_name":"Acme"}'

Ctrl-C stops the server.

END

exit_with_server

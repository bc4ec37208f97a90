#!/usr/bin/env bash
# Checks that includes between the headers point one way (ARCHITECTURE.md):
#
#   types, error -> core -> concepts -> shell -> orchestrator -> http
#
# and prints "file:line: rule" for each that does not.
#
#   scripts/check-includes.sh [FOLDER]      FOLDER contains roundhouse/; by default include
set -euo pipefail
cd "$(dirname "$0")/.."
cd "${1:-include}"

# Sets `layer` to the layer of a header, by its path. (Printing it would need a subshell for each
# include, which takes seconds.)
find_layer() {
    local rest=${1#roundhouse/}
    case "$rest" in
        roundhouse.hpp) layer=umbrella ;;
        http/*) layer=http ;;
        testing/*) layer=testing ;;
        core/*) layer=core ;;
        crypto/*) layer=crypto ;;
        clock/*) layer=clock ;;
        detail/*) layer=detail ;;
        shell/*) layer=shell ;;
        backend/* | store/*)
            # backend/docker.hpp, backend/docker_x.hpp and backend/docker/x.hpp are in
            # backend:docker.
            local name=${rest#*/}
            name=${name%%/*}
            name=${name%.[hi]pp}
            layer=${rest%%/*}:${name%%_*}
            ;;
        orchestrator*) layer=orchestrator ;;
        src*.hpp) layer=sources ;;
        fleet.hpp | *_fleet.hpp) layer=front ;;
        fleet_calls* | product_handle* | text_stream.hpp | wait.hpp) layer=calls ;;
        concepts*) layer=concepts ;;
        log_text.hpp) layer=log_text ;; # for sinks: no other header writes lines
        *) layer=base ;; # types, error, settings and other headers that all layers use
    esac
}

# The layers that each layer may include, in addition to itself and base.
declare -A allowed=(
    [base]=""
    [detail]=""
    [crypto]="detail"
    [log_text]="detail"
    [core]="detail"
    [concepts]="detail core"
    [clock]="detail core concepts"
    [backend]="detail core concepts crypto"
    [store]="detail core concepts crypto"
    [calls]="detail"
    [shell]="detail core concepts crypto calls"
    [orchestrator]="detail core concepts crypto calls shell"
    [sources]="clock detail orchestrator shell backend store http"
    [http]="detail core concepts crypto calls"
    [front]="detail core concepts crypto calls orchestrator clock backend store"
    [testing]="detail core concepts crypto calls clock orchestrator backend store"
    [umbrella]="detail core concepts crypto calls clock orchestrator backend:memory store:memory"
)

# Sets `floor` to the height of a header within shell/: each includes only what is below it.
find_floor() {
    case "${1##*/}" in
        adapters.* | open_log_streams.* | orchestrator_parts.* | running_engine.* | \
            turn_allowance.*) floor=2 ;;
        services.*) floor=3 ;;
        brakes.* | denial_log.* | earliest_timer.* | engine_secrets.* | log_reader.* | \
            mailbox.* | refusal_log.* | running_engines.*) floor=4 ;;
        boot_failure_log.* | call_timers.* | command_runner.* | deadline_timers.* | probe_schedule.*) floor=5 ;;
        command_scheduler.* | housekeeping.* | prober.* | state_waiters.* | \
            version_preparer.*) floor=6 ;;
        reconciler*) floor=7 ;;
        recovery.*) floor=8 ;;
        orchestrator_state.* | orchestrator_calls.* | orchestrator_deletion.* | \
            orchestrator_end.* | \
            orchestrator_idempotency.* | orchestrator_lookups.* | orchestrator_products.* | \
            orchestrator_registration.* | orchestrator_settings.* | \
            orchestrator_upgrade.* | orchestrator_waits.*) floor=9 ;;
        *) floor=1 ;; # parts that know no other
    esac
}

found=0
report() { # file line rule
    echo "${PWD##*/}/$1:$2: $3"
    found=1
}

pattern='^[[:space:]]*#[[:space:]]*include[[:space:]]*([<"])([^>"]*)'
while IFS=: read -r file line text; do
    [[ $text =~ $pattern ]] || continue
    included=${BASH_REMATCH[2]}
    find_layer "$file"
    from=$layer
    if [ "${BASH_REMATCH[1]}" = '"' ]; then
        report "$file" "$line" "headers include each other as <roundhouse/...>, not \"$included\""
        continue
    fi

    if [[ $included != roundhouse/* ]]; then
        if [ "$from" = core ]; then
            case "$included" in
                asio* | thread | mutex | condition_variable | iostream | fstream | unistd.h | sys/*)
                    report "$file" "$line" "core is pure: no Asio, threads or I/O, so not <$included>"
                    ;;
            esac
        fi
        continue
    fi

    if [ ! -e "$included" ]; then
        report "$file" "$line" "<$included> does not exist"
        continue
    fi
    find_layer "$included"
    to=$layer
    if [ "$from" = shell ] && [ "$to" = shell ]; then
        find_floor "$file"
        from_floor=$floor
        find_floor "$included"
        # An .ipp belongs to the header that includes it.
        if [[ $included != *.ipp && ! ($file = *.ipp && $floor = "$from_floor") ]] &&
            [ "$floor" -ge "$from_floor" ]; then
            report "$file" "$line" "inside shell/, includes go to lower floors only (<$included>)"
        fi
    fi
    if [ "$to" = base ] || [ "$to" = "$from" ]; then
        continue
    fi
    # "backend" allows all backends, "backend:memory" only that one.
    case " ${allowed[${from%%:*}]} " in
        *" $to "* | *" ${to%%:*} "*) ;;
        *) report "$file" "$line" "$from may not include $to (<$included>)" ;;
    esac
done < <(grep -rnE --include='*.[hi]pp' '^[[:space:]]*#[[:space:]]*include' roundhouse | sort)

exit "$found"

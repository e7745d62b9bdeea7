# shellcheck shell=bash
# shellcheck disable=SC2154 # $work and $run are of run-tests.sh, $engine_host is of engine.sh
# Removes whatever a test run made. Sourced, never run.
#
# The run's id is how its own is told from that of others on the same machine: processes have it in
# their environment, images and their containers in a label, networks and volumes in their name.

teardown() {
    local status=$?
    trap '' INT TERM HUP # once begun it is carried through
    trap - EXIT
    set +e
    end_processes
    if engine_is_up; then remove_from_engine; fi
    stop_registry
    stop_engine
    release_services
    rm -rf "$work"
    exit "$status"
}

end_processes() {
    [[ $(run_pids) ]] || return
    say "ending what is still running of this run: $(run_pids | xargs)"
    signal_run TERM
    wait_for 10 no_run_pids || signal_run KILL
}

run_pids() {
    grep -lszx "SHIPSLOG_TEST_RUN=$run" /proc/[0-9]*/environ | cut -d/ -f3
}

no_run_pids() {
    [[ ! $(run_pids) ]]
}

# One may end by itself in between.
signal_run() {
    run_pids | xargs -r kill "-$1" 2>/dev/null
}

remove_from_engine() {
    leave_swarm
    remove_listed "rm --force --volumes" "ps --all --quiet --filter label=shipslog.test=$run"
    remove_listed "rm --force --volumes" "ps --all --quiet --filter name=$run"
    remove_listed "rmi --force" "images --all --quiet --filter label=shipslog.test=$run"
    remove_listed "network rm" "network ls --quiet --filter name=$run"
    remove_listed "volume rm" "volume ls --quiet --filter name=$run"
}

# Only a swarm that this run made, which its node says: its services and networks go with it.
leave_swarm() {
    local node='{{index .Spec.Labels "shipslog.test"}}'
    [[ $(DOCKER_HOST=$engine_host docker node inspect self --format "$node" 2>/dev/null) == "$run" ]] || return 0
    say "leaving the swarm that a test was ended in"
    DOCKER_HOST=$engine_host docker swarm leave --force >/dev/null
}

# remove_listed "REMOVE COMMAND" "LIST COMMAND": both are words for docker.
remove_listed() {
    local -a remove list
    read -ra remove <<<"$1"
    read -ra list <<<"$2"
    DOCKER_HOST=$engine_host docker "${list[@]}" | sort -u |
        DOCKER_HOST=$engine_host xargs -r docker "${remove[@]}" >/dev/null
}

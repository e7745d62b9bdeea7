# shellcheck shell=bash
# shellcheck disable=SC2154 # $work is the run's folder, of run-tests.sh
# Finds the container engine, or starts one and stops it again. Sourced, never run.

engine_host=unix:///var/run/docker.sock
engine_service= # yes: the service manager was asked to start it here
engine_starter= # pid of the shell whose only child is the dockerd that was started here
dockerd_pid_file=/var/run/docker.pid

ensure_engine() {
    case $(engine_state) in
        up) ;;
        denied) die "no permission to use $engine_host: run this as root or join the group docker" ;;
        slow) await_engine_of_others ;;
        down) start_engine ;;
    esac
    say "engine $(docker_version) at $engine_host"
}

# up, denied, slow (there is one, but it does not answer now) or down.
engine_state() {
    local output status=0
    output=$(docker_version 2>&1) || status=$?
    if ((status == 0)); then
        echo up
    elif [[ $output == *"permission denied"* ]]; then
        echo denied
    elif ((status == 124)) || [[ $(dockerd_pids) ]]; then
        echo slow
    else
        echo down
    fi
}

docker_version() {
    DOCKER_HOST=$engine_host timeout 20 docker version --format '{{.Server.Version}}'
}

engine_is_up() {
    docker_version >/dev/null 2>&1
}

dockerd_pids() {
    grep -lsx dockerd /proc/[0-9]*/comm | cut -d/ -f3
}

# Two engines on one machine damage each other's state: where one runs, another is never started.
await_engine_of_others() {
    say "an engine is there but does not answer; waiting for it"
    wait_for 60 engine_is_up && return
    die "the engine at $engine_host (dockerd pid: $(dockerd_pids | xargs)) did not answer for a minute"
}

start_engine() {
    has dockerd || die "no engine answers at $engine_host, and there is no dockerd to start one"
    require_root "starting an engine"
    say "starting an engine"
    if [[ -d /run/systemd/system ]]; then
        engine_service=yes
        as_root systemctl start docker.service || die "docker.service did not start: see journalctl -u docker"
        wait_for 60 engine_is_up || die "docker.service runs but does not answer: see journalctl -u docker"
    else
        start_dockerd
    fi
}

# In a session of its own, so that an interrupt from the terminal does not end it before its containers.
start_dockerd() {
    local log=$work/dockerd.log
    as_root true # asks for a password while it can
    as_root setsid dockerd --group "$(id -gn)" >"$log" 2>&1 </dev/null &
    engine_starter=$!
    wait_for 60 engine_is_up_or_dead || true
    engine_is_up && ! is_gone "$engine_starter" && return
    tail -n 30 "$log" >&2
    die "dockerd did not start; the end of its log is above"
}

engine_is_up_or_dead() {
    is_gone "$engine_starter" || engine_is_up
}

stop_engine() {
    if [[ $engine_service ]]; then
        say "stopping the engine"
        as_root systemctl stop docker.socket docker.service
    elif [[ $engine_starter ]] && ! is_gone "$engine_starter"; then
        say "stopping the engine"
        stop_dockerd
    fi
}

# While the starter lives, its dockerd does, and no other dockerd accepts the same pid file.
stop_dockerd() {
    wait_for 10 test -s "$dockerd_pid_file"
    as_root kill -TERM "$(<"$dockerd_pid_file")"
    wait_for 60 is_gone "$engine_starter" || as_root kill -KILL "$(<"$dockerd_pid_file")"
}

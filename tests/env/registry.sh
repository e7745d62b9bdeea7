# shellcheck shell=bash
# shellcheck disable=SC2154 # $work is the run's folder, of run-tests.sh
# A registry with a password on a free loopback port. Sourced, never run.

registry_host=
registry_user=shipslog
registry_password=
registry_pid=

start_registry() {
    local folder=$work/registry
    mkdir "$folder"
    registry_password=$(random_hex 16)
    htpasswd -niB "$registry_user" <<<"$registry_password" >"$folder/htpasswd" 2>/dev/null
    write_registry_config "$folder" >"$folder/config.yml"
    : >"$folder/log" # it is read from at once
    docker-registry serve "$folder/config.yml" >"$folder/log" 2>&1 </dev/null &
    registry_pid=$!
    wait_for 30 registry_listens_or_died "$folder/log" || true
    registry_host=$(listening_address "$folder/log")
    if [[ ! $registry_host ]]; then
        tail -n 30 "$folder/log" >&2
        die "docker-registry did not start; the end of its log is above"
    fi
    write_docker_config
    say "registry at $registry_host"
}

# Port 0: it takes one that is free, and its log says which.
write_registry_config() {
    cat <<YAML
version: 0.1
log: {level: info}
storage:
  filesystem: {rootdirectory: "$1/storage"}
  delete: {enabled: true}
http: {addr: "127.0.0.1:0", secret: "$(random_hex 16)"}
auth:
  htpasswd: {realm: shipslog-tests, path: "$1/htpasswd"}
YAML
}

listening_address() {
    sed -n 's/.*listening on \([0-9.]*:[0-9]*\).*/\1/p' "$1"
}

registry_listens_or_died() {
    [[ $(listening_address "$1") ]] || is_gone "$registry_pid"
}

write_docker_config() {
    local auth
    auth=$(printf '%s' "$registry_user:$registry_password" | base64 -w 0)
    mkdir "$work/docker"
    printf '{"auths":{"%s":{"auth":"%s"}}}\n' "$registry_host" "$auth" >"$work/docker/config.json"
}

stop_registry() {
    [[ $registry_pid ]] || return 0
    kill "$registry_pid" 2>/dev/null
    wait "$registry_pid" 2>/dev/null
}

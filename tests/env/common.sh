# shellcheck shell=bash
# Words that the other scripts share. Sourced, never run.

say() {
    printf 'tests/env: %s\n' "$*" >&2
}

die() {
    say "$*"
    exit 1
}

has() {
    command -v "$1" >/dev/null
}

# require_root WHAT: ends here, and says so, if as_root cannot work.
require_root() {
    ((EUID == 0)) || has sudo || die "$1 needs root: run this as root, or install sudo"
}

as_root() {
    if ((EUID == 0)); then "$@"; else sudo "$@"; fi
}

# random_hex BYTES
random_hex() {
    od -An -v -N "$1" -tx1 /dev/urandom | tr -d ' \n'
}

# wait_for SECONDS COMMAND...: asks the command five times a second until it succeeds.
wait_for() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@"; do
        ((SECONDS < deadline)) || return 1
        sleep 0.2
    done
}

is_gone() {
    [[ ! -d /proc/$1 ]]
}

#!/usr/bin/env bash
# Runs the tests with a real container engine and a real registry.
#
#   tests/env/run-tests.sh                      every test: cargo's, the dashboard's own, those in a browser
#   tests/env/run-tests.sh ARGS...              cargo test ARGS...
#   tests/env/run-tests.sh --browser [ARGS...]  the dashboard's own and those in a browser; ARGS are for node --test
#   tests/env/run-tests.sh --shell [CMD...]     any command, or a shell, in the tests' environment
#
# Rust's tests run two for each core, because most of them wait for containers; RUST_TEST_THREADS overrides that.
#
# It installs what is missing, starts an engine only if there is none, starts a registry of its own,
# and leaves nothing of all that running. What it gives to the tests is at the end of this file;
# tests/support says what they do with it.
set -euo pipefail

env_folder=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$env_folder/../.."
PATH=$PATH:/usr/sbin:/sbin # where dockerd is, for those who are not root

# shellcheck source=tests/env/common.sh
source "$env_folder/common.sh"
# shellcheck source=tests/env/packages.sh
source "$env_folder/packages.sh"
# shellcheck source=tests/env/engine.sh
source "$env_folder/engine.sh"
# shellcheck source=tests/env/registry.sh
source "$env_folder/registry.sh"
# shellcheck source=tests/env/teardown.sh
source "$env_folder/teardown.sh"

needs_browser=
case ${1-} in
    --shell)
        command=("${@:2}")
        ((${#command[@]} > 0)) || command=("${SHELL:-bash}")
        ;;
    --browser)
        command=("$env_folder/browser.sh" "${@:2}")
        needs_browser=yes
        ;;
    "")
        command=("$env_folder/everything.sh")
        needs_browser=yes
        ;;
    *) command=(cargo test "$@") ;;
esac
[[ ${1-} == --shell ]] || exec </dev/null # nobody is asked anything

run=$(random_hex 4)
work=$(mktemp -d "${TMPDIR:-/tmp}/shipslog-test.XXXXXX")
trap teardown EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

[[ ! $needs_browser ]] || require_node
install_missing
ensure_engine
start_registry
mkdir "$work/tmp"

# In the background, because a signal must not have to wait for the tests to end.
env --unset=DOCKER_HOST --unset=DOCKER_CONTEXT \
    RUST_TEST_THREADS="${RUST_TEST_THREADS:-$((2 * $(nproc)))}" \
    SHIPSLOG_TEST_RUN="$run" \
    SHIPSLOG_TEST_ENGINE="$engine_host" \
    SHIPSLOG_TEST_REGISTRY="$registry_host" \
    SHIPSLOG_TEST_REGISTRY_USER="$registry_user" \
    SHIPSLOG_TEST_REGISTRY_PASSWORD="$registry_password" \
    SHIPSLOG_TEST_SCREENSHOTS="${SHIPSLOG_TEST_SCREENSHOTS:-${TMPDIR:-/tmp}/shipslog-screenshots}" \
    DOCKER_CONFIG="$work/docker" \
    TMPDIR="$work/tmp" \
    "${command[@]}" <&0 &
wait "$!"

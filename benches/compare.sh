#!/usr/bin/env bash
# Measures shipslog beside its peers on this machine and writes the table in benches/README.md: `make compare`.
#
# Installs from Debian and PyPI what it can get of them, as the tests install what they need; what it cannot get has a row that says
# so. Takes about ten minutes, starts no engine, and removes the containers and files that it made.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# shellcheck source=tests/env/common.sh
source tests/env/common.sh
# shellcheck source=tests/env/packages.sh
source tests/env/packages.sh

debian=(python3-venv busybox-static prometheus victoria-metrics netdata-core netdata-plugins-bash glances python3-docker python3-dateutil)
pypi=(numpy duckdb polars)
work=$(mktemp -d "${TMPDIR:-/tmp}/shipslog-compare.XXXXXX")
trap 'release_services; rm -rf "$work"' EXIT

# One by one: a Debian without one of them has the others.
install_peers() {
    local package
    hold_services
    for package in "${debian[@]}"; do
        dpkg-query -W "$package" >/dev/null 2>&1 ||
            apt_get install --yes --no-install-recommends "$package" || say "no $package to be had"
    done
    release_services
    python3 -m venv "$work/venv"
    for package in "${pypi[@]}"; do
        "$work/venv/bin/pip" install --quiet "$package" || say "no $package to be had"
    done
}

target=$(cargo metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
install_peers
cargo build --release --example server
SHIPSLOG_COMPARE=$work cargo bench -p shipslog-store --bench history >"$work/ours.json"
"$work/venv/bin/python" benches/compare.py "$work" "$target/release/examples/server" "$@"

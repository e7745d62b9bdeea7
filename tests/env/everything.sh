#!/usr/bin/env bash
# Every test, in the environment of run-tests.sh, which runs this. What fails does not keep the rest from
# being run.
set -euo pipefail

env_folder=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$env_folder/../.."
failed=0

# It is compiled into the server.
make --no-print-directory dashboard
cargo test --workspace --all-features --no-fail-fast || failed=1
# Without the dashboard the root path is another one.
cargo test --package shipslog-http --test api root:: || failed=1
"$env_folder/browser.sh" || failed=1
exit "$failed"

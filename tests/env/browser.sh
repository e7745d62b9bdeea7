#!/usr/bin/env bash
# The dashboard's own tests, and those in a browser, in the environment of run-tests.sh, which runs this.
#
#   tests/env/browser.sh            all of them
#   tests/env/browser.sh ARGS...    those in a browser: node --test ARGS...
#   tests/env/browser.sh --bench    how long the browser is busy, instead
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

dashboard=crates/http/dashboard
make --no-print-directory dashboard tests/browser/node_modules/.package-lock.json
# With the features of a test of everything, so that what that built is not built again.
cargo build --workspace --all-features --example server --example fill
if (($# == 0)); then
    npm --prefix "$dashboard" run check
    npm --prefix "$dashboard" test
fi
examples=${CARGO_TARGET_DIR:-$PWD/target}/debug/examples
if [[ ${1-} == --bench ]]; then
    files=(benches/dashboard.mjs)
    shift
else
    files=(--test-concurrency=2 --test-timeout=600000 tests/browser/*.test.mjs)
fi
SHIPSLOG_TEST_SERVER=$examples/server SHIPSLOG_TEST_FILL=$examples/fill \
    node --test --test-reporter=spec --test-force-exit "$@" "${files[@]}"

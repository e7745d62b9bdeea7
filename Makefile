# The commands of this project; `make` alone lists them.

.DEFAULT_GOAL := help
.PHONY: help run test test-browser dashboard openapi check unit lint doc deny bench bench-dashboard compare

CARGO ?= cargo
NPM ?= npm

dashboard := crates/http/dashboard
dashboard_sources := $(shell find $(dashboard) \( -name node_modules -o -name dist -o -name schema.d.ts \) -prune -o -type f -print)

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(if $(shell command -v $(NPM)),dashboard) ## build in release and start the example server; ARGS="--listen ..." passes flags
	$(CARGO) run --release --example server -- $(ARGS)

test: ## every test, with a real engine, registry and browser; installs and starts what is missing
	tests/env/run-tests.sh $(ARGS)

test-browser: ## the dashboard's tests alone; ARGS="--test-name-pattern ..." picks some
	tests/env/run-tests.sh --browser $(ARGS)

dashboard: $(dashboard)/dist/index.html ## build the dashboard, if its sources are newer; needs Node 20.19 or later

$(dashboard)/dist/index.html: $(dashboard_sources) crates/http/openapi.json $(dashboard)/node_modules/.package-lock.json
	cd $(dashboard) && $(NPM) run build
	touch $@

%/node_modules/.package-lock.json: %/package.json %/package-lock.json
	cd $* && $(NPM) ci
	touch $@

openapi: ## write crates/http/openapi.json anew, of which the dashboard's types are made
	UPDATE_OPENAPI=1 $(CARGO) test -p shipslog-http --features dashboard --test api the_committed_description

check: ## does it compile, with all its tests, examples and benches
	$(CARGO) check --workspace --all-targets --all-features

unit: ## the tests that need no container engine; the others say that they were skipped
	env -u SHIPSLOG_TEST_ENGINE $(CARGO) test --workspace --all-features $(ARGS)

lint: ## format, clippy without a warning, and which crate may depend on what
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --all-features -- -D warnings
	.ci/layers

doc: ## the documentation, without a warning; it is in target/doc
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --all-features --no-deps

deny: ## licences, sources and banned crates, if cargo-deny is installed
	@if $(CARGO) deny --version >/dev/null 2>&1; \
	then $(CARGO) deny check bans licenses sources; \
	else echo "cargo-deny is not installed: licences, sources and bans are not checked"; fi

bench: ## the benchmarks; ARGS="--bench aggregation" picks one
	$(CARGO) bench --workspace $(ARGS)

bench-dashboard: ## the longest tasks of the browser while it shows a week, and two hundred apps
	tests/env/run-tests.sh --browser --bench

compare: ## measure beside other monitors and stores, and write the table in benches/README.md
	benches/compare.sh $(ARGS)

# The commands of this project; `make` alone lists them.

.DEFAULT_GOAL := help
.PHONY: help run test check unit lint doc deny bench compare

CARGO ?= cargo

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-7s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## build in release and start the example server; ARGS="--listen ..." passes flags
	$(CARGO) run --release --example server -- $(ARGS)

test: ## every test, with a real engine and registry; installs and starts what is missing
	tests/env/run-tests.sh $(ARGS)

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

compare: ## measure beside other monitors and stores, and write the table in benches/README.md
	benches/compare.sh $(ARGS)

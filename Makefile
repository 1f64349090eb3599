# The targets are the steps of CI; `make` alone lists them.
.DEFAULT_GOAL := help
.PHONY: help setup demo test lint ci bench bench-store bench-push soak fmt clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

setup: ## bring what building and testing needs: cmake, a C compiler, git, curl
	@.ci/setup

demo: setup ## build, start Refgate and walk one service from test to production and back
	@tests/demo/demo.sh

test: setup ## every test, the end-to-end ones included
	cargo test --workspace

lint: setup ## formatting, clippy and the documentation, warnings are errors
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	# The crates are not published: their documentation is for contributors, private items included.
	RUSTDOCFLAGS="-D warnings -A rustdoc::private_intra_doc_links" cargo doc --workspace --no-deps --document-private-items

ci: lint test ## what .ci/run runs

bench: setup ## the gateway beside an empty Pingora proxy and nginx (Linux, a few minutes)
	@tests/bench/gateway.sh

bench-store: setup ## writes, syncs and validation beside the git command and etcd (Linux, some minutes)
	@tests/bench/store.sh

bench-push: setup ## git push of one route until it is served, beside a plain git push (some minutes)
	@tests/bench/push.sh

soak: setup ## pushes, API writes, syncs, fetches and maintenance at once; SECONDS=600 sets how long
	cargo run --quiet --package refgate-tests --example soak -- $(or $(SECONDS),600)

fmt: ## format the code
	cargo fmt --all

clean: ## remove what was built
	cargo clean

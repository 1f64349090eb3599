# The targets are the steps of CI; `make` alone lists them.
.DEFAULT_GOAL := help
.PHONY: help setup demo test lint ci book screenshots conformance fuzz api-fuzz bench bench-gateway bench-reload bench-idle bench-stream bench-router bench-store bench-push pgo soak soak-reload fmt clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' Makefile

setup: ## bring what building and testing needs: cmake, a C compiler, git, curl
	@.ci/setup

demo: setup ## build, start Refgate and walk one service from test to production and back
	@tests/demo/demo.sh

test: ## every test, the end-to-end ones and those in a browser included
	@.ci/setup browser
	cargo test --workspace

lint: setup ## formatting, clippy and the documentation, warnings are errors
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	# The crates are not published: their documentation is for contributors, private items included.
	RUSTDOCFLAGS="-D warnings -A rustdoc::private_intra_doc_links" cargo doc --workspace --no-deps --document-private-items

ci: lint test ## what .ci/run runs

book: ## the documents as a book, in target/book (brings mdbook once)
	@.ci/book

screenshots: ## pictures of the dashboard for the documents, in docs/images
	@.ci/setup browser
	cargo run --quiet --package refgate-tests --example screenshots

bench: setup ## short forms of bench-gateway and bench-reload (Linux, a few minutes after the build)
	@REFGATE_BENCH_NAME=gateway-short REFGATE_BENCH_SECONDS=$${REFGATE_BENCH_SECONDS:-3} \
		REFGATE_BENCH_ROUTES="$${REFGATE_BENCH_ROUTES:-1 10000}" python3 tests/bench/gateway.py
	@REFGATE_BENCH_NAME=reload-short REFGATE_BENCH_CHANGES=$${REFGATE_BENCH_CHANGES:-100} \
		REFGATE_BENCH_STARTS=$${REFGATE_BENCH_STARTS:-1} python3 tests/bench/reload.py

bench-gateway: setup ## CPU of one request beside an empty Pingora proxy, nginx, HAProxy and Envoy (Linux, 15 minutes)
	@python3 tests/bench/gateway.py

bench-reload: setup ## from a commit to serving it with up to 100,000 routes; memory, start (Linux, 2 minutes)
	@python3 tests/bench/reload.py

bench-idle: setup ## memory of connections that rest between requests (Linux, 1 minute)
	@python3 tests/bench/idle.py

bench-stream: setup ## a body of 1 GiB up, down and both ways at once: memory and MiB/s (Linux, 1 minute)
	@python3 tests/bench/stream.py

bench-router: setup ## the router by itself, with up to 100,000 routes
	cargo bench -p refgate-proxy --bench router

bench-store: setup ## writes, syncs and validation beside the git command and etcd (Linux, some minutes)
	@tests/bench/store.sh

bench-push: setup ## git push of one route until it is served, beside a plain git push (some minutes)
	@tests/bench/push.sh

pgo: setup ## refgate and refgate-gateway, optimised for what they do under load (Linux, two long builds)
	@tests/bench/pgo.sh

conformance: setup ## the httpwg suite for HTTP/2 against a gateway (Linux with io_uring)
	@tests/conformance/http2.sh

fuzz: setup ## documents, paths and the router's index, FUZZ_SECONDS=300 each (cargo-fuzz; FUZZ=router is one of them)
	@tests/fuzz.sh $(FUZZ)

api-fuzz: setup ## schemathesis over the whole OpenAPI document against a live control plane (python3, PyPI; a minute)
	@tests/api/fuzz.sh

soak: setup ## pushes, API writes, syncs, fetches and maintenance at once; SECONDS=600 sets how long
	cargo run --quiet --package refgate-tests --example soak -- $(or $(SECONDS),600)

soak-reload: setup ## 20 commits a second change everything under load, no request may suffer; SECONDS=60 sets how long
	cargo run --quiet --package refgate-tests --example soak-reload -- $(or $(SECONDS),60)

fmt: ## format the code
	cargo fmt --all

clean: ## remove what was built
	cargo clean

# Everything is built, tested and shown from here. Needs Rust, Python 3.10 or newer, Node 20 or
# newer, a C compiler and make, for `make check` valgrind; the rest is fetched by package name.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
STAMPS := .stamps
CARGO ?= cargo
TRACES := protocol/traces

CORE_SOURCES := Cargo.toml Cargo.lock $(shell find core/src core/Cargo.toml)
PYTHON_SOURCES := $(shell find bindings-python -name tests -prune -o -name target -prune -o \
	-name '*.abi3.so' -prune -o -name __pycache__ -prune -o -name '.*_cache' -prune -o -type f -print)
NODE_SOURCES := bindings-node/package.json bindings-node/Cargo.toml bindings-node/build.rs \
	$(shell find bindings-node/src bindings-node/ts bindings-node/scripts bindings-node/tsconfig*.json \
	-type f ! -name binding.d.cts)

.PHONY: build demo test check bench fuzz clean \
	test-rust test-python test-node test-live \
	check-rust check-python check-node conformance

build: $(STAMPS)/python $(STAMPS)/node

# --- what the other targets stand on ---------------------------------------------------------

$(STAMPS):
	@mkdir -p $@

$(STAMPS)/venv: bindings-python/requirements-dev.txt | $(STAMPS)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -r $<
	@touch $@

# The package as users get it: a wheel, installed.
$(STAMPS)/python: $(STAMPS)/venv $(CORE_SOURCES) $(PYTHON_SOURCES)
	rm -rf target/wheels
	$(BIN)/maturin build --quiet --profile dev -m bindings-python/Cargo.toml -o target/wheels
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --force-reinstall target/wheels/*.whl
	@touch $@

$(STAMPS)/node-modules: bindings-node/package-lock.json | $(STAMPS)
	cd bindings-node && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

$(STAMPS)/node: $(STAMPS)/node-modules $(CORE_SOURCES) $(NODE_SOURCES)
	cd bindings-node && npm run --silent build
	@mkdir -p examples/typescript/node_modules/@letta
	@ln -sfn ../../../../bindings-node examples/typescript/node_modules/@letta/app-client-native
	@ln -sfn ../../../bindings-node/node_modules/zod examples/typescript/node_modules/zod
	@touch $@

# The real App Server, pinned, with a scripted model (tests/live/README.md).
.PHONY: live
live:
	@node tests/live/setup.mjs

# --- the two commands of the README ----------------------------------------------------------

demo: build live
	@node tests/live/with-server.mjs $(BIN)/python examples/python/demo.py -- node examples/typescript/demo.mjs

# The two packages are tested side by side: most of their time is waiting.
test: test-rust build
	$(MAKE) --no-print-directory -j2 --output-sync=target test-python test-node
	$(MAKE) --no-print-directory test-live conformance

test-rust:
	$(CARGO) test --quiet -p letta-app-client --features cli
	$(CARGO) test --quiet -p xtask

test-python: $(STAMPS)/python
	cd bindings-python && ../$(BIN)/python -m pytest -q -m "not live and not browser"

test-node: $(STAMPS)/node
	cd bindings-node && npm run --silent test

test-live: build live
	$(CARGO) build --quiet -p letta-app-client --features cli --example letta_app
	node --test tests/live/harness.test.mjs tests/live/model.test.mjs
	cd bindings-python && ../$(BIN)/python -m pytest -q -m live
	cd bindings-node && npm run --silent test:live
	$(MAKE) --no-print-directory test-live-rust
	$(CARGO) build --quiet -p letta-app-client --example quickstart
	node tests/live/with-server.mjs $(BIN)/python examples/python/quickstart.py \
		-- node examples/typescript/quickstart.mjs -- target/debug/examples/quickstart
	$(MAKE) --no-print-directory demo

# The features are those of test-rust, so that nothing is built twice.
.PHONY: test-live-rust
test-live-rust: live
	$(CARGO) test --quiet -p letta-app-client --features cli --test live --test faults --test honesty --no-run
	node tests/live/with-server.mjs sh -c \
		'$(CARGO) test --quiet -p letta-app-client --features cli --test live --test faults --test honesty -- --ignored'

# Every recording through the public API of each language: all inputs must end as expected.
conformance: build
	$(CARGO) run --quiet -p letta-app-client --features cli --example conformance -- $(TRACES)
	$(BIN)/python -m letta_app_client.testing conformance $(TRACES)
	node bindings-node/conformance.mjs $(TRACES)

# --- lints, types, drift ---------------------------------------------------------------------

check: check-rust check-python check-node counts

check-rust:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --quiet --workspace --all-targets --features letta-app-client/cli -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --quiet --no-deps -p letta-app-client
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --quiet --no-deps -p letta-app-client --all-features
	$(CARGO) check --quiet --manifest-path core/fuzz/Cargo.toml --target-dir target/fuzz --no-default-features
	$(CARGO) run --quiet -p xtask -- check

check-python: $(STAMPS)/python
	cd bindings-python && ../$(BIN)/python scripts/blocking_stubs.py --check
	cd bindings-python && ../$(BIN)/ruff check . ../examples/python ../bench ../release ../site && ../$(BIN)/ruff format --check . ../examples/python ../bench ../release ../site
	cd bindings-python && ../$(BIN)/pyright
	cd bindings-python && ../$(BIN)/mypy && ../$(BIN)/mypy ../examples/python

check-node: $(STAMPS)/node
	cd bindings-node && npm run --silent lint && npm run --silent typecheck && npm run --silent attw
	cd bindings-node && npx biome check --config-path=. ../examples/typescript ../tests/live ../tests/runtimes ../bench ../release

# --- longer runs ---------------------------------------------------------------------------------

# Stories that nobody thought of (core/fuzz), so long for each target. Needs `cargo install
# cargo-fuzz` and a C++ compiler; the instrumentation is unstable, hence the variable.
FUZZ_TARGET ?= engine frames mailbox scanner shapes upgrade
FUZZ_SECONDS ?= 600
fuzz:
	cd core && for target in $(FUZZ_TARGET); do \
		RUSTC_BOOTSTRAP=1 $(CARGO) fuzz run --sanitizer none $$target -- \
			-max_len=2000 -max_total_time=$(FUZZ_SECONDS) || exit 1; \
	done

# What only many repetitions show; and more stories of lost connections than `make test` tells: the engine on
# a virtual clock, the whole client on a simulated network. A failing seed is printed with the command that
# tells it again.
SOAK_SEEDS ?= 50000
.PHONY: soak endurance backpressure
soak: endurance backpressure
	SIM_SEEDS=$(SOAK_SEEDS) NET_SEEDS=$$(( $(SOAK_SEEDS) / 100 + 1 )) CARGO_PROFILE_RELEASE_LTO=off \
		$(CARGO) test --quiet --release -p letta-app-client --features testing \
		--test sim_engine --test sim_network -- --nocapture

# Faults on the way to the real server: cuts, resets, stalls, half-open connections, single bytes.
FAULTS ?= 300
FAULT_SECONDS ?= 900
.PHONY: faults
faults: live
	$(CARGO) test --quiet -p letta-app-client --features cli --test faults --no-run
	FAULTS=$(FAULTS) FAULT_SECONDS=$(FAULT_SECONDS) node tests/live/with-server.mjs sh -c \
		'$(CARGO) test --quiet -p letta-app-client --features cli --test faults -- --ignored --nocapture'

# A thousand connections and a thousand turns in one process; fails when a thread, a descriptor or memory stays.
endurance: build
	$(CARGO) build --quiet -p letta-app-client --example endurance
	@$(BIN)/python bench/endurance/run.py

# A flood of a million deltas (BACKPRESSURE_DELTAS) to readers that take one per millisecond, beside a fast one; fails
# when a count is not exact, an end is missing or the memory grows by more than 64 MiB.
backpressure: build
	$(CARGO) build --quiet -p letta-app-client --example backpressure
	@$(BIN)/python bench/backpressure/run.py

# The example notebooks, executed against the real server and saved with what they put out.
.PHONY: notebooks notebooks-browser
notebooks: build live
	node tests/live/with-server.mjs $(BIN)/python -W ignore bindings-python/scripts/notebooks.py

# Notebooks in JupyterLab and Notebook 7 in a real browser: the quickstart, live output, the stop button, permissions by
# buttons, inert text, and a cell that computes for COMPUTE_SECONDS (120) while a turn is streamed. LETTA_SCREENSHOTS names
# a folder for pictures.
notebooks-browser: build live $(STAMPS)/browser
	cd bindings-python && ../$(BIN)/python -m pytest -q -m browser tests/browser

$(STAMPS)/browser: $(STAMPS)/venv bindings-python/requirements-browser.txt
	$(BIN)/pip install --quiet --disable-pip-version-check -r bindings-python/requirements-browser.txt
	@if ! command -v chromium >/dev/null || ! command -v chromedriver >/dev/null; then \
		apt-get update -qq && apt-get install -y -qq chromium chromium-driver; fi
	@touch $@

# The Node package in Bun and Deno.
.PHONY: runtimes
runtimes: $(STAMPS)/node
	@mkdir -p target/runtimes
	cp tests/runtimes/package.json target/runtimes/
	cd target/runtimes && npm install --no-audit --no-fund --loglevel=error
	@node tests/runtimes/run.mjs target/runtimes

# --- figures ---------------------------------------------------------------------------------

# Our packages beside what one could use instead, all optimised, in turns; about ten minutes after the build
# (docs/performance.md). ONLY=stream picks workloads by a part of their title, ROUNDS=5 says how often.
BENCH := target/bench
BENCH_PYTHON := $(BENCH)/venv/bin/python
bench: $(STAMPS)/bench live bench-engine
	@$(BENCH_PYTHON) bench/side/run.py

# CPU time of the engine alone per frame and per turn.
.PHONY: bench-engine curves counts counts-update first-turn
bench-engine:
	$(CARGO) bench --quiet -p letta-app-client --bench engine

# How the cost of a frame and of a turn changes with the number of runtimes and the age of a connection: a plot
# in docs/, and a failure where it is not flat. About ten minutes.
curves: $(STAMPS)/bench-rust
	@$(PYTHON) bench/curves.py

# What a first turn takes on a connection that is open, beside a socket that is written and read.
first-turn: $(STAMPS)/bench
	@$(BENCH_PYTHON) bench/first_turn.py

# Instructions of the engine for fixed inputs, beside those of bench/counts.json. Needs valgrind.
STEPS := target/debug/examples/steps
counts:
	$(CARGO) build --quiet -p letta-app-client --features cli --example steps
	@$(PYTHON) bench/counts.py $(STEPS)

counts-update:
	$(CARGO) build --quiet -p letta-app-client --features cli --example steps
	@$(PYTHON) bench/counts.py $(STEPS) --update

# The optimised builds go where they disturb nothing.
$(STAMPS)/bench-rust: bench/side/Cargo.toml $(shell find bench/side/src) $(CORE_SOURCES) | $(STAMPS)
	$(CARGO) build --quiet --release -p side-by-side
	@touch $@

$(STAMPS)/bench: $(STAMPS)/bench-rust $(STAMPS)/venv $(STAMPS)/node-modules $(PYTHON_SOURCES) $(NODE_SOURCES) \
		bench/side/python/requirements.txt bench/side/node/package-lock.json
	test -x $(BENCH_PYTHON) || $(PYTHON) -m venv $(BENCH)/venv
	$(BENCH)/venv/bin/pip install --quiet --disable-pip-version-check -r bench/side/python/requirements.txt
	rm -rf $(BENCH)/wheels
	$(BIN)/maturin build --quiet --release -m bindings-python/Cargo.toml -o $(BENCH)/wheels
	$(BENCH)/venv/bin/pip install --quiet --disable-pip-version-check --no-deps --force-reinstall $(BENCH)/wheels/*.whl
	cd bench/side/node && npm ci --no-audit --no-fund --loglevel=error
	sh bench/side/node/package.sh $(abspath $(BENCH))/node
	@touch $@

# Five clients whose programs are busy for STALL_SECONDS (120) while a turn is streamed to them, and what became
# of their connections; fails when one of our packages lost anything (docs/busy-programs.md).
.PHONY: stall
stall: build live $(STAMPS)/stall
	@$(BIN)/python bench/stall/run.py

$(STAMPS)/stall: $(STAMPS)/venv bench/stall/requirements.txt bench/stall/package-lock.json
	$(BIN)/pip install --quiet --disable-pip-version-check -r bench/stall/requirements.txt
	cd bench/stall && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

# What importing the Python package takes above an interpreter that does nothing; fails above 40 ms.
import-time: $(STAMPS)/python
	$(BIN)/python bindings-python/tests/import_time.py

# --- packages and the site ---------------------------------------------------------------------

include release/rules.mk docs/rules.mk

clean:
	rm -rf target $(VENV) $(STAMPS) bindings-node/dist bindings-node/node_modules bindings-node/*.node \
		tests/live/server/node_modules site/node_modules

# Every check is defined here once; continuous integration calls these targets.
VENV ?= .venv
PYTHON ?= python3
BIN = $(VENV)/bin
DEMO ?= demo
# Engines and trainers, for their tests alone: large, and the same for every checkout that has the same constraints.
ADAPTERS ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/fractalrs/adapters-$(firstword $(shell cksum constraints.txt))
packages_of = $$($(1)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
export PIP_DISABLE_PIP_VERSION_CHECK = 1
# The versions that were tested, for every call of pip, those of maturin too; `make PIP_CONSTRAINT= …` takes the newest.
export PIP_CONSTRAINT = constraints.txt
SOURCES = $(wildcard rust/*/src/*.rs rust/*/src/*/*.rs rust/*/Cargo.toml) Cargo.toml Cargo.lock pyproject.toml constraints.txt

.DEFAULT_GOAL = help
.PHONY: help demo test adapters test-adapters lint docs guard fuzz sanitize deny soak bench bench-quick wheel try-wheel sdist lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/installed ## build, install into .venv, expand the built-in sample × (16, 32) into demo/
	$(BIN)/fractalrs expand sample $(DEMO) --user-multiplier 16 --item-multiplier 32 --seed 7
	$(BIN)/fractalrs info $(DEMO)

test: $(VENV)/tested ## run all tests, Python's (on up to four processors) and Rust's
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile
	cargo test --release --locked --package fractalrs-core

adapters: $(ADAPTERS)/installed ## install engines and trainers for their tests, outside the checkout

test-adapters: adapters ## run the tests of Spark, Ray and the like, which are kept outside the checkout
	PYTHONPATH=$(call packages_of,$(ADAPTERS)/bin) $(BIN)/python -m pytest -m adapters tests/engines tests/loading tests/simulation

lint: $(VENV)/tested $(VENV)/linted ## check style, types, stubs, lints and what imports what
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m mypy.stubtest fractalrs._core
	cargo fmt --check
	PYO3_PYTHON=$(CURDIR)/$(BIN)/python cargo clippy --release --locked --workspace --all-targets -- -D warnings
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.citation-file-format CITATION.cff
	$(BIN)/zizmor --quiet --offline .github/workflows
	if command -v actionlint > /dev/null; then actionlint; fi

docs: $(VENV)/documented ## build the documentation into docs/_build/html; warnings, dead links and missing names are errors
	$(BIN)/python -m sphinx -W --keep-going --quiet --builder html docs docs/_build/html

guard: $(VENV)/tested ## compare the speed of generating, encoding and writing with its baseline (ten seconds)
	$(BIN)/python benches/guard.py

fuzz: $(VENV)/tested ## damage sources, saved files and the corpus for ten minutes, then what the core reads; failing seeds are printed
	PYTHONPATH=tests $(BIN)/python tests/fuzz.py 600
	PROPTEST_CASES=5000 cargo test --release --locked --package fractalrs-core -- any_ damaged checks

# What a nightly toolchain has beside the pinned one: `rustup component add miri rust-src --toolchain nightly`.
HOST = $$(rustc --version --verbose | awk '/^host/ { print $$2 }')
NIGHTLY = PROPTEST_CASES=24 CARGO_TARGET_DIR=target/sanitize cargo +nightly
sanitize: ## run the core's tests under address and thread sanitizers, and those of the unsafe file under Miri, where nightly has them
	@cargo +nightly miri --version > /dev/null 2>&1 || { \
		echo "not possible here: rustup component add miri rust-src --toolchain nightly"; exit 1; }
	for vectors in -avx2 +avx2; do MIRIFLAGS=-Zmiri-disable-isolation $(NIGHTLY) miri test -Zprofile-rustflags --locked \
		--config "profile.dev.package.fractalrs-core.rustflags=['-Ctarget-feature=$$vectors']" \
		--package fractalrs-core --lib -- memory algebra || exit 1; done
	for kind in address thread; do RUSTFLAGS=-Zsanitizer=$$kind $(NIGHTLY) test -Zbuild-std --target $(HOST) --locked \
		--package fractalrs-core --lib || exit 1; done

deny: ## compare crates with deny.toml, where cargo-deny is installed: licences, duplicates, where they come from
	@cargo deny --version > /dev/null 2>&1 || { echo "not possible here: cargo install cargo-deny --locked"; exit 1; }
	cargo deny check licenses bans sources

SECONDS ?= 3600
soak: $(VENV)/tested ## expand, interrupt, go on, validate, export, delete under faults for an hour; SECONDS=600 for less
	PYTHONPATH=tests $(BIN)/python tests/soak.py $(SECONDS)

bench: $(VENV)/benched ## measure all stages, at MovieLens 20M's shape too (an hour, 8 GB of disk); benches/README.md
	$(BIN)/python -m pytest benches -m "full or not full"

bench-quick: $(VENV)/benched ## measure all stages on the built-in sample (two minutes)
	$(BIN)/python -m pytest benches

wheel: $(VENV)/bin/maturin ## build the wheel into dist/
	$(BIN)/maturin build --release --locked --strip --out dist

try-wheel: wheel ## install that wheel into an environment of its own, expand and validate the sample there
	rm -rf target/try
	$(PYTHON) -m venv target/try/venv
	target/try/venv/bin/pip install --quiet "$$(ls -t dist/*.whl | head -1)[report]"
	cd target/try && venv/bin/fractalrs expand sample demo --user-multiplier 16 --item-multiplier 32 --seed 7
	cd target/try && venv/bin/fractalrs validate demo --source sample --report report.html

sdist: $(VENV)/bin/maturin ## build the sdist into dist/, and the wheel of it outside the checkout
	$(BIN)/maturin sdist --out dist
	folder=$$(mktemp -d) && tar -xzf "$$(ls -t dist/*.tar.gz | head -1)" -C $$folder --strip-components 1 \
		&& test -f $$folder/.cargo/config.toml && $(BIN)/pip wheel --quiet --no-deps --wheel-dir dist/of-sdist $$folder; \
		status=$$?; rm -rf $$folder; exit $$status

lock: ## renew constraints.txt: the newest versions pyproject.toml allows; then run clean, lint and test
	rm -rf target/lock
	$(PYTHON) -m venv target/lock
	target/lock/bin/pip install --quiet --upgrade pip
	target/lock/bin/python -c 'import tomllib; project = tomllib.load(open("pyproject.toml", "rb")); \
		extras = project["project"]["optional-dependencies"].values(); \
		print(*project["build-system"]["requires"], *project["project"]["dependencies"], *sum(extras, []), sep="\n")' \
		> target/lock/needed.txt
	PIP_CONSTRAINT= target/lock/bin/pip install --quiet --requirement target/lock/needed.txt --group test --group bench --group lint --group docs \
		--group adapters
	(echo "# Made by \`make lock\`: the versions that development and CI use."; target/lock/bin/pip freeze) > constraints.txt

clean: ## delete what these targets made
	rm -rf $(VENV) target dist demo bench-data docs/_build docs/generated

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip

$(VENV)/bin/maturin: | $(BIN)/python
	$(BIN)/pip install --quiet "maturin>=1.9,<2"

$(VENV)/installed: $(SOURCES) | $(VENV)/bin/maturin
	$(BIN)/maturin develop --release --locked --quiet --extras report
	@touch $@

$(VENV)/tested: $(VENV)/installed
	$(BIN)/pip install --quiet --group test
	@touch $@

# What the tested environment lacks, beside it: pip changes nothing in an environment that is not its own.
$(ADAPTERS)/installed: | $(VENV)/tested
	$(PYTHON) -m venv $(ADAPTERS)
	$(ADAPTERS)/bin/pip install --quiet --upgrade pip
	PYTHONPATH=$(call packages_of,$(BIN)) $(ADAPTERS)/bin/pip install --quiet --group adapters
	@touch $@

$(VENV)/benched: $(VENV)/tested
	$(BIN)/pip install --quiet --group bench
	@touch $@

$(VENV)/documented: $(VENV)/installed
	$(BIN)/pip install --quiet --group docs
	@touch $@

$(VENV)/linted: $(VENV)/installed
	$(BIN)/pip install --quiet --group lint
	@touch $@

# make test is what CI runs. Everything that is needed and not there is installed first, but for Rust itself.
SCENARIO ?=
RELEASE ?=
FUZZ_SECONDS ?= 600

.PHONY: bench bench-check build deb demo fuzz lab packages test test-deb test-full test-matrix test-neutron test-page
build:
	lab/packages build
	cargo build --release --locked

# The blog's example from end to end, live.
demo: packages build
	lab/demo

# Formatting, lints, all of cargo's tests (those on real daemons too), then the lab's scenarios but the long ones.
test: packages
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	cargo test --locked --workspace
	cd integrations/neutron && python3 -m unittest -q tests.test_rules
	cargo build --release --locked
	lab/run

# The Neutron driver: in Neutron's test base, in a real server, and from the API to the ping. Neutron comes from PyPI into
# target/neutron, once.
test-neutron: packages build
	integrations/neutron/install
	cd integrations/neutron && $(CURDIR)/target/neutron/bin/python -W ignore -m unittest discover -s tests
	integrations/neutron/test-real
	lab/run neutron

# Scenarios of the lab by name, or all: make lab SCENARIO="ping4 ping6"; with RELEASE=bookworm, trixie or sid in that Debian.
lab: packages build
	RELEASE=$(RELEASE) lab/run $(SCENARIO)

# The same agent on each Debian release's OVN, OVS, FRR and kernel; some hours.
test-matrix: packages build
	lab/matrix $(SCENARIO)

# Every fuzz target for FUZZ_SECONDS. libFuzzer's instrumentation wants switches that stable Rust hides.
fuzz: packages
	command -v cargo-fuzz >/dev/null || cargo install --locked cargo-fuzz
	set -e; export RUSTC_BOOTSTRAP=1; for target in $$(cargo fuzz list); do \
	  echo "== fuzz $$target"; cargo fuzz run $$target -- -max_total_time=$(FUZZ_SECONDS); done

# The benchmarks, then the lab's: BENCH="TENANTS VMS 4|6|both" sets its size. benches/README.md has what they printed.
BENCH ?= 100 200 4
bench: packages build
	cargo bench --locked
	benches/in-lab $(BENCH)

# Instructions of the hot paths, counted and compared with what is committed.
bench-check: packages
	command -v valgrind >/dev/null || apt-get install -qy --no-install-recommends valgrind
	benches/check

# What takes long or needs others' software too: every scenario, fuzzing, the package, the page, and FRR 10.
test-full: test fuzz test-page test-deb
	lab/run all
	lab/run python-agent
	FRR10_ROOT=$$(lab/mkroot trixie) cargo test --locked --test frr10_plane -- --ignored

# The Debian package, for which little has to be installed; and that it installs, runs and goes in a clean root.
deb: build
	packaging/build-deb

test-deb: packages deb
	packaging/test-deb

# The page in a real browser; pictures of it are left in target/page.
test-page: packages
	command -v chromium-headless-shell >/dev/null || apt-get install -qy --no-install-recommends chromium-headless-shell
	cargo test --locked --test page -- --ignored

packages:
	lab/packages

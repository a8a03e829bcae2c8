# What is published: wheels, npm packages, the crate. `make release-check` does all of a release but the upload.
# Files are left in target/dist.

DIST := target/dist
# Zig links against this version of glibc, also on a newer system (manylinux2014 is 2.17). Elsewhere than on Linux
# the system's own linker is used: make wheels npm ZIG=
GLIBC := 2.17
ZIG := $(if $(filter Linux,$(shell uname -s)),yes)
RUST_TARGET ?= $(shell rustc -vV | sed -n 's/^host: //p')
# The name of a platform in Node's words, as in bindings-node/package.json.
NODE_PLATFORM ?= $(shell node -p "[process.platform, process.arch, {linux: 'gnu', win32: 'msvc'}[process.platform]].filter(Boolean).join('-')")
WITH_TOOLS := PATH="$(CURDIR)/$(BIN):$$PATH"

.PHONY: wheels wheels-test sdist-test npm npm-binary npm-test crate semver versions newcomer release-check

$(STAMPS)/release: $(STAMPS)/venv release/requirements.txt
	$(BIN)/pip install --quiet --disable-pip-version-check -r release/requirements.txt
	@touch $@

# The wheel for all versions of Python, for this platform, and the source distribution.
wheels: $(STAMPS)/release
	rm -rf $(DIST)/python
	$(WITH_TOOLS) maturin build --quiet --release --locked --target $(RUST_TARGET) -m bindings-python/Cargo.toml \
		$(if $(ZIG),--zig --compatibility manylinux2014) --compression-level 9 -o $(DIST)/python
	$(WITH_TOOLS) maturin sdist -m bindings-python/Cargo.toml -o $(DIST)/python
	$(BIN)/twine check --strict $(DIST)/python/*

# On every CPython from 3.10 on that is found, in a bare environment without a compiler.
wheels-test: $(STAMPS)/release
	$(BIN)/python release/test_wheels.py $(DIST)/python

# As pip does it where no wheel fits.
sdist-test: $(STAMPS)/release
	rm -rf $(DIST)/from-sdist
	$(BIN)/pip wheel --quiet --disable-pip-version-check --no-deps -w $(DIST)/from-sdist $(DIST)/python/*.tar.gz
	$(BIN)/python -c "import glob; print(*glob.glob('$(DIST)/from-sdist/*.whl'))"

# The add-on for this platform, beside those that are there.
npm-binary: $(STAMPS)/release
	@mkdir -p $(DIST)/binaries
	$(WITH_TOOLS) $(if $(findstring musl,$(RUST_TARGET)),RUSTFLAGS="-C target-feature=-crt-static") \
		$(CARGO) $(if $(ZIG),zigbuild,build) --quiet --release --locked -p letta-app-client-node \
		--target $(RUST_TARGET)$(if $(and $(ZIG),$(GLIBC)),.$(GLIBC))
	@node release/binary.mjs target/$(RUST_TARGET)/release $(DIST)/binaries/app-client.$(NODE_PLATFORM).node

# The main package and one for each platform whose add-on is in target/dist/binaries (NPM_FLAGS=--all demands all).
npm: npm-binary npm-pack
.PHONY: npm-pack
npm-pack: $(STAMPS)/node
	node release/npm.mjs $(DIST)/binaries $(DIST)/npm $(NPM_FLAGS)

npm-test:
	node release/test_npm.mjs $(DIST)/npm

# The crate as it would be uploaded, built from its own files. The only warnings it may give are those of the
# examples and tests that are outside of the crate's folder and stay there.
crate:
	@mkdir -p $(DIST)
	$(CARGO) package --locked -p letta-app-client $(CRATE_FLAGS) >$(DIST)/crate.log 2>&1 || { cat $(DIST)/crate.log; exit 1; }
	@! grep '^warning' $(DIST)/crate.log | grep -v ': ignoring example'
	@grep 'Packaged' $(DIST)/crate.log

# What a change means for the crate's version, against what is published. Needs `cargo install cargo-semver-checks`.
semver:
	$(CARGO) semver-checks -p letta-app-client --all-features

# From an empty folder, with nothing but the packages: the README's quick starts as printed, against a real server.
newcomer: live
	node tests/live/with-server.mjs $(PYTHON) release/test_newcomer.py $(DIST)

# Everything but the upload. TAG=v1.2.3 is compared with the versions.
release-check: $(STAMPS)/release
	$(BIN)/python release/versions.py $(TAG)
	$(MAKE) --no-print-directory check
	$(MAKE) --no-print-directory wheels wheels-test sdist-test
	$(MAKE) --no-print-directory npm npm-test
	$(MAKE) --no-print-directory crate newcomer docs

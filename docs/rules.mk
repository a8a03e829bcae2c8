# The site: built strictly into target/site, with the references of Node and Rust beside that of Python. It fails on
# a broken link, a public name without a description, and an example that does not run.

SITE := target/site

.PHONY: docs docs-site docs-examples docs-serve docs-browser demo-picture

docs: docs-site docs-examples

$(STAMPS)/docs: $(STAMPS)/venv docs/requirements.txt site/package-lock.json
	$(BIN)/pip install --quiet --disable-pip-version-check -r docs/requirements.txt
	cd site && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

docs-site: $(STAMPS)/docs $(STAMPS)/node
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict
	cd bindings-node && ../site/node_modules/.bin/typedoc --options ../site/typedoc.json
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --quiet --no-deps -p letta-app-client --all-features
	rm -rf $(SITE)/rust && cp -r target/doc $(SITE)/rust
	$(BIN)/python site/links.py $(SITE)

# Every block of code in README and docs, and the public names' descriptions.
docs-examples: $(STAMPS)/python $(STAMPS)/node
	cd bindings-python && ../$(BIN)/python -m pytest -q tests/test_docs.py tests/test_readme.py \
		tests/test_examples.py tests/test_documented_api.py
	cd bindings-node && npx vitest run --silent --project unit test/readme.test.ts test/examples.test.ts
	$(CARGO) build --quiet -p letta-app-client --features cli --examples
	$(CARGO) test --quiet -p letta-app-client --features cli --test examples

docs-serve: $(STAMPS)/docs
	$(BIN)/mkdocs serve

# In a real browser (Debian's chromium): pictures in target/pages, and no page wider than a window of 400 pixels.
docs-browser:
	$(BIN)/pip install --quiet --disable-pip-version-check -r site/requirements.txt
	$(BIN)/python site/browser.py $(SITE) target/pages

# The picture of the README, from a real run.
demo-picture: build live
	$(BIN)/python site/record.py docs/demo.svg "make demo" $(MAKE) --no-print-directory --silent demo

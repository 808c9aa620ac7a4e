# `make serve` and `make test` are all that a newcomer needs; `make help` lists the rest.
PYTHON ?= python3
BIN := .venv/bin
# Model files to try.
MODELS ?= ../shared/models
# Of the tests, each with TensorFlow in memory. One more than there are cores: the fault tests keep one of them for half of
# the time, and mostly wait.
PROCESSES ?= $(shell n=$$(getconf _NPROCESSORS_ONLN); echo $$((n < 4 ? n + 1 : 4)))
COMPILE := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" pyproject.toml

.PHONY: help serve serve-redis test coverage chaos check bench overload residency many-versions second-start tour mutations families foreign legacy job-data cells networks pictures gallery screenshots shape docs site demo lock audit clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "%-13s %s\n", $$1, $$2}'

serve: .venv/.runtime  ## run the service on 127.0.0.1:8000 (settings: docs/settings.md)
	@exec $(BIN)/convscope serve

serve-redis: .venv/.runtime  ## the same with Redis, a worker and the API as three processes
	@exec deploy/serve-redis

test: .venv/.develop check  ## the whole suite, in a process more than there are cores but at most four (on one: make test PROCESSES=0)
	@tests/install-parts
	$(BIN)/python -m pytest --numprocesses $(PROCESSES)

coverage: .venv/.develop  ## the suite, slower, and which lines and branches no test reaches (but for those in processes of their own)
	@tests/install-parts
	@mkdir -p build
	$(BIN)/python -m pytest --numprocesses $(PROCESSES) --cov

check: .venv/.develop  ## format, lint, spelling, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/codespell
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: .venv/.develop  ## speed and memory beside a plain forward pass, tutorials and other libraries, as a table and JSON
	@tests/benchmark/peers/install
	$(BIN)/python -m tests.benchmark

chaos: .venv/.develop  ## a thousand jobs while workers and Redis are killed, and five hundred for the plateau of memory
	@tests/install-parts
	$(BIN)/python -m tests.chaos
	PLATEAU_JOBS=500 $(BIN)/python -m pytest tests/integration/faults/test_plateau.py

overload: .venv/.develop  ## twice and ten times what is computed, slow uploads, clients that leave (docs/limits.md)
	$(BIN)/python -m tests.overload

residency: .venv/.develop  ## twenty models under a bound of memory for five, and a hundred roll-outs under load
	$(BIN)/python -m tests.residency

second-start: .venv/.develop  ## how long until all models of MODELS are ready, from kept networks and from the files
	$(BIN)/python -m tests.second_start $(MODELS)

many-versions: .venv/.develop  ## a warm Grad-CAM and /livez with 25,000 versions in the folder, beside a service with one
	$(BIN)/python -m tests.residency.many_versions

tour: .venv/.develop  ## every method, option and model by HTTP and terminal into build/tour.json, to compare before and after
	@mkdir -p build
	$(BIN)/python -m tests.tour record build/tour.json

mutations: .venv/.develop  ## five thousand mutated pictures, datasets, JSON bodies and forms, and five hundred model files
	$(BIN)/python -m tests.mutations
	$(BIN)/python -m tests.mutations.models --count 500

families: .venv/.develop  ## replay, logits and default layer on nine application families
	$(BIN)/python -m tests.families

foreign: .venv/.develop  ## beside programs of others: models of a real MLflow and of S3, a typed client made of our OpenAPI, the page behind a real nginx
	@tests/install-parts nginx openssl
	@tests/foreign/install
	$(BIN)/python -m pytest tests/foreign

job-data: .venv/.develop  ## what Redis keeps and sends of a job over ten thousand pictures, and what drawing ten versions holds
	$(BIN)/python -m tests.job_data

cells: .venv/.develop  ## the models of ../shared/models and the samples of known vulnerabilities through cells, beside direct loading
	$(BIN)/python -m tests.cell_check --samples $(wildcard ../shared/models/*.* ../shared/models/legacy/*.keras ../shared/models/legacy/*.h5)

networks: .venv/.develop  ## three hundred random networks against eager Keras
	$(BIN)/python -m tests.networks 300 0

legacy: .venv/.develop  ## files that Keras 2.12 and 2.15 write, loaded and compared with what they compute (docs/legacy.md)
	@tests/legacy/install
	$(BIN)/python -m tests.legacy

pictures: .venv/.develop  ## draw the README's pictures with the service itself
	$(BIN)/python -m docs.pictures

gallery: .venv/.develop  ## make docs/gallery.md, every method with picture and request, with the service itself
	$(BIN)/python -m docs.gallery

screenshots: .venv/.develop  ## take the pictures of the page
	@tests/install-parts
	$(BIN)/python -m docs.screenshots

shape: .venv/.develop  ## how the code is built, in numbers (docs/ARCHITECTURE.md)
	$(BIN)/python -m docs.shape

docs: .venv/.develop  ## write the generated pages (settings table, OpenAPI snapshot)
	$(BIN)/python -m docs.generate

site: .venv/.develop  ## the documents, the API and its code as pages in build/site; a link that leads nowhere fails
	@docs/site/install
	@rm -rf build/site build/site-source
	.venv-site/bin/python -m sphinx --builder html --conf-dir docs/site --doctree-dir build/site-source/trees \
		--fail-on-warning --keep-going --quiet . build/site
	@echo "build/site/index.html"

demo: .venv/.develop  ## train the built-in models anew
	$(BIN)/python -m service.demo.train_shapes
	$(BIN)/python -m service.demo.train_glyphs
	$(BIN)/python -m service.demo.digests

lock: .venv/.develop  ## resolve the lock files anew
	$(BIN)/$(COMPILE) --upgrade --output-file requirements.lock
	$(BIN)/$(COMPILE) --upgrade --constraint requirements.lock --group develop --output-file requirements-dev.lock
	$(BIN)/$(subst pyproject.toml,docs/site/requirements.in,$(COMPILE)) --upgrade --output-file docs/site/requirements.lock
	$(BIN)/$(subst pyproject.toml,tests/foreign/requirements.in,$(COMPILE)) --upgrade --output-file tests/foreign/requirements.lock

audit: .venv/.develop  ## known vulnerabilities among the locked packages
	$(BIN)/pip-audit --require-hashes --disable-pip --requirement requirements-dev.lock

clean:  ## remove the environment and caches
	rm -rf .venv .venv-peers .venv-site .venv-foreign .venv-legacy-* build *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

# pip compiles bytecode while it installs: importing TensorFlow without it takes 10 s more.
.venv/.runtime: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
		{ echo "convscope needs Python 3.11 to 3.13 with venv: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --require-hashes --requirement requirements.lock
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

.venv/.develop: requirements-dev.lock .venv/.runtime
	$(BIN)/pip install --quiet --require-hashes --requirement requirements-dev.lock
	@touch $@

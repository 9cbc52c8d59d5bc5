# The commands of the README, and some for maintainers.
#   make setup | reproduce | test | bench | ui | docs | docs-serve | report | committed | claims | clean | constraints
STUDY ?= quick
# The cores that this process may use; within a container 'all' would be those of the whole machine.
CORES ?= $(shell $(BIN)/python -c 'from rsm.runs.machine import usable_cores; print(usable_cores())')
PYTHON ?= python3.11
# Further options of pip, e.g. '--extra-index-url ADDRESS' for PyTorch's CPU builds.
PIP_FLAGS ?=
# Overrides of settings of the study: CONFIG="seeds=[0] 'run={training: {episodes: 5}}'"
CONFIG ?=

BIN := .venv/bin
SETUP := .venv/.setup-done
# Expanded when used, since it needs the environment.
SNAKEMAKE = $(BIN)/snakemake --cores $(CORES)
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export MLFLOW_DISABLE_TELEMETRY := true
export DO_NOT_TRACK := 1
# Packages are installed uncompiled. With this variable set, what an import compiles would not be kept, and each of a
# study's many processes would compile it again, for seconds.
unexport PYTHONDONTWRITEBYTECODE
# Snakemake and matplotlib keep files below the home folder; where that cannot be written, here.
ifneq ($(shell test -w "$$HOME" && echo writable),writable)
export XDG_CACHE_HOME ?= $(CURDIR)/.snakemake/cache
endif

.PHONY: docs docs-serve quick-test quick-unit schema setup reproduce committed claims report test beside lint unit smoke audit bench ui clean constraints
.DELETE_ON_ERROR:

setup: $(SETUP)

# constraints.txt has every package with its hashes but torch, whose builds (CPU, CUDA) differ in files and in what they
# need: pip takes the one of this machine, or of PIP_FLAGS, in the version of constraints-torch.txt, unhashed.
# What comes as source, our own package too, is built with the pinned setuptools (no build isolation), so that is first.
# Four pips share the packages, since one asks the index for a package after the other. Modules are compiled when first
# imported: most never are.
INSTALL = $(BIN)/pip install --quiet --no-compile --no-build-isolation $(PIP_FLAGS)
$(SETUP): pyproject.toml constraints.txt constraints-torch.txt
	@echo "== environment: .venv from constraints.txt"
	@command -v $(PYTHON) >/dev/null || { echo "setup: $(PYTHON) was not found; name another interpreter with PYTHON=..."; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	sed -n '/^setuptools==/,/[^\\]$$/p' constraints.txt > .venv/setuptools.txt
	$(INSTALL) --no-deps --require-hashes -r .venv/setuptools.txt
	awk '/^[^ #]/ {n++} {print > (".venv/part" n % 4 ".txt")}' constraints.txt
	printf '%s\n' 0 1 2 3 | xargs -P 4 -I{} $(INSTALL) --no-deps --require-hashes -r .venv/part{}.txt
	$(INSTALL) -r constraints-torch.txt -e .
	@touch $@

reproduce: setup
	$(SNAKEMAKE) --config study=$(STUDY) $(CONFIG)

# The committed results of finished studies, e.g. STUDIES="published theory": settings, figures and tables are copied
# to a folder that no rule reads or writes; then the claims are computed.
STUDIES ?=
GATHERED := results/committed
# A page is committed if it has fewer bytes.
SMALL_PAGE := 3000000
committed: setup
	@test -n "$(STUDIES)" || { echo "committed: no studies are named; use STUDIES=\"published theory\""; exit 2; }
	@set -e; for study in $(STUDIES); do for part in study.yaml figures tables; do \
	  test -e results/$$study/$$part || { echo "committed: results/$$study/$$part is missing; run make reproduce STUDY=$$study first"; exit 2; }; \
	done; done
	@set -e; for study in $(STUDIES); do \
	  rm -rf $(GATHERED)/$$study; mkdir -p $(GATHERED)/$$study; \
	  cp -r results/$$study/study.yaml results/$$study/figures results/$$study/tables $(GATHERED)/$$study/; \
	  page=results/$$study/index.html; \
	  if test -f $$page && test "$$(wc -c < $$page)" -lt $(SMALL_PAGE); then cp $$page $(GATHERED)/$$study/; \
	  else echo "committed: $$page is not copied: it is not there, or not below $(SMALL_PAGE) bytes"; fi; \
	  $(BIN)/python -m rsm policies --study $$study --out $(GATHERED)/$$study/policies; \
	done
	@$(MAKE) --no-print-directory claims

# The claims table from what is committed, and README's copy of it.
claims: setup
	$(BIN)/python -m rsm claims --readme README.md

report: setup
	$(SNAKEMAKE) --config study=$(STUDY) $(CONFIG) -- page report

# Checked before an environment is made: is there anything to show?
ui:
	@test -n "$$MLFLOW_TRACKING_URI" -o -f results/mlflow/mlflow.db || { echo "ui: there is no MLflow store yet; run 'make reproduce' first"; exit 2; }
	@$(MAKE) --silent --no-print-directory setup
	@$(BIN)/python -m rsm ui

# The documentation as a site. Any warning fails (a broken link, a page outside the navigation).
export NO_MKDOCS_2_WARNING := 1
docs: setup
	$(BIN)/mkdocs build --quiet
	@echo "== documentation: site/index.html"

docs-serve: setup
	$(BIN)/mkdocs serve

# One after the other beside the unit tests: alone, lint, docs and the small study leave a core idle for minutes.
test: setup
	@$(MAKE) --no-print-directory --jobs 2 unit beside

beside: setup
	@$(MAKE) --no-print-directory --output-sync=target lint
	@$(MAKE) --no-print-directory --output-sync=target docs
	@$(MAKE) --no-print-directory --output-sync=target smoke

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/snakemake --lint --config study=theory

# While working: lint, types, and quick tests of the packages below training. The other tests train real runs.
quick-test: setup
	@$(MAKE) --no-print-directory --jobs 2 --output-sync=target lint quick-unit

quick-unit: setup
	$(BIN)/pytest -n 2 -q -m "not slow" tests/config tests/exchange tests/methods tests/mixing tests/runs tests/sac \
	  tests/traffic tests/test_environment.py tests/test_seeding.py

unit: setup
	# One worker more than cores, since some tests wait for a server; an idle one takes tests from the others.
	$(BIN)/pytest -n $$(($(CORES) + 1)) --dist worksteal

# A real, tiny study through Snakemake; a second call must find nothing to do.
smoke: setup
	$(SNAKEMAKE) --config study=ci
	$(SNAKEMAKE) --config study=ci 2>&1 | grep "Nothing to be done"

# Known vulnerabilities of the pinned versions; says SKIPPED where the database cannot be reached.
audit: setup
	@$(BIN)/python .ci/audit.py

bench: setup
	$(BIN)/python -m benchmarks

# Results are kept, since they take hours; only those of the study `ci` are removed.
clean:
	rm -rf site .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache build dist *.egg-info results/ci
	@echo "results/ is kept; to remove the results of a study, except committed ones: git clean -fdX results/NAME"

# For maintainers, after a change of the packages in pyproject.toml: pins what is new with its hashes and keeps the
# other pins; `make constraints UPGRADE=1` resolves every range anew. environment.yml gets the same versions.
UPGRADE ?=
constraints:
	rm -rf .venv-new
	$(PYTHON) -m venv .venv-new
	.venv-new/bin/pip install --quiet uv
	.venv-new/bin/uv pip compile --quiet pyproject.toml --all-extras --python-version 3.11 --generate-hashes \
	  --no-emit-package torch --constraints constraints-torch.txt $(if $(UPGRADE),--upgrade) --no-annotate \
	  --custom-compile-command "make constraints" --output-file constraints.txt
	{ sed '/^      - /d' environment.yml; sed -n 's/^\([^ #]*==[^ ]*\).*/      - \1/p' constraints.txt constraints-torch.txt; } \
	  > environment.new
	mv environment.new environment.yml
	rm -rf .venv-new

# After a change of the settings: write the JSON schema of study files from the models.
schema: setup
	$(BIN)/python -m rsm schema > workflow/schemas/study.schema.json

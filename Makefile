# The two commands of a fresh machine are `make e2e` and `make test`. ARGS goes to pytest, or to the command:
#   make e2e ARGS="-k rotation --keep-cluster"
PYTHON ?= python3
ARGS ?=
# A tox that is there is used; else one is installed into .venv, and nowhere else.
TOX := $(or $(shell command -v tox 2>/dev/null),.venv/bin/tox)

.PHONY: help e2e test up down doctor clean

help: ## this list
	@awk -F':.*## ' '/^[a-z0-9]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

e2e: $(TOX) ## raise the whole stack, prove every clause, write the report (tox -e e2e)
	$(TOX) run -e e2e -- $(ARGS)

test: $(TOX) ## lint, types and the tests that need no cluster (tox)
	$(TOX) run -e test -- $(ARGS)

up doctor down clean: $(TOX) ## set the mesh up; look what set-up would do; take it down; remove all of it
	@$(TOX) -qq exec -e e2e -- python -m fixtures $@ $(ARGS)

.venv/bin/tox:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Meshproof needs Python 3.11 or later; name it: make PYTHON=/path/to/python3.11 ..." >&2; exit 2; }
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install -q 'tox>=4.30,<5'

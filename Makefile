# Every target makes the environment it needs; Python 3.11 is all that has to be there.
PYTHON ?= python3.11
ifeq ($(shell command -v $(PYTHON)),)
PYTHON := python3
endif
# PyTorch for the development environment. Elsewhere than on a GPU: make test TORCH_INDEX=https://download.pytorch.org/whl/cpu
TORCH ?= torch==2.13.0
TORCH_INDEX ?=
JOBS ?= 2
PYTEST_ARGS ?=

PIP = -m pip --quiet --disable-pip-version-check
DEV := .venv/bin/python
DEMO := .venv-demo/bin/python

.PHONY: help demo test lint soak scale learned memory bench table rig story jumps takeover serve-asr serve-tts docs lock clean
.DEFAULT_GOAL := help

help: ## What there is to make
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 12

demo: .venv-demo/.ready ## Replay the peers' policies on bundled traffic and write a report
	.venv-demo/bin/autoscaler compare --policies fixed,hpa,keda,kpa,predictive-tts --traces demo-burst,demo-surges --report out/demo.html --out out/demo

test: lint ## All layers of tests, after lint and types
	$(DEV) -m pytest -n $(JOBS) --dist loadfile $(PYTEST_ARGS)

lint: .venv/.ready ## ruff, mypy, import contracts
	$(DEV) -m ruff check .
	$(DEV) -m ruff format --check .
	$(DEV) -m mypy
	.venv/bin/lint-imports

soak: .venv/.ready ## 200 random faults and 1,000 targets on the controllers, 10 minutes of overload and 100 kills on the server (three hours)
	SOAK_FAULTS=200 $(DEV) -m pytest tests/e2e/test_chaos.py $(PYTEST_ARGS)
	SPEECH_OVERLOAD_S=600 $(DEV) -m pytest tests/integration/server/test_overload.py $(PYTEST_ARGS)
	SPEECH_KILLS=100 $(DEV) -m pytest tests/integration/server/test_queue_workers.py -k killed_in_the_middle --timeout 3600 $(PYTEST_ARGS)
	$(MAKE) scale learned

scale: .venv/.ready ## 1,000 targets and 5,000 pods under one controller (half an hour, 4 GB): docs/scale.md
	PYTHONPATH=tests $(DEV) -m rig.scale --run hpa:1000 --run predictive:100 --run predictive:1000

learned: .venv/.ready ## 100 predictive targets that learn from two weeks of real Prometheus, under one controller (an hour): docs/scale.md
	PYTHONPATH=tests $(DEV) -m rig.learned

memory: .venv/.ready ## What each of 100 predictive targets keeps, in one process without a cluster (five minutes): docs/scale.md
	MALLOC_ARENA_MAX=2 MALLOC_MMAP_THRESHOLD_=131072 PYTHONPATH=tests $(DEV) -m rig.memory

bench: .venv/.ready ## Speed of the engine against its references
	$(DEV) benchmarks/engine.py

table: .venv/.ready ## The whole comparison over all recorded traces (hours, goes on where it stopped): docs/comparison.md
	$(DEV) -m simulations.shipped --policies predictive,hpa,keda,kpa,fixed --jobs $(JOBS)
	$(DEV) -m simulations.search tuned --jobs $(JOBS)
	$(DEV) -m simulations.search common --rows 4 --jobs $(JOBS)
	$(DEV) -m simulations.table --write docs/comparison.md

rig: .venv/.ready ## Watch the controller on a real control plane with pods as processes: docs/rig.md
	PYTHONPATH=tests $(DEV) -m rig.story --push 60

story: .venv/.ready ## The same for five minutes, under ours, the HPA controller and KEDA, beside the simulator (an hour): docs/rig.md
	PYTHONPATH=tests $(DEV) -m rig.side_by_side --runs out/story.jsonl

jumps: .venv/.ready ## Five jumps at different phases of the scrape, a minute each (a quarter of an hour)
	PYTHONPATH=tests $(DEV) -m rig.jumps

takeover: .venv/.ready ## How long nobody leads when the leader dies or hangs, with the default lease (five minutes)
	PYTHONPATH=tests $(DEV) -m rig.takeover

serve-asr: .venv/.ready ## Speech recognition on the small digits model, http://127.0.0.1:8000
	.venv/bin/inference-server serve --engine sensevoice -o model=tests/models/sensevoice-digits --port 8000

serve-tts: .venv/.ready ## Text to speech on a tiny model with random weights (noise, but real), http://127.0.0.1:8001
	.venv/bin/inference-server serve --engine emotivoice -o model=tests/models/emotivoice-tiny --port 8001

docs: .venv/.ready ## Pages that are made from the code
	$(DEV) -m autoscaler.spec.reference > docs/policy-reference.md.new && mv docs/policy-reference.md.new docs/policy-reference.md

lock: ## Pin every dependency with its hashes; torch stays out (its builds differ)
	$(PYTHON) -m venv .venv-lock && .venv-lock/bin/python $(PIP) install uv
	@mkdir -p locks && echo 'torch ; python_version < "3"' > locks/.override
	@for name in controller simulations inference dev; do \
	  case $$name in controller) extras= ;; dev) extras=--all-extras ;; *) extras="--extra $$name" ;; esac; \
	  .venv-lock/bin/uv pip compile --quiet pyproject.toml $$extras --override locks/.override --python-version 3.11 \
	    --generate-hashes --no-annotate --no-header --no-emit-index-url --output-file locks/$$name.lock >/dev/null || exit 1; done
	@rm locks/.override

.venv/.ready: pyproject.toml locks/dev.lock
	$(PYTHON) -m venv .venv
	$(DEV) $(PIP) install $(TORCH) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX))
	$(DEV) $(PIP) install --require-hashes -r locks/dev.lock
	$(DEV) $(PIP) install --no-deps -e .
	@touch $@

.venv-demo/.ready: pyproject.toml locks/simulations.lock
	$(PYTHON) -m venv .venv-demo
	$(DEMO) $(PIP) install --require-hashes -r locks/simulations.lock
	$(DEMO) $(PIP) install --no-deps .
	@touch $@

clean: ## Remove environments and outputs
	rm -rf .venv .venv-demo .venv-lock out build dist

# Every target does its own set-up; nothing but Python 3.11+ and git is needed.
PYTHON ?= python3
BIN := .venv/bin
# torch comes first and bounded, so that pip takes a CPU build where one is offered.
TORCH ?= torch>=2.8,<2.14
STAMP := .venv/.stamp
# What any machine measures in minutes; `grpo_run` takes an hour, `grpo_gpu` a GPU.
BENCH := scenes grpo colors blind annotator build

# The model inside of the package: some hours on two cores; every step goes on from where it was.
TINY := runs/sif-tiny
STAGES := perception-sft sft order-sft whole-sft last-sft
# Memory stays with the process: else each step gives gigabytes back to the system and has them cleared again.
KEEP := env MALLOC_MMAP_THRESHOLD_=4294967296 MALLOC_TRIM_THRESHOLD_=8589934592

.PHONY: setup demo test check docs gallery fuzz bench train-sif-tiny clean

setup: $(STAMP)

$(STAMP): pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "$(TORCH)"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[dev]"
	touch $(STAMP)

demo: $(STAMP)
	$(BIN)/sifthinker demo --out runs/demo $(ARGS)

test: $(STAMP)
	$(BIN)/python -m pytest -n 2 $(ARGS)

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright

docs: $(STAMP)
	$(BIN)/mkdocs build --strict

gallery: $(STAMP)
	$(BIN)/python docs/make_tasks.py

fuzz: $(STAMP)
	$(BIN)/python tests/fuzz/fuzz_trace.py -max_total_time=600 $(ARGS)

bench: $(STAMP)
	for name in $(BENCH); do $(BIN)/python bench/$$name.py || exit 1; done

train-sif-tiny: $(STAMP)
	$(BIN)/sifthinker scenes --split train-maps --n 2000 --seed 10 --trace-style listing --out $(TINY)/data/words --resume
	$(BIN)/sifthinker scenes --split train-maps --n 16000 --seed 11 --objects 1-1 --trace-style listing \
		--out $(TINY)/data/one --resume
	$(BIN)/sifthinker scenes --split train-maps --n 64000 --seed 12 --trace-style listing --out $(TINY)/data/sif --resume
	$(BIN)/sifthinker scenes --split train-maps --n 64000 --seed 14 --trace-style listing --out $(TINY)/data/more --resume
	$(BIN)/sifthinker scenes --split train-alike --tasks left_right,front_behind,nearer,larger --n 8000 --seed 16 \
		--trace-style listing --out $(TINY)/data/order --resume
	$(BIN)/sifthinker scenes --split train --n 1600 --seed 13 --trace-style listing --out $(TINY)/data/rl --resume
	test -e $(TINY)/blank/config.json || $(BIN)/sifthinker blank $(TINY)/data/words \
		--width 96 --vision-width 96 --vision-layers 2 --patch 12 --vocabulary 1024 --out $(TINY)/blank
	for stage in $(STAGES); do \
		$(KEEP) $(BIN)/torchrun --nproc_per_node 2 -m sifthinker sft sif-tiny-$$stage --resume || exit 1; done
	$(KEEP) $(BIN)/sifthinker grpo sif-tiny-grpo --resume

clean:
	rm -rf .venv runs site

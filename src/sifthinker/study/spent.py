"""What trainings cost: steps and samples as their run folders tell, seconds as they pass.

Seconds are written down while a training goes on, so that those of a session that is killed are not lost.
"""

from __future__ import annotations

import contextlib
import json
import resource
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ..records import atomic_write

TIMES = "times.json"

EVERY_S = 5.0
"""How often seconds are written down."""


@contextlib.contextmanager
def measure(path: Path) -> Iterator[None]:
    """Append a session to the list in `path`: wall seconds, and CPU seconds of this process and its children."""
    before = _sessions(path)
    start, cpu, done = time.perf_counter(), _cpu_s(), threading.Event()

    def write() -> None:
        session = {"wall_s": round(time.perf_counter() - start, 2), "cpu_s": round(_cpu_s() - cpu, 2)}
        atomic_write(path, json.dumps([*before, session]))

    def keep_writing() -> None:
        while not done.wait(EVERY_S):
            write()

    thread = threading.Thread(target=keep_writing, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        write()


def spent(runs: Sequence[tuple[Path, Sequence[str]]]) -> dict[str, float]:
    """The sums over finished trainings: `optimizer_steps`, `samples`, `wall_s`, `cpu_s`.

    runs: folders with their stages inside, and the file `TIMES`. Samples are rows of the optimizer's batches (of GRPO:
    completions), counted as if every batch were full.
    """
    total = {"optimizer_steps": 0, "samples": 0, "wall_s": 0.0, "cpu_s": 0.0}
    for folder, stages in runs:
        for session in _sessions(folder / TIMES):
            total["wall_s"] += session["wall_s"]
            total["cpu_s"] += session["cpu_s"]
        for stage in stages:
            steps, rows = _steps(folder / stage)
            total["optimizer_steps"] += steps
            total["samples"] += steps * rows
    return {name: round(value, 2) for name, value in total.items()}


def _steps(run: Path) -> tuple[int, int]:
    """Optimizer steps of a run folder, and rows of one."""
    from ..training.health import read_lines
    from ..training.run import LOG, RECORD

    record = json.loads((run / RECORD).read_text())
    resolved = record["resolved"]
    rows = resolved["per_device_train_batch_size"] * resolved["gradient_accumulation_steps"] * record["processes"]
    return max((row["step"] for row in read_lines(run / LOG)), default=0), rows


def _sessions(path: Path) -> list[dict[str, Any]]:
    return json.loads(path.read_text()) if path.exists() else []


def _cpu_s() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)

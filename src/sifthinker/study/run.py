"""Runs what is not finished of a study; all mistakes of its recipe are told before the first training begins."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..engines import ENGINES, open_engine
from ..errors import InputError
from ..evaluate import evaluate, resolve
from ..grading import VERSION as EXTRACTION_VERSION
from ..prompt import prompt_hash
from ..provenance import folder_identity
from ..recipes import read_yaml
from ..records import atomic_write, disk_errors
from ..runs import METRICS, RUN, read_metrics
from .recipe import Row, Study, read_study, within
from .result import result_of, summary
from .spent import TIMES, measure

LOCK = ".lock"
"""In the folder of a row and seed that a process works at."""
WAIT = 5.0
"""Seconds until a process looks again whether what others work at is finished."""


def study(recipe: str | Path, out: str | Path, resume: bool = False) -> dict[str, Any]:
    """Run what is not finished yet, and return the result, which is also in `study.json` and `study.md`.

    Progress is told on standard error. Raises `InputError` for mistakes in the recipe, all before the first training
    begins, and when `out` holds something and `resume` is false, or trainings with other settings.
    """
    plan = read_study(read_yaml(recipe), Path(out))
    if plan.out.exists() and not plan.out.is_dir():
        raise InputError(f"{out} is a file; --out needs a folder")
    if plan.out.exists() and any(plan.out.iterdir()) and not resume:
        raise InputError(f"{out} is not empty: give --resume to go on with the study in it, or another --out")
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise InputError("a study runs in one process; launch its trainings by themselves for several")
    with contextlib.redirect_stdout(sys.stderr):
        look(plan)
        with disk_errors(plan.out):
            plan.out.mkdir(parents=True, exist_ok=True)
        run_rows(plan)
    found = result_of(plan)
    atomic_write(plan.out / "study.json", json.dumps(found, indent=1, ensure_ascii=False, allow_nan=False))
    atomic_write(plan.out / "study.md", summary(found))
    return found


def look(plan: Study) -> None:
    """Hold all of a study against what its parts would refuse; writes nothing. Raises `InputError`."""
    from ..engines.processor import model_config
    from ..training import stages

    for row in plan.rows.values():
        with within(f"row {row.name}"):
            for seed in plan.seeds if row.stages else ():
                stages.look(plan.training(row, seed))
            if not row.from_row and not row.stages and (":" in row.start or row.start in ENGINES):
                with open_engine(row.start):
                    pass
            elif not row.from_row:
                model_config(row.start)
        for name in plan.benchmarks:
            with within(f"row {row.name}, benchmark {name}"):
                config, bench = resolve(row.start, **plan.evaluation(row, plan.seeds[0], name)[1])
                for seed in plan.seeds:
                    _same_as_before(plan.evaluation(row, seed, name)[0], {**config, "model": plan.model(row, seed)})
                if next(iter(bench.load()), None) is None:
                    raise InputError("it has no items")


def _same_as_before(out: Path, config: Mapping[str, Any]) -> None:
    """Raise `InputError` where a run folder holds an evaluation of other settings, but how many are asked at once."""
    before = json.loads((out / RUN).read_text())["config"] if (out / RUN).exists() else config
    if changed := sorted(key for key in config if key != "batch_size" and before.get(key) != config[key]):
        raise InputError(f"{out} was started with other settings: {', '.join(changed)}; restore them, or remove it")


def run_rows(plan: Study) -> None:
    """All rows and seeds, each by the process that takes it first: several may work at one folder.

    A row is held by a lock in its folder; when a process is killed, the system frees it.
    """
    from filelock import FileLock, Timeout

    left = [(row, seed) for seed in plan.seeds for row in plan.rows.values() if seed in plan.own_seeds(row)]
    while left:
        taken = []
        for row, seed in left:
            if row.from_row and not _trained(plan, plan.rows[row.start], seed):
                continue
            folder = plan.folder(row, seed)
            with disk_errors(folder):
                folder.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(Timeout), FileLock(folder / LOCK, timeout=0):
                run_row(plan, row, seed)
                taken.append((row, seed))
        left = [part for part in left if part not in taken]
        if left and not taken:
            time.sleep(WAIT)


def _trained(plan: Study, row: Row, seed: int) -> bool:
    """Whether all trainings of a row are finished, and those that it begins with."""
    own = all(_finished(plan.folder(row, seed) / stage["name"]) for stage in row.stages)
    return own and (not row.from_row or _trained(plan, plan.rows[row.start], seed))


def run_row(plan: Study, row: Row, seed: int) -> None:
    """Train and evaluate what is not finished of a row and seed."""
    from ..training import stages

    folder, training = plan.folder(row, seed), plan.training(row, seed)
    if not all(_finished(folder / stage["name"]) for stage in row.stages):
        print(f"== seed {seed}, row {row.name}: training", flush=True)
        with measure(folder / TIMES):
            stages.train(training)
        gc.collect()  # a trainer and its callbacks hold each other, and with them the model
    for name in plan.benchmarks:
        out, options = plan.evaluation(row, seed, name)
        model = plan.model(row, seed)
        if not _evaluated(out, model, options):
            print(f"== seed {seed}, row {row.name}: {name}", flush=True)
            evaluate(model, out=out, **options)


def _finished(folder: Path) -> bool:
    from ..training.run import finished

    return finished(folder)


def _evaluated(out: Path, model: str, options: Mapping[str, Any]) -> bool:
    """Whether a run folder holds this evaluation, finished and without failed requests."""
    if not (out / RUN).exists() or not (out / METRICS).exists() or not read_metrics(out)["ok"]:
        return False
    run, config = json.loads((out / RUN).read_text()), resolve(model, **options)[0]
    now = (config, folder_identity(model), prompt_hash(), EXTRACTION_VERSION)
    return now == (run["config"], run["weights"], run["prompt_hash"], run["extraction_version"])

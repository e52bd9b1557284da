"""The run folder of an evaluation: what is in it, how it is written so that a kill loses nothing, how it is read.

RUN/run.json       what was run: resolved config, model, prompt hash, versions, git commit
RUN/items.jsonl    one line an item: prompt, raw reply, extraction, outcome, values
RUN/metrics.json   the metrics (`metrics.metrics_of`) and what they are metrics of
RUN/pictures/      photo and depth picture of the first items, small, for the report
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .errors import InputError
from .metrics import Item, metrics_of
from .records import atomic_write, disk_errors

ITEMS, RUN, METRICS, PICTURES = "items.jsonl", "run.json", "metrics.json", "pictures"

SCHEMA = 1

NEEDED = {
    "schema", "config", "model_id", "benchmark", "version", "gen_params", "prompt_hash", "extraction_version",
}  # fmt: skip
"""Fields of `run.json` that reading it relies on."""


def read_run(folder: Path) -> tuple[dict[str, Any], list[Item]]:
    """`run.json` and the items of a run folder, each item once, in order. Raises `InputError` for other folders."""
    path = folder / RUN
    try:
        run = json.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError(f"{folder}: no {RUN}; expected a folder that `sifthinker eval` wrote") from error
    except ValueError as error:
        raise InputError(f"{path}: not JSON ({error})") from error
    if not isinstance(run, dict) or not run.keys() >= NEEDED:
        raise InputError(f"{path}: not the {RUN} of an evaluation; expected {', '.join(sorted(NEEDED))}")
    if run["schema"] > SCHEMA:
        raise InputError(f"{path}: schema {run['schema']} is newer than {SCHEMA}; update sifthinker")
    return run, list(kept_items(folder).values())


def read_metrics(folder: Path) -> dict[str, Any]:
    """`metrics.json` of a run folder. Raises `InputError` while the run is not finished."""
    try:
        return json.loads((folder / METRICS).read_text())
    except FileNotFoundError as error:
        raise InputError(f"{folder}: no {METRICS}; the evaluation is not finished, run it again to go on") from error


def kept_items(folder: Path) -> dict[str, Item]:
    """Items of a folder by key; of an item that was tried again the last line counts."""
    path = folder / ITEMS
    if not path.exists():
        return {}
    items: dict[str, Item] = {}
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                break  # torn by a kill, or being written; nothing follows
            try:
                item = json.loads(line)
                items[item["key"]] = item
            except (ValueError, KeyError, TypeError) as error:
                raise InputError(f"{path}:{number}: not an item of an evaluation ({error!r})") from error
    return items


def clear_run(out: Path) -> None:
    """Remove what an evaluation wrote, and nothing else."""
    for name in (RUN, ITEMS, METRICS):
        (out / name).unlink(missing_ok=True)
    shutil.rmtree(out / PICTURES, ignore_errors=True)


def start_run(out: Path, run: dict[str, Any]) -> None:
    """Write `run.json`. Raises `InputError` when the folder holds another run."""
    if (out / RUN).exists():
        before, _ = read_run(out)
        names = ("model_id", "weights", "benchmark", "version", "gen_params", "prompt_hash")
        if changed := [f"{k} {before.get(k)} (now {run[k]})" for k in names if before.get(k) != run[k]]:
            raise InputError(f"{out} holds another run: {', '.join(changed)}; give another --out, or --no-resume")
        if fewer := [k for k in ("limit", "n") if _count(run["config"][k]) < _count(before["config"][k])]:
            old, new = before["config"][fewer[0]], run["config"][fewer[0]]
            raise InputError(f"{out} holds a run with {fewer[0]} {old}, more than {new}; give another --out")
    elif out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file; --out needs a folder")
    with disk_errors(out):
        out.mkdir(parents=True, exist_ok=True)
    (out / METRICS).unlink(missing_ok=True)
    atomic_write(out / RUN, json.dumps(run, indent=2))


def finish_run(out: Path, run: dict[str, Any], items: Sequence[Item], allow_failed: bool) -> dict[str, Any]:
    """Write items (each once, in order) and metrics."""
    found = metrics_of(items)
    result = {
        "model": run["model_id"],
        "benchmark": run["benchmark"],
        "version": run["version"],
        "prompt_hash": run["prompt_hash"],
        "extraction_version": run["extraction_version"],
        "out": str(out),
        **found,
        "ok": found["complete"] or allow_failed,
    }
    lines = (json.dumps(item, ensure_ascii=False, allow_nan=False) + "\n" for item in items)
    atomic_write(out / ITEMS, "".join(lines))
    atomic_write(out / RUN, json.dumps(run, indent=2))
    atomic_write(out / METRICS, json.dumps(result, indent=2, ensure_ascii=False, allow_nan=False))
    return result


def _count(limit: int | None) -> float:
    return float("inf") if limit is None else limit

"""One self-contained HTML page from a run folder: of one evaluation, of several, or of a whole experiment.

    RUN/data/NAME          data sets (`manifest.json`)
    RUN/sft, RUN/grpo      trainings (`log_history.jsonl`, `alarms.jsonl`, `training.json`, `sheets`); or RUN is one
    RUN/eval/base, sft, grpo   evaluations (`runs`)

What is missing is named, never made up: a page can be made while the run goes on. Every sentence about results
follows from the numbers and their intervals. Numbers come from `metrics`, drawn traces from `figures`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from PIL import Image

from . import tables
from .curves import Chart, Series, line_chart
from .errors import InputError
from .evaluate import compare
from .figures import Figure, Picture, environment, figure_of_item, picture, trace_figure
from .metrics import HEADLINE, LOWER_IS_BETTER, Item, metrics_of
from .records import atomic_write, disk_errors
from .rewards import ABOUT
from .runs import METRICS, RUN, read_metrics, read_run
from .training.health import ALARMS, WINDOW, course, read_lines

__all__ = ["print_table", "report", "trace_figure"]

LABELS = {"base": "Base", "sft": "Warm-up", "grpo": "GRPO-SIF"}
"""The stages of an experiment in order; other evaluations follow under their own names."""

LOG = "log_history.jsonl"

SHEETS, SHEET_SIDE = 3, 1400
"""Sheets of rollouts that are shown: the first, the last, and those between; pixels of the longer side."""

FIRST = (
    "HIoU of the first area that is not the whole image; where rewards of boxes rise and this falls, a run is hacked"
)

SHOWN = 6
"""Items whose traces are drawn."""


@dataclass(frozen=True)
class Stage:
    """One evaluation. metrics: of the items so far while it is not finished."""

    name: str
    folder: Path
    run: dict[str, Any]
    items: list[Item]
    metrics: dict[str, Any]
    finished: bool

    @property
    def label(self) -> str:
        return LABELS.get(self.name, self.name)


@dataclass(frozen=True)
class Training:
    """One training: its log so far, and some of its sheets by step."""

    name: str
    log: list[dict[str, Any]]
    alarms: list[dict[str, Any]]
    config: str
    sheets: list[tuple[int, Picture]]

    @property
    def label(self) -> str:
        return LABELS.get(self.name, self.name)

    @property
    def rewarded(self) -> bool:
        """Whether rewards are logged, and so alarms would be."""
        return any("reward" in row for row in self.log)

    @property
    def course(self) -> list[dict[str, str]]:
        """Plain sentences on how its rewards went, each with its verdict."""
        verdicts, about = {"risen": "better", "fallen": "worse", "": "unclear"}, {**ABOUT, "first_box_hiou": FIRST}
        return [
            {
                "verdict": verdicts[how],
                "text": f"{name}{f' ({about[name]})' if name in about else ''}: "
                f"{before:.3f} to {now:.3f}, {how or 'no clear change'}.",
            }
            for name, before, now, how in course(self.log)
        ]


def report(run_dir: str | Path, out: str | Path | None = None) -> Path:
    """Write the page of a run folder and return its path (by default `report.html` in the folder).

    Raises `InputError` when the folder holds neither an evaluation nor a training.
    """
    folder = Path(run_dir)
    stages, trainings = _stages(folder), _trainings(folder)
    if not stages and not trainings:
        raise InputError(f"{folder}: neither an evaluation ({RUN}) nor a training ({LOG}) in this folder")
    changes, examples = _changes(stages), _examples(stages)
    pictures = {p.key: p for example in examples for figure in example["figures"] if figure for p in figure.pictures}
    page = environment().get_template("report.html")
    html = page.render(
        name=folder.resolve().name,
        stages=stages,
        trainings=trainings,
        missing=_missing(folder, stages, trainings),
        data=_data(folder),
        same=bool(stages) and same_questions(stages),
        one_model=all(s.name in LABELS for s in stages),
        rows=_rows(stages),
        changes=changes,
        findings=_findings(stages, changes),
        tasks=_tasks(stages),
        charts=[(t, _charts(t)) for t in trainings],
        window=WINDOW,
        examples=examples,
        pictures=list(pictures.values()),
        counts=tables.counts,
        interval=tables.interval,
    )
    path = folder / "report.html" if out is None else Path(out)
    with disk_errors(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(path, html)
    return path


def print_table(run_dir: str | Path) -> str:
    """The metrics of all stages of a run folder side by side, as plain text to be printed."""
    stages = _stages(Path(run_dir))
    if not stages:
        raise InputError(f"{run_dir}: no evaluation ({RUN}) in this folder")
    unfinished = [f"{s.label}: not finished, {len(s.items)} items so far" for s in stages if not s.finished]
    lines = [tables.stages([s.label for s in stages], [s.metrics for s in stages]), *unfinished]
    return "\n".join([*lines, *(finding["text"] for finding in _findings(stages, _changes(stages)))])


# --- reading ---------------------------------------------------------------------------------------------------------


def _stages(folder: Path) -> list[Stage]:
    """The evaluations in a folder: itself, or those in `eval/` and directly below."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such run folder")
    if (folder / RUN).exists():
        return [_stage(folder)]
    found = [p.parent for parent in (folder / "eval", folder) for p in sorted(parent.glob(f"*/{RUN}"))]
    return [_stage(path) for path in sorted(found, key=_place)]


def _place(folder: Path) -> tuple[int, str]:
    """Stages in their order, then everything else by name."""
    names = list(LABELS)
    return (names.index(folder.name) if folder.name in LABELS else len(names)), folder.name


def _stage(folder: Path) -> Stage:
    run, items = read_run(folder)
    finished = (folder / METRICS).exists()
    return Stage(folder.name, folder, run, items, read_metrics(folder) if finished else metrics_of(items), finished)


def _trainings(folder: Path) -> list[Training]:
    found = []
    for path in sorted([*folder.glob(LOG), *folder.glob(f"*/{LOG}")], key=lambda p: _place(p.parent)):
        config = path.parent / "training.json"
        text = config.read_text() if config.exists() else ""
        name, log, alarms = path.parent.resolve().name, read_lines(path), read_lines(path.parent / ALARMS)
        found.append(Training(name, log, alarms, text, _sheets(path.parent)))
    return found


def _sheets(folder: Path) -> list[tuple[int, Picture]]:
    """Step and picture of sheets spread evenly over those that are there, the first and the last among them."""
    paths = sorted(folder.glob("sheets/step-*.png"))
    count = min(SHEETS, len(paths))
    chosen = [paths[round(i * (len(paths) - 1) / max(count - 1, 1))] for i in range(count)]
    return [(int(p.stem.removeprefix("step-")), picture(Image.open(p), p.stem, SHEET_SIDE)) for p in chosen]


def _data(folder: Path) -> list[dict[str, Any]]:
    """Name and counts of the data sets of an experiment."""
    found = []
    for path in sorted(folder.glob("data/*/manifest.json")):
        try:
            manifest = json.loads(path.read_text())
        except ValueError:
            continue  # being written; `missing` need not name it, as the training that needs it cannot have begun
        found.append({"name": path.parent.name, **{k: manifest.get(k) for k in ("read", "kept", "rejected")}})
    return found


def _missing(folder: Path, stages: Sequence[Stage], trainings: Sequence[Training]) -> list[str]:
    """What an experiment does not have (yet), in words."""
    found = [f"the evaluation {s.label} is not finished: {len(s.items)} items so far" for s in stages if not s.finished]
    if (folder / RUN).exists() or (folder / LOG).exists() or not ((folder / "eval").is_dir() or trainings):
        return found
    have = {s.name for s in stages}
    found += [f"there is no evaluation of {LABELS[name]}" for name in LABELS if name not in have]
    logs = {t.name for t in trainings}
    return found + [f"there is no log of {LABELS[name]}" for name in ("sft", "grpo") if name not in logs]


# --- the table and its sentences -------------------------------------------------------------------------------------


def same_questions(stages: Sequence[Stage]) -> bool:
    """Whether all were asked the same benchmark, so that they can stand beside each other."""
    return len({(s.run["benchmark"], s.run["version"], s.run["prompt_hash"]) for s in stages}) == 1


def _rows(stages: Sequence[Stage]) -> list[dict[str, Any]]:
    """The metrics, one row each, with a cell for every stage."""
    if not stages:
        return []
    marks: dict[str, tuple[str, float | None]] = {}
    if same_questions(stages):
        baselines = stages[-1].metrics["baselines"]
        marks["answer_accuracy"] = ("constant answer", baselines["constant_answer"])
        marks["hiou"] = ("whole image", baselines["whole_image_hiou"])
    rows = [
        {
            "title": tables.title(name),
            "lower": name in LOWER_IS_BETTER,
            "mark": marks.get(name, ("", None)),
            "cells": [s.metrics[name] for s in stages],
            "counts": [_on(s.metrics["counts"][name], s.metrics) for s in stages],
        }
        for name in HEADLINE
    ]
    empty = {"value": None, "low": None, "high": None}
    for name in dict.fromkeys(r for s in stages for r in s.metrics["rewards"]):
        cells = [s.metrics["rewards"].get(name, empty) for s in stages]
        rows.append(
            {
                "title": f"reward: {name}",
                "lower": False,
                "mark": ("", None),
                "cells": cells,
                "counts": [""] * len(cells),
            }
        )
    return rows


def _on(count: int, metrics: Mapping[str, Any]) -> str:
    """On how many items a metric rests, where that is not all that were answered."""
    answered = metrics["n"] - metrics["n_failed"]
    return "" if count == answered else f"on {count} of {answered} items"


def _changes(stages: Sequence[Stage]) -> list[dict[str, Any]]:
    """Paired differences of every stage to the one before; `refused` says why there are none."""
    found = []
    for before, after in pairwise(stages):
        change: dict[str, Any] = {"from": before.label, "to": after.label, "refused": "", "rows": []}
        try:
            result = compare(before.folder, after.folder)
        except InputError as error:
            change["refused"] = str(error)
        else:
            change["n"] = result["n"]
            named = [(name, tables.title(name), result[name]) for name in HEADLINE]
            named += [(name, f"reward: {name}", one) for name, one in result["rewards"].items()]
            change["rows"] = [{"title": t, "verdict": _verdict(name, one), **one} for name, t, one in named]
        found.append(change)
    return found


def _verdict(name: str, change: Mapping[str, Any]) -> str:
    """better, worse, or unclear where the interval of the difference holds 0; "" where nothing was measured."""
    low, high = change["difference"]["low"], change["difference"]["high"]
    if low is None or high is None:
        return ""
    if low <= 0 <= high:
        return "same" if low == high == 0 else "unclear"
    return "better" if (low > 0) != (name in LOWER_IS_BETTER) else "worse"


def _findings(stages: Sequence[Stage], changes: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Plain sentences about the results, each with its verdict."""
    found = []
    for change in changes:
        if change["refused"]:
            found.append({"verdict": "", "text": f"{change['to']} is not compared: {change['refused']}"})
        for row in change["rows"][: len(HEADLINE)]:
            how = {
                "better": "better",
                "worse": "worse",
                "unclear": "no clear change",
                "same": "no change at all",
                "": "not measured on the same items",
            }[row["verdict"]]
            difference = tables.interval(row["difference"], with_sign=True)
            text = f"{change['to']} against {change['from']}, {row['title']}: {how}"
            found.append({"verdict": row["verdict"], "text": text + (f", {difference}." if row["verdict"] else ".")})
    for stage in stages[-1:]:
        accuracy, constant = stage.metrics["answer_accuracy"], stage.metrics["baselines"]["constant_answer"]
        if accuracy["value"] is not None and constant is not None:
            above, below = accuracy["low"] > constant, accuracy["high"] < constant
            how = "better than" if above else "worse than" if below else "not clearly different from"
            text = f"{stage.label} answers {how} the best constant answer of each task"
            text += f", chosen in hindsight ({constant:.3f})."
            found.append({"verdict": "better" if above else "worse" if below else "unclear", "text": text})
    return found


def _tasks(stages: Sequence[Stage]) -> list[dict[str, Any]]:
    """Accuracy by task, one cell a stage."""
    names = list(dict.fromkeys(task for s in stages for task in s.metrics["tasks"]))
    if len(names) < 2:
        return []
    blank = {"n": 0, "answer_accuracy": {"value": None, "low": None, "high": None}, "constant_answer": None}
    rows = [[s.metrics["tasks"].get(name, blank) for s in stages] for name in names]
    return [
        {
            "name": name.replace("_", " ") or "–",
            "n": max(cell["n"] for cell in cells),
            "constant": cells[-1]["constant_answer"],
            "cells": [cell["answer_accuracy"] for cell in cells],
        }
        for name, cells in zip(names, rows, strict=True)
    ]


# --- curves and examples ---------------------------------------------------------------------------------------------

_REWARD = re.compile(r"rewards/(.+?)(?:_reward)?/mean$")

_HELD_OUT = {"eval_accuracy": "answer accuracy", "eval_hiou": "focus (HIoU)", "eval_valid_rate": "valid traces"}

_CHARTS = {
    "held_depth": ("Depth error on held-out samples", ("eval_depth_error",)),
    "loss": ("Loss", ("loss",)),
    "accuracy": ("Token accuracy", ("mean_token_accuracy",)),
    "reward": ("Reward, sum", ("reward",)),
    "first": ("HIoU of the first area", ("first_box_hiou",)),
    "length": ("Length of the replies, tokens", ("completions/mean_length",)),
    "spread": ("Share of groups without spread of rewards", ("frac_reward_zero_std",)),
    "kl": ("KL to the reference model", ("kl",)),
    "entropy": ("Entropy of the tokens", ("entropy",)),
    "norm": ("Norm of the gradient", ("grad_norm",)),
}


def _charts(training: Training) -> list[Chart]:
    """The curves of a training as SVG; one chart holds all rewards."""
    keys = list(dict.fromkeys(key for row in training.log for key in row))
    charts = []
    rewards = [_series(training, key, match[1]) for key in keys if (match := _REWARD.match(key))]
    if rewards := [one for one in rewards if one.values]:
        inside = all(-0.01 <= v <= 1.01 for one in rewards for v in one.values)
        charts.append(line_chart(f"{training.label}: mean of each reward", rewards, unit_range=inside))
    held = [_series(training, key, label) for key, label in _HELD_OUT.items() if key in keys]
    if held := [one for one in held if one.values]:
        charts.append(line_chart(f"{training.label}: held-out samples, greedy", held, unit_range=True))
    for title, wanted in _CHARTS.values():
        series = [_series(training, key, title) for key in wanted if key in keys]
        if series := [one for one in series if one.values]:
            charts.append(line_chart(f"{training.label}: {title}", series))
    return charts


def _series(training: Training, key: str, label: str) -> Series:
    points = [(row["step"], row[key]) for row in training.log if isinstance(row.get(key), (int, float))]
    return Series(label, [step for step, _ in points], [value for _, value in points])


def _examples(stages: Sequence[Stage]) -> list[dict[str, Any]]:
    """The same items for every stage: the first that the last stage answers right, and the first that it does not."""
    if not stages:
        return []
    last = [i for i in stages[-1].items if i.get("pictures")]
    right = [i for i in last if i["value"] == 1]
    other = [i for i in last if i["value"] != 1]
    half = SHOWN // 2
    chosen = right[: max(half, SHOWN - len(other))] + other[: max(half, SHOWN - len(right))]
    by_id = [{i["item_id"]: i for i in stage.items} for stage in stages]
    return [
        {
            "question": item["question"],
            "choices": item["choices"],
            "gold": item["gold"],
            "task": item["task"].replace("_", " "),
            "id": item["item_id"],
            "figures": [_figure(stage, items.get(item["item_id"])) for stage, items in zip(stages, by_id, strict=True)],
        }
        for item in chosen
    ]


def _figure(stage: Stage, item: Item | None) -> Figure | None:
    return None if item is None else figure_of_item(item, stage.folder)

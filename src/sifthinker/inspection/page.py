"""The page of a data set: what the survey found, and rows drawn step by step. The look lives in `templates/`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import InputError
from ..figures import Figure, environment, figure_of
from ..records import Row, from_row, rows_at
from ..trace import Trace
from .survey import Survey

PAIRS = 12
"""Pairs of near photos that are named in the page."""


def page(found: Survey, result: dict[str, Any], rows: int, seed: int) -> str:
    """The page as HTML. result: of `inspect`. rows: as many are drawn, chosen by `seed`, in the order of the set."""
    count = min(rows, found.rows)
    numbers = sorted(np.random.default_rng(seed).choice(found.rows, count, replace=False).tolist())
    examples = [_example(row, f"r{n}") for n, row in zip(numbers, rows_at(found.folder, numbers), strict=True)]
    figures = [example["figure"] for example in examples if example["figure"]]
    return (
        environment()
        .get_template("inspect.html")
        .render(
            name=found.folder.resolve().name,
            found=result,
            bars=[
                ("Steps of a trace", _bars(result["steps"])),
                ("Words of a trace", _bars(_binned(result["words"]))),
                ("Gold boxes of a row", _bars(result["boxes"])),
                ("Side of a gold box (square root of its share of the photo)", _bars(_unit(result["box_side"]))),
                ("Depth of gold boxes (0 nearest, 1 farthest)", _bars(_unit(result["gold_depth"]))),
            ],
            centers=_shares(result["box_centers"]),
            examples=examples,
            pictures=[p for figure in figures for p in figure.pictures],
            seed=seed,
            pairs=PAIRS,
        )
    )


def _example(row: Row, key: str) -> dict[str, Any]:
    """What is shown of a row; without a figure, and with the reason, where its pictures cannot be decoded."""
    named = {name: row[name] for name in ("id", "source", "task", "question", "answer", "choices", "annotator")}
    try:
        sample, trace = from_row(row)
    except InputError as error:
        return {**named, "figure": None, "why": str(error)}
    figure: Figure = figure_of(sample, trace or Trace((), sample.answer), key=key)
    return {**named, "figure": figure, "why": ""}


def _bars(counts: dict[Any, int]) -> list[tuple[str, int, float]]:
    """(label, count, share of the longest bar)."""
    longest = max(counts.values(), default=0) or 1
    return [(str(label), n, n / longest) for label, n in counts.items()]


def _unit(counts: Sequence[int]) -> dict[str, int]:
    """A histogram over [0, 1], named by the lower edges."""
    return {f"{i / len(counts):.2f}": n for i, n in enumerate(counts)}


def _binned(counts: dict[int, int], bins: int = 12) -> dict[str, int]:
    """Counts of whole numbers in ranges of equal width."""
    if len(counts) <= bins:
        return {str(value): n for value, n in counts.items()}
    first = min(counts)
    width = -(-(max(counts) + 1 - first) // bins)
    found = {f"{low}-{low + width - 1}": 0 for low in range(first, max(counts) + 1, width)}
    names = list(found)
    for value, n in counts.items():
        found[names[(value - first) // width]] += n
    return found


def _shares(grid: Sequence[Sequence[int]]) -> list[list[float]]:
    total = sum(map(sum, grid)) or 1
    return [[n / total for n in row] for row in grid]

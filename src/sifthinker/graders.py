"""Graders of answers that are neither a choice, a word nor a plain number: the table `GRADERS`.

A sample names its grader in `meta["grader"]` and what the grader must know in `meta["given"]`; `grading.grade` calls it
with what the rules of the sample's answer kind extracted. To add one: a function, a line in the table, a test.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .answers import Extraction
from .bfov import parse_bfov
from .floormap import map_score, parse_map
from .lookup import lookup
from .mra import FORMS
from .normalize import quantities

Given = Mapping[str, Any]
Grader = Callable[[Extraction, str, Given], float]
"""(what was extracted, gold answer, what the question gives) -> value in [0, 1]. Must not raise on any extraction."""


def ratio(found: Extraction, gold: str, given: Given) -> float:
    """1.0 where the larger of value and truth is less than `given["delta"]` (2) times the smaller; both positive.

    Source: Q-Spatial Bench (arXiv 2409.09788), max(p / t, t / p) < delta.
    """
    truth = quantities(gold)[0].value
    if not isinstance(found.value, float) or found.value <= 0 or truth <= 0:
        return 0.0
    return float(max(found.value / truth, truth / found.value) < given.get("delta", 2.0))


def within(found: Extraction, gold: str, given: Given) -> float:
    """1.0 where a number is at most `given["tolerance"]` from the truth, in the unit of the question."""
    truth = quantities(gold)[0].value
    if not isinstance(found.value, float):
        return 0.0
    return float(abs(found.value - truth) <= given["tolerance"] + 1e-9)


def bfov_iou(found: Extraction, gold: str, given: Given) -> float:
    """Overlap of two fields of a panorama, in degrees x degrees; on the sphere where `given["sphere"]` says so.

    Source: PanoSpace-Bench (arXiv 2605.13169); areas on the sphere are ours. An impossible field earns 0.0.
    """
    field, truth = parse_bfov(found.text), parse_bfov(gold)
    if field is None or truth is None:
        return 0.0
    return field.iou(truth, bool(given.get("sphere", False)))


def floor_map(found: Extraction, gold: str, given: Given) -> float:
    """How good a map of the floor is (`floormap.map_score`); a text without a whole map earns 0.0."""
    floor, truth = parse_map(found.text), parse_map(gold)
    return 0.0 if floor is None or truth is None else map_score(floor, truth)


def mra(found: Extraction, gold: str, given: Given) -> float:
    """Mean relative accuracy of a number in the form `given["form"]`, a key of `mra.FORMS`."""
    form = lookup("form of mean relative accuracy", given["form"], FORMS)
    return form(found.value, quantities(gold)[0].value) if isinstance(found.value, float) else 0.0


GRADERS: dict[str, Grader] = {
    "ratio": ratio,
    "within": within,
    "mra": mra,
    "bfov_iou": bfov_iou,
    "floor_map": floor_map,
}

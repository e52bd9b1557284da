"""Graders of answers that are neither a choice, a word nor a plain number: the table `GRADERS`.

A sample names its grader in `meta["grader"]` and what the grader must know in `meta["given"]`; `grading.grade` calls it
with what the rules of the sample's answer kind extracted. To add one: a function, a line in the table, a test.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import Any

from .answers import Extraction
from .bfov import parse_bfov
from .floormap import map_score, parse_map
from .lookup import pick
from .mra import FORMS
from .normalize import quantities
from .places import follow, read_cell, read_letter, read_moves, read_point, read_wind, round_trip

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
    form = pick("form of mean relative accuracy", given["form"], FORMS)
    return form(found.value, quantities(gold)[0].value) if isinstance(found.value, float) else 0.0


def compass(found: Extraction, gold: str, given: Given) -> float:
    """1.0 for the same of eight winds, however it is written ("north-east", "NE")."""
    return float(read_wind(found.text) == read_wind(gold))


def letter(found: Extraction, gold: str, given: Given) -> float:
    """1.0 where the gold letter is the only one of `given["letters"]` that the answer names."""
    return float(read_letter(found.text, given["letters"]) == gold)


def cell(found: Extraction, gold: str, given: Given) -> float:
    """1.0 for the same row and column."""
    return float(read_cell(found.text) == read_cell(gold))


def near_point(found: Extraction, gold: str, given: Given) -> float:
    """1.0 where both coordinates are at most `given["tolerance"]` from the truth."""
    point, truth = read_point(found.text), read_point(gold)
    if point is None or truth is None:
        return 0.0
    return float(all(abs(p - t) <= given["tolerance"] + 1e-9 for p, t in zip(point, truth, strict=True)))


def azimuth(found: Extraction, gold: str, given: Given) -> float:
    """1.0 where an angle in degrees is at most `given["tolerance"]` from the truth, the short way around."""
    angles = quantities(found.text)
    if len(angles) != 1:
        return 0.0
    gap = abs(angles[0].value - quantities(gold)[0].value) % 360
    return float(min(gap, 360 - gap) <= given["tolerance"] + 1e-9)


def moves(found: Extraction, gold: str, given: Given) -> float:
    """1.0 for moves that lead from `given["start"]` to `given["goal"]` on the map `given["rows"]`, as few as gold's."""
    ways, best = read_moves(found.text), read_moves(gold)
    if ways is None or best is None or len(ways) != len(best):
        return 0.0
    return float(follow(given["rows"], given["start"], ways) == tuple(given["goal"]))


def tour(found: Extraction, gold: str, given: Given) -> float:
    """1.0 for a round trip through all of `given["cities"]` (name -> place) that is no longer than gold's."""
    length, best = round_trip(found.text, given["cities"]), round_trip(gold, given["cities"])
    return 0.0 if length is None or best is None else float(length <= best * (1 + 1e-9))


def centerness(found: Extraction, gold: str, given: Given) -> float:
    """How central a point "(x, y)" is in `given["box"]`: 1.0 in its middle, 0.0 on its border and outside.

    sqrt(min(l, r) / max(l, r) * min(t, b) / max(t, b)) of the distances to the four sides. Source: SURDS.
    """
    point, (x0, y0, x1, y1) = read_point(found.text), given["box"]
    if point is None:
        return 0.0
    sides = ((point[0] - x0, x1 - point[0]), (point[1] - y0, y1 - point[1]))
    if min(map(min, sides)) <= 0:
        return 0.0
    return float(prod(min(side) / max(side) for side in sides) ** 0.5)


GRADERS: dict[str, Grader] = {
    "ratio": ratio,
    "within": within,
    "mra": mra,
    "bfov_iou": bfov_iou,
    "floor_map": floor_map,
    "compass": compass,
    "letter": letter,
    "cell": cell,
    "near_point": near_point,
    "centerness": centerness,
    "azimuth": azimuth,
    "moves": moves,
    "tour": tour,
}

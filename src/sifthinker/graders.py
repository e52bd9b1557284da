"""Graders of answers that are neither a choice, a word nor a plain number: the table `GRADERS`.

A sample names its grader in `meta["grader"]` and what the grader must know in `meta["given"]`; `grading.grade` calls it
with what the rules of the sample's answer kind extracted. To add one: a function, a line in the table, a test.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .answers import Extraction
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


GRADERS: dict[str, Grader] = {"ratio": ratio, "within": within}

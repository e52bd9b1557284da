"""Which answer a reply gives, and whether it is right: the one grader of rewards and benchmarks.

    spec = answer_spec(sample)              what kind of answer is asked for; never looks at the gold answer
    found = extract(reply, spec)            the answer, the rule that found it and its place; or why there is none
    value = grade(found, gold, spec)        in [0, 1]

`extract` has no gold parameter; the rules it tries are in `answers`. Judging free texts by a model is
`rewards.judge`'s business.
"""

from __future__ import annotations

import re
from dataclasses import replace
from fractions import Fraction
from math import isclose

from .answers import ABSTAIN, REASONS, AnswerSpec, Extraction, Kind, options_of, read
from .errors import InputError
from .geometry import Box
from .graders import GRADERS
from .lookup import lookup
from .normalize import METRES, same_text
from .sample import Sample

__all__ = [
    "ABSTAIN",
    "REASONS",
    "VERSION",
    "AnswerSpec",
    "Extraction",
    "Kind",
    "answer_spec",
    "extract",
    "grade",
    "grade_answer",
    "mean_relative_accuracy",
]

VERSION = "1"
"""Changes whenever an extraction or a grade can change; run folders store it."""


def answer_spec(sample: Sample) -> AnswerSpec:
    """What a sample asks for: options if it has any, else `meta["answer_kind"]`, else text. Ignores gold.

    Also read from `meta`: `answer_unit`, `answer_range_mean`, `grader` and `given` (see `graders`). Raises `InputError`
    for an unknown kind, unit or grader, and for options of which two are equal.
    """
    meta = sample.meta
    if sample.choices:
        options_of(sample.choices)
        return AnswerSpec(Kind.CHOICE, sample.choices)
    name = meta.get("answer_kind") or Kind.TEXT
    if name not in list(Kind):
        raise InputError(f"sample {sample.id}: answer_kind {name!r} is not one of {', '.join(Kind)}")
    if name == Kind.CHOICE:
        raise InputError(f"sample {sample.id}: answer_kind is choice, but the sample has no choices")
    unit = meta.get("answer_unit")
    if unit is not None and unit not in METRES:
        raise InputError(f"sample {sample.id}: answer_unit {unit!r} is not one of {', '.join(METRES)}")
    grader = meta.get("grader")
    if grader is not None:
        lookup("grader", grader, GRADERS)
    return AnswerSpec(
        Kind(name),
        unit=unit,
        range_mean=bool(meta.get("answer_range_mean", False)),
        grader=grader,
        given=meta.get("given", {}),
    )


def grade_answer(answer: str | None, sample: Sample) -> float | None:
    """The grade, in [0, 1], of a trace's answer by the strict rules; None only when the sample has no gold answer."""
    if not sample.answer.strip():
        return None
    spec = answer_spec(sample)
    return grade(extract(answer or "", spec), sample.answer, spec)


def grade(extraction: Extraction, gold: str, spec: AnswerSpec) -> float:
    """How right an extraction is, in [0, 1]: 1.0 for the gold answer in other words, 0.0 for none.

    Numbers with a unit earn their mean relative accuracy, boxes their IoU; everything else is right or wrong.
    Questions that name a grader are left to it (`graders`). A gold answer that the rules cannot read is still matched
    by texts that say the same.
    """
    if same_text(extraction.text, gold):
        return 1.0
    if spec.grader is not None:
        return lookup("grader", spec.grader, GRADERS)(extraction, gold, spec.given)
    expected = read(gold.strip(), spec).value
    value = extraction.value
    if value is None or expected is None:
        return 0.0
    if isinstance(value, Box) and isinstance(expected, Box):
        iou = value.iou(expected)
        return 1.0 if isclose(iou, 1.0, rel_tol=1e-9) else iou
    if isinstance(value, float) and isinstance(expected, float):
        if spec.unit is not None:
            return mean_relative_accuracy(value, expected)
        return float(isclose(value, expected, rel_tol=1e-9))
    if spec.kind is Kind.TEXT and isinstance(value, str):
        return float(same_text(value, str(expected)))
    return float(value == expected)


def mean_relative_accuracy(value: float, gold: float) -> float:
    """Share of the thresholds 0.50, 0.55, ..., 0.95 with |value - gold| / |gold| <= 1 - threshold, exact in decimals.

    A gold of zero is matched by zero only. (`exact` in the evaluation docs.)

    >>> mean_relative_accuracy(9, 10), mean_relative_accuracy(14.5, 10)
    (0.9, 0.2)
    """
    v, g = Fraction(repr(float(value))), Fraction(repr(float(gold)))
    if g == 0:
        return float(v == 0)
    error = abs(v - g) / abs(g)
    return sum(error <= Fraction(100 - t, 100) for t in range(50, 100, 5)) / 10


# --- where to look -------------------------------------------------------------------------------------------------

_ANSWER = re.compile(r"<answer>((?:(?!</?answer>).)*)</answer>", re.DOTALL)


def extract(reply: str, spec: AnswerSpec, lenient: bool = False) -> Extraction:
    """The answer of a reply, or of an answer's text alone.

    Looks in the last complete `<answer>`, else after the last `</think>`, else everywhere. Never raises on any string.
    lenient: also try the lenient rules, after all strict ones.

    >>> spec = AnswerSpec(Kind.CHOICE, ("left", "right"))
    >>> found = extract("I looked twice. The answer is (B)", spec)
    >>> found.value, found.rule, found.span
    ('B', 'letter.phrase', (31, 32))
    """
    start, end = 0, len(reply)
    answers = list(_ANSWER.finditer(reply))
    last_open, last_think = reply.rfind("<answer>"), reply.rfind("<think>")
    done = answers[-1].end() if answers else -1
    thought = reply.rfind("</think>")
    if last_open >= max(done, 0) or last_think > max(done, thought):
        return Extraction(None, None, None, "truncated")
    if answers:
        start, end = answers[-1].span(1)
    elif thought >= 0:
        start = thought + len("</think>")
    scope = reply[start:end]
    start += len(scope) - len(scope.lstrip())
    found = read(scope.strip(), spec, lenient)
    if found.span is not None:
        found = replace(found, span=(found.span[0] + start, found.span[1] + start))
    return found

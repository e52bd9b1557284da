"""Scoring by the answer's words, with the grader that the rewards use."""

from __future__ import annotations

from ..grading import answer_spec, extract, grade
from ..sample import Sample
from ..trace import FaultKind, Trace
from .protocol import Score


def score_words(trace: Trace, sample: Sample) -> Score:
    """The trace's answer against the gold answer, by the strict rules; the lenient ones are reported beside it.

    Raises `InputError` for a sample whose question cannot be graded (see `grading.answer_spec`).

    >>> sample = Sample("s", "photo.jpg", "Which side?", answer="B", choices=("left", "right"))
    >>> score_words(Trace((), "The answer is (B)."), sample).value
    1.0
    >>> score_words(Trace((), "It may be either."), sample).why
    'no_answer'
    """
    spec = answer_spec(sample)
    if not sample.answer.strip():
        return Score(None)
    if trace.answer is None:
        cut = any(fault.kind is FaultKind.TRUNCATED for fault in trace.faults)
        return Score(0.0, "truncated" if cut else "no_answer", lenient=0.0)
    found = extract(trace.answer, spec)
    value = grade(found, sample.answer, spec)
    # A text that says the same as the gold answer is right even where no rule can read either.
    parsed = found.value is not None or value > 0
    loose = found if parsed else extract(trace.answer, spec, lenient=True)
    return Score(value, "" if parsed else found.reason or "no_answer", found, grade(loose, sample.answer, spec))

"""Answer: is the final answer right? The deterministic grader; `judge` is the optional judge of open answers."""

from __future__ import annotations

from ..grading import grade_answer
from ..sample import Sample
from ..trace import Trace


def answer_reward(trace: Trace, sample: Sample) -> float | None:
    """The grade of the answer, in [0, 1] (`grading.grade_answer`); None when the sample has no gold answer.

    The authors' code asks a language model for every reply.
    """
    return grade_answer(trace.answer, sample)

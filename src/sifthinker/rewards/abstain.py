"""Abstention: does the answer say "cannot be determined" exactly where that is so?

For questions with an option that abstains (`scenes.tasks.uncertain`). Not in `REWARDS`, as it can be negative: name
it as `sifthinker.rewards.abstain:abstention_reward`, beside `answer`. The term is ours; SpatialUncertain
(arXiv 2605.30557) publishes none. With an equal number of open and clean questions, always abstaining earns 0.5 on
average, so train on pairs and watch `scenes.consistency.abstention`.
"""

from __future__ import annotations

from ..answers import ABSTAIN, AnswerSpec, Kind, read
from ..grading import answer_spec, extract, grade
from ..sample import Sample
from ..trace import Trace

PENALTY = 1.0
"""What a wrong answer costs."""


def abstaining(sample: Sample) -> str | None:
    """The option of a sample that says that the question cannot be answered; None where there is not exactly one."""
    found = [c for c in sample.choices if read(c, AnswerSpec(Kind.TEXT)).value == ABSTAIN]
    return found[0] if len(found) == 1 else None


def abstained(answer: str | None, sample: Sample) -> bool:
    """Whether an answer takes the option that abstains, by letter, by its text or in other words."""
    option = abstaining(sample)
    value = extract(answer or "", answer_spec(sample)).value
    return value == ABSTAIN or (option is not None and value == chr(ord("A") + sample.choices.index(option)))


def abstention_reward(trace: Trace, sample: Sample) -> float | None:
    """1.0 for the right answer, 0.0 for abstaining where there is one, -`PENALTY` for a wrong one or none.

    None for samples without an option that abstains, or without a gold answer.
    """
    if abstaining(sample) is None or not sample.answer.strip():
        return None
    spec, gives_up = answer_spec(sample), abstained(trace.answer, sample)
    if gives_up:
        return 1.0 if sample.answer == abstaining(sample) else 0.0
    return 1.0 if grade(extract(trace.answer or "", spec), sample.answer, spec) == 1.0 else -PENALTY

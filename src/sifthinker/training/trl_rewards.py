"""Rewards in the shape TRL calls them: columns in, one number or None a completion out.

TRL hands every reward function the completions and all data columns as lists; ours read a reply once, as a `Trace`,
and score it against its `Sample`.
"""

from __future__ import annotations

import inspect
import math
from collections import Counter
from collections.abc import Callable, Sequence
from numbers import Real
from typing import TYPE_CHECKING, Any

from ..errors import InputError, SifError
from ..lookup import lookup, pick
from ..rewards import RELEASED, REWARDS, Reward
from ..rewards.progress import bonus
from ..sample import Sample, parse_reply
from ..trace import Trace
from .progress import ProgressStore

if TYPE_CHECKING:
    from ..rewards.judge import Judge

TrlReward = Callable[..., Any]
PROFILES = {"ours": REWARDS, "released": RELEASED}
ANSWER, PROGRESS = "answer", "progress"
JUDGE_FAILURES = "judge_failures"
"""Logged: the part of the completions whose group the judge left without a score."""


def read_replies(completions: Sequence[list[dict[str, str]]], samples: Sequence[Sample]) -> list[Trace]:
    """The traces of a batch of conversational completions."""
    return [parse_reply(c[0]["content"], s) for c, s in zip(completions, samples, strict=True)]


def build_rewards(
    names: Sequence[str], profile: str, store: ProgressStore, window: Callable[[], int], judge: Judge | None
) -> list[TrlReward]:
    """Reward functions for TRL, in the order of `names`.

    names, profile: see `find_rewards`.
    window: tells the current generation window, for the progress bonus.
    """
    found = find_rewards(names, profile)
    functions = {name: _plain(function) for name, function in found.items()}
    if ANSWER in functions:
        scorer = functions[ANSWER] = _judged(judge) if judge is not None else functions[ANSWER]
        if PROGRESS in functions:
            functions[PROGRESS] = _progress(scorer, store, window)
    for name, function in functions.items():
        function.__name__ = _short(name)
    return list(functions.values())


def find_rewards(names: Sequence[str], profile: str) -> dict[str, Reward]:
    """The functions that `names` stand for, in order; `progress`, which needs a store, stands for its bonus alone.

    names: keys of `REWARDS`, `progress`, or `module:attribute` of a function (trace, sample) -> float | None.
    profile: `ours`, or `released` for the formulas of the authors' code.
    Raises `InputError` for names that are unknown, name no function, or share the part that TRL's log shows.
    """
    table = pick("reward profile", profile, PROFILES)
    if not names:
        raise InputError("rewards: the list is empty; name one or more (see `sifthinker list rewards`)")
    if PROGRESS in names and ANSWER not in names:
        raise InputError("rewards: progress is a bonus on answer, so answer must be among the rewards")
    for short, count in Counter(map(_short, names)).items():
        if count > 1:
            alike = " and ".join(name for name in names if _short(name) == short)
            raise InputError(f"rewards: {alike} would all be logged as {short!r}; leave out or rename one")
    table = {**table, PROGRESS: table[ANSWER]}
    found = {name: lookup("reward", name, table) for name in names}
    for name, function in found.items():
        if not callable(function):
            raise InputError(
                f"reward {name!r}: expected a function (trace, sample) -> float | None, got {type(function).__name__}"
            )
    return found


def _plain(function: Reward) -> TrlReward:
    def reward(completions: Any, sample: Sequence[Sample], **_: Any) -> list[float | None]:
        traces = read_replies(completions, sample)
        return [finite(reward.__name__, function(trace, s), s) for trace, s in zip(traces, sample, strict=True)]

    return reward


def finite(name: str, value: float | None, sample: Sample) -> float | None:
    """What a reward paid; raises `SifError` for what is no number."""
    if value is not None and not (isinstance(value, Real) and math.isfinite(value)):
        raise SifError(
            f"reward {name}: returned {value!r:.80} for sample {sample.id}; expected a number, or None for no judgement"
        )
    return value


def _judged(judge: Judge) -> TrlReward:
    async def reward(
        completions: Any, sample: Sequence[Sample], log_metric: Callable[[str, float], None], **_: Any
    ) -> list[float | None]:
        scores = await judge.score(read_replies(completions, sample), sample)
        for score, s in zip(scores, sample, strict=True):
            if s.answer.strip():
                log_metric(JUDGE_FAILURES, float(score is None))
        return scores

    return reward


def _progress(scorer: TrlReward, store: ProgressStore, window: Callable[[], int]) -> TrlReward:
    def bonuses(accuracies: Sequence[float | None], samples: Sequence[Sample]) -> list[float | None]:
        now = window()
        return [
            None if a is None else bonus(a, store.previous(s.id, now)) for a, s in zip(accuracies, samples, strict=True)
        ]

    def reward(completions: Any, sample: Sequence[Sample], **more: Any) -> list[float | None]:
        return bonuses(scorer(completions, sample, **more), sample)

    async def judged(completions: Any, sample: Sequence[Sample], **more: Any) -> list[float | None]:
        return bonuses(await scorer(completions, sample, **more), sample)

    return judged if inspect.iscoroutinefunction(scorer) else reward


def _short(name: str) -> str:
    """The name in TRL's log: of user functions the part after the colon."""
    return name.rpartition(":")[2].replace(".", "_")

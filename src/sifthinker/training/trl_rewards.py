"""Rewards in the shape TRL calls them: columns in, one number or None a completion out.

TRL hands every reward function the completions and all data columns as lists; ours read a reply once, as a `Trace`,
and score it against its `Sample`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..lookup import lookup
from ..rewards import RELEASED, REWARDS
from ..rewards.progress import bonus
from ..sample import Sample, parse_reply
from ..trace import Trace
from .progress import ProgressStore

if TYPE_CHECKING:
    from ..rewards.judge import Judge

TrlReward = Callable[..., Any]
PROFILES = {"ours": REWARDS, "released": RELEASED}
ANSWER, PROGRESS = "answer", "progress"


def read_replies(completions: Sequence[list[dict[str, str]]], samples: Sequence[Sample]) -> list[Trace]:
    """The traces of a batch of conversational completions."""
    return [parse_reply(c[0]["content"], s) for c, s in zip(completions, samples, strict=True)]


def build_rewards(
    names: Sequence[str], profile: str, store: ProgressStore, window: Callable[[], int], judge: Judge | None
) -> list[TrlReward]:
    """Reward functions for TRL, in the order of `names`.

    names: keys of `REWARDS`, `progress`, or `module:attribute` of a function (trace, sample) -> float | None.
    profile: `ours`, or `released` for the formulas of the authors' code.
    window: tells the current generation window, for the progress bonus.
    """
    table = lookup("reward profile", profile, PROFILES)
    if len(set(names)) != len(names):
        raise InputError(f"rewards: a name stands twice in {list(names)}")
    if PROGRESS in names and ANSWER not in names:
        raise InputError("rewards: progress is a bonus on answer, so answer must be among the rewards")
    scorer = _judged(judge) if judge is not None else _plain(table[ANSWER])
    functions = []
    for name in names:
        if name == PROGRESS:
            functions.append(_progress(scorer, store, window))
        elif name == ANSWER:
            functions.append(_named(scorer, ANSWER))
        else:
            functions.append(_named(_plain(lookup("reward", name, table)), name))
    return functions


def _plain(function: Callable[[Trace, Sample], float | None]) -> TrlReward:
    def reward(completions: Any, sample: Sequence[Sample], **_: Any) -> list[float | None]:
        traces = read_replies(completions, sample)
        return [function(trace, s) for trace, s in zip(traces, sample, strict=True)]

    return reward


def _judged(judge: Judge) -> TrlReward:
    async def reward(completions: Any, sample: Sequence[Sample], **_: Any) -> list[float | None]:
        return await judge.score(read_replies(completions, sample), sample)

    return reward


def _progress(scorer: TrlReward, store: ProgressStore, window: Callable[[], int]) -> TrlReward:
    def bonuses(accuracies: Sequence[float | None], samples: Sequence[Sample]) -> list[float | None]:
        now = window()
        return [
            None if a is None else bonus(a, store.previous(s.id, now)) for a, s in zip(accuracies, samples, strict=True)
        ]

    def reward(completions: Any, sample: Sequence[Sample], **_: Any) -> list[float | None]:
        return bonuses(scorer(completions, sample), sample)

    async def judged(completions: Any, sample: Sequence[Sample], **_: Any) -> list[float | None]:
        return bonuses(await scorer(completions, sample), sample)

    return _named(judged if inspect.iscoroutinefunction(scorer) else reward, PROGRESS)


def _named(function: TrlReward, name: str) -> TrlReward:
    # TRL names its metrics after `__name__`; user functions keep the part after the colon.
    function.__name__ = name.rpartition(":")[2].replace(".", "_")
    return function

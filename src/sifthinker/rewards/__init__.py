"""Rewards of GRPO-SIF: plain functions (trace, sample) -> float, or None when the *sample* cannot be judged.

A reply never causes None: a wrong or broken one earns 0.0. To add a reward: one file here, one line in `REWARDS` and
in `ABOUT`, one test (`docs/rewards.md`). The judge (`judge`), the bonus (`progress`) and the ways to damage a trace
(`corruptions`) are modules of their own.
"""

from __future__ import annotations

from collections.abc import Callable

from ..sample import Sample
from ..trace import Trace
from .answer import answer_reward
from .correction import correction_released, correction_reward
from .depth import depth_released, depth_reward
from .focus import focus_released, focus_reward
from .form import form_reward

Reward = Callable[[Trace, Sample], float | None]

REWARDS: dict[str, Reward] = {
    "form": form_reward,
    "answer": answer_reward,
    "focus": focus_reward,
    "correction": correction_reward,
    "depth": depth_reward,
}
"""All in [0, 1]; the gold trace of a sample earns 1.0 from each."""

RELEASED: dict[str, Reward] = {
    "form": form_reward,
    "answer": answer_reward,
    "focus": focus_released,
    "correction": correction_released,
    "depth": depth_released,
}
"""The formulas of the authors' code, for comparisons only; `docs/rewards.md` tells where they still differ."""

ABOUT: dict[str, str] = {
    "form": "1 when the reply follows the grammar of traces",
    "answer": "grade of the final answer; a judge for open answers is optional",
    "progress": "bonus for a better answer than at the sample's previous visit",
    "focus": "hierarchical IoU of the last area with the gold boxes",
    "correction": "focus reached, minus focus lost since the first guess",
    "depth": "boxes of the last area with the depth of the map, less earlier boxes with a wrong one",
}
"""What each reward is, in one line."""

__all__ = ["ABOUT", "RELEASED", "REWARDS", "Reward"]

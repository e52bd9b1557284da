"""Dynamic sampling: groups whose completions all earn the same teach nothing, so others take their places.

The idea is DAPO's (arXiv 2503.14476, section 3.2). Every process decides by the rewards of all processes, so all
decide alike; which prompts come next follows from seed and window, so a resumed run draws the same. How rollouts are
made is the adapter's business.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator, Sequence

import torch
from torch import Tensor

SAME = 1e-6
"""Totals no further apart are the same."""


def tied(rewards: Tensor, weights: Tensor) -> Tensor:
    """Which groups have no spread, shape (processes, groups).

    rewards: by process, group, completion and function, NaN where a function cannot tell. weights: of the functions.
    A group with fewer than two completions that can be scored has no spread.
    """
    totals = (rewards * weights).nansum(dim=-1)
    unknown = rewards.isnan().all(dim=-1)
    highest = totals.masked_fill(unknown, -torch.inf).amax(dim=-1)
    lowest = totals.masked_fill(unknown, torch.inf).amin(dim=-1)
    return ~(highest - lowest > SAME)


def places(tied: Tensor, fresh: Tensor) -> Iterator[tuple[int, int, int]]:
    """Process, place and number of each group that takes a tied one's place, within its process.

    tied: of the groups there are, shape (processes, groups). fresh: of the new ones, shape (processes, new).
    """
    for process, (old, new) in enumerate(zip(tied.tolist(), fresh.tolist(), strict=True)):
        good = (number for number, tie in enumerate(new) if not tie)
        for place, number in zip((n for n, tie in enumerate(old) if tie), good, strict=False):
            yield process, place, number


def draw(ids: Sequence[str], used: Collection[str], seed: int, window: int) -> Iterator[int]:
    """Numbers of rows whose ids are not used, each once, in an order that follows from seed and window."""
    order = random.Random(f"{seed} {window}").sample(range(len(ids)), len(ids))
    return (number for number in order if ids[number] not in used)

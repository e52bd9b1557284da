"""Weights that are spread over processes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from accelerate.utils import gather_object, reduce
from torch.distributed.tensor import DTensor

from ..errors import InputError


def local(parameter: Any) -> Any:
    """The part of a parameter that this process holds, where parameters are cut over processes."""
    return parameter.to_local() if isinstance(parameter, DTensor) else parameter


def refuse_mixture(pictures: Sequence[bool]) -> None:
    """Raise `InputError` if some prompts of all processes have pictures and others not, in what is one pass of each.

    The vision tower is cut as well: a process that leaves it out would not send the others its part.
    """
    if len(set(gather_object(list(pictures)))) > 1:
        raise InputError(
            "sharded weights: questions with and without pictures in one batch would leave processes waiting for "
            "each other; train and evaluate them one after the other, or with whole weights (ddp, zero2)"
        )


class InStep:
    """A model whose weights are sharded, called in a loop that ends at another time in each process.

    Every forward pass gathers weights from all processes, so all have to make as many: those that are done help the
    others by passes over one token.
    """

    def __init__(self, model: Any, device: torch.device) -> None:
        self.model, self.device = model, device

    def __call__(self, **inputs: Any) -> Any:
        self._anyone(1)
        return self.model(**inputs)

    def finish(self) -> None:
        """Go on until no process makes a pass of its own."""
        while self._anyone(0):
            self.model(input_ids=torch.zeros((1, 1), dtype=torch.long, device=self.device), use_cache=False)

    def _anyone(self, mine: int) -> bool:
        total: Any = reduce(torch.tensor(mine, device=self.device), "sum")
        return bool(total > 0)

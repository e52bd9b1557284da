"""vLLM as the rollout's engine: what it is given, and whether it reads a prompt as the trainer does.

TRL hands vLLM token ids and pictures. A vLLM in the same process expands picture tokens itself, with pixel limits of
its own, so it gets one token for each picture; a server gets the runs, which TRL matches with the pictures' features.
Wrong expansion, limits or weights do not fail: the model just trains on completions of another prompt. So the first
generation batch of a run is compared with the model itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from ..errors import InputError
from .prompts import Prompts

PROMPTS = 2
"""Prompts that are compared, those with the most pictures."""
SAME = 0.2
"""Log-probabilities of first tokens that differ by no more than this on average are the same, also in bfloat16."""


def collapsed(ids: Sequence[int], picture: int) -> list[int]:
    """Prompt tokens with one token for each picture instead of a run of them.

    >>> collapsed([5, 9, 9, 9, 6, 9, 7], 9)
    [5, 9, 6, 9, 7]
    """
    return [token for n, token in enumerate(ids) if token != picture or n == 0 or ids[n - 1] != picture]


@torch.no_grad()
def check_agreement(
    model: Any,
    prompts: Prompts,
    read: Sequence[Sequence[int]],
    said: Sequence[Sequence[int]],
    logps: Sequence[Sequence[float]] | None,
    temperature: float,
) -> None:
    """Raise `InputError` if vLLM has read a prompt otherwise than the model does.

    read: the prompt tokens that vLLM reports for each row of `prompts`. said, logps: the tokens of each completion, and
    their log-probabilities; None where those are no plain ones (of a nucleus, say).
    """
    pictures = [0 if grid is None else len(grid) for grid in prompts.grids]
    chosen = sorted(range(len(pictures)), key=lambda n: -pictures[n])[:PROMPTS]
    rows = [row for row, n in enumerate(prompts.rows.tolist()) if n in chosen]
    for row in rows:
        ours, theirs = prompts.ids[int(prompts.rows[row])].tolist(), list(read[row])
        if ours != theirs:
            first = next((i for i, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), len(theirs))
            raise InputError(
                f"vLLM reads a prompt as {len(theirs)} tokens, the trainer as {len(ours)}; they differ from token "
                f"{first} on. Give vLLM no mm_processor_kwargs, and this run the max_pixels of the model's training"
            )
    if logps is None:
        return
    output = model(**prompts.padded(chosen, 0), **prompts.vision(chosen), logits_to_keep=1)
    known = (output.logits[:, -1].float() / temperature).log_softmax(dim=-1)
    off = [
        abs(float(known[chosen.index(int(prompts.rows[row])), said[row][0]]) - logps[row][0])
        for row in rows
        if len(said[row])
    ]
    # Also where it is nan.
    if off and not sum(off) / len(off) <= SAME:
        raise InputError(
            f"vLLM and the trainer disagree: log-probabilities of first tokens differ by {sum(off) / len(off):.2g} on "
            "average. It sees other pictures or has other weights: look at its version, its processor's settings and, "
            "for a server, at the model it serves"
        )

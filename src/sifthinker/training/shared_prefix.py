"""Log-probabilities of all completions of a prompt from one row: the prompt once, then every completion.

    row       of each prompt: all but its last token, then for each completion: that last token, the completion without
              its last
    attention the prompt sees itself, a completion sees the prompt and itself
    position  of a completion's tokens: as if it followed the prompt alone

The last prompt token predicts the first token of every completion, so each has a copy of it; the copy costs nothing,
since nobody asks what follows a completion's last token. Equal to one row for each completion but for rounding
(`tests/training/test_shared_prefix.py`); costs P + G*C tokens instead of G*(P + C), and 1/G of the pictures.

Related: Prefix Grouper (arXiv 2506.05433), which has no rotary positions in space and no pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .attention import Spans
from .prompts import Prompts


@dataclass(frozen=True, eq=False)
class Row:
    """One row with some prompts and all of their completions.

    ids, labels: shape (1, l); a label is the token that its position predicts, or -100. positions: shape (3, 1, l).
    cells: row and column of each label in the completions, in the order of `labels`.
    """

    ids: Tensor
    labels: Tensor
    positions: Tensor
    spans: Spans
    cells: tuple[Tensor, Tensor]


def lay_out(prompts: Prompts, numbers: Sequence[int], completions: Tensor, mask: Tensor, rows: Tensor) -> Row:
    """The row of the prompts `numbers` with those of the completions (b, c) that belong to them.

    mask: shape (b, c), 1 for the tokens of a completion, which begin at its first column. rows: the prompt of each.
    """
    device = completions.device
    ids, labels, positions, spans = [], [], [], []
    cell_rows, cell_columns = [], []
    lengths, starts = mask.sum(dim=1).tolist(), prompts.starts
    for n in numbers:
        prompt, where = prompts.ids[n], prompts.positions[n]
        own = [row for row in torch.nonzero(rows == n).flatten().tolist() if lengths[row]]
        spans.append((len(prompt) - 1, tuple(int(lengths[row]) for row in own)))
        ids.append(prompt[:-1])
        labels.append(torch.full((len(prompt) - 1,), -100, device=device))
        positions.append(where[:, :-1])
        for row in own:
            length = int(lengths[row])
            completion = completions[row, :length]
            ids += [prompt[-1:], completion[:-1]]
            labels.append(completion)
            after = torch.arange(starts[n], starts[n] + length - 1, device=device).expand(3, -1)
            positions += [where[:, -1:], after]
            cell_rows.append(torch.full((length,), row, device=device))
            cell_columns.append(torch.arange(length, device=device))
    empty = torch.zeros(0, dtype=torch.long, device=device)
    return Row(
        torch.cat(ids)[None],
        torch.cat(labels)[None],
        torch.cat(positions, dim=1)[:, None],
        tuple(spans),
        (torch.cat([*cell_rows, empty]), torch.cat([*cell_columns, empty])),
    )


def log_probs(
    model: Any,
    prompts: Prompts,
    rows: Tensor,
    completions: Tensor,
    mask: Tensor,
    at_once: int | None = None,
    entropy: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Log-probabilities, and entropies if asked for, of completions under a model, both of shape (b, c).

    model: with TRL's fused head, after `attention.prepare`. rows: the prompt of each completion. at_once: so many
    completions at a time, rounded up to whole groups; None: all of them. Where `mask` is 0 the result is 0.
    """
    found: dict[str, Tensor] = {}
    parts = []
    for numbers in _chunks(rows, at_once):
        row = lay_out(prompts, numbers, completions, mask, rows)
        output = model(
            input_ids=row.ids,
            position_ids=row.positions,
            spans=row.spans,
            shift_labels=row.labels,
            fused_lm_head=True,
            **prompts.vision(numbers),
        )
        parts.append((row, output))
    cells = [torch.cat([row.cells[axis] for row, _ in parts]) for axis in (0, 1)]
    for name in ("log_probs", "entropy") if entropy else ("log_probs",):
        flat = torch.cat([getattr(output, name)[row.labels != -100] for row, output in parts])
        found[name] = flat.new_zeros(completions.shape).index_put((cells[0], cells[1]), flat)
    return found["log_probs"], found.get("entropy")


def _chunks(rows: Tensor, at_once: int | None) -> list[list[int]]:
    """The prompts of all rows in their order, in chunks of so many rows, rounded up to whole groups."""
    numbers, counts = torch.unique(rows, return_counts=True)
    count_of = dict(zip(numbers.tolist(), counts.tolist(), strict=True))
    order = list(dict.fromkeys(rows.tolist()))
    chunks: list[list[int]] = [[]]
    taken = 0
    for n in order:
        if at_once is not None and taken >= at_once:
            chunks.append([])
            taken = 0
        chunks[-1].append(n)
        taken += count_of[n]
    return chunks

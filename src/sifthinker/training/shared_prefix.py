"""Log-probabilities of all completions of a prompt from one row: the prompt once, then every completion.

    row      prompt without its last token, then for each completion: that last token, the completion without its last
    mask     causal; a completion sees the prompt and itself
    position of a completion's tokens: as if it followed the prompt alone

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

from .prompts import Prompts, image_model, is_qwen_vl

PROMPT, FILL = -1, -2
"""Segments of a row beside its completions, which are numbered from 0."""


def why_not(model: Any) -> str | None:
    """Why rows of this model cannot share a prompt, or None."""
    if not is_qwen_vl(model):
        return "it is no vision-language model of the Qwen-VL kind"
    text = image_model(model).config.get_text_config()
    kinds = set(getattr(text, "layer_types", None) or ["full_attention"])
    if kinds != {"full_attention"}:
        return f"it has layers with {', '.join(sorted(kinds - {'full_attention'}))}, which look at a row as it lies"
    if getattr(text, "attention_dropout", 0.0):
        return "it drops attention at random"
    if (found := text._attn_implementation) not in ("sdpa", "eager"):
        return f"its attention ({found}) takes no mask of our own; load it with sdpa"
    return None


@dataclass(frozen=True, eq=False)
class Rows:
    """One row for each prompt of a chunk, filled up to one length.

    ids, segments, labels: shape (n, l); a label is the token that its position predicts, or -100.
    positions: shape (3, n, l). cells: row and column of each label in the completions, in the order of `labels`.
    """

    ids: Tensor
    segments: Tensor
    labels: Tensor
    positions: Tensor
    cells: tuple[Tensor, Tensor]

    def mask(self, dtype: torch.dtype, additive: bool) -> Tensor:
        """Who sees whom, shape (n, 1, l, l): booleans, or 0 and -inf (the least number) where `additive`."""
        length = self.segments.shape[1]
        earlier = torch.ones((length, length), dtype=torch.bool, device=self.ids.device).tril()
        of_query, of_key = self.segments[:, :, None], self.segments[:, None, :]
        seen = (earlier & ((of_key == PROMPT) | (of_key == of_query)))[:, None]
        if not additive:
            return seen
        return torch.zeros(seen.shape, dtype=dtype, device=seen.device).masked_fill(~seen, torch.finfo(dtype).min)


def lay_out(
    prompts: Prompts, numbers: Sequence[int], completions: Tensor, mask: Tensor, rows: Tensor, pad: int
) -> Rows:
    """Rows for the prompts `numbers` with those of the completions (b, c) that belong to them.

    mask: shape (b, c), 1 for the tokens of a completion, which begin at its first column. rows: the prompt of each.
    """
    device = completions.device
    ids, segments, labels, positions, cell_rows, cell_columns = [], [], [], [], [], []
    lengths, starts = mask.sum(dim=1).tolist(), prompts.starts
    for n in numbers:
        prompt = prompts.ids[n]
        own_ids, own_segments = [prompt[:-1]], [torch.full((len(prompt) - 1,), PROMPT, device=device)]
        own_labels = [torch.full((len(prompt) - 1,), -100, device=device)]
        own_positions = [prompts.positions[n][:, :-1]]
        for branch, row in enumerate(torch.nonzero(rows == n).flatten().tolist()):
            length = int(lengths[row])
            if not length:
                continue
            completion = completions[row, :length]
            own_ids += [prompt[-1:], completion[:-1]]
            own_segments.append(torch.full((length,), branch, device=device))
            own_labels.append(completion)
            after = torch.arange(starts[n], starts[n] + length - 1, device=device).expand(3, -1)
            own_positions += [prompts.positions[n][:, -1:], after]
            cell_rows.append(torch.full((length,), row, device=device))
            cell_columns.append(torch.arange(length, device=device))
        ids.append(torch.cat(own_ids))
        segments.append(torch.cat(own_segments))
        labels.append(torch.cat(own_labels))
        positions.append(torch.cat(own_positions, dim=1))
    empty = torch.zeros(0, dtype=torch.long, device=device)
    return Rows(
        _stacked(ids, pad),
        _stacked(segments, FILL),
        _stacked(labels, -100),
        torch.stack([_stacked([p[axis] for p in positions], 0) for axis in range(3)]),
        (torch.cat([*cell_rows, empty]), torch.cat([*cell_columns, empty])),
    )


def _stacked(rows: Sequence[Tensor], value: int) -> Tensor:
    return torch.nn.utils.rnn.pad_sequence(list(rows), batch_first=True, padding_value=value)


def log_probs(
    model: Any,
    prompts: Prompts,
    rows: Tensor,
    completions: Tensor,
    mask: Tensor,
    pad: int,
    at_once: int | None = None,
    entropy: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Log-probabilities, and entropies if asked for, of completions under a model, both of shape (b, c).

    model: with TRL's fused head. rows: the prompt of each completion. at_once: so many completions at a time, rounded
    up to whole groups; None: all of them. Where `mask` is 0 the result is 0.
    """
    found: dict[str, Tensor] = {}
    wanted = ("log_probs", "entropy") if entropy else ("log_probs",)
    text = image_model(model).config.get_text_config()
    parts = []
    for numbers in _chunks(rows, at_once):
        laid = lay_out(prompts, numbers, completions, mask, rows, pad)
        additive = text._attn_implementation == "eager"
        output = model(
            input_ids=laid.ids,
            attention_mask=laid.mask(next(model.parameters()).dtype, additive),
            position_ids=laid.positions,
            shift_labels=laid.labels,
            fused_lm_head=True,
            **prompts.vision(numbers),
        )
        parts.append((laid, output))
    for name in wanted:
        values = [getattr(output, name)[laid.labels != -100] for laid, output in parts]
        cells = [torch.cat([laid.cells[axis] for laid, _ in parts]) for axis in (0, 1)]
        flat = torch.cat(values)
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

"""The prompts of a generation batch, each once, however many completions it has: tokens, positions, pictures.

Pictures are processed once for each prompt. Where the vision tower is frozen they are encoded once as well, and the
same features serve rollout, old, reference and policy passes; else each pass encodes them once, inside of its graph.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor


@dataclass(eq=False)
class Prompts:
    """Unique prompts and the rows that they stand for.

    ids, kinds: of each prompt, without padding, shape (p,); kinds are 0 for text and 1 for pictures.
    positions: of each prompt, shape (3, p): time, height and width of multimodal rotary positions.
    pixels, grids: of each prompt's pictures, as the processor makes them, shapes (patches, channels) and (pictures, 3);
    None where it has none.
    rows: the prompt of each row of the generation batch, shape (b,).
    features: of each prompt, what the vision tower makes of its pictures; None until `encode`.
    """

    ids: tuple[Tensor, ...]
    kinds: tuple[Tensor, ...]
    positions: tuple[Tensor, ...]
    pixels: tuple[Tensor | None, ...]
    grids: tuple[Tensor | None, ...]
    rows: Tensor
    features: tuple[Any, ...] | None = field(default=None, repr=False)

    @cached_property
    def starts(self) -> list[int]:
        """The position of the first completion token after each prompt."""
        return [int(p.max()) + 1 for p in self.positions]

    def encode(self, model: Any) -> None:
        """Encode all pictures, once; for a frozen vision tower only."""
        with_pictures = [n for n, grid in enumerate(self.grids) if grid is not None]
        if not with_pictures:
            return
        with torch.no_grad():
            made = image_model(model).get_image_features(**self.pictures(with_pictures), return_dict=True)
        counts = [len(self.grids[n]) for n in with_pictures]  # type: ignore[arg-type]
        split = iter(_split(made, counts))
        self.features = tuple(None if grid is None else next(split) for grid in self.grids)

    def pictures(self, numbers: Sequence[int]) -> dict[str, Tensor]:
        """`pixel_values` and `image_grid_thw` of some prompts, in order; nothing where they have no pictures."""
        chosen = [n for n in numbers if self.grids[n] is not None]
        if not chosen:
            return {}
        return {
            "pixel_values": torch.cat([self.pixels[n] for n in chosen]),  # type: ignore[misc]
            "image_grid_thw": torch.cat([self.grids[n] for n in chosen]),  # type: ignore[misc]
        }

    def vision(self, numbers: Sequence[int]) -> dict[str, Any]:
        """What a model's `forward` takes for the pictures of some prompts, in order: features if they are there."""
        if self.features is None:
            return self.pictures(numbers)
        chosen = [self.features[n] for n in numbers if self.features[n] is not None]
        return {"mm_encoder_outputs": {"image": _joined(chosen)}} if chosen else {}

    def padded(self, numbers: Sequence[int], pad: int) -> dict[str, Tensor]:
        """`input_ids`, `attention_mask` and `position_ids` of some prompts, filled up on the left."""
        longest = max(len(self.ids[n]) for n in numbers)
        device = self.rows.device
        ids = torch.full((len(numbers), longest), pad, device=device)
        mask = torch.zeros_like(ids)
        positions = torch.zeros((3, *ids.shape), dtype=torch.long, device=device)
        for row, n in enumerate(numbers):
            length = len(self.ids[n])
            ids[row, longest - length :] = self.ids[n]
            mask[row, longest - length :] = 1
            positions[:, row, longest - length :] = self.positions[n]
        return {"input_ids": ids, "attention_mask": mask, "position_ids": positions}


def image_model(model: Any) -> Any:
    """The part of a (wrapped) vision-language model that has the vision tower and counts positions."""
    while not hasattr(model, "get_rope_index"):
        model = next((part for name in ("module", "base_model", "model") if (part := getattr(model, name, None))), None)
        if model is None:
            raise TypeError("this is no vision-language model of the Qwen-VL kind")
    return model


def is_qwen_vl(model: Any) -> bool:
    """Whether `image_model` knows the model."""
    try:
        image_model(model)
    except TypeError:
        return False
    return True


def unique_prompts(
    model: Any, rows: Sequence[int], ids: Sequence[Sequence[int]], fields: Mapping[str, Any], pictures: Sequence[int]
) -> Prompts:
    """Prompts from what a processor makes of them, on the device of `model`.

    rows: the prompt of each row. ids: of each prompt. fields: the processor's other outputs for all prompts together.
    pictures: the number of pictures of each prompt.
    """
    inner = image_model(model)
    device = next(inner.parameters()).device
    tokens = tuple(torch.tensor(list(one), device=device) for one in ids)
    given = fields.get("mm_token_type_ids")
    kinds = tuple(
        torch.zeros_like(one) if given is None else torch.as_tensor(given[n], device=device)[-len(one) :]
        for n, one in enumerate(tokens)
    )
    pixels: list[Tensor | None] = [None] * len(tokens)
    grids: list[Tensor | None] = [None] * len(tokens)
    if fields.get("pixel_values") is not None:
        grid = torch.as_tensor(fields["image_grid_thw"], device=device)
        values = torch.as_tensor(fields["pixel_values"]).to(device)
        by_prompt = grid.split(list(pictures))
        patches = [int(g.prod(-1).sum()) for g in by_prompt]
        for n, (one, part) in enumerate(zip(by_prompt, values.split(patches), strict=True)):
            if len(one):
                grids[n], pixels[n] = one, part
    positions = tuple(_positions(inner, one, kind, grid) for one, kind, grid in zip(tokens, kinds, grids, strict=True))
    return Prompts(tokens, kinds, positions, tuple(pixels), tuple(grids), torch.tensor(list(rows), device=device))


def _positions(inner: Any, ids: Tensor, kinds: Tensor, grid: Tensor | None) -> Tensor:
    if grid is None:
        return torch.arange(len(ids), device=ids.device).expand(3, -1)
    found, _ = inner.get_rope_index(ids[None], mm_token_type_ids=kinds[None], image_grid_thw=grid)
    return found[:, 0]


def _split(made: Any, counts: Sequence[int]) -> list[SimpleNamespace]:
    """The features of all pictures, by prompts."""
    ends = torch.tensor(counts).cumsum(0).tolist()
    deep = getattr(made, "deepstack_features", None)
    return [
        SimpleNamespace(
            pooler_output=made.pooler_output[end - count : end],
            deepstack_features=None if deep is None else [layer[end - count : end] for layer in deep],
        )
        for end, count in zip(ends, counts, strict=True)
    ]


def _joined(parts: Sequence[Any]) -> SimpleNamespace:
    """The features of several prompts, as a model's `forward` takes them."""
    deep = parts[0].deepstack_features
    return SimpleNamespace(
        pooler_output=[one for part in parts for one in part.pooler_output],
        deepstack_features=deep
        and [[one for part in parts for one in part.deepstack_features[n]] for n in range(len(deep))],
    )

"""Attention of a vision tower over pictures of one size, as one batch.

Without flash attention, transformers goes through the pictures of a batch one by one in every layer. Where all are of
one size, as training makes them, the same products are one product: `batch_pictures` asks for that through
transformers' registry. Pictures of different sizes go one by one as before.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

from .prompts import image_model, is_qwen_vl


def batch_pictures(model: Any) -> None:
    """Let the vision tower of a Qwen-VL model take pictures of one size at once; of other models, do nothing.

    What is computed stays the same. May be called again.
    """
    if not is_qwen_vl(model):
        return
    tower = image_model(model).visual
    if (kind := tower.config._attn_implementation) not in KINDS:
        return  # flash attention takes pictures of all sizes at once
    tower.set_attn_implementation(_name(kind))
    for module in tower.modules():
        if hasattr(module, "qkv"):
            module.register_forward_pre_hook(_together, with_kwargs=True)


def _name(kind: str) -> str:
    return f"sifthinker_pictures_{kind}"


def _together(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Say that pictures (or windows) of one length are one piece, and how many."""
    ends = kwargs["cu_seqlens"]
    lengths = ends.diff()
    if len(lengths) > 1 and bool((lengths == lengths[0]).all()):
        kwargs = {**kwargs, "cu_seqlens": ends[[0, -1]], "pictures": len(lengths)}
    return args, kwargs


def _eager(query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
    weights = torch.softmax(query @ key.transpose(2, 3) * scale, dim=-1, dtype=torch.float32)
    return weights.to(query.dtype) @ value


def _sdpa(query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
    return scaled_dot_product_attention(query, key, value, scale=scale)


def _attention(
    attend: Any, module: Any, query: Tensor, key: Tensor, value: Tensor, *_: Any, pictures: int = 1, **__: Any
) -> tuple[Tensor, None]:
    """query, key, value: shape (1, heads, n, d), of all pictures one after the other. Gives (1, n, heads, d)."""
    query, key, value = (x[0].unflatten(1, (pictures, -1)).transpose(0, 1) for x in (query, key, value))
    return attend(query, key, value, module.scaling).transpose(1, 2).flatten(0, 1)[None], None


KINDS = {"eager": _eager, "sdpa": _sdpa}
"""By transformers' names for what computes attention."""

for _kind, _attend in KINDS.items():
    AttentionInterface.register(_name(_kind), partial(_attention, _attend))

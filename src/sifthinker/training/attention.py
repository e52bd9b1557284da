"""Attention of completions that share a prompt: `attend` for whole rows with gradients, `attend_next` for decoding.

Both are exact, and neither makes a mask over a row or a copy of the prompt for each completion. They are reached
through transformers' registry: `prepare` names them in the language model's config, and a forward pass with `spans` or
`branches` takes them; every other pass is SDPA as before.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.attention.bias import causal_lower_right
from torch.nn.functional import scaled_dot_product_attention
from torch.nn.utils.rnn import pad_sequence
from transformers import AttentionInterface, AttentionMaskInterface, DynamicCache
from transformers.cache_utils import DynamicLayer
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from .prompts import image_model, is_qwen_vl

ATTENTION = "sifthinker_shared"

Spans = tuple[tuple[int, tuple[int, ...]], ...]
"""Of each prompt of a row in turn: the length of what is shared, and the lengths of its completions."""


def why_not(model: Any) -> str | None:
    """Why completions of this model cannot share a prompt, or None."""
    if not is_qwen_vl(model):
        return "it is no vision-language model of the Qwen-VL kind"
    text = image_model(model).config.get_text_config()
    kinds = set(getattr(text, "layer_types", None) or ["full_attention"])
    if kinds != {"full_attention"}:
        return f"it has layers with {', '.join(sorted(kinds - {'full_attention'}))}, which look at a row as it lies"
    if getattr(text, "attention_dropout", 0.0):
        return "it drops attention at random"
    if (found := text._attn_implementation) not in ("sdpa", ATTENTION):
        return f"its attention is {found}; load it with sdpa"
    return None


def prepare(model: Any) -> None:
    """Let the language model's layers share prompts; all else is computed as before. May be called again."""
    text = image_model(model).language_model
    if text.config._attn_implementation != ATTENTION:
        text.set_attn_implementation(ATTENTION)


def attend(query: Tensor, key: Tensor, value: Tensor, spans: Spans, scale: float) -> Tensor:
    """Attention in a row that holds prompts, each followed by its completions.

    A prompt is causal attention. Its completions are a batch whose keys are the prompt's and their own, causal from
    the lower right. Both are what the usual kernels do.

    query: shape (1, heads, l, d). key, value: the same, with heads or a divisor of that. Returns (1, l, heads, d).
    """
    groups = query.shape[1] // key.shape[1]
    # Tokens first, so that completions can be split off: (l, heads, d).
    q, k, v = (x[0].transpose(0, 1) for x in (query, key, value))
    if groups > 1:
        k, v = k.repeat_interleave(groups, dim=1), v.repeat_interleave(groups, dim=1)
    made, start = [], 0
    for shared, lengths in spans:
        end = start + shared
        if shared:
            before = [x[None, start:end].transpose(1, 2) for x in (q, k, v)]
            seen = scaled_dot_product_attention(before[0], before[1], before[2], is_causal=True, scale=scale)
            made.append(seen[0].transpose(0, 1))
        start = end + sum(lengths)
        if not lengths:
            continue
        # What fills up short completions comes after their last token, so they do not see it.
        branch = [pad_sequence(list(x[end:start].split(lengths)), batch_first=True) for x in (q, k, v)]
        prompt = [x[None, end - shared : end].expand(len(lengths), -1, -1, -1) for x in (k, v)]
        keys, values = (torch.cat(pair, dim=1).transpose(1, 2) for pair in zip(prompt, branch[1:], strict=True))
        bias = causal_lower_right(max(lengths), shared + max(lengths))
        seen = scaled_dot_product_attention(branch[0].transpose(1, 2), keys, values, attn_mask=bias, scale=scale)
        made += [one[:, :length].transpose(0, 1) for one, length in zip(seen, lengths, strict=True)]
    return torch.cat(made)[None]


class _Branch(DynamicLayer):
    """One layer's keys and values: of the prompts, each once, and of the completions, in room that is there already.

    shared_keys, shared_values: shape (n, heads, p, d). room: keys and values of completions, shape
    (2, n * g, heads, c, d), of which `length` tokens are there.
    """

    def __init__(self, layer: Any, rows: int, room: int) -> None:
        super().__init__()
        self.lazy_initialization(layer.keys, layer.values)
        self.shared_keys, self.shared_values = layer.keys, layer.values
        _, heads, _, width = layer.keys.shape
        self.room, self.length = layer.keys.new_empty((2, rows, heads, room, width)), 0

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        self.room[0, :, :, self.length], self.room[1, :, :, self.length] = key_states[:, :, 0], value_states[:, :, 0]
        self.length += 1
        keys, values = self.room[:, :, :, : self.length]
        self.keys, self.values = keys, values
        return keys, values

    def keep(self, prompts: Tensor, rows: Tensor) -> None:
        self.shared_keys, self.shared_values = self.shared_keys[prompts], self.shared_values[prompts]
        self.room = self.room[:, rows]


class Branches(DynamicCache):
    """The cache of n prompts, each once, and of g completions of each, which lie one prompt after another."""

    def __init__(self, read: DynamicCache, padding: Tensor, group: int, room: int) -> None:
        """read: the cache of the prompts, filled up on the left. padding: shape (n, p), where it is filled up.

        room: the most tokens of a completion.
        """
        super().__init__()
        self.layers = [_Branch(layer, len(padding) * group, room) for layer in read.layers]
        self.padding = padding if bool(padding.any()) else None

    def keep(self, prompts: Tensor, rows: Tensor) -> None:
        """Go on with some prompts, and with some completions of them, the same number of each."""
        for layer in self.layers:
            assert isinstance(layer, _Branch)
            layer.keep(prompts, rows)
        if self.padding is not None:
            self.padding = self.padding[prompts]


def attend_next(query: Tensor, key: Tensor, value: Tensor, cache: Branches, layer: int, scale: float) -> Tensor:
    """Attention of the newest token of each completion to its prompt and to itself.

    query: shape (n * g, heads, 1, d). key, value: of the completions so far, (n * g, heads or a divisor, t, d).
    Returns (n * g, 1, heads, d).
    """
    known = cache.layers[layer]
    assert isinstance(known, _Branch)
    (rows, heads, _, width), count = query.shape, key.shape[1]
    prompts = len(known.shared_keys)
    # (n, g, key heads, query heads of a key head, d): all completions of a prompt are one multiplication.
    q = query.reshape(prompts, -1, count, heads // count, width)
    together = q.transpose(1, 2).flatten(2, 3)
    to_prompt = together @ known.shared_keys.transpose(2, 3)
    if cache.padding is not None:
        to_prompt = to_prompt.masked_fill(cache.padding[:, None, None], -torch.inf)
    to_prompt = to_prompt.unflatten(2, (q.shape[1], -1)).transpose(1, 2).flatten(0, 1)
    to_self = q.flatten(0, 1) @ key.transpose(2, 3)
    weights = (torch.cat([to_prompt, to_self], dim=-1) * scale).softmax(dim=-1, dtype=torch.float32).to(query.dtype)
    on_prompt, on_self = weights.split([to_prompt.shape[-1], to_self.shape[-1]], dim=-1)
    on_prompt = on_prompt.unflatten(0, (prompts, -1)).transpose(1, 2).flatten(2, 3) @ known.shared_values
    seen = on_prompt.unflatten(2, (q.shape[1], -1)).transpose(1, 2).flatten(0, 1) + on_self @ value
    return seen.reshape(rows, 1, heads, width)


def _attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    spans: Spans | None = None,
    branches: Branches | None = None,
    **more: Any,
) -> tuple[Tensor, None]:
    if spans is not None:
        # Under autocast, rotary positions have made queries and keys float32.
        return attend(query.to(value.dtype), key.to(value.dtype), value, spans, module.scaling), None
    if branches is not None:
        return attend_next(query, key, value, branches, module.layer_idx, module.scaling), None
    return sdpa_attention_forward(module, query, key, value, mask, **more)


AttentionInterface.register(ATTENTION, _attention)
AttentionMaskInterface.register(ATTENTION, sdpa_mask)

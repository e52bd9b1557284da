"""Completions of a generation batch without vLLM: every prompt is read once, its cache serves all its completions.

Decoding goes in lock-step. Rows that have ended leave the batch when a quarter of it has, since leaving copies the
cache.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import (
    DynamicCache,
    GenerationConfig,
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    SuppressTokensLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from .prompts import Prompts

LEAVE = 0.25
"""Rows that have ended leave the batch when they are this part of it."""

KNOWN = frozenset(
    {
        "max_new_tokens", "do_sample", "pad_token_id", "bos_token_id", "eos_token_id", "temperature", "top_p", "top_k",
        "min_p", "repetition_penalty", "suppress_tokens", "cache_implementation", "disable_compile",
    }
)  # fmt: skip
"""Fields of a `GenerationConfig` that are understood here."""


def unknown_fields(config: GenerationConfig) -> list[str]:
    """Fields that are set and would be ignored here, so that the model's own `generate` has to be used."""
    given = config.to_diff_dict()
    return sorted(k for k, v in given.items() if v is not None and k not in KNOWN and not k.startswith(("_", "transf")))


def processors(config: GenerationConfig, device: torch.device) -> LogitsProcessorList:
    """What changes scores before a token is drawn, in the order of transformers' `generate`."""
    made = LogitsProcessorList()
    if config.repetition_penalty not in (None, 1.0):
        made.append(RepetitionPenaltyLogitsProcessor(config.repetition_penalty))
    if config.suppress_tokens:
        made.append(SuppressTokensLogitsProcessor(config.suppress_tokens, device=str(device)))
    if config.do_sample:
        if config.temperature not in (None, 1.0):
            made.append(TemperatureLogitsWarper(float(config.temperature)))
        if config.top_k:
            made.append(TopKLogitsWarper(config.top_k))
        if config.top_p is not None and config.top_p < 1.0:
            made.append(TopPLogitsWarper(config.top_p))
        if config.min_p is not None:
            made.append(MinPLogitsWarper(config.min_p))
    return made


@torch.no_grad()
def complete(model: Any, prompts: Prompts, config: GenerationConfig) -> list[list[int]]:
    """The tokens of one completion for each row of `prompts`, with its end token where it ended by itself."""
    device, rows = prompts.rows.device, prompts.rows
    numbers, pad = list(range(len(prompts.ids))), int(config.pad_token_id or 0)
    ends = torch.tensor(config.eos_token_id, device=device).flatten()
    change = processors(config, device)
    given = prompts.padded(numbers, pad)
    read = model(**given, **prompts.vision(numbers), past_key_values=DynamicCache(), use_cache=True, logits_to_keep=1)
    cache = read.past_key_values
    cache.batch_select_indices(rows)
    scores, mask, said = read.logits[rows, -1], given["attention_mask"][rows], given["input_ids"][rows]
    position = torch.tensor(prompts.starts, device=device)[rows]
    alive = torch.arange(len(rows), device=device)
    done = torch.zeros(len(rows), dtype=torch.bool, device=device)
    made = torch.full((len(rows), config.max_new_tokens), pad, device=device)
    lengths = torch.full((len(rows),), config.max_new_tokens, device=device)
    for step in range(config.max_new_tokens):
        token = _draw(change(said, scores.float()), bool(config.do_sample))  # type: ignore[arg-type]
        token = token.masked_fill(done, pad)
        made[alive, step] = token
        ended = torch.isin(token, ends) & ~done
        lengths[alive[ended]] = step + 1
        done |= ended
        if bool(done.all()) or step + 1 == config.max_new_tokens:
            break
        said, mask = torch.cat([said, token[:, None]], 1), torch.cat([mask, (~done).long()[:, None]], 1)
        if done.float().mean() >= LEAVE:
            stay = torch.nonzero(~done).flatten()
            cache.batch_select_indices(stay)
            alive, position, said, mask, token = alive[stay], position[stay], said[stay], mask[stay], token[stay]
            done = done[stay]
        output = model(
            input_ids=token[:, None],
            attention_mask=mask,
            position_ids=(position + step)[None, :, None].expand(3, -1, -1),
            past_key_values=cache,
            use_cache=True,
        )
        scores = output.logits[:, -1]
    return [row[:length].tolist() for row, length in zip(made, lengths.tolist(), strict=True)]


def _draw(scores: Tensor, sample: bool) -> Tensor:
    if not sample:
        return scores.argmax(dim=-1)
    return torch.multinomial(scores.softmax(dim=-1), 1).squeeze(1)


def collapsed(ids: Sequence[int], picture: int) -> list[int]:
    """Prompt tokens with one token for each picture instead of a run of them, as vLLM wants to expand them itself.

    >>> collapsed([5, 9, 9, 9, 6, 9, 7], 9)
    [5, 9, 6, 9, 7]
    """
    return [token for n, token in enumerate(ids) if token != picture or n == 0 or ids[n - 1] != picture]

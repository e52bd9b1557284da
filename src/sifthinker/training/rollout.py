"""Completions of a generation batch without vLLM: every prompt is read once, its cache serves all its completions.

Decoding goes in lock-step. Rows that have ended leave the batch when a quarter of it can, since leaving copies the
cache; every prompt keeps as many rows as the one with the most.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
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

from .attention import Branches, prepare
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


def without(tokens: Collection[int], given: Mapping[str, Any], vllm: bool) -> dict[str, Any]:
    """`generation_kwargs` with which some tokens are never sampled, beside what they ask for already.

    >>> without([9, 7], {"suppress_tokens": [3], "top_k": 5}, vllm=False)
    {'suppress_tokens': [3, 7, 9], 'top_k': 5}
    >>> without([9], {"logit_bias": {3: 1.0}}, vllm=True)
    {'logit_bias': {3: 1.0, 9: -100.0}}
    """
    if vllm:  # which has no list of tokens to suppress
        return {**given, "logit_bias": {**(given.get("logit_bias") or {}), **dict.fromkeys(sorted(tokens), -100.0)}}
    return {**given, "suppress_tokens": sorted({*tokens, *(given.get("suppress_tokens") or ())})}


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
    """The tokens of one completion for each row of `prompts`, with its end token where it ended by itself.

    model: one that `attention.why_not` has nothing against.
    """
    prepare(model)
    device, most, pad = prompts.rows.device, int(config.max_new_tokens or 0), int(config.pad_token_id or 0)
    ends = torch.tensor(config.eos_token_id, device=device).flatten()
    change = processors(config, device)
    seats = _seats(prompts.rows, len(prompts.ids))
    count, group = seats.shape
    numbers = list(range(count))
    given = prompts.padded(numbers, pad)
    read = model(**given, **prompts.vision(numbers), past_key_values=DynamicCache(), use_cache=True, logits_to_keep=1)
    cache = Branches(read.past_key_values, given["attention_mask"] == 0, group, most)
    of_prompt = torch.arange(count, device=device).repeat_interleave(group)
    scores, said = read.logits[of_prompt, -1], given["input_ids"][of_prompt]
    position = torch.tensor(prompts.starts, device=device)[of_prompt]
    row = seats.flatten()
    done = row < 0
    # One row more, for empty seats.
    made = torch.full((len(prompts.rows) + 1, most), pad, device=device)
    lengths = torch.full((len(made),), most, device=device)
    for step in range(most):
        token = _draw(change(said, scores.float()), bool(config.do_sample))  # type: ignore[arg-type]
        token = token.masked_fill(done, pad)
        made[row, step] = token
        ended = torch.isin(token, ends) & ~done
        lengths[row[ended]] = step + 1
        done |= ended
        if bool(done.all()) or step + 1 == most:
            break
        said = torch.cat([said, token[:, None]], 1)
        stay = _staying(done.view(count, group))
        if stay is not None:
            kept, rows = stay
            cache.keep(kept, rows)
            count, group = len(kept), len(rows) // len(kept)
            row, position, said, token, done = row[rows], position[rows], said[rows], token[rows], done[rows]
        output = model(
            input_ids=token[:, None],
            position_ids=(position + step)[None, :, None].expand(3, -1, -1),
            past_key_values=cache,
            branches=cache,
            use_cache=True,
        )
        scores = output.logits[:, -1]
    return [one[:length].tolist() for one, length in zip(made[:-1], lengths.tolist(), strict=False)]


def _seats(rows: Tensor, count: int) -> Tensor:
    """The rows of each prompt, shape (count, g); -1 where a prompt has fewer than g."""
    of_prompt = [torch.nonzero(rows == n).flatten() for n in range(count)]
    return torch.nn.utils.rnn.pad_sequence(of_prompt, batch_first=True, padding_value=-1)


def _staying(done: Tensor) -> tuple[Tensor, Tensor] | None:
    """The prompts and the seats that go on, as many of each prompt; None while leaving is not worth a copy.

    done: shape (n, g).
    """
    prompts = torch.nonzero(~done.all(dim=1)).flatten()
    group = int((~done).sum(dim=1).max())
    if len(prompts) * group > (1 - LEAVE) * done.numel():
        return None
    first = done[prompts].int().argsort(dim=1, stable=True)[:, :group]
    return prompts, (prompts[:, None] * done.shape[1] + first).flatten()


def _draw(scores: Tensor, sample: bool) -> Tensor:
    if not sample:
        return scores.argmax(dim=-1)
    return torch.multinomial(scores.softmax(dim=-1), 1).squeeze(1)

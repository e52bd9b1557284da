"""Attention with a shared prompt is plain attention over prompt and completion; cache and seats keep their order."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import DynamicCache

from sifthinker.training.attention import Branches, attend, attend_next
from sifthinker.training.rollout import _seats, _staying

HEADS, KEY_HEADS, WIDTH, SCALE = 4, 2, 8, 0.3


def tokens(heads: int, length: int) -> torch.Tensor:
    return torch.randn(1, heads, length, WIDTH, requires_grad=True)


def test_a_row_of_prompts_and_completions() -> None:
    torch.manual_seed(0)
    spans = ((5, (3, 1, 4)), (0, (2, 2)), (6, ()), (3, (7,)))
    length = sum(shared + sum(lengths) for shared, lengths in spans)
    q, k, v = tokens(HEADS, length), tokens(KEY_HEADS, length), tokens(KEY_HEADS, length)
    seen = torch.zeros((length, length), dtype=torch.bool)
    start = 0
    for shared, lengths in spans:
        end = start + shared
        seen[start:end, start:end] = torch.ones(shared, shared).tril().bool()
        own = end
        for one in lengths:
            seen[own : own + one, start:end] = True
            seen[own : own + one, own : own + one] = torch.ones(one, one).tril().bool()
            own += one
        start = own
    ours = attend(q, k, v, spans, SCALE)
    plain = scaled_dot_product_attention(q, k, v, attn_mask=seen, scale=SCALE, enable_gqa=True).transpose(1, 2)
    torch.testing.assert_close(ours, plain, rtol=0, atol=1e-6)
    weight = torch.randn_like(ours)
    for mine, theirs in zip(
        torch.autograd.grad((ours * weight).sum(), (q, k, v)),
        torch.autograd.grad((plain * weight).sum(), (q, k, v)),
        strict=True,
    ):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=2e-6)


@pytest.mark.parametrize("padded", [False, True])
def test_decoding_step_by_step(padded: bool) -> None:
    torch.manual_seed(1)
    prompts, group, length = 3, 4, 6
    read = DynamicCache()
    shared = torch.randn(2, prompts, KEY_HEADS, length, WIDTH)
    read.update(shared[0], shared[1], 0)
    padding = torch.zeros((prompts, length), dtype=torch.bool)
    if padded:
        padding[1, :2] = True
    cache = Branches(read, padding, group, room=5)
    # What plain attention would have: each completion with a copy of its prompt.
    keys, values = (part.repeat_interleave(group, dim=0) for part in shared)
    hidden = padding.repeat_interleave(group, dim=0)
    for step in range(5):
        if step == 2:
            kept, rows = torch.tensor([0, 1]), torch.tensor([3, 1, 4, 7])
            cache.keep(kept, rows)
            keys, values, hidden = keys[rows], values[rows], hidden[rows]
        count = len(keys)
        q, k, v = (torch.randn(count, h, 1, WIDTH) for h in (HEADS, KEY_HEADS, KEY_HEADS))
        ours = attend_next(q, *cache.update(k, v, 0), cache, 0, SCALE)
        keys, values = torch.cat([keys, k], dim=2), torch.cat([values, v], dim=2)
        seen = ~torch.cat([hidden, torch.zeros((count, step + 1), dtype=torch.bool)], dim=1)[:, None, None]
        plain = scaled_dot_product_attention(q, keys, values, attn_mask=seen, scale=SCALE, enable_gqa=True)
        torch.testing.assert_close(ours, plain.transpose(1, 2), rtol=0, atol=1e-6)


def test_rows_sit_with_their_prompt() -> None:
    assert _seats(torch.tensor([1, 0, 1, 1, 0]), 2).tolist() == [[1, 4, -1], [0, 2, 3]]


def test_rows_leave_when_a_quarter_can() -> None:
    done = torch.zeros((2, 4), dtype=torch.bool)
    done[0, :3] = True
    assert _staying(done) is None, "the other prompt needs its four rows"
    done[1, 1] = True
    # Of the first prompt the one that goes on, and two that only fill up.
    assert [part.tolist() for part in _staying(done) or ()] == [[0, 1], [3, 0, 1, 4, 6, 7]]
    done[1] = True
    assert [part.tolist() for part in _staying(done) or ()] == [[0], [3]]

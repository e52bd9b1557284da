"""A vision tower that takes pictures of one size at once computes what it computed one by one."""

from __future__ import annotations

import pytest
import torch
from transformers import Qwen2_5_VLConfig, Qwen3VLConfig
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VLModel
from transformers.models.qwen3_vl.modeling_qwen3_vl import Qwen3VLModel

from sifthinker.training.pictures import batch_pictures

TEXT = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1, "num_attention_heads": 2,
    "num_key_value_heads": 2, "vocab_size": 64, "head_dim": 16,
    "rope_parameters": {"rope_type": "default", "rope_theta": 100.0, "mrope_section": [2, 3, 3]},
}  # fmt: skip


def qwen2_5(kind):
    vision = {
        "depth": 2, "hidden_size": 32, "intermediate_size": 48, "num_heads": 2, "out_hidden_size": 32, "patch_size": 4,
        "window_size": 16, "fullatt_block_indexes": [1],
    }  # fmt: skip
    return Qwen2_5_VLModel._from_config(
        Qwen2_5_VLConfig(text_config=TEXT, vision_config=vision), attn_implementation=kind
    )


def qwen3(kind):
    vision = {
        "depth": 2, "hidden_size": 32, "intermediate_size": 48, "num_heads": 2, "out_hidden_size": 32, "patch_size": 4,
        "num_position_embeddings": 64, "deepstack_visual_indexes": [0],
    }  # fmt: skip
    return Qwen3VLModel._from_config(Qwen3VLConfig(text_config=TEXT, vision_config=vision), attn_implementation=kind)


@pytest.mark.parametrize("kind", ["eager", "sdpa"])
@pytest.mark.parametrize("make", [qwen2_5, qwen3])
@pytest.mark.parametrize("grid", [[(1, 8, 8)] * 3, [(1, 8, 8), (1, 4, 12)], [(1, 8, 4)]])
def test_the_same_features_and_gradients(make, kind, grid):
    torch.manual_seed(0)
    tower = make(kind)
    grid = torch.tensor(grid)
    pixels = torch.randn(int(grid.prod(dim=1).sum()), 3 * 2 * 4 * 4)

    def looked():
        tower.zero_grad()
        features = tower.visual(pixels, grid_thw=grid).pooler_output
        (features * torch.linspace(-1, 1, features.numel()).view_as(features)).sum().backward()
        return features.detach(), [p.grad.clone() for p in tower.visual.parameters() if p.grad is not None]

    before, one_by_one = looked()
    batch_pictures(tower)
    batch_pictures(tower)  # a second call changes nothing
    calls = []
    for module in tower.visual.modules():
        if hasattr(module, "qkv"):
            module.register_forward_pre_hook(lambda m, a, k: calls.append(k.get("pictures")), with_kwargs=True)
    after, together = looked()
    torch.testing.assert_close(after, before, rtol=0, atol=2e-5)
    for mine, theirs in zip(together, one_by_one, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=2e-4)
    sizes = {tuple(size) for size in grid.tolist()}
    if len(grid) > 1:
        assert (calls[-1] == len(grid)) == (len(sizes) == 1)


def test_other_attention_and_other_models_stay_as_they_are():
    tower = qwen2_5("sdpa")
    tower.visual.config._attn_implementation = "flex_attention"
    batch_pictures(tower)
    assert tower.visual.config._attn_implementation == "flex_attention"
    batch_pictures(torch.nn.Linear(2, 2))

"""The estimate against what is really kept."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import DynamicCache

from sifthinker.engines.processor import load_model
from sifthinker.training.attention import Branches
from sifthinker.training.memory import estimate, per_token, saved_bytes, skeleton, step_tokens
from sifthinker.training.run import lora_config
from tests.tiny_models import save_tiny_qwen


@pytest.fixture(scope="module", params=["qwen2_5_vl", "qwen3_vl"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_qwen(tmp_path_factory.mktemp("model"), request.param)


def arguments(**more):
    return {
        "dtype": torch.float32, "prompt": 40, "completion": 20, "group": 4, "rows": 8, "window_rows": 16, **more,
    }  # fmt: skip


def test_weights_gradients_and_moments_are_exact(folder: Path) -> None:
    model = load_model(folder, dtype="float32", trainable=True)
    found = estimate(model.config, **arguments(beta=0.04))
    weights = sum(p.numel() * p.element_size() for p in model.parameters())
    assert found["model"] == found["reference"] == found["gradients"] == weights
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer = torch.optim.AdamW(model.parameters())
    optimizer.step()
    moments = sum(
        s[key].numel() * s[key].element_size() for s in optimizer.state.values() for key in ("exp_avg", "exp_avg_sq")
    )
    assert found["optimizer"] == moments
    frozen = estimate(model.config, **arguments(freeze_vision=True))
    assert frozen["trained"] == sum(p.numel() for n, p in model.named_parameters() if "visual" not in n)


def test_adapters_are_counted(folder: Path) -> None:
    from peft import get_peft_model

    config = lora_config(4, 8, 0.0)
    model = get_peft_model(load_model(folder, dtype="float32", trainable=True), lora_config(4, 8, 0.0))
    found = estimate(model.base_model.model.config, **arguments(lora=config, beta=0.04))
    assert found["trained"] == sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert found["reference"] == 0
    assert found["adapter"] == 4 * found["trained"]


def test_the_cache_is_exact(folder: Path) -> None:
    model = load_model(folder, dtype="float32")
    prompts = model.model.language_model(
        inputs_embeds=torch.zeros((4, 40, 16)), past_key_values=DynamicCache(), use_cache=True
    ).past_key_values
    cache = Branches(prompts, torch.zeros((4, 40), dtype=torch.bool), group=4, room=20)
    kept = sum(layer.shared_keys.nbytes + layer.shared_values.nbytes + layer.room.nbytes for layer in cache.layers)
    assert estimate(model.config, **arguments())["kv_cache"] == kept


@pytest.mark.parametrize("adapter", [False, True])
def test_activations_are_those_that_are_kept(folder: Path, adapter: bool) -> None:
    """Counted without storage and extrapolated, against a real pass through five layers, attention's tables aside."""
    from peft import get_peft_model

    def make(layers: int, device: str = "meta"):
        model = skeleton(load_model(folder).config, layers, torch.float32)
        if device == "cpu":
            model = model.to_empty(device="cpu")
            model.apply(lambda m: m.reset_parameters() if hasattr(m, "reset_parameters") else None)
        return get_peft_model(model, lora_config(4, 8, 0.0)) if adapter else model

    layer, rest = per_token(make)
    # Here attention keeps its table of 200 x 200 floats for the one head of each layer.
    real = saved_bytes(make(5, "cpu"), 200) - 5 * 200 * 200 * 4
    assert 200 * (5 * layer + rest) == pytest.approx(real, rel=0.05)


def test_shared_rows_are_shorter() -> None:
    assert step_tokens(798, 400, 8, 8, shared=False) == 9584
    assert step_tokens(798, 400, 8, 8, shared=True) == 3997
    assert step_tokens(798, 400, 8, 16, shared=True) == 2 * 3997


def test_sharing_checkpointing_and_four_bits_save(folder: Path) -> None:
    config = load_model(folder).config
    text = config.get_text_config()
    text.num_hidden_layers = 6
    if getattr(text, "layer_types", None):
        text.layer_types = text.layer_types * 6
    plain, kept = estimate(config, **arguments()), estimate(config, **arguments(checkpointing=False))
    assert plain["activations"]["shared"] < plain["activations"]["unshared"] < kept["activations"]["unshared"]
    assert estimate(config, **arguments(quantize="4bit"))["model"] < plain["model"]
    total = plain["total"]
    assert total["training_unshared"] - total["training_shared"] == (
        plain["activations"]["unshared"] - plain["activations"]["shared"]
    )

"""How much memory a GRPO step will take, by part, before anything is loaded.

Weights are counted on a model without storage (`meta`). What a layer keeps for its gradients is counted the same way,
by running one and three layers of the real widths and looking at what autograd saves: no formula has to know the layer.
Attention is taken to keep no table of tokens by tokens, as fused kernels do. Fragmentation, the framework's own memory
and buffers of collectives are left out; leave a tenth.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from typing import Any

import torch

from .run import VISION

GIB = 2**30
ROUNDED = {"4bit": 0.5 + 1 / 64, "8bit": 1.0}
"""Bytes of a weight; in 4bit with the scale of each block of 64, itself in one byte."""
ADAM_BYTES = 8
"""Two moments in float32."""
HEAD_TILE = 1024
"""Tokens that TRL's fused head projects at once."""
SHORT, LONG = 64, 128
"""Lengths of a row at which is counted; their difference tells what grows with the square of it."""


def skeleton(config: Any, layers: int | None, dtype: torch.dtype) -> Any:
    """The model of a config without storage, with so many layers of its language model (None: all)."""
    from transformers import AutoModelForImageTextToText

    config = copy.deepcopy(config)
    text = config.get_text_config()
    if layers is not None:
        text.num_hidden_layers = layers
        if getattr(text, "layer_types", None):
            text.layer_types = (text.layer_types * layers)[:layers]
        if getattr(config.vision_config, "deepstack_visual_indexes", None):
            config.vision_config.deepstack_visual_indexes = config.vision_config.deepstack_visual_indexes[:1]
    with torch.device("meta"):
        return AutoModelForImageTextToText.from_config(config, dtype=dtype)


def saved_bytes(model: Any, tokens: int) -> int:
    """What autograd keeps of a forward pass of the language model over one row, without the weights."""
    inner = model
    while not hasattr(inner, "language_model"):
        inner = inner.base_model if hasattr(inner, "peft_config") else inner.model
    text = inner.language_model
    weights = {p.untyped_storage()._cdata for p in model.parameters()}
    kept: dict[int, tuple[int, Any]] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        kept[storage._cdata] = storage.nbytes(), tensor  # the tensor, so that no other takes its address
        return tensor

    device = next(text.parameters()).device
    dtype = text.get_input_embeddings().weight.dtype
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        text(
            inputs_embeds=torch.zeros(
                (1, tokens, text.config.hidden_size), dtype=dtype, device=device, requires_grad=True
            ),
            position_ids=torch.zeros((3, 1, tokens), dtype=torch.long, device=device),
            attention_mask=torch.ones((1, 1, tokens, tokens), dtype=torch.bool, device=device),
            use_cache=False,
        )
    return sum(size for address, (size, _) in kept.items() if address not in weights)


def per_token(make: Callable[[int], Any]) -> tuple[float, float]:
    """Bytes that a token costs in each layer, and once beside the layers. make(layers): a model."""

    def linear(model: Any) -> float:
        # bytes = a * tokens + b * tokens^2, of which only a is kept by fused attention.
        short, long = saved_bytes(model, SHORT), saved_bytes(model, LONG)
        return (short * LONG**2 - long * SHORT**2) / (SHORT * LONG**2 - LONG * SHORT**2)

    one, three = linear(make(1)), linear(make(3))
    layer = (three - one) / 2
    return layer, one - layer


def step_tokens(prompt: int, completion: int, group: int, rows: int, shared: bool) -> int:
    """Tokens of the rows of a micro-batch of `rows` completions."""
    groups = max(rows // group, 1)
    return groups * (prompt - 1 + group * completion) if shared else rows * (prompt + completion)


def estimate(
    config: Any,
    *,
    dtype: torch.dtype,
    prompt: int,
    completion: int,
    group: int,
    rows: int,
    window_rows: int,
    lora: Any = None,
    freeze_vision: bool = False,
    checkpointing: bool = True,
    beta: float = 0.0,
    quantize: str | None = None,
) -> dict[str, Any]:
    """Bytes by part of a GRPO step on one device.

    prompt, completion: tokens at most. rows: completions of a micro-batch; window_rows: of a generation batch.
    lora: a `LoraConfig`, or None where the whole model is trained. checkpointing: of activations.
    quantize: how the base is rounded, one of `run.QUANTIZE`, or None.
    `total` holds the peak of training, with and without shared rows, and of the rollout.
    """
    from peft import get_peft_model

    def make(layers: int | None) -> Any:
        model = skeleton(config, layers, dtype)
        return model if lora is None else get_peft_model(model, copy.deepcopy(lora))

    whole = skeleton(config, None, dtype)
    text = config.get_text_config()
    layers, width = text.num_hidden_layers, text.hidden_size
    size = torch.empty((), dtype=dtype).element_size()
    count = sum(p.numel() for p in whole.parameters())
    rounded = sum(
        module.weight.numel()
        for name, module in whole.named_modules()
        if isinstance(module, torch.nn.Linear) and not re.fullmatch(VISION, name) and not name.endswith("lm_head")
    )
    vision = sum(p.numel() for n, p in whole.named_parameters() if "visual" in n or "vision" in n)
    model = int((count - rounded) * size + rounded * ROUNDED[quantize]) if quantize else count * size
    if lora is None:
        trained = count - (vision if freeze_vision else 0)
        adapter, weight = 0, size
    else:
        trained = sum(p.numel() for p in make(None).parameters() if p.requires_grad)
        adapter, weight = trained * 4, 4  # adapters are kept in float32
    layer, rest = per_token(make)
    head_dim = getattr(text, "head_dim", None) or width // text.num_attention_heads
    parts = {
        "model": model,
        "reference": model if beta and lora is None else 0,
        "adapter": adapter,
        "gradients": trained * weight,
        "optimizer": trained * ADAM_BYTES,
        "head": 3 * HEAD_TILE * text.vocab_size * 4,
    }
    activations = {}
    for name, shared in (("shared", True), ("unshared", False)):
        tokens = step_tokens(prompt, completion, group, rows, shared)
        kept = tokens * (rest + (width * size * layers + layer if checkpointing else layer * layers))
        # Shared: each completion has the prompt's keys and values beside its own. Else a mask of one byte a pair.
        keys = 2 * rows * prompt * text.num_attention_heads * head_dim * size
        beside = keys * (1 if checkpointing else layers) if shared else rows * (prompt + completion) ** 2
        activations[name] = int(kept + beside)
    read = max(window_rows // group, 1) * prompt + window_rows * completion
    cache = 2 * layers * text.num_key_value_heads * head_dim * size * read
    fixed = sum(parts.values())
    return {
        "parameters": count,
        "trained": trained,
        **parts,
        "activations": activations,
        "kv_cache": cache,
        "total": {
            "training_shared": fixed + activations["shared"],
            "training_unshared": fixed + activations["unshared"],
            "rollout": model + adapter + parts["reference"] + parts["optimizer"] + cache,
        },
    }

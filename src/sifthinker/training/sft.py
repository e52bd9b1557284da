"""The warm-up: supervised fine-tuning on gold traces, by TRL's `SFTTrainer`.

Two pictures (photo and depth) in every stage, the same prompt and the same pixel budget as everywhere else, loss on
the completion only, nothing ever truncated.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..prompt import DEFAULT_MAX_PIXELS
from .config import split_config, to_dict


@dataclass(frozen=True)
class SftConfig:
    """Our fields of an SFT config; all others are TRL's `SFTConfig`."""

    model: str
    """Hub id or folder of an image-text-to-text model, or of an adapter to go on with."""
    data: str
    """Data set folder written by `sifthinker build` or `scenes`."""
    out: str
    """Run folder."""
    max_pixels: int = DEFAULT_MAX_PIXELS
    """Pixels of one picture at most."""
    limit: int | None = None
    """Use the first so many rows."""
    lora: bool = True
    """Train a LoRA adapter instead of the whole model."""
    lora_r: int = 8
    lora_alpha: int = 16
    lora_dropout: float = 0.0
    freeze_vision: bool = False
    """Without LoRA: leave the vision tower as it is."""
    dtype: str = "auto"
    """Of the loaded weights: auto is bfloat16 on a GPU, float32 elsewhere."""
    resume: bool = False
    """Go on from the newest complete checkpoint in `out`."""


def train(values: dict[str, Any]) -> dict[str, float]:
    """Run the warm-up from one flat mapping of our fields and TRL's; see `config.split_config`."""
    from trl import SFTConfig

    return sft(*split_config(values, SftConfig, SFTConfig))


def sft(config: SftConfig, trl: dict[str, Any]) -> dict[str, float]:
    """Train and save the model (or adapter) with its processor to `config.out`; returns TRL's last metrics.

    trl: fields of TRL's `SFTConfig`.
    """
    from peft import PeftModel
    from trl import SFTConfig

    from .data import load_rows
    from .run import LogHistory, image_grid, lora_config, open_model, start_run
    from .trl_adapter import SifSFTTrainer

    out = Path(config.out)
    model, processor, family = open_model(config.model, config.max_pixels, config.dtype, config.freeze_vision)
    rows = load_rows(
        config.data,
        config.max_pixels,
        image_grid(processor, family),
        out / "cache",
        completion=True,
        limit=config.limit,
    )
    defaults: dict[str, Any] = {
        "output_dir": str(out),
        "report_to": "none",
        "max_length": None,  # TRL's default of 1024 would cut prompts inside of image tokens
        "remove_unused_columns": False,
    }
    args = SFTConfig(**{**defaults, **trl})
    checkpoint = start_run(out, to_dict(config, trl), config.resume)
    adapter = (
        None
        if isinstance(model, PeftModel) or not config.lora
        else lora_config(config.lora_r, config.lora_alpha, config.lora_dropout)
    )
    trainer = SifSFTTrainer(
        model=model,
        args=args,
        train_dataset=rows,
        processing_class=processor,
        peft_config=adapter,
        callbacks=[LogHistory(out)],
    )
    result = trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    trainer.save_model(str(out))
    return result.metrics

"""GRPO-SIF: reinforcement learning on whole traces, by TRL's `GRPOTrainer`.

Same prompt, same two pictures and same pixel budget as the warm-up. Rewards are the plain functions of `rewards`;
the progress bonus reads a store of earlier visits, which is saved with each checkpoint.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..prompt import DEFAULT_MAX_PIXELS
from .config import split_config, to_dict


@dataclass(frozen=True)
class GrpoConfig:
    """Our fields of a GRPO config; all others are TRL's `GRPOConfig`."""

    model: str
    """Hub id or folder of the warmed-up model or adapter; an adapter is continued, with itself as frozen reference."""
    data: str
    """Data set folder written by `sifthinker build` or `scenes`."""
    out: str
    """Run folder."""
    rewards: tuple[str, ...] = ("form", "answer", "progress", "focus", "correction", "depth")
    """Keys of `REWARDS`, `progress`, or module:attribute. TRL's `reward_weights` follows this order."""
    profile: str = "ours"
    """`released` takes the formulas of the authors' code, for comparisons."""
    judge: str | None = None
    """MODEL@URL of an OpenAI-compatible server that judges open answers; None: the deterministic grader alone."""
    max_pixels: int = DEFAULT_MAX_PIXELS
    """Pixels of one picture at most; the same as in the warm-up."""
    limit: int | None = None
    """Use the first so many rows."""
    lora: bool = True
    """Train a LoRA adapter instead of the whole model."""
    lora_r: int = 64
    lora_alpha: int = 128
    lora_dropout: float = 0.0
    freeze_vision: bool = False
    """Without LoRA: leave the vision tower as it is."""
    dtype: str = "auto"
    """Of the loaded weights: auto is bfloat16 on a GPU, float32 elsewhere."""
    resume: bool = False
    """Go on from the newest complete checkpoint in `out`."""


def train(values: dict[str, Any]) -> dict[str, float]:
    """Run GRPO-SIF from one flat mapping of our fields and TRL's; see `config.split_config`."""
    from trl import GRPOConfig

    return grpo(*split_config(values, GrpoConfig, GRPOConfig))


def grpo(config: GrpoConfig, trl: dict[str, Any]) -> dict[str, float]:
    """Train and save the model (or adapter) with its processor to `config.out`; returns TRL's last metrics.

    trl: fields of TRL's `GRPOConfig`.
    """
    from peft import PeftModel
    from trl import GRPOConfig

    from .data import load_rows
    from .progress import ProgressStore
    from .run import LogHistory, image_grid, lora_config, open_model, start_run, vision_ids
    from .trl_adapter import SifGRPOTrainer, check_save_steps
    from .trl_rewards import PROGRESS, build_rewards

    out = Path(config.out)
    model, processor, family = open_model(config.model, config.max_pixels, config.dtype, config.freeze_vision)
    rows = load_rows(
        config.data,
        config.max_pixels,
        image_grid(processor, family),
        out / "cache",
        completion=False,
        limit=config.limit,
    )
    defaults: dict[str, Any] = {
        "output_dir": str(out),
        "report_to": "none",
        "remove_unused_columns": False,
        # Scaling by the group's spread would cancel the progress bonus; see docs/design/progress.md.
        "scale_rewards": "batch",
        "generation_kwargs": {},
    }
    settings = {**defaults, **trl}
    settings["generation_kwargs"] = {"suppress_tokens": vision_ids(processor, family), **settings["generation_kwargs"]}
    args = GRPOConfig(**settings)
    check_save_steps(args)
    if PROGRESS in config.rewards and args.max_steps < 0 and args.num_train_epochs < 2:
        warnings.warn(
            "the progress reward needs a second visit of each sample to act: set num_train_epochs to 2 or more",
            stacklevel=2,
        )
    checkpoint = start_run(out, to_dict(config, trl), config.resume)
    store = ProgressStore()
    trainer: SifGRPOTrainer
    judge = None
    if config.judge:
        from ..rewards.judge import open_judge

        judge = open_judge(config.judge)
    rewards = build_rewards(config.rewards, config.profile, store, lambda: trainer.window(), judge)
    adapter = (
        None
        if isinstance(model, PeftModel) or not config.lora
        else lora_config(config.lora_r, config.lora_alpha, config.lora_dropout)
    )
    trainer = SifGRPOTrainer(
        model=model,
        args=args,
        reward_funcs=rewards,
        train_dataset=rows,
        processing_class=processor,
        peft_config=adapter,
        callbacks=[LogHistory(out)],
        store=store,
        rewards=config.rewards,
    )
    result = trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    trainer.save_model(str(out))
    return result.metrics

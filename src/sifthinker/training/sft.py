"""The warm-up: supervised fine-tuning on gold traces, by TRL's `SFTTrainer`.

Two pictures (photo and depth) in every stage, the same prompt and the same pixel budget as everywhere else, loss on
the completion only, nothing ever truncated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..engines.processor import model_config, pixel_grid, vision_ids
from ..errors import InputError, unknown_name
from ..prompt import DEFAULT_MAX_PIXELS
from .config import check_model, read_arguments, split_config, to_dict


@dataclass(frozen=True)
class SftConfig:
    """Our fields of an SFT config; all others are TRL's `SFTConfig`."""

    model: str
    """Hub id or folder of an image-text-to-text model, or of an adapter to go on with."""
    data: str
    """Data set folder written by `sifthinker build` or `scenes`."""
    out: str
    """Run folder."""
    target: str = "trace"
    """What is taught: trace, words (its sentences without areas: plain chain of thought), or answer alone."""
    only: str | None = None
    """Regular expression: of that, teach those tokens alone that it matches, such as (?<=cube)( first| second)."""
    depth: str = "source"
    """Depth of the samples: source (what the data set has), or none (no picture of it, and traces without depths)."""
    max_pixels: int = DEFAULT_MAX_PIXELS
    """Pixels of one picture at most."""
    limit: int | None = None
    """Use the first so many rows."""
    max_prompt_tokens: int | None = None
    """Tokens of a prompt with its pictures at most; null: what the model's positions leave beside the completion."""
    too_long: str = "error"
    """What is done with longer prompts: error, drop (the row), or resize (make its pictures smaller)."""
    lora: bool = True
    """Train a LoRA adapter instead of the whole model."""
    lora_r: int = 8
    """Rank of the adapter."""
    lora_alpha: int = 16
    """Scale of the adapter, divided by its rank."""
    lora_dropout: float = 0.0
    """Dropout in the adapter."""
    quantize: str | None = None
    """QLoRA: 4bit or 8bit keeps the base rounded in memory and trains an adapter on it; None: as it was saved."""
    freeze_vision: bool = False
    """Without LoRA: leave the vision tower as it is."""
    dtype: str = "auto"
    """Of the loaded weights: auto is bfloat16 on a GPU, float32 elsewhere."""
    eval_data: str | None = None
    """Data set folder of held-out samples, which are asked and graded during the training."""
    eval_limit: int = 64
    """Ask the first so many of them."""
    eval_tokens: int = 1024
    """Tokens of a reply in an evaluation at most."""
    patience: int | None = None
    """End the run after so many evaluations without a better one, and keep the best model."""
    resume: bool = False
    """Go on from the newest complete checkpoint in `out`."""


def main(arguments: Sequence[str]) -> dict[str, float]:
    """`sifthinker sft`: train by a config file or recipe with flags over it."""
    check_model(arguments)
    from trl import SFTConfig

    return train(read_arguments(arguments, SftConfig, SFTConfig))


def train(values: Mapping[str, Any]) -> dict[str, float]:
    """Run the warm-up from one flat mapping of our fields and TRL's; see `config.split_config`."""
    from trl import SFTConfig

    return sft(*split_config(values, SftConfig, SFTConfig))


def trl_args(config: SftConfig, trl: dict[str, Any]) -> Any:
    """TRL's `SFTConfig` with our defaults. Raises `InputError` for what it or `run.check_quantize` refuses."""
    from trl import SFTConfig

    from .data import TARGETS
    from .parts import pattern_of
    from .run import build_args, check_quantize

    check_quantize(config)
    if config.target not in TARGETS:
        raise unknown_name("target", config.target, TARGETS)
    if config.only is not None:
        pattern_of(config.only)
    defaults: dict[str, Any] = {
        "output_dir": config.out,
        "max_length": None,  # TRL's default of 1024 would cut prompts inside of image tokens
        "remove_unused_columns": False,
        # A loss that is no number must be seen, not averaged away.
        "logging_nan_inf_filter": False,
    }
    if trl.get("max_length") is not None:
        raise InputError("max_length: it would cut rows inside of their pictures; give max_prompt_tokens and too_long")
    return build_args(SFTConfig, {**defaults, **trl}, config)


def sft(config: SftConfig, trl: dict[str, Any]) -> dict[str, float]:
    """Train and save the model (or adapter) with its processor to `config.out`; returns TRL's last metrics.

    trl: fields of TRL's `SFTConfig`.
    All input is looked at before the model is loaded, and nothing but the cache is written before training begins.
    """
    from .config import trl_refusals
    from .data import load_rows
    from .lengths import ruler_of
    from .parts import PartsCollator
    from .run import (
        Finite,
        LogHistory,
        early_stop,
        find_start,
        finished,
        open_held_out,
        open_policy,
        open_processor,
        record_of,
        run,
        say_finished,
    )
    from .trl_adapter import SifSFTTrainer

    args = trl_args(config, trl)
    out, given = Path(config.out), to_dict(config, trl)
    checkpoint = find_start(out, given, config, args.world_size)
    if finished(out):
        return say_finished(out, checkpoint, args.process_index == 0)
    processor, family = open_processor(config.model, config.max_pixels)
    grid = pixel_grid(processor) or family.grid
    ruler = ruler_of(config, args, processor, grid)
    banned = vision_ids(processor, model_config(config.model))
    with args.main_process_first(desc="rows"):
        rows = load_rows(
            config.data, config.max_pixels, grid, out,
            target=config.target, limit=config.limit, ruler=ruler, depth=config.depth, only=config.only,
        )  # fmt: skip
        held = open_held_out(config, grid, config.eval_tokens, banned, rows)
    args.eval_on_start = args.eval_on_start and checkpoint is None
    model, adapter = open_policy(config, args)
    record = record_of("sft", given, args)
    with trl_refusals():
        trainer = SifSFTTrainer(
            model=model,
            args=args,
            train_dataset=rows,
            processing_class=processor,
            peft_config=adapter,
            callbacks=[LogHistory(out), Finite(), *early_stop(config.patience)],
            held_out=held,
            record=record,
        )
    if config.only is not None:
        trainer.data_collator = PartsCollator(trainer.data_collator, processor.tokenizer, config.only)
    return run(trainer, out, record, checkpoint)

"""GRPO-SIF: reinforcement learning on whole traces, by TRL's `GRPOTrainer`.

Same prompt, same two pictures and same pixel budget as the warm-up. Rewards are the plain functions of `rewards`;
the progress bonus reads a store of earlier visits, which is saved with each checkpoint.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..engines.processor import model_config, pixel_grid, vision_ids
from ..errors import InputError
from ..lookup import lookup
from ..prompt import DEFAULT_MAX_PIXELS
from .config import check_model, read_arguments, split_config, to_dict

if TYPE_CHECKING:
    from datasets import Dataset

    from .curriculum import Curriculum


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
    curriculum: str = "none"
    """Prompts by how they went: confidence (buckets of samples), accuracy (tasks), none (TRL's order)."""
    depth: str = "source"
    """Depth of the samples: source (what the data set has), or none (no picture of it, and traces without depths)."""
    max_pixels: int = DEFAULT_MAX_PIXELS
    """Pixels of one picture at most; the same as in the warm-up."""
    limit: int | None = None
    """Use the first so many rows."""
    max_prompt_tokens: int | None = None
    """Tokens of a prompt with its pictures at most; null: what the model's positions leave beside a completion."""
    too_long: str = "error"
    """What is done with longer prompts: error, drop (the row), or resize (make its pictures smaller)."""
    dynamic_sampling: int = 0
    """So many times at most, prompts whose completions all earn the same are replaced by others; 0: never."""
    lora: bool = True
    """Train a LoRA adapter instead of the whole model."""
    lora_r: int = 64
    """Rank of the adapter."""
    lora_alpha: int = 128
    """Scale of the adapter, divided by its rank."""
    lora_dropout: float = 0.0
    """Dropout in the adapter."""
    quantize: str | None = None
    """QLoRA: 4bit or 8bit keeps the base rounded in memory and trains an adapter on it; None: as it was saved."""
    freeze_vision: bool = False
    """Without LoRA: leave the vision tower as it is."""
    dtype: str = "auto"
    """Of the loaded weights: auto is bfloat16 on a GPU, float32 elsewhere."""
    prefix_sharing: str = "auto"
    """Compute all completions of a prompt on one row: on, off, or auto (if the first batch agrees with TRL's rows)."""
    eval_data: str | None = None
    """Data set folder of held-out samples, which are asked and graded during the training."""
    eval_limit: int = 64
    """Ask the first so many of them."""
    patience: int | None = None
    """End the run after so many evaluations without a better one, and keep the best model."""
    sheet_steps: int = 50
    """Draw the rollouts of a few samples at the start and every so many steps, as RUN/sheets/*.png; 0: never."""
    sheet_samples: int = 4
    """Samples on a sheet: the first of `eval_data`, or of `data` where there is none."""
    resume: bool = False
    """Go on from the newest complete checkpoint in `out`."""


def main(arguments: Sequence[str]) -> dict[str, float]:
    """`sifthinker grpo`: train by a config file or recipe with flags over it."""
    check_model(arguments)
    from trl import GRPOConfig

    return train(read_arguments(arguments, GrpoConfig, GRPOConfig))


def train(values: Mapping[str, Any]) -> dict[str, float]:
    """Run GRPO-SIF from one flat mapping of our fields and TRL's; see `config.split_config`."""
    from trl import GRPOConfig

    return grpo(*split_config(values, GrpoConfig, GRPOConfig))


def trl_args(config: GrpoConfig, trl: dict[str, Any]) -> Any:
    """TRL's `GRPOConfig` with our defaults, after a look at the rewards, which some of its fields are about.

    Raises `InputError` for what it or `run.check_quantize` refuses, for rewards that are not there, and for checkpoints
    between windows.
    """
    from trl import GRPOConfig

    from .curriculum import CURRICULA
    from .run import build_args, check_quantize
    from .trl_rewards import ANSWER, PROGRESS, find_rewards
    from .windows import check_dynamic_sampling, check_save_steps

    check_quantize(config)
    find_rewards(config.rewards, config.profile)
    if config.judge and ANSWER not in config.rewards:
        raise InputError("judge: it scores answers, so answer must be among the rewards")
    if config.curriculum != "none":
        lookup("curriculum", config.curriculum, {"none": None, **CURRICULA})
        if ANSWER not in config.rewards:
            raise InputError("curriculum: it goes by answers, so answer must be among the rewards")
    defaults: dict[str, Any] = {
        "output_dir": config.out,
        "remove_unused_columns": False,
        # A loss that is no number must be seen, not averaged away.
        "logging_nan_inf_filter": False,
        # Scaling by the group's spread would cancel the progress bonus; see docs/design/progress.md.
        "scale_rewards": "batch",
        # Of the evaluations, which are greedy.
        "num_generations_eval": 1,
    }
    for name in ("sheet_steps", "sheet_samples"):
        if getattr(config, name) < 0:
            raise InputError(f"{name} {getattr(config, name)}: expected 0 or more")
    args = build_args(GRPOConfig, {**defaults, **trl}, config)
    weights = args.reward_weights
    if weights is not None and len(weights) != len(config.rewards):
        raise InputError(f"reward_weights: {len(weights)} weights for {len(config.rewards)} rewards; give one for each")
    if config.dynamic_sampling < 0:
        raise InputError(f"dynamic_sampling {config.dynamic_sampling}: expected a number of rounds, 0 for none")
    if config.dynamic_sampling:
        check_dynamic_sampling(args)
    check_save_steps(args)
    if PROGRESS in config.rewards and args.scale_rewards == "group":
        warnings.warn(
            "scale_rewards: group cancels the progress reward wherever a whole group is better than before; take batch "
            "or none",
            stacklevel=2,
        )
    return args


def warn_of_few_visits(config: GrpoConfig, plan: Mapping[str, Any]) -> None:
    """Warn when the progress reward is paid, and most samples come once. plan: `windows.plan`."""
    from .trl_rewards import PROGRESS

    if PROGRESS in config.rewards and plan["epochs"] < 2:
        warnings.warn(
            f"the progress reward needs a second visit of each sample to act, and this run makes {plan['epochs']:g} "
            "epochs: raise num_train_epochs or max_steps, or limit the rows",
            stacklevel=2,
        )


def grpo(config: GrpoConfig, trl: dict[str, Any]) -> dict[str, float]:
    """Train and save the model (or adapter) with its processor to `config.out`; returns TRL's last metrics.

    trl: fields of TRL's `GRPOConfig`.
    All input is looked at before the model is loaded, and nothing but caches is written before training begins.
    """
    from .config import trl_refusals
    from .data import load_rows
    from .lengths import ruler_of
    from .progress import ProgressStore
    from .rollout import without
    from .run import (
        Finite,
        Health,
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
    from .sheets import Sheets
    from .trl_adapter import SifGRPOTrainer
    from .trl_rewards import build_rewards
    from .windows import plan

    args = trl_args(config, trl)
    out, given = Path(config.out), to_dict(config, trl)
    checkpoint = find_start(out, given, config, args.world_size)
    if finished(out):
        return say_finished(out, checkpoint, args.process_index == 0)
    processor, family = open_processor(config.model, config.max_pixels)
    banned = vision_ids(processor, model_config(config.model))
    args.generation_kwargs = without(banned, args.generation_kwargs or {}, args.use_vllm)
    grid = pixel_grid(processor) or family.grid
    ruler = ruler_of(config, args, processor, grid)
    with args.main_process_first(desc="rows"):
        rows = load_rows(
            config.data, config.max_pixels, grid, out, target=None, limit=config.limit, ruler=ruler, depth=config.depth
        )
        held = open_held_out(config, grid, args.max_completion_length, banned, rows)
    warn_of_few_visits(config, plan(args, len(rows)))
    curriculum = None if config.curriculum == "none" else _curriculum(config.curriculum, rows, args)
    args.eval_on_start = args.eval_on_start and checkpoint is None
    released = config.profile == "released"
    store = ProgressStore(released)
    trainer: SifGRPOTrainer
    with _judge(config.judge, out, args.process_index, released) as judge:
        rewards = build_rewards(config.rewards, config.profile, store, lambda: trainer.window(), judge)
        model, adapter = open_policy(config, args)
        record = record_of("grpo", given, args)
        drawn = rows if held is None else held.rows
        sheets = Sheets(out, drawn, config.sheet_samples, config.sheet_steps, lambda: trainer)
        with trl_refusals():
            trainer = SifGRPOTrainer(
                model=model,
                args=args,
                reward_funcs=rewards,
                train_dataset=rows,
                processing_class=processor,
                peft_config=adapter,
                callbacks=[LogHistory(out), Finite(), Health(out, checkpoint), sheets, *early_stop(config.patience)],
                held_out=held,
                store=store,
                rewards=config.rewards,
                prefix_sharing=config.prefix_sharing,
                curriculum=curriculum,
                dynamic_sampling=config.dynamic_sampling,
                record=record,
            )
        return run(trainer, out, record, checkpoint)


def _curriculum(name: str, rows: Dataset, args: Any) -> Curriculum:
    """The curriculum over the rows of a data set, in windows as TRL makes them."""
    from .curriculum import Curriculum
    from .windows import lag_of

    known = rows.with_format(None)
    size = args.generation_batch_size // args.num_generations
    return Curriculum(name, known["id"], known["task"], size, args.seed, args.shuffle_dataset, lag_of(args))


def _judge(address: str | None, out: Path, process: int, always: bool) -> AbstractContextManager[Any]:
    """The judge, whose scores are kept in the run folder so that a resumed run asks nothing again; None without one.

    Each process has a file of its own: SQLite's are not to be shared between machines.
    """
    if address is None:
        return nullcontext()
    from ..rewards.judge import open_judge

    return open_judge(address, out / f"judge{f'-{process}' if process else ''}.sqlite", always=always)

"""When generation batches begin, and which prompts they hold: what follows from TRL's counts of steps alone.

A window is the optimizer steps that train on one generation batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

from torch.utils.data import Sampler
from trl import GRPOConfig

from ..errors import InputError
from .curriculum import Curriculum


def generation_window(global_step: int, args: GRPOConfig) -> int:
    """The number of the generation batch that optimizer step `global_step` trains on."""
    per_window = args.steps_per_generation * args.num_iterations  # type: ignore[operator]
    return global_step * args.gradient_accumulation_steps // per_window


def check_save_steps(args: GRPOConfig) -> None:
    """Refuse checkpoints inside of a generation window, after which windows would be shifted on resume."""
    per_window = args.steps_per_generation * args.num_iterations  # type: ignore[operator]
    # The best model is saved where it is measured.
    by_steps = {"steps": "save_steps", "best": "eval_steps" if args.eval_strategy == "steps" else ""}
    name = by_steps.get(args.save_strategy)
    if name and (every := getattr(args, name)) * args.gradient_accumulation_steps % per_window:
        steps = max(1, per_window // args.gradient_accumulation_steps)
        raise InputError(
            f"{name} {every:g} falls inside of a generation window of {steps} optimizer steps: "
            f"give a multiple of {steps}"
        )


def check_dynamic_sampling(args: GRPOConfig) -> None:
    """Refuse groups that are spread over processes, each of which replaces its own."""
    rows = args.per_device_train_batch_size * args.steps_per_generation  # type: ignore[operator]
    if args.world_size > 1 and rows % args.num_generations:  # type: ignore[operator]
        raise InputError(
            f"dynamic_sampling: a process generates {rows} completions at a time, which are no whole groups of "
            f"{args.num_generations}: raise per_device_train_batch_size or steps_per_generation"
        )


def lag_of(args: GRPOConfig) -> int:
    """How many generation windows are drawn before the outcomes of windows before them are there.

    A step's batches are fetched together, with one more before the first of them is used; workers fetch ahead.
    """
    ahead = args.dataloader_num_workers * (args.dataloader_prefetch_factor or 2)
    batches = args.gradient_accumulation_steps + ahead + 1
    return math.ceil(batches / (args.steps_per_generation * args.num_iterations)) - 1  # type: ignore[operator]


def plan(args: Any, rows: int) -> dict[str, Any]:
    """Prompts an epoch, rows dropped, optimizer steps and epochs, as TRL's samplers will make them.

    args: TRL's config. rows: size of the data set.
    """
    batch = args.per_device_train_batch_size * args.world_size
    if generations := getattr(args, "num_generations", None):
        # A window of completions is generated at once, and trained on in several steps.
        steps, per_window = args.steps_per_generation, batch * args.steps_per_generation // generations
        windows = rows // per_window
        dropped = rows - windows * per_window
        steps_per_epoch = windows * steps * args.num_iterations // args.gradient_accumulation_steps
        per_step = batch * args.gradient_accumulation_steps // generations
    else:
        per_step, dropped = batch * args.gradient_accumulation_steps, 0
        steps_per_epoch = math.ceil(rows / per_step)
    total = args.max_steps if args.max_steps > 0 and steps_per_epoch else int(steps_per_epoch * args.num_train_epochs)
    return {
        "stage": "grpo" if generations else "sft",
        "rows": rows,
        "prompts_per_step": per_step,
        "rows_dropped_per_epoch": dropped,
        "optimizer_steps": total,
        "epochs": round(total / steps_per_epoch, 2) if steps_per_epoch else 0.0,
    }


class EpochOrder(Sampler[int]):
    """TRL's sampler in an order that follows from seed and epoch alone, or from a curriculum.

    TRL draws each epoch's order from one generator, which a resumed run starts anew: in a later epoch it would go
    through the order of the first, and train on some samples twice and on others not at all.

    epoch: tells the current epoch, from 0.
    """

    def __init__(self, sampler: Any, epoch: Callable[[], int], curriculum: Curriculum | None = None) -> None:
        self.sampler, self.epoch, self.curriculum = sampler, epoch, curriculum

    def __iter__(self) -> Iterator[int]:
        if self.curriculum is not None:
            return (
                row
                for window in self.curriculum.epoch(self.epoch())
                for _ in range(self.sampler.repeat_count)
                for row in window
                for _ in range(self.sampler.mini_repeat_count)
            )
        if self.sampler.shuffle:
            self.sampler.generator.manual_seed(self.sampler.seed + self.epoch())
        return iter(self.sampler)

    def __len__(self) -> int:
        return len(self.sampler)

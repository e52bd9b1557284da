"""The one file that knows TRL's shapes: the trainer subclass of GRPO-SIF.

Written against TRL 1.16; `tests/training/test_trl_adapter.py` holds the signatures of the private methods used here
(`_calculate_rewards`, `_save_checkpoint`, `_load_optimizer_and_scheduler`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from accelerate.utils import gather_object
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR
from trl import GRPOConfig, GRPOTrainer

from ..errors import InputError
from ..rewards import REWARDS
from .progress import ProgressStore
from .trl_rewards import ANSWER, read_replies


def generation_window(global_step: int, args: GRPOConfig) -> int:
    """The number of the generation batch that optimizer step `global_step` trains on."""
    per_window = args.steps_per_generation * args.num_iterations  # type: ignore[operator]
    return global_step * args.gradient_accumulation_steps // per_window


def check_save_steps(args: GRPOConfig) -> None:
    """Refuse checkpoints inside of a generation window, after which windows would be shifted on resume."""
    per_window = args.steps_per_generation * args.num_iterations  # type: ignore[operator]
    if args.save_strategy == "steps" and args.save_steps * args.gradient_accumulation_steps % per_window:
        steps = max(1, per_window // args.gradient_accumulation_steps)
        raise InputError(
            f"save_steps {args.save_steps:g} falls inside of a generation window of {steps} optimizer steps: "
            f"give a multiple of {steps}"
        )


class SifGRPOTrainer(GRPOTrainer):
    """TRL's trainer plus the progress store, and the first-box metric that tells hacking from focus."""

    def __init__(self, *args: Any, store: ProgressStore, **kwargs: Any) -> None:
        self.store = store
        super().__init__(*args, **kwargs)

    def window(self) -> int:
        """The current generation window, which names a visit in the progress store."""
        return generation_window(self.state.global_step, self.args)

    def _calculate_rewards(self, inputs: Any, prompts: Any, completions: Any, completion_ids_list: Any) -> torch.Tensor:
        rewards = super()._calculate_rewards(inputs, prompts, completions, completion_ids_list)
        samples = [row["sample"] for row in inputs]
        mode = "train" if self.model.training else "eval"
        first = [
            REWARDS["focus"](type(t)(t.steps[:1] if not f else tuple(s for s in t.steps if s.area is f), None), s)
            for t, s in zip(read_replies(completions, samples), samples, strict=True)
            for f in [t.first_focus]
        ]
        known = [value for value in first if value is not None]
        if known:
            self._metrics[mode]["first_box_hiou"].append(sum(known) / len(known))
        if mode == "train" and ANSWER in self.reward_func_names:
            # `rewards` is gathered, so every rank sees all rows and writes the same entries.
            ids = gather_object([s.id for s in samples])
            column = rewards[:, self.reward_func_names.index(ANSWER)].tolist()
            self.store.update(ids, column, self.window())
        return rewards

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        if self.args.should_save:
            folder = Path(self._get_output_dir(trial=trial)) / f"{PREFIX_CHECKPOINT_DIR}-{self.state.global_step}"
            folder.mkdir(parents=True, exist_ok=True)
            # First, because a checkpoint counts as complete when `trainer_state.json`, which comes last, is there.
            self.store.save(folder, self.state.global_step)
        super()._save_checkpoint(model, trial)

    def _load_optimizer_and_scheduler(self, checkpoint: Any) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is not None:
            self.store.load(checkpoint)

"""The one file that knows TRL's shapes: the trainer subclasses of the warm-up and of GRPO-SIF.

Written against TRL 1.16; `tests/training/test_runs.py` holds the signatures of the private methods used here
(`_calculate_rewards`, `_get_train_sampler`, `_tokenize_prompts`, `_save`, `_save_checkpoint`,
`_load_optimizer_and_scheduler`, `_load_from_checkpoint`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import gather_object
from peft import PeftModel
from torch.utils.data import Sampler
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR
from trl import GRPOConfig, GRPOTrainer, SFTTrainer

from ..engines.processor import load_model
from ..errors import InputError
from ..rewards.focus import area_hiou
from .progress import ProgressStore
from .run import sign
from .trl_rewards import ANSWER, PROGRESS, read_replies


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


def clear_groups(rewards: torch.Tensor, ids: Sequence[str], columns: Sequence[int]) -> None:
    """Set `columns` to NaN, in place, in all rows of a sample that has a NaN there in one of its rows.

    A judge that failed on one reply has cleared the group in its own process only; a group may straddle processes,
    and a hole in a part of it would shift the advantages of the rest.
    """
    holes = rewards[:, list(columns)].isnan().any(dim=1).tolist()
    failed = {sample_id for sample_id, hole in zip(ids, holes, strict=True) if hole}
    for row, sample_id in enumerate(ids):
        if sample_id in failed:
            rewards[row, list(columns)] = torch.nan


class EpochOrder(Sampler[int]):
    """TRL's sampler in an order that follows from seed and epoch alone.

    TRL draws each epoch's order from one generator, which a resumed run starts anew: in a later epoch it would go
    through the order of the first, and train on some samples twice and on others not at all.

    epoch: tells the current epoch, from 0.
    """

    def __init__(self, sampler: Any, epoch: Callable[[], int]) -> None:
        self.sampler, self.epoch = sampler, epoch

    def __iter__(self) -> Iterator[int]:
        if self.sampler.shuffle:
            self.sampler.generator.manual_seed(self.sampler.seed + self.epoch())
        return iter(self.sampler)

    def __len__(self) -> int:
        return len(self.sampler)


class _OurFolders:
    """What holds for the folders of both trainers: weights that really resume, and a true card and stamp beside them.

    transformers 5.23 saves Qwen-VL weights under the hub's names, but its trainer reads them back by the names in
    memory: none match, and the run would go on from the *initial* weights with no more than a warning.
    """

    def __init__(self, *args: Any, record: dict[str, Any], **kwargs: Any) -> None:
        self.record = record
        super().__init__(*args, **kwargs)

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        super()._save(output_dir, state_dict)  # type: ignore[misc]
        if self.args.should_save:  # type: ignore[attr-defined]
            sign(Path(output_dir or self.args.output_dir), self.record)  # type: ignore[attr-defined]

    def create_model_card(self, *_: Any, **__: Any) -> None:
        """No card by TRL, which would name a data set and a base that it does not know; `_save` writes ours."""

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        target = self.model if model is None else model  # type: ignore[attr-defined]
        if isinstance(target, PeftModel) or self.is_fsdp_enabled or self.is_deepspeed_enabled:  # type: ignore[attr-defined]
            super()._load_from_checkpoint(resume_from_checkpoint, model)  # type: ignore[misc]
            return
        target.load_state_dict(load_model(resume_from_checkpoint, dtype=target.dtype).state_dict())


class SifSFTTrainer(_OurFolders, SFTTrainer):
    """TRL's trainer with our folders."""


class SifGRPOTrainer(_OurFolders, GRPOTrainer):
    """TRL's trainer plus the progress store, and the first-box metric that tells hacking from focus."""

    def __init__(self, *args: Any, store: ProgressStore, rewards: Sequence[str], **kwargs: Any) -> None:
        self.store = store
        # The full names: a user's `module:answer` is called answer by TRL as well.
        self.columns = list(rewards)
        super().__init__(*args, **kwargs)

    def window(self) -> int:
        """The current generation window, which names a visit in the progress store."""
        return generation_window(self.state.global_step, self.args)  # type: ignore[arg-type]

    def _tokenize_prompts(self, prompts: Any) -> Any:
        ids, images, fields = super()._tokenize_prompts(prompts)
        # TRL marks questions in words by None among lists of pictures, which processors do not take.
        return ids, images and [pictures or [] for pictures in images], fields

    def _get_train_sampler(self, dataset: Any = None) -> EpochOrder:
        return EpochOrder(super()._get_train_sampler(dataset), lambda: int((self.state.epoch or 0) + 1e-6))

    def _calculate_rewards(self, inputs: Any, prompts: Any, completions: Any, completion_ids_list: Any) -> torch.Tensor:
        rewards = super()._calculate_rewards(inputs, prompts, completions, completion_ids_list)
        samples = [row["sample"] for row in inputs]
        mode = "train" if self.model.training else "eval"  # type: ignore[union-attr]
        first = [
            0.0 if trace.first_focus is None else area_hiou(trace.first_focus, sample)
            for trace, sample in zip(read_replies(completions, samples), samples, strict=True)
            if sample.boxes
        ]
        if first:
            # Focus that rises while this falls is hacking: beginning badly on purpose.
            self._metrics[mode]["first_box_hiou"].append(sum(first) / len(first))
        if ANSWER in self.columns:
            # `rewards` is gathered, so every rank sees all rows, clears the same ones and writes the same entries.
            ids = gather_object([s.id for s in samples])
            judged = [c for c in (ANSWER, PROGRESS) if c in self.columns]
            clear_groups(rewards, ids, [self.columns.index(c) for c in judged])
            if mode == "train":
                self.store.update(ids, rewards[:, self.columns.index(ANSWER)].tolist(), self.window())
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

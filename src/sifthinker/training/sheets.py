"""Sheets: what a policy says to the same few samples, drawn every so many steps of a GRPO run.

    RUN/sheets/step-000050.png     a row a sample: boxes of all rollouts on photo and depth map, and what each earned
    RUN/sheets/step-000050.json    the same in numbers, with the replies

Rollouts are sampled as in training, but with random numbers of their own, the same for every sheet: what differs from
sheet to sheet is the policy. The training is not changed by them.
"""

from __future__ import annotations

import asyncio
import inspect
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset as Rows
from PIL import Image
from transformers import GenerationConfig, TrainerCallback
from transformers.integrations.integration_utils import TensorBoardCallback, TrackioCallback, WandbCallback
from trl.trainer.utils import nanstd

from ..draw import draw_group, stack
from ..records import atomic_write, disk_errors
from ..sample import Sample
from ..trace import Area, Trace
from .evaluation import aside, replies, share, together
from .trl_rewards import read_replies

SHEETS = "sheets"
SCHEMA = 1


class Sheets(TrainerCallback):
    """Draws a sheet at the start and every `every` optimizer steps; none for 0.

    rows: of a data set, of which the first `samples` are asked. trainer: tells the trainer, which is made after this.
    """

    def __init__(self, out: Path, rows: Rows, samples: int, every: int, trainer: Callable[[], Any]) -> None:
        self.folder, self.every, self.trainer = out / SHEETS, every, trainer
        self.rows, self.samples = rows, min(samples, len(rows))

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """The sheet before the first step, or that of the checkpoint gone on from."""
        self._draw(state)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """After the optimizer's step."""
        self._draw(state)

    def _draw(self, state: Any) -> None:
        trainer = self.trainer()
        if not (self.every and self.samples) or state.global_step % self.every:
            return
        if trainer.is_fsdp_enabled and not trainer.once:  # processes can generate in step by `rollout` alone
            return
        rows = [self.rows[n] for n in range(self.samples)]
        said = rollouts(trainer, rows)
        if not state.is_world_process_zero:
            return
        samples = [row["sample"] for row in rows]
        completions = [[{"role": "assistant", "content": text}] for text in said]
        traces = read_replies(completions, [s for s in samples for _ in range(trainer.args.num_generations)])
        record = {"schema": SCHEMA, "step": state.global_step, **scored(trainer, samples, completions, traces)}
        picture = drawn(record, samples, traces)
        name, buffer = f"step-{state.global_step:06d}", io.BytesIO()
        picture.save(buffer, "PNG", optimize=True)
        with disk_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        atomic_write(self.folder / f"{name}.json", json.dumps(record, ensure_ascii=False, allow_nan=False, indent=1))
        atomic_write(self.folder / f"{name}.png", buffer.getvalue())
        for callback in trainer.callback_handler.callbacks:
            if isinstance(callback, TensorBoardCallback) and callback.tb_writer is not None:
                callback.tb_writer.add_image("sheet", np.asarray(picture), state.global_step, dataformats="HWC")
            elif isinstance(callback, WandbCallback | TrackioCallback):
                service: Any = callback._wandb if isinstance(callback, WandbCallback) else callback._trackio
                service.log({"sheet": service.Image(picture), "train/global_step": state.global_step})


def rollouts(trainer: Any, rows: Sequence[dict[str, Any]]) -> list[str]:
    """`num_generations` completions of each row, row after row, drawn with the settings of the training.

    Each process draws for a part of the rows, no more completions at a time than in training.
    """
    args, count = trainer.args, trainer.args.num_generations
    config = GenerationConfig(
        **{
            "max_new_tokens": args.max_completion_length,
            "do_sample": True,
            "pad_token_id": trainer.processing_class.tokenizer.pad_token_id,
            "eos_token_id": trainer.eos_token_ids,
            "temperature": args.temperature,
            "top_p": args.top_p,
            "top_k": args.top_k,
            "min_p": args.min_p,
            "repetition_penalty": args.repetition_penalty,
            **(args.generation_kwargs or {}),
        }
    )
    numbers, size = (
        share(trainer, len(rows)),
        max(1, args.per_device_train_batch_size * args.steps_per_generation // count),
    )
    mine: list[tuple[int, list[str]]] = []
    with aside(trainer.model, seed=args.seed):
        for start in range(0, len(numbers), size):
            batch = numbers[start : start + size]
            said = [text for text, _ in replies(trainer, [rows[n] for n in batch], config, count)]
            mine += [(n, said[i * count : (i + 1) * count]) for i, n in enumerate(batch)]
    return [text for texts in together(mine) for text in texts]


def scored(
    trainer: Any, samples: Sequence[Sample], completions: Sequence[Any], traces: Sequence[Trace]
) -> dict[str, Any]:
    """Rewards, totals and advantages of all replies, and where each looked first and last."""
    count, names = trainer.args.num_generations, trainer.reward_func_names
    each = [sample for sample in samples for _ in range(count)]
    values = torch.tensor([_earned(trainer, f, completions, each) for f in trainer.reward_funcs]).T
    weights = trainer.reward_weights.cpu()
    totals, advantages = advantages_of(
        values, weights, count, trainer.scale_rewards, trainer.multi_objective_aggregation
    )
    found = [
        {
            "reply": completion[0]["content"],
            "answer": trace.answer,
            "first": _boxes(trace.first_focus),
            "last": _boxes(trace.last_area),
            "rewards": dict(zip(names, map(_number, earned), strict=True)),
            "total": _number(total),
            "advantage": advantage,
        }
        for completion, trace, earned, total, advantage in zip(
            completions, traces, values.tolist(), totals.tolist(), advantages.tolist(), strict=True
        )
    ]
    return {
        "weights": dict(zip(names, weights.tolist(), strict=True)),
        "scale_rewards": trainer.scale_rewards,
        "temperature": trainer.args.temperature,
        "samples": [
            {
                "id": sample.id,
                "question": sample.question,
                "gold": sample.answer,
                "boxes": [list(box) for box in sample.boxes],
                "rollouts": found[n * count : (n + 1) * count],
            }
            for n, sample in enumerate(samples)
        ],
    }


def _earned(trainer: Any, function: Any, completions: Any, samples: Sequence[Sample]) -> list[float]:
    """What a reward pays; nan where it cannot judge."""
    values = function(completions=completions, sample=samples)
    if inspect.iscoroutine(values):
        # The judge's connections belong to TRL's loop.
        values = asyncio.run_coroutine_threadsafe(values, trainer.async_loop).result()
    return [torch.nan if value is None else float(value) for value in values]


def advantages_of(
    values: torch.Tensor, weights: torch.Tensor, count: int, scale: str, aggregation: str
) -> tuple[torch.Tensor, torch.Tensor]:
    """Weighted sums of rewards and the advantages that TRL 1.16 makes of them, both of shape (n,).

    values: of shape (n, rewards), nan where a sample cannot be judged; groups of `count` rows lie side by side.
    scale: TRL's `scale_rewards`; the spread of the batch is that of all rows given here. aggregation: TRL's
    `multi_objective_aggregation`. A row without any reward has the total nan and the advantage 0.
    """
    blank = values.isnan().all(dim=1)
    totals = (values * weights).nansum(dim=1).masked_fill(blank, torch.nan)
    if aggregation == "normalize_then_sum":
        groups = values.view(-1, count, values.shape[1])
        apart = (groups - groups.nanmean(dim=1, keepdim=True)) / (nanstd(groups, dim=1, keepdim=True) + 1e-4)
        summed = (apart.view_as(values) * weights).nansum(dim=1).masked_fill(blank, torch.nan)
        found = (summed - summed.nanmean()) / (nanstd(summed) + 1e-4)
    else:
        groups = totals.view(-1, count)
        found = groups - groups.nanmean(dim=1, keepdim=True)
        if scale != "none":
            found = found / ((nanstd(totals) if scale == "batch" else nanstd(groups, dim=1, keepdim=True)) + 1e-4)
    return totals, found.flatten().nan_to_num(nan=0.0)


def drawn(record: dict[str, Any], samples: Sequence[Sample], traces: Sequence[Trace]) -> Image.Image:
    """The picture of a sheet."""
    heads = [*record["weights"], "sum", "advantage", "answer"]
    groups = []
    for n, (sample, entry) in enumerate(zip(samples, record["samples"], strict=True)):
        rows = entry["rollouts"]
        cells = [
            [
                *map(_cell, row["rewards"].values()),
                _cell(row["total"]),
                f"{row['advantage']:+.2f}",
                row["answer"] or "-",
            ]
            for row in rows
        ]
        groups.append(draw_group(sample, traces[n * len(rows) : (n + 1) * len(rows)], heads, cells))
    title = (
        f"Step {record['step']}. Boxes of each rollout in its color: the last area thick, the first one that is not "
        "the whole image thin; gold dashed in white."
    )
    return stack(groups, title)


def _boxes(area: Area | None) -> list[list[float]]:
    return [] if area is None else [list(box) for box in area.boxes]


def _number(value: float) -> float | None:
    return None if np.isnan(value) else value


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"

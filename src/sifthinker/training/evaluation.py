"""Evaluation while a training goes on: greedy traces for held-out samples, graded as `sifthinker eval` grades them.

`Evaluates` puts this in the place of `evaluate` of transformers' trainer, on which its best checkpoint, early stopping
and logs rest; they work as they are. The training is not changed by it: random state and mode are put back.

RUN/evals/step-000050.jsonl    the items of each evaluation, as in `items.jsonl` of an evaluation's run folder
"""

from __future__ import annotations

import json
import math
import random
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate.utils import gather_object
from datasets import Dataset as Rows
from tqdm import tqdm
from transformers import GenerationConfig
from trl.data_utils import prepare_multimodal_messages
from trl.distributed import DistributedBackend
from trl.models import unwrap_model_for_generation

from ..benchmarks.dataset import Dataset
from ..errors import InputError
from ..metrics import HEADLINE, Item, metrics_of
from ..outcomes import about, judge
from ..records import atomic_write, disk_errors
from .attention import why_not
from .prompts import unique_prompts
from .rollout import complete
from .sharded import InStep, refuse_mixture

EVALS = "evals"


@dataclass(frozen=True)
class HeldOut:
    """What is asked in an evaluation, and how.

    rows: as `data.load_rows` gives them. folder: where they come from. tokens: of a reply, at most.
    banned: tokens that are never sampled.
    """

    rows: Rows
    folder: str
    tokens: int
    banned: Sequence[int]

    def warn_of(self, trained: Rows) -> None:
        """Say it when samples are trained on, too: an evaluation on them tells nothing about others."""
        shared = ids_of(self.rows) & ids_of(trained)
        if shared:
            warnings.warn(
                f"eval_data: {len(shared)} of {len(self.rows)} samples are trained on as well (one is {min(shared)}), "
                "so evaluations will flatter the model; give samples that were held out",
                stacklevel=2,
            )


def ids_of(rows: Rows) -> set[str]:
    """The ids of samples, without a look at their pictures."""
    return set(rows.with_format(None).select_columns("id")["id"])


@contextmanager
def aside(model: torch.nn.Module, seed: int | None = None) -> Iterator[None]:
    """Do something with a model in training that leaves no trace: in eval mode, with random states put back at the end.

    seed: of what is drawn meanwhile.
    """
    training, states = model.training, (random.getstate(), np.random.get_state())
    device = next(model.parameters()).device
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        model.eval()
        if seed is not None:
            torch.manual_seed(seed)
        try:
            yield
        finally:
            model.train(training)
            random.setstate(states[0])
            np.random.set_state(states[1])


def greedy(trainer: Any, held: HeldOut) -> GenerationConfig:
    """How replies are generated: as by `engines.local` at temperature 0, with nothing taken over from the model."""
    tokenizer, ends = trainer.processing_class.tokenizer, trainer.model.generation_config.eos_token_id
    ends = [] if ends is None else [ends] if isinstance(ends, int) else list(ends)
    return GenerationConfig(
        max_new_tokens=held.tokens,
        do_sample=False,
        num_beams=1,
        repetition_penalty=1.0,
        no_repeat_ngram_size=0,
        suppress_tokens=list(held.banned) or None,
        eos_token_id=ends or [tokenizer.eos_token_id],
        pad_token_id=tokenizer.pad_token_id,
    )


def replies(
    trainer: Any, rows: Sequence[dict[str, Any]], config: GenerationConfig, count: int = 1
) -> list[tuple[str, str]]:
    """`count` completions of each row, one row after the other: the text, and "stop" or "length" for how it ended.

    rows: with `prompt` and `images`; the prompts are built as in training.
    """
    processor = trainer.processing_class
    shown = [prepare_multimodal_messages(row["prompt"], images=row["images"]) for row in rows]
    once = why_not(trainer.model) is None
    fields = processor.apply_chat_template(
        shown,
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        **({} if once else {"padding": True, "padding_side": "left", "return_tensors": "pt"}),
        **(getattr(trainer.args, "chat_template_kwargs", None) or {}),
    )
    if trainer.sharded:
        refuse_mixture([bool(row["images"]) for row in rows])
    with unwrapped(trainer) as model:
        if once:
            numbers = [n for n in range(len(rows)) for _ in range(count)]
            others = {name: values for name, values in fields.items() if name not in ("input_ids", "attention_mask")}
            counts = [len(row["images"]) for row in rows]
            made = complete(model, unique_prompts(model, numbers, fields["input_ids"], others, counts), config)
        else:
            given = fields.to(next(model.parameters()).device, dtype=model.dtype)
            with torch.no_grad():
                output = model.generate(**given, generation_config=config, num_return_sequences=count)
            made = output[:, given["input_ids"].shape[1] :].tolist()
    ends = set(torch.as_tensor(config.eos_token_id).flatten().tolist())
    found = []
    for tokens in made:
        end = next((n for n, token in enumerate(tokens) if token in ends), None)
        text = processor.tokenizer.decode(tokens[:end], skip_special_tokens=True)
        found.append((text, "length" if end is None else "stop"))
    return found


@contextmanager
def unwrapped(trainer: Any) -> Iterator[Any]:
    """The model for one batch of completions, in all processes at once where its weights are sharded.

    DeepSpeed gathers them for it (but for `ds3_gather_for_generation: false`), else every pass does.
    """
    gather = getattr(trainer.args, "ds3_gather_for_generation", True)
    with unwrap_model_for_generation(
        trainer.model_wrapped,
        trainer.accelerator,
        gather_deepspeed3_params=gather,
        gradient_checkpointing_kwargs=trainer.args.gradient_checkpointing_kwargs,
    ) as model:
        if not trainer.sharded or (gather and not trainer.is_fsdp_enabled):
            yield model
        else:
            in_step = InStep(model, trainer.accelerator.device)
            yield in_step
            in_step.finish()


def share(trainer: Any, total: int) -> list[int]:
    """Which of `total` things fall to this process; where weights are sharded, as many to each, some to two."""
    me, processes = trainer.accelerator.process_index, trainer.accelerator.num_processes
    if trainer.sharded:
        return [number % total for number in range(me, math.ceil(total / processes) * processes, processes)]
    return list(range(me, total, processes))


def together(mine: Sequence[tuple[int, Any]]) -> list[Any]:
    """What all processes made of their share, once and in order. mine: with its number."""
    return [made for _, made in sorted(dict(gather_object(list(mine))).items())]


def numbers_of(items: Sequence[Item]) -> dict[str, float]:
    """What is logged of an evaluation; numbers that could not be measured are left out."""
    found = metrics_of(items)
    named = {"accuracy": found["answer_accuracy"], **{name: found[name] for name in HEADLINE[1:]}}
    named |= {f"rewards/{name}/mean": value for name, value in found["rewards"].items()}
    values = {name: estimate["value"] for name, estimate in named.items()}
    values["unparsed"] = found["n_unparsed"] / found["n"]
    return {name: value for name, value in values.items() if value is not None}


class Evaluates:
    """For trainers: `evaluate` asks the held-out samples.

    In several processes each asks a part; all get the same metrics.

    sharded: whether weights are only there inside of a forward pass, in which all processes have to take part.
    """

    sharded: bool

    def __init__(self, *args: Any, held_out: HeldOut | None = None, **kwargs: Any) -> None:
        self.held_out = held_out
        rows = None if held_out is None else held_out.rows
        super().__init__(*args, eval_dataset=rows, **kwargs)  # type: ignore[call-arg]
        trainer: Any = self
        self.sharded = trainer.is_fsdp_enabled or DistributedBackend(trainer.accelerator).is_zero3
        if held_out is not None and self.sharded:
            if trainer.is_fsdp_enabled and (reason := why_not(trainer.model)):
                raise InputError(
                    f"eval_data: with FSDP processes generate in step, which this model cannot: {reason}; use "
                    "DeepSpeed, or give checkpoints to `sifthinker eval`"
                )
            refuse_mixture([bool(pictures) for pictures in held_out.rows.with_format(None)["images"]])

    def evaluate(
        self, eval_dataset: Any = None, ignore_keys: Any = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        """Ask, grade, log and keep; returns the metrics.

        The arguments are those of transformers' trainer; only the held-out samples are ever asked.
        """
        trainer: Any = self
        held, start = self.held_out, time.perf_counter()
        assert held is not None  # without, `build_args` has refused evaluations
        with aside(trainer.model):
            items = self._items(held)
            spent = time.perf_counter() - start
            numbers = {**numbers_of(items), "runtime": spent, "samples_per_second": len(items) / spent}
            metrics = {f"{metric_key_prefix}_{name}": value for name, value in numbers.items()}
            # In eval mode: TRL would write and clear what it has gathered of the training otherwise.
            trainer.log(metrics)
        if trainer.is_world_process_zero():
            folder = Path(trainer.args.output_dir) / EVALS
            with disk_errors(folder):
                folder.mkdir(parents=True, exist_ok=True)
            lines = (json.dumps(item, ensure_ascii=False, allow_nan=False) + "\n" for item in items)
            atomic_write(folder / f"step-{trainer.state.global_step:06d}.jsonl", "".join(lines))
        trainer.control = trainer.callback_handler.on_evaluate(trainer.args, trainer.state, trainer.control, metrics)
        return metrics

    def _items(self, held: HeldOut) -> list[Item]:
        """The graded replies to all samples, in their order."""
        trainer: Any = self
        numbers = share(trainer, len(held.rows))
        size, bench = trainer.args.per_device_eval_batch_size, Dataset(Path(held.folder), "", "", len(held.rows))
        batches = [numbers[start : start + size] for start in range(0, len(numbers), size)]
        silent = trainer.args.disable_tqdm or not trainer.is_local_process_zero()
        mine: list[tuple[int, Item]] = []
        for batch in tqdm(batches, desc="evaluation", unit="batch", leave=False, disable=silent):
            rows = [held.rows[n] for n in batch]
            said = replies(trainer, rows, greedy(trainer, held))
            for n, row, (text, reason) in zip(batch, rows, said, strict=True):
                item = {"raw_reply": text, "finish_reason": reason, "reason": "", "error": None}
                mine.append((n, judge(about(row["sample"]) | item, row["sample"], bench)))
        return together(mine)

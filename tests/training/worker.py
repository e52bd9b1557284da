"""Runs that several processes make together, and what each process saw of them.

    torchrun --nproc_per_node 2 -m tests.training.worker CASES.json [STEP]

A case is a config of GRPO-SIF, or, without rewards, of the warm-up. What process N saw (`record`) goes to a file beside
the run folder, OUT-seen-N.pt. After STEP, if it is given, the first process is killed.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import DistributedType, PartialState
from accelerate.utils import gather_object
from transformers import TrainerCallback

from sifthinker.rewards import REWARDS
from sifthinker.sample import Sample
from sifthinker.trace import Trace
from sifthinker.training import grpo, run, sft, trl_adapter
from tests.training.mini import blind_to_even


def told(trainer: Any) -> list[list[int]]:
    """Completions that follow from sample and place in the group, whatever process a row is in."""
    first = trainer.accelerator.process_index * len(trainer._inputs)
    made = []
    for number, row in enumerate(trainer._inputs, first):
        rng = random.Random(f"{row['sample'].id} {number % trainer.num_generations} {trainer.window()}")
        area = f'<area>[{{"bbox_2d":[0.{rng.randint(1, 4)},0.2,0.{rng.randint(5, 9)},0.8],"depth":0.2}}]</area>'
        text = (
            f"<think>{area}<text>{'red ' * rng.randint(1, 5)}</text></think><answer>{'r' * rng.randint(1, 8)}</answer>"
        )
        made.append(trainer._tokenizer(text)["input_ids"])
    return made


def long_is_right(trace: Trace, sample: Sample) -> float:
    """Stands in for the grader: it tells the completions of a group apart."""
    return len(trace.answer or "") / 8


class Seen(TrainerCallback):
    """Keeps the gradients of every optimizer step, whole also where they are sharded."""

    def __init__(self) -> None:
        self.gradients: list[dict[str, torch.Tensor]] = []

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        self.gradients.append({n: whole(p.grad) for n, p in model.named_parameters() if p.grad is not None})


def whole(tensor: torch.Tensor) -> torch.Tensor:
    return (tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor).detach().clone()  # type: ignore[operator]


def record_run(values: dict[str, Any]) -> dict[str, Any]:
    """Run GRPO-SIF in this process (with those beside it) and return what it saw, gathered from all of them.

    Completions are those of `told`, but for configs that draw none (`do_sample: false`).
    """
    seen, trainers, advantages, completions, rolls = Seen(), [], [], [], []
    greedy = not (values.get("generation_kwargs") or {}).get("do_sample", True)
    kind = trl_adapter.SifGRPOTrainer
    init, generate, roll = kind.__init__, kind._generate_single_turn, kind._roll
    score = kind._generate_and_score_completions

    def remember(self: Any, *args: Any, callbacks: list[Any], **more: Any) -> None:
        trainers.append(self)
        init(self, *args, callbacks=[*callbacks, seen], **more)

    def scored(self: Any, inputs: Any) -> Any:
        output = score(self, inputs)
        advantages.append(self.accelerator.gather(output["advantages"]).clone())
        return output

    def generated(self: Any, *args: Any) -> Any:
        made = generate(self, *args)[0] if greedy else told(self)
        completions.append(gather_object(made))
        return made, None

    def rolled(self: Any, inputs: Any) -> Any:
        made, rewards = roll(self, inputs)
        rolls.append((self.window(), gather_object([row["sample"].id for row in inputs]), rewards.clone()))
        return made, rewards

    patched = {
        "__init__": remember, "_generate_and_score_completions": scored, "_generate_single_turn": generated,
        "_roll": rolled,
    }  # fmt: skip
    answer = blind_to_even if values.get("dynamic_sampling") else long_is_right
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(REWARDS, "answer", answer)
        for name, function in patched.items():
            patch.setattr(kind, name, function)
        grpo.train(values)
    (trainer,) = trainers
    return {
        "gradients": seen.gradients,
        "advantages": torch.stack(advantages),
        "completions": completions,
        "rolls": rolls,
        "visits": trainer.store._visits,
        "log": trainer.state.log_history,
        "sharing": trainer.sharing,
        "sharded": trainer.sharded,
    }


def record_warm_up(values: dict[str, Any]) -> dict[str, Any]:
    """Run the warm-up in this process (with those beside it) and return what it saw."""
    seen, trainers = Seen(), []
    init = trl_adapter.SifSFTTrainer.__init__

    def remember(self: Any, *args: Any, callbacks: list[Any], **more: Any) -> None:
        trainers.append(self)
        init(self, *args, callbacks=[*callbacks, seen], **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trl_adapter.SifSFTTrainer, "__init__", remember)
        sft.train(values)
    (trainer,) = trainers
    return {"gradients": seen.gradients, "log": trainer.state.log_history, "sharded": trainer.sharded}


def record(values: dict[str, Any]) -> dict[str, Any]:
    """Of a run of either stage."""
    return record_run(values) if "rewards" in values else record_warm_up(values)


def die_after(step: int) -> None:
    """End this process as a power cut does, once a step is logged."""
    write = run.LogHistory.on_log

    def on_log(self: Any, args: Any, state: Any, *rest: Any, **more: Any) -> None:
        write(self, args, state, *rest, **more)
        if state.global_step == step:
            os.kill(os.getpid(), signal.SIGKILL)

    run.LogHistory.on_log = on_log  # type: ignore[method-assign]


def shard_on_cpu() -> None:
    """Let accelerate shard weights on CPU, which torch can and accelerate turns on for accelerators alone."""
    init = PartialState.__init__

    def as_if_on_gpus(self: Any, *args: Any, **more: Any) -> None:
        init(self, *args, **more)
        if self.distributed_type is DistributedType.MULTI_CPU:
            self.distributed_type = DistributedType.MULTI_GPU

    PartialState.__init__ = as_if_on_gpus  # type: ignore[method-assign]


if __name__ == "__main__":
    if os.environ.get("ACCELERATE_USE_FSDP"):
        shard_on_cpu()
    if len(sys.argv) > 2 and os.environ["RANK"] == "0":
        die_after(int(sys.argv[2]))
    for case in json.loads(Path(sys.argv[1]).read_text()):
        found = record(case)
        rank = torch.distributed.get_rank()
        torch.save(found, Path(case["out"]).with_name(f"{Path(case['out']).name}-seen-{rank}.pt"))
    torch.distributed.destroy_process_group()

"""A data set and a model small enough to train in a test, and a run that kills itself."""

from __future__ import annotations

import os
import signal
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sifthinker.depth import DepthMap
from sifthinker.geometry import WHOLE, Box
from sifthinker.records import ShardWriter, to_row
from sifthinker.rewards import REWARDS
from sifthinker.sample import Sample
from sifthinker.trace import Area, Step, Trace
from sifthinker.training.tiny import TinyConfig, build_tiny

COLORS = {"red": (220, 30, 30), "green": (30, 180, 60), "blue": (40, 60, 220)}


def pairs(n: int) -> list[tuple[Sample, Trace]]:
    """A colored square on gray, nearer than the ground."""
    rng = np.random.default_rng(0)
    made = []
    for index in range(n):
        color = list(COLORS)[index % 3]
        x, y = rng.integers(4, 16, 2)
        photo, depth = np.full((32, 32, 3), 128, np.uint8), np.full((32, 32), 0.9, np.float32)
        photo[y : y + 12, x : x + 12], depth[y : y + 12, x : x + 12] = COLORS[color], 0.2
        box, values = Box(x / 32, y / 32, (x + 12) / 32, (y + 12) / 32), DepthMap(depth)
        sample = Sample(
            f"mini-{index}",
            Image.fromarray(photo),
            "What color is it?",
            color,
            values,
            boxes=(box,),
            meta={"task": "color"},
        )
        areas = [Area((b.quantized(),), (values.box_mean(b.quantized()),)) for b in (WHOLE, box)]
        made.append((sample, Trace((Step(areas[0], "I look."), Step(areas[1], f"It is {color}.")), color)))
    return made


def make(folder: Path, n: int = 12) -> tuple[Path, Path]:
    """Data set folder and model folder."""
    data = folder / "data"
    data.mkdir(parents=True)
    with ShardWriter(data) as writer:
        for sample, trace in pairs(n):
            writer.add(to_row(sample, trace, "mini", "test"))
    words = [t for s, trace in pairs(3) for t in (s.question, s.answer, *(step.text for step in trace.steps))]
    config = TinyConfig(width=32, layers=1, head_size=16, vision_width=32, vision_layers=1)
    return data, build_tiny(folder / "model", words, config)


def few_faults(trace: Trace, sample: Sample) -> float:
    """A reward with spread even for a model that knows nothing."""
    return 1 / (1 + len(trace.faults)) + 0.01 * len(trace.answer or "")


def partly_right(trace: Trace, sample: Sample) -> float:
    """Stands in for the grader, of which a model that knows nothing earns nothing but zeros."""
    return min(1.0, few_faults(trace, sample))


COMMON: dict[str, Any] = {
    "lora": False, "use_cpu": True, "bf16": False, "max_pixels": 1024, "gradient_checkpointing": False,
    "logging_steps": 1, "learning_rate": 1e-3, "report_to": "none", "disable_tqdm": True,
}  # fmt: skip
# Both stages: three steps an epoch, two epochs, and checkpoints amidst of each.
SFT = {**COMMON, "max_steps": 6, "per_device_train_batch_size": 4, "save_steps": 2}
GRPO = {
    # Six samples, two a step: steps 4 to 6 are second visits, which the progress bonus is about.
    **COMMON, "max_steps": 6, "limit": 6,
    "per_device_train_batch_size": 8, "num_generations": 4, "max_completion_length": 24,
    "save_steps": 2, "sheet_steps": 0, "beta": 0.04,
    "rewards": ["form", "answer", "progress", "focus", "tests.training.mini:few_faults"],
}  # fmt: skip


def blind_to_even(trace: Trace, sample: Sample) -> float:
    """A reward with spread for samples of odd number, and without for the others."""
    if int(sample.id.removeprefix("mini-")) % 2 == 0:
        return 0.5
    return zlib.crc32(repr(trace).encode()) / 2**32


def run_until_killed(stage: str, values: dict[str, Any], when: str) -> None:
    """Run a stage in this process and kill it with SIGKILL.

    when: the number of a step that is logged, or a place in the checkpoint of step 4: `weights`, of which a half is
    written, or `state`, just before `trainer_state.json`.
    """
    from transformers import TrainerState, modeling_utils

    from sifthinker.training import grpo, run, sft

    write = run.LogHistory.on_log

    def on_log(self: Any, args: Any, state: Any, *rest: Any, **more: Any) -> None:
        write(self, args, state, *rest, **more)
        if str(state.global_step) == when:
            os.kill(os.getpid(), signal.SIGKILL)

    save_weights, save_state = modeling_utils.safe_save_file, TrainerState.save_to_json

    def weights(tensors: Any, path: Any, *rest: Any, **more: Any) -> None:
        save_weights(tensors, path, *rest, **more)
        if when == "weights" and Path(path).parent.name == "checkpoint-4":
            os.truncate(path, Path(path).stat().st_size // 2)
            os.kill(os.getpid(), signal.SIGKILL)

    def state(self: Any, path: str) -> None:
        if when == "state" and Path(path).parent.name == "checkpoint-4":
            os.kill(os.getpid(), signal.SIGKILL)
        save_state(self, path)

    REWARDS["answer"] = partly_right
    run.LogHistory.on_log = on_log  # type: ignore[method-assign]
    modeling_utils.safe_save_file = weights
    TrainerState.save_to_json = state  # type: ignore[method-assign]
    {"sft": sft, "grpo": grpo}[stage].train(values)


if __name__ == "__main__":
    import json

    run_until_killed(sys.argv[1], json.loads(sys.argv[2]), sys.argv[3])

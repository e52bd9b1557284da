"""The whole path at small scale on one machine: data, a base model, warm-up, GRPO-SIF, evaluation, report.

Every stage is the same call that its command makes; nothing here trains, scores or draws by itself. A base model that
sees is needed first, as elsewhere: the small one is taught to answer without looking (`target: answer`), since from
random weights the few words that need eyes drown among the digits of the boxes.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .errors import InputError
from .records import atomic_write, disk_errors

GRPO_SHARE = 50
"""One GRPO scene for so many training scenes: few, so that each is visited several times and progress can act."""
TASKS = ("color_of_shape", "shape_of_color")
OBJECTS = (1, 1)
SIZE = (64, 64)
"""Scenes that two cores learn in minutes. With a second object, which one is meant takes many times as long."""


@dataclass(frozen=True)
class DemoConfig:
    """Sizes of the demo; the defaults of the command fit two cores and a quarter of an hour."""

    out: str
    samples: int
    base_steps: int
    sft_steps: int
    grpo_steps: int
    items: int
    seed: int = 0


def demo(config: DemoConfig, resume: bool = False) -> Path:
    """Run the stages that are not finished yet and print the table; returns the path of the report.

    Raises `InputError` when `config.out` holds something and `resume` is false, or a demo with other settings.
    """
    from .datagen.build import build_scenes
    from .evaluate import evaluate
    from .recipes import read_yaml
    from .report import print_table, report
    from .training import grpo, sft
    from .training.tiny import TinyConfig, build_tiny, texts

    out = Path(config.out)
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file; --out needs a folder")
    if out.exists() and any(out.iterdir()) and not resume:
        raise InputError(f"{out} is not empty: give --resume to go on with it, or another --out")
    with disk_errors(out):
        out.mkdir(parents=True, exist_ok=True)
    run = _Stages(config)

    def scenes(name: str, n: int, seed: int) -> Callable[[], Any]:
        return lambda: build_scenes(
            out / "data" / name, n, seed=seed, tasks=TASKS, objects=OBJECTS, size=SIZE, workers=2, resume=True
        )

    def training(stage: Any, recipe: str, steps: int, **more: Any) -> Callable[[], Any]:
        values = {**read_yaml(recipe), "max_steps": steps, "seed": config.seed, "resume": True}
        values |= {name: str(value) for name, value in more.items()}
        return lambda: stage.train(values)

    def evaluation(model: Path, name: str) -> Callable[[], Any]:
        return lambda: evaluate(
            str(model), held_out, out / "eval" / name, n=config.items, seed=config.seed, max_tokens=160
        )

    held_out = f"scenes:tasks={'+'.join(TASKS)},objects={OBJECTS[0]}-{OBJECTS[1]},size={SIZE[0]}x{SIZE[1]}"
    train_data, grpo_data = out / "data" / "train", out / "data" / "grpo"
    blank, base, warm, tuned = out / "blank", out / "base", out / "sft", out / "grpo"
    grpo_scenes = max(8, config.samples // GRPO_SHARE)
    run("1/9 training scenes", scenes("train", config.samples, config.seed + 1))
    run("2/9 scenes for GRPO-SIF", scenes("grpo", grpo_scenes, config.seed + 2))
    run(
        "3/9 a small model of the Qwen2.5-VL architecture",
        lambda: _fresh(blank, build_tiny, texts(train_data), TinyConfig(seed=config.seed)),
    )
    run(
        "4/9 the base model learns to answer",
        training(sft, "tiny-sft", config.base_steps, target="answer", model=blank, data=train_data, out=base),
    )
    run("5/9 evaluation of the base model", evaluation(base, "base"))
    run(
        "6/9 warm-up (SFT on gold traces)",
        training(sft, "tiny-sft", config.sft_steps, model=base, data=train_data, out=warm),
    )
    run("7/9 evaluation after the warm-up", evaluation(warm, "sft"))
    run("8/9 GRPO-SIF", training(grpo, "tiny-grpo", config.grpo_steps, model=warm, data=grpo_data, out=tuned))
    run("9/9 evaluation after GRPO-SIF", evaluation(tuned, "grpo"))
    page = report(out)
    print(print_table(out))
    print(f"report: {page.resolve()}")
    return page


def _fresh(folder: Path, build_tiny: Any, corpus: Iterable[str], config: Any) -> Path:
    shutil.rmtree(folder, ignore_errors=True)  # torn by a kill in the middle of saving
    return build_tiny(folder, corpus, config)


class _Stages:
    """Runs stages in order, says which and how long, and skips those that an earlier run finished.

    Raises `InputError` when the earlier run had other settings: its results would be shown as those of this one.
    """

    def __init__(self, config: DemoConfig) -> None:
        self.file = Path(config.out) / "stages.json"
        self.config = {key: value for key, value in asdict(config).items() if key != "out"}
        self.done: dict[str, float] = {}
        if not self.file.exists():
            return
        before = json.loads(self.file.read_text())
        if changed := [f"{k} {v} (now {self.config[k]})" for k, v in before["config"].items() if v != self.config[k]]:
            raise InputError(
                f"{config.out} was begun with other settings: {', '.join(changed)}; restore them or give another --out"
            )
        self.done = before["done"]

    def __call__(self, name: str, stage: Callable[[], Any]) -> None:
        if name in self.done:
            print(f"== {name}: done before", flush=True)
            return
        self._write()
        print(f"== {name}", flush=True)
        start = time.perf_counter()
        stage()
        self.done[name] = round(time.perf_counter() - start, 1)
        self._write()
        print(f"   {self.done[name]:.0f} s", flush=True)

    def _write(self) -> None:
        atomic_write(self.file, json.dumps({"schema": 1, "config": self.config, "done": self.done}, indent=2))

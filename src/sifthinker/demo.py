"""What the shipped model can do, and how it is taught more: evaluation, data, warm-up, GRPO-SIF, report.

Every stage is the same call that its command makes; nothing here trains, scores or draws by itself. sif-tiny is asked
about fresh scenes first; then it is taught a task that it has never seen, and asked about that before and after.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .errors import InputError
from .records import atomic_write, disk_errors

MODEL = "sif-tiny"
TASK = "extreme_object"
"""Of no family that the model was trained on."""
GRPO_SHARE = 20
"""One GRPO scene for so many training scenes: few, so that each is visited several times and progress can act."""
MAX_TOKENS = 400


@dataclass(frozen=True)
class DemoConfig:
    """Sizes of the demo; the defaults of the command fit two cores and a quarter of an hour."""

    out: str
    samples: int
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
            out / "data" / name, n, seed=seed, tasks=[TASK], workers=2, resume=True, style="listing"
        )

    def training(stage: Any, recipe: str, steps: int, **more: Any) -> Callable[[], Any]:
        values = {**read_yaml(recipe), "max_steps": steps, "seed": config.seed, "resume": True}
        values |= {name: str(value) for name, value in more.items()}
        return lambda: stage.train(values)

    def evaluation(name: str, model: str | Path, benchmark: str = f"scenes:tasks={TASK}") -> Callable[[], Any]:
        return lambda: evaluate(
            str(model), benchmark, out / "eval" / name, n=config.items, seed=config.seed, max_tokens=MAX_TOKENS
        )

    train_data, grpo_data = out / "data" / "train", out / "data" / "grpo"
    warm, tuned = out / "sft", out / "grpo"
    grpo_scenes = max(8, config.samples // GRPO_SHARE)
    run(f"1/8 {MODEL} on fresh scenes of what it knows", evaluation("known", MODEL, "scenes:split=train"))
    run(f"2/8 {MODEL} on a new task, {TASK}", evaluation("new", MODEL))
    run("3/8 scenes of the new task", scenes("train", config.samples, config.seed + 1))
    run("4/8 scenes for GRPO-SIF", scenes("grpo", grpo_scenes, config.seed + 2))
    run(
        "5/8 warm-up (SFT on gold traces)",
        training(sft, "tiny-sft", config.sft_steps, model=MODEL, data=train_data, out=warm),
    )
    run("6/8 evaluation after the warm-up", evaluation("new-sft", warm))
    run("7/8 GRPO-SIF", training(grpo, "tiny-grpo", config.grpo_steps, model=warm, data=grpo_data, out=tuned))
    run("8/8 evaluation after GRPO-SIF", evaluation("new-grpo", tuned))
    page = report(out)
    print(print_table(out))
    print(f"report: {page.resolve()}")
    return page


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

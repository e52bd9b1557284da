"""Several processes train as one does: gradients, rewards, advantages, progress store, rollout and log are the same."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from sifthinker.records import read_jsonl
from sifthinker.training.progress import ProgressStore
from sifthinker.training.run import find_checkpoint
from tests.conftest import REPOSITORY
from tests.training import mini

COLUMNS = ["form", "answer", "progress", "focus", "tests.training.mini:few_faults"]
# Two samples a step of four rows each; the last step visits samples again.
BASE = {**mini.GRPO, "rewards": COLUMNS, "max_steps": 3, "limit": 4, "save_steps": 3, "num_generations": 4, "rows": 8}
ENDS = list(range(20, 260, 8))
CASES: dict[str, dict[str, Any]] = {
    "whole groups": {},
    "a group over both": {"num_generations": 8},
    "parts of groups": {"rows": 12, "limit": 6},
    "several batches a step": {"gradient_accumulation_steps": 2, "limit": 8},
    "an adapter": {"num_generations": 8, "lora": True, "lora_r": 4, "gradient_checkpointing": True},
    "a curriculum": {"curriculum": "confidence"},
    "rows of TRL": {"rows": 12, "limit": 6, "prefix_sharing": "off", "scale_rewards": "group"},
    # Completions that end at other times in each process.
    "a rollout": {"generation_kwargs": {"do_sample": False, "eos_token_id": ENDS}, "max_steps": 1, "save_steps": 1},
}
"""Configs over `BASE`; `rows` are those of a batch over all processes."""
pytestmark = pytest.mark.timeout(900)

FSDP = {
    "ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2", "FSDP_AUTO_WRAP_POLICY": "TRANSFORMER_BASED_WRAP",
    "FSDP_RESHARD_AFTER_FORWARD": "true", "FSDP_CPU_RAM_EFFICIENT_LOADING": "true",
    "FSDP_STATE_DICT_TYPE": "FULL_STATE_DICT",
}  # fmt: skip
"""What `accelerate launch` makes of `recipes/accelerate/fsdp2.yaml`."""
WAYS = {"ddp": {}, "fsdp2": FSDP}
RUNS = [(way, name) for way in WAYS for name in CASES]
FIRST, LATER = 1e-5, 1e-3
"""Largest difference of gradients to their largest entry; from the second step on Adam has made much of rounding."""


def command(processes: int, *arguments: str) -> list[str]:
    """A module in several processes on this machine."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
    return [*launcher, "-m", *arguments]


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": f"{REPOSITORY}{os.pathsep}{REPOSITORY / 'src'}", "OMP_NUM_THREADS": "1", **more}


def config(name: str, made: tuple[Path, Path], out: Path, processes: int) -> dict[str, Any]:
    given = {**BASE, **CASES[name]}
    given["per_device_train_batch_size"] = given.pop("rows") // processes
    return {**given, "data": str(made[0]), "model": str(made[1]), "out": str(out)}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return mini.make(tmp_path_factory.mktemp("mini"))


@pytest.fixture(scope="module")
def seen(made: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], tuple]:
    """Of each way and case what one process saw, what each of two saw, and the run folder of the two."""
    from tests.training.worker import record_run

    found, folder = {}, tmp_path_factory.mktemp("one")
    one = {name: record_run(config(name, made, folder / name, 1)) for name in CASES}
    for way, variables in WAYS.items():
        folder = tmp_path_factory.mktemp(way)
        (folder / "cases.json").write_text(json.dumps([config(name, made, folder / name, 2) for name in CASES]))
        done = subprocess.run(
            command(2, "tests.training.worker", str(folder / "cases.json")), cwd=REPOSITORY,
            env=environment(**variables), capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-3000:]
        for name in CASES:
            both = [torch.load(folder / f"{name}-seen-{rank}.pt") for rank in range(2)]
            found[way, name] = one[name], both, folder / name
    return found


@pytest.mark.parametrize(("way", "name"), RUNS)
def test_two_processes_train_as_one(way: str, name: str, seen: dict) -> None:
    one, both, _ = seen[way, name]
    for process in both:
        assert process["sharded"] == (way == "fsdp2")
        assert process["sharing"] == one["sharing"] == (name != "rows of TRL")
        assert process["completions"] == one["completions"]
        assert torch.allclose(process["advantages"].flatten(), one["advantages"].flatten(), atol=1e-5)
        assert len(process["gradients"]) == len(one["gradients"]) > 0
        for step, (ours, theirs) in enumerate(zip(process["gradients"], one["gradients"], strict=True)):
            named = {key.removeprefix("module."): gradient for key, gradient in ours.items()}
            assert named.keys() == theirs.keys()
            assert len(named) > 5
            for key, gradient in theirs.items():
                off = (named[key] - gradient).abs().max() / gradient.abs().max().clamp(min=1e-8)
                assert off.item() < (LATER if step else FIRST), key


def test_the_rollout_ends_at_other_times_in_each_process(seen: dict) -> None:
    (completions,) = seen["ddp", "a rollout"][0]["completions"]
    longest = [max(map(len, half)) for half in (completions[:4], completions[4:])]
    assert longest[0] != longest[1]


@pytest.mark.parametrize(("way", "name"), RUNS)
def test_two_processes_keep_the_same_visits(way: str, name: str, seen: dict) -> None:
    one, both, out = seen[way, name]
    assert one["visits"]
    saved = ProgressStore()
    saved.load(find_checkpoint(out))  # type: ignore[arg-type]
    for visits in (both[0]["visits"], both[1]["visits"], saved._visits):
        assert visits == one["visits"]


@pytest.mark.parametrize(("way", "name"), RUNS)
def test_two_processes_log_the_same(way: str, name: str, seen: dict) -> None:
    one, both, out = seen[way, name]
    written = [row for _, row in read_jsonl(out / "log_history.jsonl")]
    expected = [row for row in one["log"] if "loss" in row]
    if name != "a rollout":
        assert min(row["reward_std"] for row in expected) > 0.1
    for log in (written, *(process["log"] for process in both)):
        rows = [row for row in log if "loss" in row]
        assert [row["step"] for row in rows] == [row["step"] for row in expected]
        for ours, theirs in zip(rows, expected, strict=True):
            for key in theirs.keys() - {"step_time"}:
                assert ours[key] == pytest.approx(theirs[key], rel=1e-3, abs=1e-6), key


def flags(made: tuple[Path, Path], out: Path) -> list[str]:
    """`grpo` with a recipe of the package and what makes it small, as a user would write it."""
    given = {**mini.GRPO, "rewards": COLUMNS, "per_device_train_batch_size": 4, "num_generations": 8, "max_steps": 4}
    values = {**given, "data": made[0], "model": made[1], "out": out, "lora_r": 4}
    return ["sifthinker", "grpo", "tiny-grpo", *(part for k, v in values.items() for part in (f"--{k}", str(v)))]


def losses(out: Path) -> list[tuple[int, float]]:
    return [(row["step"], row["loss"]) for _, row in read_jsonl(out / "log_history.jsonl") if "loss" in row]


def workers(launcher: int) -> Iterator[int]:
    for pid in Path(f"/proc/{launcher}/task/{launcher}/children").read_text().split():
        if b"sifthinker" in Path(f"/proc/{pid}/cmdline").read_bytes():
            yield int(pid)


def test_the_command_line_in_two_processes_killed_and_resumed(made: tuple[Path, Path], tmp_path: Path) -> None:
    def run(*arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            command(2, *arguments), cwd=REPOSITORY, env=environment(), stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def done(process: subprocess.Popen[str]) -> tuple[int, str]:
        _, said = process.communicate(timeout=240)
        return process.returncode, said

    assert done(run(*flags(made, tmp_path / "whole")))[0] == 0
    killed = run(*flags(made, tmp_path / "killed"))
    while find_checkpoint(tmp_path / "killed") is None:
        assert killed.poll() is None
        time.sleep(0.05)
    os.kill(next(workers(killed.pid)), signal.SIGKILL)
    assert done(killed)[0] != 0
    code, said = done(run(*flags(made, tmp_path / "killed")))
    assert code != 0
    assert said.count("already holds a run: give --resume") == 1, "all processes have found it, one has said it"
    code, said = done(run(*flags(made, tmp_path / "killed"), "--resume"))
    assert code == 0, said[-2000:]
    assert [step for step, _ in losses(tmp_path / "killed")] == [1, 2, 3, 4]
    assert losses(tmp_path / "killed") == losses(tmp_path / "whole")
    assert not (tmp_path / "killed" / "cache").exists()

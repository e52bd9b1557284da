"""Several processes train as one does: gradients, rewards, advantages, progress store, rollout and log are the same."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from sifthinker.records import read_jsonl
from sifthinker.training.dynamic import tied
from sifthinker.training.progress import ProgressStore
from sifthinker.training.run import find_checkpoint
from tests.conftest import REPOSITORY
from tests.training import mini

COLUMNS = ["form", "answer", "progress", "focus", "tests.training.mini:few_faults"]
# Two samples a step of four rows each; the last step visits samples again.
BASE = {**mini.GRPO, "rewards": COLUMNS, "max_steps": 3, "limit": 4, "save_steps": 3, "num_generations": 4, "rows": 8}
ENDS = list(range(20, 260, 8))
# Three are no whole number for two processes.
WATCHED = {"eval_on_start": True, "eval_limit": 3, "per_device_eval_batch_size": 1}
CASES: dict[str, dict[str, Any]] = {
    "whole groups": {"save_steps": 1},
    "a group over both": {"num_generations": 8},
    "parts of groups": {"rows": 12, "limit": 6},
    "several batches a step": {"gradient_accumulation_steps": 2, "limit": 8},
    "an adapter": {"num_generations": 8, "lora": True, "lora_r": 4, "gradient_checkpointing": True, "save_steps": 1},
    "a curriculum": {"curriculum": "confidence"},
    "rows of TRL": {"rows": 12, "limit": 6, "prefix_sharing": "off", "scale_rewards": "group"},
    # Completions that end at other times in each process.
    "a rollout": {
        "generation_kwargs": {"do_sample": False, "eos_token_id": ENDS}, "max_completion_length": 48,
        "max_steps": 1, "save_steps": 1,
        **WATCHED, "sheet_steps": 1, "sheet_samples": 3,
    },
}  # fmt: skip
"""Configs over `BASE`; `rows` are those of a batch over all processes."""
SFT = {
    **mini.SFT, **WATCHED, "eval_tokens": 12, "max_steps": 3, "save_steps": 1, "rows": 4,
    "load_best_model_at_end": True,
}  # fmt: skip
WARM_UPS: dict[str, dict[str, Any]] = {
    "a warm-up": {},
    "a warm-up of an adapter": {"lora": True, "lora_r": 4, "gradient_checkpointing": True, "learning_rate": 1e-2},
}
"""Configs over `SFT`."""
# Which prompts take others' places depends on the number of processes, so there is no run of one to compare with.
DYNAMIC = {"rewards": ["answer", "progress"], "dynamic_sampling": 2, "limit": 12, "rows": 16, "max_steps": 2}
pytestmark = pytest.mark.timeout(900)

FSDP = {
    "ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2", "FSDP_AUTO_WRAP_POLICY": "TRANSFORMER_BASED_WRAP",
    "FSDP_RESHARD_AFTER_FORWARD": "true", "FSDP_CPU_RAM_EFFICIENT_LOADING": "true",
    "FSDP_STATE_DICT_TYPE": "FULL_STATE_DICT",
}  # fmt: skip
"""What `accelerate launch` makes of `recipes/accelerate/fsdp2.yaml`."""
WAYS = {"ddp": {}, "fsdp2": FSDP}
RUNS = [(way, name) for way in WAYS for name in CASES]
WARM_UP_RUNS = [(way, name) for way in WAYS for name in WARM_UPS]
QUIET = {"eval_runtime", "eval_samples_per_second", "num_tokens"}
"""What is never twice the same, and what is counted from the last start."""
FIRST, LATER = 1e-5, 1e-3
"""Largest difference of gradients to their largest entry; from the second step on Adam has made much of rounding."""


def command(processes: int, *arguments: str) -> list[str]:
    """A module in several processes on this machine."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
    return [*launcher, "-m", *arguments]


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": f"{REPOSITORY}{os.pathsep}{REPOSITORY / 'src'}", "OMP_NUM_THREADS": "1", **more}


def config(name: str, made: tuple[Path, Path], out: Path, processes: int) -> dict[str, Any]:
    over = {**{k: {**BASE, **v} for k, v in CASES.items()}, **{k: {**SFT, **v} for k, v in WARM_UPS.items()}}
    given = {**over, "dynamic sampling": {**BASE, **DYNAMIC, "save_steps": 2}}[name]
    given["per_device_train_batch_size"] = given.pop("rows") // processes
    if "eval_limit" in given:
        given["eval_data"] = str(made[0])
    return {**given, "data": str(made[0]), "model": str(made[1]), "out": str(out)}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return mini.make(tmp_path_factory.mktemp("mini"))


def in_two(folder: Path, cases: list[dict[str, Any]], way: str, *more: str) -> subprocess.CompletedProcess[str]:
    """Run cases one after another in two processes; see `worker`."""
    (folder / "cases.json").write_text(json.dumps(cases))
    return subprocess.run(
        command(2, "tests.training.worker", str(folder / "cases.json"), *more), cwd=REPOSITORY,
        env=environment(**WAYS[way]), capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip


def what_both_saw(out: Path) -> list[dict[str, Any]]:
    return [torch.load(out.with_name(f"{out.name}-seen-{rank}.pt")) for rank in range(2)]


@pytest.fixture(scope="module")
def seen(made: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], tuple]:
    """Of each way and case what one process saw, what each of two saw, and the run folders of the one and the two."""
    from tests.training.worker import record

    found, alone = {}, tmp_path_factory.mktemp("one")
    one = {name: record(config(name, made, alone / name, 1)) for name in (*CASES, *WARM_UPS)}
    for way in WAYS:
        folder = tmp_path_factory.mktemp(way)
        names = (*one, "dynamic sampling")
        done = in_two(folder, [config(name, made, folder / name, 2) for name in names], way)
        assert done.returncode == 0, done.stderr[-3000:]
        for name in names:
            found[way, name] = one.get(name), what_both_saw(folder / name), alone / name, folder / name
    return found


def same_gradients(ours: list[dict[str, torch.Tensor]], theirs: list[dict[str, torch.Tensor]]) -> None:
    """By step and parameter."""
    assert len(ours) == len(theirs) > 0
    for step, (mine, expected) in enumerate(zip(ours, theirs, strict=True)):
        named = {key.removeprefix("module."): gradient for key, gradient in mine.items()}
        assert named.keys() == expected.keys()
        assert len(named) > 5
        for key, gradient in expected.items():
            off = (named[key] - gradient).abs().max() / gradient.abs().max().clamp(min=1e-8)
            assert off.item() < (LATER if step else FIRST), key


@pytest.mark.parametrize(("way", "name"), RUNS)
def test_two_processes_train_as_one(way: str, name: str, seen: dict) -> None:
    one, both, *_ = seen[way, name]
    for process in both:
        assert process["sharded"] == (way == "fsdp2")
        assert process["sharing"] == one["sharing"] == (name != "rows of TRL")
        assert process["completions"] == one["completions"]
        assert torch.allclose(process["advantages"].flatten(), one["advantages"].flatten(), atol=1e-5)
        same_gradients(process["gradients"], one["gradients"])


@pytest.mark.parametrize(("way", "name"), WARM_UP_RUNS)
def test_two_processes_warm_up_as_one(way: str, name: str, seen: dict) -> None:
    one, both, _, out = seen[way, name]
    assert one["gradients"]
    for process in both:
        assert process["sharded"] == (way == "fsdp2")
        same_gradients(process["gradients"], one["gradients"])
    expected = [row for row in one["log"] if "loss" in row]
    for log in ([row for _, row in read_jsonl(out / "log_history.jsonl")], *(process["log"] for process in both)):
        rows = [row for row in log if "loss" in row]
        assert [row["step"] for row in rows] == [1, 2, 3]
        for ours, theirs in zip(rows, expected, strict=True):
            for key in theirs.keys() - {"step_time"}:
                assert ours[key] == pytest.approx(theirs[key], rel=1e-3, abs=1e-6), key


@pytest.mark.parametrize(("way", "name"), [*WARM_UP_RUNS, *((way, "a rollout") for way in WAYS)])
def test_two_processes_evaluate_as_one(way: str, name: str, seen: dict) -> None:
    one, both, alone, out = seen[way, name]
    said = [[item for _, item in read_jsonl(folder / "evals" / "step-000000.jsonl")] for folder in (alone, out)]
    assert len(said[0]) == 3
    assert [[i[k] for k in ("item_id", "raw_reply", "rewards")] for i in said[1]] == [
        [i[k] for k in ("item_id", "raw_reply", "rewards")] for i in said[0]
    ]
    for process in both:
        (first, *_), (expected, *_) = ([r for r in log["log"] if "eval_accuracy" in r] for log in (process, one))
        assert {k: v for k, v in first.items() if k not in QUIET} == {
            k: v for k, v in expected.items() if k not in QUIET
        }


@pytest.mark.parametrize(("way", "name"), WARM_UP_RUNS)
def test_two_processes_keep_their_best_weights(way: str, name: str, seen: dict) -> None:
    *_, out = seen[way, name]
    last: Any = find_checkpoint(out)
    best = Path(json.loads((last / "trainer_state.json").read_text())["best_model_checkpoint"])
    assert best.name != last.name
    (file,) = out.glob("*.safetensors")
    kept, first, newest = (load_file(folder / file.name) for folder in (out, best, last))
    assert all(torch.equal(kept[name], first[name]) for name in first)
    assert not all(torch.equal(kept[name], newest[name]) for name in newest)


@pytest.mark.parametrize("way", WAYS)
def test_two_processes_draw_the_sheet_of_one(way: str, seen: dict) -> None:
    _, _, alone, out = seen[way, "a rollout"]
    sheets = [json.loads((folder / "sheets" / "step-000000.json").read_text()) for folder in (alone, out)]
    assert [entry["id"] for entry in sheets[1]["samples"]] == ["mini-0", "mini-1", "mini-2"]
    assert sheets[0]["samples"] == sheets[1]["samples"]
    assert len({entry["rollouts"][0]["reply"] for entry in sheets[0]["samples"]}) > 1
    assert (out / "sheets" / "step-000001.png").exists()


@pytest.mark.parametrize("way", WAYS)
def test_two_processes_replace_groups_without_spread(way: str, seen: dict) -> None:
    _, both, _, out = seen[way, "dynamic sampling"]
    first, second = both
    assert first["rolls"]
    for (window, ids, rewards), (other, others, same) in zip(first["rolls"], second["rolls"], strict=True):
        assert (window, ids) == (other, others)
        assert torch.equal(rewards, same)
        groups = [set(ids[n : n + 4]) for n in range(0, len(ids), 4)]
        assert all(len(group) == 1 for group in groups)
        ties = tied(rewards, torch.ones(2)).flatten().tolist()
        assert ties == [int(min(group).removeprefix("mini-")) % 2 == 0 for group in groups]
    begun = {window: tied(rewards, torch.ones(2)).sum(dim=1).tolist() for window, _, rewards in first["rolls"][::-1]}
    assert any(mine != yours for mine, yours in begun.values()), "one process needed more than the other"
    for process in both:
        left = [row["dynamic_sampling/left"] for row in process["log"] if "loss" in row]
        spread = process["advantages"].view(len(left), 4, 4).any(dim=2)
        assert (~spread).float().mean(dim=1).tolist() == left == [0, 0]
        assert process["visits"] == first["visits"]
        assert {i for _, ids, _ in first["rolls"] for i in ids} == set(process["visits"])
    same_gradients(second["gradients"], first["gradients"])
    saved = ProgressStore()
    saved.load(find_checkpoint(out))  # type: ignore[arg-type]
    assert saved._visits == first["visits"]


def test_the_rollout_ends_at_other_times_in_each_process(seen: dict) -> None:
    (completions,) = seen["ddp", "a rollout"][0]["completions"]
    longest = [max(map(len, half)) for half in (completions[:4], completions[4:])]
    assert longest[0] != longest[1]


@pytest.mark.parametrize(("way", "name"), RUNS)
def test_two_processes_keep_the_same_visits(way: str, name: str, seen: dict) -> None:
    one, both, _, out = seen[way, name]
    assert one["visits"]
    saved = ProgressStore()
    saved.load(find_checkpoint(out))  # type: ignore[arg-type]
    for visits in (both[0]["visits"], both[1]["visits"], saved._visits):
        assert visits == one["visits"]


@pytest.mark.parametrize(("way", "name"), RUNS)
def test_two_processes_log_the_same(way: str, name: str, seen: dict) -> None:
    one, both, _, out = seen[way, name]
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


def test_a_run_of_cut_weights_killed_and_resumed(made: tuple[Path, Path], seen: dict, tmp_path: Path) -> None:
    names = "whole groups", "an adapter"
    cases = [config(name, made, tmp_path / name, 2) for name in names]
    killed = in_two(tmp_path, cases[:1], "fsdp2", "2")
    assert killed.returncode != 0
    # The other as it would be on disk if it had been killed in its second step, too.
    shutil.copytree(seen["fsdp2", names[1]][3], tmp_path / names[1])
    for path in (tmp_path / names[1]).iterdir():
        if path.name in ("checkpoint-2", "checkpoint-3"):
            shutil.rmtree(path)
        elif path.suffix == ".safetensors":
            path.unlink()
    done = in_two(tmp_path, [{**case, "resume": True} for case in cases], "fsdp2")
    assert done.returncode == 0, done.stderr[-3000:]
    for name in names:
        _, unbroken, _, whole = seen["fsdp2", name]
        assert losses(tmp_path / name) == losses(whole)
        for ours, expected in zip(what_both_saw(tmp_path / name), unbroken, strict=True):
            assert ours["visits"] == expected["visits"]
            assert len(ours["gradients"]) == 2, "steps 2 and 3"
            for mine, theirs in zip(ours["gradients"], expected["gradients"][1:], strict=True):
                assert all(torch.equal(mine[key], theirs[key]) for key in theirs)
        model = "model.safetensors" if name == names[0] else "adapter_model.safetensors"
        assert (tmp_path / name / model).read_bytes() == (whole / model).read_bytes()


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

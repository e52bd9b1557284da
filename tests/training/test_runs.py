"""Real runs of both stages on a tiny model: they learn, log, resume after kill -9, and refuse what is unsafe."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from sifthinker.errors import InputError
from tests.conftest import REPOSITORY
from tests.training import mini

STAGES = {"sft": mini.SFT, "grpo": mini.GRPO}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return mini.make(tmp_path_factory.mktemp("mini"))


def values_for(stage: str, made: tuple[Path, Path], out: Path, **more: Any) -> dict[str, Any]:
    return {**STAGES[stage], "data": str(made[0]), "model": str(made[1]), "out": str(out), **more}


def train(stage: str, values: dict[str, Any]) -> list[dict[str, Any]]:
    from sifthinker.training import grpo, sft

    {"sft": sft, "grpo": grpo}[stage].train(values)
    lines = (Path(values["out"]) / "log_history.jsonl").read_text().splitlines()
    return [row for row in map(json.loads, lines) if "loss" in row]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    from sifthinker.engines.processor import load_model

    return load_model(folder).state_dict()


@pytest.fixture(scope="module")
def unbroken(made: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, list[dict]]]:
    found = {}
    for stage in STAGES:
        out = tmp_path_factory.mktemp("unbroken") / stage
        found[stage] = out, train(stage, values_for(stage, made, out))
    return found


@pytest.mark.parametrize("stage", STAGES)
def test_training_changes_the_weights(stage: str, made: tuple[Path, Path], unbroken: dict) -> None:
    out, log = unbroken[stage]
    assert [row["step"] for row in log] == [1, 2, 3, 4]
    before, after = weights(made[1]), weights(out)
    assert sum(not torch.equal(before[name], after[name]) for name in before) > len(before) / 2


def test_warm_up_learns(unbroken: dict) -> None:
    losses = [row["loss"] for row in unbroken["sft"][1]]
    assert losses[-1] < losses[0]


def test_grpo_logs_every_reward_and_has_spread(unbroken: dict) -> None:
    row = unbroken["grpo"][1][0]
    names = ("form", "answer", "progress", "focus", "few_faults")
    assert all(f"rewards/{name}/mean" in row for name in names)
    assert row["rewards/few_faults/std"] > 0
    assert "first_box_hiou" in row


@pytest.mark.parametrize("stage", STAGES)
def test_killed_and_resumed_equals_unbroken(
    stage: str, made: tuple[Path, Path], unbroken: dict, tmp_path: Path
) -> None:
    values = values_for(stage, made, tmp_path / stage)
    command = [sys.executable, "-m", "tests.training.mini", stage, json.dumps(values), "3"]
    environment = {**os.environ, "PYTHONPATH": f"{REPOSITORY}{os.pathsep}{REPOSITORY / 'src'}"}
    killed = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, check=False)
    assert killed.returncode == -9, killed.stderr.decode()[-2000:]
    resumed = train(stage, {**values, "resume": True})
    expected = unbroken[stage][1]
    assert [row["step"] for row in resumed] == [1, 2, 3, 4], "neither lost nor doubled"
    assert [row["loss"] for row in resumed] == [row["loss"] for row in expected]
    assert [row["grad_norm"] for row in resumed] == [row["grad_norm"] for row in expected]


def test_a_run_is_not_overwritten_nor_resumed_with_other_settings(made: tuple[Path, Path], unbroken: dict) -> None:
    out = unbroken["sft"][0]
    values = values_for("sft", made, out)
    with pytest.raises(InputError, match="already holds a run: give --resume"):
        train("sft", values)
    with pytest.raises(InputError, match="started with other settings: learning_rate"):
        train("sft", {**values, "resume": True, "learning_rate": 5e-4})


def test_a_torn_checkpoint_is_passed_over(tmp_path: Path) -> None:
    from sifthinker.training.run import find_checkpoint

    for step, state in ((2, "{}"), (10, '{"global_st')):
        (tmp_path / f"checkpoint-{step}").mkdir()
        (tmp_path / f"checkpoint-{step}" / "trainer_state.json").write_text(state)
    assert find_checkpoint(tmp_path) == tmp_path / "checkpoint-2"


def test_adapter_is_continued_and_merged(made: tuple[Path, Path], tmp_path: Path) -> None:
    from sifthinker.training.merge import merge

    lora = {"lora": True, "lora_r": 4, "max_steps": 1, "save_strategy": "no"}
    train("sft", values_for("sft", made, tmp_path / "sft", **lora))
    log = train("grpo", values_for("grpo", made, tmp_path / "grpo", **lora, model=str(tmp_path / "sft")))
    assert log[0]["kl"] == pytest.approx(0, abs=1e-5), "the reference is the warmed-up adapter itself"
    merged = weights(merge(tmp_path / "grpo", tmp_path / "merged"))
    base = weights(made[1])
    changed = {name for name in base if not torch.allclose(base[name], merged[name], atol=1e-7)}
    assert changed
    assert not any("visual" in name for name in changed)
    with pytest.raises(InputError, match="no adapter here"):
        merge(made[1], tmp_path / "other")


def test_checkpoints_inside_a_window_are_refused(made: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="give a multiple of 2"):
        train("grpo", values_for("grpo", made, tmp_path / "g", steps_per_generation=2, save_steps=3))


def test_data_set_without_rows(made: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no data set here"):
        train("sft", values_for("sft", made, tmp_path / "s", data=str(tmp_path)))


def test_trl_still_has_the_methods_that_we_override() -> None:
    from trl import GRPOTrainer

    signatures = {
        "_calculate_rewards": ["self", "inputs", "prompts", "completions", "completion_ids_list"],
        "_tokenize_prompts": ["self", "prompts"],
        "_save_checkpoint": ["self", "model", "trial"],
        "_load_optimizer_and_scheduler": ["self", "checkpoint"],
        "_load_from_checkpoint": ["self", "resume_from_checkpoint", "model"],
    }
    for name, parameters in signatures.items():
        assert list(inspect.signature(getattr(GRPOTrainer, name)).parameters) == parameters

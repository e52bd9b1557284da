"""Recipes with stages: each goes on with the model before it, the whole is resumed, mistakes name their stage."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from sifthinker import cli
from sifthinker.errors import InputError
from sifthinker.recipes import read_yaml
from sifthinker.training.check import check
from sifthinker.training.stages import read_stages, train
from tests.training import mini

SMALL = {key: value for key, value in mini.COMMON.items() if key != "learning_rate"}
SFT: dict[str, Any] = {"stage": "sft", "max_steps": 2, "per_device_train_batch_size": 4, "save_steps": 1}
GRPO: dict[str, Any] = {
    "stage": "grpo", "max_steps": 2, "per_device_train_batch_size": 8, "num_generations": 4, "save_steps": 1,
    "max_completion_length": 16, "beta": 0.0, "rewards": ["form", "tests.training.mini:few_faults"],
}  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return mini.make(tmp_path_factory.mktemp("stages"))


def recipe(made: tuple[Path, Path], out: Path, **more: Any) -> dict[str, Any]:
    data = str(made[0])
    stages = [
        {"name": "look", **SFT, "data": data, "learning_rate": 1e-3},
        {"name": "answer", **SFT, "data": data, "learning_rate": 1e-4, "target": "answer", "freeze_vision": True},
        {"name": "reason", **GRPO, "data": data, "learning_rate": 1e-3, "freeze_vision": True},
    ]
    return {"model": str(made[1]), "out": str(out), **SMALL, "stages": stages, **more}


def weights(folder: Path) -> dict[str, torch.Tensor]:
    from sifthinker.engines.processor import load_model

    return load_model(folder).state_dict()


def config(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "training.json").read_text())["config"]


def test_stages_chain_with_their_own_data_rates_and_freezing(
    made: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "ladder"
    assert list(train(recipe(made, out))) == ["look", "answer", "reason"]
    assert [config(out / n)["model"] for n in ("look", "answer", "reason")] == [
        str(made[1]), str(out / "look"), str(out / "answer"),
    ]  # fmt: skip
    assert [config(out / n)["learning_rate"] for n in ("look", "answer", "reason")] == [1e-3, 1e-4, 1e-3]
    models = [weights(folder) for folder in (made[1], out / "look", out / "answer", out / "reason")]
    for before, after, frozen in zip(models[:3], models[1:], (False, True, True), strict=True):
        moved = {name for name in before if not torch.equal(before[name], after[name])}
        assert moved
        assert any("visual" in name for name in moved) is not frozen

    # Killed in the last stage, after its first checkpoint.
    done = [(out / name / "model.safetensors").stat().st_mtime_ns for name in ("look", "answer")]
    whole = (out / "reason" / "log_history.jsonl").read_text().splitlines()
    (out / "reason" / "model.safetensors").unlink()
    (out / "reason" / "checkpoint-2" / "trainer_state.json").write_text('{"torn')
    with pytest.raises(InputError, match=r"stage look: .*already holds a run: give --resume"):
        train(recipe(made, out))
    capsys.readouterr()
    assert list(train(recipe(made, out, resume=True))) == ["reason"]
    assert capsys.readouterr().out.count("done before") == 2
    assert [(out / name / "model.safetensors").stat().st_mtime_ns for name in ("look", "answer")] == done
    again = (out / "reason" / "log_history.jsonl").read_text().splitlines()
    losses = [[json.loads(line).get("loss") for line in lines] for lines in (whole, again)]
    assert losses[0] == losses[1]
    with pytest.raises(InputError, match=r"stage answer: .* started with other settings: learning_rate"):
        train(recipe(made, out, resume=True, **{"answer.learning_rate": "3e-4"}))


def test_the_command_takes_flags_for_all_and_for_one(made: tuple[Path, Path], tmp_path: Path) -> None:
    given = recipe(made, tmp_path / "out")
    del given["max_pixels"]
    given["stages"][0]["name"] = "look-first"
    (tmp_path / "ladder.yaml").write_text(yaml.safe_dump({**given, "stages": given["stages"][:2]}))
    flags = ["--look-first.max-steps", "1", "--max-pixels", "1024", "--look-first.save-strategy=no"]
    assert cli.run(["train", *flags, str(tmp_path / "ladder.yaml")]) == 0
    found = [config(tmp_path / "out" / name) for name in ("look-first", "answer")]
    assert [one["max_steps"] for one in found] == [1, 2]
    assert [one["max_pixels"] for one in found] == [1024, 1024]
    with pytest.raises(InputError, match="max_steps stands above the stages and in the stage look-first: say it once"):
        read_stages({**given, "max_steps": "1"})


def wrong(made: tuple[Path, Path], out: Path, change: Any) -> dict[str, Any]:
    values = recipe(made, out)
    change(values)
    return values


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: v.pop("stages"), "no list of stages in this config: run it with `sifthinker sft`"),
        (lambda v: v.pop("out"), "config field out is missing"),
        (lambda v: v.pop("model"), "stage look: config field model is missing: the first stage needs one"),
        (lambda v: v["stages"][1].update(name="look"), "stages need names that differ .*, got look, look"),
        (lambda v: v["stages"][1].update(name="../x"), "stages need names that differ and can be folders"),
        (lambda v: v["stages"][1].update(stage="stf"), "stage answer: unknown kind of stage 'stf': did you mean 'sft'"),
        (lambda v: v["stages"][2].update(learning_rat=1), "stage reason: unknown config field 'learning_rat'"),
        (lambda v: v["stages"][2].update(num_generations=3), "stage reason: .*refuses these settings"),
        (lambda v: v["stages"][2].update(data="nowhere"), "stage reason: nowhere: no data set here"),
        (lambda v: v.update({"lok.limit": "3"}), "--lok.limit: there is no such stage; there are look, answer, reason"),
    ],
)  # fmt: skip
def test_mistakes_name_their_stage_before_the_first_begins(
    made: tuple[Path, Path], tmp_path: Path, change: Any, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        train(wrong(made, tmp_path / "out", change))
    assert not (tmp_path / "out").exists()


def test_a_recipe_with_stages_is_refused_where_one_is_wanted(made: tuple[Path, Path], tmp_path: Path, capsys) -> None:
    (tmp_path / "ladder.yaml").write_text(yaml.safe_dump(recipe(made, tmp_path / "out")))
    assert cli.run(["sft", str(tmp_path / "ladder.yaml")]) == 2
    assert "this config holds stages: run it with `sifthinker train`" in capsys.readouterr().err


def test_check_looks_at_the_first_stage_and_reads_the_others(made: tuple[Path, Path], tmp_path: Path) -> None:
    path = tmp_path / "ladder.yaml"
    path.write_text(yaml.safe_dump(recipe(made, tmp_path / "out")))
    found = check(str(path), out=tmp_path)
    assert found["ready"]
    assert found["plan"]["stage"] == "sft"
    assert found["plan"]["optimizer_steps"] == 2
    with pytest.raises(InputError, match=r"stage reason: .*did you mean 'focus'"):
        check(str(path), "--reason.rewards", "[fokus]", out=tmp_path)


def test_help_of_train_lists_the_fields_of_both_kinds(capsys) -> None:
    assert cli.run(["train", "--help"]) == 0
    out = capsys.readouterr().out
    assert "Every field of TRL's SFTConfig" in out
    assert "Every field of TRL's GRPOConfig" in out


@pytest.mark.parametrize("name", ["tiny-ladder", "qwen2.5-vl-3b-ladder"])
def test_recipes(name: str) -> None:
    stages = read_stages(read_yaml(name))
    assert [stage.name for stage in stages] == ["perception", "understanding", "cold-start", "reasoning"]
    assert [stage.kind for stage in stages] == ["sft", "sft", "sft", "grpo"]
    assert [stage.config.freeze_vision for stage in stages] == [False, True, True, True]
    assert [stage.config.target for stage in stages[:3]] == ["trace", "answer", "trace"]

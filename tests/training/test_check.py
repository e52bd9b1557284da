"""The dry run: a good set is ready, and every problem it looks for is reported."""

from __future__ import annotations

import dataclasses
import json
import warnings
from pathlib import Path
from typing import Any

import pytest

from sifthinker import cli
from sifthinker.datagen.build import build_scenes
from sifthinker.errors import InputError
from sifthinker.records import ShardWriter, read_rows, to_row
from sifthinker.rewards import REWARDS
from sifthinker.training.check import _decoded, check, summary
from tests.training import mini


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return mini.make(tmp_path_factory.mktemp("check"))


def write(folder: Path, pairs: list[tuple[Any, Any]]) -> str:
    folder.mkdir()
    with ShardWriter(folder) as writer:
        for sample, trace in pairs:
            writer.add(to_row(sample, trace, "mini", "test"))
    return str(folder)


def flags(made: tuple[Path, Path], *more: str) -> list[str]:
    return ["--data", str(made[0]), "--model", str(made[1]), "--max-pixels", "1024", *more]


def test_a_good_set_is_ready(made: tuple[Path, Path], tmp_path: Path) -> None:
    result = check(str(made[0]), out=tmp_path)
    assert result["ready"]
    assert result["gold_rewards"] == dict.fromkeys(REWARDS, 1.0)
    assert result["corrupted_rewards"]["answer_wrong"] == {"answer": 0.0}
    assert Path(result["contact_sheet"]).exists()
    lines = summary(result).splitlines()
    assert lines[-1] == "ready"
    assert any(line.startswith("  focus_lost (another area after the right one): correction 0.") for line in lines)
    assert any(line.endswith("later: neither pays nor costs): nothing that must fall") for line in lines)


def test_a_shard_that_is_gone_is_no_ready_set(tmp_path: Path) -> None:
    build_scenes(tmp_path / "s", 3, seed=1)
    assert check(str(tmp_path / "s"))["ready"]
    shards = tmp_path / "s/manifest.json"
    told = json.loads(shards.read_text())
    told["shards"].append({"file": "data-00001.parquet", "sha256": "0" * 64})
    shards.write_text(json.dumps(told))
    found = check(str(tmp_path / "s"))
    assert not found["ready"]
    assert found["problems"] == ["data-00001.parquet: not as it was when the data set was finished, or gone"]


def test_a_folder_with_a_model_tells_its_tokens(made: tuple[Path, Path], tmp_path: Path, capsys) -> None:
    found = check(str(made[0]), "--model", str(made[1]), "--max-pixels", "1024", out=tmp_path)
    assert found["tokens"] == check("tiny-sft", *flags(made), out=tmp_path)["tokens"]
    assert found["ready"]
    command = ["check", str(made[0]), "--max-pixels", "1024", "--model", str(made[1]), "--out", str(tmp_path), "--json"]
    assert cli.run(command) == 0
    assert json.loads(capsys.readouterr().out)["tokens"] == found["tokens"]
    assert cli.run(["check", "--help"]) == 0
    assert "--model" in capsys.readouterr().out
    with pytest.raises(InputError, match="model is missing"):
        check(str(made[0]), "--max-pixels", "1024", out=tmp_path)


def test_a_config_is_read_as_its_stage_reads_it(made: tuple[Path, Path], tmp_path: Path) -> None:
    sft = check("tiny-sft", *flags(made, "--max-steps", "-1", "--num-train-epochs", "2"), out=tmp_path)
    assert sft["plan"] == {
        "stage": "sft", "rows": 12, "prompts_per_step": 32, "rows_dropped_per_epoch": 0, "optimizer_steps": 2,
        "epochs": 2.0,
    }  # fmt: skip
    assert sft["tokens"]["prompt"]["min"] > 0
    assert sft["tokens"]["completion"]["min"] > 0
    grpo = check("--limit", "11", "tiny-grpo", *flags(made, "--max-steps=-1", "--num-train-epochs=2"), out=tmp_path)
    assert grpo["plan"] == {
        "stage": "grpo", "rows": 11, "prompts_per_step": 8, "rows_dropped_per_epoch": 3, "optimizer_steps": 2,
        "epochs": 2.0,
    }  # fmt: skip


def test_a_progress_reward_that_cannot_act_is_announced(made: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match=r"needs a second visit of each sample to act, and this run makes 1 epochs"):
        check("tiny-grpo", *flags(made, "--limit", "8", "--max-steps", "1"), out=tmp_path)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*progress reward")
        check("tiny-grpo", *flags(made, "--limit", "8", "--max-steps", "2"), out=tmp_path)


def test_the_model_may_be_an_adapter(made: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "adapter_config.json").write_text(f'{{"base_model_name_or_path": "{made[1]}"}}')
    found = check("tiny-grpo", *flags((made[0], tmp_path / "adapter")), out=tmp_path)
    assert found["tokens"] == check("tiny-grpo", *flags(made), out=tmp_path)["tokens"]


def test_problems_of_the_data(tmp_path: Path) -> None:
    (sample, trace), (bare, _), *_ = mini.pairs(3)
    bad = dataclasses.replace(sample, id="bad", answer="purple")
    found = check(write(tmp_path / "set", [(sample, trace), (bare, None), (bad, trace), (sample, trace)]))
    assert not found["ready"]
    for problem in (
        "row mini-1 has no trace",
        "row bad: gold earns 0.000 of answer, expected 1",
        "row bad: answer_wrong earns 0.000 of answer, expected less than gold",
        "id mini-0 stands 2 times; ids tell samples apart",
    ):
        assert problem in found["problems"]
    assert "not ready" in summary(found)


def test_rewards_that_are_blind_or_punish_the_wrong_thing(
    made: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def blind_in_one_row(trace: Any, sample: Any) -> float:
        return 1.0 if sample.id == "mini-3" else float(trace.answer == sample.answer)

    monkeypatch.setitem(REWARDS, "answer", blind_in_one_row)
    monkeypatch.setitem(REWARDS, "focus", lambda trace, sample: float(not trace.faults))
    problems = check(str(made[0]), out=tmp_path)["problems"]
    assert "row mini-3: answer_wrong earns 1.000 of answer, expected less than gold" in problems
    assert not any("mini-4: answer_wrong" in p for p in problems), "row by row, not the mean"
    assert "row mini-0: text_outside earns 0.000 of focus, expected 1.000 as gold" in problems


def fragile(trace: Any, sample: Any) -> float:
    return len(trace.steps[0].text) / 100


def test_rewards_of_the_users_own_are_tried_and_shown(
    made: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tried(name: str) -> dict[str, Any]:
        return check("tiny-grpo", *flags(made, "--rewards", f"[answer, progress, {name}]"), out=tmp_path)

    found = tried("tests.training.mini:few_faults")
    assert found["ready"], found["problems"]
    (name,) = found["gold_rewards"].keys() - REWARDS.keys()
    assert name == "tests.training.mini:few_faults"
    assert found["gold_rewards"][name] == pytest.approx(1 + 0.01 * sum(map(len, ("red", "green", "blue"))) / 3)
    assert found["corrupted_rewards"]["empty"][name] < 0.6
    with pytest.raises(
        InputError, match=r"test_check:fragile fails on a reply to row mini-0, .* IndexError.* \(here: 0"
    ):
        tried("tests.training.test_check:fragile")
    monkeypatch.setattr(mini, "few_faults", lambda trace, sample: float("nan"))
    with pytest.raises(InputError, match="few_faults: returned nan for sample mini-0; expected a number"):
        tried(name)
    monkeypatch.setattr(mini, "few_faults", lambda trace, sample: "good")
    with pytest.raises(InputError, match="few_faults: returned 'good' for sample mini-0; expected a number"):
        tried(name)
    monkeypatch.setattr(mini, "few_faults", lambda trace, sample: None if trace.faults else 1.0)
    found = tried(name)
    assert not found["ready"]
    assert any(f"{name} judges gold but not empty" in problem for problem in found["problems"])


def test_a_set_smaller_than_a_batch(made: tuple[Path, Path], tmp_path: Path) -> None:
    found = check("tiny-grpo", *flags(made, "--limit", "3"), out=tmp_path)
    assert found["problems"] == ["the data set is smaller than one batch: no optimizer step would be made"]


def test_what_would_end_the_training_command_ends_the_check(made: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "empty.yaml").write_text("learning_rate: 1e-4")
    (tmp_path / "file").write_text("")
    cases = [
        ([str(tmp_path / "empty.yaml")], {}, "config field model is missing"),
        (["tiny-grpo", *flags(made, "--num-generations", "7")], {}, "refuses these settings"),
        (["tiny-grpo", *flags(made, "--reward-weights", "[1,2]")], {}, "2 weights for 6 rewards"),
        (["tiny-sft", *flags(made, "--lr-scheduler-type", "kosine")], {}, "kosine"),
        (["tiny-grpo", *flags(made, "--rewards", "[fokus]")], {}, "did you mean 'focus'"),
        (["tiny-sft", *flags(made, "--model", str(tmp_path / "none"))], {}, "no such folder"),
        ([str(made[0])], {"out": tmp_path / "file"}, "file"),
        ([str(tmp_path)], {}, "no data set here"),
    ]
    for arguments, options, message in cases:
        with pytest.raises(InputError, match=message):
            check(*arguments, limit=4, **options)


def test_the_data_of_the_recipes_is_the_demo(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="runs/demo/data/train"):
        check("tiny-sft")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_rows_are_looked_at_all_over_the_set(made):
    data, _ = made
    pairs, unreadable = _decoded(str(data), None, 3, "source", [])
    assert not unreadable
    ids = [row["id"] for row in read_rows(data)]
    assert [sample.id for sample, _ in pairs] == [ids[0], ids[len(ids) // 3], ids[2 * len(ids) // 3]]
    assert check(str(data), limit=3)["total"] == len(ids)

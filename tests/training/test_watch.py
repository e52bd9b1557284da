"""Watching a run: evaluations, the best model, sheets and reports, none of which changes the training."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import GenerationConfig

from sifthinker.benchmarks.dataset import Dataset
from sifthinker.errors import InputError
from sifthinker.evaluate import evaluate
from sifthinker.records import ShardWriter, read_jsonl, to_row
from sifthinker.report import report
from sifthinker.rewards import REWARDS
from sifthinker.sample import parse_reply
from sifthinker.training import evaluation, run, sheets
from sifthinker.training.grpo import GrpoConfig
from sifthinker.training.sft import SftConfig
from tests.conftest import REPOSITORY
from tests.test_report import read
from tests.training import mini

STEPS = 4
STAGES: dict[str, dict[str, Any]] = {
    # Dropout, so that a random state that was not put back would show; and checkpointing, which generation turns off.
    "sft": {
        **mini.SFT, "max_steps": STEPS, "learning_rate": 1e-2, "gradient_checkpointing": True,
        "lora": True, "lora_r": 4, "lora_dropout": 0.1,
    },
    "grpo": {**mini.GRPO, "max_steps": STEPS, "num_generations": 4, "reward_weights": [1, 2, 1, 1, 0.5]},
}  # fmt: skip
WATCHED: dict[str, dict[str, Any]] = {
    "sft": {"eval_on_start": True, "eval_limit": 5, "eval_tokens": 24, "report_to": None},
    "grpo": {"eval_on_start": True, "eval_limit": 5, "sheet_steps": 2, "sheet_samples": 2, "report_to": None},
}
QUIET = {"eval_runtime", "eval_samples_per_second", "num_tokens"}
"""What is never twice the same, and what TRL's SFT counts from the last start."""


@pytest.fixture(scope="module", autouse=True)
def some_answers_are_partly_right() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(REWARDS, "answer", mini.partly_right)
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """Data set, model, and a data set of held-out samples."""
    folder = tmp_path_factory.mktemp("mini")
    data, model = mini.make(folder)
    held = folder / "held"
    held.mkdir()
    with ShardWriter(held) as writer:
        for sample, trace in mini.pairs(18)[12:]:
            writer.add(to_row(sample, trace, "mini", "test"))
    return data, model, held


def values_for(stage: str, made: tuple[Path, Path, Path], out: Path, **more: Any) -> dict[str, Any]:
    return {**STAGES[stage], "data": str(made[0]), "model": str(made[1]), "out": str(out), **more}


def watched(stage: str, made: tuple[Path, Path, Path], out: Path) -> dict[str, Any]:
    return values_for(stage, made, out, eval_data=str(made[2]), **WATCHED[stage])


def train(stage: str, values: dict[str, Any]) -> list[dict[str, Any]]:
    from sifthinker.training import grpo, sft

    {"sft": sft, "grpo": grpo}[stage].train(values)
    return [row for _, row in read_jsonl(Path(values["out"]) / "log_history.jsonl")]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    from sifthinker.engines.processor import load_model

    return load_model(folder).state_dict()


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.fixture(scope="module")
def runs(made: tuple[Path, Path, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Of each stage, the folder and the log of a run that is watched and of one that is not."""
    found: dict[str, Any] = {}
    for stage in STAGES:
        folder = tmp_path_factory.mktemp(stage)
        found[stage, "plain"] = folder / "plain", train(stage, values_for(stage, made, folder / "plain"))
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message="eval_data")
            found[stage] = folder / "watched", train(stage, watched(stage, made, folder / "watched"))
    return found


@pytest.fixture
def trainer(made: tuple[Path, Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The trainer of a GRPO run that has just ended."""
    found, plain = [], run.run

    def remember(trainer: Any, *rest: Any) -> Any:
        found.append(trainer)
        return plain(trainer, *rest)

    monkeypatch.setattr(run, "run", remember)
    train("grpo", {**watched("grpo", made, tmp_path / "run"), "max_steps": 1, "sheet_steps": 0, "report_to": "none"})
    return found[0]


# --- evaluation ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", STAGES)
def test_a_run_that_is_watched_is_the_same_run(stage: str, runs: dict[str, Any]) -> None:
    (out, log), (other, plain) = runs[stage], runs[stage, "plain"]
    trained = [row for row in log if "loss" in row]
    assert len(trained) == STEPS
    for row, expected in zip(trained, [row for row in plain if "loss" in row], strict=True):
        assert {k: v for k, v in row.items() if "time" not in k} == {
            k: v for k, v in expected.items() if "time" not in k
        }
    assert same(weights(out), weights(other))
    if stage == "grpo":
        stores = [json.loads((folder / "checkpoint-4" / "progress.json").read_text()) for folder in (out, other)]
        assert stores[0] == stores[1]


@pytest.mark.parametrize("stage", STAGES)
def test_an_evaluation_is_that_of_the_command(
    stage: str, runs: dict[str, Any], made: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    out, log = runs[stage]
    found = [row for row in log if "eval_accuracy" in row]
    assert [row["step"] for row in found] == [0, 2, 4]
    assert sorted(path.name for path in (out / "evals").iterdir()) == [f"step-{step:06d}.jsonl" for step in (0, 2, 4)]
    metrics = evaluate(str(out), Dataset(made[2], "held", "1", 6), tmp_path, limit=5, max_tokens=24)
    items = [item for _, item in read_jsonl(tmp_path / "items.jsonl")]
    kept = [item for _, item in read_jsonl(out / "evals" / "step-000004.jsonl")]
    assert len({item["raw_reply"] for item in items}) > 1, "replies that depend on the sample"
    names = ("item_id", "raw_reply", "finish_reason", "outcome", "value", "hiou", "trace", "rewards", "question")
    assert [[item[name] for name in names] for item in kept] == [[item[name] for name in names] for item in items]
    last = found[-1]
    assert last["eval_rewards/answer/mean"] == metrics["rewards"]["answer"]["value"] > 0
    assert (last["eval_accuracy"], last["eval_hiou"]) == (metrics["answer_accuracy"]["value"], metrics["hiou"]["value"])
    assert last["eval_valid_rate"] == metrics["valid_rate"]["value"]
    assert last["eval_unparsed"] == metrics["n_unparsed"] / 5
    before = [item["raw_reply"] for _, item in read_jsonl(out / "evals" / "step-000000.jsonl")]
    assert before != [item["raw_reply"] for item in kept], "the model in training is asked, not the first one"


@pytest.mark.parametrize("stage", STAGES)
def test_killed_and_resumed_is_watched_as_if_unbroken(
    stage: str, runs: dict[str, Any], made: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    values = watched(stage, made, tmp_path / stage)
    command = [sys.executable, "-m", "tests.training.mini", stage, json.dumps(values), "3"]
    environment = {**os.environ, "PYTHONPATH": f"{REPOSITORY}{os.pathsep}{REPOSITORY / 'src'}"}
    killed = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, check=False)
    assert killed.returncode == -9, killed.stderr.decode()[-2000:]
    resumed = train(stage, {**values, "resume": True})
    out, log = runs[stage]

    def told(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        rows = [row for row in rows if "loss" in row or "eval_accuracy" in row]
        return [{k: v for k, v in row.items() if k not in QUIET and "time" not in k} for row in rows]

    assert told(resumed) == told(log)
    for name in [p.relative_to(out) for p in (*out.glob("evals/*"), *out.glob("sheets/*.json"))]:
        assert (tmp_path / stage / name).read_bytes() == (out / name).read_bytes(), name


def test_what_is_done_aside_leaves_no_trace() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Dropout(0.5))

    def drawn() -> list[float]:
        return [random.random(), float(np.random.random()), float(torch.rand(1))]

    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    expected = drawn()
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    with suppress(KeyError), evaluation.aside(model, seed=5):
        assert not model.training
        first = float(torch.rand(1))
        drawn()
        raise KeyError
    assert model.training
    assert drawn() == expected
    with evaluation.aside(model, seed=5):
        assert float(torch.rand(1)) == first


def test_every_process_asks_a_part_and_knows_all(trainer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    held, parts = trainer.held_out, {}
    alone = trainer._items(held)

    def gather(mine: list[Any]) -> list[Any]:
        parts[trainer.accelerator.process_index] = mine
        return [pair for part in parts.values() for pair in part]

    monkeypatch.setattr(evaluation, "gather_object", gather)
    for rank in (1, 0):
        fake = SimpleNamespace(
            process_index=rank, num_processes=2, unwrap_model=lambda model: model, state=trainer.accelerator.state
        )
        monkeypatch.setattr(trainer, "accelerator", fake)
        items = trainer._items(held)
    assert [len(parts[rank]) for rank in (0, 1)] == [3, 2]
    assert [i["item_id"] for i in items] == [i["item_id"] for i in alone] == [f"mini-{n}" for n in range(12, 17)]
    assert [i["raw_reply"] for i in items] == [i["raw_reply"] for i in alone]


def test_other_families_are_asked_through_their_own_generate(trainer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [trainer.held_out.rows[n] for n in range(3)]
    trainer.model.eval()
    config = evaluation.greedy(trainer, trainer.held_out)
    ours = evaluation.replies(trainer, rows, config)
    monkeypatch.setattr(evaluation, "why_not", lambda model: "another family")
    assert evaluation.replies(trainer, rows, config) == ours
    assert len(set(ours)) > 1
    torch.manual_seed(0)
    drawn = evaluation.replies(trainer, rows, GenerationConfig(**{**config.to_dict(), "do_sample": True}), count=2)
    assert len(drawn) == 6
    assert drawn[0] != drawn[1]


def test_samples_that_are_trained_on_are_named(made: tuple[Path, Path, Path], tmp_path: Path) -> None:
    from sifthinker.training.data import load_rows

    def rows(limit: int) -> Any:
        return load_rows(made[0], 1024, 16, tmp_path, target=None, limit=limit)

    with pytest.warns(UserWarning, match=r"eval_data: 2 of 2 samples are trained on as well \(one is mini-0\)"):
        evaluation.HeldOut(rows(2), "held", 8, []).warn_of(rows(3))


# --- the best model --------------------------------------------------------------------------------------------------


@pytest.fixture
def falling(monkeypatch: pytest.MonkeyPatch) -> None:
    """Evaluations of which the second is the best."""
    values = iter([0.25, 0.5, 0.375, 0.5, 0.125, 0.125])
    measured = evaluation.numbers_of
    monkeypatch.setattr(evaluation, "numbers_of", lambda items: {**measured(items), "accuracy": next(values)})


def early(stage: str, made: tuple[Path, Path, Path], out: Path, **more: Any) -> list[dict[str, Any]]:
    stop = {"eval_data": str(made[2]), "eval_limit": 1, "patience": 2, "save_steps": 1, "max_steps": 6}
    return train(stage, values_for(stage, made, out, **stop, **more))


def ended_early_with_the_best(out: Path, log: list[dict[str, Any]]) -> None:
    assert [row["step"] for row in log if "loss" in row] == [1, 2, 3, 4]
    final = weights(out)
    assert same(final, weights(out / "checkpoint-2"))
    assert not same(final, weights(out / "checkpoint-4"))


@pytest.mark.usefixtures("falling")
def test_a_run_without_progress_ends_with_its_best_weights(made: tuple[Path, Path, Path], tmp_path: Path) -> None:
    log = early("sft", made, tmp_path / "run", eval_tokens=4, lora=False)
    ended_early_with_the_best(tmp_path / "run", log)
    state = json.loads((tmp_path / "run" / "checkpoint-4" / "trainer_state.json").read_text())
    assert (state["best_metric"], Path(state["best_model_checkpoint"]).name) == (0.5, "checkpoint-2")
    counter = state["stateful_callbacks"]["EarlyStoppingCallback"]["attributes"]
    assert counter == {"early_stopping_patience_counter": 2}


@pytest.mark.usefixtures("falling")
def test_a_run_that_was_ended_early_is_finished(
    made: tuple[Path, Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    log = early("sft", made, out, eval_tokens=4)
    final = (out / "adapter_model.safetensors").read_bytes()
    assert early("sft", made, out, eval_tokens=4, resume=True) == log
    assert f"{out}: finished at step 4 of 6, since evaluations got no better" in capsys.readouterr().out
    # Killed after its last checkpoint, before the best weights were written.
    (out / "adapter_model.safetensors").unlink()
    ended_early_with_the_best(out, early("sft", made, out, eval_tokens=4, resume=True))
    assert (out / "adapter_model.safetensors").read_bytes() == final


def test_a_resumed_run_goes_on_counting(
    made: tuple[Path, Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = iter([0.5, 0.375, 0.25])
    measured = evaluation.numbers_of
    monkeypatch.setattr(evaluation, "numbers_of", lambda items: {**measured(items), "accuracy": next(values)})
    early("sft", made, tmp_path / "run", eval_tokens=4)
    # As if it had been killed before the last checkpoint: one evaluation without a better one has been.
    shutil.rmtree(tmp_path / "run" / "checkpoint-3")
    (tmp_path / "run" / "adapter_model.safetensors").unlink()
    values = iter([0.375, 0.25])
    log = early("sft", made, tmp_path / "run", eval_tokens=4, resume=True)
    assert [row["step"] for row in log if "loss" in row] == [1, 2, 3]
    assert same(weights(tmp_path / "run"), weights(tmp_path / "run" / "checkpoint-1"))


@pytest.mark.usefixtures("falling")
def test_the_best_adapter_is_kept(made: tuple[Path, Path, Path], tmp_path: Path) -> None:
    log = early("sft", made, tmp_path / "run", eval_tokens=4)
    ended_early_with_the_best(tmp_path / "run", log)


@pytest.mark.usefixtures("falling")
def test_the_best_adapter_is_kept_beside_its_reference(made: tuple[Path, Path, Path], tmp_path: Path) -> None:
    lora = {"lora": True, "lora_r": 4}
    train("sft", values_for("sft", made, tmp_path / "sft", **lora, max_steps=1, save_strategy="no"))
    warmed = made[0], tmp_path / "sft", made[2]
    with warnings.catch_warnings():
        # Its dropout is none of the differences that the comparison with TRL's rows looks for.
        warnings.filterwarnings("error", message="prefix_sharing")
        log = early("grpo", warmed, tmp_path / "run", max_completion_length=8, **lora)
    ended_early_with_the_best(tmp_path / "run", log)


# --- settings --------------------------------------------------------------------------------------------------------


def resolved(stage: str, **values: Any) -> Any:
    from trl import GRPOConfig, SFTConfig

    from sifthinker.training import grpo, sft
    from sifthinker.training.config import split_config

    module, ours, trl = {"sft": (sft, SftConfig, SFTConfig), "grpo": (grpo, GrpoConfig, GRPOConfig)}[stage]
    values = {"model": "m", "data": "d", "out": "o", "use_cpu": True, "bf16": False, **values}
    return module.trl_args(*split_config(values, ours, trl))


@pytest.mark.parametrize(
    ("stage", "values", "message"),
    [
        ("sft", {"eval_strategy": "steps"}, "eval_strategy: .* give held-out samples with eval_data"),
        ("grpo", {"patience": 2}, "patience: .* give held-out samples with eval_data"),
        ("sft", {"eval_data": "h", "patience": 2, "eval_strategy": "no"}, "trainer refuses|eval_strategy says not"),
        ("sft", {"eval_data": "h", "patience": 0}, "patience 0: expected 1 or more"),
        ("sft", {"eval_data": "h", "eval_limit": 0}, "eval_limit 0: expected 1 or more"),
        (
            "sft",
            {"eval_data": "h", "patience": 2, "metric_for_best_model": "loss"},
            "'loss': not measured; known: accuracy, hiou",
        ),
        ("sft", {"eval_data": "h", "patience": 2, "save_steps": 3, "eval_steps": 2}, "multiple"),
        ("grpo", {"sheet_steps": -1}, "sheet_steps -1: expected 0 or more"),
        (
            "grpo",
            {"eval_data": "h", "save_strategy": "best", "eval_steps": 3, "steps_per_generation": 2},
            "eval_steps 3 falls inside of a generation window of 2",
        ),
        ("sft", {"report_to": "tensorbord"}, "report_to: unknown 'tensorbord'; known: none, all, .*wandb"),
    ],
)
def test_settings_that_cannot_be(stage: str, values: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        resolved(stage, **values)


def test_what_evaluations_are_where_nothing_else_is_said() -> None:
    args = resolved("grpo", eval_data="h", save_steps=20, num_generations=6, per_device_train_batch_size=6)
    assert (args.eval_strategy, args.eval_steps, args.load_best_model_at_end) == ("steps", 20, False)
    args = resolved("sft", eval_data="h", patience=3)
    assert (args.metric_for_best_model, args.greater_is_better, args.load_best_model_at_end) == ("accuracy", True, True)
    assert args.restore_callback_states_from_checkpoint
    args = resolved("sft", eval_data="h", save_strategy="best", metric_for_best_model="depth_error")
    assert args.greater_is_better is False
    assert resolved("sft", eval_data="h", save_strategy="epoch").eval_strategy == "epoch"
    assert resolved("sft").eval_strategy == "no"


def test_scaling_that_cancels_the_progress_reward_is_announced() -> None:
    with pytest.warns(UserWarning, match="group cancels the progress reward"):
        resolved("grpo", scale_rewards="group")
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*progress reward")
        assert resolved("grpo", num_train_epochs=2).scale_rewards == "batch"
        resolved("grpo", rewards=["answer"], num_train_epochs=1, scale_rewards="group")


def test_where_numbers_are_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolved("sft").report_to == resolved("grpo").report_to == ["tensorboard"]
    assert resolved("sft", report_to="none").report_to == []
    monkeypatch.setattr(run, "find_spec", lambda name: None)
    with pytest.warns(UserWarning, match="tensorboard is not installed"):
        assert resolved("sft").report_to == []
    for name in ("wandb", "trackio", "tensorboard"):
        with pytest.raises(InputError, match=f"{name} is not installed: pip install {name}"):
            resolved("grpo", report_to=[name])


# --- sheets ----------------------------------------------------------------------------------------------------------


def test_a_sheet_tells_what_every_rollout_earned(runs: dict[str, Any]) -> None:
    out, _ = runs["grpo"]
    samples = {sample.id: sample for sample, _ in mini.pairs(18)}
    folder = out / "sheets"
    assert sorted(path.name for path in folder.iterdir()) == [
        f"step-{step:06d}.{kind}" for step in (0, 2, 4) for kind in ("json", "png")
    ]
    sheet = json.loads((folder / "step-000004.json").read_text())
    assert sheet["step"] == 4
    assert sheet["weights"] == {"form": 1, "answer": 2, "progress": 1, "focus": 1, "few_faults": 0.5}
    assert [entry["id"] for entry in sheet["samples"]] == ["mini-12", "mini-13"], "the first that were held out"
    for entry in sheet["samples"]:
        assert len(entry["rollouts"]) == 4
        assert len({rollout["reply"] for rollout in entry["rollouts"]}) > 1, "drawn, not greedy"
        for rollout in entry["rollouts"]:
            trace = parse_reply(rollout["reply"], samples[entry["id"]])
            earned = rollout["rewards"]
            assert earned["answer"] == pytest.approx(mini.partly_right(trace, samples[entry["id"]]))
            assert rollout["total"] == pytest.approx(sum(sheet["weights"][name] * earned[name] for name in earned))
            assert rollout["answer"] == trace.answer
        assert sum(rollout["advantage"] for rollout in entry["rollouts"]) == pytest.approx(0, abs=1e-3)
    with Image.open(folder / "step-000004.png") as picture:
        assert picture.width > 1000
        assert picture.height > 800, "two samples"
    first = json.loads((folder / "step-000000.json").read_text())
    assert first["samples"] != sheet["samples"], "the policy has changed, and nothing else"


def test_advantages_are_those_of_trl(trainer: Any) -> None:
    rows = [trainer.train_dataset[n] for n in (0, 0, 0, 0, 1, 1, 1, 1)]
    trainer.model.train()
    for scale, how in [
        *((s, "sum_then_normalize") for s in ("batch", "group", "none")),
        ("batch", "normalize_then_sum"),
    ]:
        trainer.scale_rewards, trainer.multi_objective_aggregation = scale, how
        trainer._generate_and_score_completions(rows)
        paid = [list(trainer._logs["rewards"][name])[-8:] for name in trainer.reward_func_names]
        theirs = torch.tensor(list(trainer._logs["advantages"])[-8:])
        _, ours = sheets.advantages_of(torch.tensor(paid).T, trainer.reward_weights, 4, scale, how)
        assert theirs.abs().max() > 0.01
        assert torch.allclose(ours, theirs, atol=1e-5), (scale, how)


def test_a_reply_that_nobody_can_judge_has_no_advantage() -> None:
    nan = torch.nan
    values = torch.tensor([[1.0, nan], [0.0, nan], [nan, nan], [nan, nan]])
    totals, advantages = sheets.advantages_of(values, torch.tensor([2.0, 1.0]), 2, "none", "sum_then_normalize")
    assert totals[:2].tolist() == [2, 0]
    assert totals[2:].isnan().all()
    assert advantages.tolist() == [1, -1, 0, 0]


def test_boxes_are_drawn_in_the_color_of_the_rollout() -> None:
    from dataclasses import replace

    from sifthinker.draw import draw_group, hues

    (sample, trace), *_ = mini.pairs(1)
    colors = hues(2)
    heads, cells = ["form", "answer"], [["1.00", "red"], ["0.00", "-"]]

    def shown(traces: list[Any]) -> list[int]:
        """Pixels of each color left of the table."""
        pixels = np.asarray(draw_group(sample, traces, heads, cells).crop((0, 0, 760, 400))).reshape(-1, 3)
        return [int((pixels == color).all(axis=1).sum()) for color in colors]

    blind = replace(trace, steps=())
    assert min(shown([trace, blind])[0], shown([blind, trace])[1]) > 500
    assert shown([trace, blind])[1] == shown([blind, trace])[0] == 0


# --- where it is shown -----------------------------------------------------------------------------------------------


def test_tensorboard_has_curves_and_sheets_in_the_run_folder(runs: dict[str, Any]) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for stage in STAGES:
        (events,) = runs[stage][0].glob("runs/*")
        found = EventAccumulator(str(events)).Reload()
        assert [event.step for event in found.Scalars("eval/accuracy")] == [0, 2, 4]
        assert [event.step for event in found.Scalars("train/loss")] == [1, 2, 3, 4]
        assert ("sheet" in found.Tags()["images"]) == (stage == "grpo")
    assert [event.step for event in found.Images("sheet")] == [0, 2, 4]
    assert not (runs["sft", "plain"][0] / "runs").exists()


def test_the_page_shows_sheets_and_evaluations(runs: dict[str, Any], tmp_path: Path) -> None:
    path = report(runs["grpo"][0], tmp_path / "page.html")
    page = read(path)
    assert "held-out samples, greedy" in page.words
    assert page.tags.count("img") == 3
    for step in (0, 2, 4):
        assert f"Step {step}" in page.words
    assert path.stat().st_size < 3_000_000


def test_sheets_are_chosen_from_first_to_last(tmp_path: Path) -> None:
    from sifthinker.report import _sheets

    (tmp_path / "sheets").mkdir()
    for step in (0, 50, 100, 150, 200):
        Image.new("RGB", (8, 8)).save(tmp_path / "sheets" / f"step-{step:06d}.png")
    assert [step for step, _ in _sheets(tmp_path)] == [0, 100, 200]
    assert _sheets(tmp_path / "none") == []

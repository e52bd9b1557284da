"""A small study: killed in a training and in an evaluation, resumed, its figures worked out again from the items."""

from __future__ import annotations

import copy
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from sifthinker import cli
from sifthinker.errors import InputError
from sifthinker.metrics import LOWER_IS_BETTER
from sifthinker.recipes import read_yaml
from sifthinker.study import look, read_study, study
from sifthinker.study.spent import measure
from sifthinker.training.stages import read_stages
from sifthinker.training.trl_rewards import find_rewards
from tests.training import mini

SEEDS = [0, 3]
ROOT = Path(__file__).parents[1]


def recipe(made: tuple[Path, Path]) -> dict[str, Any]:
    data, model = map(str, made)
    common = {key: value for key, value in mini.COMMON.items() if key != "learning_rate"}
    sft = {**common, "stage": "sft", "data": data, "per_device_train_batch_size": 4, "save_steps": 6}
    grpo = {
        **common, "stage": "grpo", "data": data, "max_steps": 1, "limit": 2, "per_device_train_batch_size": 4,
        "num_generations": 2, "max_completion_length": 12, "sheet_steps": 0, "beta": 0.0, "learning_rate": 1e-3,
        "rewards": ["form", "tests.training.mini:few_faults", "sifthinker.rewards.focus:union_reward"],
    }  # fmt: skip
    return {
        "seeds": SEEDS,
        "reference": "answer",
        "benchmarks": {
            "known": {"benchmark": "dataset", "data": data, "max_tokens": 10},
            "first": {"benchmark": f"dataset:{data}", "limit": 4, "max_tokens": 10},
        },
        "rows": [
            {"name": "base", "about": "knows nothing", "model": model},
            {
                "name": "answer", "about": "answers at once", "model": model,
                "stages": [{**sft, "max_steps": 20, "target": "answer", "learning_rate": 8e-3}],
            },
            {
                "name": "both", "about": "goes on without depth", "from": "answer", "eval": {"depth": "none"},
                "against": "base",
                "stages": [
                    {**sft, "name": "words", "max_steps": 8, "target": "words", "depth": "none", "learning_rate": 8e-3},
                    grpo,
                ],
            },
        ],
    }  # fmt: skip


def run_until_killed(recipe: str, out: str, when: str) -> None:
    """Run a study in this process and kill it with SIGKILL when a step is logged, or an item of an evaluation written.

    when: STEP of the training or, with `item`, of the evaluation whose folder ends with PLACE, as `PLACE STEP`.
    """
    from sifthinker import evaluate, study
    from sifthinker.records import JsonlWriter
    from sifthinker.training import run

    place, number = when.split()
    log, write = run.LogHistory.on_log, JsonlWriter.write
    written: list[Any] = []

    def on_log(self: Any, args: Any, state: Any, *rest: Any, **more: Any) -> None:
        log(self, args, state, *rest, **more)
        if args.output_dir.endswith(place) and str(state.global_step) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    class Killing(JsonlWriter):
        def __init__(self, path: Path) -> None:
            super().__init__(path)
            self.here = str(path.parent).endswith(place)

        def write(self, value: Any) -> None:
            write(self, value)
            written.extend([value] if self.here else [])
            if len(written) == int(number):
                os.kill(os.getpid(), signal.SIGKILL)

    run.LogHistory.on_log = on_log  # type: ignore[method-assign]
    evaluate.JsonlWriter = Killing  # type: ignore[misc]
    study.study(recipe, out, resume=True)


def killed(path: Path, out: Path, when: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.test_study", str(path), str(out), when],
        cwd=ROOT, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr[-3000:]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    data, model = mini.make(tmp_path_factory.mktemp("made"))
    (data / "manifest.json").write_text(json.dumps({"schema": 1, "kept": 12}))
    return data, model


@pytest.fixture(scope="module")
def done(made: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, dict[str, Any]]:
    """The recipe, the folder and the result of a study that was killed in an evaluation and in a training."""
    folder = tmp_path_factory.mktemp("study")
    path, out = folder / "study.yaml", folder / "out"
    path.write_text(yaml.safe_dump(recipe(made)))
    killed(path, out, "answer/seed-0/eval/known 5")
    assert not (out / "answer" / "seed-0" / "eval" / "known" / "metrics.json").exists()
    assert not (out / "both").exists()
    killed(path, out, "answer/seed-3/sft 9")
    before = stamps(out)
    result = study(path, out, resume=True)
    after = stamps(out)
    finished = {p for p in before if "checkpoint" not in str(p) and "seed-3" not in str(p)}
    assert len(finished) >= 10
    assert {p: before[p] for p in finished} == {p: after[p] for p in finished}
    return path, out, result


def stamps(out: Path) -> dict[Path, int]:
    """When models and results of evaluations were written."""
    files = (p for name in ("*.safetensors", "metrics.json", "items.jsonl") for p in out.rglob(name))
    return {p: p.stat().st_mtime_ns for p in files}


def items(out: Path, row: str, seed: int, benchmark: str) -> dict[str, dict[str, Any]]:
    path = out / row / f"seed-{0 if row == 'base' else seed}" / "eval" / benchmark / "items.jsonl"
    return {item["item_id"]: item for item in map(json.loads, path.read_text().splitlines())}


def is_interval(low: float, high: float, runs: list[list[float]], resamples: int = 4000) -> bool:
    """Whether it is the 95 % interval of the mean of runs over the same items, each a photo of its own, by a loop.

    Means of few right and wrong answers are few numbers, so a quantile may be the next one; its share may not.
    """
    rng, means = np.random.default_rng(5), []
    array = np.array(runs)
    for _ in range(resamples):
        rows, columns = rng.integers(0, len(array), len(array)), rng.integers(0, array.shape[1], array.shape[1])
        means.append(array[rows][:, columns].mean())
    lowest, lower, higher, highest = np.quantile(means, [0.01, 0.04, 0.96, 0.99])
    return lowest - 1e-9 <= low <= lower + 1e-9 and higher - 1e-9 <= high <= highest + 1e-9


@pytest.mark.parametrize("benchmark", ["known", "first"])
@pytest.mark.parametrize(("metric", "field"), [("answer_accuracy", "value"), ("valid_rate", "valid"), ("hiou", "hiou")])
def test_the_figures_are_those_of_the_items(done: Any, benchmark: str, metric: str, field: str) -> None:
    _, out, result = done
    answer = [items(out, "answer", seed, benchmark) for seed in SEEDS]
    assert len(answer[0]) == {"known": 12, "first": 4}[benchmark]
    for row in result["rows"]:
        found = row["benchmarks"][benchmark]["metrics"][metric]
        own = [items(out, row["name"], seed, benchmark) for seed in SEEDS]
        values = [[float(one[i][field]) for i in answer[0]] for one in own]
        assert found["by_seed"] == pytest.approx([np.mean(v) for v in values])
        assert found["value"] == pytest.approx(np.mean(values))
        if found["value"] not in (0, 1):
            assert is_interval(found["low"], found["high"], values)
        if row["name"] == "answer":
            assert found["difference"] is None
            continue
        change = found["difference"]
        assert row["against"] == {"base": "answer", "both": "base"}[row["name"]]
        other = [items(out, row["against"], seed, benchmark) for seed in SEEDS]
        paired = [
            [v - float(a[i][field]) for v, i in zip(vs, a, strict=True)] for vs, a in zip(values, other, strict=True)
        ]
        assert change["by_seed"] == pytest.approx([np.mean(p) for p in paired])
        assert change["value"] == pytest.approx(np.mean(paired))
        assert is_interval(change["low"], change["high"], paired)
        clear = change["low"] > 0 or change["high"] < 0
        better = (change["low"] > 0) != (metric in LOWER_IS_BETTER)
        assert change["verdict"] == (None if not clear else "better" if better else "worse")


def test_what_was_trained_differs_so_that_the_figures_mean_something(done: Any) -> None:
    rows = {row["name"]: row for row in done[2]["rows"]}
    accuracy = {name: row["benchmarks"]["known"]["metrics"]["answer_accuracy"] for name, row in rows.items()}
    assert accuracy["base"]["value"] == 0.0
    assert accuracy["answer"]["value"] >= 0.3
    assert accuracy["base"]["difference"]["verdict"] == "worse"


def test_folders_resume_and_cost(done: Any, made: tuple[Path, Path]) -> None:
    _, out, result = done
    folders = {str(p.parent.relative_to(out)) for p in out.rglob("training.json") if "checkpoint" not in str(p)}
    assert folders == {
        f"{where}" for s in SEEDS for where in (f"answer/seed-{s}/sft", f"both/seed-{s}/words", f"both/seed-{s}/grpo")
    }
    steps = [
        json.loads(line)["step"] for line in (out / "answer/seed-3/sft/log_history.jsonl").read_text().splitlines()
    ]
    assert steps == [*range(1, 21), 20]
    assert len(json.loads((out / "answer" / "seed-3" / "times.json").read_text())) >= 1
    records = [json.loads((out / f"answer/seed-{s}/sft/training.json").read_text()) for s in SEEDS]
    assert [r["seed"] for r in records] == SEEDS
    both = json.loads((out / "both/seed-3/words/training.json").read_text())["config"]
    assert (both["model"], both["depth"]) == (str(out / "answer/seed-3/sft"), "none")
    cost = {row["name"]: row["compute"] for row in result["rows"]}
    assert (cost["answer"]["optimizer_steps"], cost["answer"]["samples"]) == (40, 160)
    assert (cost["both"]["optimizer_steps"], cost["both"]["samples"]) == (18, 72)
    assert cost["base"] == {"optimizer_steps": 0, "samples": 0, "wall_s": 0, "cpu_s": 0}
    assert cost["both"]["wall_s"] > 0
    assert cost["both"]["cpu_s"] > 0
    shown = next(iter(items(out, "both", 0, "known").values()))
    assert len(shown["image_hashes"]) == 1
    assert len(next(iter(items(out, "answer", 0, "known").values()))["image_hashes"]) == 2


def test_once_more_trains_and_asks_nothing_and_prints_the_same(done: Any, capsys: pytest.CaptureFixture[str]) -> None:
    path, out, result = done
    before, page = stamps(out), (out / "study.md").read_text()
    (out / "study.json").unlink()
    assert cli.run(["study", str(path), "--out", str(out), "--resume", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((out / "study.json").read_text()) == json.loads(json.dumps(result))
    assert stamps(out) == before
    assert (out / "study.md").read_text() == page
    assert "| base | 0.000 [0.000, " in page
    assert "- `base` is worse than `answer` in answer accuracy (-" in page
    assert " worse** |" in page
    assert "| both | goes on without depth | answer | 18 | 72 |" in page
    assert "| both<br>against base |" in page


def test_several_processes_share_the_rows(made: tuple[Path, Path], tmp_path: Path) -> None:
    values = recipe(made)
    values["rows"][2]["stages"].pop()
    path, out = tmp_path / "study.yaml", tmp_path / "out"
    path.write_text(yaml.safe_dump(values))
    command = [sys.executable, "-m", "sifthinker", "study", str(path), "--out", str(out), "--resume"]
    both = [subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=300)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    trained = [set(re.findall(r"== seed (\d), row (\w+): training", text)) for text in said]
    assert not trained[0] & trained[1]
    assert trained[0] | trained[1] == {(str(seed), row) for seed in SEEDS for row in ("answer", "both")}
    assert min(map(len, trained)) > 0
    assert len(list(out.rglob("items.jsonl"))) == 10
    assert json.loads((out / "study.json").read_text())["rows"][2]["compute"]["optimizer_steps"] == 16


def test_settings_that_changed_are_refused(done: Any, made: tuple[Path, Path], tmp_path: Path) -> None:
    path, out, _ = done
    with pytest.raises(InputError, match="out is not empty: give --resume to go on with the study in it"):
        study(path, out)
    other = recipe(made)
    other["rows"][2]["stages"][0]["learning_rate"] = 0.5
    (tmp_path / "other.yaml").write_text(yaml.safe_dump(other))
    with pytest.raises(InputError, match=r"row both: stage words: .* started with other settings: learning_rate"):
        study(tmp_path / "other.yaml", out, resume=True)
    other = recipe(made)
    other["benchmarks"]["first"]["limit"] = 3
    (tmp_path / "other.yaml").write_text(yaml.safe_dump(other))
    with pytest.raises(InputError, match=r"benchmark first: .*first was started with other settings: limit; restore"):
        study(tmp_path / "other.yaml", out, resume=True)


def test_the_recipes_of_the_package_are_read(tmp_path: Path) -> None:
    plan = read_study(read_yaml("sif-tiny-study"), tmp_path)
    assert len(plan.seeds) >= 3
    assert plan.rows["grpo"].against == "sampled"
    for name, row in plan.rows.items():
        if not row.stages:
            continue
        (stage,) = read_stages(plan.training(row, 0))
        rewarded = row.from_row
        assert stage.kind == ("grpo" if rewarded else "sft"), name
        given = plan.rows["grpo" if rewarded else "sif"].stages[0]
        assert (stage.trl["max_steps"], stage.config.data) == (given["max_steps"], given["data"]), name
        if rewarded:
            find_rewards(stage.config.rewards, stage.config.profile)
    hacked = read_study(read_yaml("sif-tiny-hacking"), tmp_path)
    for row in [row for row in hacked.rows.values() if row.stages]:
        (stage,) = read_stages(hacked.training(row, 0))
        find_rewards(stage.config.rewards, stage.config.profile)
    asked = read_study(read_yaml("sif-tiny-results"), tmp_path)
    assert not any(row.stages for row in asked.rows.values())


Change = Callable[[dict[str, Any]], Any]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r.pop("seeds"), "the recipe: seeds is missing"),
        (lambda r: r.update(sedes=1), "the recipe: unknown field 'sedes': did you mean 'seeds'"),
        (lambda r: r.update(seeds=[]), r"seeds: expected a list of whole numbers from 0, got \[\]"),
        (lambda r: r.update(seeds=[True]), "seeds: expected a list of whole numbers"),
        (lambda r: r.update(seeds=[1, 1]), "seeds: each once"),
        (lambda r: r.update(reference="bose"), "unknown reference 'bose': did you mean 'base'"),
        (lambda r: r["rows"][2].update(against="bose"), "row both: unknown row 'bose': did you mean 'base'"),
        (lambda r: r.update(benchmarks=[]), "benchmarks: expected `name: value` lines"),
        (lambda r: r["benchmarks"].update({"a/b": {"benchmark": "scenes"}}), "benchmark a/b: expected a name that can"),
        (lambda r: r["benchmarks"]["known"].pop("benchmark"), "benchmark known: benchmark is missing"),
        (lambda r: r["benchmarks"]["known"].update(resume=True), "benchmark known: unknown field 'resume'"),
        (lambda r: r["benchmarks"]["known"].update(n="many"), "benchmark known: .*n: expected int, got 'many'"),
        (lambda r: r["benchmarks"]["known"].update(limit=0), "benchmark known: limit 0: expected 1 or more"),
        (lambda r: r["benchmarks"]["known"].update(data="nowhere"), "row base, benchmark known: .*nowhere"),
        (lambda r: r["benchmarks"]["known"].update(depth="no-such/model"), "benchmark known: .*no-such/model"),
        (lambda r: r["benchmarks"]["known"].update(split="train"), "benchmark known: split train: splits are of"),
        (lambda r: r.update(rows=[]), "rows: expected a list of rows"),
        (lambda r: r["rows"].append(copy.deepcopy(r["rows"][0])), "row base: there are two of that name"),
        (lambda r: r["rows"][0].update(name="../x"), "row ../x: expected a name that can be a folder"),
        (lambda r: r["rows"][0].pop("about"), "row base: about is missing"),
        (lambda r: r["rows"][0].pop("model"), "row base: say what it begins with: `from: ROW` or `model: PATH`"),
        (lambda r: r["rows"][2].update(model="x"), "row both: say what it begins with: .*, one of them"),
        (lambda r: r["rows"][0].update(model="nowhere/x"), "row base: .*nowhere/x"),
        (lambda r: r["rows"][0].update(model="scripted:nowhere"), "row base: .*nowhere"),
        (lambda r: r["rows"][2].update({"from": "sif"}), "from sif: there is no such row above it; there are: base"),
        (lambda r: r["rows"][2].update(eval={"n": 3}), "row both: eval: n is not a row's own; only depth, max_tokens"),
        (lambda r: r["rows"][2].update(eval={"max_tokens": 0}), "row both: eval: max_tokens 0: expected 1 or more"),
        (lambda r: r["rows"][2].update(eval=[]), "row both: eval: expected `name: value` lines"),
        (lambda r: r["rows"][2].update(stages={"stage": "sft"}), "row both: stages: expected a list of stages"),
        (lambda r: r["rows"][2]["stages"][0].update(seed=5), "row both: stage words: seed is set by the study"),
        (lambda r: r["rows"][2]["stages"][0].update(name="eval"), "both: stage eval: the name is that of the folder"),
        (lambda r: r["rows"][2]["stages"][0].update(name="grpo"), "row both: stages need names that differ"),
        (lambda r: r["rows"][2]["stages"][0].update(stage="stf"), "row both: stage words: unknown kind of stage 'stf'"),
        (lambda r: r["rows"][2]["stages"][0].update(recipe="tiny-ladder"), "words: recipe tiny-ladder holds stages"),
        (lambda r: r["rows"][2]["stages"][0].update(recipe="tiny-sfd"), "row both: unknown recipe 'tiny-sfd'"),
        (lambda r: r["rows"][2]["stages"][0].update(target="word"), "stage words: unknown target 'word'"),
        (lambda r: r["rows"][2]["stages"][1].update(rewards=["fokus"]), "stage grpo: .*did you mean 'focus'"),
        (lambda r: r["rows"][2]["stages"][1].update(data="nowhere"), "stage grpo: nowhere: no data set here"),
        (lambda r: r["rows"][2]["stages"][1].update(eval_data="nowhere"), "stage grpo: nowhere: no data set here"),
    ],
)  # fmt: skip
def test_mistakes_are_told_before_the_first_training(
    made: tuple[Path, Path], tmp_path: Path, change: Change, message: str
) -> None:
    values = recipe(made)
    change(values)
    with pytest.raises(InputError, match=message):
        look(read_study(values, tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_a_stage_takes_its_recipe_first_and_its_own_fields_over_it(made: tuple[Path, Path], tmp_path: Path) -> None:
    values = recipe(made)
    values["rows"][1]["stages"] = [{"stage": "sft", "recipe": "tiny-sft", "data": str(made[0]), "max_steps": 7}]
    plan = read_study(values, tmp_path)
    look(plan)
    training = plan.training(plan.rows["answer"], 3)
    (stage,) = training["stages"]
    assert (training["seed"], training["model"]) == (3, str(made[1]))
    assert (stage["max_steps"], stage["per_device_train_batch_size"], stage["name"]) == (7, 32, "sft")
    assert not {"model", "out", "seed", "resume", "recipe"} & stage.keys()


def test_one_process_only(done: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InputError, match="a study runs in one process"):
        study(done[0], done[1], resume=True)


def test_seconds_of_a_killed_session_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sifthinker.study.spent.EVERY_S", 0.01)
    path = tmp_path / "times.json"
    with measure(path):
        pass
    with measure(path):
        while not path.exists() or len(json.loads(path.read_text())) < 2:
            time.sleep(0.01)  # what is written while it goes on is what a kill would leave
        assert json.loads(path.read_text())[1]["wall_s"] >= 0
    assert len(json.loads(path.read_text())) == 2


if __name__ == "__main__":
    run_until_killed(*sys.argv[1:])

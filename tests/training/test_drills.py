"""What goes wrong in long runs, done on purpose: a run ends in one line, or goes on, and never trains on nonsense."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from sifthinker import cli
from sifthinker.errors import EndpointError, InputError, SifError
from sifthinker.records import ShardWriter, to_row
from sifthinker.rewards import REWARDS, judge
from sifthinker.training import trl_adapter, windows
from sifthinker.training.check import check
from tests.conftest import REPOSITORY
from tests.openai_server import Failure, serve
from tests.training import mini
from tests.training.test_runs import small_disk, train, values_for, weights

SPREAD = {"rewards": ["tests.training.mini:few_faults"], "beta": 0.0, "max_completion_length": 12}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return mini.make(tmp_path_factory.mktemp("drills"))


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Every generation batch of the runs to come: ids by group, advantages by group, completion tokens."""
    seen: list[dict[str, Any]] = []
    score = trl_adapter.SifGRPOTrainer._generate_and_score_completions

    def watched(self: Any, inputs: Any) -> Any:
        made = score(self, inputs)
        size = self.num_generations
        seen.append(
            {
                "ids": [row["sample"].id for row in self._inputs][::size],
                "advantages": made["advantages"].view(-1, size),
                "tokens": made["completion_ids"][made["completion_mask"].bool()].tolist(),
            }
        )
        return made

    monkeypatch.setattr(trl_adapter.SifGRPOTrainer, "_generate_and_score_completions", watched)
    return seen


# --- tokens that stand for pictures --------------------------------------------------------------------------------


def eager_for_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Models that are loaded from now on want to write a picture above all."""
    from sifthinker.engines import local
    from sifthinker.training import run

    load = run.load_model

    def rigged(*args: Any, **options: Any) -> Any:
        model: Any = load(*args, **options)

        def wish(module: Any, inputs: Any, scores: torch.Tensor) -> torch.Tensor:
            wanted = torch.zeros_like(scores)
            wanted[..., [model.config.image_token_id, model.config.vision_start_token_id]] = 100.0
            return scores + wanted

        model.lm_head.register_forward_hook(wish)
        return model

    monkeypatch.setattr(run, "load_model", rigged)
    monkeypatch.setattr(local, "load_model", rigged)


def test_a_model_that_wants_to_write_pictures_writes_none(
    made: tuple[Path, Path], tmp_path: Path, batches: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sifthinker.engines.engine import request_for
    from sifthinker.engines.local import LocalEngine
    from sifthinker.engines.processor import load_processor, model_config, vision_ids

    processor: Any = load_processor(made[1])
    banned = vision_ids(processor, model_config(made[1]))
    tokenizer = processor.tokenizer
    assert set(tokenizer.convert_ids_to_tokens(banned)) == {
        "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>",
    }  # fmt: skip
    eager_for_pictures(monkeypatch)
    (theirs, *_) = tokenizer("e")["input_ids"]
    values = values_for("grpo", made, tmp_path / "run", **SPREAD, max_steps=1, save_strategy="no")
    train("grpo", {**values, "generation_kwargs": {"suppress_tokens": [theirs]}})
    sampled = set(batches[0]["tokens"])
    assert sampled, "something was written"
    assert not sampled & {*banned, theirs}, "neither ours, nor what the user forbids besides"
    with LocalEngine(made[1], device="cpu") as engine:
        requests = [request_for(sample, engine, max_tokens=8) for sample, _ in mini.pairs(2)]
        texts = [reply.text or "" for reply in engine.generate(requests)]
        assert all(texts)
        engine._banned = []
        assert not any(reply.text for reply in engine.generate(requests)), "this model would write nothing else"


# --- prompts that are too long -------------------------------------------------------------------------------------


def wide(folder: Path, sizes: list[int]) -> Path:
    """A data set of photos with these sides in pixels."""
    folder.mkdir()
    with ShardWriter(folder) as writer:
        for (sample, trace), side in zip(mini.pairs(len(sizes)), sizes, strict=True):
            writer.add(resized(to_row(sample, trace, "mini", "test"), side))
    return folder


def resized(row: dict[str, Any], side: int) -> dict[str, Any]:
    from sifthinker.records import from_row

    sample, trace = from_row(row)
    depth = sample.depth_map()
    assert depth is not None
    values = np.asarray(Image.fromarray(depth.values.astype(np.float32)).resize((side, side), Image.Resampling.NEAREST))
    photo = sample.photo().resize((side, side))
    big = mini.Sample(sample.id, photo, sample.question, sample.answer, mini.DepthMap(values), boxes=sample.boxes)
    return to_row(big, trace, "mini", "test")


SIZES = [32, 32, 320, 32, 480, 32]


@pytest.fixture(scope="module")
def mixed(made: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return wide(tmp_path_factory.mktemp("mixed") / "data", SIZES), made[1]


def test_tokens_are_counted_as_the_processor_counts_them_without_decoding(
    mixed: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from sifthinker.engines.processor import load_processor
    from sifthinker.records import read_rows
    from sifthinker.training.lengths import Ruler

    ruler = Ruler(load_processor(mixed[1], max_pixels=10**6), 10**6, 16)
    rows = list(read_rows(mixed[0]))
    real = list(ruler._processed(rows))
    assert len({row.prompt for row in real}) == 3
    assert ruler.lengths(rows, len(rows)) == real
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Image.Image, "load", lambda self: pytest.fail("decoded"))
        assert list(ruler._from_sizes(rows)) == real
    # A processor that tells other numbers than it makes is not believed.
    monkeypatch.setattr(type(ruler.processor), "_get_num_multimodal_tokens", lambda *_, **__: {"num_image_tokens": [3]})
    ruler._pictures.clear()
    assert list(ruler._from_sizes(rows)) != real
    assert ruler.lengths(rows, len(rows)) == real


class Kept(Exception):
    """Ends a run that has come as far as a test needs it."""


def longest_prompt(stage: str, values: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> tuple[list[str], int]:
    """The ids of the rows that a run trains on, and the tokens of the longest prompt that its processor made."""
    from sifthinker.training import grpo, sft

    module = {"sft": sft, "grpo": grpo}[stage]
    found: list[Any] = []
    trainer = {"sft": "SifSFTTrainer", "grpo": "SifGRPOTrainer"}[stage]

    def keep(**given: Any) -> Any:
        found.append((given["train_dataset"], given["processing_class"]))
        raise Kept

    monkeypatch.setattr(trl_adapter, trainer, keep)
    with pytest.raises(Kept):
        module.train(values)
    ((rows, processor),) = found
    texts = [processor.apply_chat_template(row["prompt"], tokenize=False, add_generation_prompt=True) for row in rows]
    ids = processor(text=texts, images=[row["images"] for row in rows])["input_ids"]
    return [row["sample"].id for row in rows], max(map(len, ids))


@pytest.mark.parametrize("stage", ["sft", "grpo"])
def test_prompts_that_are_too_long(
    stage: str, mixed: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = values_for(stage, mixed, tmp_path / "run", max_pixels=10**6, max_prompt_tokens=200)
    with pytest.raises(InputError, match=r"2 of 6 prompts are too long \(mini-2, mini-4; .* 200 are allowed by max_pr"):
        train(stage, values)
    with pytest.warns(UserWarning, match="2 of 6 prompts are too long .*: their rows are dropped"):
        ids, longest = longest_prompt(stage, {**values, "too_long": "drop"}, monkeypatch)
    assert ids == ["mini-0", "mini-1", "mini-3", "mini-5"]
    with pytest.warns(UserWarning, match="their pictures are made smaller"):
        ids, longest = longest_prompt(stage, {**values, "too_long": "resize"}, monkeypatch)
    assert len(ids) == 6
    assert 150 < longest <= 200
    with pytest.raises(InputError, match="2 do not fit even with pictures of 16 cells; set too_long to drop"):
        train(stage, {**values, "too_long": "resize", "max_prompt_tokens": 50})
    with pytest.raises(InputError, match="did you mean 'drop'"):
        train(stage, {**values, "too_long": "drops"})


def test_the_models_positions_are_a_limit_too(mixed: tuple[Path, Path], tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(mixed[1], model)
    config = json.loads((model / "config.json").read_text())
    config["text_config"]["max_position_embeddings"] = 512
    (model / "config.json").write_text(json.dumps(config))
    values = values_for("grpo", (mixed[0], model), tmp_path / "run", max_pixels=10**6, max_completion_length=400)
    with pytest.raises(InputError, match="112 are allowed by the model's 512 positions less the completion"):
        train("grpo", values)
    with pytest.raises(InputError, match="max_completion_length 512 leaves no room for prompts"):
        train("grpo", {**values, "max_completion_length": 512})
    with pytest.raises(InputError, match=r"2 of 6 .* allowed by the model's 512 positions less the completion"):
        train("sft", values_for("sft", (mixed[0], model), tmp_path / "run", max_pixels=10**6))


def test_check_says_what_the_run_will_do(mixed: tuple[Path, Path], tmp_path: Path) -> None:
    given = ["tiny-grpo", "--data", str(mixed[0]), "--model", str(mixed[1]), "--max-pixels", "1000000"]
    found = check(*given, "--max-prompt-tokens", "200", out=tmp_path)
    assert not found["ready"]
    assert any("2 of 6 prompts are too long (mini-2, mini-4" in problem for problem in found["problems"])
    found = check(*given, "--max-prompt-tokens", "200", "--too-long", "drop", out=tmp_path)
    assert found["too_long"].endswith("their rows are dropped")
    assert found["plan"]["rows"] == 4
    assert check(*given, out=tmp_path)["too_long"] == ""


def test_rows_are_never_cut(made: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="max_length: it would cut rows inside of their pictures"):
        train("sft", values_for("sft", made, tmp_path / "run", max_length=64))


# --- pictures that cannot be decoded -------------------------------------------------------------------------------


def broken(folder: Path, n: int, bad: set[int]) -> Path:
    """A data set of `n` rows in which some photos, and the depth of the last of them, are torn."""
    folder.mkdir()
    with ShardWriter(folder) as writer:
        for number, (sample, trace) in enumerate(mini.pairs(n)):
            row = to_row(sample, trace, "mini", "test")
            if number in bad:
                part = row["depth"] if number == max(bad) and len(bad) > 1 else row["images"][0]
                name = "png" if part is row["depth"] else "bytes"
                part[name] = part[name][:-30]
            writer.add(row)
    return folder


@pytest.mark.parametrize("stage", ["sft", "grpo"])
def test_a_torn_picture_does_not_end_a_run(stage: str, made: tuple[Path, Path], tmp_path: Path, batches: list) -> None:
    data = broken(tmp_path / "data", 12, {5})
    more = {"limit": 12, "max_steps": 6 if stage == "grpo" else 3, "save_strategy": "no"}
    if stage == "grpo":
        more.update(SPREAD)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        log = train(stage, values_for(stage, (data, made[1]), tmp_path / "run", **more))
    mine = [str(w.message) for w in told if "stands in" in str(w.message)]
    assert len(mine) == 1, "once, though it was met at every repeat"
    assert "row mini-5: its pictures cannot be decoded" in mine[0]
    assert log[-1]["unreadable_rows"] == 1
    if stage == "grpo":
        ids = [i for batch in batches for i in batch["ids"]]
        assert sorted(ids) == sorted(f"mini-{n if n != 5 else 6}" for n in range(12))


def test_many_torn_pictures_end_a_run_and_check_finds_them(made: tuple[Path, Path], tmp_path: Path) -> None:
    data = broken(tmp_path / "data", 12, {3, 4, 8})
    with pytest.raises(SifError, match=r"2 rows with pictures that cannot be decoded, 1 of 12 may be \(mini-[348], "):
        train("sft", values_for("sft", (data, made[1]), tmp_path / "run"))
    found = check(str(data), out=tmp_path)
    assert found["unreadable"] == ["mini-3", "mini-4", "mini-8"]
    assert found["rows"] == 9
    assert "3 of 12 rows cannot be decoded: training goes on without at most 1" in found["problems"]
    assert any("row mini-8: its pictures cannot be decoded" in problem for problem in found["problems"])


# --- a judge that is away ------------------------------------------------------------------------------------------


@pytest.fixture
def answers(made: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Completions that answer, each with a word of its own, so that the judge is asked about each."""
    from sifthinker.engines.processor import load_processor

    tokenizer: Any = load_processor(made[1]).tokenizer  # type: ignore[attr-defined]
    count = iter(range(10**6))

    def complete(model: Any, prompts: Any, config: Any) -> list[list[int]]:
        texts = [f"<answer>{'a' * (n % 3 + 1)} {n}</answer>" for n in (next(count) for _ in prompts.rows)]
        return [[*ids, tokenizer.eos_token_id] for ids in tokenizer(texts)["input_ids"]]

    monkeypatch.setattr(trl_adapter, "complete", complete)


class Moody:
    """A judge's handler that fails while `away`; `asked` counts the questions."""

    def __init__(self, away: Callable[[int], bool]) -> None:
        self.away, self.asked = away, 0

    def __call__(self, request: dict[str, Any]) -> str | Failure:
        self.asked += 1
        return Failure(503) if self.away(self.asked) else json.dumps({"score": self.asked % 7 / 7})


def judged(made: tuple[Path, Path], out: Path, url: str, **more: Any) -> dict[str, Any]:
    given = {**SPREAD, "rewards": [*SPREAD["rewards"], "answer", "progress"], "scale_rewards": "none", "save_steps": 1}
    return values_for("grpo", made, out, **{**given, "judge": f"m@{url}", "max_steps": 4, **more})


def impatient(monkeypatch: pytest.MonkeyPatch, **options: Any) -> None:
    given = {"patience_s": 0.0, "retries": 0, **options}
    monkeypatch.setattr(judge, "open_judge", partial(judge.open_judge, **given))


def test_a_judge_that_is_away_for_a_while_costs_nothing_but_time(
    made: tuple[Path, Path], tmp_path: Path, answers: None
) -> None:
    # More than the eight calls of a step try by themselves.
    with serve(Moody(lambda n: 8 < n <= 40)) as server, pytest.warns(UserWarning, match="waiting for it, at most 120"):
        log = train("grpo", judged(made, tmp_path / "run", server.url, max_steps=3))
    assert [row["judge_failures"] for row in log] == [0, 0, 0]


def test_groups_that_were_not_judged_are_trained_on_without_their_answer(
    made: tuple[Path, Path], tmp_path: Path, answers: None, batches: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    impatient(monkeypatch, max_failure_rate=0.5, concurrency=1)
    scored: list[torch.Tensor] = []
    score = trl_adapter.SifGRPOTrainer._score
    monkeypatch.setattr(trl_adapter.SifGRPOTrainer, "_score", lambda *a: scored.append(score(*a)) or scored[-1])
    # Of the second step, one reply of the first group, and all of the third step.
    with serve(Moody(lambda n: n == 10 or 16 < n <= 24)) as server:
        log = train("grpo", judged(made, tmp_path / "run", server.url))
    assert [row["judge_failures"] for row in log] == [0, 0.5, 1, 0]
    first, second = batches[1]["advantages"]
    own = scored[1][:4, 0]
    assert torch.allclose(first, own - own.mean(), atol=1e-6), "as if there were no judge"
    both = scored[1][4:].sum(dim=1)
    assert torch.allclose(second, both - both.mean(), atol=1e-6)
    assert all(abs(group.sum()) < 1e-5 for batch in batches for group in batch["advantages"])
    visits = json.loads((tmp_path / "run" / "checkpoint-4" / "progress.json").read_text())["visits"]
    unjudged = {batches[1]["ids"][0], *batches[2]["ids"]}
    judged_ids = {i for batch in batches for i in batch["ids"]} - unjudged
    assert judged_ids <= set(visits)
    assert all(window not in (1, 2) for i in unjudged for window, *_ in visits.get(i, ()))


def test_a_judge_that_stays_away_ends_the_run_which_can_be_resumed(
    made: tuple[Path, Path], tmp_path: Path, answers: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    impatient(monkeypatch)
    moody = Moody(lambda n: n > 8)
    with serve(moody) as server:
        values = judged(made, tmp_path / "run", server.url)
        with pytest.raises(EndpointError, match=r"8 of the last 16 calls failed, .*; mend the server and resume"):
            train("grpo", values)
        assert (tmp_path / "run" / "checkpoint-1" / "trainer_state.json").exists()
        moody.away = lambda n: False
        log = train("grpo", {**values, "resume": True})
    assert [row["step"] for row in log] == [1, 2, 3, 4]


# --- the disk, the power, and numbers that are none ----------------------------------------------------------------


def test_a_disk_that_is_full_at_a_checkpoint(made: tuple[Path, Path], tmp_path: Path, capsys) -> None:
    def flags(out: Path, *more: str) -> list[str]:
        values = values_for("sft", made, out, max_steps=4, save_total_limit="null")
        return ["sft", "tiny-sft", *(part for k, v in values.items() for part in (f"--{k}", str(v))), *more]

    assert cli.run(flags(tmp_path / "large")) == 0
    size = sum(file.stat().st_size for file in (tmp_path / "large" / "checkpoint-2").rglob("*"))
    with small_disk(tmp_path / "disk", f"{size * 3 // 2}") as disk:
        out = disk / "run"
        assert cli.run(flags(out)) == 2
        said = capsys.readouterr().err.splitlines()[-1]
        assert said.startswith(f"error: {out}: disk full at step 4; free some space")
        assert said.endswith("give --resume to go on from checkpoint-2")
        subprocess.run(["mount", "-o", f"remount,size={size * 6}", str(disk)], check=True)
        assert cli.run(flags(out, "--resume")) == 0
        expected, resumed = weights(tmp_path / "large"), weights(out)
        assert all(torch.equal(expected[name], resumed[name]) for name in expected)


FOUR = {"max_steps": 4, "save_steps": 2, "limit": 4}


@pytest.fixture(scope="module")
def unbroken(made: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, list]]:
    out = tmp_path_factory.mktemp("unbroken") / "grpo"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(REWARDS, "answer", mini.partly_right)
        yield out, train("grpo", values_for("grpo", made, out, **FOUR))


@pytest.mark.parametrize("place", ["weights", "state"])
def test_killed_within_a_checkpoint(place: str, made: tuple[Path, Path], unbroken: tuple, tmp_path: Path) -> None:
    values = values_for("grpo", made, tmp_path / "run", **FOUR)
    command = [sys.executable, "-m", "tests.training.mini", "grpo", json.dumps(values), place]
    environment = {**os.environ, "PYTHONPATH": f"{REPOSITORY}{os.pathsep}{REPOSITORY / 'src'}"}
    killed = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, check=False)
    assert killed.returncode == -9, killed.stderr.decode()[-2000:]
    torn = tmp_path / "run" / "checkpoint-4"
    assert (torn / "model.safetensors").exists(), "the checkpoint had begun"
    assert not (torn / "trainer_state.json").exists()
    log = train("grpo", {**values, "resume": True})
    assert [(row["step"], row["loss"]) for row in log] == [(row["step"], row["loss"]) for row in unbroken[1]]
    expected, resumed = weights(unbroken[0]), weights(tmp_path / "run")
    assert all(torch.equal(expected[name], resumed[name]) for name in expected)


@pytest.mark.parametrize("stage", ["sft", "grpo"])
def test_weights_that_are_no_numbers_reach_no_checkpoint(stage: str, made: tuple[Path, Path], tmp_path: Path) -> None:
    more = {"learning_rate": 1e30, "lr_scheduler_type": "constant", "logging_steps": 100, "save_steps": 3}
    more |= SPREAD if stage == "grpo" else {}
    found = r"step 3: (loss|grad_norm) is (nan|inf)" if stage == "sft" else r"step 1: the model's scores are no numbers"
    with pytest.raises(SifError, match=f"{found}, .* Go on from the last checkpoint"):
        train(stage, values_for(stage, made, tmp_path / "run", **more))
    assert not list((tmp_path / "run").glob("checkpoint-*"))


def test_a_weight_that_is_no_number_ends_grpo_before_it_writes(
    made: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sifthinker.training import run

    load = run.load_model

    def ruined(*args: Any, **options: Any) -> Any:
        model: Any = load(*args, **options)
        model.lm_head.weight.data[0, 0] = torch.nan
        return model

    monkeypatch.setattr(run, "load_model", ruined)
    with pytest.raises(SifError, match="step 0: a weight is no number"):
        train("grpo", values_for("grpo", made, tmp_path / "run", **SPREAD))


def not_a_number(trace: Any, sample: Any) -> float:
    return float("nan")


def test_a_reward_that_is_no_number_is_named(made: tuple[Path, Path], tmp_path: Path) -> None:
    rewards = ["tests.training.test_drills:not_a_number", "form"]
    with pytest.raises(
        SifError, match=r"reward not_a_number: returned nan for sample mini-\d; expected a number, or None"
    ):
        train("grpo", values_for("grpo", made, tmp_path / "run", rewards=rewards))


# --- dynamic sampling ----------------------------------------------------------------------------------------------

DYNAMIC = {"rewards": ["answer", "progress"], "dynamic_sampling": 4, "limit": 12, "max_completion_length": 12}


@pytest.fixture
def even_numbers_tie(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(REWARDS, "answer", mini.blind_to_even)


def test_groups_without_spread_are_replaced(
    made: tuple[Path, Path], tmp_path: Path, batches: list, even_numbers_tie: None
) -> None:
    log = train("grpo", values_for("grpo", made, tmp_path / "off", **{**DYNAMIC, "dynamic_sampling": 0}, max_steps=2))
    spread = [bool(group.any()) for batch in batches for group in batch["advantages"]]
    assert not all(spread), "without it, some groups teach nothing"
    assert not any(key.startswith("dynamic") for key in log[0])
    batches.clear()
    log = train("grpo", values_for("grpo", made, tmp_path / "on", **DYNAMIC, max_steps=2))
    assert all(bool(group.any()) for batch in batches for group in batch["advantages"])
    assert all(int(i.removeprefix("mini-")) % 2 for batch in batches for i in batch["ids"])
    assert all(len(set(batch["ids"])) == 2 for batch in batches), "no prompt twice in a batch"
    assert [row["dynamic_sampling/left"] for row in log] == [0, 0]
    assert sum(row["dynamic_sampling/extra_rollouts"] for row in log) >= 4 * (4 - sum(spread))
    visits = json.loads((tmp_path / "on" / "checkpoint-2" / "progress.json").read_text())["visits"]
    assert {int(i.removeprefix("mini-")) % 2 for i in visits} == {0, 1}, "what was scored is stored, also what tied"


def test_what_cannot_be_replaced_is_left(
    made: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(REWARDS, "answer", lambda trace, sample: 0.5)
    log = train("grpo", values_for("grpo", made, tmp_path / "run", **DYNAMIC, max_steps=1, save_strategy="no"))
    assert log[0]["dynamic_sampling/refilled"] == 0
    assert log[0]["dynamic_sampling/left"] == 1
    assert log[0]["dynamic_sampling/extra_rollouts"] == 4 * 2 * 4, "four rounds of two groups of four"


def test_dynamic_sampling_resumes_as_if_unbroken(
    made: tuple[Path, Path], tmp_path: Path, even_numbers_tie: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sifthinker.training import run

    expected = train("grpo", values_for("grpo", made, tmp_path / "unbroken", **DYNAMIC))
    write = run.LogHistory.on_log

    def until_five(self: Any, args: Any, state: Any, *rest: Any, **more: Any) -> None:
        write(self, args, state, *rest, **more)
        if state.global_step == 5:
            raise KeyboardInterrupt

    values = values_for("grpo", made, tmp_path / "run", **DYNAMIC)
    with monkeypatch.context() as patch:
        patch.setattr(run.LogHistory, "on_log", until_five)
        with pytest.raises(KeyboardInterrupt):
            train("grpo", values)
    resumed = train("grpo", {**values, "resume": True})
    same = ("step", "loss", "grad_norm", "dynamic_sampling/extra_rollouts", "rewards/progress/mean")
    assert [[row[k] for k in same] for row in resumed] == [[row[k] for k in same] for row in expected]
    files = [tmp_path / name / "checkpoint-6" / "progress.json" for name in ("run", "unbroken")]
    assert files[0].read_text() == files[1].read_text()


def test_every_process_decides_alike_and_for_itself() -> None:
    from sifthinker.training.dynamic import draw, places, tied

    nan = float("nan")
    # Two processes, three groups, two completions, two functions.
    rewards = torch.tensor(
        [
            [[[1, 0], [0, 1]], [[1, 0], [0, 0]], [[nan, nan], [1, 0]]],
            [[[1, 0], [0, 2]], [[nan, 1], [0, 1]], [[0, 0], [0, 1]]],
        ]
    )
    assert tied(rewards, torch.tensor([1.0, 1.0])).tolist() == [[True, False, True], [False, True, False]]
    assert tied(rewards, torch.tensor([1.0, 0.5])).tolist() == [[False, False, True], [True, True, False]]
    ties = torch.tensor([[True, False, True], [False, True, False]])
    fresh = torch.tensor([[True, False], [False, False]])
    assert list(places(ties, fresh)) == [(0, 0, 1), (1, 1, 0)]
    ids = [f"s{n}" for n in range(20)]
    assert list(draw(ids, {"s3"}, 7, 1)) == list(draw(ids, {"s3"}, 7, 1)) != list(draw(ids, {"s3"}, 7, 2))
    assert sorted(draw(ids, {"s3"}, 7, 1)) == [n for n in range(20) if n != 3]


def test_groups_that_straddle_processes_are_refused() -> None:
    from types import SimpleNamespace

    args: Any = SimpleNamespace(per_device_train_batch_size=1, steps_per_generation=2, num_generations=4, world_size=2)
    with pytest.raises(InputError, match="2 completions at a time, which are no whole groups of 4"):
        windows.check_dynamic_sampling(args)
    args.steps_per_generation = 8
    windows.check_dynamic_sampling(args)

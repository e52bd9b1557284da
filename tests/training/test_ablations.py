"""What a baseline is taught instead: sentences without areas, traces and prompts without depth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sifthinker.datagen.depths import depth_adder
from sifthinker.engines.processor import load_processor
from sifthinker.errors import InputError
from sifthinker.prompt import build_prompt
from sifthinker.records import from_row, read_rows
from sifthinker.sample import parse_reply
from sifthinker.trace import Area, Step, Trace, format_trace, parse_trace
from sifthinker.training import grpo, sft
from sifthinker.training.check import check
from sifthinker.training.data import as_asked, load_rows, taught_text
from tests.training import mini


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return mini.make(tmp_path_factory.mktemp("ablations"))


def rows(folder: Path, out: Path, **more: Any) -> Any:
    return load_rows(folder, 1024, 16, out, **{"target": "trace", **more})


def test_words_are_the_sentences_of_the_trace_in_order_each_once(made: tuple[Path, Path], tmp_path: Path) -> None:
    said = rows(made[0], tmp_path, target="words")[0]["completion"][0]["content"]
    assert said == "<think>\n<text>I look.</text>\n<text>It is red.</text>\n</think>\n<answer>red</answer>"
    assert parse_trace(said, areas=False).valid
    steps = [Step(Area((), ()), text) for text in ("I look for it.", "A door.", "I look for it.", "Here.")]
    again = parse_trace(taught_text("words", "x", Trace(tuple(steps), "x")), areas=False)
    assert [step.text for step in again.steps] == ["I look for it.", "A door.", "Here."]


def test_without_depth_rows_are_what_eval_asks_without_depth(made: tuple[Path, Path], tmp_path: Path) -> None:
    stored = next(iter(read_rows(made[0])))
    sample, trace = from_row(stored)
    asked = depth_adder("none", None)(sample)
    row = rows(made[0], tmp_path, depth="none")[0]
    assert row["prompt"] == build_prompt(asked) != build_prompt(sample)
    assert len(row["images"]) == 1
    assert row["sample"].depth is None
    said = row["completion"][0]["content"]
    found = parse_reply(said, asked)
    assert trace is not None
    assert found.valid
    assert "depth" not in said
    assert [s.area.boxes for s in found.steps] == [s.area.boxes for s in trace.steps]
    assert [s.text for s in found.steps] == [s.text for s in trace.steps]
    assert rows(made[0], tmp_path)[0]["completion"][0]["content"] == format_trace(trace)
    assert as_asked(stored, "source") is stored
    assert as_asked(as_asked(stored, "none"), "none") == as_asked(stored, "none")


@pytest.mark.parametrize(("target", "depth"), [("trace", "none"), ("words", "source"), ("words", "none")])
def test_check_counts_the_tokens_that_are_trained_on(
    made: tuple[Path, Path], tmp_path: Path, target: str, depth: str
) -> None:
    config = tmp_path / "sft.yaml"
    values = {**mini.SFT, "model": str(made[1]), "data": str(made[0]), "out": str(tmp_path / "out")}
    config.write_text(json.dumps({**values, "target": target, "depth": depth}))
    found = check(str(config), out=tmp_path)
    assert found["ready"], found["problems"]
    assert (found["gold_rewards"]["depth"] is None) is (depth == "none")
    processor = load_processor(str(made[1]), max_pixels=1024)
    for row in rows(made[0], tmp_path, target=target, depth=depth):
        ids = processor.tokenizer(row["completion"][0]["content"])["input_ids"]
        assert 0 < found["tokens"]["completion"]["max"] - len(ids) <= 2  # what ends a turn
        text = processor.apply_chat_template(row["prompt"], add_generation_prompt=True, tokenize=False)
        prompt = processor(images=[row["images"]], text=[text])["input_ids"][0]
        assert len(prompt) == found["tokens"]["prompt"]["max"]


@pytest.mark.parametrize("stage", [sft, grpo])
def test_training_and_its_evaluations_go_without_depth(
    made: tuple[Path, Path], tmp_path: Path, stage: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sifthinker.training import trl_adapter

    seen: list[Any] = []
    trainer = {sft: trl_adapter.SifSFTTrainer, grpo: trl_adapter.SifGRPOTrainer}[stage]
    make = trainer.__init__

    def watched(self: Any, *args: Any, **more: Any) -> None:
        seen.extend([more["train_dataset"][0], more["held_out"].rows[0]])
        make(self, *args, **more)

    monkeypatch.setattr(trainer, "__init__", watched)
    values = {**(mini.SFT if stage is sft else mini.GRPO), "max_steps": 1, "save_strategy": "no", "eval_steps": 1}
    values |= {"model": str(made[1]), "data": str(made[0]), "out": str(tmp_path / "out"), "depth": "none"}
    values |= {"eval_data": str(made[0]), "eval_limit": 2}
    values |= {"eval_tokens": 8} if stage is sft else {"rewards": ["form", "tests.training.mini:few_faults"]}
    stage.train(values)
    assert [len(row["images"]) for row in seen] == [1, 1]
    assert all("Depth map" not in str(row["prompt"]) for row in seen)
    items = [json.loads(line) for line in (tmp_path / "out" / "evals" / "step-000001.jsonl").read_text().splitlines()]
    assert [item["depth_error"] for item in items] == [None, None]
    assert [item["rewards"]["depth"] for item in items] == [None, None]


@pytest.mark.parametrize(
    ("only", "taught"),
    [
        (r"(?<=It is) \w+", {" red", " green", " blue"}),
        (r"l\w*(?=\.)", {" look", " blue"}),  # a match need not begin or end where a token does
        (r"</answer>$", {"</answer>"}),  # the end is that of the completion, not of the turn
    ],
)
def test_only_what_the_pattern_matches_is_taught(
    made: tuple[Path, Path], tmp_path: Path, only: str, taught: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from sifthinker.training import trl_adapter

    seen: list[list[str]] = []
    step = trl_adapter.SifSFTTrainer.training_step

    def watched(self: Any, model: Any, inputs: Any, *more: Any) -> Any:
        tokens = self.processing_class.tokenizer
        assert inputs["input_ids"].shape == inputs["labels"].shape
        assert bool((inputs["labels"] == inputs["input_ids"])[inputs["labels"] != -100].all())
        seen.extend([tokens.decode(token) for token in row[row != -100]] for row in inputs["labels"])
        return step(self, model, inputs, *more)

    monkeypatch.setattr(trl_adapter.SifSFTTrainer, "training_step", watched)
    values = {**mini.SFT, "model": str(made[1]), "data": str(made[0]), "out": str(tmp_path / "out"), "max_steps": 3}
    sft.train({**values, "only": only, "save_strategy": "no"})
    assert len(seen) == 12
    assert all(seen)
    assert {token for row in seen for token in row} == taught


def test_refusals_of_only(made: tuple[Path, Path], tmp_path: Path) -> None:
    values = {**mini.SFT, "model": str(made[1]), "data": str(made[0]), "out": str(tmp_path / "out")}
    with pytest.raises(InputError, match=r"only: '\(' is no regular expression"):
        sft.train({**values, "only": "("})
    with pytest.raises(InputError, match="matches the empty text"):
        sft.train({**values, "only": "x*"})
    with pytest.raises(InputError, match="8 of 12 rows teach nothing that 'red' matches, first row 1: make the data"):
        sft.train({**values, "only": "red"})
    (tmp_path / "sft.yaml").write_text(json.dumps({**values, "only": "red"}))
    with pytest.raises(InputError, match="8 of 12 rows teach nothing"):
        check(str(tmp_path / "sft.yaml"), out=tmp_path)
    assert not list((tmp_path / "out").glob("*.*"))  # nothing but the cache


def test_refusals(made: tuple[Path, Path], tmp_path: Path) -> None:
    values = {**mini.SFT, "model": str(made[1]), "data": str(made[0]), "out": str(tmp_path / "out")}
    with pytest.raises(InputError, match="unknown depth 'nine': did you mean 'none'"):
        sft.train({**values, "depth": "nine"})
    with pytest.raises(InputError, match="unknown target 'word': did you mean 'words'"):
        sft.train({**values, "target": "word"})
    assert not (tmp_path / "out").exists()

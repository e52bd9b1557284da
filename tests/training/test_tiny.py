"""The small model: its tokenizer keeps every text, its folder loads like any other."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sifthinker.prompt import instruction
from sifthinker.training.tiny import SPECIAL, TinyConfig, build_tiny, build_tokenizer
from tests.training import mini

CORPUS = ["What color is the cube?", "The cube is red.", "red"] * 3


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer(CORPUS, 400)


@given(text=st.text(max_size=80))
def test_any_text_survives(tokenizer, text: str) -> None:
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    if not any(token in text for token in SPECIAL):
        assert tokenizer.decode(ids, skip_special_tokens=True) == text


def test_tags_and_prompt_are_single_tokens_and_digits_are_single(tokenizer) -> None:
    pieces = ("<think>\n", "<area>[", '{"bbox_2d":[', "</text>\n", instruction(True), instruction(False))
    assert [len(tokenizer(p)["input_ids"]) for p in pieces] == [1] * len(pieces)
    assert tokenizer.convert_ids_to_tokens(tokenizer("0.512")["input_ids"]) == ["0.", "5", "1", "2"]


def test_folder_loads_and_generates(tmp_path: Path) -> None:
    import torch

    from sifthinker.engines.processor import load_model, load_processor

    folder = build_tiny(tmp_path / "m", CORPUS, TinyConfig(width=32, layers=1, vision_width=32, vision_layers=1))
    model, processor = load_model(folder), load_processor(folder)
    ids = processor.tokenizer("What color", return_tensors="pt")
    with torch.no_grad():
        assert model.generate(**ids, max_new_tokens=2, do_sample=False).shape[1] > ids["input_ids"].shape[1]
    assert model.config.model_type == "qwen2_5_vl"
    time, rows, columns = model.config.text_config.rope_parameters["mrope_section"]
    assert (time, rows + columns) == (0, TinyConfig().head_size // 2)


def test_same_seed_same_weights(tmp_path: Path) -> None:
    config = TinyConfig(width=32, layers=1, vision_width=32, vision_layers=1, seed=3)
    files = [build_tiny(tmp_path / name, CORPUS, config) / "model.safetensors" for name in "ab"]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_blank_makes_a_model_of_the_words_of_a_data_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from sifthinker import cli
    from sifthinker.engines.processor import load_model, load_processor

    data, _ = mini.make(tmp_path / "made", 4)
    sizes = ["--width", "32", "--vision-width", "32", "--head-size", "16", "--vocabulary", "400"]
    out = tmp_path / "blank"
    assert cli.run(["blank", str(data), "--out", str(out), *sizes]) == 0
    said = capsys.readouterr().out
    model = load_model(out)
    assert f"{model.num_parameters() / 1e6:.1f} million parameters" in said
    assert len(load_processor(out).tokenizer(" color")["input_ids"]) == 1
    assert cli.run(["blank", str(data), "--out", str(out), *sizes]) == 2
    assert "holds something" in capsys.readouterr().err
    assert cli.run(["blank", str(data), "--out", str(tmp_path / "b"), "--width", "40"]) == 2
    assert "width 40, head size 16" in capsys.readouterr().err

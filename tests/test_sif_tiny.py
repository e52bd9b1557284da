"""The model inside of the package: small, plain transformers, and able to do what its card says."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForImageTextToText, AutoTokenizer

from sifthinker import models
from sifthinker.benchmarks import open_benchmark
from sifthinker.benchmarks.protocol import Options
from sifthinker.catalog import catalog
from sifthinker.engines import open_engine
from sifthinker.engines.engine import request_for
from sifthinker.engines.processor import load_processor
from sifthinker.evaluate import evaluate
from sifthinker.prompt import build_prompt, model_images

FOLDER = Path(models.HERE) / "sif-tiny"


def test_it_is_small():
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) <= 24 * 2**20
    assert AutoModelForImageTextToText.from_pretrained(FOLDER).num_parameters() <= 12_000_000


def test_it_is_listed_with_its_card():
    assert "sif-tiny" in catalog("models")
    card = (FOLDER / "README.md").read_text()
    assert "<!-- targets " in card
    assert "| right answers |" in card


def test_tokens_are_those_of_tags_and_digits():
    tokenizer = AutoTokenizer.from_pretrained(FOLDER)
    trace = "<think>\n<area>[]</area>\n<text>"  # tags as they stand in traces, with what always follows
    ids = tokenizer(trace, add_special_tokens=False).input_ids
    assert [tokenizer.decode([i]) for i in ids] == ["<think>\n", "<area>[", "]</area>\n", "<text>"]
    assert len(tokenizer("0.487", add_special_tokens=False).input_ids) == 4  # "0." and three digits
    strange = "Ünwörter 漢字"
    assert tokenizer.decode(tokenizer(strange, add_special_tokens=False).input_ids) == strange


@pytest.fixture(scope="module")
def sample():
    return next(open_benchmark("scenes:split=train", Options(n=1, seed=99)).load())


def test_plain_transformers_says_the_same_as_the_engine(sample):
    processor = load_processor("sif-tiny")
    model = AutoModelForImageTextToText.from_pretrained(FOLDER, dtype=torch.float32).eval()
    with open_engine("sif-tiny") as engine:
        [reply] = engine.generate([request_for(sample, engine, max_tokens=400)])
        pictures = model_images(sample, engine.max_pixels, engine.grid)
    text = processor.apply_chat_template(build_prompt(sample), add_generation_prompt=True, tokenize=False)
    inputs = processor(text=[text], images=pictures, return_tensors="pt")
    made = model.generate(**inputs, max_new_tokens=400, do_sample=False)[0, inputs["input_ids"].shape[1] :]
    assert processor.tokenizer.decode(made, skip_special_tokens=True) == reply.text


def test_it_answers_fresh_scenes(tmp_path):
    found = evaluate("sif-tiny", "scenes:split=train", tmp_path / "run", n=90, seed=123, max_tokens=400)
    # Far below what its card says of 2,000, and far above what is reached without looking.
    assert found["answer_accuracy"]["value"] > 0.75
    assert found["hiou"]["value"] > 0.7
    assert found["depth_within_tolerance"]["value"] > 0.8
    assert found["valid_rate"]["value"] > 0.95

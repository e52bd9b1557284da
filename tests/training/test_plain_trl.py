"""A data set folder goes into TRL's own trainers as it is."""

from __future__ import annotations

import pytest

from sifthinker.datagen.build import build
from sifthinker.engines.processor import load_processor

from ..datagen.photos import own_rows
from ..tiny_models import save_tiny_qwen


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """Model, processor and rows."""
    datasets = pytest.importorskip("datasets")
    folder = tmp_path_factory.mktemp("plain")
    build(f"jsonl:{own_rows(folder, 4)}", folder / "set")
    model = str(save_tiny_qwen(folder / "model", stock=False))
    rows = datasets.load_dataset(str(folder / "set"), split="train", cache_dir=str(folder / "cache"))
    return model, load_processor(model, max_pixels=56 * 56), rows


def test_sft(given, tmp_path):
    from trl import SFTConfig, SFTTrainer

    model, processor, rows = given
    args = SFTConfig(
        output_dir=str(tmp_path), max_steps=1, per_device_train_batch_size=2, use_cpu=True, bf16=False, report_to=[],
        max_length=None,
    )  # fmt: skip
    trainer = SFTTrainer(model, args=args, train_dataset=rows, processing_class=processor)
    assert trainer.train().training_loss > 0


def test_grpo(given, tmp_path):
    from trl import GRPOConfig, GRPOTrainer

    model, processor, rows = given
    seen = []

    def reward(completions, answer, boxes, **rest):
        seen.extend(zip(answer, boxes, strict=True))
        return [float(len(completion[0]["content"])) for completion in completions]

    args = GRPOConfig(
        output_dir=str(tmp_path), max_steps=1, per_device_train_batch_size=2, num_generations=2,
        max_completion_length=8, use_cpu=True, bf16=False, report_to=[],
    )  # fmt: skip
    GRPOTrainer(model, reward_funcs=reward, args=args, train_dataset=rows, processing_class=processor).train()
    assert seen
    assert set(map(str, seen)) <= {str((row["answer"], row["boxes"])) for row in rows}

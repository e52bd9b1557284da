"""Processors and models of every family load, from our folders and from hub-shaped ones, without torchvision."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sifthinker.engines import processor as module
from sifthinker.engines.processor import load_model, load_processor, pixel_budget, pixel_grid
from sifthinker.errors import InputError
from sifthinker.prompt import budget_size
from tests.tiny_models import PATCH, save_tiny_qwen

TYPES = sorted(PATCH)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, bool], Path]:
    root = tmp_path_factory.mktemp("models")
    return {
        (kind, stock): save_tiny_qwen(root / f"{kind}-{stock}", kind, stock)
        for kind in TYPES
        for stock in (False, True)
    }


def photo(size: tuple[int, int], seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))


def messages(words: str, images: int = 1) -> list[dict]:
    return [{"role": "user", "content": [*[{"type": "image"}] * images, {"type": "text", "text": words}]}]


@pytest.mark.parametrize("stock", [False, True])
@pytest.mark.parametrize("kind", TYPES)
def test_loads_and_generates(folders, kind: str, stock: bool) -> None:
    import torch

    processor, model = load_processor(folders[kind, stock]), load_model(folders[kind, stock])
    assert type(processor).__name__ == "ImageOnlyQwenProcessor"
    grid = pixel_grid(processor)
    assert grid == 2 * PATCH[kind]
    texts = [
        processor.apply_chat_template(messages(words, n), add_generation_prompt=True, tokenize=False)
        for words, n in (("a", 2), ("what is it", 1))
    ]
    pictures = [[photo((2 * grid, grid)), photo((2 * grid, grid), 1)], [photo((grid, 3 * grid))]]
    inputs = processor(images=pictures, text=texts, padding=True, return_tensors="pt")
    assert inputs["image_grid_thw"].tolist() == [[1, 2, 4], [1, 2, 4], [1, 6, 2]]
    assert inputs["attention_mask"][:, -1].tolist() == [1, 1], "padding is on the left"
    assert (inputs["input_ids"] == processor.image_token_id).sum(1).tolist() == [4, 3]
    with torch.no_grad():
        out = model.generate(**inputs, max_new_tokens=3, do_sample=False)
    assert out.shape[1] > inputs["input_ids"].shape[1]


@pytest.mark.parametrize("kind", TYPES)
def test_stock_folder_gives_the_same_ids_and_pixels(folders, kind: str) -> None:
    grid = 2 * PATCH[kind]
    results = []
    for stock in (False, True):
        processor = load_processor(folders[kind, stock], max_pixels=16 * grid * grid)
        text = processor.apply_chat_template(messages("what?"), add_generation_prompt=True, tokenize=False)
        results.append(processor(images=[photo((3 * grid, grid))], text=[text], return_tensors="np"))
    assert np.array_equal(results[0]["input_ids"], results[1]["input_ids"])
    assert np.array_equal(results[0]["pixel_values"], results[1]["pixel_values"])


@pytest.mark.parametrize("size", [(640, 480), (30, 30), (1000, 60), (17, 400)])
def test_pictures_at_their_final_size_pass_unchanged(folders, size: tuple[int, int]) -> None:
    processor = load_processor(folders["qwen2_5_vl", True], max_pixels=20 * 28 * 28)
    final = budget_size(size, 20 * 28 * 28, 28)
    grid = processor.image_processor(images=[photo(final)], return_tensors="np")["image_grid_thw"][0]
    assert (grid[2] * 14, grid[1] * 14) == final


def test_budget_is_kept_when_saved_and_is_the_default_for_hub_folders(folders, tmp_path: Path) -> None:
    assert pixel_budget(load_processor(folders["qwen2_5_vl", False])) == 112 * 112
    assert pixel_budget(load_processor(folders["qwen2_5_vl", True])) == 512 * 512
    load_processor(folders["qwen2_5_vl", True], max_pixels=9999).save_pretrained(tmp_path / "p")
    assert pixel_budget(load_processor(tmp_path / "p")) == 9999


def test_auto_processor_finds_the_class(folders) -> None:
    from transformers import AutoProcessor

    load_processor(folders["qwen2_5_vl", False])
    for kind in TYPES:
        assert type(AutoProcessor.from_pretrained(folders[kind, False])).__name__ == "ImageOnlyQwenProcessor"


def test_saved_folders_are_those_of_stock_processors(folders) -> None:
    """Which are made by the type of the model where no file names a class, and look for a video processor."""
    for kind in TYPES:
        folder = Path(folders[kind, False])
        saved = json.loads((folder / "processor_config.json").read_text())
        assert "processor_class" not in saved
        assert "processor_class" not in json.loads((folder / "tokenizer_config.json").read_text())
        assert saved["video_processor"].items() <= saved["image_processor"].items()
        assert saved["video_processor"]["patch_size"] == PATCH[kind]


def test_class_pickles() -> None:
    assert pickle.loads(pickle.dumps(module.ImageOnlyQwenProcessor)) is module.ImageOnlyQwenProcessor
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = module.Nothing


def save_adapter(folder: Path, base: Path | str) -> Path:
    from peft import LoraConfig, get_peft_model

    model = load_model(base)
    get_peft_model(model, LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False)).save_pretrained(folder)
    return folder


def test_adapter_folder_is_its_base_with_the_adapter(folders, tmp_path: Path) -> None:
    import torch

    base = folders["qwen2_5_vl", False]
    adapter = save_adapter(tmp_path / "adapter", base)
    processor, model = load_processor(adapter), load_model(adapter)
    ids = torch.tensor([processor.tokenizer("hello")["input_ids"]])
    with torch.no_grad():
        assert not torch.equal(model(input_ids=ids).logits, load_model(base)(input_ids=ids).logits)


def test_adapter_without_base_is_one_clear_line(folders, tmp_path: Path) -> None:
    adapter = save_adapter(tmp_path / "adapter", folders["qwen2_5_vl", False])
    config = json.loads((adapter / "adapter_config.json").read_text())
    for base, message in (("/gone/base", r"base model '/gone/base' is not here"), (None, "names no base model")):
        (adapter / "adapter_config.json").write_text(json.dumps(config | {"base_model_name_or_path": base}))
        for load in (load_model, load_processor):
            with pytest.raises(InputError, match=message):
                load(adapter)


def test_text_only_model_is_refused(tmp_path: Path) -> None:
    from transformers import Qwen2Config

    Qwen2Config(vocab_size=32, hidden_size=8, num_hidden_layers=1, num_attention_heads=1).save_pretrained(tmp_path)
    for load in (load_model, load_processor):
        with pytest.raises(InputError, match="a 'qwen2' model takes no images; need a vision-language model"):
            load(tmp_path)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("./gone/away", "no such folder"),
        ("/gone", "no such folder"),
        ("nobody/nothing", "no such folder here, and the"),
    ],
)
def test_missing_models_are_one_clear_line(monkeypatch: pytest.MonkeyPatch, name: str, message: str) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    for load in (load_model, load_processor):
        with pytest.raises(InputError, match=message) as caught:
            load(name)
        assert "\n" not in str(caught.value)


def test_folder_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be loaded as a model"):
        load_model(tmp_path)

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sifthinker.depth import DepthMap
from sifthinker.engines.estimator import DEFAULT_ESTIMATOR, open_estimator
from sifthinker.errors import InputError
from tests.tiny_models import save_tiny_depth, save_tiny_qwen


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("depth")
    return {kind: save_tiny_depth(root / kind, metric=kind == "metric") for kind in ("disparity", "metric")}


def photo(size: tuple[int, int] = (90, 61)) -> Image.Image:
    rng = np.random.default_rng(0)
    return Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))


def raw_output(folder: Path, image: Image.Image) -> np.ndarray:
    """What the model itself says, at the photo's size."""
    import torch
    from transformers import AutoImageProcessor, AutoModelForDepthEstimation

    processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
    with torch.no_grad():
        outputs = AutoModelForDepthEstimation.from_pretrained(folder)(**processor(images=image, return_tensors="pt"))
    size = [(image.height, image.width)]
    return processor.post_process_depth_estimation(outputs, target_sizes=size)[0]["predicted_depth"].numpy()


def test_disparity_becomes_relative_depth(models) -> None:
    depth = open_estimator(str(models["disparity"]))(photo())
    assert depth.size == (90, 61)
    assert not depth.metric
    assert depth.valid.all()
    raw = raw_output(models["disparity"], photo())
    assert raw.std() > 0, "the test model must say something"
    assert depth.values.flat[raw.argmax()] == 0, "large disparity is near"
    assert depth.values.flat[raw.argmin()] == 1
    order = np.argsort(raw, axis=None)
    assert (np.diff(depth.values.flat[order]) <= 0).all()


def test_metric_models_give_metres(models) -> None:
    depth = open_estimator(str(models["metric"]))(photo())
    assert depth.metric
    assert np.allclose(depth.values, raw_output(models["metric"], photo()), atol=1e-5)


@pytest.mark.parametrize("size", [(30, 200), (300, 60), (57, 57)])
def test_any_shape_of_photo(models, size: tuple[int, int]) -> None:
    assert open_estimator(str(models["disparity"]))(photo(size)).size == size


def test_a_photo_too_narrow_is_one_clear_line(models) -> None:
    with pytest.raises(InputError, match="cannot take a photo of 640x20"):
        open_estimator(str(models["disparity"]))(photo((640, 20)))


@pytest.mark.parametrize("kind", ["disparity", "metric"])
def test_a_batch_gives_the_maps_of_its_photos(models, kind: str) -> None:
    estimate = open_estimator(str(models[kind]), batch_size=3)
    sizes = [(90, 61), (61, 90), (90, 61), (640, 20), (90, 61), (92, 62), (90, 61), (57, 57)]
    rng = np.random.default_rng(1)
    photos = [Image.fromarray(rng.integers(0, 256, (h, w, 3), dtype=np.uint8)) for w, h in sizes]
    calls, forward = [], estimate.model.forward
    estimate.model.forward = lambda pixels: calls.append(len(pixels)) or forward(pixels)
    maps = estimate.batch(photos)
    assert sorted(calls) == [1, 1, 2, 3], "four of one shape, no more than three together"
    assert isinstance(maps[3], InputError)
    for image, found in zip(photos, maps, strict=True):
        if isinstance(found, DepthMap):
            alone = estimate(image)
            assert found.size == alone.size == image.size
            assert found.metric == alone.metric == (kind == "metric")
            assert np.abs(found.values - alone.values).max() < 1e-4 * max(1.0, alone.values.max())
    assert estimate.batch([]) == []


def test_the_identity_tells_models_apart_but_not_folders(models, tmp_path: Path) -> None:
    import shutil

    names = {kind: open_estimator(str(folder)).identity for kind, folder in models.items()}
    assert names["disparity"].endswith("-disparity")
    assert len(set(names.values())) == 2
    moved = shutil.copytree(models["metric"], tmp_path / "metric")
    assert open_estimator(str(moved)).identity == names["metric"]
    weights = moved / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert open_estimator(str(moved)).identity != names["metric"]


def test_real_photo(models, shared_data: Path) -> None:
    image = Image.open(shared_data / "rgbd/nyu/rgb_00000.jpg")
    assert open_estimator(str(models["metric"]))(image).size == image.size


def test_kind_can_be_declared(models) -> None:
    assert open_estimator(str(models["metric"]), kind="disparity")(photo()).metric is False
    with pytest.raises(InputError, match="unknown kind of depth 'metres'"):
        open_estimator(str(models["metric"]), kind="metres")


def test_undeclared_models_are_asked_about(models, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(__import__("sifthinker.engines.estimator").engines.estimator.MODEL_KINDS, "depth_anything")
    with pytest.raises(InputError, match="gives disparity or metres is not declared"):
        open_estimator(str(models["metric"]))


def test_other_models_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"a 'qwen2_5_vl' model estimates no depth; for example {DEFAULT_ESTIMATOR}"):
        open_estimator(str(save_tiny_qwen(tmp_path)))


def test_default_without_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    message = r"Depth-Anything-V2-Small-hf: .*a depth file or --depth none needs no estimator"
    with pytest.raises(InputError, match=message) as caught:
        open_estimator()
    assert "\n" not in str(caught.value)


def flat(image: Image.Image) -> DepthMap:
    return DepthMap(np.full((image.height, image.width), 0.5))


def test_own_estimator() -> None:
    assert open_estimator(f"{__name__}:flat")(photo()).size == (90, 61)
    with pytest.raises(InputError, match="depth estimator 'nowhere:thing'"):
        open_estimator("nowhere:thing")

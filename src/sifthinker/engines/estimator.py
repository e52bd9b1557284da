"""Depth from the photo alone, by any of transformers' depth-estimation models (Depth Anything V2 where none is named).

What a model gives, disparity or metres, is declared here by model type or read from its config, never guessed from the
numbers. torch and transformers are loaded when an estimator is opened. Training of such models is left out.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..depth import DepthEstimator, DepthMap
from ..errors import InputError, unknown_name
from ..hub import check_name
from ..lookup import lookup
from .processor import one_line

if TYPE_CHECKING:
    from transformers.configuration_utils import PreTrainedConfig

DEFAULT_ESTIMATOR = "depth-anything/Depth-Anything-V2-Small-hf"

KINDS = ("disparity", "metric")
"""What a model's numbers are: disparity of unknown scale (large is near), or metres (large is far)."""


def _by_config(config: PreTrainedConfig) -> str:
    return "metric" if config.depth_estimation_type == "metric" else "disparity"


def _dpt(config: PreTrainedConfig) -> str | None:
    """MiDaS checkpoints give disparity; those on a DINOv2 backbone were trained for metres or not, and do not say."""
    backbone = getattr(config, "backbone_config", None)
    return None if getattr(backbone, "model_type", "").startswith("dinov2") else "disparity"


MODEL_KINDS: dict[str, str | Callable[[Any], str | None]] = {
    "depth_anything": _by_config,
    "dpt": _dpt,
    "depth_pro": "metric",
    "glpn": "metric",
    "zoedepth": "metric",
    "tipsv2_dpt": "metric",
}
"""What the models of each `model_type` give, or how their config tells."""


def open_estimator(
    name: str = "auto", *, kind: str | None = None, device: str | None = None, batch_size: int | None = None
) -> DepthEstimator:
    """A function from a photo to its depth map, at the photo's size.

    name: "auto" (`DEFAULT_ESTIMATOR`), a hub id or folder of a depth-estimation model, or `module:attribute` of an
    estimator of one's own. kind: one of `KINDS`, for models that are not declared in `MODEL_KINDS`.
    batch_size: photos that go through the model together; 4 on a CPU, 16 elsewhere, if not said.

    Raises `InputError` when there is no such model, it estimates no depth, or what it gives is not known.
    """
    if ":" in name:
        return lookup("depth estimator", name, {})
    if name == "auto":
        try:
            return ModelEstimator(DEFAULT_ESTIMATOR, kind, device, batch_size)
        except InputError as error:
            raise InputError(f"{error}; a depth file or --depth none needs no estimator") from error
    return ModelEstimator(name, kind, device, batch_size)


class ModelEstimator:
    """A depth-estimation model of transformers; see `open_estimator`.

    identity: model, revision (a digest of its files, for a folder) and kind: what its maps depend on beside the photo.
    """

    def __init__(
        self, path: str, kind: str | None = None, device: str | None = None, batch_size: int | None = None
    ) -> None:
        check_name(path, "a depth-estimation model")
        try:
            import torch
            from transformers import AutoConfig, AutoImageProcessor, AutoModelForDepthEstimation
            from transformers.models.auto.modeling_auto import MODEL_FOR_DEPTH_ESTIMATION_MAPPING
        except ImportError as error:
            raise InputError(f"{path}: estimating depth needs torch: pip install 'sifthinker[train]'") from error

        with one_line(path, "a depth-estimation model"):
            config = AutoConfig.from_pretrained(path)
        if type(config) not in MODEL_FOR_DEPTH_ESTIMATION_MAPPING:
            raise InputError(
                f"{path}: a {config.model_type!r} model estimates no depth; for example {DEFAULT_ESTIMATOR}"
            )
        self.path = path
        self.kind = kind or self._declared_kind(config)
        if self.kind not in KINDS:
            raise unknown_name("kind of depth", self.kind, KINDS)
        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self.batch_size = batch_size or (4 if self.device == "cpu" else 16)
        revision = _content(Path(path)) if Path(path).is_dir() else getattr(config, "_commit_hash", None)
        self.identity = f"{Path(path).name if Path(path).is_dir() else path}@{revision}-{self.kind}"
        with one_line(path, "a depth-estimation model"):
            self.processor: Any = AutoImageProcessor.from_pretrained(path, backend="pil")
            self.model: Any = AutoModelForDepthEstimation.from_pretrained(path).to(self.device).eval()

    def _declared_kind(self, config: PreTrainedConfig) -> str:
        declared = MODEL_KINDS.get(config.model_type)
        kind = declared(config) if callable(declared) else declared
        if kind is None:
            raise InputError(
                f"{self.path}: whether this {config.model_type!r} model gives disparity or metres is not declared; "
                "say so with sifthinker.engines.estimator.open_estimator(name, kind=...)"
            )
        return kind

    def __call__(self, photo: Image.Image, /) -> DepthMap:
        """The depth map of a photo: relative for models that give disparity, metres for others.

        Raises `InputError` for photos so long and narrow that the model's processor shrinks a side to nothing.
        """
        (found,) = self.batch([photo])
        if isinstance(found, InputError):
            raise found
        return found

    def batch(self, photos: Sequence[Image.Image]) -> list[DepthMap | InputError]:
        """The depth map of each photo, or why it has none; photos that the processor makes equally large go together.

        A map does not depend on the photos beside it but for the rounding of the model's arithmetic.
        """
        found: dict[int, DepthMap | InputError] = {}
        groups: dict[tuple[int, ...], list[tuple[int, Any]]] = {}
        for number, photo in enumerate(photos):
            try:
                pixels = self.processor(images=photo.convert("RGB"), return_tensors="pt")["pixel_values"]
                groups.setdefault(tuple(pixels.shape), []).append((number, pixels))
            except ValueError as error:
                found[number] = InputError(
                    f"{self.path} cannot take a photo of {photo.width}x{photo.height} ({error}); give a depth file"
                )
        for group in groups.values():
            for start in range(0, len(group), self.batch_size):
                part = group[start : start + self.batch_size]
                sizes = [(photos[number].height, photos[number].width) for number, _ in part]
                maps = self._estimate([pixels for _, pixels in part], sizes)
                found |= dict(zip((number for number, _ in part), maps, strict=True))
        return [found[number] for number in range(len(photos))]

    def _estimate(self, pixels: list[Any], sizes: list[tuple[int, int]]) -> list[DepthMap]:
        """pixels: of shape (1, 3, h, w) each. sizes: (height, width) of the photos."""
        import torch

        with torch.inference_mode():
            outputs = self.model(torch.cat(pixels).to(self.device))
        finish = self.processor.post_process_depth_estimation
        options = {"source_sizes": sizes} if "source_sizes" in inspect.signature(finish).parameters else {}
        found = finish(outputs, target_sizes=sizes, **options)
        return [self._map(one["predicted_depth"].float().cpu().numpy()) for one in found]

    def _map(self, values: NDArray[np.float32]) -> DepthMap:
        if self.kind == "disparity":
            return DepthMap.from_disparity(values)
        return DepthMap(values, np.isfinite(values) & (values > 0), metric=True)


def _content(folder: Path) -> str:
    """A digest of the files that make a model what it is."""
    digest = hashlib.blake2b(digest_size=8)
    for file in sorted(folder.iterdir()):
        if file.suffix in (".json", ".safetensors", ".bin"):
            digest.update(f"{file.name}\0{file.stat().st_size}\0".encode())
            with file.open("rb") as opened:
                while block := opened.read(1 << 20):
                    digest.update(block)
    return digest.hexdigest()

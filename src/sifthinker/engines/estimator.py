"""Depth from the photo alone, by any of transformers' depth-estimation models (Depth Anything V2 where none is named).

What a model gives, disparity or metres, is declared here by model type or read from its config, never guessed from the
numbers. torch and transformers are loaded when an estimator is opened. Training of such models is left out.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from ..depth import DepthEstimator, DepthMap
from ..errors import InputError, unknown_name
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


def open_estimator(name: str = "auto", *, kind: str | None = None, device: str | None = None) -> DepthEstimator:
    """A function from a photo to its depth map, at the photo's size.

    name: "auto" (`DEFAULT_ESTIMATOR`), a hub id or folder of a depth-estimation model, or `module:attribute` of an
    estimator of one's own. kind: one of `KINDS`, for models that are not declared in `MODEL_KINDS`.

    Raises `InputError` when there is no such model, it estimates no depth, or what it gives is not known.
    """
    if ":" in name:
        return lookup("depth estimator", name, {})
    if name == "auto":
        try:
            return ModelEstimator(DEFAULT_ESTIMATOR, kind, device)
        except InputError as error:
            raise InputError(f"{error}; a depth file or --depth none needs no estimator") from error
    return ModelEstimator(name, kind, device)


class ModelEstimator:
    """A depth-estimation model of transformers; see `open_estimator`."""

    def __init__(self, path: str, kind: str | None = None, device: str | None = None) -> None:
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
        import torch

        rgb = photo.convert("RGB")
        try:
            inputs = self.processor(images=rgb, return_tensors="pt").to(self.device)
        except ValueError as error:
            raise InputError(
                f"{self.path} cannot take a photo of {rgb.width}x{rgb.height} ({error}); give a depth file"
            ) from error
        with torch.inference_mode():
            outputs = self.model(**inputs)
        size = [(rgb.height, rgb.width)]
        finish = self.processor.post_process_depth_estimation
        options = {"source_sizes": size} if "source_sizes" in inspect.signature(finish).parameters else {}
        values = finish(outputs, target_sizes=size, **options)[0]["predicted_depth"].float().cpu().numpy()
        if self.kind == "disparity":
            return DepthMap.from_disparity(values)
        return DepthMap(values, np.isfinite(values) & (values > 0), metric=True)

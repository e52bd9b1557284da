"""Pictures: depth maps, boxes, traces step by step, contact sheets. Pillow only; pages are `report`'s business."""

from __future__ import annotations

from PIL import Image
import numpy as np

from .depth import DepthMap

INVALID_COLOR = (0, 0, 96)
"""Color of pixels without depth in depth pictures."""


def depth_picture(depth: DepthMap) -> Image.Image:
    """The depth map as an RGB picture: gray levels proportional to relative depth (darker is nearer), no value: dark blue."""
    relative = depth.relative()
    gray = np.rint(relative.values * 255).astype(np.uint8)
    rgb = np.repeat(gray[..., None], 3, axis=2)
    rgb[~relative.valid] = INVALID_COLOR
    return Image.fromarray(rgb)

"""Photos made worse as cameras and weather do it: nine kinds, five levels each, depth-aware where physics asks for it.

    worse = degrade(photo, depth, "haze", 3, seed=7)        arrays of shape (height, width, 3), 8-bit sRGB
    sample = degrade_sample(sample, "motion_blur", 5)       photo, boxes and depth of a question; id and group say so

Level 0 changes nothing; what a level does is in `KINDS`, one line a level. What is drawn at random (where drops are,
which way the camera moved) depends on the seed and the kind only, so higher levels do more of the same thing.

Source: SpaceDG (github.com/Visionary-Laboratory/SpaceDG), whose ranges are in `Kind.source`. It renders degraded
views of reconstructed scenes; the forms for a photo with a depth map are this project's own, and so are levels 1 to 4.
Left out: rolling shutter, lens flare, and anything that a depth map cannot tell (what is behind things).
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from zlib import crc32

import numpy as np
from PIL import Image

from ..depth import DepthMap
from ..errors import InputError
from ..lookup import pick
from ..sample import Sample
from .fisheye import bent_box, bent_depth
from .kinds import KINDS, Kind
from .light import Bytes, in_metres

__all__ = ["KINDS", "LEVELS", "VERSION", "Kind", "degrade", "degrade_sample", "why_not"]

LEVELS = 5
VERSION = "2"
"""Changes whenever a degraded picture, or which samples may be degraded, can change."""


def degrade(image: Bytes, depth: DepthMap | None, kind: str, level: int, seed: int = 0) -> Bytes:
    """A worse version of a photo, of the same shape; level 0 is a copy.

    image: RGB, shape (height, width, 3). depth: of the photo, at any size; pixels without depth take the nearest one's.
    None: everything is `light.FLAT_M` away. kind: a key of `KINDS`. level: 0 to 5. seed: what is drawn at random.

    Raises `InputError` for unknown kinds, levels outside of 0 to 5 and pictures of another form.
    """
    entry: Kind = pick("degradation", kind, KINDS)
    if level not in range(LEVELS + 1):
        raise InputError(f"degradation {kind}: level {level!r} is not one of 0 (nothing) to {LEVELS}")
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or min(image.shape) < 2:
        raise InputError(f"degradation needs 8-bit RGB of shape (height, width, 3), got {image.dtype} {image.shape}")
    if level == 0:
        return image.copy()
    metres = in_metres(depth, (image.shape[1], image.shape[0])) if entry.needs_depth else np.empty(0)
    rng = np.random.default_rng((seed, crc32(kind.encode())))
    return entry.apply(image, metres, rng, entry.levels[level - 1])


def degrade_sample(sample: Sample, kind: str, level: int, seed: int = 0) -> Sample:
    """The same question about a worse photo: an augmentation for training, an item of a harder benchmark.

    Samples of one photo (`meta["group"]`) are degraded alike. Boxes and depth follow the fisheye's bend; otherwise
    they, and the answer, stay the true ones. `meta["degradation"]` has kind, level and seed; id and group end in
    "+haze3".

    Raises `InputError` for samples that cannot be degraded (`why_not`).
    """
    if reason := why_not(sample, kind):
        raise InputError(f"{sample.id}: {reason}")
    group = str(sample.meta.get("group") or (sample.image if isinstance(sample.image, (str, Path)) else sample.id))
    photo, depth = sample.photo(), sample.depth_map()
    drawn = crc32(f"{seed} {group}".encode())
    worse = degrade(np.asarray(photo), depth, kind, level, drawn)
    mark = f"+{kind}{level}"
    meta = {**sample.meta, "group": group + mark, "degradation": {"kind": kind, "level": level, "seed": seed}}
    boxes = sample.boxes
    if kind == "fisheye" and level:
        fov_deg = KINDS[kind].levels[level - 1]["fov_deg"]
        boxes = tuple(bent_box(box, photo.size, fov_deg) for box in boxes)
        depth = None if depth is None else bent_depth(depth, fov_deg)
    bent = {"boxes": boxes, "depth": depth} if kind == "fisheye" else {}
    return replace(sample, id=sample.id + mark, image=Image.fromarray(worse), meta=meta, **bent)


def why_not(sample: Sample, kind: str) -> str | None:
    """Why this kind may not be done to a sample, at whatever level; None if it may.

    Words have no photo; a fisheye would move places that question, options or answer give by numbers; over-exposed
    orange is yellow, so what names one of them, or compares colors, has no answer left (`docs/degradations.md`).
    """
    if sample.image is None:
        return "is a question in words only, without a photo to degrade"
    words = " ".join((sample.question, sample.answer, *sample.choices))
    if kind == "fisheye" and (sample.meta.get("answer_kind") == "box" or _PLACES.search(words)):
        return "gives places in the picture by numbers, which a fisheye would move"
    if kind == "over_exposure" and _HUES.search(words):
        return "tells orange from yellow, which over-exposure makes alike"
    return None


_PLACES = re.compile(r"\d\s*,\s*-?[\d.]")
"""Two numbers with a comma between them."""
_HUES = re.compile(r"\b(orange|yellow|same colou?r)\b", re.IGNORECASE)

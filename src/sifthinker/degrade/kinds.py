"""The nine kinds and what each level does: the table `KINDS`; air, exposure, resolution and compression themselves."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from PIL import Image

from .fisheye import fisheye
from .lens import MOST_DROPS, defocus, water_droplets
from .light import GAMMA, Bytes, Floats, Parameters, to_light, to_photo
from .motion import motion_blur

AIRLIGHT = 0.8
"""sRGB of the light that haze scatters to the camera."""


def haze(image: Bytes, metres: Floats, beta: float) -> Bytes:
    """I * t + A * (1 - t) in linear light, with t = exp(-beta * metres); beta in 1/m."""
    t = np.exp(-beta * metres)[..., None]
    return to_photo(to_light(image) * t + AIRLIGHT**GAMMA * (1 - t))


def _haze(image: Bytes, metres: Floats, rng: Generator, p: Parameters) -> Bytes:
    return haze(image, metres, haze_beta(metres, p["density"]))


def haze_beta(metres: Floats, density: float) -> float:
    """1/m, such that the optical depth is `density` where 95 % of the pixels are nearer."""
    return density / float(np.quantile(metres, 0.95))


ELECTRONS, READ_NOISE = 4000.0, 2.0
"""Electrons of a white pixel at full exposure, and the noise of reading them."""


def _low_light(image: Bytes, metres: Floats, rng: Generator, p: Parameters) -> Bytes:
    """Less light: shot noise, read noise, and the steps of 8 bits in what is left."""
    electrons = rng.poisson(to_light(image) * p["exposure"] * ELECTRONS) + rng.normal(0, READ_NOISE, image.shape)
    return to_photo(electrons / ELECTRONS)


def _over_exposure(image: Bytes, metres: Floats, rng: Generator, p: Parameters) -> Bytes:
    return to_photo(to_light(image) * p["exposure"])


def _low_resolution(image: Bytes, metres: Floats, rng: Generator, p: Parameters) -> Bytes:
    size = image.shape[1], image.shape[0]
    small = max(1, round(size[0] * p["scale"])), max(1, round(size[1] * p["scale"]))
    photo = Image.fromarray(image).resize(small, Image.Resampling.BOX)
    return np.asarray(photo.resize(size, Image.Resampling.BICUBIC))


def _jpeg(image: Bytes, metres: Floats, rng: Generator, p: Parameters) -> Bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="JPEG", quality=int(p["quality"]))
    return np.asarray(Image.open(buffer).convert("RGB"))


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of degradation.

    about: one line. source: the range that SpaceDG's benchmark draws from. levels: parameters of levels 1 to 5.
    apply: (photo, metres, random numbers, parameters) -> photo. needs_depth: whether `metres` is given.
    """

    about: str
    source: str
    levels: tuple[dict[str, float], ...]
    apply: Callable[[Bytes, Floats, Generator, Parameters], Bytes]
    needs_depth: bool = False


def _levels(**values: tuple[float, ...]) -> tuple[dict[str, float], ...]:
    return tuple(dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True))


KINDS: dict[str, Kind] = {
    "defocus": Kind(
        "out of focus, by depth", "aperture 10 to 15, focus at 1 to 8",
        _levels(radius=(0.004, 0.008, 0.014, 0.022, 0.034)), defocus, needs_depth=True,
    ),
    "fisheye": Kind(
        "bent by a wide lens", "k1 -0.24 to -0.23, largest angle 1.5",
        _levels(fov_deg=(60.0, 90.0, 115.0, 135.0, 155.0)), fisheye,
    ),
    "haze": Kind(
        "light scattered on the way, by depth", "density 3.5 to 6",
        _levels(density=(0.25, 0.6, 1.3, 2.6, 5.0)), _haze, needs_depth=True,
    ),
    "jpeg": Kind("strongly compressed", "quality 2 to 5", _levels(quality=(25, 14, 8, 5, 2)), _jpeg),
    "low_light": Kind(
        "too little light", "exposure 0.003 to 0.005",
        _levels(exposure=(0.3, 0.1, 0.035, 0.012, 0.004)), _low_light,
    ),
    "low_resolution": Kind(
        "few pixels, drawn large", "scale 0.02 to 0.05", _levels(scale=(0.5, 0.25, 0.125, 0.06, 0.03)), _low_resolution
    ),
    "motion_blur": Kind(
        "the camera moved, by depth", "moved by 0.2 to 0.35, turned by 0.06 to 0.12, 80 steps",
        _levels(move_m=(0.015, 0.04, 0.08, 0.15, 0.3), turn_rad=(0.005, 0.013, 0.027, 0.05, 0.1)),
        motion_blur, needs_depth=True,
    ),
    "over_exposure": Kind(
        "too much light", "exposure 7 to 10", _levels(exposure=(1.5, 2.3, 3.6, 5.8, 9.0)), _over_exposure
    ),
    "water_droplets": Kind(
        "drops on the lens", "radius 0.25 to 0.75, strength 0.3 to 0.5, blur sigma 2 to 2.5",
        _levels(
            drops=(5, 11, 20, 32, MOST_DROPS), radius=(0.06, 0.07, 0.08, 0.09, 0.1), sigma=(2.0, 2.1, 2.2, 2.3, 2.5)
        ),
        water_droplets,
    ),
}  # fmt: skip
"""Every kind by name. Lengths are shares of the picture: of its width (defocus), of its short side (drops)."""

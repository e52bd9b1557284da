"""What lenses do: blur by depth, and drops on the glass."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from .light import Bytes, Floats, Light, Parameters, sampled, to_light, to_photo

LAYERS = 12
"""Layers of equal blur into which a scene is cut."""
LEAST_PX = 0.75
"""So that small pictures are blurred at all."""
MOST_DROPS = 48


def circle_of_confusion(metres: Floats, focus_m: float) -> Floats:
    """How large a point is drawn, up to a factor that the aperture sets: |1 / z - 1 / focus| (thin lens)."""
    return np.abs(1 / metres - 1 / focus_m)


def defocus(image: Bytes, metres: Floats, rng: Generator, p: Parameters) -> Bytes:
    """Blur by depth, layer over layer from far to near. The aperture is such that 95 % of the pixels are drawn by
    circles of `radius` (a share of the width, and `LEAST_PX` on top) or less; scenes without depth are out of focus
    everywhere."""
    focus = float(np.quantile(metres, rng.uniform(0.1, 0.9)))
    circles = circle_of_confusion(metres, focus)
    most = float(np.quantile(circles, 0.95))
    reach = p["radius"] * image.shape[1] + LEAST_PX
    radii = circles / most * reach if most > 0.02 / focus else np.full(metres.shape, reach)
    radii = radii.clip(0, 1.5 * reach)
    # Layers of equal blur on either side of the focus.
    signed = np.where(metres > focus, radii, -radii)
    edges = np.linspace(signed.min(), signed.max() + 1e-9, LAYERS + 1)
    layer = np.digitize(signed, edges[1:-1])
    light = np.concatenate([to_light(image), np.ones((*metres.shape, 1), dtype=np.float32)], axis=2)
    out = np.zeros_like(light)
    for number in range(LAYERS - 1, -1, -1):
        mask = layer == number
        if mask.any():
            spread = _disk_blur(light * mask[..., None], float(radii[mask].mean()))
            out = out * (1 - spread[..., 3:].clip(0, 1)) + spread
    return to_photo(out[..., :3] / out[..., 3:].clip(1e-6))


def _disk_blur(light: Light, radius: float) -> Light:
    """Convolution with a disk, soft at its rim, so that it grows steadily with the radius in pixels."""
    from scipy.signal import fftconvolve

    reach = int(np.ceil(radius))
    if radius < 0.5:
        return light
    offsets = np.arange(-reach, reach + 1)
    disk = (radius + 0.5 - np.hypot(*np.meshgrid(offsets, offsets))).clip(0, 1).astype(np.float32)
    return fftconvolve(light, (disk / disk.sum())[..., None], mode="same", axes=(0, 1))


def water_droplets(image: Bytes, metres: Floats, rng: Generator, p: Parameters) -> Bytes:
    """Drops on the lens: each shows a blurred, inverted, wide view of what is behind it, dark at its rim."""
    from scipy.ndimage import gaussian_filter

    light, (height, width) = to_light(image), image.shape[:2]
    short = min(width, height)
    sigma = p["sigma"] * short / 480
    blurred = np.asarray(gaussian_filter(light, (sigma, sigma, 0)), dtype=np.float32)
    drops = rng.uniform(size=(MOST_DROPS, 4))
    out = light.copy()
    y, x = np.mgrid[:height, :width].astype(np.float64)
    for across, down, large, wide in drops[: int(p["drops"])]:
        cx, cy, radius = across * width, down * height, short * p["radius"] * (0.5 + large)
        strength = 0.3 + 0.2 * wide
        window = np.s_[max(int(cy - radius), 0) : int(cy + radius) + 2, max(int(cx - radius), 0) : int(cx + radius) + 2]
        dx, dy = x[window] - cx, y[window] - cy
        rho = np.hypot(dx, dy) / radius
        alpha = ((1 - rho) / 0.12).clip(0, 1)[..., None]
        seen = sampled(blurred, _mirrored(cx - dx / strength, width), _mirrored(cy - dy / strength, height))
        seen = seen * (1 - 0.5 * rho.clip(0, 1) ** 4)[..., None]
        out[window] = out[window] * (1 - alpha) + seen * alpha
    return to_photo(out)


def _mirrored(v: Floats, n: int) -> Floats:
    """Pixel coordinates outside of 0 to n - 1 turned back at the borders."""
    return n - 1 - np.abs(v % (2 * n - 2) - (n - 1))

"""Photos with true depth: questions whose answers follow exactly from the depth map.

nearer, farther  two or three points, drawn on the photo as circles A, B (C): which is nearest to, or farthest from, the
                 camera? Gold boxes: a square around every point. A square counts if its share of valid pixels is
                 at least half of the frame's and its depths differ little (`SPREAD`); the answer must beat every
                 other point by a factor of `MARGIN` in metres, or by that much above 1 of the range of relative depth.
third            in which third of the picture is the nearest surface? Only in frames of which `DENSE` is valid; the
                 nearest cell of a grid must beat all cells of the other thirds by `MARGIN`. Gold box: that cell.
object           which of two labelled objects is nearer? Medians over the middle of the boxes, by `MARGIN`; gold boxes:
                 both. Only where the data set labels objects.

Points are drawn by the seed. A frame of which no question can be made is rejected as `no_question`.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ...depth import DepthMap
from ...errors import InputError
from ...geometry import Box
from ...records import digest, photo_bytes
from ...sample import Sample, open_photo
from ..files import RowError
from ..outcome import Reject
from ..seeds import row_rng
from .options import Options
from .refcoco import third
from .rgbd_layouts import DECLARED, LAYOUTS, Pair, find_pairs

SIDE = 0.11
"""Side of the square around a point, as a share of the picture's shorter side."""
RADIUS = 0.38
"""Radius of a drawn circle, as a share of that square's side."""
SPREAD = 0.10
"""Of the depths in a square at most: as a share of their median in metres, of the range of relative depth."""
MARGIN = 1.2
"""By which an answer beats the others, see `_clear`."""
DENSE = 0.6
POINTS = 240
"""Places tried for points in a frame."""
GRID = (9, 6)
"""Cells across and down for the question about thirds; a multiple of three across."""


def read(path: Path, options: Options) -> Iterator[Sample | Reject]:
    """Several samples a frame. Raises `InputError` when no frame is found in the folder at all."""
    if not path.is_dir():
        raise InputError(f"{path}: not a folder; rgbd takes a folder of photos with depth maps")
    frames = 0
    for outcome in find_pairs(path, options.depth_encoding):
        frames += 1
        if isinstance(outcome, Reject):
            yield outcome
            continue
        try:
            yield from _questions(outcome, options.seed)
        except RowError as error:
            yield Reject(f"rgbd-{outcome.name}", error.reason, error.detail)
    if not frames:
        layouts = ", ".join(layout.name for layout in LAYOUTS)
        raise InputError(
            f"{path}: no photos with depth found; known layouts: {layouts}; or declare pairs in {DECLARED}"
        )


@dataclass(frozen=True, slots=True)
class _Spot:
    """A place with a reliable depth. box: unit; depth: median, in metres or relative."""

    box: Box
    depth: float


def _questions(pair: Pair, seed: int) -> Iterator[Sample | Reject]:
    try:
        photo = open_photo(pair.photo)
    except InputError as error:
        raise RowError("image_unreadable", str(error)) from error
    depth = pair.depth()
    if depth.size != photo.size:
        sizes = f"depth map is {depth.size[0]}x{depth.size[1]}, photo {photo.size[0]}x{photo.size[1]}"
        raise RowError("size_mismatch", f"{pair.name}: {sizes}")
    key = f"rgbd-{Path(pair.name).with_suffix('').as_posix()}"
    rng = row_rng(seed, key)
    spots = _spots(depth, rng)
    made = [
        *_marked(key, pair, photo, depth, _apart(spots, 2, nearest=True, metric=depth.metric, rng=rng), nearest=True),
        *_marked(key, pair, photo, depth, _apart(spots, 2, nearest=False, metric=depth.metric, rng=rng), nearest=False),
        *_marked(key, pair, photo, depth, _apart(spots, 3, nearest=True, metric=depth.metric, rng=rng), nearest=True),
        *_third(key, pair, depth),
        *_objects(key, pair, depth),
    ]
    if not made:
        yield Reject(key, "no_question", f"nothing differs clearly in depth ({len(spots)} steady places)")
    yield from made


def _sample(
    key: str, pair: Pair, image: bytes | Path, depth: DepthMap, question: str, answer: str, boxes: list[Box],
    labels: list[str], task: str, choices: tuple[str, ...] = (), **meta: Any,
) -> Sample:  # fmt: skip
    about = {"task": task, "labels": labels, "photo": pair.name, **meta}
    return Sample(f"{key}-{task}", image, question, answer, depth, choices, tuple(boxes), about)


# --- marked points -------------------------------------------------------------------------------------------------


def _spots(depth: DepthMap, rng: np.random.Generator) -> list[_Spot]:
    """Squares at random places whose depth can be relied on."""
    width, height = depth.size
    side = max(4, round(SIDE * min(depth.size)))
    if side * 2 > min(depth.size):
        return []
    enough = max(0.5 * float(depth.valid.mean()), 8 / side**2)
    lefts, tops = rng.integers(0, width - side, POINTS), rng.integers(0, height - side, POINTS)
    spots = []
    for left, top in zip(lefts.tolist(), tops.tolist(), strict=True):
        box = Box(left / width, top / height, (left + side) / width, (top + side) / height)
        if (value := _steady(depth, (left, top, left + side, top + side), enough)) is not None:
            spots.append(_Spot(box, value))
    return spots


def _steady(depth: DepthMap, bounds: tuple[int, int, int, int], enough: float, spread: float = SPREAD) -> float | None:
    """Median depth of a patch; None if too few pixels are valid or the depths differ too much."""
    left, top, right, bottom = bounds
    valid = depth.valid[top:bottom, left:right]
    if valid.mean() < enough:
        return None
    low, middle, high = np.quantile(depth.values[top:bottom, left:right][valid], [0.05, 0.5, 0.95])
    return float(middle) if high - low <= spread * (middle if depth.metric else 1.0) else None


def _clear(one: float, other: float, metric: bool) -> bool:
    """Whether one of two depths is nearer beyond doubt: by a factor in metres. Relative depth, like the disparity from
    which it may come, has no zero that a factor could count from: there it is a share of the range."""
    near, far = sorted((one, other))
    return far >= MARGIN * near if metric else far - near >= MARGIN - 1


def _apart(spots: list[_Spot], count: int, nearest: bool, metric: bool, rng: np.random.Generator) -> list[_Spot]:
    """Spots apart from each other, one of them nearest (farthest) by `MARGIN`, in random order; empty if none."""
    if len(spots) < count:
        return []
    for _ in range(200):
        chosen = [spots[i] for i in rng.choice(len(spots), count, replace=False)]
        first, second = sorted((s.depth for s in chosen), reverse=not nearest)[:2]
        if _clear(first, second, metric) and all(_gap(a.box, b.box) for a, b in combinations(chosen, 2)):
            return chosen
    return []


def _gap(a: Box, b: Box) -> bool:
    """Whether two squares are at least half a square apart."""
    x = max(a.x0, b.x0) - min(a.x1, b.x1)
    y = max(a.y0, b.y0) - min(a.y1, b.y1)
    return x > a.width / 2 or y > a.height / 2


def _marked(
    key: str, pair: Pair, photo: Image.Image, depth: DepthMap, spots: list[_Spot], nearest: bool
) -> Iterator[Sample]:
    if not spots:
        return
    letters = "ABC"[: len(spots)]
    pick = min if nearest else max
    answer = letters[spots.index(pick(spots, key=lambda s: s.depth))]
    word = {(2, True): "nearer", (2, False): "farther", (3, True): "nearest", (3, False): "farthest"}[
        len(spots), nearest
    ]
    to = "to" if nearest else "from"
    yield _sample(
        key, pair, _encoded(draw_marks(photo, [s.box.center for s in spots]), pair.photo), depth,
        f"The circles mark the points {' and '.join((', '.join(letters[:-1]), letters[-1]))}. "
        f"Which point is {word} {to} the camera?",
        answer, [s.box for s in spots], [f"point {letter}" for letter in letters], word,
        choices=tuple(f"point {letter}" for letter in letters), depths=[round(s.depth, 3) for s in spots],
        drawn_on=digest(photo_bytes(pair.photo)[0]).hex(),
    )  # fmt: skip


def _encoded(photo: Image.Image, name: Path) -> bytes:
    """A file as the row will hold it, of the kind that the photo `name` has.

    A PNG of a JPEG is exact, but four times as large, and takes twelve times as long to write; once more as a JPEG, its
    values change by half a level of 255 on average.
    """
    buffer = io.BytesIO()
    if name.suffix.lower() in (".jpg", ".jpeg"):
        photo.save(buffer, "JPEG", quality=95, subsampling=0)
    else:
        photo.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def draw_marks(photo: Image.Image, points: list[tuple[float, float]]) -> Image.Image:
    """The photo with circles around unit points, lettered A, B, C."""
    canvas = photo.copy()
    draw = ImageDraw.Draw(canvas)
    radius = max(4, round(RADIUS * SIDE * min(photo.size)))
    font = ImageFont.load_default(size=max(10, round(1.9 * radius)))
    for (x, y), letter in zip(points, "ABC", strict=False):
        cx, cy = x * photo.width, y * photo.height
        for grow, color, line in ((1, (0, 0, 0), max(3, radius // 3)), (0, (255, 40, 40), max(2, radius // 5))):
            r = radius + grow
            draw.ellipse((cx - r, cy - r, cx + r, cy + r), outline=color, width=line)
        # Letters stand right of the circle, or left of it at the right border.
        right = cx + 3.4 * radius < photo.width
        place = (cx + 1.4 * radius, cy) if right else (cx - 1.4 * radius, cy)
        anchor = "lm" if right else "rm"
        draw.text(place, letter, font=font, fill=(255, 40, 40), stroke_width=2, stroke_fill=(0, 0, 0), anchor=anchor)
    return canvas


# --- surfaces and objects ------------------------------------------------------------------------------------------


def _third(key: str, pair: Pair, depth: DepthMap) -> Iterator[Sample]:
    if depth.valid.mean() < DENSE:
        return
    cells: list[_Spot] = []
    for column in range(GRID[0]):
        for row in range(GRID[1]):
            box = Box(column / GRID[0], row / GRID[1], (column + 1) / GRID[0], (row + 1) / GRID[1])
            value = _steady(depth, box.pixel_bounds(depth.size), 0.5, spread=np.inf)
            if value is not None:
                cells.append(_Spot(box, value))
    if not cells:
        return
    nearest = min(cells, key=lambda c: c.depth)
    where = third(nearest.box.center[0])
    others = [c.depth for c in cells if third(c.box.center[0]) != where]
    if not others or not _clear(nearest.depth, min(others), depth.metric):
        return
    question = "In which third of the picture is the surface that is nearest to the camera: left, middle or right?"
    yield _sample(key, pair, pair.photo, depth, question, where or "", [nearest.box], ["nearest surface"], "third")


def _objects(key: str, pair: Pair, depth: DepthMap) -> Iterator[Sample]:
    once = [(label, box) for label, box in pair.objects if [n for n, _ in pair.objects].count(label) == 1]
    for (a, box_a), (b, box_b) in combinations(once, 2):
        near_a, near_b = _median(depth, box_a), _median(depth, box_b)
        if near_a is None or near_b is None or not _clear(near_a, near_b, depth.metric):
            continue
        question = f"Which is nearer to the camera, the {a} or the {b}?"
        sample = _sample(
            f"{key}-{a}-{b}".replace(" ", "_"), pair, pair.photo, depth, question, a if near_a < near_b else b,
            [box_a, box_b], [a, b], "object", depths=[round(near_a, 3), round(near_b, 3)],
        )  # fmt: skip
        yield sample


def _median(depth: DepthMap, box: Box) -> float | None:
    """Median depth over the middle half of a box, where an object rather than its surroundings shows."""
    w, h = box.width / 4, box.height / 4
    left, top, right, bottom = Box(box.x0 + w, box.y0 + h, box.x1 - w, box.y1 - h).pixel_bounds(depth.size)
    valid = depth.valid[top:bottom, left:right]
    return float(np.median(depth.values[top:bottom, left:right][valid])) if valid.any() else None

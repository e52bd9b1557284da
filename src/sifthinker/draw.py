"""Pictures: depth maps, boxes, traces step by step, contact sheets. Pillow only; pages are `report`'s business.

All drawing functions return new pictures. Small pictures are enlarged before lines and words go on them, so that what
is drawn can be read at any size. The built-in font has Latin letters only.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from colorsys import hsv_to_rgb
from functools import lru_cache
from itertools import islice
from typing import cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from .depth import DepthMap
from .geometry import Box, Size
from .sample import Sample
from .trace import Area, Trace

Color = tuple[int, int, int]

INVALID_COLOR = (0, 0, 96)
"""Color of pixels without depth in depth pictures."""

GREEN: Color = (0, 214, 110)
"""The model's boxes."""
WHITE: Color = (255, 255, 255)
"""Gold boxes (dashed)."""
INK: Color = (28, 32, 38)
MUTED: Color = (104, 112, 122)
RED: Color = (200, 30, 45)
PAPER: Color = (255, 255, 255)
SHADE: Color = (241, 243, 246)
NO_DEPTH: Color = (120, 124, 130)
"""Color of pixels without depth in `color_depth`."""

MIN_SIDE = 448
"""Pictures whose longer side is shorter than this are enlarged before anything is drawn on them."""

_NEAR_TO_FAR = np.array(
    [(252, 253, 191), (254, 176, 120), (241, 96, 93), (182, 54, 121), (114, 31, 129), (44, 17, 95), (8, 6, 30)], float
)

SHADES: NDArray[np.uint8] = np.rint(np.linspace(0, 255, 255)).astype(np.uint8)[:, None].repeat(3, axis=1)
SHADES = np.vstack([np.array(INVALID_COLOR, np.uint8), SHADES])
"""The colors of `depth_picture`, shape (256, 3): that of no value, then gray from the nearest to the farthest."""


def depth_picture(depth: DepthMap) -> Image.Image:
    """The depth map as RGB: gray levels proportional to relative depth (darker is nearer), no value: dark blue."""
    return Image.fromarray(SHADES[depth_shades(depth)])


def depth_shades(depth: DepthMap) -> NDArray[np.uint8]:
    """The pixels of `depth_picture` as numbers of `SHADES`, shape (height, width)."""
    return depth.relative().map_values(lambda depths: 1 + np.rint(depths * (len(SHADES) - 2)).astype(np.uint8))


def color_depth(depth: DepthMap) -> Image.Image:
    """The depth map for people: near is bright, far is dark, lightness falls evenly; no value: gray.

    Models see `depth_picture` instead; neither is ever read back.
    """
    relative = depth.relative()
    stops = np.linspace(0, 1, len(_NEAR_TO_FAR))
    rgb = np.stack([np.interp(relative.values, stops, channel) for channel in _NEAR_TO_FAR.T], axis=-1)
    rgb[~relative.valid] = NO_DEPTH
    return Image.fromarray(np.rint(rgb).astype(np.uint8))


# --- boxes ---------------------------------------------------------------------------------------------------------


def draw_boxes(
    image: Image.Image,
    boxes: Sequence[Box],
    labels: Sequence[str] | None = None,
    color: Color = GREEN,
    *,
    dashed: bool = False,
    min_side: int = MIN_SIDE,
) -> Image.Image:
    """A copy of `image` with `boxes` outlined and, where given, a label at each.

    labels: one string a box ("" for none).
    min_side: pictures whose longer side is shorter are enlarged to it; 0 keeps the size.
    Raises `ValueError` when labels and boxes differ in number.
    """
    labels = [""] * len(boxes) if labels is None else labels
    if len(labels) != len(boxes):
        raise ValueError(f'{len(boxes)} boxes with {len(labels)} labels: each box needs one ("" for none)')
    canvas = _enlarged(image, min_side)
    draw = ImageDraw.Draw(canvas)
    line = max(2, round(max(canvas.size) / 240))
    rectangles = [_rectangle(box, canvas.size) for box in boxes]
    for rectangle in rectangles:
        _outline(draw, rectangle, color, line, dashed)
    font = _font(max(13, round(max(canvas.size) / 34)))
    taken: list[tuple[int, int, int, int]] = []
    for rectangle, label in zip(rectangles, labels, strict=True):
        if label := " ".join(label.split()):
            taken.append(_tag(draw, rectangle, label, font, color, taken, canvas.size))
    return canvas


def _enlarged(image: Image.Image, min_side: int) -> Image.Image:
    canvas = image.convert("RGB")
    longer = max(canvas.size)
    if longer < min_side:
        scale = min_side / longer
        return canvas.resize(_scaled(canvas.size, scale), Image.Resampling.BICUBIC)
    return canvas.copy() if canvas is image else canvas


def _scaled(size: Size, scale: float) -> Size:
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _rectangle(box: Box, size: Size) -> tuple[int, int, int, int]:
    left, top, right, bottom = box.pixel_bounds(size)
    return left, top, right - 1, bottom - 1


def _outline(draw: ImageDraw.ImageDraw, xyxy: tuple[int, int, int, int], color: Color, line: int, dashed: bool) -> None:
    """A frame along the rectangle's edge, with a dark rim on either side so that it shows on any ground."""
    left, top, right, bottom = xyxy
    rim = max(1, line // 3)
    if not dashed:
        draw.rectangle((left - rim, top - rim, right + rim, bottom + rim), outline=INK, width=line + 2 * rim)
        draw.rectangle(xyxy, outline=color, width=line)
        return
    dash = 4 * line
    far = max(left, right - line + 1), max(top, bottom - line + 1)
    level = [(x, y, min(x + dash, right), y + line - 1) for x in range(left, right, 2 * dash) for y in (top, far[1])]
    upright = [
        (x, y, x + line - 1, min(y + dash, bottom)) for y in range(top, bottom, 2 * dash) for x in (left, far[0])
    ]
    for x0, y0, x1, y1 in level + upright:
        draw.rectangle((x0 - rim, y0 - rim, x1 + rim, y1 + rim), fill=INK)
    for bar in level + upright:
        draw.rectangle(bar, fill=color)


def _tag(
    draw: ImageDraw.ImageDraw,
    xyxy: tuple[int, int, int, int],
    label: str,
    font: ImageFont.FreeTypeFont,
    color: Color,
    taken: Sequence[tuple[int, int, int, int]],
    size: Size,
) -> tuple[int, int, int, int]:
    """Write a label beside a rectangle, in the first place that is inside the picture and hides no other label."""
    left, top, right, bottom = xyxy
    pad = max(2, round(font.size / 4))
    label = wrap(label, font, size[0] - 2 * pad, max_lines=1)[0]
    width, height = round(font.getlength(label)) + 2 * pad, round(font.size * 1.15) + pad
    below, right_end = bottom + 1, right - width + 1
    places = [(left, top - height), (left, below), (left, top), (right_end, top), (left, below - height)]
    free = max(size[0] - width, 0), max(size[1] - height, 0)
    clamped = [(min(max(x, 0), free[0]), min(max(y, 0), free[1])) for x, y in places]
    inside = [p for p, (_, y) in zip(clamped, places, strict=True) if 0 <= y <= size[1] - height] or clamped
    x, y = next((p for p in inside if not any(_meet((*p, p[0] + width, p[1] + height), t) for t in taken)), inside[0])
    draw.rectangle((x, y, x + width - 1, y + height - 1), fill=color)
    luminance = 0.299 * color[0] + 0.587 * color[1] + 0.114 * color[2]
    draw.text((x + pad, y + height / 2), label, font=font, fill=INK if luminance > 110 else WHITE, anchor="lm")
    return x, y, x + width, y + height


def _meet(a: Sequence[int], b: Sequence[int]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


# --- words ---------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=64)
def _font(size: int) -> ImageFont.FreeTypeFont:
    return cast(ImageFont.FreeTypeFont, ImageFont.load_default(size=size))


def _prefix(text: str, font: ImageFont.FreeTypeFont, width: float) -> int:
    """How many letters of `text` fit in `width` pixels."""
    length = bisect_right(range(1, len(text) + 1), width, key=lambda n: font.getlength(text[:n]))
    # Kerning can make a longer text shorter by a hair.
    while length and font.getlength(text[:length]) > width:
        length -= 1
    return length


def _fitting(text: str, font: ImageFont.FreeTypeFont, width: float) -> str:
    """The text, or as much of it as fits in `width` pixels with "..." behind."""
    if font.getlength(text) <= width:
        return text
    return text[: _prefix(text, font, width - font.getlength("..."))].rstrip() + "..."


def wrap(text: str, font: ImageFont.FreeTypeFont, width: int, max_lines: int | None = None) -> list[str]:
    """Break text into lines of at most `width` pixels, at spaces where possible; cut to `max_lines` with "..."."""
    text = text.encode("utf-8", "replace").decode()  # Replies may hold lone surrogates, which fonts refuse.
    if max_lines is None:
        return list(_lines(text, font, width))
    lines = list(islice(_lines(text, font, width), max_lines + 1))
    if len(lines) > max_lines:
        lines = [*lines[: max_lines - 1], _fitting(lines[max_lines - 1] + " ...", font, width)]
    return lines


def _lines(text: str, font: ImageFont.FreeTypeFont, width: int) -> Iterator[str]:
    for paragraph in text.splitlines() or [""]:
        line = ""
        for word in paragraph.split():
            joined = f"{line} {word}" if line else word
            if font.getlength(joined) <= width:
                line = joined
                continue
            if line:
                yield line
            while (cut := _prefix(word, font, width)) < len(word) and len(word) > 1:
                yield word[: max(cut, 1)]
                word = word[max(cut, 1) :]
            line = word
        yield line


def _paragraph(
    text: str, width: int, size: int = 17, color: Color = INK, ground: Color = PAPER, max_lines: int | None = None
) -> Image.Image:
    """A picture of wrapped text, `width` pixels wide and as high as needed."""
    font = _font(size)
    step = round(size * 1.4)
    lines = wrap(text, font, width, max_lines)
    picture = Image.new("RGB", (width, step * len(lines)), ground)
    draw = ImageDraw.Draw(picture)
    for number, line in enumerate(lines):
        draw.text((0, number * step + step / 2), line, font=font, fill=color, anchor="lm")
    return picture


def text_picture(text: str, size: Size) -> Image.Image:
    """A picture of a text, in place of the photo of a question in words; what does not fit is cut off."""
    margin, line = 10, 14
    canvas = Image.new("RGB", size, SHADE)
    lines = max(1, (size[1] - 2 * margin) // round(line * 1.4))
    words = _paragraph(text, size[0] - 2 * margin, line, ground=SHADE, max_lines=lines)
    canvas.paste(words, (margin, margin))
    return canvas


def _stack(pictures: Sequence[Image.Image], gap: int = 10, margin: int = 0, ground: Color = PAPER) -> Image.Image:
    width = max(p.width for p in pictures) + 2 * margin
    height = sum(p.height for p in pictures) + gap * (len(pictures) - 1) + 2 * margin
    canvas = Image.new("RGB", (width, height), ground)
    y = margin
    for picture in pictures:
        canvas.paste(picture, (margin, y))
        y += picture.height + gap
    return canvas


# --- traces --------------------------------------------------------------------------------------------------------

MAX_STEPS = 16
"""Steps that `draw_trace` shows; a broken reply may hold hundreds."""


def draw_trace(
    photo: Image.Image | Sample | None,
    depth: DepthMap | None,
    trace: Trace,
    gold: Sequence[Box] | None = None,
    *,
    question: str | None = None,
    reply: str | None = None,
    width: int = 1000,
) -> Image.Image:
    """A trace, one row a step: its boxes on the photo and on the depth map, its words below; then answer and faults.

    photo: the picture (None: words only), or a sample, from which depth, gold boxes and question are taken where they
        are not given.
    gold: boxes drawn dashed, in white, on the last step.
    reply: the text the trace was read from; the parts at fault are quoted. width: pixels of the picture.
    """
    if isinstance(photo, Sample):
        sample = photo
        depth = sample.depth_map() if depth is None else depth
        gold = sample.boxes if gold is None else gold
        question = sample.question if question is None else question
        photo = None if sample.image is None else sample.photo()
    margin = 24
    inner = width - 2 * margin
    rows = [_paragraph(question, inner, 22)] if question else []
    for number, step in enumerate(trace.steps[:MAX_STEPS], 1):
        last = number == len(trace.steps)
        if photo is not None:
            rows.append(_views(photo, depth, step.area, gold if last else None, inner))
        color = INK if step.text else MUTED
        unread = "" if step.area.boxes or photo is None else "  (no box could be read)"
        rows.append(_paragraph(f"{number}. {step.text or '(no words)'}{unread}", inner, 18, color, max_lines=8))
    if (hidden := len(trace.steps) - MAX_STEPS) > 0:
        rows.append(_paragraph(f"... and {hidden} more steps", inner, 18, MUTED))
    if not trace.steps and photo is not None:
        rows.append(_views(photo, depth, Area((), ()), gold, inner))
    if gold:
        rows.append(_paragraph("Solid green: the model's boxes. Dashed white: gold boxes.", inner, 14, MUTED))
    rows.append(_paragraph(f"Answer: {trace.answer or '(none)'}", inner, 22, INK if trace.answer else RED, max_lines=6))
    if trace.faults:
        rows.append(_faults(trace, reply, inner))
    return _stack(rows, gap=12, margin=margin)


def _views(
    photo: Image.Image, depth: DepthMap | None, area: Area, gold: Sequence[Box] | None, width: int
) -> Image.Image:
    """Photo and depth map side by side with an area drawn on both."""
    pictures = [photo] if depth is None else [photo, color_depth(depth)]
    gap = 12
    # A single picture is not blown up to the full width, and tall ones not beyond a screen.
    cell = (width - gap) // 2 if depth is not None else round(width * 0.62)
    size = _scaled(photo.size, min(cell / photo.width, 620 / photo.height))
    labels = ["" if d is None else f"depth {d:.3f}" for d in area.depths]
    canvas = Image.new("RGB", (width, size[1]), PAPER)
    for column, picture in enumerate(pictures):
        how = Image.Resampling.LANCZOS if column == 0 else Image.Resampling.NEAREST
        view = draw_boxes(picture.convert("RGB").resize(size, how), area.boxes, labels, min_side=0)
        if gold:
            view = draw_boxes(view, gold, color=WHITE, dashed=True, min_side=0)
        canvas.paste(view, (column * (size[0] + gap), 0))
    return canvas


def _faults(trace: Trace, reply: str | None, width: int) -> Image.Image:
    """The faults of a trace in red, each with the part of the reply that it names."""
    shown = trace.faults[:12]
    ground = (253, 240, 240)
    many = len(trace.faults)
    rows = [_paragraph(f"{many} fault{'s' if many > 1 else ''} in the reply", width - 28, 18, RED, ground)]
    for fault in shown:
        text = f"{fault.kind} at {fault.start}: {fault.message}"
        rows.append(_paragraph(text, width - 28, 16, RED, ground, max_lines=3))
        quote = " ".join((reply or "")[fault.start : fault.end].split())
        if quote:
            rows.append(_paragraph(quote, width - 28, 14, MUTED, ground, max_lines=2))
    if len(shown) < many:
        rows.append(_paragraph(f"... and {many - len(shown)} more", width - 28, 16, RED, ground))
    return _stack(rows, gap=4, margin=14, ground=ground)


# --- groups of rollouts ----------------------------------------------------------------------------------------------


def hues(n: int) -> list[Color]:
    """`n` bright colors that can be told apart, all but the green and the white of other boxes."""
    found = []
    for i in range(n):
        hue = (0.46 + 0.8 * i / max(n, 1)) % 1
        found.append(cast(Color, tuple(round(255 * c) for c in hsv_to_rgb(hue, (0.62, 0.95)[i % 2], (1, 0.92)[i % 2]))))
    return found


def draw_group(
    sample: Sample, traces: Sequence[Trace], heads: Sequence[str], cells: Sequence[Sequence[str]], width: int = 1700
) -> Image.Image:
    """All rollouts of a sample: photo and depth map with the boxes of each in its color, and a table beside them.

    The last area is drawn thick, the first one that is not the whole image thin, gold dashed in white.
    heads: of the table's columns, after the rollout's number. cells: one row a trace; the last column holds words,
        all others numbers.
    """
    colors, gap = hues(len(traces)), 12
    heading = _paragraph(f"{sample.question} (gold: {sample.answer})", width, 18, max_lines=3)
    pictures = [] if sample.image is None else [sample.photo()]
    if pictures and (depth := sample.depth_map()) is not None:
        pictures.append(color_depth(depth))
    views = [_group_view(picture, number, sample.boxes, traces, colors) for number, picture in enumerate(pictures)]
    left = sum(view.width + gap for view in views)
    table = _table(heads, cells, colors, width - left)
    canvas = Image.new("RGB", (width, max([table.height, *(view.height for view in views)])), PAPER)
    x = 0
    for view in views:
        canvas.paste(view, (x, 0))
        x += view.width + gap
    canvas.paste(table, (left, 0))
    return _stack([heading, canvas], gap=6)


GROUP_CELL = (380, 380)
"""Pixels of each view of a group at most."""


def _group_view(
    picture: Image.Image, number: int, gold: Sequence[Box], traces: Sequence[Trace], colors: Sequence[Color]
) -> Image.Image:
    scale = min(GROUP_CELL[0] / picture.width, GROUP_CELL[1] / picture.height)
    how = Image.Resampling.BICUBIC if number == 0 else Image.Resampling.NEAREST
    view = picture.convert("RGB").resize(_scaled(picture.size, scale), how)
    draw = ImageDraw.Draw(view)
    for line, areas in ((1, [t.first_focus for t in traces]), (3, [t.last_area for t in traces])):
        for area, color in zip(areas, colors, strict=True):
            for box in () if area is None else area.boxes:
                draw.rectangle(_rectangle(box, view.size), outline=color, width=line)
    for box in gold:
        _outline(draw, _rectangle(box, view.size), WHITE, 2, dashed=True)
    return view


def _table(heads: Sequence[str], cells: Sequence[Sequence[str]], colors: Sequence[Color], width: int) -> Image.Image:
    """Numbers to the right of their column, words of the last column to the left of it and cut to its width."""
    font, step, pad = _font(16), 28, 15
    numbers = [
        pad + round(max(font.getlength(text) for text in (head, *(row[i] for row in cells))))
        for i, head in enumerate(heads[:-1])
    ]
    ends = [44 + sum(numbers[: i + 1]) for i in range(len(numbers))]
    words = ends[-1] + 2 * pad
    canvas = Image.new("RGB", (width, step * (len(cells) + 1)), PAPER)
    draw = ImageDraw.Draw(canvas)
    for line, row in enumerate([heads, *cells]):
        y, ink = round((line + 0.5) * step), INK if line else MUTED
        if line:
            draw.rectangle((4, y - 7, 18, y + 7), fill=colors[line - 1])
            draw.text((44, y), str(line), font=font, fill=ink, anchor="rm")
        for end, text in zip(ends, row, strict=False):
            draw.text((end, y), text, font=font, fill=ink, anchor="rm")
        text = wrap(row[-1], font, max(width - words, 1), max_lines=1)[0]
        draw.text((words, y), text, font=font, fill=ink, anchor="lm")
    return canvas


def stack(pictures: Sequence[Image.Image], title: str) -> Image.Image:
    """Pictures one below the other, with a title over them."""
    width = max(picture.width for picture in pictures)
    return _stack([_paragraph(title, width, 16, MUTED), *pictures], gap=22, margin=20)


# --- contact sheets ------------------------------------------------------------------------------------------------


def contact_sheet(
    tiles: Sequence[tuple[Image.Image, str]], columns: int = 4, *, tile: Size = (320, 240), max_lines: int = 4
) -> Image.Image:
    """Pictures in a grid, each fitted into `tile` (width, height) with its caption below.

    Raises `ValueError` without tiles.
    """
    if not tiles:
        raise ValueError("a contact sheet needs at least one tile")
    columns = max(1, min(columns, len(tiles)))
    cells = []
    for image, caption in tiles:
        scale = min(tile[0] / image.width, tile[1] / image.height)
        picture = image.convert("RGB").resize(_scaled(image.size, scale), Image.Resampling.LANCZOS)
        frame = Image.new("RGB", tile, SHADE)
        frame.paste(picture, ((tile[0] - picture.width) // 2, (tile[1] - picture.height) // 2))
        cells.append(_stack([frame, _paragraph(caption, tile[0], 14, INK, max_lines=max_lines)], gap=6))
    rows = []
    gap = 16
    for start in range(0, len(cells), columns):
        row = cells[start : start + columns]
        canvas = Image.new("RGB", (columns * tile[0] + (columns - 1) * gap, max(c.height for c in row)), PAPER)
        for column, cell in enumerate(row):
            canvas.paste(cell, (column * (tile[0] + gap), 0))
        rows.append(canvas)
    return _stack(rows, gap=gap, margin=20)

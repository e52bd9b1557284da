"""The one home of prompt wording, of each model family's facts, and of the vision budget.

Data, SFT, GRPO, inference and evaluation all build their input here, so a model is always asked in the words it
was taught, on pictures of the size it was taught. `prompt_hash` changes when the wording does; checkpoints and
run folders store it. Traces themselves are `trace`'s business.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

from .draw import depth_picture
from .errors import InputError
from .geometry import Frame, Size
from .sample import Sample

Message = dict[str, Any]

TASK = (
    "First look, then answer. Think in <think> tags, alternating <area> and <text>: start from the whole image and "
    "move to the evidence, correcting your focus where needed. An <area> is a JSON list of boxes, each as {item}; "
    "{frame}{depth}. Each <text> says in a sentence what the area shows. "
    "After </think> give the final answer in <answer>."
)
WORDS_TASK = "Think in <think> tags, one step in each <text>. After </think> give the final answer in <answer>."
"""For questions without a picture."""
ITEM = '{{"bbox_2d":[x0,y0,x1,y1]{depth}}}'
PHOTO_LABEL = "Photo: "
DEPTH_LABEL = "\nDepth map (darker is nearer): "
DEPTH_RULE = "; depth is the mean relative depth of the box, from 0 (nearest) to 1 (farthest)"
FRAME_RULES = {
    Frame.UNIT_XYXY: "coordinates are shares of the image's width and height, with three decimals",
    Frame.K1000_XYXY: "coordinates are whole numbers from 0 to 1000, relative to the image",
    Frame.PIXEL_XYXY: "coordinates are pixels of the image",
}

DEFAULT_MAX_PIXELS = 512 * 512
"""Pixels of one picture at most; the released recipe's SFT budget (262144)."""


@dataclass(frozen=True)
class Family:
    """What differs between families of chat models with image input.

    model_types: the `model_type`s of transformers configs.
    grid: image sides are multiples of this (patch size times merge size), so that processors change nothing.
    native_frame: the frame in which an untuned model writes boxes when asked for them its own way.
    vision_tokens: tokens that a model must never sample.
    """

    name: str
    model_types: tuple[str, ...]
    grid: int
    native_frame: Frame
    vision_tokens: tuple[str, ...]


_QWEN = ("<|vision_start|>", "<|vision_end|>", "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>")

FAMILIES = {
    f.name: f
    for f in (
        Family("qwen2-vl", ("qwen2_vl",), 28, Frame.K1000_XYXY, _QWEN),
        Family("qwen2.5-vl", ("qwen2_5_vl",), 28, Frame.PIXEL_XYXY, _QWEN),
        Family("qwen3-vl", ("qwen3_vl", "qwen3_vl_moe"), 32, Frame.K1000_XYXY, _QWEN),
        Family("generic", (), 1, Frame.UNIT_XYXY, ("<image>", "<|image|>", "<image_pad>", "<IMG_CONTEXT>")),
    )
}


def family_of(model_type: str) -> Family:
    """The family of a transformers `model_type`; `generic` for those that need nothing special."""
    return next((f for f in FAMILIES.values() if model_type in f.model_types), FAMILIES["generic"])


def instruction(with_depth: bool, frame: Frame = Frame.UNIT_XYXY) -> str:
    """What the model is told about the form of its reply."""
    item = ITEM.format(depth=',"depth":d' if with_depth else "")
    return TASK.format(item=item, frame=FRAME_RULES[frame], depth=DEPTH_RULE if with_depth else "")


def build_prompt(sample: Sample, frame: Frame = Frame.UNIT_XYXY) -> list[Message]:
    """The chat messages for a sample: one user turn of text and image blocks.

    The image blocks stand for `model_images(sample, ...)`, in order: the photo and, where the sample has a depth
    map, its picture. The gold answer and boxes are not looked at.
    """
    photo, depth = sample.image is not None, sample.depth is not None
    return messages(sample.question, sample.choices, photo=photo, depth=depth, frame=frame)


def messages(
    question: str, choices: Sequence[str], photo: bool, depth: bool, frame: Frame = Frame.UNIT_XYXY
) -> list[Message]:
    """`build_prompt` for a question of which is known only whether it has a photo and a depth map."""
    content: list[dict[str, Any]] = []
    if photo:
        content += [{"type": "text", "text": PHOTO_LABEL}, {"type": "image"}]
    if depth:
        content += [{"type": "text", "text": DEPTH_LABEL}, {"type": "image"}]
    question = question.strip()
    if choices:
        question += "\n" + "\n".join(f"({chr(65 + i)}) {choice}" for i, choice in enumerate(choices))
    how = instruction(depth, frame) if photo else WORDS_TASK
    content.append({"type": "text", "text": f"\n{question}\n{how}"})
    return [{"role": "user", "content": content}]


def model_images(sample: Sample, max_pixels: int = DEFAULT_MAX_PIXELS, grid: int = 28) -> list[Image.Image]:
    """The pictures a model sees, already at their final size: the photo and, where there is one, its depth picture.

    None for a question in words only.
    Raises `InputError` when the depth map does not have the photo's size.
    """
    if sample.image is None:
        return []
    photo, depth = sample.photo(), sample.depth_map()
    if depth is not None and depth.size != photo.size:
        raise InputError(
            f"{sample.id}: depth map is {depth.size[0]}x{depth.size[1]}, photo {photo.size[0]}x{photo.size[1]}; "
            "give the depth map of this photo at its size"
        )
    size = budget_size(photo.size, max_pixels, grid)
    pictures = [photo] if depth is None else [photo, depth_picture(depth)]
    return [p if p.size == size else p.resize(size, Image.Resampling.BICUBIC) for p in pictures]


def budget_size(size: Size, max_pixels: int, grid: int) -> Size:
    """The size nearest to `size` in shape, with both sides multiples of `grid` and at most `max_pixels` pixels.

    >>> budget_size((640, 480), 512 * 512, 28)
    (588, 420)
    """
    width, height = size
    if max_pixels < grid * grid:
        raise InputError(f"max_pixels {max_pixels} is less than one {grid}x{grid} patch")
    shrink = min(1.0, math.sqrt(max_pixels / (width * height)))
    w, h = (max(grid, round(side * shrink / grid) * grid) for side in size)
    while w * h > max_pixels:
        # Rounding up both sides, or a very long picture, can overshoot: take from the side that keeps the shape best.
        if h == grid or (w > grid and w / h > width / height):
            w -= grid
        else:
            h -= grid
    return w, h


def prompt_hash() -> str:
    """Twelve hex digits that change whenever the wording or the rules of the prompt change."""
    parts = [instruction(d, f) for d in (True, False) for f in FRAME_RULES]
    return hashlib.sha256("\0".join([PHOTO_LABEL, DEPTH_LABEL, WORDS_TASK, *parts]).encode()).hexdigest()[:12]

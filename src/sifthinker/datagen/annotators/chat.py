"""What a teacher is asked: to write what a person thinks at every area, which is shown in green on the photo.

The chat, its pictures, and the key that tells one request from another. How it is sent is `teacher`'s business.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from PIL import Image

from ...draw import draw_boxes
from ...engines.engine import Request
from ...engines.server import data_url
from ...prompt import DEFAULT_MAX_PIXELS, Message, budget_size
from ...records import digest
from ...trace import format_area
from ..expand import Stage
from .job import Job

MAX_TOKENS = 1200
TEMPERATURE = 0.7
JPEG_QUALITY = 90

SYSTEM = (
    "You write training data. You will see one photo several times, each time with a part of it marked by green boxes: "
    "the parts that a person would look at, one after the other, to answer a question. For every part write what that "
    "person thinks while looking at it: what it shows, and why to look at the next part. Think forward: do not give "
    "the answer away before the last part, and do not mention boxes, colors of boxes, numbers of parts or these "
    "instructions. Parts that do not help are looked at too: say that they do not help, and look elsewhere. Use no "
    "depths or coordinates but those given. Write in {language}.\n"
    'Reply with JSON only: {{"texts": [one string a part, each of one or two sentences], "answer": the right answer}}.'
)
FORM = "Number of parts: {count}. The right answer is: {answer}"
AGAIN = "This reply could not be used: {fault}. Write the whole reply again, with this put right."
SCHEMA = {
    "type": "object",
    "properties": {"texts": {"type": "array", "items": {"type": "string"}}, "answer": {"type": "string"}},
    "required": ["texts", "answer"],
    "additionalProperties": False,
}
"""The same for every request, as the instructions are: servers keep what requests have in common at their beginning."""


def frames(job: Job, max_pixels: int) -> tuple[Image.Image, ...]:
    """The photo once a stage, with the stage's boxes in green; made smaller if it has more than `max_pixels`."""
    photo = job.sample.photo()
    size = budget_size(photo.size, max_pixels, grid=1)
    if size != photo.size:
        photo = photo.resize(size, Image.Resampling.BICUBIC)
    return tuple(draw_boxes(photo, stage.area.boxes, min_side=0) for stage in job.stages)


def draw_frames(job: Job) -> list[str]:
    """The frames as they are sent."""
    return [data_url(frame, JPEG_QUALITY) for frame in frames(job, DEFAULT_MAX_PIXELS)]


def look(job: Job, draw: bool) -> tuple[str, list[str]]:
    """The digest of the photo and, where no reply can be there yet, the pictures."""
    photo = digest(job.sample.photo_data()).hex()
    return photo, draw_frames(job) if draw else []


def messages(job: Job, language: str = "English") -> list[Message]:
    """The chat for a job: what is the same for all jobs first, pictures as blocks `{"type": "image"}`."""
    sample = job.sample
    question = sample.question
    if sample.choices:
        question += " " + " ".join(f"({chr(65 + i)}) {choice}" for i, choice in enumerate(sample.choices))
    content: list[dict[str, Any]] = [{"type": "text", "text": f"Question: {question}\n"}]
    for number, stage in enumerate(job.stages, 1):
        content += [{"type": "text", "text": f"Part {number} ({_about(stage)}): "}, {"type": "image"}]
    content.append({"type": "text", "text": "\n" + FORM.format(count=len(job.stages), answer=sample.answer)})
    return [{"role": "system", "content": SYSTEM.format(language=language)}, {"role": "user", "content": content}]


ROLES = {
    "whole": "the whole photo",
    "distractor": "does not help",
    "context": "around the evidence",
    "gold": "the evidence",
}


def _about(stage: Stage) -> str:
    depths = [f"{d:.3f}" for d in stage.area.depths if d is not None]
    distance = f"; relative depth, 0 near to 1 far: {', '.join(depths)}" if depths else ""
    return f"{ROLES[stage.role]}{distance}"


def again(chat: Sequence[Message], reply: str, fault: str) -> list[Message]:
    """The chat with a reply that could not be used, and with the request for another one."""
    return [*chat, {"role": "assistant", "content": reply}, {"role": "user", "content": AGAIN.format(fault=fault)}]


def request_of(id_: str, chat: Sequence[Message], pictures: Sequence[str], seed: int) -> Request:
    """The chat with its pictures, which are all in the second message, as it is sent."""
    urls = iter(pictures)
    content = [
        {"type": "image_url", "image_url": {"url": next(urls)}} if block["type"] == "image" else block
        for block in chat[1]["content"]
    ]
    filled: list[Message] = [chat[0], {"role": "user", "content": content}, *chat[2:]]
    return Request(id_, filled, (), MAX_TOKENS, TEMPERATURE, seed, schema=SCHEMA)


def key_of(model: str, job: Job, photo: str, chat: Sequence[Message], seed: int) -> str:
    """Names a request by all that goes into it, the pictures by what they are drawn from."""
    areas = [format_area(stage.area) for stage in job.stages]
    settings = [model, DEFAULT_MAX_PIXELS, JPEG_QUALITY, MAX_TOKENS, TEMPERATURE, seed]
    return digest(json.dumps([settings, photo, areas, chat]).encode()).hex()

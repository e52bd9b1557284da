"""Gold traces of questions about generated scenes, by reverse expansion: from the evidence out to the whole image.

    whole image  ->  a landmark of the question, or sometimes a wrong object, seen and left  ->  the evidence

The last area holds exactly the evidence boxes; depths are means of the exact depth map. Sentences are short and use the
question's words. Wide areas around the evidence, as `datagen` makes for photos, are left out: these scenes are small.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from numpy.random import Generator

from ..depth import DepthMap
from ..geometry import WHOLE, Box
from ..trace import Area, Step, Trace
from .task import Question, World
from .words import article

WRONG_FIRST = 0.3
"""Share of traces that look at a wrong object first, where the scene has one and the question has no landmark."""

LOOKS = ("I look for {about}.", "First I find {about}.", "The question is about {about}.")
LEAVES = ("This is {thing}, not what I need.", "This is {thing}, so I look elsewhere.")


def chain(frames: Iterable[tuple[Sequence[Box], str]], depth: DepthMap | None, answer: str) -> Trace:
    """A trace of the given boxes and sentences, each box with the mean relative depth of what it covers.

    depth: metric or relative; None: boxes without depth. Raises `ValueError` when a box covers no valid depth.
    """
    return Trace(tuple(Step(area(boxes, depth), text) for boxes, text in frames), answer)


def area(boxes: Sequence[Box], depth: DepthMap | None) -> Area:
    """Boxes at trace precision, with the mean relative depth of each; see `chain`."""
    if depth is None:
        return Area(tuple(boxes), (None,) * len(boxes))
    relative = depth.relative()
    means = [relative.box_mean(box.quantized()) for box in boxes]
    if None in means:
        raise ValueError(f"box {list(boxes[means.index(None)])} covers no pixel with valid depth")
    return Area(tuple(boxes), tuple(means))


def gold_trace(world: World, question: Question, rng: Generator) -> Trace:
    """The trace that a perfect thinker would write about a question.

    Raises `ValueError` when an object that the question needs is not in the picture.
    """
    if world.image is None:
        return Trace(tuple(Step(Area((), ()), fact) for fact in question.facts), question.answer)
    looks = str(rng.choice(LOOKS)).format(about=question.about)
    frames: list[tuple[Sequence[Box], str]] = [((WHOLE,), looks)]
    used = (*question.evidence, *question.via)
    others = [i for i, box in enumerate(world.boxes) if box is not None and i not in used]
    wrong_first = rng.random() < WRONG_FIRST
    if others and wrong_first and not question.via:
        wrong = others[int(rng.integers(len(others)))]
        leaves = str(rng.choice(LEAVES)).format(thing=article(world.labels[wrong]))
        frames.append((evidence_boxes(world, (wrong,)), leaves))
    if question.via:
        frames.append((evidence_boxes(world, question.via), question.via_says))
    frames.append((evidence_boxes(world, question.evidence), question.says))
    return chain(frames, world.depth, question.answer)


def evidence_boxes(world: World, things: Sequence[int]) -> tuple[Box, ...]:
    """The boxes of things, in full precision. Raises `ValueError` for one that is not in the picture."""
    boxes = tuple(box for i in things if (box := world.boxes[i]) is not None)
    if len(boxes) != len(things):
        raise ValueError(f"things {list(things)}: not all of them are in the picture")
    return boxes

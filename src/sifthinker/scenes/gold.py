"""Gold traces of questions about generated scenes, by reverse expansion: from the evidence out to the whole image.

    whole image  ->  a landmark of the question, or sometimes a wrong object, seen and left  ->  the evidence

The last area holds exactly the evidence boxes; depths are means of the exact depth map. Sentences are short and use the
question's words. Wide areas around the evidence, as `datagen` makes for photos, are left out: these scenes are small.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.random import Generator

from ..depth import DepthMap
from ..geometry import WHOLE, Box
from ..trace import Area, Step, Trace
from .task import Question, World
from .words import article

WRONG_FIRST = 0.3
"""Share of traces that look at a wrong object first, where the scene has one and the question has no landmark."""
PART_FIRST = 0.15
"""Share of traces that look at a part of the evidence first, where it has several parts."""
LISTED = 6
"""Most things whose places a trace lists."""

LOOKS = ("I look for {about}.", "First I find {about}.", "The question is about {about}.")
MISSES = ("This is only a part of it.", "This is not yet everything.")
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


def gold_trace(world: World, question: Question, rng: Generator, style: str = "sif") -> Trace:
    """The trace that a perfect thinker would write about a question, in one of `STYLES`.

    Raises `ValueError` when an object that the question needs is not in the picture.
    """
    if world.image is None:
        texts = _graph_in_words(world, question) if style == "scene_graph" else question.facts
        return Trace(tuple(Step(Area((), ()), text) for text in texts), question.answer)
    frames = [(_boxes(world, things), text) for things, text in STYLES[style](world, question, rng)]
    return chain(frames, world.depth, question.answer)


# --- the styles --------------------------------------------------------------------------------------------------

Frames = Iterable[tuple[Sequence[int] | None, str]]
"""Things and what is said about them; None: the whole image. The last ones are the evidence."""


def _sif(world: World, question: Question, rng: Generator) -> Frames:
    """From the whole to the evidence, over the question's landmark or, sometimes, over a mistake that is corrected."""
    yield None, str(rng.choice(LOOKS)).format(about=question.about)
    detour = rng.random()
    used = (*question.evidence, *question.via)
    others = [i for i, box in enumerate(world.boxes) if box is not None and i not in used]
    if question.via:
        yield question.via, question.via_says
    elif others and detour < WRONG_FIRST:
        wrong = others[int(rng.integers(len(others)))]
        yield (wrong,), str(rng.choice(LEAVES)).format(thing=article(world.labels[wrong]))
    elif len(question.evidence) > 1 and detour > 1 - PART_FIRST:
        part = question.evidence[: int(rng.integers(1, len(question.evidence)))]
        yield part, str(rng.choice(MISSES))
    yield question.evidence, question.says


def _explicit(world: World, question: Question, rng: Generator) -> Frames:
    """Where each thing is in metres, then the computation (the phrases are those of SpatialReasoner)."""
    yield None, f"I need {question.about} in 3D."
    places = _places(world)
    things = tuple(dict.fromkeys((*question.via, *question.evidence)))
    if places is not None and len(things) <= LISTED:
        for i in things:
            at = ", ".join(f"{v:.2f}" for v in _rounded(places[i]))
            yield (i,), f"The 3D location of the {world.labels[i]} is ({at}) m."
    yield question.evidence, " ".join(text for text in (*question.facts, question.says) if text)


def _scene_graph(world: World, question: Question, rng: Generator) -> Frames:
    """What matters of the scene as compact JSON, then the answer."""
    yield None, json.dumps(_graph(world, question), separators=(",", ":"), ensure_ascii=False)
    yield question.evidence, question.says


STYLES: dict[str, Callable[[World, Question, Generator], Frames]] = {
    "sif": _sif,
    "explicit": _explicit,
    "scene_graph": _scene_graph,
}
"""Ways to write a gold trace. All keep the grammar of traces and end at the evidence, so all are worth full marks.

    sif          focus from the whole to the evidence, with landmarks, mistakes and their correction
    explicit     3D locations, vectors and distances in metres step by step (SpatialReasoner, arXiv 2504.20024)
    scene_graph  objects and relations that matter as JSON, then the answer (SceneGraph-CoT)
"""


def _graph(world: World, question: Question) -> dict[str, Any]:
    """Objects by number, with depth and 3D location where they are known; relations: the facts, else vectors."""
    things = tuple(dict.fromkeys((*question.via, *question.evidence)))[:LISTED]
    places, relative = _places(world), None if world.depth is None else world.depth.relative()
    objects: list[dict[str, Any]] = []
    for number, i in enumerate(things):
        node: dict[str, Any] = {"id": number, "name": world.labels[i]}
        box = world.boxes[i]
        mean = None if relative is None or box is None else relative.box_mean(box.quantized())
        if mean is not None:
            node["depth"] = round(mean, 3)
        if places is not None:
            node["location_m"] = _rounded(places[i])
        objects.append(node)
    relations: list[Any] = list(question.facts)
    if not relations and places is not None:
        relations = [
            {"from": a, "to": b, "vector_m": _rounded(places[things[b]] - places[things[a]])}
            for a, b in combinations(range(len(things)), 2)
        ]
    return {"objects": objects, "relations": relations}


def _graph_in_words(world: World, question: Question) -> tuple[str, ...]:
    graph = {"objects": list(world.labels), "relations": list(question.facts[:-1])}
    return json.dumps(graph, separators=(",", ":"), ensure_ascii=False), question.facts[-1]


def _rounded(place: Any) -> list[float]:
    return [round(float(v), 2) + 0.0 for v in place]  # + 0.0: zeros have no sign


def _places(world: World) -> Any:
    """Centers of the things in the axes of the camera that shows them, metres, shape (n, 3); None where unknown."""
    views = getattr(world, "views", None)
    if views is not None:
        return np.concatenate([view.centers for view in views])
    return getattr(world, "centers", None)


def _boxes(world: World, things: Sequence[int] | None) -> tuple[Box, ...]:
    return (WHOLE,) if things is None else evidence_boxes(world, things)


def evidence_boxes(world: World, things: Sequence[int]) -> tuple[Box, ...]:
    """The boxes of things, in full precision. Raises `ValueError` for one that is not in the picture."""
    boxes = tuple(box for i in things if (box := world.boxes[i]) is not None)
    if len(boxes) != len(things):
        raise ValueError(f"things {list(things)}: not all of them are in the picture")
    return boxes

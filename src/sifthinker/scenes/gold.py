"""Gold traces of questions about generated scenes, by reverse expansion: from the evidence out to the whole image.

    whole image  ->  a landmark of the question, or sometimes a wrong object, seen and left  ->  the evidence

The last area holds exactly the evidence boxes; depths are means of the exact depth map. Sentences are short and use the
question's words. Wide areas around the evidence, as `datagen` makes for photos, are left out: these scenes are small.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from itertools import combinations
from typing import Any

from numpy.random import Generator

from ..depth import DepthMap
from ..geometry import WHOLE, Box
from ..lookup import lookup
from ..trace import Area, Step, Trace
from .covisible import title
from .seam import SeamView
from .task import Question, World
from .views import Views
from .words import article

WRONG_FIRST = 0.3
"""Share of traces that look at a wrong object first, where the scene has one and the question has no landmark."""
PART_FIRST = 0.15
"""Share of traces that look at a part of the evidence first, where it has several parts."""
LISTED = 6
"""Most objects whose places a trace lists."""
ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth")

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
    """The trace that a perfect thinker would write about a question. style: a key of `STYLES` or `module:attribute`.

    Raises `ValueError` when an object that the question needs is not in the picture.
    """
    if world.image is None:
        texts = _graph_in_words(world, question) if style == "scene_graph" else _once(question.facts)
        return Trace(tuple(Step(Area((), ()), text) for text in texts), question.answer)
    write = lookup("trace style", style, STYLES)
    frames = [(_boxes(world, things), text) for things, text in write(world, question, rng)]
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
    """Where each object is in metres, then the computation (the phrases are those of SpatialReasoner)."""
    places, frame = _places(world, question)
    objects = _objects(world, question)
    listed = {} if places is None or len(objects) > LISTED else {i: _rounded(places[i]) for i in objects}
    yield None, f"I need {question.about}{' in 3D' if listed else ''}."
    the = f"In the axes of {frame}, the" if frame else "The"
    for i, place in listed.items():
        at = ", ".join(f"{v:.2f}" for v in place)
        yield objects[i], f"{the} 3D location of the {world.labels[i]} is ({at}) m."
    steps, conclusion = _computation(question)
    yield question.evidence, " ".join((*steps, conclusion))


def _scene_graph(world: World, question: Question, rng: Generator) -> Frames:
    """What matters of the scene as compact JSON, then the answer."""
    steps, conclusion = _computation(question)
    yield None, json.dumps(_graph(world, question, steps), separators=(",", ":"), ensure_ascii=False)
    yield question.evidence, conclusion


def _listing(world: World, question: Question, rng: Generator) -> Frames:
    """What is seen, one by one from near to far, each with whether the question names it; then the evidence.

    So what is asked is chosen by comparing words, which is learned far sooner than to find a place by its name. Things
    that the question names one by one are numbered, and the evidence is in that order: whether the first is left of the
    second is then read off two boxes, without the need to know at once which box is whose. The numbers stand behind the
    names from the start, so that the number of a thing in the list is what once followed its name.
    """
    named = list(dict.fromkeys(world.labels[i] for i in question.via or question.evidence))
    numbered = _one_by_one(question.about, named)
    about = question.about
    if numbered:
        about = " and ".join(f"{part} {which}" for part, which in zip(about.split(" and "), ORDINALS, strict=False))
    order: dict[int, int] = {}
    yield None, LOOKS[0].format(about=about)
    for label, things in _seen(world):
        order |= {thing: len(order) + k for k, thing in enumerate(things)}
        size = _measure(world, things[0])
        places = f" in {len(things)} places" if len(things) > 1 else f" of {size}" if size else ""
        which = f" {ORDINALS[numbered.index(label)]}" if label in numbered else ""
        noun = article(label)
        need = f", which I need{which}" if label in named else ""
        yield things, f"{noun[0].upper()}{noun[1:]}{places}{need}."
    if numbered:  # else the evidence is in the order in which it was listed
        order = {i: numbered.index(label) for i, label in enumerate(world.labels) if label in numbered}
    steps, conclusion = _computation(question)
    said = tuple(f" measures {_measure(world, thing)}." for thing in question.evidence)
    steps = [step for step in steps if not step.endswith(said)]
    yield sorted(question.evidence, key=lambda i: order.get(i, len(order))), " ".join((*steps, conclusion))


def _measure(world: World, thing: int) -> str:
    """The longest side of a thing, empty where a world does not know it.

    Said in every trace, so that sizes are learned from all questions, not from the few that ask for them.
    """
    sizes = getattr(world, "sizes", None)
    if sizes is None:
        return ""
    return f"{sizes[thing]:.{1 if sizes[thing] >= 0.1 else 2}f} m"  # a real cup is not of 0.0 m


def _one_by_one(about: str, labels: Sequence[str]) -> list[str]:
    """Labels in the order in which "the cube and the red ring" names them; none where it does not name each of them."""
    parts = [set(part.split()) - {"the", "object"} for part in about.split(" and ")]
    told = [label for part in parts for label in labels if part <= set(label.split())]
    return told if 1 < len(parts) <= len(ORDINALS) and sorted(told) == sorted(labels) else []


def _seen(world: World) -> list[tuple[str, list[int]]]:
    """At most `LISTED` labels with their things, from near to far: equal objects, or one in several views."""
    listed: dict[str, list[int]] = {}
    for i in _near_to_far(world):
        listed.setdefault(world.labels[i], []).append(i)
    return list(listed.items())[:LISTED]


def _near_to_far(world: World) -> list[int]:
    """Things that are large enough to point at, by the depths of their boxes as a trace gives them."""
    if world.depth is None:
        return [i for i, box in enumerate(world.boxes) if box is not None]
    relative, size = world.depth.relative(), world.depth.size
    boxes = {i: box for i, box in enumerate(world.boxes) if box is not None and not box.too_small(size)}
    depths = {i: mean for i, box in boxes.items() if (mean := relative.box_mean(box.quantized())) is not None}
    return sorted(depths, key=lambda i: depths[i])


STYLES: dict[str, Callable[[World, Question, Generator], Frames]] = {
    "sif": _sif,
    "explicit": _explicit,
    "scene_graph": _scene_graph,
    "listing": _listing,
}
"""Ways to write a gold trace. All keep the grammar of traces and end at the evidence, so all are worth full marks.

    sif          focus from the whole to the evidence, with landmarks, mistakes and their correction
    explicit     3D locations, vectors and distances in metres step by step (SpatialReasoner, arXiv 2504.20024)
    scene_graph  objects and relations that matter as JSON, then the answer (SceneGraph-CoT)
    listing      objects with box, name and size from near to far, and which are asked about, then the evidence
"""


def _graph(world: World, question: Question, steps: Sequence[str]) -> dict[str, Any]:
    """Objects by number, with depth and 3D location where they are known; relations: the steps, else vectors.

    frame: the view in whose axes the locations are, where there are several views.
    """
    relative = None if world.depth is None else world.depth.relative()
    places, frame = _places(world, question)
    nodes: list[dict[str, Any]] = []
    for i, things in list(_objects(world, question).items())[:LISTED]:
        node: dict[str, Any] = {"id": len(nodes), "name": world.labels[i]}
        # Each view has depths of its own, and each part of what the edges of a panorama cut.
        boxes = [] if frame else [box for thing in things if (box := world.boxes[thing]) is not None]
        if relative is not None and len(boxes) == 1 and (mean := relative.box_mean(boxes[0].quantized())) is not None:
            node["depth"] = round(mean, 3)
        if places is not None:
            node["location_m"] = _rounded(places[i])
        nodes.append(node)
    relations: list[Any] = list(steps)
    if not relations and places is not None:
        # Of the rounded locations, so that whoever subtracts them gets the same.
        relations = [
            {
                "from": a["id"],
                "to": b["id"],
                "vector_m": _rounded(v - u for u, v in zip(a["location_m"], b["location_m"], strict=True)),
            }
            for a, b in combinations(nodes, 2)
        ]
    return ({"frame": frame} if frame else {}) | {"objects": nodes, "relations": relations}


def _graph_in_words(world: World, question: Question) -> tuple[str, ...]:
    *steps, conclusion = _once(question.facts)
    graph = {"objects": list(world.labels), "relations": steps}
    return json.dumps(graph, separators=(",", ":"), ensure_ascii=False), conclusion


def _computation(question: Question) -> tuple[list[str], str]:
    """Steps, each a sentence, and the conclusion: the last fact where it tells the answer, else `says`.

    No sentence is there twice.
    """
    steps = _once(sentence for fact in question.facts for sentence in _sentences(fact))
    news = [sentence for sentence in _once(_sentences(question.says)) if sentence not in steps]
    if steps and (not news or _tells(steps[-1], question.answer)):
        return steps[:-1], steps[-1]
    return steps, " ".join(news)


def _sentences(text: str) -> list[str]:
    return [sentence for sentence in re.split(r"(?<=[.!?]) ", text) if sentence]


def _once(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(texts))


def _tells(sentence: str, answer: str) -> bool:
    """Whether an answer occurs in a sentence as words or as a whole number: 6.7 is not in 6.71."""
    return re.search(rf"(?<![\w.]){re.escape(answer)}(?!\w|\.\d)", sentence, re.IGNORECASE) is not None


def _rounded(place: Iterable[float]) -> list[float]:
    return [round(float(v), 2) + 0.0 for v in place]  # + 0.0: zeros have no sign


def _objects(world: World, question: Question) -> dict[int, list[int]]:
    """The objects that a question is about, each with its things: one for each view, or part, that shows it."""
    count = len(world.labels)
    if isinstance(world, Views):
        count = len(world.scene.objects)
    elif isinstance(world, SeamView):
        count = len(world.view.labels)
    objects: dict[int, list[int]] = {}
    for thing in dict.fromkeys((*question.via, *question.evidence)):
        objects.setdefault(thing % count, []).append(thing)
    return objects


def _places(world: World, question: Question) -> tuple[Any, str]:
    """Centers of the objects in the axes of one camera, metres, shape (n, 3), None where unknown; and whose axes.

    They are those of a view ("view 2") where a world has several, else not said.
    """
    if not isinstance(world, Views):
        return getattr(world, "centers", None), ""
    view = _frame(world, question)
    return world.views[view].centers, f"view {view + 1}" if len(world.views) > 1 else ""


def _frame(views: Views, question: Question) -> int:
    """The view that a question is about: whose axes its facts use, else the one that it names first, else the first."""
    _, _, axes = " ".join(question.facts).partition("In the axes of the camera of ")
    text = axes + question.text
    named = [v for v in range(len(views.views)) if title(views, v) in text]
    return min(named, key=lambda v: text.find(title(views, v)), default=0)


def _boxes(world: World, things: Sequence[int] | None) -> tuple[Box, ...]:
    return (WHOLE,) if things is None else evidence_boxes(world, things)


def evidence_boxes(world: World, things: Sequence[int]) -> tuple[Box, ...]:
    """The boxes of things, in full precision. Raises `ValueError` for one that is not in the picture."""
    boxes = tuple(box for i in things if (box := world.boxes[i]) is not None)
    if len(boxes) != len(things):
        raise ValueError(f"things {list(things)}: not all of them are in the picture")
    return boxes

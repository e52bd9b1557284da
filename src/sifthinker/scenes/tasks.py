"""Question families with exact answers: the table `TASKS`.

A task says which scenes suit it (`plan`) and proposes a question from a rendered scene or returns the reason why it
cannot (`propose`). Answers come from the scene's geometry, never from the picture; questions whose answer is close
(see the margins below) are refused. Traces are `gold`'s business.

Each task lists its `aims`: the answers (or kinds of question) that a sample may be made for. The aim is fixed before
the first scene is drawn and kept while scenes are tried, so that answers that are easier to find are not favored.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import TypeVar

from numpy.random import Generator

from .layout import Plan
from .render import View

_T = TypeVar("_T")

SIDE_MARGIN = 0.08
"""Left and right: projected centers, and middles of boxes, differ by at least this share of the picture's width."""
DEPTH_MARGIN_M = 0.3
"""Nearer, in front, behind: centers differ by at least this in z-depth and in distance to the camera, metres."""
DEPTH_MARGIN = 0.03
"""The same for the relative depths of the boxes, so that what a trace says agrees with its answer."""
SIZE_MARGIN = 1.3
"""Larger: the longest side is at least this many times the other's, and the box around it is not smaller in volume."""


@dataclass(frozen=True, slots=True)
class Question:
    """A question about a scene. Objects are given by their index in `scene.objects`.

    text, answer: what is asked, and the exact answer in a word or two.
    evidence: the objects that the answer rests on, in the order in which a trace lists them.
    about: what is looked for, as words ("the cube"). says: what the evidence shows, as a sentence.
    via, via_says: objects to look at before the evidence, and a sentence about them.
    """

    text: str
    answer: str
    evidence: tuple[int, ...]
    about: str
    says: str
    via: tuple[int, ...] = ()
    via_says: str = ""


Aims = Callable[[int], tuple[str, ...]]
Planner = Callable[[Generator, str, int, int], Plan]
Proposer = Callable[[View, Generator, str], Question | str]


@dataclass(frozen=True, slots=True)
class Task:
    """A family of questions.

    about: one line. rule: how the answer follows from the scene, with its margins.
    answer_kind: a value of `grading.Kind`.
    propose(view, rng, aim): a question, or the reason why this scene has none.
    min_objects: the scene needs at least so many.
    aims(high): what to aim for in scenes of up to `high` objects; samples take them in turn.
    plan(rng, aim, low, high): a scene for it with `low` to `high` objects, where min_objects <= low <= high.
    """

    about: str
    rule: str
    answer_kind: str
    propose: Proposer
    min_objects: int = 1
    aims: Aims = lambda high: ("",)
    plan: Planner = lambda rng, aim, low, high: Plan(int(rng.integers(low, high + 1)))


# --- words -------------------------------------------------------------------------------------------------------


def name(view: View, index: int) -> str:
    """The shortest name that means one object only: "cube", or "red cube" where there are several cubes."""
    objects = view.scene.objects
    alone = sum(o.shape == objects[index].shape for o in objects) == 1
    return objects[index].shape if alone else objects[index].label


def article(noun: str) -> str:
    """ "a cube", "an orange cube"."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def _unique(values: Sequence[str]) -> list[int]:
    return [i for i, value in enumerate(values) if list(values).count(value) == 1]


def _pick(rng: Generator, items: Sequence[_T]) -> _T:
    return items[int(rng.integers(len(items)))]


# --- relations ---------------------------------------------------------------------------------------------------

RELATIONS = ("left of", "right of", "in front of", "behind")


def relation(view: View, a: int, b: int, sideways: bool) -> str | None:
    """How object `a` stands to object `b` as the camera sees them: one of `RELATIONS`, or None within the margins."""
    first, second = view.boxes[a], view.boxes[b]
    if first is None or second is None:
        return None
    if sideways:
        gaps = (float(view.columns[a] - view.columns[b]), first.center[0] - second.center[0])
        margins, words = (SIDE_MARGIN, SIDE_MARGIN), ("left of", "right of")
    else:
        places, reach = view.centers, (view.centers**2).sum(axis=1) ** 0.5
        near, other = view.nearness[a], view.nearness[b]
        if near is None or other is None:
            return None
        gaps = (float(places[a, 2] - places[b, 2]), float(reach[a] - reach[b]), near - other)
        margins, words = (DEPTH_MARGIN_M, DEPTH_MARGIN_M, DEPTH_MARGIN), ("in front of", "behind")
    if all(gap <= -margin for gap, margin in zip(gaps, margins, strict=True)):
        return words[0]
    return words[1] if all(gap >= margin for gap, margin in zip(gaps, margins, strict=True)) else None


def _related_pair(view: View, rng: Generator, wanted: str) -> tuple[int, int] | None:
    """A random pair of which the first stands to the second as wanted."""
    sideways = wanted in RELATIONS[:2]
    pairs = [p for p in permutations(range(len(view.boxes)), 2) if relation(view, *p, sideways) == wanted]
    return _pick(rng, pairs) if pairs else None


# --- families ----------------------------------------------------------------------------------------------------


def _color_of_shape(view: View, rng: Generator, aim: str) -> Question | str:
    objects = view.scene.objects
    single = _unique([o.shape for o in objects])
    if not single:
        return "no shape occurs just once"
    target = objects[index := _pick(rng, single)]
    text = f"What color is the {target.shape}?"
    return Question(text, target.color, (index,), f"the {target.shape}", f"The {target.shape} is {target.color}.")


def _shape_of_color(view: View, rng: Generator, aim: str) -> Question | str:
    objects = view.scene.objects
    single = _unique([o.color for o in objects])
    if not single:
        return "no color occurs just once"
    target = objects[index := _pick(rng, single)]
    noun = f"the {target.color} object"
    says = f"The {target.color} object is {article(target.shape)}."
    return Question(f"What shape is {noun}?", target.shape, (index,), noun, says)


def _color_at_relation(view: View, rng: Generator, aim: str) -> Question | str:
    objects, wanted = view.scene.objects, aim
    everyone, sideways = range(len(view.boxes)), wanted in RELATIONS[:2]
    found = []
    for anchor in everyone:
        how = {i: relation(view, i, anchor, sideways) for i in everyone if i != anchor}
        matching = [i for i, r in how.items() if r == wanted]
        # Every other object must be clearly on the other side; of the same shape suffices if the shape is named.
        doubtful = [i for i, r in how.items() if r is None]
        for target in matching:
            shape = objects[target].shape
            if len(matching) == 1 and not doubtful:
                found.append((target, anchor, "object"))
            if all(objects[i].shape != shape for i in (*matching, *doubtful) if i != target):
                found.append((target, anchor, shape))
    if not found:
        return f"no object is alone in being clearly {wanted} another"
    # Where only one cube is there, "the cube left of the sphere" needs no relation to be found: the second choice.
    single = _unique([o.shape for o in objects])
    needed = [f for f in found if f[2] == "object" or f[0] not in single]
    target, anchor, noun = _pick(rng, needed or found)
    landmark, color = name(view, anchor), objects[target].color
    return Question(
        f"What color is the {noun} {wanted} the {landmark}?",
        color,
        (target,),
        f"the {landmark}",
        f"The {noun} {wanted} it is {color}.",
        via=(anchor,),
        via_says=f"Here is the {landmark}.",
    )


def _nearer(view: View, rng: Generator, aim: str) -> Question | str:
    pair = _related_pair(view, rng, "in front of")
    if pair is None:
        return f"no two objects differ by {DEPTH_MARGIN_M} m in depth"
    near = name(view, pair[0])
    a, b = pair if aim == "first" else pair[::-1]
    both = f"the {name(view, a)} or the {name(view, b)}"
    says = f"The {near} has less depth, so it is nearer."
    return Question(f"Which is nearer, {both}?", near, (a, b), both.replace(" or ", " and "), says)


def _left_right(view: View, rng: Generator, aim: str) -> Question | str:
    pair = _related_pair(view, rng, aim)
    if pair is None:
        return f"no two objects differ by {SIDE_MARGIN} of the width"
    a, b = (f"the {name(view, i)}" for i in pair)
    says = f"{a.capitalize()} is {aim} {b}."
    return Question(f"Is {a} left or right of {b}?", aim.removesuffix(" of"), pair, f"{a} and {b}", says)


def _front_behind(view: View, rng: Generator, aim: str) -> Question | str:
    pair = _related_pair(view, rng, aim)
    if pair is None:
        return f"no two objects differ by {DEPTH_MARGIN_M} m in depth"
    a, b = (f"the {name(view, i)}" for i in pair)
    less = "less" if aim == "in front of" else "more"
    answer = aim.removesuffix(" of")
    says = f"{a.capitalize()} has {less} depth: it is {answer}."
    return Question(f"Is {a} in front of or behind {b}?", answer, pair, f"{a} and {b}", says)


def _plan_count(rng: Generator, aim: str, low: int, high: int) -> Plan:
    return Plan(int(rng.integers(max(low, int(aim)), high + 1)))


def _count(view: View, rng: Generator, aim: str) -> Question | str:
    groups: dict[str, list[int]] = {}
    for index in sorted(range(len(view.boxes)), key=lambda i: view.columns[i]):
        thing = view.scene.objects[index]
        for noun in ("object", thing.shape, f"{thing.color} object"):
            groups.setdefault(noun, []).append(index)
    nouns = [noun for noun, members in groups.items() if len(members) == int(aim)]
    if not nouns:
        return f"no shape or color occurs {aim} times"
    noun = _pick(rng, nouns)
    one = f"There is {article(noun)}." if noun != "object" else "There is one object."
    says = one if aim == "1" else f"I count {aim} {noun}s."
    return Question(f"How many {noun}s are there?", aim, tuple(groups[noun]), f"the {noun}s", says)


def _larger(view: View, rng: Generator, aim: str) -> Question | str:
    sizes = [o.size for o in view.scene.objects]
    pairs = [
        (a, b)
        for a, b in permutations(range(len(sizes)), 2)
        if max(sizes[a]) >= SIZE_MARGIN * max(sizes[b]) and _volume(sizes[a]) > _volume(sizes[b])
    ]
    if not pairs:
        return f"no object is {SIZE_MARGIN} times as large as another"
    pair = _pick(rng, pairs)
    large, small = (name(view, i) for i in pair)
    a, b = pair if aim == "first" else pair[::-1]
    both = f"the {name(view, a)} or the {name(view, b)}"
    says = f"The {large} is larger than the {small}."
    return Question(f"Which is larger, {both}?", large, (a, b), both.replace(" or ", " and "), says)


def _volume(size: tuple[float, float, float]) -> float:
    return size[0] * size[1] * size[2]


SAME = ("yes color", "no color", "yes shape", "no shape")


def _plan_same(rng: Generator, aim: str, low: int, high: int) -> Plan:
    return Plan(int(rng.integers(low, high + 1)), same_shape=aim == "yes shape", same_color=aim == "yes color")


def _same(view: View, rng: Generator, aim: str) -> Question | str:
    answer, attribute = aim.split()
    other = "shape" if attribute == "color" else "color"
    # An object is named by what is not asked for, so that name must mean it alone.
    named = {i: getattr(view.scene.objects[i], other) for i in _unique([getattr(o, other) for o in view.scene.objects])}
    value = {i: getattr(view.scene.objects[i], attribute) for i in named}
    pairs = [p for p in permutations(named, 2) if (value[p[0]] == value[p[1]]) == (answer == "yes")]
    if not pairs:
        return f"no two objects can be named whose answer is {answer}"
    pair = _pick(rng, pairs)
    noun = "" if other == "shape" else " object"
    both = " and ".join(f"the {named[i]}{noun}" for i in pair)
    a, b = (value[i] for i in pair)
    if attribute == "color":
        says = f"Both are {a}." if answer == "yes" else f"One is {a}, the other is {b}."
    else:
        says = f"Both are {a}s." if answer == "yes" else f"One is {article(a)}, the other is {article(b)}."
    return Question(f"Do {both} have the same {attribute}?", answer, pair, both, says)


TASKS: dict[str, Task] = {
    "color_of_shape": Task(
        "what color an object has, named by its shape",
        "The color it is painted in. Its shape occurs once.",
        "text",
        _color_of_shape,
    ),
    "shape_of_color": Task(
        "what shape an object has, named by its color",
        "The shape of its mesh. Its color occurs once.",
        "text",
        _shape_of_color,
    ),
    "color_at_relation": Task(
        "what color the object left of, right of, in front of or behind another has",
        "Relations as in left_right and front_behind. The object is the only one (of its shape, if the shape is named) "
        "that stands so, or might stand so within the margins.",
        "text",
        _color_at_relation,
        min_objects=2,
        aims=lambda high: RELATIONS,
    ),
    "nearer": Task(
        "which of two objects is nearer to the camera",
        f"Centers differ by {DEPTH_MARGIN_M} m or more in z-depth and in distance, boxes by {DEPTH_MARGIN} or more in "
        "relative depth.",
        "text",
        _nearer,
        min_objects=2,
        aims=lambda high: ("first", "second"),
    ),
    "left_right": Task(
        "whether an object is left or right of another in the picture",
        f"Projected centers, and middles of boxes, differ by {SIDE_MARGIN} of the picture's width or more.",
        "direction",
        _left_right,
        min_objects=2,
        aims=lambda high: RELATIONS[:2],
    ),
    "front_behind": Task(
        "whether an object is in front of or behind another, as the camera sees them",
        "In front of is nearer, with the margins of nearer.",
        "direction",
        _front_behind,
        min_objects=2,
        aims=lambda high: RELATIONS[2:],
    ),
    "count": Task(
        "how many objects there are, of a shape or a color or in all",
        "All objects of the scene that are named so; every object is visible. At least one.",
        "number",
        _count,
        aims=lambda high: tuple(str(n) for n in range(1, high + 1)),
        plan=_plan_count,
    ),
    "larger": Task(
        "which of two objects is larger",
        f"Longest sides in metres, not in the picture; {SIZE_MARGIN} times or more, and the box around it has more "
        "volume.",
        "text",
        _larger,
        min_objects=2,
        aims=lambda high: ("first", "second"),
    ),
    "same": Task(
        "whether two objects have the same color, or the same shape",
        "Colors and shapes by name. Each object is named by what is not asked for, which occurs once.",
        "yesno",
        _same,
        min_objects=2,
        aims=lambda high: SAME,
        plan=_plan_same,
    ),
}
"""The families of questions about generated scenes, by name. One more is one entry here; see `docs/scenes.md`."""

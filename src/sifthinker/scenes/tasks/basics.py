"""The project's own nine families on simple scenes: colors, shapes, sides, depth, counting, sizes.

Answers come from the scene's geometry, never from the picture; where the answer is close (see the margins) the question
is refused. `demo` and the `scenes` benchmark are made of these.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations, product

from numpy.random import Generator

from ..layout import COLORS, Plan
from ..render import View
from ..shapes import SOLIDS
from ..task import Question, Roles, Task
from ..views import one_view
from ..words import article, name, once

SYSTEM = "sifthinker"

SIDE_MARGIN = 0.08
"""Left and right: projected centers, and middles of boxes, differ by at least this share of the picture's width."""
DEPTH_MARGIN_M = 0.3
"""Nearer, in front, behind: centers differ by at least this in z-depth and in distance to the camera, metres."""
DEPTH_MARGIN = 0.03
"""The same for the relative depths of the boxes, so that what a trace says agrees with its answer."""
SIZE_MARGIN = 1.3
"""Larger: the longest side is at least this many times the other's, and the box around it is not smaller in volume."""

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


# --- roles -------------------------------------------------------------------------------------------------------


def each(view: View) -> Iterator[Roles]:
    """Every object."""
    return ({"target": i} for i in range(len(view.boxes)))


def pairs(view: View) -> Iterator[Roles]:
    """Every two objects, in both orders."""
    return ({"a": a, "b": b} for a, b in permutations(range(len(view.boxes)), 2))


# --- families ----------------------------------------------------------------------------------------------------


def _color_of_shape(view: View, roles: Roles) -> Question | str:
    index = roles["target"]
    target = view.scene.objects[index]
    if index not in once([o.shape for o in view.scene.objects]):
        return f"there are several {target.shape}s"
    says = f"The {target.shape} is {target.color}."
    return Question(f"What color is the {target.shape}?", target.color, (index,), f"the {target.shape}", says)


def _shape_of_color(view: View, roles: Roles) -> Question | str:
    index = roles["target"]
    target = view.scene.objects[index]
    if index not in once([o.color for o in view.scene.objects]):
        return f"there are several {target.color} objects"
    noun = f"the {target.color} object"
    says = f"The {target.color} object is {article(target.shape)}."
    return Question(f"What shape is {noun}?", target.shape, (index,), noun, says)


def _anchored(view: View) -> Iterator[Roles]:
    for a, b in permutations(range(len(view.boxes)), 2):
        for noun in ("object", view.scene.objects[a].shape):
            yield from ({"target": a, "anchor": b, "noun": noun, "relation": r} for r in RELATIONS)


def _color_at_relation(view: View, roles: Roles) -> Question | str:
    target, anchor, noun, wanted = (roles[key] for key in ("target", "anchor", "noun", "relation"))
    objects, sideways = view.scene.objects, wanted in RELATIONS[:2]
    if noun != "object" and sum(o.shape == noun for o in objects) == 1:
        return f"there is one {noun}: it is found without the relation"
    if relation(view, target, anchor, sideways) != wanted:
        return f"it is not clearly {wanted} the other"
    rivals = [i for i, o in enumerate(objects) if i not in (target, anchor) and noun in ("object", o.shape)]
    # Every rival must be clearly on the other side.
    opposite = RELATIONS[RELATIONS.index(wanted) ^ 1]
    if any(relation(view, i, anchor, sideways) != opposite for i in rivals):
        return f"others are, or might be, {wanted} the landmark"
    landmark, color = name(view.scene, anchor), objects[target].color
    return Question(
        f"What color is the {noun} {wanted} the {landmark}?",
        color,
        (target,),
        f"the {landmark}",
        f"The {noun} {wanted} it is {color}.",
        via=(anchor,),
        via_says=f"Here is the {landmark}.",
        aim=wanted,
    )


def _nearer(view: View, roles: Roles) -> Question | str:
    a, b = pair = roles["a"], roles["b"]
    how = relation(view, a, b, sideways=False)
    if how is None:
        return f"their depths differ by less than {DEPTH_MARGIN_M} m"
    first, second = (name(view.scene, i) for i in pair)
    near, aim = (first, "first") if how == "in front of" else (second, "second")
    says = f"The {near} has less depth, so it is nearer."
    text, both = f"Which is nearer, the {first} or the {second}?", f"the {first} and the {second}"
    return Question(text, near, pair, both, says, distractors=(second if near == first else first,), aim=aim)


def _left_right(view: View, roles: Roles) -> Question | str:
    a, b = pair = roles["a"], roles["b"]
    how = relation(view, a, b, sideways=True)
    if how is None:
        return f"their columns differ by less than {SIDE_MARGIN} of the width"
    first, second = (f"the {name(view.scene, i)}" for i in pair)
    says = f"{first.capitalize()} is {how} {second}."
    return Question(
        f"Is {first} left or right of {second}?", how.removesuffix(" of"), pair, f"{first} and {second}", says
    )


def _front_behind(view: View, roles: Roles) -> Question | str:
    a, b = pair = roles["a"], roles["b"]
    how = relation(view, a, b, sideways=False)
    if how is None:
        return f"their depths differ by less than {DEPTH_MARGIN_M} m"
    first, second = (f"the {name(view.scene, i)}" for i in pair)
    less = "less" if how == "in front of" else "more"
    answer = how.removesuffix(" of")
    says = f"{first.capitalize()} has {less} depth: it is {answer}."
    return Question(f"Is {first} in front of or behind {second}?", answer, pair, f"{first} and {second}", says)


def _groups(view: View) -> dict[str, tuple[str, list[int]]]:
    """Objects by what they can be counted as, from left to right, and whether that is a shape or a color."""
    groups: dict[str, tuple[str, list[int]]] = {}
    for index in sorted(range(len(view.boxes)), key=lambda i: view.columns[i]):
        thing = view.scene.objects[index]
        groups.setdefault(thing.shape, ("shape", []))[1].append(index)
        groups.setdefault(f"{thing.color} object", ("color", []))[1].append(index)
    return groups


def _countable(view: View) -> Iterator[Roles]:
    return ({"noun": noun} for noun in _groups(view))


def _count(view: View, roles: Roles) -> Question | str:
    noun = roles["noun"]
    by, members = _groups(view).get(noun, ("", []))
    if not members:
        return f"there is no {noun}"
    answer = str(len(members))
    says = f"There is {article(noun)}." if answer == "1" else f"I count {answer} {noun}s."
    return Question(f"How many {noun}s are there?", answer, tuple(members), f"the {noun}s", says, aim=f"{by}, {answer}")


def _plan_count(rng: Generator, aim: str, low: int, high: int) -> Plan:
    """As many of one shape or color as the aim says, and others."""
    by, number = aim.split(", ")
    kinds = [(str(s), str(c)) for s, c in product(rng.permutation(list(SOLIDS)), rng.permutation(list(COLORS)))]
    same = [kind[0] == kinds[0][0] if by == "shape" else kind[1] == kinds[0][1] for kind in kinds]
    group = [kind for kind, mine in zip(kinds, same, strict=True) if mine][: int(number)]
    others = [kind for kind, mine in zip(kinds, same, strict=True) if not mine]
    count = int(rng.integers(max(low, len(group)), high + 1))
    chosen = rng.permutation(len(others))[: count - len(group)]
    return Plan(count, kinds=(*group, *(others[i] for i in chosen)))


def _larger(view: View, roles: Roles) -> Question | str:
    pair = roles["a"], roles["b"]
    sizes = [view.scene.objects[i].size for i in pair]
    order = sorted((0, 1), key=lambda i: max(sizes[i]))
    small, large = (sizes[i] for i in order)
    if max(large) < SIZE_MARGIN * max(small) or _volume(large) <= _volume(small):
        return f"neither is {SIZE_MARGIN} times as large as the other"
    names = [name(view.scene, i) for i in pair]
    smaller, larger = (names[i] for i in order)
    says = f"The {larger} is larger than the {smaller}."
    # As many decimals as tell them apart. The numbers are compared by themselves, before it is said which thing is
    # larger: that word is easier to learn when it is no longer open which number is.
    said = next(said for n in (1, 2, 3) if len(set(said := [f"{view.sizes[i]:.{n}f} m" for i in pair])) == 2)
    facts = tuple(f"The {noun} measures {size}." for noun, size in zip(names, said, strict=True))
    facts += (f"{said[0]} is {'less' if order[0] == 0 else 'more'} than {said[1]}.",)
    text, both = f"Which is larger, the {names[0]} or the {names[1]}?", f"the {names[0]} and the {names[1]}"
    aim = ("first", "second")[order[1]]
    return Question(text, larger, pair, both, says, facts=(*facts, says), distractors=(smaller,), aim=aim)


def _volume(size: tuple[float, float, float]) -> float:
    return size[0] * size[1] * size[2]


SAME = ("yes color", "no color", "yes shape", "no shape")


def _plan_same(rng: Generator, aim: str, low: int, high: int) -> Plan:
    return Plan(int(rng.integers(low, high + 1)), same_shape=aim == "yes shape", same_color=aim == "yes color")


def _alike(view: View) -> Iterator[Roles]:
    return ({**pair, "attribute": a} for pair in pairs(view) for a in ("color", "shape"))


def _same(view: View, roles: Roles) -> Question | str:
    attribute = roles["attribute"]
    other = "shape" if attribute == "color" else "color"
    objects, pair = view.scene.objects, (roles["a"], roles["b"])
    # An object is named by what is not asked for, so that name must mean it alone.
    if not {*pair} <= {*once([getattr(o, other) for o in objects])}:
        return f"one of them shares its {other} with another"
    noun = "" if other == "shape" else " object"
    names = [f"the {getattr(objects[i], other)}{noun}" for i in pair]
    both = " and ".join(names)
    a, b = (getattr(objects[i], attribute) for i in pair)
    answer = "yes" if a == b else "no"
    first, second = (a, b) if attribute == "color" else (article(a), article(b))
    says = f"{names[0].capitalize()} is {first}, {names[1]} is {second}."
    return Question(f"Do {both} have the same {attribute}?", answer, pair, both, says, aim=f"{answer} {attribute}")


TASKS: dict[str, Task] = {
    "color_of_shape": Task(
        "what color an object has, named by its shape",
        "The color it is painted in. Its shape occurs once.",
        "attribute",
        SYSTEM,
        "text",
        one_view(),
        each,
        _color_of_shape,
    ),
    "shape_of_color": Task(
        "what shape an object has, named by its color",
        "The shape of its mesh. Its color occurs once.",
        "attribute",
        SYSTEM,
        "text",
        one_view(),
        each,
        _shape_of_color,
    ),
    "color_at_relation": Task(
        "what color the object left of, right of, in front of or behind another has",
        "Relations as in left_right and front_behind. The object is the only one (of its shape, if the shape is named) "
        "that stands so, or might stand so within the margins.",
        "relation",
        SYSTEM,
        "text",
        one_view(),
        _anchored,
        _color_at_relation,
        aims=lambda most: RELATIONS,
        least=2,
    ),
    "nearer": Task(
        "which of two objects is nearer to the camera",
        f"Centers differ by {DEPTH_MARGIN_M} m or more in z-depth and in distance, boxes by {DEPTH_MARGIN} or more in "
        "relative depth.",
        "depth",
        SYSTEM,
        "text",
        one_view(),
        pairs,
        _nearer,
        aims=lambda most: ("first", "second"),
        least=2,
    ),
    "left_right": Task(
        "whether an object is left or right of another in the picture",
        f"Projected centers, and middles of boxes, differ by {SIDE_MARGIN} of the picture's width or more.",
        "direction",
        SYSTEM,
        "direction",
        one_view(),
        pairs,
        _left_right,
        aims=lambda most: ("left", "right"),
        least=2,
    ),
    "front_behind": Task(
        "whether an object is in front of or behind another, as the camera sees them",
        "In front of is nearer, with the margins of nearer.",
        "depth",
        SYSTEM,
        "direction",
        one_view(),
        pairs,
        _front_behind,
        aims=lambda most: ("in front", "behind"),
        least=2,
    ),
    "count": Task(
        "how many objects there are of a shape or a color",
        "All objects of the scene that are named so; every object is visible. At least one. Shapes and colors "
        "have each number as often.",
        "count",
        SYSTEM,
        "number",
        one_view(_plan_count),
        _countable,
        _count,
        aims=lambda most: tuple(
            f"{by}, {n}" for n in range(1, min(most, len(SOLIDS)) + 1) for by in ("shape", "color")
        ),
    ),
    "larger": Task(
        "which of two objects is larger",
        f"Longest sides in metres, not in the picture; {SIZE_MARGIN} times or more, and the box around it has more "
        "volume.",
        "size",
        SYSTEM,
        "text",
        one_view(),
        pairs,
        _larger,
        aims=lambda most: ("first", "second"),
        least=2,
    ),
    "same": Task(
        "whether two objects have the same color, or the same shape",
        "Colors and shapes by name. Each object is named by what is not asked for, which occurs once.",
        "attribute",
        SYSTEM,
        "yesno",
        one_view(_plan_same),
        _alike,
        _same,
        aims=lambda most: SAME,
        least=2,
    ),
}
"""One entry a task; see `docs/scenes.md` for how to add one."""

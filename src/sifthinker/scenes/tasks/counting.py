"""Counts and sizes in the style of TallyQA and VisCoT, on which SIFThinker is trained.

    simple     how many things there are of a color, a shape, or both; none is an answer
    complex    how many of them are left of, right of, in front of or behind a landmark, or taller than it
    sizes      larger, smaller or about as large; the tallest and the shortest thing

TallyQA calls a question simple when it needs detection only, complex when it needs relations or attributes too.
Things that are alike may be counted, so scenes hold equal objects here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import product

from numpy.random import Generator

from ..layout import COLORS, Plan
from ..model import Scene
from ..render import View
from ..shapes import POOLS, SHAPES
from ..task import Question, Roles, Task
from ..views import one_view
from ..words import article, metres, nameable, the
from .basics import DEPTH_MARGIN_M, RELATIONS, SIDE_MARGIN, SIZE_MARGIN, pairs, relation
from .dge_rules import indoors, suited_view

SYSTEM = "SIFThinker (TallyQA style, ours)"
SIZES = "SIFThinker (VisCoT style, ours)"
TALLER = 1.15
"""Taller: heights differ by at least this ratio."""
ALIKE = 1.1
"""About as large: every side is at most this many times the other's."""


FORM = 1.3
"""Sizes are compared of things whose sides have about the same proportions: no ratio of two sides is so many times the
other's. Otherwise a sofa and a stool could never be about as large, and their names would tell."""


# --- who is counted ----------------------------------------------------------------------------------------------


NOUNS = ("color", "shape", "both")
"""What a group is named by. Every kind has each number as often, so that a noun does not tell how many there are."""


def _crowd(rng: Generator, aim: str, low: int, high: int, beside: int = 0) -> Plan:
    """A group of as many as the aim says, and others, of few shapes and colors. beside: landmarks among the others."""
    noun, number = aim.split(", ") if aim else ("both", "1")
    low = min(max(low, int(number) + beside), high)
    count, pool = int(rng.integers(low, high + 1)), str(rng.choice(["solids", "furniture"]))
    usable = [n for n, s in POOLS[pool].items() if not s.small]
    shapes = [str(s) for s in rng.choice(usable, 3, replace=False)]
    tints = {shape: [str(c) for c in rng.permutation(SHAPES[shape].colors or list(COLORS))[:3]] for shape in shapes}
    every = [(shape, color) for shape in shapes for color in tints[shape]]
    first = every[int(rng.integers(len(every)))]
    group = [kind for kind in every if _called(noun, kind) == _called(noun, first)]
    rest = [kind for kind in every if kind not in group] or every
    made = [group[int(i)] for i in rng.integers(len(group), size=min(int(number), count))]
    made += [rest[int(i)] for i in rng.integers(len(rest), size=count - len(made))]
    return Plan(count, pool=pool, kinds=tuple(made[i] for i in rng.permutation(count)))


def _called(noun: str, kind: tuple[str, str]) -> tuple[str, ...]:
    """What a kind of noun tells of a shape and a color."""
    return {"any": (), "both": kind, "shape": kind[:1], "color": kind[1:]}[noun]


def _aim(color: str, shape: str, number: int) -> str:
    noun = "both" if color and shape else "color" if color else "shape" if shape else "any"
    return f"{noun}, {number}"


def _members(scene: Scene, color: str, shape: str) -> list[int]:
    """Objects that a color and a shape mean; "" stands for any."""
    return [i for i, o in enumerate(scene.objects) if color in ("", o.color) and shape in ("", o.shape)]


def _plural(color: str, shape: str) -> str:
    """ "red cubes", "cubes", "red objects", "objects"."""
    return " ".join(filter(None, (color, f"{shape or 'object'}s")))


def _nouns(view: View) -> list[tuple[str, str]]:
    """Color and shape, either, or neither, of each thing in the scene; "" stands for any."""
    kinds = [(o.color, o.shape) for o in view.scene.objects]
    parts = (
        (color * by_color, shape * by_shape)
        for color, shape in kinds
        for by_color, by_shape in product((1, 0), repeat=2)
    )
    return list(dict.fromkeys(parts))


def _absent(view: View) -> list[tuple[str, str]]:
    """Colors and shapes that no object of the scene has, but others of its pool; none where it has no pool."""
    shapes = {o.shape for o in view.scene.objects}
    pool = next((p for p in POOLS.values() if shapes and shapes <= set(p)), {})
    pairs = [(c, name) for name, shape in pool.items() if not shape.small for c in shape.colors or COLORS]
    every = dict.fromkeys([*pairs, *((color, "") for color, _ in pairs), *(("", shape) for _, shape in pairs)])
    return [noun for noun in every if not _members(view.scene, *noun)]


def _listed(view: View, things: list[int]) -> tuple[int, ...]:
    """From left to right."""
    return tuple(sorted(things, key=lambda i: view.columns[i]))


def _counted(number: int, color: str, shape: str, where: str = "") -> str:
    if number == 0:
        return f"There are no {_plural(color, shape)}{where}."
    if number == 1:
        return f"There is one {_plural(color, shape)[:-1]}{where}."
    return f"There are {number} {_plural(color, shape)}{where}."


def _named(view: View) -> Iterator[Roles]:
    nouns = [noun for noun in _nouns(view) if any(noun)] + _absent(view)
    return ({"color": color, "shape": shape} for color, shape in nouns)


def _simple(view: View, roles: Roles) -> Question | str:
    color, shape = roles["color"], roles["shape"]
    members = _members(view.scene, color, shape)
    if any(view.boxes[i] is None for i in members or range(len(view.boxes))):
        return "not all of them are in the picture"
    text, says = f"How many {_plural(color, shape)} are there?", _counted(len(members), color, shape)
    # Where there is none, all that was looked at is the evidence.
    evidence = _listed(view, members or list(range(len(view.boxes))))
    everything = _listed(view, [*range(len(view.boxes))])
    facts = (*(f"Number {k} from the left is {article(view.labels[i])}." for k, i in enumerate(everything, 1)), says)
    aim = _aim(color, shape, len(members))
    return Question(text, str(len(members)), evidence, f"the {_plural(color, shape)}", says, facts=facts, aim=aim)


# --- beside a landmark -------------------------------------------------------------------------------------------


def _anchored(view: View) -> Iterator[Roles]:
    for anchor in range(len(view.boxes)):
        for (color, shape), how in product(_nouns(view), (*RELATIONS, "taller than")):
            yield {"color": color, "shape": shape, "relation": how, "anchor": anchor}


def _stands(view: View, thing: int, anchor: int, how: str) -> bool | None:
    """Whether a thing is so to a landmark; None within the margins."""
    if how != "taller than":
        found = relation(view, thing, anchor, sideways=how in RELATIONS[:2])
        return None if found is None else found == how
    mine, other = (view.scene.objects[i].size[2] for i in (thing, anchor))
    return None if max(mine, other) < TALLER * min(mine, other) else mine > other


def _complex(view: View, roles: Roles) -> Question | str:
    color, shape, how, anchor = (roles[key] for key in ("color", "shape", "relation", "anchor"))
    if how not in (*RELATIONS, "taller than"):
        return f"unknown relation {how!r}"
    if not nameable(view.scene, anchor):
        return f"there are several {view.labels[anchor]}s"
    group = [i for i in _members(view.scene, color, shape) if i != anchor]
    if not group:
        return f"there are no {_plural(color, shape)} beside the landmark"
    stand = {i: _stands(view, i, anchor, how) for i in group}
    if None in stand.values() or any(view.boxes[i] is None for i in (anchor, *group)):
        return f"one of them is not clearly {how} the landmark, nor clearly not"
    members, landmark = [i for i in group if stand[i]], the(view.scene, anchor)
    what, where = _plural(color, shape), f" {how} {landmark}"
    other = "other " if anchor in _members(view.scene, color, shape) else ""
    says = _counted(len(members), color, shape, where)
    facts = (
        *(
            f"The {view.labels[i]} {_where(view, i)} is {'' if stand[i] else 'not '}{how} {landmark}."
            for i in _listed(view, group)
        ),
        says,
    )
    # Where there is none, the landmark and those who are not so are the evidence.
    evidence = _listed(view, members) if members else (anchor, *_listed(view, group))
    return Question(
        f"How many {other}{what} are{where}?",
        str(len(members)), evidence, f"the {what}{where}", says,
        via=(anchor,) if members else (), via_says=f"Here is {landmark}." if members else "", facts=facts,
        aim=_aim(color, shape, len(members)),
    )  # fmt: skip


def _where(view: View, thing: int) -> str:
    """The column of a thing, since its name may not be its own."""
    return f"at {view.columns[thing]:.1%} of the width"


def _aims(nouns: Sequence[str], most: int) -> tuple[str, ...]:
    return tuple(f"{noun}, {number}" for number in range(min(most, 5) + 1) for noun in nouns)


# --- sizes -------------------------------------------------------------------------------------------------------

COMPARED = ("larger", "smaller", "about the same size")
LONGEST_M = (0.3, 1.2)
"""Longest sides of what is compared, whatever it is."""


def _alike(rng: Generator, aim: str, low: int, high: int) -> Plan:
    """Solids, or furniture with two of a kind, of any size."""
    pool = str(rng.choice(["solids", "furniture"]))
    same = None if pool == "solids" else True
    return Plan(int(rng.integers(low, high + 1)), same_shape=same, pool=pool, extent=LONGEST_M)


def _compared(scene: Scene, a: int, b: int) -> str | None:
    """Which of `COMPARED` one object is to another; None in between."""
    first, second = (sorted(scene.objects[i].size) for i in (a, b))
    ratios = [x / y for x, y in zip(first, second, strict=True)]
    if max(ratios) > FORM * min(ratios):
        return None
    if all(1 / ALIKE <= r <= ALIKE for r in ratios):
        return COMPARED[2]
    if ratios[2] >= SIZE_MARGIN and ratios[0] * ratios[1] * ratios[2] > 1:
        return COMPARED[0]
    return COMPARED[1] if ratios[2] <= 1 / SIZE_MARGIN and ratios[0] * ratios[1] * ratios[2] < 1 else None


def _size(view: View, roles: Roles) -> Question | str:
    pair = roles["a"], roles["b"]
    if not all(nameable(view.scene, i) for i in pair):
        return "one of them has no name of its own"
    answer = _compared(view.scene, *pair)
    if answer is None:
        return f"they are not of one form up to {FORM}, or neither alike up to {ALIKE} nor different by {SIZE_MARGIN}"
    first, second = (the(view.scene, i) for i in pair)
    sides = [max(view.scene.objects[i].size) for i in pair]
    facts = (
        *(f"The longest side of {n} is {metres(s)}." for n, s in zip((first, second), sides, strict=True)),
        f"So {first} is {answer}.",
    )
    return Question(
        f"How large is {first} in space, compared to {second}: larger, smaller or about the same size?",
        answer, pair, f"{first} and {second}", f"{first.capitalize()} is {answer}.", facts=facts, choices=COMPARED,
    )  # fmt: skip


def _has_size(scene: Scene, aim: str) -> bool:
    count = len(scene.objects)
    return any(_compared(scene, a, b) == aim for a, b in product(range(count), repeat=2) if a != b)


def _superlatives(view: View) -> Iterator[Roles]:
    yield from ({"most": most} for most in ("tallest", "shortest"))


def _extreme(view: View, roles: Roles) -> Question | str:
    most, objects = roles["most"], view.scene.objects
    if most not in ("tallest", "shortest"):
        return f"unknown superlative {most!r}"
    order = sorted(range(len(objects)), key=lambda i: objects[i].size[2], reverse=most == "tallest")
    heights = [objects[i].size[2] for i in order]
    if len(order) < 2 or max(heights[:2]) < TALLER * min(heights[:2]):
        return f"no object is {TALLER} times {'taller' if most == 'tallest' else 'shorter'} than all others"
    if not all(nameable(view.scene, i) for i in order):
        return "one of them has no name of its own"
    answer = the(view.scene, order[0]).removeprefix("the ")
    facts = (
        *(f"{the(view.scene, i).capitalize()} is {metres(objects[i].size[2])} tall." for i in sorted(order)),
        f"So the {answer} is the {most}.",
    )
    return Question(
        f"Which object is the {most} in space?",
        answer, (order[0],), f"the {most} object", f"The {answer} is the {most}.",
        facts=facts, distractors=tuple(the(view.scene, i).removeprefix("the ") for i in order[1:]), aim=most,
    )  # fmt: skip


TASKS: dict[str, Task] = {
    "tally_simple": Task(
        "how many things there are of a color, a shape, or both",
        "All objects of the scene that are named so; every object is visible. None is an answer. Colors, shapes and "
        "both together have each number as often.",
        "count", SYSTEM, "number", one_view(_crowd, 3), _named, _simple,
        aims=lambda most: _aims(NOUNS, max(most, 3)),
    ),
    "tally_complex": Task(
        "how many things of a kind stand so to a landmark, or are taller",
        f"Relations with the margins of the basic tasks ({SIDE_MARGIN} of the width, {DEPTH_MARGIN_M} m), taller by "
        f"{TALLER} times; every one of the kind is clearly so or clearly not. None is an answer; the kind occurs.",
        "count", SYSTEM, "number", one_view(partial(_crowd, beside=1), 4), _anchored, _complex,
        aims=lambda most: _aims(("any", *NOUNS), max(most - 1, 3)),
    ),
    "viscot_size": Task(
        "whether an object is larger or smaller than another, or about as large",
        f"Of things of one form (sides in the same proportions up to {FORM}). Longest sides differ by "
        f"{SIZE_MARGIN} times and the boxes' volumes agree; alike if every side is within {ALIKE} times.",
        "size", SIZES, "choice", suited_view(_has_size, _alike, 2), pairs, _size, aims=lambda most: COMPARED,
    ),
    "viscot_tallest": Task(
        "which object is the tallest, or the shortest",
        f"Height in metres; the next one differs by {TALLER} times or more.",
        "size", SIZES, "text", one_view(indoors, 3), _superlatives, _extreme, aims=lambda most: ("tallest", "shortest"),
    ),
}  # fmt: skip

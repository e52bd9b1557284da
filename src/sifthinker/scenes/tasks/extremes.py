"""The object that stands out from all others: the nearest, farthest, leftmost or rightmost one.

Not among the families that sif-tiny learns, so that it can be taught a task that it has not seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from ..render import View
from ..task import Question, Roles, Task
from ..views import one_view
from ..words import article
from .basics import RELATIONS, relation

SYSTEM = "extremes (ours)"

EXTREMES = {"nearest": "in front of", "farthest": "behind", "leftmost": "left of", "rightmost": "right of"}
"""What is said of an object that stands so to every other one; see `basics.relation` for the margins."""
ASKED = ("color", "shape")


def _extremes(view: View) -> Iterator[Roles]:
    for index, extreme, asked in product(range(len(view.boxes)), EXTREMES, ASKED):
        yield {"target": index, "extreme": extreme, "asked": asked}


def _extreme(view: View, roles: Roles) -> Question | str:
    index, extreme, asked = roles["target"], roles["extreme"], roles["asked"]
    stands = EXTREMES[extreme]
    others = [i for i in range(len(view.boxes)) if i != index]
    if not others:
        return "there is one object"
    if any(relation(view, index, i, stands in RELATIONS[:2]) != stands for i in others):
        return f"it is not clearly {stands} every other object"
    target = view.scene.objects[index]
    answer, noun = getattr(target, asked), f"the {extreme} object"
    says = f"The {extreme} object is {target.color if asked == 'color' else article(target.shape)}."
    return Question(f"What {asked} is {noun}?", answer, (index,), noun, says, aim=f"{extreme} {asked}")


TASKS: dict[str, Task] = {
    "extreme_object": Task(
        "what color or shape the nearest, farthest, leftmost or rightmost object has",
        "It stands so to every other object, with the margins of left_right and front_behind.",
        "attribute",
        SYSTEM,
        "text",
        one_view(),
        _extremes,
        _extreme,
        aims=lambda most: tuple(f"{extreme} {asked}" for extreme, asked in product(EXTREMES, ASKED)),
        least=2,
    ),
}
"""One entry a task."""

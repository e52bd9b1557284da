"""ReMindView, distances: which of four views or objects is nearest to, or farthest from, a view or an object.

Rules that both kinds share are in `multiview`. Distances are on the floor, between centers.

Source: ReMindView-Bench (arXiv 2512.02340). Wording and margins are ours; the source excludes no ties.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np

from ..covisible import best, eye, place_of, seen, shows, title
from ..model import Floats
from ..task import Question, Roles, Task
from ..views import Views
from ..words import metres, the
from .multiview import COUNTS, FEWEST, PLACES, SYSTEM, facts_of, listed, pattern_of, refused, some_views, with_answer

TIMES, MORE_M = 1.2, 0.3
"""The nearest (farthest) beats every other by so many times, and by so many metres."""

MOST = {"nearest": "nearest to", "farthest": "farthest from"}


def _extreme(distances: Sequence[float], most: str) -> int | None:
    """Which of several distances is the smallest (largest) by the margins; None if none is."""
    order = sorted(range(len(distances)), key=lambda k: distances[k], reverse=most == "farthest")
    small, large = sorted((distances[order[0]], distances[order[1]]))
    return order[0] if large >= TIMES * small and large - small >= MORE_M else None


def _of_four(
    text: str, names: Sequence[str], places: Sequence[Floats], start: Floats, most: str, place: int
) -> Question | str:
    """The question for the nearest (farthest) of four; who asks adds evidence and what the question is about."""
    distances = [float(np.hypot(*(there - start)[:2])) for there in places]
    found = _extreme(distances, most)
    if found is None:
        return f"none is {TIMES} times and {MORE_M} m {'nearer' if most == 'nearest' else 'farther'} than every other"
    steps = [f"{name} is {metres(d)} away" for name, d in zip(names, distances, strict=True)]
    return Question(
        f"{text} Distances are between centers, along the floor.",
        names[found],
        says=f"{listed(steps).capitalize()}: {names[found]} is {most}.",
        facts=(*(f"{step.capitalize()}." for step in steps), f"So {names[found]} is {most}."),
        choices=with_answer(names, found, place),
    )


def _fours(count: int, roles: Roles) -> Iterator[Roles]:
    """The roles with every four of `count` as options."""
    for four in combinations([k for k in range(count) if k != roles.get("not")], 4):
        yield from ({**roles, "options": list(four), "most": m, "place": k} for m in MOST for k in PLACES)


def _from_view(views: Views) -> Iterator[Roles]:
    for v in range(len(views.views)):
        for roles in _fours(len(views.views) - 1, {"view": v}):
            yield {**roles, "options": [u + (u >= v) for u in roles["options"]]}


def _view_view_distance(views: Views, roles: Roles) -> Question | str:
    v, others, most = roles["view"], roles["options"], roles["most"]
    if why := refused(views, ()):
        return why
    shared = [i for i in seen(views) if all(shows(views, u, i) for u in (v, *others))]
    if not shared:
        return "no object is seen in all the views"
    question = _of_four(
        f"Which of these views was taken {MOST[most]} the place where {title(views, v)} was taken?",
        [title(views, u) for u in others],
        [eye(views, u) for u in others],
        eye(views, v),
        most,
        roles["place"],
    )
    if isinstance(question, str):
        return question
    return replace(
        question,
        evidence=tuple(u * len(views.scene.objects) + shared[0] for u in (v, *others)),
        about=f"{the(views.scene, shared[0])} in every view",
        aim=most,
        meta=facts_of(views, "view-view|relative_distance", False),
    )


def _view_to_objects(views: Views) -> Iterator[Roles]:
    things = seen(views)
    for v in range(len(views.views)):
        for roles in _fours(len(things), {"view": v}):
            yield {**roles, "options": [things[k] for k in roles["options"]]}
    for i in things:
        yield from _fours(len(views.views), {"object": i})


def _view_object_distance(views: Views, roles: Roles) -> Question | str:
    thing, most, options = roles.get("object"), roles["most"], roles["options"]
    things = options if thing is None else [thing]
    if why := refused(views, things):
        return why
    scene = views.scene
    if thing is None:
        view = roles["view"]
        text = f"Which of these objects is {MOST[most]} the place where {title(views, view)} was taken?"
        names, places = [the(scene, i) for i in options], [place_of(views, i) for i in options]
        start, evidence = eye(views, view), [best(views, i) for i in options]
        meta = facts_of(views, "view-object|relative_distance", False, things, view)
    else:
        if pattern_of(views) == "pan":
            return "all views were taken at one place"
        text = f"Which of these views was taken {MOST[most]} {the(scene, thing)}?"
        names, places = [title(views, v) for v in options], [eye(views, v) for v in options]
        start = place_of(views, thing)
        evidence = [v * len(scene.objects) + thing for v in options if shows(views, v, thing)]
        meta = facts_of(views, "view-object|relative_distance", True)
    question = _of_four(text, names, places, start, most, roles["place"])
    if isinstance(question, str):
        return question
    if not evidence:
        return f"none of the views shows {the(scene, things[0])}"
    return replace(
        question,
        evidence=tuple(evidence),
        about=listed([the(scene, i) for i in things]),
        aim=f"{most} {'object' if thing is None else 'view'}",
        meta=meta,
    )


def _object_to_objects(views: Views) -> Iterator[Roles]:
    things = seen(views)
    for i in things:
        others = [j for j in things if j != i]
        for roles in _fours(len(others), {"object": i}):
            yield {**roles, "options": [others[k] for k in roles["options"]]}


def _object_object_distance(views: Views, roles: Roles) -> Question | str:
    anchor, options, most = roles["object"], roles["options"], roles["most"]
    things = [anchor, *options]
    if why := refused(views, things):
        return why
    question = _of_four(
        f"Which of these objects is {MOST[most]} {the(views.scene, anchor)}?",
        [the(views.scene, i) for i in options],
        [place_of(views, i) for i in options],
        place_of(views, anchor),
        most,
        roles["place"],
    )
    if isinstance(question, str):
        return question
    return replace(
        question,
        evidence=tuple(best(views, i) for i in things),
        about=listed([the(views.scene, i) for i in things]),
        aim=most,
        meta=facts_of(views, "object-object|relative_distance", False, things),
    )


_BEST = f"It beats every other option {TIMES} times and by {MORE_M} m or more, along the floor, between centers. "

TASKS: dict[str, Task] = {
    "remind_view_view_distance": Task(
        "which of four views was taken nearest to, or farthest from, where another was taken",
        f"{_BEST}One object is seen in all of them. {COUNTS}",
        "distance",
        SYSTEM,
        "choice",
        some_views("pair", count=5),
        _from_view,
        _view_view_distance,
        aims=lambda most: tuple(MOST),
        least=FEWEST,
    ),
    "remind_view_object_distance": Task(
        "which of four objects is nearest to, or farthest from, a view's place, or which of four views to an object",
        f"{_BEST}{COUNTS}",
        "distance",
        SYSTEM,
        "choice",
        some_views("orbit", "pair", at_least=4),
        _view_to_objects,
        _view_object_distance,
        aims=lambda most: tuple(f"{m} {what}" for what in ("object", "view") for m in MOST),
        least=FEWEST,
    ),
    "remind_object_object_distance": Task(
        "which of four objects is nearest to, or farthest from, another",
        f"{_BEST}{COUNTS}",
        "distance",
        SYSTEM,
        "choice",
        some_views("orbit", "pan", at_least=5),
        _object_to_objects,
        _object_object_distance,
        aims=lambda most: tuple(MOST),
        least=FEWEST,
    ),
}
"""One entry a task."""

"""ReMindView, directions: what only several views together tell about where views were taken and where things are.

    orbit    cameras around the objects, at equal angles (object-centric); pair: at unequal angles and heights
    pan      one place, four headings (view-centric)

Pairs asked for: view and view, view and object, object and object; as a view looks, or with a change of
perspective (turn, face something). Four distinct options, always. `cross_frame` in `meta`: no single view shows all
that the answer rests on. Directions are on the floor, between centers. Distances are in `multiview_distance`.

Source: ReMindView-Bench (arXiv 2512.02340). Wording and margins are ours; the source excludes no ties, and has three
options at times. Process scores of reasoning by phases are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import permutations
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.random import Generator

from .. import around
from ..covisible import SEEN, best, eye, gaze, place_of, seen, shows, title
from ..directions import facing
from ..layout import Plan
from ..model import Floats
from ..task import MakeWorld, Question, Roles, Task, World
from ..views import Views, several_views
from ..words import the

if TYPE_CHECKING:
    from ..generate import SceneConfig

SYSTEM = "ReMindView (ours)"

FEWEST = 3
"""Objects that the views together must show."""
APART_M = 0.5
"""Least distance on the floor between two places that a direction is asked for."""
HEADING_DEG, OTHER_DEG = 10.0, 45.0
"""Pan: the view that is meant looks within this of the heading; every other one is off by more than that."""
SAME_PLACE_M = 0.05
"""Cameras that are this near to each other stand at one place."""

TURNS = {"": 0, "turn 90 degrees to the right": 90, "turn around": 180, "turn 90 degrees to the left": -90}
"""Changes of perspective, in degrees to the right."""
AHEAD = ("front-left", "front", "front-right")
"""Where views that look at the same objects see each other."""
PLACES = range(4)
"""Where the answer stands among the options."""


def pattern_of(views: Views) -> str:
    """ "pan" where all views were taken at one place, "orbit" where at one height, else "pair"."""
    spread = np.ptp([eye(views, v) for v in range(len(views.views))], axis=0)
    return "pan" if spread.max() <= SAME_PLACE_M else "orbit" if spread[2] <= SAME_PLACE_M else "pair"


def facts_of(
    views: Views, kind: str, changed: bool, things: Sequence[int] = (), view: int | None = None
) -> dict[str, Any]:
    """What reports need. things: that the answer rests on. view: the one that is asked about; None: any will do."""
    frames = range(len(views.views)) if view is None else [view]
    together = bool(things) and any(all(shows(views, v, i) for i in things) for v in frames)
    return {
        "query": f"{kind}|{'' if changed else 'non_'}perspective_changing",
        "pattern": pattern_of(views),
        "cross_frame": not together,
        "perspective_changing": changed,
        "object_num": len(seen(views)),
    }


def refused(views: Views, things: Sequence[int]) -> str | None:
    """Why the views show too little for a question about these objects, or None."""
    known = seen(views)
    if len(known) < FEWEST:
        return f"the views show {len(known)} objects, need {FEWEST}"
    return None if set(things) <= set(known) else f"an object is visible by less than {SEEN:.0%} everywhere, or unnamed"


def listed(names: Sequence[str]) -> str:
    """ "a, b and c"."""
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]


def with_answer(names: Sequence[str], answer: int, place: int) -> tuple[str, ...]:
    """Options in their cyclic order, turned so that `names[answer]` is at `place`: the order tells nothing."""
    return tuple(names[(answer + k - place) % len(names)] for k in range(len(names)))


# --- directions --------------------------------------------------------------------------------------------------


def _toward(
    text: str, offset: Floats, what: str, place: int, evidence: Sequence[int], about: str, meta: dict[str, Any]
) -> Question | str:
    """The question for a direction: `what` is at `offset` (right, down, forward) for whom the text puts there."""
    if np.hypot(offset[0], offset[2]) < APART_M:
        return f"they are less than {APART_M} m apart"
    answer = around.direction(offset)
    if answer is None:
        return around.TOO_NEAR
    bearing = around.bearing_deg(offset)
    lies = f"{what} is {around.steps(offset)}"
    return Question(
        f"{text} In which direction is {what}?",
        answer,
        tuple(evidence),
        about,
        f"From there, {lies}: {answer}.",
        facts=(
            f"From there, {lies}.",
            f"That is {abs(bearing):.0f} degrees to the {'right' if bearing >= 0 else 'left'} of straight ahead.",
            f"So the direction is {answer}.",
        ),
        choices=around.quarters(answer, place),
        aim=f"{answer} {'changed' if meta['perspective_changing'] else 'kept'}",
        meta=meta | {"scheme": around.SCHEME},
    )


def _stand(views: Views, view: int, turn: str) -> str:
    start = f"You stand where {title(views, view)} was taken and look the way it looks"
    return f"{start}, then you {turn}." if turn else f"{start}."


def _after(offset: Floats, right_deg: float) -> Floats:
    """An offset (right, down, forward) as it is after a turn to the right."""
    c, s = np.cos(np.radians(right_deg)), np.sin(np.radians(right_deg))
    return np.array([c * offset[0] - s * offset[2], offset[1], s * offset[0] + c * offset[2]])


def _two_views(views: Views) -> Iterator[Roles]:
    for a, b in permutations(range(len(views.views)), 2):
        yield from ({"view": a, "other": b, "turn": turn, "place": k} for turn in TURNS for k in PLACES)


def _view_view_direction(views: Views, roles: Roles) -> Question | str:
    a, b, turn = roles["view"], roles["other"], roles["turn"]
    if why := refused(views, ()):
        return why
    shared = [i for i in seen(views) if shows(views, a, i) and shows(views, b, i)]
    if not shared:
        return "no object is seen in both views"
    anchor = max(shared, key=lambda i: min(views.views[v].visible[i] for v in (a, b)))
    before = facing(eye(views, a), gaze(views, a), eye(views, b))
    offset = _after(before, TURNS[turn])
    count, ahead = len(views.scene.objects), around.direction(before)
    question = _toward(
        _stand(views, a, turn),
        offset,
        f"the place where {title(views, b)} was taken",
        roles["place"],
        (a * count + anchor, b * count + anchor),
        f"{the(views.scene, anchor)} in both views",
        facts_of(views, "view-view|relative_direction", bool(turn)),
    )
    if isinstance(question, str) or ahead is None:
        return question
    # Views of the same objects see each other ahead. So these are the options, as they are after the turn.
    likely = (*AHEAD, "back") if ahead in AHEAD else (ahead, *AHEAD)
    names = [around.turned(word, -TURNS[turn]) for word in likely]
    choices = with_answer(names, likely.index(ahead), roles["place"])
    return replace(question, choices=choices, aim=f"{ahead}, {turn}")


def _view_and_object(views: Views) -> Iterator[Roles]:
    things = seen(views)
    for v in range(len(views.views)):
        for i in things:
            yield from ({"view": v, "target": i, "turn": turn, "place": k} for turn in TURNS for k in PLACES)
        for i, j in permutations(things, 2):
            yield from ({"view": v, "target": i, "facing": j, "place": k} for k in PLACES)


def _view_object_direction(views: Views, roles: Roles) -> Question | str:
    v, target, ahead, turn = roles["view"], roles["target"], roles.get("facing"), roles.get("turn", "")
    things = [target] if ahead is None else [target, ahead]
    if why := refused(views, things):
        return why
    start, goal = eye(views, v), place_of(views, target)
    if ahead is None:
        text, offset = _stand(views, v, turn), _after(facing(start, gaze(views, v), goal), TURNS[turn])
    else:
        toward = place_of(views, ahead)
        if np.hypot(*(toward - start)[:2]) < APART_M:
            return f"the camera is less than {APART_M} m from what it is to face"
        text = f"You stand where {title(views, v)} was taken and face {the(views.scene, ahead)}."
        offset = facing(start, toward, goal)
    return _toward(
        text,
        offset,
        the(views.scene, target),
        roles["place"],
        [best(views, i) for i in things],
        listed([the(views.scene, i) for i in things]),
        facts_of(views, "view-object|relative_direction", ahead is not None or bool(turn), things, v),
    )


def _objects_in_turn(views: Views) -> Iterator[Roles]:
    things = seen(views)
    for i, j in permutations(things, 2):
        for v in range(len(views.views)):
            yield from ({"stand": j, "view": v, "target": i, "place": k} for k in PLACES)
        for h in things:
            # Facing oneself: the way that one's own front faces.
            if h != i and (h != j or views.scene.objects[j].has_front):
                yield from ({"stand": j, "facing": h, "target": i, "place": k} for k in PLACES)


def _object_object_direction(views: Views, roles: Roles) -> Question | str:
    stand, target, ahead, view = roles["stand"], roles["target"], roles.get("facing"), roles.get("view")
    things = list(dict.fromkeys(i for i in (stand, ahead, target) if i is not None))
    if why := refused(views, things):
        return why
    start, where = place_of(views, stand), the(views.scene, stand)
    if view is not None:
        toward = start + gaze(views, view) - eye(views, view)
        text = f"You stand at {where} and look the same way as {title(views, view)}."
    elif ahead == stand:
        front = views.scene.objects[stand].front
        if front is None:
            return f"{where} has no front"
        toward, text = start + front, f"You stand at {where} and face the way that it faces."
    else:
        toward = place_of(views, ahead)  # type: ignore[arg-type]
        if np.hypot(*(toward - start)[:2]) < APART_M:
            return f"they are less than {APART_M} m apart"
        text = f"You stand at {where} and face {the(views.scene, ahead)}."  # type: ignore[arg-type]
    return _toward(
        text,
        facing(start, toward, place_of(views, target)),
        the(views.scene, target),
        roles["place"],
        [best(views, i) for i in things],
        listed([the(views.scene, i) for i in things]),
        facts_of(views, "object-object|relative_direction", view is None, things, view),
    )


def _turning(views: Views) -> Iterator[Roles]:
    for v in range(len(views.views)):
        for first, then in ((a, b) for a in TURNS if a for b in TURNS):
            yield from ({"view": v, "turns": [first, then] if then else [first], "place": k} for k in PLACES)


def _view_view_turn(views: Views, roles: Roles) -> Question | str:
    start, total = roles["view"], sum(TURNS[turn] for turn in roles["turns"])
    if why := refused(views, ()):
        return why
    if len(views.views) != 4 or pattern_of(views) != "pan":
        return "it takes four views from one place"
    if total % 360 == 0:
        return "it ends with the view that it starts with, which nobody has to look for"
    headings = [around.bearing_deg(facing(eye(views, start), gaze(views, start), gaze(views, v))) for v in range(4)]
    off = [abs((heading - total + 180) % 360 - 180) for heading in headings]
    order = sorted(range(4), key=lambda v: off[v])
    if off[order[0]] > HEADING_DEG or off[order[1]] < OTHER_DEG:
        return f"no view looks within {HEADING_DEG} degrees of there, or two are within {OTHER_DEG}"
    end, count = order[0], len(views.scene.objects)
    shown = [[i for i in seen(views) if shows(views, v, i)] for v in dict.fromkeys((start, end))]
    if not all(shown):
        return "a view shows no object"
    evidence = [
        v * count + max(things, key=lambda i, v=v: views.views[v].visible[i])
        for v, things in zip(dict.fromkeys((start, end)), shown, strict=True)
    ]
    answer, names = title(views, end), [title(views, v) for v in range(4)]
    turned = f"{total % 360} degrees to the right"
    return Question(
        f"All views were taken at one place. You look as in {names[start]}, then you "
        f"{', then you '.join(roles['turns'])}. Which view do you see now?",
        answer,
        tuple(evidence),
        f"what {names[start]} and {answer} show" if end != start else f"what {answer} shows",
        f"In all you turn {turned}: to {answer}.",
        facts=(
            *(
                f"{names[v].capitalize()} looks {round(headings[v]) % 360} degrees to the right of {names[start]}."
                for v in range(4)
                if v != start
            ),
            f"In all you turn {turned}.",
            f"So you see {answer}.",
        ),
        choices=with_answer(names, end, roles["place"]),
        aim=str(total % 360),
        meta=facts_of(views, "view-view|relative_direction", True),
    )


# --- worlds ------------------------------------------------------------------------------------------------------


def any_pool(rng: Generator, aim: str, low: int, high: int) -> Plan:
    """Solids, or furniture, some of which has a front."""
    return Plan(int(rng.integers(low, high + 1)), pool=str(rng.choice(["solids", "furniture"])))


def some_views(*patterns: str, count: int = 4, at_least: int = FEWEST) -> MakeWorld:
    """Worlds of any of the patterns."""
    makers = [several_views(pattern, count, any_pool, at_least) for pattern in patterns]

    def make(rng: Generator, aim: str, config: SceneConfig) -> World | str:
        return makers[rng.integers(len(makers))](rng, aim, config)

    return make


def _compass(*changes: str) -> tuple[str, ...]:
    return tuple(f"{word} {change}" for word in around.AROUND for change in changes)


_SECTORS = (
    f"Eight sectors on the floor, none within {around.MARGIN_DEG} degrees of a border; places {APART_M} m or more "
    "apart. "
)
QUARTERS = "The options are a quarter of a turn apart. "
COUNTS = f"Objects count where {SEEN:.0%} is visible; {FEWEST} or more do in all views together."

TASKS: dict[str, Task] = {
    "remind_view_view_direction": Task(
        "where a view was taken, as seen from another view, as it looks or after a turn",
        f"From one camera to the other. {_SECTORS}Both views show an object. {COUNTS} The options are what is ahead of "
        "the view, and another, as the turn leaves them, so that the turn alone does not tell the answer.",
        "direction",
        SYSTEM,
        "choice",
        some_views("orbit", "pair"),
        _two_views,
        _view_view_direction,
        aims=lambda most: tuple(f"{ahead}, {turn}" for ahead in AHEAD for turn in TURNS),
        least=FEWEST,
    ),
    "remind_view_view_turn": Task(
        "which view one sees after turning, all views taken at one place",
        f"The view that looks within {HEADING_DEG} degrees of there; the others are {OTHER_DEG} or more off. The first "
        f"and the last view show an object. {COUNTS}",
        "direction",
        SYSTEM,
        "choice",
        some_views("pan"),
        _turning,
        _view_view_turn,
        aims=lambda most: ("90", "180", "270"),
        least=FEWEST,
    ),
    "remind_view_object_direction": Task(
        "where an object is, seen from where a view was taken: as it looks, after a turn, or facing another object",
        f"From the camera to the object's center. {_SECTORS}{QUARTERS}{COUNTS}",
        "direction",
        SYSTEM,
        "choice",
        some_views("pan", "orbit"),
        _view_and_object,
        _view_object_direction,
        aims=lambda most: _compass("changed", "kept"),
        least=FEWEST,
    ),
    "remind_object_object_direction": Task(
        "where an object is, seen from another: looking as a view looks, facing a third object, or the way it faces",
        f"Between centers. {_SECTORS}{QUARTERS}{COUNTS}",
        "direction",
        SYSTEM,
        "choice",
        some_views("orbit", "pan"),
        _objects_in_turn,
        _object_object_direction,
        aims=lambda most: _compass("changed", "kept"),
        least=FEWEST,
    ),
}
"""One entry a task."""

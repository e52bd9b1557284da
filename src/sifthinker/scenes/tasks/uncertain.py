"""SpatialUncertain: questions that a picture answers, or leaves open, and the view that would settle them.

Each question comes in two conditions, a pair: the clean picture answers it, the challenged one does not, and then the
right answer is "cannot be determined". That it is open is proven by a second world with the same picture and another
answer (`doubt`). Source: SpatialUncertain (arXiv 2605.30557), which publishes no rules: those here are ours.
Scores: `consistency.abstention`. Doubts about several objects, and about motion, are left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.random import Generator

from ...geometry import Size
from ..consistency import CANNOT
from ..doubt import HIDDEN, Doubt, shuffled
from ..hidden import hidden
from ..layout import COLORS, MIN_VISIBLE
from ..model import Camera, Scene, turn
from ..posts import ambiguous
from ..render import View
from ..task import Question, Roles, Task
from ..words import metres, name
from .basics import DEPTH_MARGIN_M

if TYPE_CHECKING:
    from ..generate import SceneConfig

SYSTEM = "SpatialUncertain (ours)"
TALL_MARGIN = 1.2
"""Taller: at least this many times the other's height."""
RATIO = 0.05
"""A view settles an ambiguous picture when heights in it relate as in the world, within this share."""
VIEWS = ("view 2", "view 3", "view 4")

ASKS = {"occluded": ("color", "nearer"), "ambiguous": ("taller", "nearer")}
"""What is asked about each kind of doubt."""
TRIES = 120
"""Draws of a view from the side that shows one post alone."""


# --- answers -----------------------------------------------------------------------------------------------------


def _answer(world: Doubt, scene: Scene, asks: str, pair: tuple[int, int]) -> tuple[str, str] | None:
    """(answer, the fact it rests on) in a scene, as its first camera sees it; None within the margins."""
    things = [scene.objects[i] for i in pair]
    names = [name(world.clean, i) for i in pair]
    if asks == "color":
        return things[0].color, f"The {names[0]} is {things[0].color}."
    if asks == "taller":
        values, margin = [o.size[2] for o in things], TALL_MARGIN
        order = sorted((0, 1), key=lambda i: -values[i])
        clear = values[order[0]] >= margin * values[order[1]]
    else:
        camera = scene.cameras[0]
        local = camera.to_camera([o.position for o in things])
        values = np.linalg.norm(local, axis=1).tolist()
        gaps = [values[0] - values[1], float(local[0, 2] - local[1, 2])]
        order = sorted((0, 1), key=lambda i: values[i])
        clear = min(map(abs, gaps)) >= DEPTH_MARGIN_M and gaps[0] * gaps[1] > 0
    what = "tall" if asks == "taller" else "from the camera"
    fact = " and ".join(f"the {n} is {metres(v)} {what}" for n, v in zip(names, values, strict=True))
    return (names[order[0]], f"{fact[0].upper()}{fact[1:]}.") if clear else None


def _why_not(world: Doubt, asks: str, pair: tuple[int, int]) -> str | None:
    """Why a question is not answered by the clean picture and left open by the challenged one; None if it is so."""
    answers = [_answer(world, scene, asks, pair) for scene in (world.clean, world.challenged, world.other)]
    if None in answers:
        return "the two are too similar"
    if answers[1][0] == answers[2][0]:  # type: ignore[index]
        return "both worlds of the challenged picture give the same answer"
    if not world.same[0]:
        return "the two worlds do not give the same picture"
    clean, challenged = world.clean_view, world.open_views[0]
    if min(clean.visible[i] for i in pair) < MIN_VISIBLE or challenged.visible[pair[1]] < MIN_VISIBLE * (
        asks != "color"
    ):
        return f"an object is visible by less than {MIN_VISIBLE:.0%}"
    if world.why == "occluded":
        shown = max(challenged.visible[pair[0]], world.other_views[0].visible[pair[0]])
        return None if shown <= HIDDEN else f"it is visible by {shown:.0%}, more than {HIDDEN:.0%}"
    if any(_feet(v, i) for v in (challenged, world.other_views[0]) for i in pair):
        return "feet are in the challenged picture"
    return None if all(_feet(clean, i) for i in pair) else "feet are not in the clean picture"


def _feet(view: View, index: int) -> bool:
    """Whether the ground that an object stands on is in frame."""
    x, y = (view.camera.project(view.scene.objects[index].corners()[::2], view.size) / view.size).T
    return bool((y < 1).any() and (x > 0).all() and (x < 1).all())


def _wording(world: Doubt, asks: str, pair: tuple[int, int]) -> tuple[str, str]:
    """(question, what it is about)."""
    # In order of index, so that the words do not tell which one is in doubt.
    first, second = (f"the {name(world.clean, i)}" for i in sorted(pair))
    if asks == "color":
        return f"What color is {first}?", first
    start = "Which is taller" if asks == "taller" else "Which is nearer to the camera"
    return f"{start}, {first} or {second}?", f"{first} and {second}"


def _turned(options: list[str], turn: int) -> tuple[str, ...]:
    return (*options[turn:], *options[:turn])


def _pair(world: Doubt, roles: Roles) -> tuple[int, int] | str:
    """Target and partner; for questions about one object, twice the target."""
    target = world.target
    if target is None:
        return "the two worlds differ in more than one object"
    partner = target if roles["asks"] == "color" else roles["partner"]
    if roles["asks"] != "color" and partner in (target, world.occluder):
        return "the other object is the one in doubt, or what hides it"
    alone = sum(o.shape == world.clean.objects[target].shape for o in world.clean.objects) == 1
    return (target, partner) if alone or roles["asks"] != "color" else "its shape does not single it out"


# --- tasks -------------------------------------------------------------------------------------------------------


def _roles(world: Doubt) -> Iterator[Roles]:
    free = [c for c in COLORS if c not in {o.color for s in (world.clean, world.other) for o in s.objects}]
    for asks in ASKS[world.why]:
        if asks == "color":
            yield from ({"asks": asks, "third": c, "turn": k} for c in free for k in range(4))
        else:
            partners = range(len(world.clean.objects))
            yield from ({"asks": asks, "partner": i, "turn": k} for i in partners for k in range(3))


def _question(world: Doubt, roles: Roles) -> Question | str:
    asks, pair = roles["asks"], _pair(world, roles)
    if isinstance(pair, str):
        return pair
    reason = _why_not(world, asks, pair)
    answer, another = (_answer(world, scene, asks, pair) for scene in (world.clean, world.other))
    here = _answer(world, world.challenged, asks, pair)
    if reason or answer is None or another is None or here is None:
        return reason or "the two are too similar"
    text, about = _wording(world, asks, pair)
    options = (
        [answer[0], another[0], roles["third"]] if asks == "color" else [name(world.clean, i) for i in sorted(pair)]
    )
    choices, evidence = _turned([*options, CANNOT], roles["turn"]), tuple(dict.fromkeys(pair))
    clean = world.shows == "clean"
    if clean:
        says, facts = answer[1], (answer[1], f"So the answer is: {answer[0]}.")
    elif world.why == "occluded" and world.occluder is not None:
        block = name(world.clean, world.occluder)
        evidence = (world.occluder, *evidence[1:])
        says = f"The {name(world.clean, pair[0])} is not in sight; the {block} may hide it."
        facts = (f"No part of the {name(world.clean, pair[0])} is seen.",)
    else:
        says = "Their feet are out of sight: a near short one and a far tall one look alike."
        facts = ("Neither foot is in the picture.",)
    if not clean:
        facts = (*facts, f"It may be so: {here[1]}", f"The same picture if: {another[1]}", f"So it {CANNOT}.")
    condition = "clean" if clean else world.why
    meta = {
        "condition": condition,
        "pair": f"{asks} {pair[0]} {pair[1]}",
        "twin": {"world": {"shows": "challenged" if clean else "clean"}},
    }
    final = answer[0] if clean else CANNOT
    aim = f"{condition} {asks}"
    return Question(text, final, evidence, about, says, facts=facts, choices=choices, aim=aim, meta=meta)


def _view_question(world: Doubt, roles: Roles) -> Question | str:
    asks, pair = roles["asks"], _pair(world, roles)
    if isinstance(pair, str):
        return pair
    if reason := _why_not(world, asks, pair):
        return reason
    settling = [v for v in range(1, len(world.open_views)) if _settles(world, v, pair)]
    if len(settling) != 1:
        return f"{len(settling)} views settle it"
    (right,) = settling
    if not all(same for v, same in enumerate(world.same) if v != right):
        return "a view tells the two worlds apart, but not for certain"
    text, about = _wording(world, asks, pair)
    count, view = len(world.clean.objects), f"view {right + 1}"
    evidence = tuple(right * count + i for i in dict.fromkeys(pair))
    says = f"{view.capitalize()} shows {about}" + (", feet and all." if world.why == "ambiguous" else ".")
    others = " and ".join(v for v in VIEWS if v != view)
    facts = (f"View 1 leaves it open, and so do {others}: two worlds look the same there.", says)
    text = f'Views are numbered from left to right, then down. View 1 does not tell: "{text}" Which view settles it?'
    return Question(
        text, view, evidence, about, says, facts=facts, choices=VIEWS, aim=f"{view} {world.why}", meta={"asks": asks}
    )


def _settles(world: Doubt, number: int, pair: tuple[int, int]) -> bool:
    """Whether a view shows what is asked for, and the two worlds differ in it."""
    view = world.open_views[number]
    if world.same[number] or min(view.visible[i] for i in pair) < MIN_VISIBLE:
        return False
    if world.why == "occluded":
        return True
    heights = [_height(view, i) for i in pair]
    true = [world.challenged.objects[i].size[2] for i in pair]
    error = heights[0] / heights[1] / (true[0] / true[1]) - 1
    return abs(error) <= RATIO and all(_feet(view, i) for i in pair)


def _height(view: View, index: int) -> float:
    """Height of an object's upright axis in the picture, in shares of it."""
    thing = view.scene.objects[index]
    ends = [(*thing.position[:2], z) for z in (0.0, thing.size[2])]
    rows = view.camera.project(ends, view.size)[:, 1]
    return float(rows[0] - rows[1]) / view.size[1]


def _occlusion_world(rng: Generator, aim: str, config: SceneConfig) -> Doubt | str:
    condition, asks = aim.split()
    return hidden(rng, asks, "clean" if condition == "clean" else "challenged", config.size)


def _perspective_world(rng: Generator, aim: str, config: SceneConfig) -> Doubt | str:
    return ambiguous(rng, "clean" if aim.startswith("clean") else "challenged", config.size)


def _view_world(rng: Generator, aim: str, config: SceneConfig) -> Doubt | str:
    _, number, why = aim.split()
    if why == "occluded":
        world = hidden(rng, str(rng.choice(ASKS[why])), "views", config.size)
    else:
        world = ambiguous(rng, "views", config.size)
        world = world if isinstance(world, str) else _moved_views(rng, world)
    return world if isinstance(world, str) else shuffled(world, int(number) - 1)


def _moved_views(rng: Generator, world: Doubt) -> Doubt | str:
    """The same posts, with other views that do not tell: they look as different from view 1 as the one that does.

    One is from the place of view 1, with another lens; the other from the side, of the post that both worlds share.
    """
    if (target := world.target) is None:
        return "the two worlds differ in more than one object"
    first, settles = world.challenged.cameras[:2]
    shared = world.challenged.objects[1 - target].corners()
    unsure = np.concatenate([scene.objects[target].corners() for scene in (world.challenged, world.other)])
    # Its shadow tells, too.
    lamp, heights = np.array(world.challenged.light.position), unsure[:, 2:]
    unsure = np.concatenate([unsure, unsure + (unsure - lamp) * heights / (lamp[2] - heights)])
    width, height = world.size
    middle = np.array([*shared.mean(axis=0)[:2], settles.position[2]])
    for _ in range(TRIES):
        away = turn(float(rng.uniform(0, 360))) @ (settles.position - middle) * rng.uniform(0.8, 1.2)
        ahead, lens = turn(float(rng.uniform(-18, 18))) @ -away, settles.fov_deg * rng.uniform(0.55, 0.85)
        aside = Camera.look_at(middle + away, middle + away + ahead, lens)
        (x, y), (hint, _) = (aside.project(points, world.size).T for points in (shared, unsure))
        # Behind the camera, columns are not numbers. Every second corner is on the floor.
        shown = (x > 0).all() and (x < width).all() and (y[::2] < height).any()
        if shown and not ((hint > 0) & (hint < width)).any():
            stays = [_from_there(rng, first, world.size), aside]
            cameras = (first, settles, *(stays[i] for i in rng.permutation(2)))
            one, two = (replace(scene, cameras=cameras) for scene in (world.challenged, world.other))
            return replace(world, challenged=one, other=two)
    return "no view from the side leaves out the post in doubt"


def _from_there(rng: Generator, camera: Camera, size: Size) -> Camera:
    """A camera in the same place with another lens, the lower edge of its picture above the horizon, too."""
    across = math.radians(rng.uniform(20, 60))
    pitch = across / 2 + math.radians(rng.uniform(0.5, 2.0))
    ahead = turn(float(rng.uniform(-8, 8))) @ np.array([*camera.rotation[2][:2], 0.0])
    way = ahead / np.linalg.norm(ahead) + (0, 0, math.tan(pitch))
    lens = math.degrees(2 * math.atan(math.tan(across / 2) * size[0] / size[1]))
    return Camera.look_at(camera.position, camera.position + way, lens)


def _aims(why: str) -> tuple[str, ...]:
    return tuple(f"{condition} {asks}" for asks in ASKS[why] for condition in ("clean", why))


TASKS: dict[str, Task] = {
    "unc_occlusion": Task(
        "what color a hidden object has, or which of two is nearer, with a picture that shows it or hides it",
        f"Clean: visible by {MIN_VISIBLE} or more. Occluded: by {HIDDEN} or less, only the block has moved; a second "
        "world with the same picture has another answer, so it cannot be determined. Nearer: centers differ by "
        f"{DEPTH_MARGIN_M} m or more in depth and distance.",
        "abstention",
        SYSTEM,
        "choice",
        _occlusion_world,
        _roles,
        _question,
        aims=lambda most: _aims("occluded"),
        least=2,
    ),
    "unc_perspective": Task(
        "which of two posts is taller or nearer, with a picture that shows their feet, or one that does not",
        "Ambiguous: both end at the same height in the picture and no ground is seen; a second world with the same "
        f"picture has another answer. Taller: {TALL_MARGIN} times or more; nearer: as unc_occlusion. No depth map.",
        "abstention",
        SYSTEM,
        "choice",
        _perspective_world,
        _roles,
        _question,
        aims=lambda most: _aims("ambiguous"),
        least=2,
    ),
    "unc_view": Task(
        "which of three more views settles a question that the first one leaves open",
        f"The view in which the objects are visible by {MIN_VISIBLE} or more and the two worlds differ (posts: feet in "
        f"frame, heights as in the world within {RATIO:.0%}); in the other views both worlds look the same.",
        "view choice",
        SYSTEM,
        "choice",
        _view_world,
        _roles,
        _view_question,
        aims=lambda most: tuple(f"{view} {why}" for why in ASKS for view in VIEWS),
        least=2,
    ),
}
"""One entry a task; see `docs/scenes.md` for how to add one."""

"""PanoSpace: the tasks in which the seam of a panorama may cut what is asked about.

Absolute direction, bounding field of view, continuity. The left and right edges of the picture meet behind the camera
(`seam`). The other five tasks are in `panorama`.

Source: PanoSpace-Bench (arXiv 2605.13169): the tasks, and the overlap of fields, which is taken on the sphere here.
Wording and margins are ours.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ...bfov import wrapped
from .. import around
from ..model import FULL_TURN
from ..seam import SEAM_DEG, SeamView, turned_panorama
from ..shapes import unit_mesh
from ..task import Question, Roles, Task
from ..words import nameable, the
from .multiview import any_pool
from .panorama import AHEAD, SYSTEM, VISIBLE, aims_of, compass, level, said, yaw_of

WHOLE = 0.9
"""The same where the field around an object is asked for."""
LEAST_PX = 4
"""Least width and height of an object whose field is asked for, pixels."""
MISSED_PX = 0.9
"""The field around its pixels is no farther than this from the one around its mesh, pixels."""


def _unclear(world: SeamView, *things: int) -> str | None:
    """Why these objects are not fit for questions about the seam."""
    view = world.view
    if not view.camera.panorama:
        return "it is no panorama"
    for i in things:
        if not nameable(view.scene, i) or view.visible[i] < VISIBLE:
            return f"the {view.labels[i]} is hidden, or not the only one"
    return None


def _absolute_direction(world: SeamView, roles: Roles) -> Question | str:
    thing, view = roles["target"], world.view
    if why := _unclear(world, thing):
        return why
    if 0 < min(world.reaches(thing)) < SEAM_DEG:
        return f"the seam cuts less than {SEAM_DEG} degrees off"
    what, yaw = the(view.scene, thing), yaw_of(view, thing)
    return compass(
        f"{AHEAD} In which direction is {what}?",
        around.direction(level(yaw)),
        world.parts(thing),
        what,
        (f"{what.capitalize()} is {said(yaw)}.",),
    )


def _fields(world: SeamView) -> Iterator[Roles]:
    return ({"target": i} for i in range(len(world.view.labels)))


def _missed(world: SeamView, thing: int) -> float:
    """How far the field around an object's pixels is from the one around its mesh, pixels: thin feet may be missed."""
    view, field = world.view, world.fields[thing]
    assert field is not None
    body = view.scene.objects[thing]
    corners = unit_mesh(body.shape).vertices * body.size @ body.rotation.T + body.position
    right, down, ahead = view.camera.to_camera(corners).T
    yaw = (np.degrees(np.arctan2(right, ahead)) - field.yaw + 180) % 360 - 180
    pitch = -np.degrees(np.arctan2(down, np.hypot(right, ahead)))
    low, high = field.latitudes
    edges = (yaw.min() + field.width / 2, yaw.max() - field.width / 2, pitch.min() - low, pitch.max() - high)
    return float(np.abs(edges).max()) * view.size[0] / FULL_TURN


def _bfov_localization(world: SeamView, roles: Roles) -> Question | str:
    thing, view = roles["target"], world.view
    if why := _unclear(world, thing):
        return why
    rows, columns = np.nonzero(view.instances == thing)
    if view.visible[thing] < WHOLE or min(np.ptp(rows), len(np.unique(columns)) - 1) < LEAST_PX - 1:
        return f"it is visible by less than {WHOLE:.0%}, or smaller than {LEAST_PX} pixels"
    field, what = world.fields[thing], the(view.scene, thing)
    assert field is not None
    cut = world.cut(thing)
    if (off := _missed(world, thing)) > MISSED_PX:
        return f"its pixels miss its edges by {off:.1f} pixels, at most {MISSED_PX} may be"
    (low, high), edges = field.latitudes, [wrapped(field.yaw + side * field.width / 2) for side in (-1, 1)]
    return Question(
        f"{AHEAD} Give the field of view that just holds {what}, as [yaw, pitch, width, height] in degrees: yaw of its "
        "middle, from -180 to 180, positive to the right; pitch of its middle, positive up.",
        str(field),
        world.parts(thing),
        what,
        f"{what.capitalize()} reaches from {edges[0]:.0f} to {edges[1]:.0f} degrees"
        f"{', across the seam' if cut else ''}.",
        facts=(
            f"{what.capitalize()} reaches from yaw {edges[0]:.1f} to {edges[1]:.1f}, so its middle is {field.yaw:.1f} "
            f"and its width {field.width:.1f}.",
            f"It reaches from pitch {low:.1f} to {high:.1f}, so its middle is {field.pitch:.1f} and its height "
            f"{field.height:.1f}.",
        ),
        grader="bfov_iou",
        given={"sphere": True},
        aim="cut" if cut else "whole",
        meta={"across_seam": cut},
    )


NOTHING = "none of them"
LARGE = ("largest", "middle", "smallest")
"""An object's place among the three options by size: without looking, the largest is the likeliest to be cut."""


def _cuttable(world: SeamView) -> Iterator[Roles]:
    count = len(world.view.labels)
    if count >= 3:
        for i in range(count):
            yield from ({"options": [(i + k - place) % count for k in range(3)], "place": place} for place in range(3))


def _seam_continuity(world: SeamView, roles: Roles) -> Question | str:
    view, options = world.view, roles["options"]
    everything = range(len(view.labels))
    if why := _unclear(world, *everything):
        return why
    cut = [i for i in everything if world.cut(i)]
    if len(cut) > 1:
        return "several objects are cut"
    for i in everything:
        if abs(min(world.reaches(i))) < SEAM_DEG:
            return f"{the(view.scene, i)} ends within {SEAM_DEG} degrees of the seam"
    if cut and cut[0] != options[roles["place"]]:
        return "the object that is cut is not where the roles have it"
    names = [the(view.scene, i) for i in options]
    aim = "none"
    if cut:
        by_size = sorted(options, key=lambda i: -max(view.scene.objects[i].size))
        aim = f"cut {roles['place'] + 1} {LARGE[by_size.index(cut[0])]}"
        answer, evidence = the(view.scene, cut[0]), world.parts(cut[0])
        left, right = world.reaches(cut[0])
        facts = (
            f"At the left edge there are {left:.0f} degrees of {answer}, at the right edge {right:.0f} degrees.",
            f"The edges meet behind, so both parts are {answer}.",
        )
        about = "what both edges show"
    else:
        spans = [(box.x0, 1 - box.x1) for box in (view.boxes[i] for i in everything) if box is not None]
        sides = [min(everything, key=lambda i, side=side: spans[i][side]) for side in (0, 1)]
        answer, evidence = NOTHING, tuple(dict.fromkeys(sides))
        ends = (
            f"{the(view.scene, i).capitalize()} ends {360 * spans[i][side]:.0f} degrees from the {edge} edge."
            for side, (i, edge) in enumerate(zip(sides, ("left", "right"), strict=True))
        )
        facts = (*ends, f"So the edges cut {NOTHING}.")
        about = "the objects next to both edges"
    return Question(
        "The left and right edges of this panorama meet behind you. Which object do they cut in two?",
        answer,
        evidence,
        about,
        " ".join(facts),
        facts=facts,
        choices=(*names, NOTHING),
        aim=aim,
        meta={"across_seam": bool(cut)},
    )


TASKS: dict[str, Task] = {
    "pano_absolute_direction": Task(
        "in which of eight directions an object is",
        f"Eight sectors of the center's yaw, none within {around.MARGIN_DEG} degrees of a border. Visible by "
        f"{VISIBLE:.0%} or more; the seam cuts {SEAM_DEG} degrees off, or nothing.",
        "direction",
        SYSTEM,
        "choice",
        turned_panorama(any_pool),
        _fields,
        _absolute_direction,
        aims=aims_of(*around.AROUND),
    ),
    "pano_bfov_localization": Task(
        "yaw, pitch, width and height of the field that holds an object, also across the edges of the picture",
        f"Around its visible pixels, on pixel edges. {WHOLE:.0%} of it or more is visible, {LEAST_PX} pixels both "
        f"ways; its mesh reaches no farther than {MISSED_PX} pixels from there. Graded by the overlap on the sphere.",
        "localization",
        SYSTEM,
        "text",
        turned_panorama(any_pool, 2),
        _fields,
        _bfov_localization,
        aims=aims_of("whole", "cut"),
    ),
    "pano_seam_continuity": Task(
        "which object the left and right edges of the picture cut in two, if any",
        f"At most one is cut, {SEAM_DEG} degrees or more on both sides; all others stay {SEAM_DEG} degrees away. The "
        "largest of the options is cut as often as the smallest.",
        "continuity",
        SYSTEM,
        "choice",
        turned_panorama(any_pool, 3),
        _cuttable,
        _seam_continuity,
        aims=aims_of(*(aim for large in LARGE for aim in (*(f"cut {k} {large}" for k in (1, 2, 3)), "none"))),
        least=3,
    ),
}
"""Three of the eight tasks of PanoSpace-Bench."""

"""Questions asked again: the complementary prompt, the mirror image, other orders of the options.

What a twin's answer must be is not copied: its question is asked of its own world. Scores over twins: `consistency`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from PIL import Image

from ..errors import InputError
from ..lookup import lookup
from ..sample import Sample
from .gold import evidence_boxes
from .model import mirrored
from .render import View, render
from .task import Roles, Task, World
from .tasks import TASKS
from .worlds import world_from_json


def twin(sample: Sample) -> Sample:
    """The other prompt of the pair that a generated sample belongs to, `<id>-twin`, in the same group.

    `meta["twin"]` says what it changes in the roles, or in the world. Raises `InputError` where there is no such pair.
    """
    changes: Mapping[str, Any] | None = sample.meta.get("twin")
    if changes is None:
        raise InputError(f"sample {sample.id} of task {sample.meta.get('task')} is not one of a pair")
    world = world_from_json({**sample.meta["world"], **changes.get("world", {})})
    return asked(sample, f"{sample.id}-twin", world, {**sample.meta["roles"], **changes.get("roles", {})})


def variants(sample: Sample) -> tuple[Sample, ...]:
    """A question with all rotations of its options, and its mirror image with them, `<id>[-flip][-rotation]`.

    For questions about one picture whose role `turn` rotates the options; `consistency.flip_circular` scores them. The
    first one is the sample itself. Raises `InputError` for others.
    """
    world = world_from_json(sample.meta["world"])
    if not isinstance(world, View) or not sample.choices or "turn" not in sample.meta["roles"]:
        raise InputError(
            f"sample {sample.id} of task {sample.meta.get('task')} has no mirror image with options in turn"
        )
    count, first = len(sample.choices), sample.meta["roles"]["turn"]
    sides: list[tuple[str, Any]] = [("", world), ("-flip", mirror_image(world))]
    return tuple(
        asked(
            sample,
            f"{sample.id}{side}{f'-{k}' if k else ''}",
            view,
            {**sample.meta["roles"], "turn": (first + k) % count},
        )
        for side, view in sides
        for k in range(count)
    )


def mirror_image(view: View) -> View:
    """What the camera of the mirrored scene sees: the picture, flipped."""
    return render(mirrored(view.scene), view.size, view.scene.cameras.index(view.camera), view.smooth)


def asked(sample: Sample, name: str, world: World, roles: Roles) -> Sample:
    """A sample's task asked of another world, or about other roles. Raises `InputError` where it may not be asked."""
    task: Task = lookup("task", sample.meta["task"], TASKS)
    question = task.ask(world, roles)
    if isinstance(question, str):
        raise InputError(f"{name}: {question}")
    meta = {**sample.meta, "roles": dict(roles), "world": world.to_json(), "evidence": list(question.evidence)}
    return replace(
        sample,
        id=name,
        image=None if world.image is None else Image.fromarray(world.image),
        depth=world.depth,
        question=question.text,
        answer=question.answer,
        choices=question.choices,
        boxes=evidence_boxes(world, question.evidence),
        meta={**meta, "aim": question.serves, **(question.meta or {})},
    )

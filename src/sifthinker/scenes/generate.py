"""A seeded stream of samples with gold traces: tasks in turn, each with a fresh scene.

Sample i depends on the configuration, the seed and i only, so any number of workers gives the same bytes, and a
run can go on anywhere. Writing data sets is `datagen`'s business.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import cached_property, partial
from importlib.util import find_spec
from typing import Any
from zlib import crc32

import numpy as np
from numpy.random import Generator
from PIL import Image

from ..errors import InputError, SifError, unknown_name
from ..executors import in_order, in_processes
from ..geometry import MIN_PIXELS, Size
from ..lookup import lookup
from ..sample import Sample
from ..trace import Trace
from .gold import STYLES, evidence_boxes, gold_trace
from .render import View
from .splits import SPLITS
from .task import Question, Roles, Task, World, propose
from .tasks import BASICS, TASKS
from .wordings import reworded

OBJECTS = (1, 3)
"""Fewest and most objects of a scene where nothing is said."""
SIZE = (96, 96)
"""(width, height) of pictures where nothing is said."""
SIDES = (32, 2048)
"""Shortest and longest side of a picture in pixels. One of 2048x2048 takes 1.3 GB of memory, a panorama 3 GB."""
RENDERERS = {"embree": "", "mitsuba": "photoreal"}
"""What makes the photos, and the extra that installs it, if that is not `scenes`."""
TRIES = 24
"""Worlds to try for a task before the next task has its turn."""
ROUNDS = 5
"""So many turns each task has, with an aim of its own each time, before a sample is given up."""
CHUNK = 8
"""Samples that a worker makes in one go."""


@dataclass(frozen=True)
class SceneConfig:
    """What kind of samples a stream holds; part of every sample's id.

    tasks: keys of `TASKS` or `module:attribute`. size: (width, height) of the pictures in pixels. objects: fewest and
    most objects of a scene; a task that needs more has its own bounds. style: of the traces, a key of `gold.STYLES`.
    renderer: one of `RENDERERS`. Style and renderer change no question, so they are no part of the ids.
    split: a key of `splits.SPLITS`, or nothing.
    """

    tasks: tuple[str, ...]
    size: Size
    objects: tuple[int, int]
    style: str = "sif"
    renderer: str = "embree"
    split: str = ""

    @cached_property
    def digest(self) -> str:
        """Six hex digits that differ between configurations."""
        text = json.dumps([self.tasks, self.size, self.objects, *filter(None, [self.split])])
        return hashlib.sha256(text.encode()).hexdigest()[:6]


def task_names(spec: str, most: int | None = None) -> tuple[str, ...]:
    """The tasks that a text means: `all`, or names, systems, patterns such as `dge_*` and `module:attribute`.

    Parts are separated by commas or plus signs. most: leave out tasks that need more objects, unless they are named.
    Raises `InputError` for parts that mean nothing, and where nothing is left.
    """
    found: dict[str, None] = {}
    for part in filter(None, (p.strip() for p in spec.replace("+", ",").split(","))):
        wanted = part.casefold()
        group = [
            name
            for name, task in TASKS.items()
            if wanted in ("all", task.system.removesuffix(" (ours)").casefold()) or fnmatchcase(name, part)
        ]
        if part in TASKS or not group:
            lookup("task", part, TASKS)
            group = [part]
        elif most is not None:
            group = [name for name in group if TASKS[name].least <= most]
        found |= dict.fromkeys(group)
    if not found:
        most_of = "" if most is None else f" that scenes of {most} objects or fewer can serve"
        raise InputError(f"tasks {spec!r} name none{most_of}; `sifthinker list tasks` shows all")
    return tuple(found)


def scene_settings(
    tasks: str | None, size: str | None, objects: str | None
) -> tuple[tuple[str, ...] | None, Size, tuple[int, int] | None]:
    """Tasks, size and objects for `scene_config` as a command line says them: `nearer,count`, `128x96`, `2-4`.

    One number stands for both. None is passed on, but for the size, which is `SIZE` then. Raises `InputError` for what
    means nothing; whether the numbers are possible is `scene_config`'s business.
    """
    numbers = None if objects is None else _numbers("objects", objects, "-", "2-4")
    names = None if tasks is None else task_names(tasks, None if numbers is None else numbers[1])
    return names, SIZE if size is None else _numbers("size", size, "x", "128x96"), numbers


def _numbers(name: str, text: str, separator: str, example: str) -> tuple[int, int]:
    found = re.fullmatch(rf"(\d+)(?:{separator}(\d+))?", text)
    if found is None:
        raise InputError(f"{name} {text}: expected two whole numbers, such as {example}")
    return int(found[1]), int(found[2] or found[1])


def scene_config(
    tasks: Sequence[str] | None,
    size: Size,
    objects: tuple[int, int] | None = None,
    style: str = "sif",
    renderer: str = "embree",
    split: str = "",
) -> SceneConfig:
    """A checked configuration; tasks None: all of `BASICS` that scenes of so many objects can serve.

    objects None: those of the split, or 1 to 3, and more where a task needs more. Raises `InputError` for unknown
    tasks, styles, renderers and splits, a renderer that is not installed, a task that needs more objects than are
    given, tasks that know no splits, and impossible numbers.
    """
    if split and split not in SPLITS:
        raise unknown_name("split", split, SPLITS)
    usual = SPLITS[split].objects if split else None
    if objects is not None and usual is not None:
        raise InputError(f"split {split} has scenes of {usual[0]} to {usual[1]} objects; leave objects out")
    low, high = objects or usual or OBJECTS
    if not 1 <= low <= high <= 8:
        raise InputError(f"objects {low} to {high}: a scene needs 1 to 8 objects, the fewest first")
    if min(size) < SIDES[0] or max(size) > min(SIDES[1], 4 * min(size)):
        raise InputError(
            f"size {size[0]}x{size[1]}: sides need {SIDES[0]} to {SIDES[1]} pixels, one at most 4 times the other"
        )
    names = tuple(tasks) if tasks is not None else tuple(n for n, t in BASICS.items() if t.least <= high)
    if not names:
        raise InputError("no tasks given; `sifthinker list tasks` shows all")
    for name in names:
        task = lookup("task", name, TASKS)
        if not isinstance(task, Task):
            raise InputError(f"task {name} is of type {type(task).__name__}, not a sifthinker.scenes.task.Task")
        if objects is not None and task.least > high:
            raise InputError(
                f"task {name} needs scenes of {task.least} or more objects, but at most {high} are asked for"
            )
        if split and name not in BASICS:
            raise InputError(f"task {name} knows no splits; they are for {', '.join(BASICS)}")
    if not callable(lookup("trace style", style, STYLES)):
        raise InputError(f"trace style {style} is no function of (world, question, rng)")
    if renderer not in RENDERERS:
        raise InputError(f"renderer {renderer!r} is none of {', '.join(RENDERERS)}")
    if RENDERERS[renderer] and find_spec(renderer) is None:
        raise InputError(f"renderer {renderer} is not installed: pip install 'sifthinker[photoreal]'")
    return SceneConfig(names, (int(size[0]), int(size[1])), (int(low), int(high)), style, renderer, split)


def generate(
    n: int,
    seed: int,
    tasks: Sequence[str] | None = None,
    size: Size = SIZE,
    objects: tuple[int, int] | None = None,
    workers: int = 1,
    start: int = 0,
    style: str = "sif",
    renderer: str = "embree",
    split: str = "",
) -> Iterator[tuple[Sample, Trace]]:
    """Samples `start` to `start + n` of the stream of `seed`, with their gold traces, in order.

    objects, style, renderer, split: as in `scene_config`. Memory does not grow with n.
    workers: processes that make them; with more than 1 the caller's main module must be importable (guard it with
    `if __name__ == "__main__"`), as for all spawned processes.

    Raises `InputError` for what `scene_config` refuses and for negative seeds, before the first sample is made.
    """
    config = scene_config(tasks, size, objects, style, renderer, split)
    if seed < 0 or start < 0 or n < 0 or workers < 1:
        raise InputError(
            f"seed {seed}, start {start}, n {n}, workers {workers}: none may be negative, workers at least 1"
        )
    indices = range(start, start + n)
    return _serial(config, seed, indices) if workers == 1 else _parallel(config, seed, indices, workers)


def _serial(config: SceneConfig, seed: int, indices: range) -> Iterator[tuple[Sample, Trace]]:
    for index in indices:
        yield make(config, seed, index)


def _parallel(config: SceneConfig, seed: int, indices: range, workers: int) -> Iterator[tuple[Sample, Trace]]:
    chunks = (indices[i : i + CHUNK] for i in range(0, len(indices), CHUNK))
    return in_order(in_processes, partial(partial, _serial, config, seed), chunks, workers)


@dataclass(frozen=True, slots=True)
class _Found:
    """A question with its world, before anything is drawn or written."""

    id: str
    task: str
    aim: str
    world: World
    roles: Roles
    question: Question


def make(config: SceneConfig, seed: int, index: int) -> tuple[Sample, Trace]:
    """Sample `index` of the stream, and its gold trace.

    Tasks and their aims come in turn. Where no world serves a task in `TRIES` tries, the next one has its turn; after
    the last, the first again, with another aim. Raises `SifError` with the reasons after `ROUNDS` rounds in vain.
    """
    rng = np.random.default_rng((seed, index))
    found = _find(config, seed, index, rng)
    if config.split:
        chance = np.random.default_rng((seed, index, crc32(b"maps")))
        shown = SPLITS[config.split].survey(found.world, found.task, chance)  # type: ignore[arg-type]  # a view
        found = replace(found, world=shown)
    if config.renderer == "mitsuba":
        _photograph(found.world)
    sample = _sample(config, found)
    if config.split:
        turn, place = divmod(index, len(config.tasks))
        # Each task meets all ways in turn; in few samples, tasks meet different ones.
        sample = SPLITS[config.split].photograph(sample, turn + 5 * place, seed)
    return sample, gold_trace(found.world, found.question, rng, config.style)


def _photograph(world: Any) -> None:
    """Give every view of a world a photo of mitsuba's in place of its own; drawn pictures stay as they are."""
    if isinstance(world, View):
        from .photoreal import render_photo

        # Where `View.image`, which is cached, looks first.
        vars(world)["image"] = render_photo(world.scene, world.size, world.scene.cameras.index(world.camera))
        return
    for name in ("view", "shown"):
        if (inner := getattr(world, name, None)) is not None:
            _photograph(inner)
    for view in getattr(world, "views", ()):
        _photograph(view)


def make_blind(config: SceneConfig, seed: int, index: int) -> Sample:
    """Sample `index` without picture, depth and boxes: its question and its answer, at a fraction of the time."""
    return _sample(config, _find(config, seed, index, np.random.default_rng((seed, index))), blind=True)


def _find(config: SceneConfig, seed: int, index: int, rng: Generator) -> _Found:
    reasons: Counter[str] = Counter()
    several = len(config.tasks)
    for turn in range(ROUNDS * several):
        name = config.tasks[(index + turn) % several]
        task: Task = lookup("task", name, TASKS)
        # A task that needs more objects than are asked for has its own bounds.
        low, high = (max(n, task.least) for n in config.objects)
        fitting = replace(config, objects=(low, high))
        aim = _aim(task.aims(high), name, seed, index // several + turn // several)
        for _ in range(TRIES):
            try:
                world = task.world(rng, aim, fitting)
                found = world if isinstance(world, str) else propose(task, world, rng, aim)
            except SifError:
                raise
            except Exception as error:
                raise SifError(f"task {name} fails at sample {index} of seed {seed}: {error!r}") from error
            if isinstance(found, str) or isinstance(world, str):
                reasons[f"{name}: {found}"] += 1
            elif why := unfit(world, found[1]) or (config.split and SPLITS[config.split].refuses(world, found[1])):
                reasons[f"{name}: {why}"] += 1
            else:
                roles, question = found
                if config.split and SPLITS[config.split].reworded:
                    question = reworded(name, question, index // several)
                return _Found(f"scenes-{config.digest}-{seed}-{index:06d}", name, aim, world, roles, question)
    listed = "; ".join(f"{reason} ({count} times)" for reason, count in reasons.most_common(4))
    raise SifError(
        f"sample {index} of seed {seed}: no world found for any of {', '.join(config.tasks)}: {listed}; larger "
        "pictures, or other numbers of objects, may help"
    )


def _aim(aims: Sequence[str], name: str, seed: int, turn: int) -> str:
    """The aim of a task at its turn: all of them once before one comes again, in an order of each round's own.

    In a fixed order, few samples of many tasks would all be of the first aims, which are often the least numbers.
    """
    cycle, place = divmod(turn, len(aims))
    return aims[int(np.random.default_rng((seed, cycle, crc32(name.encode()))).permutation(len(aims))[place])]


def unfit(world: World, question: Question) -> str | None:
    """Why the evidence of a question cannot be pointed at in the world's picture, or None."""
    boxes = [world.boxes[thing] for thing in question.evidence]
    if not boxes or None in boxes:
        return None  # a world in words has nothing to point at; others are refused when the trace is made
    depth = world.depth
    if depth is None and world.image is None:
        return None
    size = depth.size if depth is not None else world.image.shape[1::-1]  # type: ignore[union-attr]
    for thing, box in zip(question.evidence, boxes, strict=True):
        assert box is not None
        if box.too_small(size):
            return f"the {world.labels[thing]} is smaller than {MIN_PIXELS} pixels"
        if box.quantized().is_whole:
            return f"the {world.labels[thing]} fills the picture"
    return None


def _sample(config: SceneConfig, found: _Found, blind: bool = False) -> Sample:
    question, world = found.question, found.world
    meta: dict[str, Any] = {
        "task": found.task,
        "answer_kind": lookup("task", found.task, TASKS).answer_kind,
        "aim": found.aim,
        "group": found.id,
        "config": {"size": list(config.size), "objects": list(config.objects)}
        | ({"split": config.split} if config.split else {}),
        "roles": dict(found.roles),
        "world": world.to_json(),
        "evidence": list(question.evidence),
    }
    optional = {
        "answer_unit": question.unit,
        "grader": question.grader,
        "given": question.given,
        "distractors": list(question.distractors),
    }
    meta |= {key: value for key, value in optional.items() if value} | dict(question.meta or {})
    picture = None if blind else world.image
    return Sample(
        id=found.id,
        image=None if picture is None else Image.fromarray(picture),
        question=question.text,
        answer=question.answer,
        depth=None if blind else world.depth,
        choices=question.choices,
        boxes=() if blind else evidence_boxes(world, question.evidence),
        meta=meta,
    )

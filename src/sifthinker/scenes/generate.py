"""A seeded stream of samples with gold traces: tasks in turn, each with a fresh scene.

Sample i depends on the configuration, the seed and i only, so any number of workers gives the same bytes, and a
run can go on anywhere. Writing data sets is `datagen`'s business.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np
from PIL import Image

from ..errors import InputError, SifError
from ..geometry import Size
from ..lookup import lookup
from ..sample import Sample
from ..trace import Trace
from .gold import evidence_boxes, gold_trace
from .task import Question, Roles, Task, World, propose
from .tasks import BASICS, TASKS

TRIES = 12
"""Worlds to try for a task before the next task has its turn."""
CHUNK = 8
"""Samples that a worker makes in one go."""


@dataclass(frozen=True)
class SceneConfig:
    """What kind of samples a stream holds; part of every sample's id.

    tasks: keys of `TASKS` or `module:attribute`. size: (width, height) of the pictures in pixels. objects: fewest and
    most objects of a scene; a task that needs more than the fewest has its own lower bound.
    """

    tasks: tuple[str, ...]
    size: Size
    objects: tuple[int, int]

    @cached_property
    def digest(self) -> str:
        """Six hex digits that differ between configurations."""
        text = json.dumps([self.tasks, self.size, self.objects])
        return hashlib.sha256(text.encode()).hexdigest()[:6]


def scene_config(tasks: Sequence[str] | None, size: Size, objects: tuple[int, int]) -> SceneConfig:
    """A checked configuration; tasks None: all of `BASICS` that scenes of so many objects can serve.

    Raises `InputError` for unknown tasks, a task that needs more objects, and impossible sizes or numbers.
    """
    low, high = objects
    if not 1 <= low <= high <= 8:
        raise InputError(f"objects {low} to {high}: a scene needs 1 to 8 objects, the fewest first")
    if min(size) < 32 or max(size) > 4 * min(size):
        raise InputError(f"size {size[0]}x{size[1]}: sides need 32 pixels at least, one at most 4 times the other")
    names = tuple(tasks) if tasks is not None else tuple(n for n, t in BASICS.items() if t.least <= high)
    if not names:
        raise InputError(f"no tasks given; known: {', '.join(sorted(TASKS))}")
    for name in names:
        task: Task = lookup("task", name, TASKS)
        if task.least > high:
            raise InputError(
                f"task {name} needs scenes of {task.least} or more objects, but at most {high} are asked for"
            )
    return SceneConfig(names, (int(size[0]), int(size[1])), (int(low), int(high)))


def generate(
    n: int,
    seed: int,
    tasks: Sequence[str] | None = None,
    size: Size = (96, 96),
    objects: tuple[int, int] = (1, 3),
    workers: int = 1,
    start: int = 0,
) -> Iterator[tuple[Sample, Trace]]:
    """Samples `start` to `start + n` of the stream of `seed`, with their gold traces, in order.

    workers: processes that make them; with more than 1 the caller's main module must be importable (guard it with
    `if __name__ == "__main__"`), as for all spawned processes. Memory does not grow with n.

    Raises `InputError` for what `scene_config` refuses and for negative seeds, before the first sample is made.
    """
    config = scene_config(tasks, size, objects)
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
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    chunks = (indices[i : i + CHUNK] for i in range(0, len(indices), CHUNK))
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        try:
            # So many chunks are under way at once; more are handed out as the caller takes results.
            waiting = deque(pool.submit(_chunk, config, seed, chunk) for chunk in islice(chunks, 3 * workers))
            while waiting:
                done = waiting.popleft().result()
                waiting.extend(pool.submit(_chunk, config, seed, chunk) for chunk in islice(chunks, 1))
                yield from done
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _chunk(config: SceneConfig, seed: int, indices: range) -> list[tuple[Sample, Trace]]:
    return list(_serial(config, seed, indices))


def make(config: SceneConfig, seed: int, index: int) -> tuple[Sample, Trace]:
    """Sample `index` of the stream, and its gold trace.

    Tasks and their aims come in turn. Where no world serves a task in `TRIES` tries, the next one has its turn. Raises
    `SifError` with the reasons when no task finds a world.
    """
    rng = np.random.default_rng((seed, index))
    reasons: Counter[str] = Counter()
    for turn in range(len(config.tasks)):
        name = config.tasks[(index + turn) % len(config.tasks)]
        task: Task = lookup("task", name, TASKS)
        aims = task.aims(config.objects[1])
        aim = aims[(index // len(config.tasks)) % len(aims)]
        # A task that needs more objects than the fewest asked for has its own lower bound.
        fitting = replace(config, objects=(max(config.objects[0], task.least), config.objects[1]))
        for _ in range(TRIES):
            world = task.world(rng, aim, fitting)
            found = world if isinstance(world, str) else propose(task, world, rng, aim)
            if isinstance(found, str) or isinstance(world, str):
                reasons[f"{name}: {found}"] += 1
                continue
            number = f"scenes-{config.digest}-{seed}-{index:06d}"
            return sample_of(number, number, name, aim, world, *found), gold_trace(world, found[1], rng)
    listed = "; ".join(f"{reason} ({count} times)" for reason, count in reasons.most_common(4))
    raise SifError(f"sample {index} of seed {seed}: no world found for any of {', '.join(config.tasks)}: {listed}")


def sample_of(name: str, group: str, task: str, aim: str, world: World, roles: Roles, question: Question) -> Sample:
    """The sample `name` of a question about a world. group: what is asked about the same picture shares it."""
    meta: dict[str, Any] = {
        "task": task,
        "answer_kind": lookup("task", task, TASKS).answer_kind,
        "aim": aim,
        "group": group,
        "roles": dict(roles),
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
    return Sample(
        id=name,
        image=None if world.image is None else Image.fromarray(world.image),
        question=question.text,
        answer=question.answer,
        depth=world.depth,
        choices=question.choices,
        boxes=evidence_boxes(world, question.evidence),
        meta=meta,
    )

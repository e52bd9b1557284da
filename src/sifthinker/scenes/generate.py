"""A seeded stream of samples with gold traces: tasks in turn, each with a fresh scene.

Sample i depends on the configuration, the seed and i only, so any number of workers gives the same bytes, and a
run can go on anywhere. Writing data sets is `datagen`'s business.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
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
from .layout import sample_scene, too_hidden
from .render import View, render
from .tasks import TASKS, Question, Task

TRIES = 12
"""Scenes to try for a task before the next task has its turn."""
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
    """A checked configuration; tasks None: all of `TASKS` that scenes of so many objects can serve.

    Raises `InputError` for unknown tasks, a task that needs more objects, and impossible sizes or numbers.
    """
    low, high = objects
    if not 1 <= low <= high <= 8:
        raise InputError(f"objects {low} to {high}: a scene needs 1 to 8 objects, the fewest first")
    if min(size) < 32 or max(size) > 4 * min(size):
        raise InputError(f"size {size[0]}x{size[1]}: sides need 32 pixels at least, one at most 4 times the other")
    names = tuple(tasks) if tasks is not None else tuple(n for n, t in TASKS.items() if t.min_objects <= high)
    if not names:
        raise InputError(f"no tasks given; known: {', '.join(sorted(TASKS))}")
    for name in names:
        task: Task = lookup("task", name, TASKS)
        if task.min_objects > high:
            raise InputError(
                f"task {name} needs scenes of {task.min_objects} or more objects, but at most {high} are asked for"
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

    Tasks and their aims come in turn. Where no scene serves a task in `TRIES` tries, the next one has its turn. Raises
    `SifError` with the reasons when no task finds a scene.
    """
    rng = np.random.default_rng((seed, index))
    reasons: Counter[str] = Counter()
    for turn in range(len(config.tasks)):
        name = config.tasks[(index + turn) % len(config.tasks)]
        task: Task = lookup("task", name, TASKS)
        aims = task.aims(config.objects[1])
        aim = aims[(index // len(config.tasks)) % len(aims)]
        for _ in range(TRIES):
            found = _propose(task, aim, config, rng)
            if not isinstance(found, str):
                view, question = found
                sample = _sample(config, seed, index, name, aim, view, question)
                return sample, gold_trace(view, question, rng)
            reasons[f"{name}: {found}"] += 1
    listed = "; ".join(f"{reason} ({count} times)" for reason, count in reasons.most_common(4))
    raise SifError(f"sample {index} of seed {seed}: no scene found for any of {', '.join(config.tasks)}: {listed}")


def _propose(task: Task, aim: str, config: SceneConfig, rng: np.random.Generator) -> tuple[View, Question] | str:
    """One try: a scene and a question about it, or why there is none."""
    low, high = config.objects
    plan = task.plan(rng, aim, max(low, task.min_objects), high)
    scene = sample_scene(rng, plan, config.size)
    if isinstance(scene, str):
        return scene
    view = render(scene, config.size)
    if hidden := too_hidden(view):
        return hidden
    question = task.propose(view, rng, aim)
    return question if isinstance(question, str) else (view, question)


def _sample(config: SceneConfig, seed: int, index: int, task: str, aim: str, view: View, question: Question) -> Sample:
    name = f"scenes-{config.digest}-{seed}-{index:06d}"
    meta: dict[str, Any] = {
        "task": task,
        "answer_kind": lookup("task", task, TASKS).answer_kind,
        "aim": aim,
        "group": name,
        "scene": view.scene.to_json(),
        "visible": [round(share, 4) for share in view.visible],
        "evidence": list(question.evidence),
    }
    return Sample(
        id=name,
        image=Image.fromarray(view.image),
        question=question.text,
        answer=question.answer,
        depth=view.depth,
        boxes=evidence_boxes(view, question.evidence),
        meta=meta,
    )

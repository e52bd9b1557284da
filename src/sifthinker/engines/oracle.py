"""`oracle`: the right answer to every generated question and every StepGame story, found by asking again.

It makes the sample's world again from `meta["world"]` and asks the task's question of the same roles
(`scenes.task`); stories in words go to the exact solver (`scenes.stepgame`). It never reads `sample.answer`, so it
checks that stored samples, the geometry and the grader agree. Replies are whole gold traces.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import numpy as np

from ..errors import SifError
from ..lookup import lookup
from ..prompt import DEFAULT_MAX_PIXELS, FAMILIES, Family
from ..sample import Sample
from ..trace import Area, Step, Trace, format_trace
from .engine import Reply, Request


class OracleEngine:
    """Knows the world behind each question. style: of its traces, one of `scenes.gold.STYLES`."""

    def __init__(self, *, max_pixels: int = DEFAULT_MAX_PIXELS, style: str = "sif") -> None:
        self.model_id = "oracle"
        self.family: Family = FAMILIES["generic"]
        self.max_pixels = max_pixels
        self.grid = self.family.grid
        self.style = style

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        """One reply a request, in order; questions that it does not know get an error."""
        return [self._reply(request) for request in requests]

    def _reply(self, request: Request) -> Reply:
        try:
            trace = know(request.sample, self.style)
        except (SifError, ValueError) as error:
            return Reply(request.id, None, error=" ".join(f"oracle: {error}".split()))
        return Reply(request.id, format_trace(trace), "stop")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to close."""


def know(sample: Sample | None, style: str = "sif") -> Trace:
    """The gold trace of a sample, without a look at its answer. Raises `SifError` for questions it knows nothing of."""
    if sample is None:
        raise SifError("needs the sample itself; this request has words and pictures only")
    if "world" in sample.meta:
        return _ask_again(sample, style)
    return _solve(sample)


def _ask_again(sample: Sample, style: str) -> Trace:
    from ..scenes.gold import gold_trace
    from ..scenes.task import Task
    from ..scenes.tasks import TASKS
    from ..scenes.wordings import reworded
    from ..scenes.worlds import world_from_json

    task: Task = lookup("task", sample.meta["task"], TASKS)
    world = world_from_json(sample.meta["world"])
    question = task.ask(world, sample.meta["roles"])
    if isinstance(question, str):
        raise SifError(f"{sample.meta['task']} may not be asked of this world: {question}")
    if "wording" in sample.meta:
        question = reworded(sample.meta["task"], question, sample.meta["wording"])
    return gold_trace(world, question, np.random.default_rng(zlib.crc32(sample.id.encode())), style)


def _solve(sample: Sample) -> Trace:
    from ..scenes.stepgame import solve

    found = solve(sample.question)
    if isinstance(found, str):
        raise SifError(f"knows generated scenes and StepGame only; {found[:200]}")
    return Trace(tuple(Step(Area((), ()), text) for text in found.steps()), found.label)

"""`blind`: the best constant answer of each task, which is what a benchmark is worth to somebody who does not look.

For generated questions the constant is learned: of the answers (and their letters, where there are options) to `LEARN`
questions of the same task and configuration from a training seed, the one that would earn the most on them. Numbers are
graded as they always are, so the best one need not be the most common one. No picture is made or looked at.
Questions of other sources have no such stream; they get the first option, or `FIRST` by their kind of answer.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from tqdm import tqdm

from ..errors import SifError
from ..grading import Kind, answer_spec, extract, grade_answer
from ..prompt import DEFAULT_MAX_PIXELS, FAMILIES, Family
from ..sample import Sample
from .engine import Reply, Request

LEARN = 100
"""Questions from which the constant of a task is learned."""
SEED = 0
"""Seed of these questions: a training seed, far from those that are held out."""
CANDIDATES = 16
"""Most common answers that are tried; of numbers, so many quantiles too."""

FIRST: dict[Kind, str] = {
    Kind.CHOICE: "A",
    Kind.YESNO: "yes",
    Kind.NUMBER: "2",
    Kind.TEXT: "unknown",
    Kind.BOX: "[0.25, 0.25, 0.75, 0.75]",
    Kind.DIRECTION: "left",
}
"""What is answered where nothing can be learned."""


class BlindEngine:
    """Answers every question of a task alike."""

    def __init__(self, *, max_pixels: int = DEFAULT_MAX_PIXELS) -> None:
        self.model_id = "blind"
        self.family: Family = FAMILIES["generic"]
        self.max_pixels = max_pixels
        self.grid = self.family.grid
        self._constants: dict[str, str] = {}

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        """One reply a request, in order. Only the task and the kind of answer of the sample are looked at."""
        return [self._reply(request) for request in requests]

    def _reply(self, request: Request) -> Reply:
        if request.sample is None:
            return Reply(request.id, None, error="blind: needs to know the question's task; this request has no sample")
        return Reply(request.id, f"<answer>{self._constant(request.sample)}</answer>", "stop")

    def _constant(self, sample: Sample) -> str:
        config = sample.meta.get("config") if "world" in sample.meta else None
        if config is None:
            return FIRST[answer_spec(sample).kind]
        key = json.dumps([sample.meta["task"], config], sort_keys=True)
        if key not in self._constants:
            known = questions(sample.meta["task"], config["size"], config["objects"], split=config.get("split", ""))
            self._constants[key] = best_constant(known) if known else FIRST[answer_spec(sample).kind]
        return self._constants[key]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to close."""


def questions(
    task: str, size: Sequence[int], objects: Sequence[int], n: int = LEARN, seed: int = SEED, split: str = ""
) -> list[Sample]:
    """At most `n` questions of a task from the stream of `seed`, without pictures; fewer if worlds are rare."""
    from ..scenes.generate import SceneConfig, make_blind

    config = SceneConfig((task,), (size[0], size[1]), (objects[0], objects[1]), split=split)
    found: list[Sample] = []
    for index in tqdm(range(n), desc=f"blind learns {task}", unit="question", leave=False, delay=1):
        try:
            found.append(make_blind(config, seed, index))
        except SifError:
            continue
    return found


def best_constant(samples: Sequence[Sample]) -> str:
    """The answer that earns most, given to all of `samples`; the most common one where several earn as much."""
    return max(candidates(samples), key=lambda answer: sum(grade_answer(answer, sample) or 0.0 for sample in samples))


def candidates(samples: Sequence[Sample]) -> list[str]:
    """Answers worth trying: the most common ones (of options their letters too), and quantiles of numbers."""
    tried = [answer for answer, _ in Counter(_said(sample) for sample in samples).most_common(CANDIDATES)]
    if samples[0].choices:
        tried += [answer for answer, _ in Counter(sample.answer for sample in samples).most_common(CANDIDATES)]
    if answer_spec(samples[0]).kind is Kind.NUMBER:
        values = sorted((sample.answer for sample in samples), key=_number)
        tried += [values[i * (len(values) - 1) // CANDIDATES] for i in range(CANDIDATES + 1)]
    return tried


def _said(sample: Sample) -> str:
    """The gold answer; for questions with options its letter."""
    if sample.answer in sample.choices:
        return chr(ord("A") + sample.choices.index(sample.answer))
    return str(extract(sample.answer, answer_spec(sample)).value) if sample.choices else sample.answer


def _number(answer: str) -> float:
    from ..normalize import quantities

    found = quantities(answer)
    return found[0].value if found else 0.0

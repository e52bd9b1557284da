"""Words from templates, which need no network: plain sentences about what is known."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager

from ...sample import Sample
from ..expand import Role, Stage
from ..outcome import Reject
from ..seeds import row_rng
from .early import gives_away
from .job import Answer, Item, Job, Words

WORDS: Mapping[Role, tuple[str, ...]] = {
    "whole": (
        "This is the whole picture. I am asked: {question} I look for {things}.",
        "The whole picture first. To answer I need {things}.",
        "I start with everything there is to see and look for {things}.",
    ),
    "distractor": (
        "I look here{depth}. This is not {things}, so I look elsewhere.",
        "This part{depth} does not help with the question. I move on.",
        "Nothing here{depth} answers the question; I correct my focus.",
    ),
    "context": (
        "The evidence must be in this part of the picture. I look closer.",
        "I narrow my focus to this part, which holds {things}.",
        "Here it is, with what surrounds it. I go closer still.",
        "Less of the surroundings: what is left holds {things}.",
        "This smaller part still shows all that I need.",
    ),
    "gold": (
        "Now I see {evidence}. The answer is {answer}.",
        "This shows {evidence}, so the answer is {answer}.",
        "I have found {evidence}. That makes the answer {answer}.",
    ),
}
"""Wordings for each part of a chain; the row's generator picks one that was not said before."""

BACK = (
    "Back to the evidence: this part holds {things}.",
    "I was wrong to look there, so I turn to this part instead.",
    "It must be in this part instead. I look closer.",
)
"""Wordings for a context after a distractor."""

UNNAMED = "what the question is about"
"""What is looked for where nobody says what it is, or where its name is the answer."""


class TemplateAnnotator:
    """Plain sentences about what is known: labels, depths, answer. The same seed gives the same words."""

    name = "template-4"

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def annotate(self, items: Iterable[Item]) -> Iterator[tuple[Item, Words | Reject]]:
        for item in items:
            yield item, item if isinstance(item, Reject) else self.words(item)

    def words(self, job: Job) -> Words:
        rng = row_rng(self.seed, f"words {job.sample.id}")
        things = _things(job.sample)
        if gives_away(f"I look for {things}.", job.stages[0], job.sample):
            things = UNNAMED
        said: list[str] = []
        texts = []
        for number, stage in enumerate(job.stages):
            corrected = stage.role == "context" and job.stages[number - 1].role == "distractor"
            wordings = [words for words in (BACK if corrected else WORDS[stage.role]) if words not in said]
            said.append(wordings[int(rng.integers(len(wordings)))])
            texts.append(_filled(said[-1], stage, job.sample, things))
        return Words(tuple(texts), self.name)

    @asynccontextmanager
    async def session(self, _: object) -> AsyncIterator[Callable[[Item], Awaitable[Answer]]]:
        """As a teacher's, for mixtures."""

        async def write(item: Item) -> Answer:
            return item if isinstance(item, Reject) else self.words(item)

        yield write


def _filled(wording: str, stage: Stage, sample: Sample, things: str) -> str:
    depth = stage.area.depths[0]
    return wording.format(
        question=sample.question if sample.question.endswith(("?", ".", "!")) else f"{sample.question}.",
        things=things,
        evidence=_evidence(stage, sample) if stage.role == "gold" else "",
        answer=sample.answer.rstrip("."),
        depth="" if depth is None else f" at depth {depth:.3f}",
    )


def _labels(sample: Sample) -> list[str]:
    """What the gold boxes hold, where the source says so: one label a box."""
    labels = [str(label) for label in sample.meta.get("labels", ())]
    return labels if len(labels) == len(sample.boxes) else []


def _things(sample: Sample) -> str:
    """What is looked for, without telling how many there are."""
    different = list(dict.fromkeys(_labels(sample)))
    return _listed([_named(label) for label in different]) if different else UNNAMED


def _evidence(stage: Stage, sample: Sample) -> str:
    """The gold boxes in words, with their depths."""
    labels, depths = _labels(sample), stage.area.depths
    count = len(stage.area.boxes)
    numbers = [f"{d:.3f}" for d in depths if d is not None]
    if labels and len(set(labels)) == count:
        where = [f"{_named(n)} at depth {d}" for n, d in zip(labels, numbers, strict=True)] if numbers else None
        return _listed(where or [_named(name) for name in labels])
    if count == 1:
        seen = UNNAMED
    elif len(set(labels)) == 1:
        seen = f"{count} boxes, each around one {labels[0]}"
    else:
        seen = f"{count} parts that the question is about"
    return seen + (f", at depth {_listed(numbers)}" if numbers else "")


def _named(label: str) -> str:
    """A label with its article, where it is a plain noun.

    >>> _named("dog"), _named("point A"), _named("the left one")
    ('the dog', 'point A', 'the left one')
    """
    plain = label[:1].islower() and not label.startswith(("the ", "a ", "an ", "point "))
    return f"the {label}" if plain else label


def _listed(words: Sequence[str]) -> str:
    """
    >>> _listed(["a", "b", "c"])
    'a, b and c'
    """
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"

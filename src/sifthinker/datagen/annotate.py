"""The words of a chain: from templates, which need no network, from a teacher model (`teacher`), or from several.

An annotator only writes texts for areas that are given. Boxes, depths and the answer are the pipeline's, so no
annotator can change them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from math import isclose
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ..errors import InputError
from ..sample import Sample
from ..trace import Step, Trace
from .asking import Asking
from .batch import Batch, Pending
from .expand import Role, Stage
from .outcome import Reject
from .seeds import row_rng
from .stream import in_order

if TYPE_CHECKING:
    from .teacher import Teacher


@dataclass(frozen=True, slots=True)
class Job:
    """A sample and the chain of areas for which words are wanted."""

    sample: Sample
    stages: tuple[Stage, ...]

    def trace(self, texts: Sequence[str]) -> Trace:
        """The gold trace with these words, one text a stage."""
        steps = [Step(stage.area, text) for stage, text in zip(self.stages, texts, strict=True)]
        return Trace(tuple(steps), self.sample.answer)


@dataclass(frozen=True, slots=True)
class Words:
    """One text a stage, and the name of who wrote them."""

    texts: tuple[str, ...]
    by: str


Item = Job | Reject
"""What comes from a row; a reject only passes through, so that the order is kept."""

Answer = Words | Reject | Pending


class Annotator(Protocol):
    """name: what the manifest records."""

    name: str

    def annotate(self, items: Iterable[Item]) -> Iterator[tuple[Item, Words | Reject]]:
        """Every item, in order, with its words or with the reason why there are none."""
        ...


def open_annotator(
    name: str | Mapping[str, float],
    seed: int,
    out: Path,
    asking: Asking = Asking(),  # noqa: B008 - frozen
) -> Annotator:
    """`template`, `MODEL@URL` of an OpenAI-compatible server, `batch:MODEL`, or several with their shares:
    `template:0.5,MODEL@URL:0.5`, or a mapping from name to share.

    out: the data set folder, in which replies are kept.
    Raises `InputError` for other names and shares, `EndpointError` when a server cannot be reached.
    """
    shares = _shares(name) if isinstance(name, Mapping) or "," in name else {name: 1.0}
    if sum(part.startswith("batch:") for part in shares) > 1:
        raise InputError(f"annotator {name!r}: expected one batch:MODEL at most")
    parts: dict[str, TemplateAnnotator | Teacher] = {}
    account = None
    for part in shares:
        if part == "template":
            parts[part] = TemplateAnnotator(seed)
            continue
        from .teacher import open_account, open_teacher

        account = account or open_account(out, asking)
        parts[part] = open_teacher(part, seed, out, asking, account)
    return Mixture(parts, shares, seed) if len(parts) > 1 else next(iter(parts.values()))


def settled(results: Iterable[tuple[Item, Answer]]) -> Iterator[tuple[Item, Words | Reject]]:
    """The results before the first that waits for batch files; from there on, requests are only written.

    Raises `Paused` at the end if there was one.
    """
    batch: Batch | None = None
    for item, answer in results:
        if isinstance(answer, Pending):
            batch = answer.batch
            batch.add(answer)
        elif batch is None:
            yield item, answer
    if batch is not None:
        raise batch.pause()


# --- several annotators --------------------------------------------------------------------------------------------


def _shares(name: str | Mapping[str, float]) -> dict[str, float]:
    """Shares by name.

    >>> _shares("template:0.25,m@http://localhost:8000/v1:0.75")
    {'template': 0.25, 'm@http://localhost:8000/v1': 0.75}
    """
    form = "expected NAME:SHARE,NAME:SHARE with shares that add up to 1, as in template:0.5,MODEL@URL:0.5"
    try:
        pairs = name.items() if isinstance(name, Mapping) else [p.strip().rsplit(":", 1) for p in name.split(",")]
        shares = {str(part): float(share) for part, share in pairs}
    except (ValueError, TypeError) as error:
        raise InputError(f"annotator {name!r}: {form}") from error
    if len(shares) != len(list(pairs)) or min(shares.values()) <= 0 or not isclose(sum(shares.values()), 1):
        raise InputError(f"annotator {name!r}: {form}")
    return shares


class Mixture:
    """Each sample's annotator is drawn by its id, so that neither order nor concurrency matters."""

    def __init__(
        self, parts: Mapping[str, TemplateAnnotator | Teacher], shares: Mapping[str, float], seed: int
    ) -> None:  # fmt: skip
        self.parts, self.shares, self.seed = parts, shares, seed
        self.name = ",".join(f"{parts[name].name}:{share:g}" for name, share in shares.items())

    def annotate(self, items: Iterable[Item]) -> Iterator[tuple[Item, Words | Reject]]:
        window = max(getattr(part, "window", 1) for part in self.parts.values())
        yield from settled(in_order(items, self._session, window))

    def drawn(self, id_: str) -> str:
        """Who writes for the sample with this id."""
        names = sorted(self.shares)
        rng = row_rng(self.seed, f"annotator {id_}")
        return names[int(rng.choice(len(names), p=[self.shares[name] for name in names]))]

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[Callable[[Item], Awaitable[Answer]]]:
        async with AsyncExitStack() as stack:
            write = {name: await stack.enter_async_context(part.session()) for name, part in self.parts.items()}

            async def work(item: Item) -> Answer:
                return item if isinstance(item, Reject) else await write[self.drawn(item.sample.id)](item)

            yield work


# --- templates -----------------------------------------------------------------------------------------------------

WORDS: Mapping[Role, tuple[str, ...]] = {
    "whole": (
        "This is the whole picture. I am asked: {question} I look for {things}.",
        "The whole picture first. To answer I need {things}.",
        "I start with everything there is to see and look for {things}.",
    ),
    "distractor": (
        "I look here first{depth}. This is not {things}, so I look elsewhere.",
        "This part{depth} does not help with the question. I move on.",
        "Nothing here{depth} answers the question; I correct my focus.",
    ),
    "context": (
        "The evidence must be in this part of the picture. I look closer.",
        "I narrow my focus to this part, which holds {things}.",
        "Here it is, with what surrounds it. I go closer still.",
    ),
    "gold": (
        "Now I see {evidence}. The answer is {answer}.",
        "This shows {evidence}, so the answer is {answer}.",
        "I have found {evidence}. That makes the answer {answer}.",
    ),
}
"""Wordings for each part of a chain; the row's generator picks one."""


class TemplateAnnotator:
    """Plain sentences about what is known: labels, depths, answer. The same seed gives the same words."""

    name = "template-1"

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def annotate(self, items: Iterable[Item]) -> Iterator[tuple[Item, Words | Reject]]:
        for item in items:
            yield item, item if isinstance(item, Reject) else self.words(item)

    def words(self, job: Job) -> Words:
        rng = row_rng(self.seed, f"words {job.sample.id}")
        return Words(tuple(_say(stage, job.sample, rng) for stage in job.stages), self.name)

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Callable[[Item], Awaitable[Answer]]]:
        """As a teacher's, for mixtures."""

        async def write(item: Item) -> Answer:
            return item if isinstance(item, Reject) else self.words(item)

        yield write


def _say(stage: Stage, sample: Sample, rng: np.random.Generator) -> str:
    wordings = WORDS[stage.role]
    depth = stage.area.depths[0]
    return wordings[int(rng.integers(len(wordings)))].format(
        question=sample.question if sample.question.endswith(("?", ".", "!")) else f"{sample.question}.",
        things=_things(sample),
        evidence=_evidence(stage, sample) if stage.role == "gold" else "",
        answer=sample.answer.rstrip("."),
        depth="" if depth is None else f", at depth {depth:.3f}",
    )


def _labels(sample: Sample) -> list[str]:
    """What the gold boxes hold, where the source says so: one label a box."""
    labels = [str(label) for label in sample.meta.get("labels", ())]
    return labels if len(labels) == len(sample.boxes) else []


def _things(sample: Sample) -> str:
    """What is looked for, without telling how many there are."""
    different = list(dict.fromkeys(_labels(sample)))
    return _listed([_named(label) for label in different]) if different else "what the question is about"


def _evidence(stage: Stage, sample: Sample) -> str:
    """The gold boxes in words, with their depths."""
    labels, depths = _labels(sample), stage.area.depths
    count = len(stage.area.boxes)
    numbers = [f"{d:.3f}" for d in depths if d is not None]
    if labels and len(set(labels)) == count:
        where = [f"{_named(n)} at depth {d}" for n, d in zip(labels, numbers, strict=True)] if numbers else None
        return _listed(where or [_named(name) for name in labels])
    if count == 1:
        seen = "what the question is about"
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

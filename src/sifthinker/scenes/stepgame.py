"""StepGame stories read and solved: sentences about two letters each -> steps -> the relation that is asked for.

Every sentence puts one letter a unit step (left, right, above, below or a diagonal) from another. `solve` walks these
steps from the letter that the question names last, at (0, 0), and takes the signs of where the other one ends up. It
is exact, and it refuses: a sentence that no pattern reads in full, links that contradict each other and letters
that no links connect give a reason that starts with "cannot parse", never a guess.

The patterns cover the sentences of StepGame (Shi et al. 2022) as rectified by Li et al. 2024 (arXiv 2401.03991), and
`OWN`, those of our generator. Free English is left out.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from .stepgame_sentences import LABELS, OFFSETS, PHRASES, Link, Offset, read_link

QUESTION = "What is the relation of the agent {x} to the agent {y}?"
HINT = f"Answer with one of: {', '.join(OFFSETS)}."
"""Follows the question in the package's samples, so that a model knows the words."""

CANNOT = "cannot parse"


@dataclass(frozen=True, slots=True)
class Solved:
    """The answer, and how it was found. path: the links walked from y, at (0, 0), to x; places: where each led."""

    x: str
    y: str
    label: str
    path: tuple[Link, ...]
    places: tuple[Offset, ...]

    def steps(self) -> tuple[str, ...]:
        """The way to the answer in words, one sentence a step."""
        walk = (
            f"{link.a} is {PHRASES[link.label]} {link.b}: {link.a} is at ({right}, {up})."
            for link, (right, up) in zip(self.path, self.places, strict=True)
        )
        return (f"Put {self.y} at (0, 0).", *walk, f"So {self.x} is {PHRASES[self.label]} {self.y}.")


def solve(text: str) -> Solved | str:
    """The answer to a story and its question, given as one text; or why there is none ("cannot parse: ...").

    >>> solve("A is above B. C is to the left of B. What is the relation of the agent A to the agent C?").label
    'upper-right'
    >>> solve("A is above B. C is near B. What is the relation of the agent A to the agent C?")
    "cannot parse: 'C is near B.'"
    """
    *story, question = _sentences(text.strip().removesuffix(HINT)) or [""]
    asked = _QUESTION.fullmatch(question)
    if asked is None:
        return f"{CANNOT}: {question!r} is not the question"
    links: list[Link] = []
    for sentence in _joined(story):
        link = read_link(sentence)
        if link is None:
            return f"{CANNOT}: {sentence!r}"
        links.append(link)
    return follow(links, asked["x"], asked["y"])


def follow(links: Sequence[Link], x: str, y: str) -> Solved | str:
    """Where `x` is, seen from `y`, by the shortest chain of links; or why that cannot be said."""
    if x == y:
        return f"{CANNOT}: {x} is asked for relative to itself"
    if missing := sorted({x, y} - letters(links)):
        return f"{CANNOT}: nothing is said about {missing[0]}"
    found = walk(links, y)
    return found if isinstance(found, str) else found.get(x, f"{CANNOT}: no links lead from {y} to {x}")


def letters(links: Iterable[Link]) -> set[str]:
    """Everyone whom the links speak of."""
    return {letter for link in links for letter in (link.a, link.b)}


def walk(links: Sequence[Link], y: str) -> dict[str, Solved] | str:
    """Everyone whom links connect with `y`, seen from it; or what contradicts the rest, anywhere in the story."""
    around: dict[str, list[Link]] = {}
    for link in links:
        around.setdefault(link.b, []).append(link)
        around.setdefault(link.a, []).append(link.turned)
    places: dict[str, Offset] = {}
    ways: dict[str, tuple[Link, ...]] = {}
    reached: list[str] = []
    # Letters out of reach are walked too: a contradiction among them is damage as well.
    for start in (y, *sorted(around)):
        if start in places:
            continue
        places[start], ways[start] = (0, 0), ()
        if wrong := _walk(start, around, places, ways):
            return wrong
        reached = reached or list(places)
    return {x: _solved(x, y, ways[x], places) for x in reached if x != y}


def _solved(x: str, y: str, way: tuple[Link, ...], places: Mapping[str, Offset]) -> Solved:
    right, up = places[x]
    label = LABELS[_sign(right), _sign(up)]
    return Solved(x, y, label, way, tuple(places[link.a] for link in way))


def _walk(
    start: str, around: Mapping[str, list[Link]], places: dict[str, Offset], ways: dict[str, tuple[Link, ...]]
) -> str | None:
    """Give a place to every letter that links connect with `start`; returns what contradicts, if anything does."""
    queue = deque([start])
    while queue:
        here = queue.popleft()
        for link in around[here]:
            (right, up), step = places[here], OFFSETS[link.label]
            place = right + step[0], up + step[1]
            if link.a not in places:
                places[link.a], ways[link.a] = place, (*ways[here], link)
                queue.append(link.a)
            elif places[link.a] != place:
                return f"{CANNOT}: what is said about {here} and {link.a} contradicts the rest"
    return None


def _sign(value: int) -> int:
    return (value > 0) - (value < 0)


_QUESTION = re.compile(QUESTION.replace("?", r"\?").format(x="(?P<x>[A-Z])", y="(?P<y>[A-Z])"))
_PREAMBLE = re.compile(r"The objects? ([A-Z]) and ([A-Z]) are (?:over )?there\.")
_END = re.compile(r"(?<=[.?])\s+")


def _sentences(text: str) -> list[str]:
    return [part for part in _END.split(" ".join(text.split())) if part]


def _joined(sentences: Iterable[str]) -> Iterator[str]:
    """Sentences; "The objects A and B are there." together with the next one, without which it says nothing."""
    before = ""
    for sentence in sentences:
        if not before and _PREAMBLE.fullmatch(sentence):
            before = sentence
        else:
            yield f"{before} {sentence}".strip()
            before = ""
    if before:
        yield before

"""StepGame: chains of unit steps between letters, told in sentences, with facts that do not matter.

The rules are StepGame's (Shi et al. 2022); sentences are our own (`stepgame_sentences.OWN`), and hops and
labels are balanced, which StepGame's are not. Noise as there: a second way between two letters of the chain, a branch
that leads nowhere, a pair that is not connected.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations
from typing import TYPE_CHECKING

from numpy.random import Generator

from ..stepgame_sentences import LABELS, OFFSETS, OWN, Link, Offset
from ..story import Story
from ..task import Question, Roles, Task

if TYPE_CHECKING:
    from ..generate import SceneConfig

HOPS = 10
"""Longest chain, as in StepGame."""
NOISE = 0.5
"""Share of stories with facts that do not matter."""
TRIES = 2000
"""Random chains to draw for one that ends where it should; one in some hundred does at worst."""
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
STEPS = tuple(offset for offset in LABELS if offset != (0, 0))


def _aims(most: int) -> tuple[str, ...]:
    return tuple(f"{k} {label}" for k in range(1, HOPS + 1) for label in OFFSETS if (k, label) != (1, "overlap"))


def _world(rng: Generator, aim: str, config: SceneConfig) -> Story | str:
    hops, _, label = (aim or str(rng.choice(_aims(1)))).partition(" ")
    for _ in range(TRIES):
        places = [(0, 0)]
        for step in rng.integers(len(STEPS), size=int(hops)):
            places.append(_plus(places[-1], STEPS[step]))
        if LABELS[_signs(places[-1])] == label:
            break
    else:
        return f"no chain of {hops} steps ends {label} of its start"
    letters = [ALPHABET[i] for i in rng.permutation(len(ALPHABET))]
    chain = [letters.pop() for _ in places]
    links = [_link(a, b, p, q) for a, b, p, q in zip(chain[1:], chain, places[1:], places, strict=False)]
    if rng.random() < NOISE:
        links += _noise(rng, chain, places, letters)
    links = [link.turned if rng.random() < 0.5 else link for link in (links[i] for i in rng.permutation(len(links)))]
    return Story(tuple(links), tuple(int(f) for f in rng.integers(len(OWN), size=len(links))))


def _noise(rng: Generator, chain: list[str], places: list[Offset], letters: list[str]) -> list[Link]:
    """One to four pieces of noise, with letters that the chain does not use."""
    links: list[Link] = []
    for kind in rng.integers(3, size=rng.integers(1, 5)):
        at = int(rng.integers(len(chain)))
        step = STEPS[rng.integers(len(STEPS))]
        if kind == 0 and at + 2 < len(chain):
            # A second way over a new letter, as long as the first, so that the number of hops stays.
            between = [p for s in STEPS if (p := _plus(places[at], s)) != places[at + 2] and _near(p, places[at + 2])]
            new, place = letters.pop(), between[rng.integers(len(between))]
            links += [
                _link(new, chain[at], place, places[at]),
                _link(chain[at + 2], new, places[at + 2], place),
            ]
        elif kind == 1:
            links.append(Link(letters.pop(), LABELS[step], chain[at]))
        else:
            links.append(Link(letters.pop(), LABELS[step], letters.pop()))
    return links


def _link(a: str, b: str, at: Offset, other: Offset) -> Link:
    return Link(a, LABELS[at[0] - other[0], at[1] - other[1]], b)


def _plus(a: Offset, b: Offset) -> Offset:
    return a[0] + b[0], a[1] + b[1]


def _near(a: Offset, b: Offset) -> bool:
    return abs(a[0] - b[0]) <= 1 and abs(a[1] - b[1]) <= 1


def _signs(place: Offset) -> Offset:
    x, y = ((v > 0) - (v < 0) for v in place)
    return x, y


def _roles(story: Story) -> Iterator[Roles]:
    return ({"x": x, "y": y} for x, y in permutations(story.labels, 2))


def _ask(story: Story, roles: Roles) -> Question | str:
    x, y = roles["x"], roles["y"]
    seen = story.seen_from.get(y, f"nothing is said about {y}")
    found = seen if isinstance(seen, str) else seen.get(x)
    if found is None or isinstance(found, str):
        return found or f"no links lead from {y} to {x}"
    hops = len(found.path)
    return Question(
        story.asking(x, y),
        found.label,
        about=f"{x} and {y}",
        says=found.steps()[-1],
        facts=found.steps(),
        distractors=tuple(label for label in OFFSETS if label != found.label),
        aim=f"{hops} {found.label}",
        meta={"hops": hops, "noise": len(story.links) - hops},
    )


TASKS: dict[str, Task] = {
    "stepgame": Task(
        "where one letter is relative to another, over 1 to 10 steps told in sentences",
        "Steps are added up; the answer is the signs of the sum. Links that contradict or do not connect are refused.",
        "text multi-hop",
        "StepGame",
        "direction",
        _world,
        _roles,
        _ask,
        aims=_aims,
    ),
}

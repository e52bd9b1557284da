"""`Story`: a world that is told in words only, StepGame's way: letters on a grid, each a step from another."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ..geometry import Box
from .stepgame import HINT, QUESTION, Solved, walk
from .stepgame_sentences import Link, own_sentence


@dataclass(frozen=True, eq=False)
class Story:
    """Links in the order in which they are told, and the sentence of `stepgame_sentences.OWN` that tells each."""

    links: tuple[Link, ...]
    forms: tuple[int, ...]

    @property
    def image(self) -> None:
        """None: there is no picture."""

    @property
    def depth(self) -> None:
        """None."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The letters in alphabetic order."""
        return tuple(sorted({letter for link in self.links for letter in (link.a, link.b)}))

    @property
    def boxes(self) -> tuple[Box | None, ...]:
        """None for every letter."""
        return (None,) * len(self.labels)

    @cached_property
    def seen_from(self) -> dict[str, dict[str, Solved] | str]:
        """For every letter, where those are that links connect with it, or what contradicts."""
        return {y: walk(self.links, y) for y in self.labels}

    def asking(self, x: str, y: str) -> str:
        """The whole text: the story, then the question where x is relative to y."""
        sentences = [own_sentence(link, form) for link, form in zip(self.links, self.forms, strict=True)]
        return "\n".join([*sentences, f"{QUESTION.format(x=x, y=y)} {HINT}"])

    def to_json(self) -> dict[str, Any]:
        """Inverse: `Story.from_json`."""
        links = [[link.a, link.label, link.b] for link in self.links]
        return {"kind": "story", "links": links, "forms": list(self.forms)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Story:
        """The same story again."""
        return cls(tuple(Link(a, label, b) for a, label, b in data["links"]), tuple(int(f) for f in data["forms"]))

"""What a sentence of a StepGame story says: patterns that read it from its first to its last letter.

The table holds the sentences of StepGame (Shi et al. 2022) as rectified by Li et al. 2024 (arXiv 2401.03991), with
slots for the words that vary, and `OWN`, those of our generator. Stories and their questions are `stepgame`'s business.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache

Offset = tuple[int, int]
"""Steps to the right and up."""

OFFSETS: dict[str, Offset] = {
    "left": (-1, 0),
    "right": (1, 0),
    "above": (0, 1),
    "below": (0, -1),
    "upper-left": (-1, 1),
    "upper-right": (1, 1),
    "lower-left": (-1, -1),
    "lower-right": (1, -1),
    "overlap": (0, 0),
}
"""What each answer means; all but "overlap" are also what a sentence can say."""
LABELS: dict[Offset, str] = {offset: label for label, offset in OFFSETS.items()}


@dataclass(frozen=True, slots=True)
class Link:
    """`a` is `label` of `b`, one step away: Link("A", "left", "B") says that A is left of B."""

    a: str
    label: str
    b: str

    @property
    def turned(self) -> Link:
        """The same, told of the other letter."""
        right, up = OFFSETS[self.label]
        return Link(self.b, LABELS[-right, -up], self.a)


PHRASES = {
    "left": "left of",
    "right": "right of",
    "above": "above",
    "below": "below",
    "upper-left": "to the upper left of",
    "upper-right": "to the upper right of",
    "lower-left": "to the lower left of",
    "lower-right": "to the lower right of",
    "overlap": "at the place of",
}
"""Labels as prepositions."""


def _sign(value: int) -> int:
    return (value > 0) - (value < 0)


_SLOTS: dict[str, Mapping[str, Offset]] = {
    "h": {"left": (-1, 0), "right": (1, 0)},
    "v": {"above": (0, 1), "below": (0, -1)},
    "o": {"over": (0, 1), "under": (0, -1)},
    "t": {"top": (0, 1), "bottom": (0, -1)},
    "u": {"upper": (0, 1), "lower": (0, -1)},
    "n": {"north": (0, 1), "south": (0, -1)},
    "e": {"west": (-1, 0), "east": (1, 0)},
    "d": {"up": (0, 1), "down": (0, -1)},
    # 12 is above, 1 and 2 are upper right, 3 is right, and so on.
    "clock": {
        str(hour): (0 if hour % 6 == 0 else _sign(6 - hour), _sign(3 - hour) if hour <= 6 else _sign(hour - 9))
        for hour in range(1, 13)
    },
    "between": {
        f"{hour} and {hour + 1}": (1 if hour < 6 else -1, 1 if hour in (1, 2, 9, 10, 11) else -1)
        for hour in range(1, 12)
    },
}
"""Slots of the patterns: word -> step of what it is said of. `{-h}` and so on: it is said of the other letter."""

_PATTERNS = """
X is [directly |]{v} Y.
X is {v} Y with a small gap between them.
X is {o} Y.
X presents [{o}|{v}] Y.
X is on {t} of Y.
X is placed on the {t} of Y.
X is positioned {v} Y.
X is sitting at the [{t}|{u}] position to Y.
X is at the {t} of Y.
X is at the {t} of Y vertically.
X is to the {t} of Y vertically.
X is at the {u} side of Y.
X is on the {t} side to Y.
X is on the {t} of Y and is on the same vertical plane.
X is on the same vertical plane directly {v} Y.
The object X is positioned directly {v} the object Y.
X and Y are parallel, and X is {v} Y.
X and Y are parallel, and Y is {-v} X.
X and Y are parallel, and X is {o} Y.
X and Y are parallel, and X is on {t} of Y.
X and Y are vertical and X is {v} Y.
X and Y are in a vertical line with X on {t}.
X and Y are in a vertical line with Y {-v} X.
X and Y are both there with the object X {v} the object Y.
X and Y are both there with the object Y {-v} the object X.
X and Y are next to each other with X on the {t} and Y at the {-t}.
X and Y are next to each other with Y at the {-t} X on the {t}.
X and Y are side by side with X on the {t} and Y at the {-t}.
X and Y are side by side with Y at the {-t} and X on the {t}.
X is [on|at] the {t} and Y is [on|at] the {-t}.
Y is over there and X is [on|at] the {t} of it.
Y is over there and X is directly {v} it.
Y is over there with X {v}.
X is to the {h} of Y.
X is to the {h} of Y horizontally.
X is to the {h} of Y with a small gap between them.
X is to the {h} of Y and is on the same horizontal plane.
X is on the same horizontal plane directly {h} to Y.
X is on the {h} side to Y.
X is [placed|sitting] in the {h} direction of Y.
X is positioned {h} to Y.
X presents {h} to Y.
The object labeled X is positioned to the {h} of the object labeled Y.
X and Y are parallel, and X is to the {h} of Y.
X and Y are parallel, and X on the {h} of Y.
X and Y are horizontal and X is to the {h} of Y.
X and Y are in a horizontal line with X on the {h}.
X and Y are in a horizontal line with Y on the {-h}.
X and Y are both there with the object X is to the {h} of object Y.
X and Y are next to each other with X on the {h} and Y on the {-h}.
X and Y are next to each other with Y on the {-h} and X on the {h}.
X and Y are side by side with X to the {h} and Y to the {-h}.
X is on the {h} and Y is on the {-h}.
Y is over there and X is on the {h}.
Y is over there and X is on the {h} of it.
X is at Y's {clock} o'clock.
X is at the {clock} o'clock position relative to Y.
X is sitting at the {clock}:00 position [to|of] Y.
Y is there and X is at the {clock} position of a clock face.
If Y is the center of a clock face, X is located between {between}.
X is {v} Y at {clock} o'clock.
X is {v} and to the {h} of Y.
X is positioned {v} and to the {h} of Y.
X is {v} Y and to the {h} of Y.
X is positioned {v} Y and to the {h}.
X is positioned {d} and to the {h} of Y.
Object X is {v} object Y and to the {h} of it, too.
The object X is positioned {v} and to the {h} of [the |]object Y.
The object X is [{u}|{v}] and slightly to the {h} of the object Y.
X is to the {h} of Y and {v} Y at approximately a 45 degree angle.
X is at a 45 degree angle to Y, in the {u} {h}hand corner.
X is diagonally {v} Y to the {h} at a 45 degree[ angle|].
X is diagonally {h} and {v} Y.
X is diagonally to the [{t}|{u}] {h} of Y.
X is [directly |]{n} {e} of Y.
X is {u} {h} [to|of] Y.
X presents {u} {h} to Y.
X is on the {u} {h} of Y.
X is on the {h} side [and|of and] {v} Y.
X is on the {h} side and {t} of Y.
X is placed at the {u} {h} of Y.
X is sitting at the {u} {h} position to Y.
X is positioned in the [{u}|{t}] {h} corner of Y.
X is to the {t}[ |-]{h} of Y.
X is to the {u} {h} of Y.
X is slightly off center to the {t} {h} and Y is slightly off center to the {-t} {-h}.
"""
"""StepGame's sentences: X is where the words say, seen from Y. [a|b]: one of these."""

_FRONT = ("X is positioned in the front {h} corner of Y.", (0, 1))
"""The one sentence in which "front" means above."""

OWN: tuple[tuple[str, str], ...] = (
    ("{x} stands {rel} {y}.", "rel"),
    ("Look {rel} {y} and you find {x}.", "rel"),
    ("{y} has {x} one step {way}.", "way"),
    ("Go one step {way} from {y} to reach {x}.", "way"),
    ("{x} lies one square {compass} of {y}.", "compass"),
    ("Seen from {y}, the way to {x} points to {hour} o'clock.", "hour"),
)
"""The sentences of our generator, each with the kind of words it takes from `SAYS`."""

_STEPS = ("left", "right", "above", "below", "upper-left", "upper-right", "lower-left", "lower-right")
_WAYS = ("to the left", "to the right", "up", "down")
_COMPASS = ("west", "east", "north", "south", "northwest", "northeast", "southwest", "southeast")
_HOURS = ("9", "3", "12", "6", "10", "2", "8", "4")

SAYS: dict[str, dict[str, str]] = {
    "rel": {label: PHRASES[label] for label in _STEPS},
    "way": dict(zip(_STEPS, (*_WAYS, *(f"{b} and {a}" for b in _WAYS[2:] for a in _WAYS[:2])), strict=True)),
    "compass": dict(zip(_STEPS, _COMPASS, strict=True)),
    "hour": dict(zip(_STEPS, _HOURS, strict=True)),
}
"""How sentences of `OWN` say each relation."""


def own_sentence(link: Link, form: int) -> str:
    """A link in the words of sentence `form` of `OWN`."""
    text, kind = OWN[form]
    return text.format(x=link.a, y=link.b, **{kind: SAYS[kind][link.label]})


def read_link(sentence: str) -> Link | None:
    """What a sentence says, or None when no pattern reads it from its first to its last letter."""
    names = tuple(dict.fromkeys(_LETTER.findall(sentence)))
    if len(names) != 2:
        return None
    link = _read(_LETTER.sub(lambda letter: "AB"[names.index(letter[0])], sentence.replace("’", "'")))
    if link is None:
        return None
    a, b = (names["AB".index(letter)] for letter in (link.a, link.b))
    return Link(a, link.label, b)


_LETTER = re.compile(r"\b[A-Z]\b")


@lru_cache(maxsize=4096)
def _read(sentence: str) -> Link | None:
    """A sentence about A and B; stories repeat a few hundred of them."""
    said = {link for pattern in _patterns() if (link := pattern.read(sentence)) is not None}
    return said.pop() if len(said) == 1 else None


@dataclass(frozen=True, slots=True)
class _Pattern:
    """shape: what the whole sentence looks like. slots: group, its words, and 1 if said of X or -1 if said of Y.
    fixed: what the sentence says whatever its slots are."""

    shape: re.Pattern[str]
    slots: tuple[tuple[str, Mapping[str, Offset], int], ...]
    fixed: Offset

    def read(self, sentence: str) -> Link | None:
        match = self.shape.fullmatch(sentence)
        groups = match.groupdict() if match else {}
        if not groups:
            return None
        axes = [{step} - {0} for step in self.fixed]
        for group, words, sign in self.slots:
            if groups[group] is None:
                continue
            for axis, step in zip(axes, words[groups[group]], strict=True):
                # A clock speaks of both axes: 12 is neither left nor right.
                if step or group.startswith("clock"):
                    axis.add(sign * step)
        if max(map(len, axes)) > 1:
            return None
        right, up = (next(iter(axis), 0) for axis in axes)
        return Link(groups["x"], LABELS[right, up], groups["y"])


@cache
def _patterns() -> tuple[_Pattern, ...]:
    lines = [(line, (0, 0)) for line in _PATTERNS.strip().splitlines()]
    own = [(own_sentence(Link("X", label, "Y"), form), OFFSETS[label]) for form in range(len(OWN)) for label in _STEPS]
    return tuple(_compile(line, fixed) for line, fixed in [*lines, _FRONT, *own])


_PART = re.compile(r"\{(-?)(\w+)\}|\[([^]]*)\]|\b([XY])\b")


def _compile(line: str, fixed: Offset) -> _Pattern:
    slots: list[tuple[str, Mapping[str, Offset], int]] = []
    seen: set[str] = set()

    def expression(text: str) -> str:
        shape, end = "", 0
        for part in _PART.finditer(text):
            shape += re.escape(text[end : part.start()])
            end = part.end()
            minus, slot, either, letter = part.groups()
            if slot is not None:
                group = f"{slot}{len(slots)}"
                slots.append((group, _SLOTS[slot], -1 if minus else 1))
                shape += f"(?P<{group}>{'|'.join(_SLOTS[slot])})"
            elif either is not None:
                shape += f"(?:{'|'.join(expression(choice) for choice in either.split('|'))})"
            else:
                name = letter.lower()
                shape += f"(?P={name})" if name in seen else f"(?P<{name}>[A-Z])"
                seen.add(name)
        return shape + re.escape(text[end:])

    shape = expression(line)
    if line.startswith("The object X"):
        shape = rf"(?:The objects? [A-Z] and [A-Z] are (?:over )?there\. )?{shape}"
    if not slots and fixed == (0, 0):
        raise ValueError(f"a pattern that says nothing: {line}")
    return _Pattern(re.compile(shape), tuple(slots), fixed)

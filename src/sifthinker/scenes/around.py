"""Directions around somebody who stands on the floor, as answers and as options of questions.

The words are those of the scheme `around8` in `directions`; four options lie a quarter of a turn apart, so that
they say nothing about which of them is right.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from .directions import SCHEMES, Offset
from .words import metres

SCHEME = "around8"

AROUND = ("front", "front-right", "right", "back-right", "back", "back-left", "left", "front-left")
"""Clockwise, seen from above; an eighth of a turn each."""

MARGIN_DEG = SCHEMES[SCHEME].margin_deg
"""Directions that are this near to a border between two words are refused."""

TOO_NEAR = f"the direction is within {MARGIN_DEG} degrees of a border between two words"


def direction(offset: Offset) -> str | None:
    """The word for an offset (right, down, forward) in metres; None near a border.

    >>> direction((1, 0, 0.1)), direction((-1, 0, -1)), direction((1, 0, 2))
    ('right', 'back-left', None)
    """
    return SCHEMES[SCHEME].name(offset)


def turned(word: str, clockwise_deg: float) -> str:
    """The direction that lies so many degrees (a multiple of 45) clockwise of another.

    >>> turned("front", 90), turned("left", -45)
    ('right', 'back-left')
    """
    return AROUND[(AROUND.index(word) + round(clockwise_deg / 45)) % 8]


def quarters(answer: str, place: int) -> tuple[str, ...]:
    """Four options a quarter of a turn apart, clockwise, with the answer at `place` (0 to 3).

    >>> quarters("front", 1)
    ('left', 'front', 'right', 'back')
    """
    return tuple(turned(answer, 90 * (k - place)) for k in range(4))


def bearing_deg(offset: ArrayLike) -> float:
    """Degrees from straight ahead, positive to the right, of an offset (right, down, forward).

    >>> bearing_deg((1, 0, 1)), bearing_deg((-1, 0, 0))
    (45.0, -90.0)
    """
    right, _, ahead = np.asarray(offset, dtype=float)
    return math.degrees(math.atan2(right, ahead))


def steps(offset: ArrayLike) -> str:
    """An offset (right, down, forward) in words.

    >>> steps((-1, 0, 2.5))
    '1.00 m to the left and 2.50 m ahead'
    """
    right, _, ahead = np.asarray(offset, dtype=float)
    side, way = "right" if right >= 0 else "left", "ahead" if ahead >= 0 else "behind"
    return f"{metres(abs(right))} to the {side} and {metres(abs(ahead))} {way}"

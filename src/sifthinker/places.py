"""Answers that name places and ways: winds, letters, cells, points, moves, round trips.

Each reader gives one value or None; a text that could mean two things is none. Whether a way may be taken is found by
taking it, so every right way is right. Used by `graders`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from math import dist

WINDS = ("north", "northeast", "east", "southeast", "south", "southwest", "west", "northwest")
"""Clockwise, 45 degrees apart."""

MOVES: dict[str, tuple[int, int]] = {"up": (-1, 0), "right": (0, 1), "down": (1, 0), "left": (0, -1)}
"""Move on a map of cells -> change of (row, column)."""

_FILLERS = {"to", "the", "of", "in", "is", "it", "direction", "directly", "due", "toward", "towards", "point"}
_SHORT_WINDS: dict[str, str] = dict(zip(("n", "ne", "e", "se", "s", "sw", "w", "nw"), WINDS, strict=True))


def read_wind(text: str) -> str | None:
    """The one of `WINDS` that a text says.

    >>> read_wind("To the north-east."), read_wind("SW"), read_wind("north, then east or south")
    ('northeast', 'southwest', None)
    """
    word = "".join(w for w in re.findall(r"[a-z]+", text.lower()) if w not in _FILLERS)
    word = _SHORT_WINDS.get(word, word).removesuffix("ern")
    return word if word in WINDS else None


def read_letter(text: str, letters: Iterable[str]) -> str | None:
    """The one of some capital letters that stands alone in a text.

    >>> read_letter("Point C is nearer.", "ABC"), read_letter("B or C", "ABC")
    ('C', None)
    """
    found = set(re.findall(r"(?<!\w)[A-Z](?!\w)", text)) & set(letters)
    return found.pop() if len(found) == 1 else None


def read_cell(text: str) -> tuple[int, int] | None:
    """(row, column) of a text that names both.

    >>> read_cell("column 3, row 2")
    (2, 3)
    """
    rows, columns = (re.findall(rf"\b{word}\W{{0,3}}(\d+)", text.lower()) for word in ("row", "col(?:umn)?"))
    return (int(rows[0]), int(columns[0])) if len(rows) == len(columns) == 1 else None


def read_point(text: str) -> tuple[float, float] | None:
    """The two numbers of a text that has two.

    >>> read_point("(0.25, .5)"), read_point("0.25")
    ((0.25, 0.5), None)
    """
    numbers = re.findall(r"-?(?:\d+(?:\.\d+)?|\.\d+)", text)
    return (float(numbers[0]), float(numbers[1])) if len(numbers) == 2 else None


def read_moves(text: str) -> list[str] | None:
    """Moves in order, from a text of nothing else.

    >>> read_moves("right, right, then down"), read_moves("R D"), read_moves("go home")
    (['right', 'right', 'down'], ['right', 'down'], None)
    """
    words = [w for w in re.findall(r"[^\W_]+", text.lower()) if w not in ("then", "and", "move", "go")]
    moves = [next((move for move in MOVES if word in (move, move[0])), None) for word in words]
    return [m for m in moves if m] if moves and None not in moves else None


def follow(rows: Sequence[str], start: Sequence[int], moves: Iterable[str]) -> tuple[int, int] | None:
    """The cell that moves lead to on a map of "." (open) and "#", or None where one of them is blocked.

    >>> follow(["..", "#."], (0, 0), ["right", "down"]), follow(["..", "#."], (0, 0), ["down"])
    ((1, 1), None)
    """
    row, column = start
    for move in moves:
        row, column = row + MOVES[move][0], column + MOVES[move][1]
        if not (0 <= row < len(rows) and 0 <= column < len(rows[row]) and rows[row][column] == "."):
            return None
    return row, column


def round_trip(text: str, cities: Mapping[str, Sequence[float]]) -> float | None:
    """Length of the round trip that a text lists, or None unless it has every city once; the start may be said again.

    >>> round_trip("A, B, C, A", {"A": (0, 0), "B": (3, 0), "C": (3, 4)})
    12.0
    """
    order = re.findall(r"(?<!\w)[A-Z](?!\w)", text)
    if len(order) == len(cities) + 1 and order[0] == order[-1]:
        order = order[:-1]
    if sorted(order) != sorted(cities):
        return None
    return sum(dist(cities[a], cities[b]) for a, b in pairwise([*order, order[0]]))

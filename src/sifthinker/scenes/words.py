"""How things are called in questions and sentences."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import InputError
from .model import Scene


def nameable(scene: Scene, index: int) -> bool:
    """Whether some name means this object only. Real things have no colors to tell two chairs apart."""
    return sum(o.label == scene.objects[index].label for o in scene.objects) == 1


def name(scene: Scene, index: int) -> str:
    """The shortest name that means one object only: "cube", or "red cube" where there are several cubes.

    Raises `InputError` where there is none (`nameable`).
    """
    noun = scene.objects[index].shape
    if sum(o.shape == noun for o in scene.objects) == 1:
        return noun
    if not nameable(scene, index):
        raise InputError(f"several things are called {scene.objects[index].label}")
    return scene.objects[index].label


def the(scene: Scene, index: int) -> str:
    """The name of an object with its article: "the red cube"."""
    return f"the {name(scene, index)}"


def article(noun: str) -> str:
    """ "a cube", "an orange cube"."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def once(values: Sequence[str]) -> list[int]:
    """Indices of the values that occur once."""
    return [i for i, value in enumerate(values) if list(values).count(value) == 1]


def metres(value: float) -> str:
    """ "1.35 m"."""
    return f"{value:.2f} m"


def view_name(number: int, grid: tuple[int, int]) -> str:
    """How a question calls view `number` (from 0) of a mosaic of `grid` (columns, rows).

    >>> view_name(2, (2, 2)), view_name(1, (2, 1)), view_name(6, (4, 3)), view_name(0, (1, 1))
    ('view 3 (bottom left)', 'view 2 (right)', 'view 7 (row 2, column 3)', 'the picture')
    """
    columns, rows = grid
    if columns * rows == 1:
        return "the picture"
    row, column = divmod(number, columns)
    if max(grid) > 2:
        return f"view {number + 1} (row {row + 1}, column {column + 1})"
    words = ([("top", "bottom")[row]] if rows == 2 else []) + [("left", "right")[column]]
    return f"view {number + 1} ({' '.join(words)})"

"""How things are called in questions and sentences."""

from __future__ import annotations

from collections.abc import Sequence

from .model import Scene


def name(scene: Scene, index: int) -> str:
    """The shortest name that means one object only: "cube", or "red cube" where there are several cubes."""
    noun = scene.objects[index].shape
    alone = sum(o.shape == noun for o in scene.objects) == 1
    return noun if alone else scene.objects[index].label


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

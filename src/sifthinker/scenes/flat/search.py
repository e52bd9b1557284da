"""Drawing again until a world serves what is aimed for: flat worlds cost little as long as nobody looks at them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from numpy.random import Generator

from ..task import MakeWorld, Question, Roles, World

if TYPE_CHECKING:
    from ..generate import SceneConfig

TRIES = 200


def until_served(
    draw: MakeWorld, roles: Callable[[Any], Iterable[Roles]], ask: Callable[[Any, Roles], Question | str]
) -> MakeWorld:
    """The `world` of a task: what `draw` draws, again and again until some question about it serves the aim."""

    def make(rng: Generator, aim: str, config: SceneConfig) -> World | str:
        why = "no world"
        for _ in range(TRIES):
            world = draw(rng, aim, config)
            if isinstance(world, str):
                why = world
                continue
            questions = (ask(world, r) for r in roles(world))
            served = (q if isinstance(q, str) else q.serves for q in questions)
            why = f"no question whose answer is {aim}"
            if any(aim in ("", s) for s in served):
                return world
        return f"{why} in {TRIES} drawings"

    return make

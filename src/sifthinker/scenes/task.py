"""What a task is: a question about a world, its exact answer, and the scenes that suit it.

    world = task.world(rng, aim, config)        something to ask about, or why there is none
    roles = task.roles(world)                   everyone who could stand in the question
    question = task.ask(world, roles)           the question with its exact answer, or why it may not be asked

`ask` draws nothing at random, so a question can be asked again: of a world read back from a sample (`--model oracle`),
of its mirror image, or of roles that somebody else proposes. `propose` is the one place where roles are drawn.

Tasks themselves live in `tasks`, worlds in `render`, `views`, `frames` and beside the tasks that need others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from ..depth import DepthMap
from ..geometry import Box

if TYPE_CHECKING:
    from .generate import SceneConfig

Roles = Mapping[str, Any]
"""Who and what a question is about: names of roles -> indices of things, words or numbers; plain JSON."""


class World(Protocol):
    """What a question is about, and its one picture.

    image: RGB, shape (height, width, 3); None for worlds that are told in words only. depth: of the picture, or None.
    labels: the name of each thing. boxes: where each thing is in the picture; None where it is not seen.
    to_json: plain JSON with the key `kind`, from which `worlds.world_from_json` makes an equal world.
    """

    @property
    def image(self) -> NDArray[np.uint8] | None: ...
    @property
    def depth(self) -> DepthMap | None: ...
    @property
    def labels(self) -> tuple[str, ...]: ...
    @property
    def boxes(self) -> tuple[Box | None, ...]: ...
    def to_json(self) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Question:
    """A question about a world. Things are given by their index in `world.boxes`.

    text, answer: what is asked, and the exact answer, as short as it can be said.
    evidence: the things that the answer rests on, in the order in which a trace lists them.
    about: what is looked for, as words ("the cube"). says: what the evidence shows, as a sentence.
    via, via_says: things to look at before the evidence, and a sentence about them.
    facts: the exact computation step by step, each a sentence (positions in metres, differences, the conclusion).
    choices: options, for questions that name them; the answer is one of them.
    distractors: wrong answers that a careless reader could give, for questions that do not.
    unit: of an answer that is a quantity, a key of `normalize.METRES`.
    grader, given: a key of `graders.GRADERS`, and what it must know; plain JSON.
    aim: which of the task's aims this question serves; the answer, if not said.
    meta: what else reports need (pair, condition, ...); plain JSON.
    """

    text: str
    answer: str
    evidence: tuple[int, ...] = ()
    about: str = ""
    says: str = ""
    via: tuple[int, ...] = ()
    via_says: str = ""
    facts: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    distractors: tuple[str, ...] = ()
    unit: str | None = None
    grader: str | None = None
    given: Mapping[str, Any] | None = None
    aim: str | None = None
    meta: Mapping[str, Any] | None = None

    @property
    def serves(self) -> str:
        """The aim of the task that this question serves."""
        return self.answer if self.aim is None else self.aim


MakeWorld = Callable[[Generator, str, "SceneConfig"], Any]
"""-> World | str. Any, because checkers do not take a cached property for a property of the protocol."""


@dataclass(frozen=True, slots=True)
class Task:
    """A family of questions.

    about: one line. rule: how the answer follows from the world, with its margins.
    family: what is asked for (direction, distance, ...). system: where the task comes from, with its thresholds.
    answer_kind: a value of `grading.Kind`.
    world(rng, aim, config): a world that suits the aim, or why none was found.
    roles(world): everyone who could fill the question's roles, in a fixed order.
    ask(world, roles): the question and its exact answer, or the reason why it may not be asked. Draws nothing.
    aims(most): the answers (or kinds of question) to aim for in scenes of up to `most` objects. Samples take them in
        turn, whatever is easier to find, so that answers are balanced. ("",): any question will do.
    least: fewest objects that a scene needs.
    """

    about: str
    rule: str
    family: str
    system: str
    answer_kind: str
    world: MakeWorld
    roles: Callable[[Any], Iterable[Roles]]
    ask: Callable[[Any, Roles], Question | str]
    aims: Callable[[int], tuple[str, ...]] = lambda most: ("",)
    least: int = 1


def propose(task: Task, world: World, rng: Generator, aim: str = "") -> tuple[Roles, Question] | str:
    """A random question of a task about a world that serves the aim, with its roles; or why there is none."""
    candidates = list(task.roles(world))
    if not candidates:
        return "nobody can fill the question's roles"
    why = ""
    for index in rng.permutation(len(candidates)):
        question = task.ask(world, candidates[index])
        if isinstance(question, str):
            why = question
        elif not isinstance(question, Question):
            raise TypeError(f"`ask` returned {question!r}; expected a Question, or the reason why there is none")
        elif any(not 0 <= thing < len(world.boxes) for thing in (*question.evidence, *question.via)):
            raise ValueError(f"evidence {question.evidence}, via {question.via}: there are {len(world.boxes)} things")
        elif aim in ("", question.serves):
            return candidates[index], question
    return why or f"no question whose answer is {aim}"

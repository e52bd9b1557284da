"""Every task that a real frame can serve, as samples with gold traces.

A task is written for rendered views. On a frame it is asked about the things that are seen and have a name of their
own (`Frame.named`); whatever it needs that a real place does not tell (colors, the room, masks) is a reason not to ask.
Labels name only some of what is there, so counts (`CLOSED`) are not asked, nor is anything whose answer changes when
there are more things (`Frame.crowded`), such as which object is tallest. And each answer must be graded right, with
evidence that the sensor confirms.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any
from zlib import crc32

import numpy as np
from numpy.random import Generator
from PIL import Image

from ...errors import InputError
from ...grading import grade_answer
from ...lookup import lookup
from ...sample import Sample
from ...trace import Trace
from ..gold import evidence_boxes, gold_trace
from ..task import Question, Roles, Task
from ..tasks import TASKS
from .frame import Frame

CLOSED = frozenset({"count"})
"""Families of tasks whose answers change with things that nobody labelled."""
SEEN = 0.1
"""Least visible share of whatever a question rests on."""
CANDIDATES = 2000
"""Roles that are listed for a task and a frame, at most."""


def ask_frames(
    frames: Iterable[Frame | str],
    tasks: Sequence[str] | None = None,
    seed: int = 0,
    each: int = 2,
    refused: Counter[str] | None = None,
    style: str = "sif",
) -> Iterator[tuple[Sample, Trace]]:
    """Questions about frames with their gold traces, like `generate.generate`, frame by frame and task by task.

    frames: as `read_frames` gives them. tasks: keys of `TASKS` or `module:attribute`; None: all. each: most questions
    of a task about a frame, each about other things. seed: which ones, and the wording of traces. refused: counts why
    frames ("frame: ...") and tasks ("TASK: ...") gave no question. Answers of a task are balanced over the frames
    where there is a choice. style: of the traces, one of `gold.STYLES`.

    Raises `InputError` for unknown tasks, before the first frame is read.
    """
    if each < 1:
        raise InputError(f"each {each}: at least one question of a task about a frame")
    chosen: dict[str, Task] = {name: lookup("task", name, TASKS) for name in (TASKS if tasks is None else tasks)}
    return _ask_all(frames, chosen, seed, each, Counter() if refused is None else refused, style)


def _ask_all(
    frames: Iterable[Frame | str], tasks: dict[str, Task], seed: int, each: int, refused: Counter[str], style: str
) -> Iterator[tuple[Sample, Trace]]:
    served: dict[str, Counter[str]] = {name: Counter() for name in tasks}
    for frame in frames:
        named = frame if isinstance(frame, str) else frame.named()
        if isinstance(named, str):
            refused[f"frame: {named}"] += 1
            continue
        for name, task in tasks.items():
            rng = np.random.default_rng((seed, crc32(f"{named.name} {name}".encode())))
            found = _questions(named, task, rng)
            if isinstance(found, str):
                refused[f"{name}: {found}"] += 1
                continue
            for number, (roles, question) in enumerate(_pick(found, each, served[name])):
                made = _made(f"{named.name}-{name}-{number}", named, name, roles, question, rng, style)
                if isinstance(made, str):
                    refused[f"{name}: {made}"] += 1
                else:
                    served[name][question.serves] += 1
                    yield made


def _questions(frame: Frame, task: Task, rng: Generator) -> list[tuple[Roles, Question]] | str:
    """All questions of a task about a frame, in random order; or why there is none."""
    if task.family in CLOSED:
        return "labels name only some of what is there"
    try:
        candidates = list(islice(task.roles(frame), CANDIDATES))
        more = frame.crowded()
        asked = [(roles, _asked(frame, more, task, roles)) for roles in candidates]
    # The world is not of the kind that the task was written for: what it needs is not there.
    except (AttributeError, KeyError, IndexError, TypeError, NotImplementedError) as error:
        return f"needs what a real frame does not tell ({error})"
    good = [(roles, question) for roles, question in asked if not isinstance(question, str)]
    if not good:
        reasons = Counter(reason for _, reason in asked if isinstance(reason, str))
        return reasons.most_common(1)[0][0] if reasons else "nobody can fill the question's roles"
    return [good[i] for i in rng.permutation(len(good))]


def _asked(frame: Frame, more: Frame, task: Task, roles: Roles) -> Question | str:
    try:
        question = task.ask(frame, roles)
        again = task.ask(more, roles) if isinstance(question, Question) else question
    except InputError as error:
        return str(error)
    if isinstance(question, str):
        return question
    if isinstance(again, str) or (again.text, again.answer) != (question.text, question.answer):
        return "its answer may change with things that nobody labelled"
    things = (*question.evidence, *question.via)
    if not question.evidence:
        return "its evidence is not in the picture"
    if any(frame.boxes[i] is None or frame.visible[i] < SEEN for i in things):
        return f"something that it rests on is visible by less than {SEEN:.0%}"
    return question if question.answer.strip() else "there is no answer"


def _pick(
    questions: Sequence[tuple[Roles, Question]], most: int, served: Counter[str]
) -> Iterator[tuple[Roles, Question]]:
    """Questions about different things, those first whose answers were rarest so far."""
    left, told = list(questions), set()
    for _ in range(most):
        left = [(roles, q) for roles, q in left if frozenset(q.evidence) not in told]
        if not left:
            return
        best = min(left, key=lambda pair: served[pair[1].serves])
        told.add(frozenset(best[1].evidence))
        yield best


def _made(
    name: str, frame: Frame, task: str, roles: Roles, question: Question, rng: Generator, style: str
) -> tuple[Sample, Trace] | str:
    world: Any = frame
    meta: dict[str, Any] = {
        "task": task,
        "answer_kind": lookup("task", task, TASKS).answer_kind,
        "aim": question.serves,
        "group": frame.name,
        "roles": dict(roles),
        "world": frame.to_json(),
        "evidence": list(question.evidence),
    }
    optional = {
        "answer_unit": question.unit,
        "grader": question.grader,
        "given": question.given,
        "distractors": list(question.distractors),
    }
    meta |= {key: value for key, value in optional.items() if value} | dict(question.meta or {})
    try:
        boxes, trace = evidence_boxes(world, question.evidence), gold_trace(world, question, rng, style)
    except ValueError as error:
        return str(error)
    photo = Image.fromarray(frame.image)
    sample = Sample(name, photo, question.text, question.answer, frame.depth, question.choices, boxes, meta)
    return (sample, trace) if grade_answer(sample.answer, sample) == 1.0 else "its answer cannot be graded"

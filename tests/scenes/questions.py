"""Questions made as `generate` makes them, without light and traces, so that thousands of them can be checked."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import replace

import numpy as np

from sifthinker.grading import grade_answer
from sifthinker.rewards import REWARDS
from sifthinker.scenes.generate import generate, scene_config
from sifthinker.scenes.task import propose
from sifthinker.scenes.tasks import TASKS
from sifthinker.scenes.views import Views

from .measured import Measured

TRIES = 60


def how_many(few):
    """Questions of each task: few, unless the environment asks for a long run."""
    return int(os.environ.get("SIFTHINKER_SCENES", few))


def questions(name, count, seed=5, objects=(3, 6), size=(64, 64)):
    """`count` times (world, roles, question) of a task, its aims in turn."""
    task = TASKS[name]
    config = scene_config([name], size, objects)
    config = replace(config, objects=(max(objects[0], task.least), objects[1]))
    aims = task.aims(objects[1])
    for index in range(count):
        rng = np.random.default_rng((seed, index))
        why = Counter()
        for _ in range(TRIES):
            world = task.world(rng, aims[index % len(aims)], config)
            found = world if isinstance(world, str) else propose(task, world, rng, aims[index % len(aims)])
            if not isinstance(found, str):
                yield world, *found
                break
            why[found] += 1
        else:
            raise AssertionError(f"{name}: nothing serves {aims[index % len(aims)]}: {why.most_common(5)}")


def within_chance(counts, options, sigmas=4.0):
    """Whether no answer is more frequent than equal chances of so many options explain."""
    total, share = sum(counts.values()), 1 / options
    return max(counts.values()) <= total * share + sigmas * (total * share * (1 - share)) ** 0.5


def blind(counts):
    """Accuracy of the best constant answer."""
    return max(counts.values()) / sum(counts.values())


def assert_gold_earns_full_marks(names, count, seed=3, objects=(3, 6)):
    """Every reward of the gold trace is 1.0, or cannot be judged; and worlds come back from their JSON."""
    for sample, trace in generate(count, seed, tasks=names, objects=objects, size=(64, 64)):
        assert grade_answer(sample.answer, sample) == 1.0
        marks = {key: reward(trace, sample) for key, reward in REWARDS.items()}
        assert set(marks.values()) <= {1.0, None}, (sample.id, sample.question, marks)
        assert len(set(sample.choices)) == len(sample.choices)


def reordered(views, order):
    """The same views in another order."""
    return Views(tuple(views.views[k] for k in order))


def assert_only_gold_earns(pairs):
    """Gold traces earn every reward that can judge them, and no other option is right."""
    for sample, trace in pairs:
        assert {reward(trace, sample) for reward in REWARDS.values()} <= {1.0, None}
        for wrong in set(sample.choices) - {sample.answer}:
            assert grade_answer(wrong, sample) == 0.0


def solved(task, solve, count):
    """(what was measured, world, question) of so many questions, each answered anew by `solve` from the former."""
    for world, _, question in questions(task, count):
        known = Measured(world)
        answer, evidence = solve(known, question)
        assert answer == question.answer, question.text
        assert sorted(evidence) == sorted(question.evidence)
        yield known, world, question

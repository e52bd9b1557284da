"""Lengths from corners, in units converted by hand; the grade of a factor of two."""

import math
import re
from collections import Counter

import numpy as np
import pytest

from sifthinker.grading import answer_spec, extract, grade
from sifthinker.scenes.generate import generate
from sifthinker.scenes.model import mirrored, permuted, rotated, scaled
from sifthinker.scenes.render import render
from sifthinker.scenes.tasks.qspatial import TASKS

from ..conftest import scene, thing
from ..measured import NAME, Measured, best_constant, moved_roles, number, twin
from ..questions import assert_gold_earns_full_marks, how_many, questions, within_chance

COUNT = how_many(8)
CM = {"meters": 100.0, "centimeters": 1.0, "feet": 30.48, "inches": 2.54}
SHORT = {"meters": "m", "centimeters": "cm", "feet": "ft", "inches": "in"}


def measure(kind, known, things):
    """In centimeters, from corners."""
    if kind == "width":
        return 100 * max(known.sides(things[0])[:2])
    if kind == "height":
        return 100 * np.ptp(known.corners(things[0])[:, 2])
    a, b = (known.center(i) for i in things)
    if kind == "vertical":
        return 100 * abs(np.subtract(*(known.corners(i)[:, 2].max() for i in things)))
    return 100 * (math.dist(a, b) if kind == "direct" else abs(complex(*a[:2]) - complex(*b[:2])))


@pytest.fixture(scope="module")
def asked():
    return [(task, *found) for task in TASKS for found in questions(task, min(COUNT, 30), seed=6)]


@pytest.mark.timeout(0)
@pytest.mark.parametrize("task", TASKS)
def test_questions(task):
    aims, lengths = Counter(), []
    for world, _, question in questions(task, COUNT):
        known, kind = Measured(world), task.removeprefix("qspatial_")
        things = known.things(*re.findall(NAME, question.text))
        unit = re.search(r", in (\w+)\?$", question.text)[1]
        truth = measure(kind, known, things)
        assert truth >= 15 - 1e-6
        value, short = question.answer.split()
        assert short == SHORT[unit] == question.unit
        # The last decimal of the answer is right.
        step = 10.0 ** -len(value.partition(".")[2])
        assert float(value) == pytest.approx(truth / CM[unit], abs=0.51 * step)
        assert sorted(things) == sorted(question.evidence)
        for index in things:
            assert np.allclose(known.shown_at(index), tuple(world.boxes[index]))
        assert question.answer in question.facts[-1]
        aims[question.serves] += 1
        lengths.append(f"{truth:.0f} {unit}")

    def success(answer, gold):
        """Of a constant that is right in every unit: one length, said in the unit asked for."""
        return max(number(answer) / number(gold), number(gold) / number(answer)) < 2

    print(f"{task}: best constant length {best_constant(lengths, success):.3f}")
    assert within_chance(aims, 12)
    assert within_chance(Counter(aim.split(",")[0] for aim in aims.elements()), 4)


def test_twins(asked):
    for task, world, roles, question in asked:
        step = 10.0 ** -len(question.answer.split()[0].partition(".")[2])
        for change in (mirrored, lambda s: rotated(s, 71.0)):
            found = TASKS[task].ask(twin(world, change), roles)
            assert found.text == question.text
            assert number(found.answer) == pytest.approx(number(question.answer), abs=1.01, rel=0.01)
        order = np.random.default_rng(3).permutation(len(world.boxes))
        found = TASKS[task].ask(twin(world, lambda s, order=order: permuted(s, order)), moved_roles(roles, order))
        assert number(found.answer) == pytest.approx(number(question.answer), abs=1.01 * step)
        found = TASKS[task].ask(twin(world, lambda s: scaled(s, 2.0)), roles)
        assert number(found.answer) == pytest.approx(2 * number(question.answer), abs=1.51 * step)


def test_any_unit_counts_within_a_factor_of_two():
    for sample, _ in generate(8, 4, tasks=["qspatial_direct", "qspatial_height"], size=(64, 64)):
        spec, unit = answer_spec(sample), sample.answer.split()[1]
        cm = number(sample.answer) * {"m": 100, "cm": 1, "ft": 30.48, "in": 2.54}[unit]
        for share, mark in ((1, 1.0), (1.9, 1.0), (0.55, 1.0), (2.1, 0.0), (0.45, 0.0), (-1, 0.0)):
            for said in (
                f"{share * cm:.4f} cm",
                f"about {share * cm / 100:.6f} m",
                f"\\scalar{{{share * cm / 2.54:.4f}}} \\distance_unit{{in}}",
            ):
                assert grade(extract(f"<answer>{said}</answer>", spec), sample.answer, spec) == mark
        assert grade(extract("<answer>far</answer>", spec), sample.answer, spec) == 0.0
        assert grade(extract("<answer>0 cm</answer>", spec), sample.answer, spec) == 0.0


def test_gold_earns_full_marks():
    assert_gold_earns_full_marks(list(TASKS), 10)


def ask(kind, *objects, things, unit="cm"):
    return TASKS[f"qspatial_{kind}"].ask(render(scene(*objects), (64, 64)), {"things": things, "unit": unit})


PAIR = thing(at=(-1.5, 0)), thing("cone", "green", (1.5, 0), (0.6, 0.6, 1.8))


@pytest.mark.parametrize(
    ("kind", "things", "unit", "answer"),
    [
        ("width", [1], "cm", "60 cm"), ("height", [1], "ft", "5.91 ft"), ("horizontal", [0, 1], "m", "3.00 m"),
        ("vertical", [0, 1], "in", "31.5 in"), ("direct", [0, 1], "m", "3.03 m"),
    ],
)  # fmt: skip
def test_worked_examples(kind, things, unit, answer):
    assert ask(kind, *PAIR, things=things, unit=unit).answer == answer


def test_refusals():
    assert "asked of 2 things, not of 1" in ask("direct", *PAIR, things=[0])
    assert "unit 'yd' is not one of" in ask("width", *PAIR, things=[0], unit="yd")
    assert ask("direct", *PAIR, things=[0, 0]) == "one object stands in two roles"
    level = PAIR[0], thing("sphere", "blue", (1.5, 0), (1.1, 1.1, 1.1))
    assert "less than 0.15 m" in ask("vertical", *level, things=[0, 1])

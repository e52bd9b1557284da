"""Ways are walked again with complex numbers; the arrow's heading and the places are read off the picture."""

import os
import re
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from sifthinker.grading import grade_answer
from sifthinker.rewards import REWARDS
from sifthinker.scenes.flat.canvas import COLORS
from sifthinker.scenes.flat.gridmap import MARKS, GridMap
from sifthinker.scenes.generate import generate
from sifthinker.scenes.tasks.navigation import CORNERS, ORDINALS, TASKS
from sifthinker.scenes.worlds import world_from_json

N = int(os.environ.get("SIFTHINKER_SCENES", "24"))
OTHER = {"left": "right", "right": "left"}


@pytest.fixture(scope="module")
def made():
    return {name: list(generate(N, seed=31, tasks=[name])) for name in TASKS}


def seen(picture, color):
    """Pixels of a color, (n, 2) as x, y."""
    y, x = np.nonzero(np.abs(picture.astype(float) - COLORS[color]).sum(axis=2) < 24)
    return np.stack([x + 0.5, y + 0.5], axis=1)


def test_directions_lead_to_the_answer(made):
    for sample, _ in made["srbench_navigation"]:
        picture, n = np.asarray(sample.photo()), len(sample.meta["world"]["rows"])
        cell = picture.shape[0] / n
        red, green, blue = np.moveaxis(picture.astype(float), 2, 0)
        cover = np.where((red > green + 10) & (red > blue + 60), 255 - green, 0) / 223
        y, x = np.nonzero(cover)
        places = np.stack([x, y], axis=1) + 0.5
        middle = (places.min(axis=0) + places.max(axis=0)) / 2
        # An arrow is long, and narrower at its tip than at its tail.
        axis = int(np.argmax(np.ptp(places, axis=0)))
        along = places[:, axis] - middle[axis]
        ends = [cover[y, x][sign * along > 0.6 * along.max()].sum() for sign in (1, -1)]
        heading = (1 if ends[0] < ends[1] else -1) * (1, 1j)[axis]
        here = complex(*(middle // cell))
        for word, count in re.findall(r"(turn (?:left|right)|go (\d) cells? forward)", sample.question):
            if count:
                for _ in range(int(count)):
                    here += heading
                    assert sample.meta["world"]["rows"][int(here.imag)][int(here.real)] == "."
            else:
                heading *= 1j if word.endswith("right") else -1j
        (found,) = [
            name
            for (name, _), color in zip(sample.meta["world"]["marks"], MARKS, strict=False)
            if complex(*(np.median(seen(picture, color), axis=0) // cell)) == here
        ]
        assert found == sample.answer
        assert grade_answer(f"You reach {found}.", sample) == 1.0


def test_turns_have_the_sign_of_their_cross_product(made):
    for sample, _ in made["srbench_route_turn"]:
        (which,) = re.search(r"Is the (\w+) turn", sample.question).groups()
        route = np.array(sample.meta["world"]["route"])[:, ::-1]
        picture = np.asarray(sample.photo())
        cell = picture.shape[0] / len(sample.meta["world"]["rows"])
        orange = {tuple(p) for p in (seen(picture, "orange") // cell).astype(int)}
        assert orange | {tuple(route[0]), tuple(route[-1])} == set(map(tuple, route))
        steps = np.diff(route, axis=0)
        crosses = [a[0] * b[1] - a[1] * b[0] for a, b in pairwise(steps)]
        turns = [c for c in crosses if c]
        assert len(turns) >= CORNERS
        assert sample.answer == ("right" if turns[ORDINALS.index(which)] > 0 else "left")
        corner = 1 + [i for i, c in enumerate(crosses) if c][ORDINALS.index(which)]
        assert sample.boxes[1].center == pytest.approx(tuple((route[corner] + 0.5) * cell / picture.shape[0]))


def flipped(world):
    n = len(world.rows)
    marks = tuple((name, (r, n - 1 - c)) for name, (r, c) in world.marks)
    route = tuple((r, n - 1 - c) for r, c in world.route)
    here = world.traveler and ((world.traveler[0][0], n - 1 - world.traveler[0][1]), world.traveler[1])
    here = here and (here[0], OTHER.get(here[1], here[1]))
    return replace(world, rows=tuple(row[::-1] for row in world.rows), marks=marks, traveler=here, route=route)


def turned(world):
    """A quarter of a turn clockwise."""
    n = len(world.rows)
    way = {"up": "right", "right": "down", "down": "left", "left": "up"}

    def move(cell):
        return cell[1], n - 1 - cell[0]

    rows = tuple("".join(world.rows[n - 1 - c][r] for c in range(n)) for r in range(n))
    here = world.traveler and (move(world.traveler[0]), way[world.traveler[1]])
    marks = tuple((name, move(cell)) for name, cell in world.marks)
    return replace(world, rows=rows, marks=marks, traveler=here, route=tuple(map(move, world.route)))


def test_twins(made):
    for name in TASKS:
        for sample, _ in made[name]:
            world, roles, ask = world_from_json(sample.meta["world"]), sample.meta["roles"], TASKS[name].ask
            assert ask(turned(world), roles).answer == sample.answer
            if name == "srbench_navigation":
                mirrored = {**roles, "turns": [OTHER[t] for t in roles["turns"]]}
                assert ask(flipped(world), mirrored).answer == sample.answer
            else:
                assert ask(flipped(world), roles).answer == OTHER[sample.answer]


@pytest.mark.parametrize("name", TASKS)
def test_gold_earns_full_marks_and_labels_are_balanced(made, name):
    for sample, trace in made[name]:
        assert all(reward(trace, sample) in (1.0, None) for reward in REWARDS.values())
        assert all(grade_answer(wrong, sample) == 0.0 for wrong in sample.meta["distractors"])
        again = world_from_json(sample.meta["world"])
        assert np.array_equal(again.image, np.asarray(sample.photo()))
    aims = TASKS[name].aims(3)
    assert max(Counter(sample.answer for sample, _ in made[name]).values()) <= -(-N // len(aims))


def test_refusals():
    ask = TASKS["srbench_navigation"].ask
    town = GridMap(96, ("...", ".#.", "..."), (("A", (0, 2)),), ((2, 0), "up"))
    assert ask(town, {"legs": [2, 2], "turns": ["right"]}).answer == "A"
    assert ask(town, {"legs": [1, 1], "turns": ["right"]}) == "the way is blocked"
    assert ask(town, {"legs": [2, 1], "turns": ["right"]}) == "the way does not end at a marked place"
    assert ask(replace(town, traveler=None), {"legs": [1], "turns": []}) == "there is no traveler"
    straight = GridMap(96, ("...",) * 3, (("A", (0, 0)), ("B", (0, 2))), None, ((0, 0), (0, 1), (0, 2)))
    assert TASKS["srbench_route_turn"].ask(straight, {"turn": 0}) == "the route has 0 turns"

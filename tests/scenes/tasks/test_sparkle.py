"""Sparkle's answers, found again in the picture: discs by their colors, blocked cells by their darkness."""

import os
import re
from collections import Counter
from dataclasses import replace
from itertools import permutations, product

import numpy as np
import pytest
from scipy import ndimage

from sifthinker.grading import grade_answer
from sifthinker.rewards import REWARDS
from sifthinker.sample import Sample
from sifthinker.scenes.flat.canvas import COLORS
from sifthinker.scenes.flat.gridmap import GridMap
from sifthinker.scenes.flat.points import Points
from sifthinker.scenes.generate import generate
from sifthinker.scenes.tasks.sparkle import CLOSER, INSIDE, TASKS, TOUR_MARGIN
from sifthinker.scenes.worlds import world_from_json

N = int(os.environ.get("SIFTHINKER_SCENES", "16"))
WINDS = ["east", "northeast", "north", "northwest", "west", "southwest", "south", "southeast"]


@pytest.fixture(scope="module")
def made():
    return {name: list(generate(N, seed=23, tasks=[name], objects=(2, 6))) for name in TASKS}


def discs(sample):
    """Letter -> (x, y) in pixels, from the connected dark or colored spots of the picture."""
    picture = np.asarray(sample.photo()).astype(float)
    spots, count = ndimage.label(ndimage.binary_fill_holes(picture.min(axis=2) < 150))
    world = sample.meta["world"]
    assert count == len(world["names"])
    found = {}
    for index in range(1, count + 1):
        spot = spots == index
        pixels = picture[spot]
        inner = pixels[np.abs(pixels - 255).sum(axis=1) > 60]
        nearest = np.abs(inner[:, None] - list(COLORS.values())).sum(axis=2).argmin(axis=1)
        votes = Counter(list(COLORS)[i] for i in nearest)
        names = [c for c, _ in votes.most_common() if c in world["colors"]]
        # The rim of every disc is black.
        color = next((c for c in names if c != "black" and votes[c] > 0.25 * len(inner)), "black")
        y, x = ndimage.center_of_mass(spot)
        found[world["names"][world["colors"].index(color)]] = np.array([x + 0.5, y + 0.5])
    assert len(found) == count
    return found


def check_sparkle_direction(sample):
    b, a = re.search(r"is point (\w) from point (\w)\?", sample.question).groups()
    places = discs(sample)
    right, down = places[b] - places[a]
    angle = np.degrees(np.arctan2(-down, right)) % 360
    assert WINDS[int((angle + 22.5) // 45) % 8] == sample.answer
    exact = dict(zip(sample.meta["world"]["names"], np.array(sample.meta["world"]["at"]), strict=True))
    right, down = exact[b] - exact[a]
    assert abs((np.degrees(np.arctan2(-down, right)) % 45) - 22.5) > 5 - 1e-6


def check_sparkle_nearer(sample):
    a, b, c = re.search(r"to point (\w): (\w) or (\w)\?", sample.question).groups()
    places = discs(sample)
    far = {x: np.hypot(*(places[x] - places[a])) for x in (b, c)}
    assert min(far, key=far.get) == sample.answer
    assert max(far.values()) > (CLOSER - 0.06) * min(far.values())


def check_sparkle_distance(sample):
    a, b = re.search(r"from point (\w) to point (\w) ", sample.question).groups()
    places = discs(sample)
    units = np.hypot(*(places[a] - places[b])) / (sample.photo().width / 8)
    assert abs(units - float(sample.answer)) < 0.15
    assert grade_answer(f"{units:.2f}", sample) == 1.0


def check_sparkle_cell(sample):
    (a,) = re.search(r"is point (\w)\?", sample.question).groups()
    x, y = discs(sample)[a] / (sample.photo().width / 4)
    assert sample.answer == f"row {int(y) + 1}, column {int(x) + 1}"
    assert min(x % 1, 1 - x % 1, y % 1, 1 - y % 1) > INSIDE - 0.05


def check_sparkle_location(sample):
    (a,) = re.search(r"of point (\w)\?", sample.question).groups()
    x, y = discs(sample)[a] / sample.photo().width
    assert np.allclose([float(v) for v in sample.answer.split(", ")], (x, y), atol=0.02)
    assert grade_answer(f"({x:.3f}, {y:.3f})", sample) == 1.0


def board(sample):
    """Open cells (n, n) as the picture shows them, and the cells of A and B."""
    picture, n = np.asarray(sample.photo()).astype(float), len(sample.meta["world"]["rows"])
    cell = picture.shape[0] / n
    middle = ((np.arange(n) + 0.5) * cell).astype(int)
    corner = ((np.arange(n) + 0.2) * cell).astype(int)
    marks = []
    for color in ("green", "blue"):
        y, x = np.nonzero(np.abs(picture - COLORS[color]).sum(axis=2) < 12)
        marks.append((int(y.mean() // cell), int(x.mean() // cell)))
    assert len(middle) == n
    return picture[np.ix_(corner, corner)].sum(axis=2) > 600, *marks


def steps_needed(free, start, goal):
    """Powers of the matrix of neighbors."""
    n = len(free)
    cells = list(product(range(n), range(n)))
    near = np.array([[free[a] and free[b] and abs(a[0] - b[0]) + abs(a[1] - b[1]) == 1 for b in cells] for a in cells])
    here = np.array([c == start for c in cells])
    for steps in range(n * n):
        if here[cells.index(goal)]:
            return steps
        here = here | (here @ near)
    return None


def check_sparkle_path(sample):
    free, start, goal = board(sample)
    need = steps_needed(free, start, goal)
    moves = sample.answer.split(", ")
    assert len(moves) == need
    ways = {"up": (-1, 0), "down": (1, 0), "left": (0, -1), "right": (0, 1)}

    def reaches(words):
        here = np.array(start)
        for word in words:
            here = here + ways[word]
            if min(here) < 0 or max(here) >= len(free) or not free[tuple(here)]:
                return False
        return tuple(here) == goal

    assert reaches(moves)
    if need <= 4:
        right = [words for words in product(ways, repeat=need) if reaches(words)]
        graded = [words for words in product(ways, repeat=need) if grade_answer(" ".join(words), sample) == 1.0]
        assert right == graded
    assert grade_answer(", ".join([*moves, "up", "down"]), sample) == 0.0


def check_sparkle_path_length(sample):
    assert steps_needed(*board(sample)) == int(sample.answer)


def check_sparkle_tour(sample):
    (start,) = re.search(r"Start and end at (\w),", sample.question).groups()
    places = discs(sample)
    answer = sample.answer.split(", ")
    assert answer[0] == answer[-1] == start

    def length(order):
        return sum(np.hypot(*(places[a] - places[b])) for a, b in zip(order, [*order[1:], order[0]], strict=True))

    best = min(permutations(places), key=length)
    assert length(answer[:-1]) < 1.01 * length(best)
    for order in permutations(places):
        right = grade_answer(", ".join(order), sample) == 1.0
        assert right == (length(order) < (1 + TOUR_MARGIN) / 2 * length(best))


@pytest.mark.parametrize("name", TASKS)
def test_answers_agree_with_the_picture(made, name):
    for sample, _ in made[name]:
        assert sample.meta["task"] == name
        globals()[f"check_{name}"](sample)


@pytest.mark.parametrize("name", TASKS)
def test_gold_earns_full_marks_and_distractors_none(made, name):
    for sample, trace in made[name]:
        assert all(reward(trace, sample) in (1.0, None) for reward in REWARDS.values())
        assert all(grade_answer(wrong, sample) == 0.0 for wrong in sample.meta.get("distractors", ()))
        again = world_from_json(sample.meta["world"])
        assert np.array_equal(again.image, np.asarray(sample.photo()))
        assert TASKS[name].ask(again, sample.meta["roles"]).answer == sample.answer


@pytest.mark.parametrize("name", TASKS)
def test_labels_are_balanced(made, name):
    aims = TASKS[name].aims(6)
    counts = Counter(sample.meta["aim"] for sample, _ in made[name])
    assert set(counts) <= set(aims)
    assert max(counts.values()) <= -(-N // len(aims)) + 1
    if name in ("sparkle_nearer",):
        letters = Counter(sample.answer for sample, _ in made[name])
        assert max(letters.values()) < 0.6 * N + 3


# --- twins ---------------------------------------------------------------------------------------------------------

MIRROR = {w: w.replace("east", "E").replace("west", "east").replace("E", "west") for w in WINDS}


def test_twins_of_points(made):
    for sample, _ in made["sparkle_direction"]:
        world, roles = world_from_json(sample.meta["world"]), sample.meta["roles"]
        ask = TASKS["sparkle_direction"].ask
        mirrored = replace(world, at=tuple((1 - x, y) for x, y in world.at))
        assert ask(mirrored, roles).answer == MIRROR[sample.answer]
        turned = replace(world, at=tuple((y, 1 - x) for x, y in world.at))
        assert ask(turned, roles).answer == WINDS[(WINDS.index(sample.answer) + 2) % 8]
        smaller = replace(world, at=tuple((x / 2, y / 2) for x, y in world.at))
        assert ask(smaller, roles).answer == sample.answer
        swapped = ask(world, {"a": roles["b"], "b": roles["a"]})
        assert swapped.answer == WINDS[(WINDS.index(sample.answer) + 4) % 8]
    for name in ("sparkle_nearer", "sparkle_tour", "sparkle_distance"):
        for sample, _ in made[name]:
            world, roles = world_from_json(sample.meta["world"]), sample.meta["roles"]
            mirrored = replace(world, at=tuple((1 - x, y) for x, y in world.at))
            assert grade_answer(TASKS[name].ask(mirrored, roles).answer, sample) == 1.0


def test_twins_of_maps(made):
    opposite = {"left": "right", "right": "left", "up": "up", "down": "down"}
    for sample, _ in made["sparkle_path"]:
        world, n = world_from_json(sample.meta["world"]), len(sample.meta["world"]["rows"])
        marks = tuple((name, (r, n - 1 - c)) for name, (r, c) in world.marks)
        mirrored = replace(world, rows=tuple(row[::-1] for row in world.rows), marks=marks)
        answer = TASKS["sparkle_path"].ask(mirrored, sample.meta["roles"]).answer
        back = ", ".join(opposite[m] for m in answer.split(", "))
        assert grade_answer(back, sample) == 1.0


# --- refusals ------------------------------------------------------------------------------------------------------


def points(*at, ruled=0):
    return Points(96, at, tuple("ABCDE"[: len(at)]), tuple(COLORS)[: len(at)], ruled)


@pytest.mark.parametrize(
    ("name", "world", "roles", "reason"),
    [
        ("sparkle_direction", points((0.2, 0.2), (0.8, 0.46)), {"a": 0, "b": 1}, "5 degrees"),
        ("sparkle_nearer", points((0.5, 0.5), (0.2, 0.5), (0.82, 0.5)), {"from": 0, "b": 1, "c": 2}, "1.15 times"),
        ("sparkle_distance", points((0.2, 0.2), (0.8, 0.46)), {"a": 0, "b": 1}, "not ruled"),
        ("sparkle_cell", points((0.26, 0.6), ruled=4), {"point": 0}, "from a line"),
        ("sparkle_tour", points((0.1, 0.1), (0.9, 0.1), (0.5, 0.5)), {"point": 0}, "3 points"),
        ("sparkle_tour", points((0.1, 0.1), (0.9, 0.1), (0.5, 0.36), (0.5, 0.8)), {"point": 0}, "1.05 times"),
        (
            "sparkle_path",
            GridMap(96, (".#.", ".#.", ".#."), (("A", (0, 0)), ("B", (0, 2)))),
            {"from": 0, "to": 1},
            "no way from A to B",
        ),
    ],
)
def test_refusals(name, world, roles, reason):
    assert reason in TASKS[name].ask(world, roles)


def test_equal_round_trips_are_asked_and_all_right():
    """A square with its middle: the middle may come between any two corners."""
    square = points((0.1, 0.1), (0.9, 0.1), (0.9, 0.9), (0.1, 0.9), (0.5, 0.5))
    question = TASKS["sparkle_tour"].ask(square, {"point": 0})
    sample = Sample("s", None, question.text, question.answer, meta={"grader": "tour", "given": question.given})
    assert all(grade_answer(trip, sample) == 1.0 for trip in ("A E B C D A", "A B E C D A", "A B C E D", "A B C D E A"))
    assert grade_answer("A C B D E A", sample) == 0.0

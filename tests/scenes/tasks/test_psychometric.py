"""Solids are compared by the volumes that their cubes span, sheets are folded forward pixel by pixel."""

import os
from collections import Counter
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from sifthinker.grading import grade_answer
from sifthinker.rewards import REWARDS
from sifthinker.scenes.flat.canvas import LETTERS
from sifthinker.scenes.flat.polycubes import LOOK_DEG, Polycubes, Solid, as_matrix, fitted, mirrored, moved
from sifthinker.scenes.flat.sheet import HOLE, SQUARE, Fold, Sheet, fold_onto, unfolded
from sifthinker.scenes.generate import generate
from sifthinker.scenes.tasks.psychometric import DIFFERENT, TASKS
from sifthinker.scenes.worlds import world_from_json

N = int(os.environ.get("SIFTHINKER_SCENES", "12"))
SOLIDS = ("srbench_rotation_easy", "srbench_rotation_hard")
GROUP = [np.rint(m).astype(int) for m in Rotation.create_group("O").as_matrix()]
EYE = np.eye(3)


@pytest.fixture(scope="module")
def made():
    return {name: list(generate(N, seed=29, tasks=[name])) for name in TASKS}


def answer_index(sample):
    return sample.choices.index(sample.answer)


# --- mental rotation -----------------------------------------------------------------------------------------------


def signature(solid):
    """Distances and signed volumes between the cubes as they are drawn: the same under rotations, not in a mirror."""
    places = np.asarray(solid.cubes, float) @ np.asarray(solid.turn).T
    volumes = []
    for four in combinations(range(len(places)), 4):
        a, b, c, d = places[list(four)]
        lengths = sorted(np.linalg.norm(p - q) for p, q in combinations((a, b, c, d), 2))
        # Each corner is named by its distances to the rest of the solid, so that the sign has a meaning.
        sums = [tuple(np.sort(np.linalg.norm(places - p, axis=1)).round(3)) for p in (a, b, c, d)]
        if len(set(sums)) == 4:
            a, b, c, d = (p for _, p in sorted(zip(sums, (a, b, c, d), strict=True), key=lambda x: x[0]))
            volumes.append((*np.round(lengths, 3), round(float(np.linalg.det([b - a, c - a, d - a])), 3) + 0.0))
    return sorted(volumes)


def rotations_of(a, b):
    """How many of the 24 rotations lay solid `a` upon solid `b`, both in their own axes."""

    def settled(points):
        return sorted(map(tuple, (points - points.min(axis=0)).tolist()))

    return sum(settled(np.asarray(a) @ m.T) == settled(np.asarray(b)) for m in GROUP)


@pytest.mark.parametrize("name", SOLIDS)
def test_exactly_one_option_is_a_rotation(made, name):
    assert len(GROUP) == 24
    for number, (sample, _) in enumerate(made[name]):
        reference, *options = world_from_json(sample.meta["world"]).solids
        fits = [rotations_of(option.cubes, reference.cubes) for option in options]
        assert fits[answer_index(sample)] == 1
        assert sum(fits) == 1
        assert rotations_of(reference.cubes, reference.cubes) == 1
        mirror = np.asarray(reference.cubes) * (-1, 1, 1)
        assert rotations_of(mirror, reference.cubes) == 0
        mirrors = [rotations_of(option.cubes, mirror) for option in options]
        assert sum(mirrors) == (1 if name.endswith("easy") else 2)
        # Volumes take long: every tenth solid of a long run.
        if number % (1 + N // 100) == 0 and len(signature(reference)) > 3:
            same = [signature(option) == signature(reference) for option in options]
            assert same[answer_index(sample)]
            assert np.allclose(np.linalg.det([s.turn for s in options]), 1, atol=1e-4)


def splat(solid, panel):
    """The solid as a cloud of points: index of the nearest cube at each pixel of a panel, -1 for none."""
    tilt, turn = LOOK_DEG
    view = Rotation.from_euler("x", tilt, degrees=True) * Rotation.from_euler("y", turn, degrees=True)
    grid = np.stack(np.meshgrid(*[np.linspace(-0.499, 0.499, 13)] * 3), axis=-1).reshape(-1, 3)
    turned = view.as_matrix() @ np.asarray(solid.turn)
    place, _ = fitted(solid, panel)
    pixels, depths, owners = [], [], []
    for index, cube in enumerate(solid.cubes):
        points = (grid + cube) @ turned.T
        pixels.append(np.asarray(place(points)))
        depths.append(points[:, 2])
        owners.append(np.full(len(grid), index))
    pixels, depths, owners = np.concatenate(pixels), np.concatenate(depths), np.concatenate(owners)
    found = np.full((panel, panel), -1)
    order = np.argsort(depths)
    x, y = pixels[order].astype(int).T
    found[y, x] = owners[order]
    return found


@pytest.mark.parametrize("name", SOLIDS)
def test_pictures_show_the_solids_and_every_cube(made, name):
    for sample, _ in made[name][: max(2, N // 10)]:
        world = world_from_json(sample.meta["world"])
        for number, solid in enumerate(world.solids):
            alone = Polycubes(world.panel, (solid,) * 2, world.grid).image[: world.panel, world.panel :]
            drawn = alone.min(axis=2) < 245
            shown = splat(solid, world.panel)
            corner = int(0.22 * world.panel)
            drawn[:corner, :corner] = shown[:corner, :corner] >= 0  # the option's letter
            drawn[-1], drawn[:, 0], drawn[:, -1], drawn[0] = (False,) * 4  # lines between panels
            assert (drawn & (shown >= 0)).sum() / (drawn | (shown >= 0)).sum() > 0.8, number
            seen = [np.mean(shown[shown >= 0] == i) for i in range(len(solid.cubes))]
            assert min(seen) * len(seen) > 0.1


@pytest.mark.parametrize("name", SOLIDS)
def test_twins_of_solids(made, name):
    for sample, _ in made[name]:
        world, ask = world_from_json(sample.meta["world"]), TASKS[name].ask
        shuffled = replace(world, solids=(world.solids[0], *world.solids[:0:-1]))
        other = ask(shuffled, {})
        assert other.choices.index(other.answer) == len(sample.choices) - 1 - answer_index(sample)
        # In a mirror, what is a rotation stays one; cubes are kept in view by turning nothing.
        mirror = [Solid(mirrored(s.cubes), s.turn) for s in world.solids]
        reference = mirror[0]
        fits = [rotations_of(s.cubes, reference.cubes) for s in mirror[1:]]
        assert fits.index(1) == answer_index(sample)
        # One mirrored option in the right place makes none right.
        spoiled = list(world.solids)
        index = 1 + answer_index(sample)
        spoiled[index] = Solid(mirrored(spoiled[index].cubes), spoiled[index].turn)
        refused = ask(replace(world, solids=tuple(spoiled)), {})
        assert refused in ("0 options are rotations of the solid", "a cube is hidden, or a side")


def test_symmetric_solids_are_refused():
    straight = Solid(((0, 0, 0), (0, 1, 0), (0, 2, 0)), as_matrix(EYE))
    assert TASKS["srbench_rotation_easy"].ask(Polycubes(64, (straight,) * 4), {}) == "the solid is symmetric"
    # Flat solids have mirror images that are rotations.
    flat = Solid(
        moved([(0, 0, 0), (1, 0, 0), (2, 0, 0), (0, 1, 0), (2, 2, 0), (2, 1, 0), (3, 2, 0)], EYE), as_matrix(EYE)
    )
    assert TASKS["srbench_rotation_easy"].ask(Polycubes(64, (flat,) * 4), {}) == "the solid is symmetric"


# --- paper folding -------------------------------------------------------------------------------------------------


def fold_forward(places, folds):
    """Where places of the flat sheet are once it is folded."""
    places = np.array(places, float)
    for fold in folds:
        beyond = (places - fold["point"]) @ np.asarray(fold["normal"])
        places = places - 2 * np.maximum(beyond, 0)[:, None] * np.asarray(fold["normal"])
    return places


def test_sheets_folded_forward_have_the_holes_of_one_option(made):
    side = (np.arange(100) + 0.5) / 100
    pixels = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    for sample, _ in made["srbench_folding"]:
        data = sample.meta["world"]
        landed = fold_forward(pixels, data["folds"])
        away = np.min([np.hypot(*(landed - hole).T) for hole in data["punched"]], axis=0)
        # Places are rounded, so pixels on the rim of a hole may be on either side of it.
        cut, rim = away < HOLE, np.abs(away - HOLE) < 1e-4
        wrong = []
        for option in data["options"]:
            drawn = np.min([np.hypot(*(pixels - hole).T) for hole in option], axis=0) < HOLE
            wrong.append(np.mean((drawn != cut) & ~rim))
        index = answer_index(sample)
        assert wrong[index] == 0
        assert min(w for i, w in enumerate(wrong) if i != index) > 0.5 * np.pi * HOLE**2
        # Folded again, all holes of the right option lie upon the punches.
        again = fold_forward(data["options"][index], data["folds"])
        assert np.min(np.linalg.norm(again[:, None] - np.array(data["punched"]), axis=2), axis=1).max() < 1e-5
        assert len(data["options"][index]) == len(data["punched"]) * 2 ** len(data["folds"])


def test_pictures_show_the_holes(made):
    for sample, _ in made["srbench_folding"][: max(6, N // 10)]:
        world = world_from_json(sample.meta["world"])
        for number, option in enumerate(world.options):
            box = world.boxes[len(world.folds) + 1 + number]
            x0, y0, x1, y1 = box.pixel_bounds(world.size)
            panel = world.image[y0:y1, x0:x1].astype(int)
            scale = (0.2 + 0.72 * np.array(option)) * world.panel
            blue = [panel[int(y), int(x), 2] for x, y in scale]
            assert min(blue) > 228
            assert panel[int(0.22 * world.panel) + 1, int(0.22 * world.panel) + 1, 2] < 224


def test_twins_of_sheets(made):
    def turned(place):
        return (1 - place[1], place[0])

    for sample, _ in made["srbench_folding"]:
        world, ask = world_from_json(sample.meta["world"]), TASKS["srbench_folding"].ask
        assert ask(replace(world, options=world.options[::-1]), {}).aim == LETTERS[2 - answer_index(sample)]
        for move, way in ((turned, lambda v: (-v[1], v[0])), (lambda p: (1 - p[0], p[1]), lambda v: (-v[0], v[1]))):
            folds = tuple(Fold(move(f.point), way(f.normal)) for f in world.folds)
            options = tuple(tuple(map(move, option)) for option in world.options)
            twin = Sheet(world.panel, folds, tuple(map(move, world.punched)), options)
            assert ask(twin, {}).answer == sample.answer


def test_two_folds_about_parallel_lines_are_not_folds_about_the_middle():
    """The trap: a sheet folded in half twice the same way has four holes in a row, at their own places."""
    first = fold_onto(SQUARE, (1.0, 0.0), (0.0, 0.0))
    second = fold_onto(((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)), (0.5, 0.0), (0.0, 0.0))
    assert unfolded([(0.1, 0.3)], [first, second]) == ((0.1, 0.3), (0.4, 0.3), (0.6, 0.3), (0.9, 0.3))
    assert fold_onto(SQUARE, (1.0, 0.0), (0.0, 0.5)) is None


def test_sheets_that_are_refused():
    fold = fold_onto(SQUARE, (1.0, 0.0), (0.0, 0.0))
    right = unfolded([(0.2, 0.3)], [fold])
    near = ((0.2, 0.3), (0.8, 0.35))
    ask = TASKS["srbench_folding"].ask
    assert ask(Sheet(56, (fold,), ((0.2, 0.3),), (near, near, near)), {}) == "0 options show the sheet unfolded"
    assert ask(Sheet(56, (fold,), ((0.2, 0.3),), (right, right, near)), {}) == "2 options show the sheet unfolded"
    assert str(DIFFERENT) in ask(Sheet(56, (fold,), ((0.2, 0.3),), (right, near, ((0.5, 0.5),))), {})


# --- all -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TASKS)
def test_gold_earns_full_marks_and_letters_are_balanced(made, name):
    for sample, trace in made[name]:
        assert all(reward(trace, sample) in (1.0, None) for reward in REWARDS.values())
        assert grade_answer(LETTERS[answer_index(sample)], sample) == 1.0
        again = world_from_json(sample.meta["world"])
        assert np.array_equal(again.image, np.asarray(sample.photo()))
        assert TASKS[name].ask(again, sample.meta["roles"]).answer == sample.answer
    counts = Counter(sample.answer for sample, _ in made[name])
    options = len(made[name][0][0].choices)
    assert max(counts.values()) <= -(-N // options)

"""Every scheme on both sides of each of its borders; turns and mirrors."""

import math

import numpy as np
import pytest

from sifthinker.answers import AnswerSpec, read
from sifthinker.grading import Kind
from sifthinker.scenes.directions import SCHEMES, azimuth_deg, facing

COMPASS = ("north", "northeast", "east", "southeast", "south", "southwest", "west", "northwest")
CAMERA = ("front", "front-right", "right", "back-right", "back", "back-left", "left", "front-left")
EPS = 1e-6


def clock(degrees, length=1.0):
    """(across, ahead) of a direction so many degrees clockwise from straight ahead."""
    return length * math.sin(math.radians(degrees)), length * math.cos(math.radians(degrees))


@pytest.mark.parametrize("turn", range(8))
@pytest.mark.parametrize("off", [-22.5 + EPS, -10.0, 0.0, 22.5 - EPS])
def test_sectors_are_45_degrees_around_the_axes(turn, off):
    x, y = clock(45 * turn + off)
    assert SCHEMES["cardinal8"].name((x, y)) == COMPASS[turn]
    assert SCHEMES["azimuth8"].name((x, -y)) == COMPASS[turn]
    assert SCHEMES["dge_camera"].name((x, 0.0, y)) == CAMERA[turn]
    assert SCHEMES["dge_camera"].name((3 * x, 1.4, 3 * y)) == CAMERA[turn]


@pytest.mark.parametrize("turn", range(8))
def test_the_compass_with_a_margin_has_no_name_near_borders(turn):
    scheme = SCHEMES["compass_margin"]
    for off, named in ((0, True), (17.4, True), (17.6, False), (22.5, False), (27.4, False)):
        for side in (-1, 1):
            x, y = clock(45 * turn + side * off)
            assert scheme.name((x, -y)) == (COMPASS[turn] if named else None)


@pytest.mark.parametrize(
    ("offset", "name"),
    [
        ((3, 2.5, 4), "front-right"),  # |y| is 0.5 of the rest: not more
        ((3, 2.5 + EPS, 4), "down-front"),
        ((3, -2.5 - EPS, 4), "up-front"),
        ((-4, -9, 3), "up-left"),
        ((0, 1, 0), "down"),
        ((0, 0, 0), None),
        ((1, 4, -2), "down-back"),
    ],
)
def test_steep_camera_directions(offset, name):
    assert SCHEMES["dge_camera"].name(offset) == name


def test_the_hard_scheme_names_what_is_03_of_the_length():
    scheme, border = SCHEMES["dge_hard"], math.degrees(math.asin(0.3))
    for turn in range(0, 8, 2):
        for side, next_one in ((1, CAMERA[turn + 1]), (-1, CAMERA[turn - 1])):
            for off, name in ((border - EPS, CAMERA[turn]), (border + EPS, next_one)):
                x, z = clock(45 * turn + side * off, 7.0)
                assert scheme.name((x, 100.0, z)) == name
    assert scheme.name((0, 3, 0)) is None
    assert set(scheme.words) == set(CAMERA)


@pytest.mark.parametrize(
    ("offset", "name"),
    [
        ((10, 0, 1), "front-right"), ((10, 0, 1 - EPS), "right"), ((0.2, -2, -0.19), "up-right"),
        ((1, 1, 1), "down-front-right"), ((0, 0, -4), "back"), ((0, 0, 0), None),
    ],
)  # fmt: skip
def test_gca_drops_what_is_small_beside_the_largest(offset, name):
    assert SCHEMES["gca"].name(offset) == name


@pytest.mark.parametrize(
    ("offset", "name"),
    [
        ((0, 0), "overlap"), ((-3, 0), "left"), ((1, 0), "right"), ((0, 7), "above"), ((0, -1), "below"),
        ((-1, 5), "upper-left"), ((1, 1), "upper-right"), ((-2, -1), "lower-left"), ((9, -1), "lower-right"),
    ],
)  # fmt: skip
def test_offset_signs(offset, name):
    assert SCHEMES["offset_sign"].name(offset) == name
    assert len(SCHEMES["offset_sign"].words) == 9


@pytest.mark.parametrize(
    ("offset", "name"),
    [
        ((-100, 0), "left"), ((-99.9, 0), "same"), ((0, 0.5), "front"), ((0, -0.49), "same"), ((0, -0.5), "behind"),
        ((100, 0.4), "right"), ((250, -8), "behind-right"),
    ],
)  # fmt: skip
def test_surds_ties(offset, name):
    assert SCHEMES["surds"].name(offset) == name


def test_words_are_what_offsets_are_named():
    rng = np.random.default_rng(0)
    for key, scheme in SCHEMES.items():
        offsets = rng.normal(size=(4000, len(scheme.axes))) * ((200, 1) if key == "surds" else 1)
        offsets *= rng.random((4000, len(scheme.axes))) < 0.7
        named = {scheme.name(offset) for offset in offsets} - {None}
        assert named == set(scheme.words), key


def test_mirrors_swap_sides_and_nothing_else():
    rng = np.random.default_rng(1)
    swap = {"left": "right", "right": "left", "east": "west", "west": "east"}
    for key, scheme in SCHEMES.items():
        for offset in rng.normal(size=(200, len(scheme.axes))) * ((200, 1) if key == "surds" else 1):
            name, mirrored = scheme.name(offset), scheme.name(offset * ([-1] + [1] * (len(offset) - 1)))
            for word, other in swap.items():
                if name and word in name:
                    assert mirrored == name.replace(word, other)
                    break
            else:
                assert mirrored == name


def test_direction_answers_are_read():
    for key in ("dge_hard", "dge_camera", "gca", "offset_sign", "surds"):
        read_as = [read(word, AnswerSpec(Kind.DIRECTION)).value for word in SCHEMES[key].words]
        assert None not in read_as
        assert len(set(read_as)) == len(read_as), key


def test_clear_means_far_from_borders():
    scheme = SCHEMES["dge_camera"]
    for off, clear in ((0, True), (17, True), (18, False)):
        x, z = clock(off)
        assert scheme.clear((x, 0, z), 5) is clear
    rest = math.degrees(math.atan(0.5))
    for rise, clear in ((rest - 6, True), (rest - 4, False), (rest + 4, False), (rest + 6, True)):
        assert scheme.clear((0, -math.tan(math.radians(rise)), 1), 5) is clear
    assert not scheme.clear((1, 5, 1), 1)
    assert not scheme.clear((0, 0, 0), 1)
    hard = SCHEMES["dge_hard"]
    for off, clear in ((12, True), (13, False), (22, False), (23, True)):
        x, z = clock(off)
        assert hard.clear((x, 1.0, z), 5) is clear


def test_facing_agrees_with_a_turned_world():
    rng = np.random.default_rng(2)
    for _ in range(50):
        stand, toward, target = rng.normal(size=(3, 3))
        right, down, forward = facing(stand, toward, target)
        heading = math.atan2(toward[1] - stand[1], toward[0] - stand[0])
        # Turn the world until the gaze is along +y; then right is x.
        turn = math.pi / 2 - heading
        dx, dy = (target - stand)[:2]
        expected = (math.cos(turn) * dx - math.sin(turn) * dy, math.sin(turn) * dx + math.cos(turn) * dy)
        assert (right, forward) == pytest.approx(expected)
        assert down == pytest.approx(stand[2] - target[2])


def test_facing_needs_a_gaze():
    with pytest.raises(ValueError, match="one vertical line"):
        facing((0, 0, 0), (0, 0, 2), (1, 1, 1))


def test_azimuths():
    assert [azimuth_deg(*clock(a)) for a in (0, 30, 200, 359)] == pytest.approx([0, 30, 200, 359])

"""Fields of panoramas: overlaps against rasters, the seam and the poles, reading, masks."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sifthinker.bfov import Bfov, mask_bfov, parse_bfov, wrapped
from sifthinker.grading import AnswerSpec, Kind, extract, grade
from sifthinker.scenes.model import Camera

# Not so thin that a raster misses them.
fields = st.builds(Bfov, st.floats(-180, 180), st.floats(-85, 85), st.floats(2, 360), st.floats(2, 90))


def raster_iou(a, b, sphere, step=0.5):
    """Shares of grid points on the sphere that both, and either, cover; each point counts for its part of the area."""
    yaw, pitch = np.meshgrid(np.arange(-180 + step / 2, 180, step), np.arange(-90 + step / 2, 90, step))
    inside = [
        (np.abs((yaw - f.yaw + 180) % 360 - 180) <= f.width / 2) & (np.abs(pitch - f.pitch) <= f.height / 2)
        for f in (a, b)
    ]
    weight = np.cos(np.radians(pitch)) if sphere else np.ones_like(pitch)
    both, either = (weight[m].sum() for m in (inside[0] & inside[1], inside[0] | inside[1]))
    return both / either


@pytest.mark.parametrize("sphere", [False, True])
@given(a=fields, b=fields)
def test_overlaps_are_those_of_a_raster(sphere, a, b):
    thin = min(a.width, b.width, a.height, b.height)
    assert a.iou(b, sphere) == pytest.approx(raster_iou(a, b, sphere), abs=0.02 + 1.0 / thin)


@pytest.mark.parametrize("sphere", [False, True])
@given(a=fields, b=fields, turn=st.floats(-720, 720))
def test_overlaps_do_not_know_the_seam(sphere, a, b, turn):
    moved = [Bfov(wrapped(f.yaw + turn), f.pitch, f.width, f.height) for f in (a, b)]
    assert moved[0].iou(moved[1], sphere) == pytest.approx(a.iou(b, sphere), abs=1e-9)
    assert a.iou(b, sphere) == pytest.approx(b.iou(a, sphere), abs=1e-12)
    assert a.iou(a, sphere) == pytest.approx(1.0)
    assert 0.0 <= a.iou(b, sphere) <= 1.0


def test_worked_examples():
    assert Bfov(0, 0, 40, 20).iou(Bfov(20, 0, 40, 20)) == pytest.approx(1 / 3)
    assert Bfov(170, 0, 40, 20).iou(Bfov(-170, 0, 40, 20)) == pytest.approx(1 / 3)
    assert Bfov(0, 0, 40, 20).iou(Bfov(90, 0, 40, 20)) == 0.0
    # Two wide fields back to back meet on both sides: 240 + 240 - 360 = 120 shared.
    assert Bfov(0, 0, 240, 20).iou(Bfov(180, 0, 240, 20)) == pytest.approx(120 / 360)
    # Near the pole a row of the picture is worth little on the sphere.
    low, high = Bfov(0, 15, 60, 30), Bfov(0, 45, 60, 90)
    assert low.iou(high) == pytest.approx(1 / 3)
    assert low.iou(high, sphere=True) == pytest.approx(0.5)


def test_fields_that_cannot_be_are_refused():
    for numbers in [(0, 0, 0, 10), (0, 0, 361, 10), (0, 0, 10, -1), (0, 91, 10, 10), (math.nan, 0, 10, 10)]:
        with pytest.raises(ValueError, match="field"):
            Bfov(*numbers)


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("[30, -10.5, 20, 12]", Bfov(30, -10.5, 20, 12)),
        ("yaw 30, pitch -10.5, 20 by 12 degrees", Bfov(30, -10.5, 20, 12)),
        ("[30, -10.5, 20]", None),
        ("[30, -10.5, 20, 0]", None),
        ("[1, 2, 3, 4, 5]", None),
        ("", None),
        ("behind you", None),
    ],
)
def test_reading(text, field):
    assert parse_bfov(text) == field


@given(fields)
def test_what_is_written_is_read(field):
    back = parse_bfov(str(field))
    assert back is not None
    assert back.iou(field) > 0.85


def test_masks_and_the_seam():
    mask = np.zeros((90, 180), dtype=bool)
    mask[40:50, 170:] = mask[42:45, :20] = True
    # Columns 170 to 180 and 0 to 20 are one thing of 30 columns, 2 degrees each; its middle is 5 after the seam.
    assert mask_bfov(mask) == Bfov(-170.0, 0.0, 60.0, 20.0)
    assert mask_bfov(np.zeros((4, 8), dtype=bool)) is None
    assert mask_bfov(np.ones((90, 180), dtype=bool)).width == 360
    one = np.zeros((90, 180), dtype=bool)
    one[0, 90] = True
    assert mask_bfov(one) == Bfov(1.0, 89.0, 2.0, 2.0)


@given(field=fields, turn=st.integers(0, 179))
def test_masks_are_measured_alike_wherever_the_seam_is(field, turn):
    yaw, pitch = np.meshgrid(np.arange(-179, 180, 2), np.arange(89, -90, -2))
    mask = (np.abs((yaw - field.yaw + 180) % 360 - 180) <= field.width / 2) & (
        np.abs(pitch - field.pitch) <= field.height / 2
    )
    straight, moved = mask_bfov(mask), mask_bfov(np.roll(mask, turn, axis=1))
    if straight is not None:
        assert (moved.width, moved.height, moved.pitch) == (straight.width, straight.height, straight.pitch)
        assert wrapped(moved.yaw - straight.yaw - 2 * turn) == pytest.approx(0, abs=1e-9) or straight.width > 350
        assert straight.width == pytest.approx(min(field.width, 360), abs=4)


def test_pixels_and_rays_of_panoramas_are_inverse():
    camera, size = Camera.look_at((1, 2, 1.5), (3, 3, 1.5), 360.0), (256, 128)
    pixels = np.random.default_rng(0).uniform((0, 1), (256, 127), (500, 2))
    pixels[:4, 0] = [0.0, 1e-9, 255.999999, 128.0]
    rays = camera.rays(pixels, size)
    assert np.allclose(np.linalg.norm(rays, axis=1), 1)
    world = rays * 3 @ np.asarray(camera.rotation) + camera.position
    back = camera.project(world, size)
    apart = back - pixels
    apart[:, 0] = (apart[:, 0] + 128) % 256 - 128
    assert np.abs(apart).max() < 1e-6
    # The formula of the source, y up, against the axes of cameras, y down.
    turn, lift = 2 * np.pi * (pixels[:, 0] / 256 - 0.5), np.pi * (0.5 - pixels[:, 1] / 128)
    source = np.stack([np.cos(lift) * np.sin(turn), np.sin(lift), np.cos(lift) * np.cos(turn)], axis=1)
    assert np.allclose(rays * [1, -1, 1], source)


def graded(reply, gold, given=None):
    spec = AnswerSpec(Kind.TEXT, grader="bfov_iou", given=given or {})
    return grade(extract(reply, spec), gold, spec)


def test_grader():
    gold = str(Bfov(175, -10, 20, 10))
    assert graded(gold, gold) == 1.0
    assert graded("[-175, -10, 20, 10]", gold) == pytest.approx(1 / 3)
    assert graded("[175, -10, 20, 5]", gold, {"sphere": True}) == pytest.approx(
        raster_iou(Bfov(175, -10, 20, 10), Bfov(175, -10, 20, 5), True, 0.25), abs=0.02
    )
    for wrong in ("[0, 0, 10, 10]", "[175, -10, 20, 0]", "[175, -10, 400, 10]", "left", "", "[175, -10]"):
        assert graded(wrong, gold) == 0.0

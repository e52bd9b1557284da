"""Random scenes hold the stated rules; plans are followed or refused with a reason."""

from itertools import combinations

import numpy as np
import pytest

from sifthinker.scenes import layout
from sifthinker.scenes.layout import COLORS, Plan, sample_scene, too_hidden
from sifthinker.scenes.model import turn
from sifthinker.scenes.render import render
from sifthinker.scenes.shapes import SOLIDS

from .conftest import scene, thing

SIZE = (96, 96)


@pytest.fixture(scope="module")
def scenes():
    rng = np.random.default_rng(2)
    found = [sample_scene(rng, Plan(int(rng.integers(1, 6))), SIZE) for _ in range(150)]
    return [s for s in found if not isinstance(s, str)]


def footprint(thing):
    """Points on the rim of what an object covers of the floor, shape (m, 2)."""
    if thing.shape == "cube":
        side = np.linspace(-0.5, 0.5, 40)
        edge = np.full(40, 0.5)
        rim = np.concatenate([np.stack(p, 1) for p in ((side, edge), (side, -edge), (edge, side), (-edge, side))])
    else:
        angle = np.linspace(0, 2 * np.pi, 160)
        rim = np.stack([np.cos(angle), np.sin(angle)], axis=1) / 2
    return (rim * thing.size[:2]) @ turn(thing.yaw_deg)[:2, :2].T + thing.position[:2]


def test_most_draws_succeed(scenes):
    assert len(scenes) > 120


def test_objects_stand_on_the_floor_without_touching(scenes):
    for made in scenes:
        assert all(o.position[2] == pytest.approx(o.size[2] / 2) for o in made.objects)
        for a, b in combinations(made.objects, 2):
            gaps = np.linalg.norm(footprint(a)[:, None] - footprint(b)[None], axis=2)
            assert gaps.min() >= layout.GAP_M - 1e-3
            assert np.linalg.norm(np.subtract(a.position, b.position)[:2]) > 0.4  # nor one inside of the other


def test_everything_is_inside_of_the_room(scenes):
    for made in scenes:
        room, inside = made.room, turn(made.room.yaw_deg)
        points = [*(p for o in made.objects for p in o.corners()), made.cameras[0].position, made.light.position]
        own = (np.array(points) - (*room.center, 0.0)) @ inside
        assert (np.abs(own[:, :2]) < np.array(room.size[:2]) / 2 - 0.05).all()
        assert own[:, 2].min() > -1e-6
        assert own[:, 2].max() < room.size[2]


def test_objects_are_in_frame_and_not_tiny(scenes):
    for made in scenes[:60]:
        view = render(made, SIZE, smooth=False)
        for box, seen in zip(view.boxes, view.visible, strict=True):
            if box is None or seen < 1:
                continue
            assert min(box) > 0
            assert max(box) < 1
            assert min(box.width, box.height) > 0.06  # smaller than the projected oriented box, which is 0.12
            assert box.area <= layout.MAX_AREA


def test_cameras_and_lenses_vary(scenes):
    fovs = [s.cameras[0].fov_deg for s in scenes]
    heights = [s.cameras[0].position[2] for s in scenes]
    bearings = np.array([np.arctan2(*s.cameras[0].position[:2]) for s in scenes])
    assert max(fovs) - min(fovs) > 20
    assert max(heights) - min(heights) > 1
    assert abs(np.exp(1j * bearings).mean()) < 0.25


def test_depths_of_objects_differ_noticeably(scenes):
    """Relative depths of object boxes use a good part of [0, 1], so that the depth picture means something."""
    nearness = [n for s in scenes[:60] for n in render(s, SIZE, smooth=False).nearness if n is not None]
    low, high = np.quantile(nearness, [0.1, 0.9])
    assert high - low > 0.35


def test_all_shapes_and_colors_occur(scenes):
    things = [o for s in scenes for o in s.objects]
    assert {o.shape for o in things} == set(SOLIDS)
    assert {o.color for o in things} == set(COLORS)


def test_colors_are_far_apart():
    table = np.array(list(COLORS.values()))
    gaps = np.linalg.norm(table[:, None] - table[None], axis=2) + 9 * np.eye(len(table))
    assert len(SOLIDS) >= 5
    assert len(COLORS) >= 6
    assert gaps.min() > 0.4


@pytest.mark.parametrize("count", [1, 2, 3, 5])
@pytest.mark.parametrize("same_shape", [True, False, None])
@pytest.mark.parametrize("same_color", [True, False, None])
def test_plans_are_followed(count, same_shape, same_color):
    rng = np.random.default_rng(0)
    made = next(
        (
            s
            for _ in range(20)
            if not isinstance(s := sample_scene(rng, Plan(count, same_shape, same_color), SIZE), str)
        ),
        None,
    )
    if same_shape and same_color and count > 1:
        assert made is None
        return
    assert made is not None
    assert len({o.label for o in made.objects}) == len(made.objects) == count
    for same, words in ((same_shape, [o.shape for o in made.objects]), (same_color, [o.color for o in made.objects])):
        if same is not None and count > 1:
            assert len(set(words)) == (count - 1 if same else count)


def test_a_plan_that_cannot_be_is_refused_with_a_reason():
    rng = np.random.default_rng(0)
    assert "pairs of shape and color" in sample_scene(rng, Plan(2, same_shape=True, same_color=True), SIZE)
    assert "no room for object" in sample_scene(rng, Plan(14), SIZE)


def test_hidden_objects_are_named():
    hidden = render(scene(thing(), thing("cube", "blue", (0.4, -1.5))), SIZE)
    assert 0 < hidden.visible[0] < layout.MIN_VISIBLE
    assert too_hidden(hidden).startswith("the red cube is visible by")
    assert too_hidden(render(scene(thing()), SIZE)) is None

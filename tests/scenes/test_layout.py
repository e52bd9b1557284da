"""Random scenes hold the stated rules; plans are followed or refused with a reason."""

from itertools import combinations

import numpy as np
import pytest

from sifthinker.errors import InputError
from sifthinker.scenes import layout
from sifthinker.scenes.layout import (
    COLORS,
    DIFFICULTIES,
    STAGES,
    Plan,
    clearance,
    distance_to,
    sample_scene,
    too_hidden,
)
from sifthinker.scenes.model import standing_on, turn
from sifthinker.scenes.render import render
from sifthinker.scenes.shapes import POOLS, SHAPES, SOLIDS

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


# --- furniture and vehicles --------------------------------------------------------------------------------------


def draws(count, seed=4, size=(128, 128), objects=(2, 6), **plan):
    """Scenes of a plan, and the share of draws that gave one."""
    rng = np.random.default_rng(seed)
    made = [sample_scene(rng, Plan(int(rng.integers(*objects)), **plan), size) for _ in range(count)]
    found = [s for s in made if not isinstance(s, str)]
    return found, len(found) / count


@pytest.fixture(scope="module", params=["furniture", "vehicles"])
def pool(request):
    found, share = draws(100, pool=request.param)
    assert share > 0.6
    return request.param, found


def inside(thing, points):
    """Which points are inside of the oriented box."""
    return (np.abs((points - thing.position) @ thing.rotation) < np.array(thing.size) / 2).all(axis=1)


def test_things_stand_apart_on_the_floor(pool):
    name, found = pool
    rng = np.random.default_rng(0)
    for made in found:
        for a, b in combinations(made.objects, 2):
            points = (rng.uniform(-0.5, 0.5, (300, 3)) * a.size) @ a.rotation.T + a.position
            assert not inside(b, points).any()
            assert clearance(a, b) >= STAGES[name].gap
        for one in made.objects:
            assert one.position[2] == one.size[2] / 2
            assert distance_to(one, made.cameras[0].position) >= STAGES[name].camera_gap


def test_things_have_their_sizes_colors_and_fronts(pool):
    name, found = pool
    things = [o for s in found for o in s.objects]
    for one in things:
        shape = SHAPES[one.shape]
        assert all(low - 1e-4 <= side <= high + 1e-4 for side, (low, high) in zip(one.size, shape.size, strict=True))
        assert one.color in shape.colors
        assert one.has_front == shape.front
    assert {o.shape for o in things} == {n for n, s in POOLS[name].items() if not s.small}
    turns = np.radians([o.yaw_deg for o in things if o.has_front])
    assert abs(np.exp(1j * turns).mean()) < 0.2
    assert all(len({o.label for o in s.objects}) == len(s.objects) for s in found)


def test_everything_is_between_the_walls(pool):
    _, found = pool
    for made in found:
        points = [*(p for o in made.objects for p in o.corners()), made.cameras[0].position, made.light.position]
        own = (np.array(points) - (*made.room.center, 0.0)) @ turn(made.room.yaw_deg)
        assert (np.abs(own[:, :2]) < np.array(made.room.size[:2]) / 2).all()
        assert own[:, 2].max() < made.room.size[2]


def test_clearance_is_never_more_than_the_distance_and_says_when_they_touch():
    rng = np.random.default_rng(1)
    apart = 0
    for _ in range(300):
        a, b = (
            thing(at=tuple(rng.uniform(-1.5, 1.5, 2)), size=(*rng.uniform(0.3, 2, 2), 1.0), yaw=rng.uniform(0, 360))
            for _ in range(2)
        )
        rim = [footprint(t) for t in (a, b)]
        nearest = np.linalg.norm(rim[0][:, None] - rim[1][None], axis=2).min()
        flat = [np.concatenate([r, np.full((len(r), 1), 0.5)], axis=1) for r in rim]
        overlap = inside(a, flat[1]).any() or inside(b, flat[0]).any() or nearest < 0.01
        if clearance(a, b) > 0.05:
            assert not overlap
            assert clearance(a, b) <= nearest + 1e-9
            apart += 1
        elif clearance(a, b) < -0.1:
            assert overlap
    assert 50 < apart < 290


def test_plans_with_fronts_have_two():
    for name in ("furniture", "vehicles"):
        found, _ = draws(40, pool=name, fronts=True)
        assert all(sum(o.has_front for o in s.objects) >= 2 for s in found)
    rng = np.random.default_rng(0)
    assert sample_scene(rng, Plan(2, fronts=True), SIZE) == "none of the solids has a front"
    alone = next(
        s for _ in range(9) if not isinstance(s := sample_scene(rng, Plan(1, pool="vehicles", fronts=True), SIZE), str)
    )
    assert alone.objects[0].has_front


def test_small_things_stand_on_others():
    found, share = draws(60, pool="furniture", on_top=True, size=(160, 160))
    assert share > 0.5
    for made in found:
        small = [o for o in made.objects if SHAPES[o.shape].small]
        assert small
        for one in small:
            below = standing_on(one, made.objects)
            assert below is not None
            assert SHAPES[below.shape].holds
            feet = one.corners()
            feet = feet[feet[:, 2] < one.position[2]]
            assert feet[:, 2] == pytest.approx(np.full(4, below.size[2]))
            own = np.abs((feet - below.position) @ below.rotation)[:, :2]
            assert (own < np.array(below.size[:2]) / 2).all()
            if below.has_front:
                assert one.yaw_deg == one.yaw_deg % 360
                assert abs((one.yaw_deg - below.yaw_deg + 180) % 360 - 180) < 25.1
        for a, b in combinations(small, 2):
            assert standing_on(a, made.objects) is not standing_on(b, made.objects) or clearance(a, b) >= 0.08
    rng = np.random.default_rng(0)
    assert "stand on each other" in sample_scene(rng, Plan(3, on_top=True), SIZE)
    assert "stand on each other" in sample_scene(rng, Plan(1, pool="furniture", on_top=True), SIZE)


def test_materials_are_drawn_evenly():
    found, _ = draws(80, materials=("matte", "metal", "wood"))
    made_of = [o.material for s in found for o in s.objects]
    assert min(made_of.count(m) for m in ("matte", "metal", "wood")) > 0.25 * len(made_of)
    plain, _ = draws(5)
    assert {o.material for s in plain for o in s.objects} == {"matte"}


def test_harder_scenes_hide_and_shrink_more():
    shares, areas = {}, {}
    for name in DIFFICULTIES:
        found, _ = draws(60, difficulty=name, objects=(4, 5), size=SIZE)
        views = [render(s, SIZE, smooth=False) for s in found]
        fit = [v for v in views if too_hidden(v, DIFFICULTIES[name].visible) is None]
        shares[name] = np.mean([min(v.visible) for v in fit])
        areas[name] = np.quantile([b.area for v in fit for b in v.boxes], 0.1)
        assert min(min(v.visible) for v in fit) >= DIFFICULTIES[name].visible
    assert shares["easy"] > shares["normal"] > shares["hard"]
    assert areas["easy"] > areas["normal"] > areas["hard"]


def test_unknown_pools_and_difficulties_are_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(InputError, match="unknown pool 'furnitures': did you mean 'furniture'"):
        sample_scene(rng, Plan(2, pool="furnitures"), SIZE)
    with pytest.raises(InputError, match="unknown difficulty"):
        sample_scene(rng, Plan(2, difficulty="odd"), SIZE)


def test_plans_may_name_every_object():
    kinds = (("cube", "red"), ("cube", "red"), ("ring", "blue"))
    rng = np.random.default_rng(0)
    found = [sample_scene(rng, Plan(3, kinds=kinds), SIZE) for _ in range(9)]
    made = [sorted((o.shape, o.color) for o in s.objects) for s in found if not isinstance(s, str)]
    assert made
    assert all(kind == sorted(kinds) for kind in made)

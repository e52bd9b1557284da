"""Shapes fill the unit cube, are their own mirror images, and have a front exactly where they say so."""

import numpy as np
import pytest

from sifthinker.scenes.layout import PAINTS
from sifthinker.scenes.shapes import POOLS, SHAPES, SOLIDS, unit_mesh
from sifthinker.scenes.stages import STAGES


def seen(mesh, flip):
    """What parallel rays hit of a mesh from three sides, flipped: depth and tone on a grid."""
    grid = (np.stack(np.meshgrid(np.arange(40), np.arange(40)), axis=-1).reshape(-1, 2) + 0.37) / 40 - 0.5
    hits = []
    for axis, side in ((0, 1), (1, 1), (1, -1), (0, -1), (2, 1)):
        start, along = np.zeros((len(grid), 3)), np.zeros((len(grid), 3))
        start[:, [i for i in range(3) if i != axis]] = grid
        start[:, axis], along[:, axis] = 2.0 * side, -side
        hit = mesh.cast(start * flip, along * flip)
        tones = np.zeros((len(grid), 4)) if hit.tones is None else hit.tones
        hits.append(np.concatenate([np.nan_to_num(hit.t, posinf=9.0)[:, None], tones], axis=1))
    return np.concatenate(hits)


def differ(mesh, flip):
    """Share of the rays that hit something else on the mirror image."""
    return (np.abs(seen(mesh, (1, 1, 1)) - seen(mesh, flip)).max(axis=1) > 1e-3).mean()


@pytest.mark.parametrize("shape", SHAPES)
def test_meshes_fill_the_unit_cube(shape):
    vertices = unit_mesh(shape).vertices
    assert vertices.min(axis=0) == pytest.approx([-0.5] * 3)
    assert vertices.max(axis=0) == pytest.approx([0.5] * 3)


@pytest.mark.parametrize("shape", SHAPES)
def test_left_is_the_mirror_image_of_right(shape):
    assert differ(unit_mesh(shape), (1, -1, 1)) < 0.004


@pytest.mark.parametrize("shape", [s for s in SHAPES if s not in SOLIDS])
def test_exactly_things_with_a_front_look_different_from_behind(shape):
    share = differ(unit_mesh(shape), (-1, 1, 1))
    assert share > 0.05 if SHAPES[shape].front else share < 0.004


def test_pools_are_apart_and_each_has_a_stage():
    assert sum(len(pool) for pool in POOLS.values()) == len(SHAPES)
    assert set(POOLS) == set(STAGES)
    for pool in ("furniture", "vehicles"):
        fronts = [shape.front for shape in POOLS[pool].values()]
        assert 2 <= sum(fronts) < len(fronts)


@pytest.mark.parametrize(("name", "shape"), [(n, s) for n, s in SHAPES.items() if n not in SOLIDS])
def test_sizes_and_colors_are_those_of_real_things(name, shape):
    assert shape.size is not None
    assert all(0.1 < low < high < 10 for low, high in shape.size)
    assert set(shape.colors) <= set(PAINTS)
    assert len(shape.colors) >= 2
    if name in ("car", "truck", "bus", "bed", "motorcycle"):
        assert shape.size[0][0] > shape.size[1][1], "longer than wide, along their front"
    if name in ("sofa", "desk", "bookcase", "person", "television"):
        assert shape.size[0][1] < shape.size[1][0], "wider than deep"


def test_something_holds_small_things():
    assert any(s.holds for s in POOLS["furniture"].values())
    assert not any(s.holds and s.small for s in SHAPES.values())
    assert max(max(s.size[0][1], s.size[1][1]) for s in SHAPES.values() if s.small and s.size) < min(
        s.size[1][0] for s in SHAPES.values() if s.holds and s.size
    )

"""Photos by path tracing show what the renderer shows: the same surfaces in the same pixels, lit from the same lamp."""

import sys
from dataclasses import replace

import numpy as np
import pytest

from sifthinker.errors import InputError
from sifthinker.scenes.layout import Plan, sample_scene
from sifthinker.scenes.model import FULL_TURN
from sifthinker.scenes.photoreal import photo_layers, render_photo
from sifthinker.scenes.render import render

from .conftest import scene, thing

SIZE = (64, 48)


@pytest.fixture
def mitsuba():
    return pytest.importorskip("mitsuba", reason="photos need the extra photoreal")


def drawn(pool):
    rng = np.random.default_rng(7)
    plan = Plan(3, pool=pool, materials=("matte", "glossy", "metal", "wood"))
    return next(s for _ in range(30) if not isinstance(s := sample_scene(rng, plan, SIZE), str))


@pytest.mark.usefixtures("mitsuba")
@pytest.mark.parametrize("pool", ["solids", "furniture", "vehicles"])
def test_depth_and_masks_are_those_of_the_renderer(pool):
    made = drawn(pool)
    view = render(made, SIZE)
    distance, owner = photo_layers(made, SIZE)
    whole = np.isfinite(owner)
    assert whole.mean() > 0.85
    assert (owner[whole] != view.instances[whole]).mean() < 0.01
    rays = view.camera.rays((np.indices(SIZE[::-1])[::-1].reshape(2, -1).T + 0.5), SIZE)
    exact = view.depth.values * np.linalg.norm(rays, axis=1).reshape(SIZE[::-1])
    same = whole & (owner == view.instances)
    off = np.abs(distance - exact)[same] / exact[same]
    assert np.median(off) < 1e-3
    assert np.quantile(off, 0.98) < 0.01


@pytest.mark.usefixtures("mitsuba")
def test_photos_look_like_the_rendered_view_and_repeat():
    made = drawn("furniture")
    photo, plain = render_photo(made, SIZE, samples=4), render(made, SIZE)
    assert photo.shape == plain.image.shape
    assert photo.dtype == np.uint8
    assert np.corrcoef(photo.ravel(), plain.image.ravel())[0, 1] > 0.8
    assert 0.6 < photo.mean() / plain.image.mean() < 1.5
    assert np.array_equal(photo, render_photo(made, SIZE, samples=4))


@pytest.mark.usefixtures("mitsuba")
def test_shadows_fall_away_from_the_lamp():
    made = scene(thing(), lamp=(4.0, 0.0, 4.0), eye=(0.0, -6.0, 3.0))
    photo = render_photo(made, SIZE, samples=8).astype(float)
    (sx, sy), (lx, ly) = made.cameras[0].project([(-1.0, 0.0, 0.0), (1.2, 0.0, 0.0)], SIZE).astype(int)
    assert photo[sy, sx].mean() < 0.8 * photo[ly, lx].mean()


@pytest.mark.usefixtures("mitsuba")
def test_panoramas_have_no_seam():
    made = scene(thing("cone", at=(0.7, 3.0)), thing("cube", "blue", (-2.0, 0.2)), eye=(0, 0, 1.5), target=(0, 1, 1.5))
    (camera,) = made.cameras
    right, down, forward = camera.rotation
    around = replace(camera, fov_deg=FULL_TURN)
    turned = replace(around, rotation=(tuple(-v for v in right), down, tuple(-v for v in forward)))
    made = replace(made, cameras=(around, turned))
    ahead, behind = (render_photo(made, (64, 32), number, samples=4).astype(float) for number in (0, 1))
    assert np.abs(np.roll(ahead, 32, axis=1) - behind).mean() < 12
    seam = np.abs(ahead[:, 0] - ahead[:, -1]).mean()
    assert seam < 3 * np.abs(np.diff(ahead, axis=1)).mean() + 3
    # Above the horizon, the ceiling glows in photos only.
    plain = render(made, (64, 32)).image
    assert np.corrcoef(ahead[17:].ravel(), plain[17:].ravel())[0, 1] > 0.7


@pytest.mark.usefixtures("mitsuba")
def test_lenses_with_unequal_focal_lengths_are_refused():
    made = scene(thing())
    made = replace(made, cameras=(replace(made.cameras[0], aspect=1.1),))
    with pytest.raises(InputError, match=r"aspect 1\.1"):
        render_photo(made, SIZE)


def test_missing_mitsuba_is_named_with_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "mitsuba", None)
    with pytest.raises(InputError, match=r"photos need mitsuba .*pip install 'sifthinker\[photoreal\]'"):
        render_photo(scene(thing()), SIZE)

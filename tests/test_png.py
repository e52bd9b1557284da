import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from PIL import Image

from sifthinker.png import png_bytes

SHAPES = st.tuples(st.integers(1, 12), st.integers(1, 12))


@given(SHAPES.flatmap(lambda shape: npst.arrays(np.uint16, shape)))
def test_maps_come_back(pixels):
    image = Image.open(io.BytesIO(png_bytes(pixels)))
    assert image.mode == "I;16"
    assert (np.asarray(image) == pixels).all()


@given(SHAPES.flatmap(lambda shape: st.sampled_from([shape, (*shape, 3)]).flatmap(lambda s: npst.arrays(np.uint8, s))))
def test_pictures_come_back(pixels):
    image = Image.open(io.BytesIO(png_bytes(pixels)))
    assert image.mode == ("RGB" if pixels.ndim == 3 else "L")
    assert (np.asarray(image) == pixels).all()


@given(SHAPES.flatmap(lambda shape: npst.arrays(np.uint8, shape)), npst.arrays(np.uint8, (256, 3)))
def test_colors_of_a_palette_come_back(pixels, palette):
    image = Image.open(io.BytesIO(png_bytes(pixels, palette)))
    assert image.mode == "P"
    assert (np.asarray(image.convert("RGB")) == palette[pixels]).all()


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_smooth_pixels_take_little_room(kind):
    ramp = np.tile(np.arange(640), (480, 1)).astype(kind)
    assert len(png_bytes(ramp)) < ramp.nbytes / 40

"""Depth maps: means, relative depth, real encodings, storage, and what is refused."""

from __future__ import annotations

import io
import json
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from PIL import Image

import sifthinker.depth
from sifthinker.depth import (
    CLIP,
    LEVELS,
    DepthMap,
    StoredDepth,
    decode_depth,
    encode_depth,
    read_depth,
    read_stored,
    write_depth,
)
from sifthinker.errors import InputError
from sifthinker.geometry import WHOLE, Box
from sifthinker.png import png_bytes

shapes = st.tuples(st.integers(1, 20), st.integers(1, 20))
relative_values = shapes.flatmap(lambda s: npst.arrays(np.float32, s, elements=st.floats(0, 1, width=32)))


@st.composite
def maps(draw, metric: bool | None = None):
    values = draw(relative_values)
    valid = draw(npst.arrays(np.bool_, values.shape))
    metric = draw(st.booleans()) if metric is None else metric
    return DepthMap(values * 80 if metric else values, valid, metric)


@st.composite
def some_box(draw):
    x0, y0 = draw(st.integers(0, 999)), draw(st.integers(0, 999))
    return Box(x0 / 1000, y0 / 1000, draw(st.integers(x0 + 1, 1000)) / 1000, draw(st.integers(y0 + 1, 1000)) / 1000)


@given(maps(), some_box())
def test_box_mean_is_the_direct_mean(depth, box):
    left, top, right, bottom = box.pixel_bounds(depth.size)
    values = depth.values[top:bottom, left:right].astype(np.float64)[depth.valid[top:bottom, left:right]]
    mean = depth.box_mean(box)
    if values.size == 0:
        assert mean is None
    else:
        assert mean == pytest.approx(values.mean(), abs=1e-6)


def test_box_mean_takes_every_pixel_that_is_touched():
    depth = DepthMap(np.arange(4, dtype=np.float32).reshape(1, 4) / 4)
    assert depth.box_mean(Box(0.24, 0, 0.26, 1)) == pytest.approx(0.125)
    assert depth.box_mean(Box(0.25, 0, 0.5, 1)) == pytest.approx(0.25)
    assert depth.box_mean(WHOLE) == pytest.approx(0.375)


@given(maps())
def test_relative_depth_keeps_the_order_and_fills_the_range(depth):
    relative = depth.relative()
    assert relative.relative() is relative
    assert (relative.valid == depth.valid).all()
    found, values = relative.values[depth.valid], depth.values[depth.valid]
    assert ((found >= 0) & (found <= 1)).all()
    order = np.argsort(values, kind="stable")
    assert (np.diff(found[order]) >= -1e-6).all()


def test_relative_depth_is_linear_in_metres_and_clips_outliers():
    metres = np.tile(np.linspace(2.0, 10.0, 1001, dtype=np.float32), (2, 1))
    relative = DepthMap(metres, metric=True).relative().values
    assert relative[0, 500] == pytest.approx(0.5, abs=1e-3)
    assert relative[0, 250] == pytest.approx((0.25 - CLIP) / (1 - 2 * CLIP), abs=2e-3)
    metres[0, 0] = 500.0  # a single wild pixel
    assert DepthMap(metres, metric=True).relative().values[1, 500] == pytest.approx(0.5, abs=1e-2)


def test_relative_depth_of_a_flat_or_empty_map():
    assert DepthMap(np.full((2, 2), 3.0), metric=True).relative().values.max() == 0.0
    empty = DepthMap(np.zeros((2, 2)), np.zeros((2, 2), dtype=bool), metric=True)
    assert empty.relative().box_mean(WHOLE) is None


def test_disparity_is_turned_over_linearly():
    depth = DepthMap.from_disparity(np.tile(np.linspace(0, 5, 101), (101, 1)))
    assert depth.values[0, 0] == 1.0
    assert depth.values[0, 100] == 0.0
    assert depth.values[0, 50] == pytest.approx(0.5, abs=1e-3)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((np.zeros((2, 2, 3)),), "depth needs shape (height, width)"),
        ((np.zeros((2, 2)), np.zeros((2, 3), dtype=bool)), "a mask of that shape"),
        ((np.full((2, 2), np.nan), np.ones((2, 2), dtype=bool)), "valid pixels that are not finite"),
        ((np.full((2, 2), 3.0),), "relative depth lies in [0, 1], got [3.0, 3.0]; is it metric?"),
    ],
)
def test_bad_maps(args, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        DepthMap(*args)


def test_resized_picks_pixels():
    depth = DepthMap(np.array([[0.0, 1.0]]), np.array([[True, False]]))
    big = depth.resized((4, 2))
    assert big.values.tolist() == [[0, 0, 0, 0]] * 2
    assert big.valid.tolist() == [[True, True, False, False]] * 2
    assert depth.resized((2, 1)) is depth


# --- storage ---


@given(maps())
def test_stored_maps_come_back(depth):
    png, meta = encode_depth(depth)
    back = decode_depth(png, json.loads(json.dumps(meta)))
    assert back.metric == depth.metric
    assert (back.valid == depth.valid).all()
    assert np.abs(back.values - depth.values).max(initial=0) <= meta["scale"] / 2 + 1e-5
    assert Image.open(io.BytesIO(png)).mode == "I;16"


def test_a_step_of_the_stored_levels_is_far_below_a_trace_decimal():
    assert encode_depth(DepthMap(np.array([[0.0, 1.0]])))[1]["scale"] == pytest.approx(1 / (LEVELS - 1))


def test_the_sidecar_is_read(tmp_path):
    depth = DepthMap(np.array([[2.0, 3.5], [0.0, 9.0]]), np.array([[True, True], [False, True]]), metric=True)
    write_depth(depth, tmp_path / "d.png")
    back = read_depth(tmp_path / "d.png")
    assert back.metric
    assert back.values == pytest.approx(depth.values, abs=1e-4)
    (tmp_path / "d.png.json").write_text('{"scale": 1}')
    with pytest.raises(InputError, match=r"d\.png\.json: not the sidecar of a depth map"):
        read_depth(tmp_path / "d.png")


@pytest.mark.parametrize("read", [read_depth, read_stored])
def test_an_encoding_must_not_contradict_the_sidecar(tmp_path, read):
    path = tmp_path / "d.png"
    Image.fromarray(np.array([[0, 1000, 2000]], np.uint16)).save(path)
    sidecar = {"kind": "metric", "scale": 1 / 5000, "offset": 0, "polarity": "far_is_large", "invalid": 0}
    (tmp_path / "d.png.json").write_text(json.dumps(sidecar))
    named, told = ((m if isinstance(m, StoredDepth) else m.stored) for m in (read(path, "tum"), read(path)))
    assert (named.png, json.dumps(named.meta)) == (told.png, json.dumps(told.meta)), "equal, to the last digit"
    for encoding in ("mm", "sun", "relative", "disparity"):
        with pytest.raises(
            InputError, match=rf"d\.png: (read as {encoding}, it is another map|relative depth lies in)"
        ):
            read(path, encoding)
    (tmp_path / "d.png.json").write_text('{"tags": ["office"]}')
    assert read(path, "mm").size == (3, 1)


def test_the_polarity_of_a_sidecar_is_obeyed(tmp_path):
    depth = DepthMap(np.array([[0.25, 0.75]]))
    write_depth(depth, tmp_path / "d.png")
    sidecar = tmp_path / "d.png.json"
    sidecar.write_text(json.dumps(json.loads(sidecar.read_text()) | {"polarity": "near_is_large"}))
    turned = read_depth(tmp_path / "d.png").values
    assert turned[0, 0] > turned[0, 1]


# --- maps of levels: what is done to their 65,536 depths is what would be done to their pixels ---

numbers = shapes.flatmap(lambda s: npst.arrays(np.uint16, s, elements=st.sampled_from([0, 1, 2, 500, 40000, 65535])))
any_numbers = shapes.flatmap(lambda s: npst.arrays(np.uint16, s))


@given(st.one_of(numbers, any_numbers), st.booleans(), some_box())
def test_maps_of_levels_are_those_of_their_pixels(raw, metric, box):
    kind, scale = ("metric", 0.001) if metric else ("relative", 1 / 65534)
    meta = {
        "kind": kind,
        "scale": scale,
        "offset": 0.25 if metric else -scale,
        "polarity": "far_is_large",
        "invalid": 0,
    }
    levels = decode_depth(png_bytes(raw), meta)
    values = meta["offset"] + raw.astype(np.float64) * scale
    pixels = DepthMap(values if metric else values.clip(0, 1), raw > 0, metric)
    assert levels.size == pixels.size
    assert (levels.valid == pixels.valid).all()
    assert levels.values.dtype == pixels.values.dtype
    assert (levels.values == pixels.values).all()
    assert (levels.relative().values == pixels.relative().values).all()
    assert levels.relative().box_mean(box) == pixels.relative().box_mean(box)
    assert levels.box_mean(box) == pixels.box_mean(box)


@given(maps(), some_box())
def test_a_stored_map_is_what_its_file_holds(depth, box):
    stored = depth.stored
    assert depth.stored is stored
    opened, again = stored.open(), decode_depth(stored.png, json.loads(json.dumps(stored.meta)))
    assert (opened.values == again.values).all()
    assert (opened.valid == again.valid).all()
    assert opened.relative().box_mean(box) == again.relative().box_mean(box)
    assert opened.stored is stored, "a map that was stored is stored as it was"


def test_only_the_last_maps_are_kept_open(monkeypatch):
    monkeypatch.setattr("sifthinker.depth.stored.KEPT_PIXELS", 3 * 16)
    stored = [DepthMap(np.full((4, 4), i / 9)).stored for i in range(9)]
    last = stored[-1].open()
    assert stored[-1].open() is last
    first = stored[0].open()
    assert stored[0].open() is first
    assert len(sifthinker.depth.stored._opened) <= 3
    large = DepthMap(np.zeros((99, 99))).stored.open()
    assert large.stored.open() is large, "at least one is kept"


def test_files_that_are_stored_maps_already_are_kept_as_they_are(tmp_path):
    raw = np.random.default_rng(0).integers(0, 9000, (30, 40)).astype(np.uint16)
    path = tmp_path / "d.png"
    for encoding, scale in (("mm", 0.001), ("tum", 1 / 5000), ("kitti", 1 / 256)):
        Image.fromarray(raw).save(path)
        depth = read_depth(path, encoding)
        assert depth.stored.png == path.read_bytes()
        assert (depth.stored.meta["scale"], depth.stored.meta["offset"]) == (scale, 0.0)
        assert (decode_depth(*encode_depth(depth)).values == depth.values).all()
    write_depth(DepthMap(raw / 9000), path)
    assert read_depth(path).stored.png == path.read_bytes()
    # Others are written anew.
    (bare := tmp_path / "bare.png").write_bytes(path.read_bytes())
    assert read_depth(bare, "sun").stored.png != bare.read_bytes()
    sidecar = tmp_path / "d.png.json"
    told = json.loads(sidecar.read_text())
    some = int(np.asarray(Image.open(path))[0, 0])
    for change in ({"polarity": "near_is_large"}, {"invalid": some}):
        sidecar.write_text(json.dumps(told | change))
        depth = read_depth(path)
        assert depth.stored.png != path.read_bytes()
        assert (depth.stored.meta["polarity"], depth.stored.meta["invalid"]) == ("far_is_large", 0)
        assert (decode_depth(*encode_depth(depth)).valid == depth.valid).all()
    save(raw, tmp_path / "d.tiff")
    assert Image.open(io.BytesIO(read_depth(tmp_path / "d.tiff", "mm").stored.png)).format == "PNG"


def test_stored_maps_are_read_as_any_map(tmp_path):
    raw = np.random.default_rng(0).integers(0, 9000, (30, 40)).astype(np.uint16)
    path = save(raw, tmp_path / "d.png")
    for encoding in ("mm", "tum", "kitti", "sun"):
        stored = read_stored(path, encoding)
        assert stored.size == (40, 30)
        assert (stored.open().values == read_depth(path, encoding).stored.open().values).all()
    write_depth(DepthMap(raw / 9000), path)
    assert (read_stored(path).png, dict(read_stored(path).meta)) == encode_depth(read_depth(path))
    for content, encoding in ((b"", "mm"), (b"nothing", None), (path.read_bytes()[:40], "mm")):
        path.write_bytes(content)
        with pytest.raises(InputError) as plain:
            read_depth(path, encoding)
        with pytest.raises(InputError) as caught:
            read_stored(path, encoding).open()
        assert "cannot be read as depth" in str(plain.value)
        assert f"{path}: cannot be read as depth" in str(caught.value)
    (tmp_path / "d.png.json").write_text("{")
    save(raw, path)
    with pytest.raises(InputError, match="not the sidecar of a depth map"):
        read_stored(path)


# --- encodings ---

RAW = np.array([[0, 1000], [2000, 65535]], dtype=np.uint16)


def save(array, path):
    Image.fromarray(array).save(path)
    return path


@pytest.mark.parametrize(
    ("encoding", "metres"),
    [("mm", [1.0, 2.0, 65.535]), ("tum", [0.2, 0.4, 13.107]), ("kitti", [3.90625, 7.8125, 255.99609375])],
)
def test_scaled_encodings(tmp_path, encoding, metres):
    depth = read_depth(save(RAW, tmp_path / "d.png"), encoding)
    assert depth.metric
    assert depth.valid.tolist() == [[False, True], [True, True]]
    assert depth.values[depth.valid] == pytest.approx(metres)


def test_sun_rotates_bits(tmp_path):
    millimetres = np.array([[1, 1500, 7000]], dtype=np.uint16)
    rotated = (millimetres << 3) | (millimetres >> 13)
    depth = read_depth(save(rotated, tmp_path / "d.png"), "sun")
    assert depth.values[0] == pytest.approx([0.001, 1.5, 7.0])


def test_relative_and_disparity_of_npy(tmp_path):
    np.save(tmp_path / "d.npy", np.array([[0.0, 1.0, np.nan]], dtype=np.float32))
    relative = read_depth(tmp_path / "d.npy", "relative")
    assert relative.values.tolist() == [[0.0, 1.0, 0.0]]
    assert relative.valid.tolist() == [[True, True, False]]
    np.save(tmp_path / "e.npy", np.array([[0.5, 2.0, 0.0]], dtype=np.float32))
    disparity = read_depth(tmp_path / "e.npy", "disparity")
    assert disparity.valid.tolist() == [[True, True, False]]
    assert disparity.values[0, 0] > disparity.values[0, 1]
    with pytest.raises(InputError, match=r"e\.npy: a depth file does not say .* for example --depth-encoding metres"):
        read_depth(tmp_path / "e.npy")
    metres = read_depth(tmp_path / "e.npy", "metres")
    assert metres.metric
    assert metres.values.tolist() == [[0.5, 2.0, 0.0]]


def test_pgm_tiff_and_big_endian(tmp_path):
    body = b"P5\n2 2\n65535\n" + RAW.astype(">u2").tobytes()
    (tmp_path / "d.pgm").write_bytes(body)
    save(RAW, tmp_path / "d.tiff")
    expected = read_depth(save(RAW, tmp_path / "d.png"), "mm").values.tolist()
    assert read_depth(tmp_path / "d.pgm", "mm").values.tolist() == expected
    assert read_depth(tmp_path / "d.tiff", "mm").values.tolist() == expected


@pytest.mark.parametrize("channel", ["Z", "Y", "RGB"])
def test_exr(tmp_path, channel):
    openexr = pytest.importorskip("OpenEXR")
    values = np.array([[1.5, 2.5], [0.0, np.inf]], dtype=np.float32)
    pixels = np.repeat(values[..., None], 3, axis=2) if channel == "RGB" else values
    header = {"compression": openexr.ZIP_COMPRESSION, "type": openexr.scanlineimage}
    with openexr.File(header, {channel: pixels}) as file:
        file.write(str(tmp_path / "d.exr"))
    depth = read_depth(tmp_path / "d.exr", "metres")
    assert depth.metric
    assert depth.values.tolist() == [[1.5, 2.5], [0.0, 0.0]]
    assert depth.valid.tolist() == [[True, True], [False, False]]


@pytest.mark.parametrize(
    ("name", "content", "encoding", "message"),
    [
        ("no.png", None, "mm", "no.png: no such depth file"),
        ("d.png", b"not a picture", "mm", "d.png: cannot be read as depth"),
        ("d.npy", b"not an array", "mm", "d.npy: cannot be read as depth"),
        ("d.png", RAW, None, "does not say what its numbers mean; name the encoding (mm, tum, kitti, sun"),
        ("d.png", RAW, "milimeter", "unknown depth encoding 'milimeter'"),
        ("d.png", RAW.astype(np.uint8), "mm", "d.png: a L picture with 8 bits is a photo or a colored depth map"),
        ("d.png", np.zeros((2, 2, 3), np.uint8), "mm", "d.png: a RGB picture with 8 bits"),
        ("d.png", RAW, "relative", "d.png: relative depth lies in [0, 1], got [0.0, 65535.0]; is it metric?"),
    ],
)
def test_errors_are_one_clear_line(tmp_path, name, content, encoding, message):
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        save(content, path)
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        read_depth(path, encoding)
    assert "\n" not in str(caught.value)


def test_arrays_of_other_shapes_and_pickles_are_refused(tmp_path):
    np.save(tmp_path / "d.npy", np.zeros((2, 2, 3)))
    with pytest.raises(InputError, match="depth needs one number a pixel, got shape"):
        read_depth(tmp_path / "d.npy", "metres")
    np.save(tmp_path / "p.npy", np.array([{}, {}]), allow_pickle=True)
    with pytest.raises(InputError, match=r"p\.npy: cannot be read as depth"):
        read_depth(tmp_path / "p.npy", "metres")


def test_a_truncated_png_is_refused(tmp_path):
    path = save(np.random.default_rng(0).integers(0, 65535, (64, 64)).astype(np.uint16), tmp_path / "d.png")
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(InputError, match=r"d\.png: cannot be read as depth"):
        read_depth(path, "mm")


# --- real files: (pattern, encoding, size, range of the median in metres, least share of valid pixels) ---

REAL = [
    ("open3d_livingroom/depth/*", "mm", (640, 480), (1.0, 4.0), 0.5),
    ("open3d_other/SUN_depth.png", "sun", None, (0.5, 8.0), 0.5),
    ("open3d_other/TUM_depth.png", "tum", (640, 480), (0.5, 5.0), 0.3),
    ("nyu/depth_*.png", "mm", (640, 480), (1.0, 6.0), 0.5),
    ("kitti_depth/depth_*.png", "kitti", None, (5.0, 40.0), 0.03),
    ("slambook_office/depth/*", "mm", (640, 480), (0.5, 5.0), 0.3),
]


@pytest.mark.parametrize(("pattern", "encoding", "size", "median", "share"), REAL)
def test_real_files(shared_data, pattern, encoding, size, median, share):
    paths = sorted((shared_data / "rgbd").glob(pattern))
    assert paths
    for path in paths:
        depth = read_depth(path, encoding)
        assert depth.metric
        assert size is None or depth.size == size
        assert depth.valid.mean() > share
        low, high = median
        assert low < float(np.median(depth.values[depth.valid])) < high
        relative = depth.relative()
        assert 0.0 < relative.box_mean(WHOLE) < 1.0
        png, meta = encode_depth(depth)
        assert np.abs(decode_depth(png, meta).values - depth.values).max() < 0.005
        with pytest.raises(InputError, match="name the encoding"):
            read_depth(path)


def test_damaged_depth_files_are_bad_input(tmp_path):
    (tmp_path / "empty.npy").write_bytes(b"")
    (tmp_path / "torn.exr").write_bytes(b"v/1\x01 and nothing more")
    for name in ("empty.npy", "torn.exr"):
        with pytest.raises(InputError, match="cannot be read as depth"):
            read_depth(tmp_path / name)


@pytest.mark.parametrize("change", [{"polarity": "far"}, {"kind": "foo"}, {"scale": "1"}, [1]])
def test_sidecars_that_say_something_else_are_refused(tmp_path, change):
    path = tmp_path / "d.png"
    write_depth(DepthMap(np.linspace(0, 1, 12).reshape(3, 4)), path)
    sidecar = path.with_name("d.png.json")
    told = json.loads(sidecar.read_text())
    sidecar.write_text(json.dumps({**told, **change} if isinstance(change, dict) else change))
    with pytest.raises(InputError, match="not the sidecar of a depth map"):
        read_depth(path)

"""Photos with true depth: layouts give the right encoding, and every answer follows from the depth map."""

import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sifthinker.datagen.build import build
from sifthinker.datagen.outcome import Reject
from sifthinker.datagen.sources import open_source
from sifthinker.datagen.sources.options import Options
from sifthinker.datagen.sources.rgbd import MARGIN, draw_marks
from sifthinker.datagen.sources.rgbd_layouts import Pair, find_pairs
from sifthinker.depth import StoredDepth, project_points
from sifthinker.depth.stored import meaning
from sifthinker.errors import InputError
from sifthinker.records import photo_bytes
from sifthinker.sample import Sample, open_photo

from .photos import photo

SIZE = (160, 120)


def levels(path, per_metre, size=SIZE):
    """A 16-bit depth file: 1 m at the left edge to 4 m at the right, in steps."""
    path.parent.mkdir(parents=True, exist_ok=True)
    metres = np.tile(1 + np.floor(np.linspace(0, 2.999, size[0])) * 1.5, (size[1], 1))
    Image.fromarray((metres * per_metre).astype(np.uint16)).save(path)


def read(folder, **options):
    return list(open_source(f"rgbd:{folder}", Options(**options)))


def scene(root, photo_name, depth_name, per_metre=1000, **files):
    photo(root / photo_name, SIZE)
    levels(root / depth_name, per_metre)
    for name, content in files.items():
        (root / name.replace("_json", ".json").replace("_txt", ".txt")).write_text(content)


@pytest.mark.parametrize(
    ("photo_name", "depth_name", "per_metre", "files"),
    [
        ("color/1.png", "depth/1.pgm", 1000, {}),
        ("color/1.jpg", "depth/1.png", 1000, {}),
        ("TUM_color.png", "TUM_depth.png", 5000, {}),
        ("rgb_1.jpg", "depth_1.png", 256, {"cameras_json": '{"depth_scale_units_per_metre": 256.0}'}),
        ("rgb_1.jpg", "depth_1.png", 1000, {"cameras_json": '{"depth_scale_units_per_metre": 1000.0}'}),
        ("rgb_00045.jpg", "sync_depth_00045.png", 1000, {}),
        ("image_02/data/0000000005.png", "proj_depth/groundtruth/image_02/0000000005.png", 256, {}),
        (
            "image/2011_09_26_drive_0002_sync_image_0000000005_image_02.png",
            "groundtruth_depth/2011_09_26_drive_0002_sync_groundtruth_depth_0000000005_image_02.png",
            256,
            {},
        ),
        (
            "rgb/1305031102.175304.png",
            "depth/1305031102.160407.png",
            5000,
            {
                "rgb_txt": "# color images\n1305031102.175304 rgb/1305031102.175304.png\n",
                "depth_txt": "1305031102.160407 depth/1305031102.160407.png\n1305031102.2 depth/late.png\n",
            },
        ),
        ("a.jpg", "b.png", 5000, {"rgbd_json": '{"pairs": [{"image": "a.jpg", "depth": "b.png", "encoding": "tum"}]}'}),
    ],
)
def test_layouts_say_what_the_numbers_mean(tmp_path, photo_name, depth_name, per_metre, files):
    scene(tmp_path / "deep/er", photo_name, depth_name, per_metre, **files)
    (pair,) = find_pairs(tmp_path, None)
    assert isinstance(pair, Pair)
    depth = pair.depth()
    assert depth.metric
    assert float(depth.values.min()) == pytest.approx(1.0, abs=0.01)
    assert float(depth.values.max()) == pytest.approx(4.0, abs=0.01)
    rows = read(tmp_path)
    assert len(rows) >= 3
    assert all(isinstance(row, Sample) for row in rows)


def test_photos_without_a_depth_map_in_time(tmp_path):
    scene(
        tmp_path,
        "rgb/1.0.png",
        "depth/1.1.png",
        rgb_txt="1.0 rgb/1.0.png\n1.1 rgb/gone.png",
        depth_txt="1.1 depth/1.1.png",
    )
    far, gone = find_pairs(tmp_path, None)
    assert isinstance(far, Reject)
    assert far.detail == "no depth map within 0.02 s of 1.0"
    assert isinstance(gone, Reject)
    assert gone.reason == "image_missing"


def test_scannet_depth_takes_the_size_of_its_photo(tmp_path):
    photo(tmp_path / "color/7.jpg", (320, 240))
    levels(tmp_path / "depth/7.png", 1000)
    (pair,) = find_pairs(tmp_path, None)
    assert isinstance(pair, Pair)
    assert pair.depth().size == SIZE
    (tmp_path / "intrinsic").mkdir()
    (tmp_path / "intrinsic/intrinsic_color.txt").write_text("1 0 0 0")
    (pair,) = find_pairs(tmp_path, None)
    assert isinstance(pair, Pair)
    assert pair.depth().size == (320, 240)
    assert any(isinstance(row, Sample) for row in read(tmp_path))


def test_sun_rotation_and_a_scene_folder(tmp_path):
    photo(tmp_path / "image/0001.jpg", SIZE)
    (tmp_path / "intrinsics.txt").write_text("1 0 0")
    millimetres = np.full(SIZE[::-1], 2000, np.uint16)
    (tmp_path / "depth_bfx").mkdir()
    Image.fromarray((millimetres << 3) | (millimetres >> 13)).save(tmp_path / "depth_bfx/other_name.png")
    (pair,) = find_pairs(tmp_path, None)
    assert float(pair.depth().values.max()) == pytest.approx(2.0)


def test_an_encoding_is_never_guessed(tmp_path):
    scene(tmp_path, "rgb/1.png", "depth/1.png")
    (row,) = read(tmp_path)
    assert (row.id, row.reason) == ("rgbd-rgb/1.png", "depth_encoding_unknown")
    assert all(isinstance(r, Sample) for r in read(tmp_path, depth_encoding="mm"))
    scene(tmp_path / "odd", "rgb_1.jpg", "depth_1.png", cameras_json='{"depth_scale_units_per_metre": 777}')
    assert [r.reason for r in read(tmp_path / "odd", depth_encoding="mm")] == ["depth_encoding_unknown"]


@pytest.mark.parametrize("scale", ["777", "[1000]"])
def test_a_scale_that_is_not_known_is_told_with_what_helps(tmp_path, scale):
    scene(tmp_path, "rgb_1.jpg", "depth_1.png", 777, cameras_json=f'{{"depth_scale_units_per_metre": {scale}}}')
    (row,) = read(tmp_path)
    assert isinstance(row, Reject)
    assert re.search(r" of cameras\.json is none of 1000, 256, 5000; put a sidecar depth_1\.png\.json", row.detail)
    sidecar = tmp_path / "depth_1.png.json"
    sidecar.write_text(json.dumps(meaning("metric", 1 / 777, 0.0)))
    (pair,) = find_pairs(tmp_path, None)
    assert isinstance(pair, Pair)
    assert float(pair.depth().values.max()) == pytest.approx(4.0, abs=0.01)
    sidecar.unlink()
    (tmp_path / "cameras.json").write_text("{}")
    assert all(isinstance(r, Sample) for r in read(tmp_path, depth_encoding="mm"))


def test_photos_are_nowhere_else(tmp_path):
    scene(tmp_path, "color/1.jpg", "depth/1.png")
    message = r"its photos are in its own folder; leave images .* out"
    with pytest.raises(InputError, match=message):
        read(tmp_path, images=tmp_path)
    (tmp_path / "mix.yaml").write_text("sources: [{source: 'rgbd:.', name: own, images: color}]")
    with pytest.raises(InputError, match=rf"{message} \(source 'own' of the recipe\)"):
        build(str(tmp_path / "mix.yaml"), tmp_path / "out")


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda root: (root / "depth/1.png").unlink(), "no_depth_pair"),
        (lambda root: levels(root / "depth/1.png", 1000, (80, 60)), "size_mismatch"),
        (lambda root: photo(root / "depth/1.png", SIZE), "depth_unreadable"),
        (lambda root: (root / "color/1.jpg").write_bytes(b"x"), "image_unreadable"),
        (lambda root: Image.new("I;16", SIZE, 2000).save(root / "depth/1.png"), "no_question"),
        (lambda root: Image.new("I;16", SIZE, 0).save(root / "depth/1.png"), "no_question"),
        (lambda root: (root / "rgbd.json").write_text("{"), "malformed_row"),
        (lambda root: (root / "rgbd.json").write_text('{"pairs": [3]}'), "malformed_row"),
        (
            lambda root: (root / "rgbd.json").write_text('{"pairs": [{"image": "n.png", "depth": "d"}]}'),
            "image_missing",
        ),
    ],
)
def test_bad_frames_are_reported(tmp_path, damage, reason):
    scene(tmp_path, "color/1.jpg", "depth/1.png")
    damage(tmp_path)
    assert reason in {row.reason for row in read(tmp_path) if isinstance(row, Reject)}


def test_folders_without_frames(tmp_path):
    with pytest.raises(
        InputError, match=r"no photos with depth found; known layouts: .*; or declare pairs in rgbd.json"
    ):
        read(tmp_path)
    with pytest.raises(InputError, match="not a folder"):
        read(photo(tmp_path / "a.jpg"))


def check_answer(sample):
    """The answer, from scratch, out of the depth map and the boxes."""
    depth = sample.depth_map()
    found = []
    for box in sample.boxes:
        left, top, right, bottom = box.pixel_bounds(depth.size)
        valid = depth.valid[top:bottom, left:right]
        found.append(float(np.median(depth.values[top:bottom, left:right][valid])))
    task = sample.meta["task"]
    if task == "third":
        assert sample.answer == ("left", "middle", "right")[int(3 * sample.boxes[0].center[0])]
        assert found[0] <= np.median(depth.values[depth.valid])
        return
    pick = min if task in ("nearer", "nearest", "object") else max
    best = found.index(pick(found))
    assert sample.answer == (sample.meta["labels"][best] if task == "object" else "ABC"[best])
    if task != "object":
        others = [d for i, d in enumerate(found) if i != best]
        assert all(max(d, found[best]) >= MARGIN * 0.999 * min(d, found[best]) for d in others)


def test_answers_follow_from_the_depth(tmp_path):
    for number in range(4):
        scene(tmp_path, f"color/{number}.jpg", f"depth/{number}.png")
    rows = read(tmp_path, seed=5)
    assert len(rows) >= 12
    for row in rows:
        check_answer(row)
    again = read(tmp_path, seed=5)
    assert [(r.id, r.boxes, r.answer) for r in rows] == [(r.id, r.boxes, r.answer) for r in again]
    other = read(tmp_path, seed=6)
    assert [r.boxes for r in rows] != [r.boxes for r in other]


@pytest.mark.parametrize("encoding", ["relative", "disparity"])
def test_relative_depth_is_compared_by_differences(tmp_path, encoding):
    """It has no zero: 0.02 is not twice as far as 0.01, and of disparities nobody knows what 0 is."""
    photo(tmp_path / "rgb/1.png", SIZE)
    (tmp_path / "depth").mkdir()
    alike = np.full(SIZE[::-1], 0.05)
    alike[:, 80:] = 0.07
    alike[:3] = 1
    np.save(tmp_path / "depth/1.npy", alike if encoding == "relative" else 1.01 - alike)
    assert [row.reason for row in read(tmp_path, depth_encoding=encoding)] == ["no_question"]
    ramp = np.tile(np.linspace(0, 1, SIZE[0]), (SIZE[1], 1))
    np.save(tmp_path / "depth/1.npy", ramp if encoding == "relative" else 7 - 3 * ramp)
    rows = read(tmp_path, depth_encoding=encoding)
    assert [row.meta["task"] for row in rows] == ["nearer", "farther", "nearest", "third"]
    for row in rows:
        depths = sorted(row.meta.get("depths", []), reverse=row.meta["task"] == "farther")
        assert all(abs(depths[0] - depth) > MARGIN - 1 - 0.001 for depth in depths[1:])
    assert {row.answer for row in rows if row.meta["task"] == "third"} == {"left"}
    assert min(min(row.meta.get("depths", [1])) for row in rows) < 0.4, "the nearest places count, too"


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_rows_wait_as_files_and_are_written_as_they_are(tmp_path, monkeypatch, suffix):
    """A decoded photo and an open depth map take ten times the memory, and are encoded for each use."""
    scene(tmp_path, f"rgb_1.{suffix}", "depth_1.png", cameras_json='{"depth_scale_units_per_metre": 1000.0}')
    rows = read(tmp_path)
    assert {type(row.depth) for row in rows} == {StoredDepth}
    marked = [row for row in rows if not isinstance(row.image, Path)]
    assert marked
    monkeypatch.delattr(Image.Image, "save")
    for row in marked:
        assert photo_bytes(row.image) == (row.image, SIZE)
        unmarked = np.asarray(open_photo(tmp_path / f"rgb_1.{suffix}")).astype(int)
        change = np.abs(np.asarray(row.photo()) - unmarked).max(axis=2)
        assert np.median(change) <= (2 if suffix == "jpg" else 0)  # marks cover less than half of it


def test_the_work_on_a_folder_does_not_grow_with_the_others(tmp_path, monkeypatch):
    """Path operations, which are what finding pairs takes."""

    def steps(scenes):
        for number in range(scenes):
            scene(tmp_path / f"{scenes}/s{number}", "image/1.jpg", "depth_bfx/1.png", intrinsics_txt="1")
        counted = Counter()
        with monkeypatch.context() as patch:
            for name in ("relative_to", "is_relative_to", "is_file"):
                plain = getattr(Path, name)
                patch.setattr(Path, name, lambda *a, plain=plain: counted.update(n=1) or plain(*a))
            assert sum(isinstance(pair, Pair) for pair in find_pairs(tmp_path / str(scenes), None)) == scenes
        return counted["n"]

    assert steps(16) < 2.5 * steps(8)


def test_marks_are_drawn_where_the_points_are():
    plain = Image.new("RGB", (200, 100), (90, 90, 90))
    marked = np.abs(np.asarray(draw_marks(plain, [(0.25, 0.5), (0.95, 0.5)])).astype(int) - 90).sum(axis=2) > 0
    columns = np.flatnonzero(marked.any(axis=0))
    assert marked[:, 40:70].any()
    assert marked[:, 180:].any()
    assert not marked[:, 80:150].any()
    assert columns.max() < 200
    assert np.asarray(plain).max() == 90  # The photo itself is left alone.


def test_points_are_projected_and_the_nearest_wins():
    points = np.array([[0.0, 0.0, 2.0], [0.0, 0.0, 1.0], [1.0, 0.0, 2.0], [0.0, 0.0, -1.0], [50.0, 0.0, 1.0]])
    matrix = np.array([[10.0, 0, 5], [0, 10.0, 5], [0, 0, 1]])
    depth = project_points(points, matrix, (12, 10))
    assert depth.valid.sum() == 2
    assert depth.values[5, 5] == 1.0
    assert depth.values[5, 10] == 2.0


def test_real_frames(shared_data):
    """All six data sets; the nuScenes cameras have no depth files and are reported."""
    rows = read(shared_data / "rgbd")
    rejected = Counter(r.reason for r in rows if isinstance(r, Reject))
    assert rejected == {"no_depth_pair": 3}
    samples = [r for r in rows if isinstance(r, Sample)]
    folders = Counter(r.meta["photo"].split("/")[0] for r in samples)
    assert set(folders) == {
        "kitti_depth",
        "nyu",
        "open3d_livingroom",
        "open3d_other",
        "slambook_office",
        "sunrgbd_000017",
    }
    for sample in samples:
        if sample.meta["task"] != "object":
            check_answer(sample)
    (bed,) = [s for s in samples if s.meta["task"] == "object"]
    assert (bed.answer, sorted(bed.meta["labels"])) == ("bed", ["bed", "night stand"])
    # Metres, where they can be known from the scene: rooms within Kinect range, a street beyond it.
    far = {s.meta["photo"].split("/")[0]: float(s.depth_map().values.max()) for s in samples}
    assert far["kitti_depth"] > 40
    assert all(2 < d < 14 for name, d in far.items() if name != "kitti_depth"), far


def test_pairs_declared_in_a_file_win_over_layouts(tmp_path):
    scene(tmp_path, "color/1.jpg", "depth/1.png", per_metre=5000)
    pairs = [{"image": "color/1.jpg", "depth": "depth/1.png", "encoding": "tum"}]
    (tmp_path / "rgbd.json").write_text(json.dumps({"pairs": pairs}))
    (pair,) = find_pairs(tmp_path, None)
    assert float(pair.depth().values.max()) == pytest.approx(4.0, abs=0.01)

"""Real frames: boxes project onto what the photo shows, sensor and boxes agree, and answers follow from either."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections import Counter

import numpy as np
import pytest

from sifthinker.engines.oracle import know
from sifthinker.errors import InputError
from sifthinker.geometry import Box
from sifthinker.rewards import REWARDS
from sifthinker.scenes.frames import FRAMES, Frame, open_frames, read_frames
from sifthinker.scenes.frames.ask import ask_frames
from sifthinker.scenes.frames.assemble import pinhole, project_box, split_projection
from sifthinker.scenes.generate import scene_config
from sifthinker.scenes.model import Camera, turn
from sifthinker.scenes.render import render
from sifthinker.scenes.tasks import TASKS
from sifthinker.scenes.views import one_view
from sifthinker.scenes.words import name, nameable
from sifthinker.scenes.worlds import world_from_json

from .conftest import scene, thing
from .layouts import write_kitti, write_scannet

SIZE = (320, 240)


def one(kind, folder, **changes) -> Frame:
    """The first frame that can be used."""
    return next(f for f in read_frames(kind, folder) if isinstance(f, Frame))


@pytest.fixture(scope="module")
def sun(shared_data):
    return one("sun", shared_data / "rgbd" / "sunrgbd_000017")


@pytest.fixture(scope="module")
def nuscenes(shared_data):
    frames = read_frames("nuscenes", shared_data / "rgbd" / "nuscenes_frame")
    return {f.name.rpartition("-")[2]: f for f in frames if isinstance(f, Frame)}


@pytest.fixture(scope="module")
def kitti(shared_data, tmp_path_factory):
    """A KITTI photo with its lidar depth; the two labels are ours, fitted to the lidar points."""
    folder = tmp_path_factory.mktemp("kitti")
    for file in (shared_data / "rgbd" / "kitti_depth").glob("*0000000050*"):
        shutil.copy(file, folder)
    shutil.copy(shared_data / "rgbd" / "kitti_depth" / "cameras.json", folder)
    (folder / "label_2").mkdir()
    (folder / "label_2" / "0000000050.txt").write_text(
        "Car 0.2 0 0.96 0 202 186 299 1.35 1.75 4.2 -8.95 1.62 11.6 1.57\n"
        "Car 0.0 0 0.85 366 182 433 223 1.45 1.75 4.3 -9.1 1.6 32.2 1.57\n"
    )
    return one("kitti", folder)


# --- generated scenes, written and read again ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def view():
    objects = (
        thing("cube", "red", (-1.0, 0.2), (1.0, 0.6, 0.8), 25.0),
        thing("cube", "green", (1.2, 1.5), (0.7, 0.9, 1.1), -40.0),
        thing("cube", "blue", (0.1, -1.4), (0.5, 0.5, 0.4), 0.0),
        thing("cube", "blue", (0.0, 3.0), (0.5, 0.5, 0.4), 0.0),
    )
    return render(scene(*objects), SIZE)


LABELS = ["bed", "night_stand", "chair", "chair"]


@pytest.mark.parametrize("align", [None, 35.0])
def test_scannet_layout_gives_the_scene_back(align, view, tmp_path):
    moved = None
    if align is not None:
        moved = np.eye(4)
        moved[:3, :3], moved[:3, 3] = turn(align), (1.0, -2.0, 0.5)
    (frame,) = read_frames("scannet", write_scannet(tmp_path / "scene", [view], LABELS, moved))
    check_against_render(frame, view, ["bed", "night stand", "chair", "chair"])


def check_against_render(frame, view, labels):
    assert isinstance(frame, Frame), frame
    assert list(frame.labels) == labels
    assert np.allclose(frame.centers, view.centers, atol=2e-3)
    assert np.allclose(frame.columns, view.columns, atol=1e-4)
    assert np.array_equal(frame.image, view.image)
    for found, box, share, exact in zip(frame.boxes, view.boxes, frame.visible, view.visible, strict=True):
        if exact > 0.2:
            assert found.iou(box) > 0.8  # the box of a cube's mask is the box of its corners, cut by what hides it
            assert share == pytest.approx(exact, abs=0.1)
        else:
            assert share <= exact + 0.1


@pytest.mark.parametrize("points", [True, False])
def test_kitti_layout_gives_the_scene_back(points, tmp_path):
    objects = (
        thing("cube", "red", (-2.5, 9.0), (4.0, 1.8, 1.5), 80.0),
        thing("cube", "green", (3.0, 16.0), (5.0, 2.0, 2.2), -100.0),
        thing("cube", "blue", (1.0, 7.0), (0.6, 0.6, 1.7), 10.0),
    )
    view = render(scene(*objects, eye=(0.0, 0.0, 1.65), target=(0.0, 10.0, 1.65), fov=70.0), SIZE)
    frame = one("kitti", write_kitti(tmp_path / "kitti", view, ["Car", "Van", "Pedestrian"], points))
    check_against_render(frame, view, ["car", "van", "pedestrian"])
    for real, made in zip(frame.scene.objects, view.scene.objects, strict=True):
        # The frame's world has x ahead where the scene has y; heights and sizes are the same.
        assert real.position == pytest.approx((made.position[1], -made.position[0], made.position[2]), abs=2e-3)
        ahead = made.rotation[:, 0]
        assert real.front == pytest.approx((ahead[1], -ahead[0], 0.0), abs=1e-5)


# --- sensor, photo and boxes agree -----------------------------------------------------------------------------------


def test_boxes_project_onto_the_labelled_boxes_of_sun(sun, shared_data):
    info = json.loads((shared_data / "rgbd" / "sunrgbd_000017" / "infos.json").read_text())["data_list"][0]
    assert sun.labels == ("night stand", "bed")
    for real, instance in zip(sun.scene.objects, info["instances"], strict=True):
        left, top, right, bottom = instance["bbox"]
        given = Box(left / 730, top / 530, right / 730, bottom / 530)
        assert project_box(real, sun.camera, sun.size).iou(given) > 0.84


def test_the_camera_of_sun_projects_as_its_matrix_does(sun, shared_data):
    info = json.loads((shared_data / "rgbd" / "sunrgbd_000017" / "infos.json").read_text())["data_list"][0]
    points = np.random.default_rng(0).uniform((-2, 2, -1), (2, 6, 1), (50, 3))
    u, v, d = np.array(info["images"]["CAM0"]["depth2img"]) @ points.T
    world = points + np.array([0, 0, sun.camera.position[2]])
    assert np.allclose(sun.camera.project(world, sun.size), np.stack([u / d, v / d], axis=1), atol=0.01)
    assert np.allclose(sun.camera.to_camera(world)[:, 2], d, atol=1e-4)


def test_the_floor_of_sun_is_at_height_0(sun):
    """Boxes stand on it, and so does the lowest of what the sensor sees."""
    for real in sun.scene.objects:
        assert abs(real.position[2] - real.size[2] / 2) < 0.06
    pixels = np.argwhere(sun.depth.valid)
    depth = sun.depth.values[pixels[:, 0], pixels[:, 1]]
    seen = sun.camera.rays(pixels[:, ::-1] + 0.5, sun.size) * depth[:, None]
    height = (seen @ np.array(sun.camera.rotation) + sun.camera.position)[:, 2]
    counts, edges = np.histogram(height, bins=np.arange(-0.5, 2.5, 0.05))
    assert abs(edges[counts.argmax()]) < 0.1


def test_boxes_project_onto_the_labelled_boxes_of_nuscenes(nuscenes, shared_data):
    """`instances` through the ego frame against `cam_instances`, which the data set projected itself."""
    info = json.loads((shared_data / "rgbd" / "nuscenes_frame" / "infos.json").read_text())["data_list"][0]
    checked = 0
    for camera, frame in nuscenes.items():
        for labelled in info["cam_instances"][camera]:
            left, top, right, bottom = labelled["bbox"]
            given = Box(left / 1600, top / 900, min(right / 1600, 1), min(bottom / 900, 1))
            gaps = np.linalg.norm(frame.centers - np.array(labelled["bbox_3d"][:3]), axis=1)
            if labelled["bbox_label"] < 0:
                continue
            index = int(gaps.argmin())
            assert gaps[index] < 0.25
            projected = project_box(frame.scene.objects[index], frame.camera, frame.size)
            if projected is not None:
                assert projected.iou(given) > 0.75
                checked += 1
    assert checked > 40


def test_fronts_of_nuscenes_are_those_of_the_camera_boxes(nuscenes, shared_data):
    info = json.loads((shared_data / "rgbd" / "nuscenes_frame" / "infos.json").read_text())["data_list"][0]
    frame = nuscenes["CAM_FRONT"]
    for labelled in info["cam_instances"]["CAM_FRONT"]:
        index = int(np.linalg.norm(frame.centers - np.array(labelled["bbox_3d"][:3]), axis=1).argmin())
        front = frame.scene.objects[index].front
        if front is not None and labelled["bbox_label"] >= 0:
            yaw = labelled["bbox_3d"][6]
            ahead = np.array(frame.camera.rotation) @ front
            assert ahead == pytest.approx((np.cos(yaw), 0.0, -np.sin(yaw)), abs=0.06)


def test_the_ground_under_a_nuscenes_car_is_at_height_0(nuscenes):
    frame = nuscenes["CAM_FRONT"]
    assert frame.camera.position[2] == pytest.approx(1.51, abs=0.02)
    # The lowest lidar points ahead of the car, up to 15 m, on the road.
    pixels = np.argwhere(frame.depth.valid)
    depth = frame.depth.values[pixels[:, 0], pixels[:, 1]]
    seen = frame.camera.rays(pixels[:, ::-1] + 0.5, frame.size) * depth[:, None]
    world = seen @ np.array(frame.camera.rotation) + frame.camera.position
    road = world[(world[:, 0] < 12) & (np.abs(world[:, 1]) < 2)]
    assert abs(np.median(road[:, 2])) < 0.1


def test_labels_of_kitti_fit_its_photo_and_its_lidar(kitti):
    near, far = kitti.scene.objects
    for real, given, share in zip((near, far), kitti.given, kitti.visible, strict=True):
        assert project_box(real, kitti.camera, kitti.size).iou(given) > 0.75
        assert share > 0.5
        assert real.front == pytest.approx((-1, 0, 0), abs=0.01)  # both come toward the camera
        assert abs(real.position[2] - real.size[2] / 2) < 0.1


@pytest.mark.parametrize("which", ["sun", "kitti", "CAM_FRONT", "CAM_FRONT_LEFT", "CAM_FRONT_RIGHT"])
def test_the_sensor_confirms_distances_of_boxes(which, request):
    """Depth of the sensor in the middle of each 2D box against the near and far side of the 3D box."""
    frame = request.getfixturevalue(which) if which in ("sun", "kitti") else request.getfixturevalue("nuscenes")[which]
    checked = 0
    for real, box, share in zip(frame.scene.objects, frame.boxes, frame.visible, strict=True):
        if box is None or share < 0.8:
            continue
        corners = frame.camera.to_camera(real.corners())[:, 2]
        left, top, right, bottom = box.pixel_bounds(frame.size)
        w, h = (right - left) // 4, (bottom - top) // 4
        part = np.s_[top + h : bottom - h, left + w : right - w]
        if frame.depth.valid[part].sum() < 8:
            continue
        median = float(np.median(frame.depth.values[part][frame.depth.valid[part]]))
        assert corners.min() - 0.3 < median < corners.max() + 0.3, real.label
        checked += 1
    assert checked >= (1 if which != "sun" else 2) or which.startswith("CAM_FRONT_")


def test_hidden_things_are_not_seen(nuscenes):
    """Somebody stands behind the tarpaulin of the truck."""
    frame = nuscenes["CAM_FRONT"]
    for index, real in enumerate(frame.scene.objects):
        if real.label == "pedestrian" and real.position[0] < 15:
            assert frame.boxes[index] is None
            return
    raise AssertionError("the pedestrian in the truck is not in the frame")


# --- worlds ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["sun", "kitti", "CAM_FRONT_RIGHT"])
def test_json_makes_an_equal_frame(which, request):
    frame = request.getfixturevalue(which) if which in ("sun", "kitti") else request.getfixturevalue("nuscenes")[which]
    data = json.loads(json.dumps(frame.to_json()))
    again = world_from_json(data)
    assert again.to_json() == frame.to_json()
    assert np.array_equal(again.image, frame.image)
    assert np.array_equal(again.depth.values, frame.depth.values)
    assert (again.boxes, again.visible, again.labels) == (frame.boxes, frame.visible, frame.labels)
    assert again.nearness == frame.nearness


def test_two_things_of_one_class_have_no_name(kitti):
    assert kitti.labels == ("car", "car")
    assert not nameable(kitti.scene, 0)
    with pytest.raises(InputError, match="several things are called car"):
        name(kitti.scene, 0)
    assert "nothing that is seen has a name of its own, out of 2" in kitti.named()
    refused: Counter[str] = Counter()
    assert list(ask_frames([kitti], refused=refused)) == []
    assert len(refused) == 1


def test_projection_matrices_are_taken_apart():
    rng = np.random.default_rng(3)
    for _ in range(20):
        camera = Camera.look_at(rng.normal(0, 2, 3), rng.normal(9, 2, 3), 60.0, rng.uniform(-9, 9))
        k = np.array([[500.0, 0, 320], [0, 510.0, 250], [0, 0, 1]])
        rotation, position = np.array(camera.rotation), np.array(camera.position)
        scale = rng.uniform(0.5, 2)
        matrix = scale * k @ np.hstack([rotation, -(rotation @ position)[:, None]])
        found_k, found_rotation, found_position = split_projection(matrix)
        assert np.allclose(found_k, k)
        assert np.allclose(found_rotation, rotation)
        assert np.allclose(found_position, position)
        points = rng.uniform(-1, 1, (20, 3)) + position + rotation[2] * 5
        u, v, d = matrix @ np.vstack([points.T, np.ones(20)])
        eye = pinhole(found_k, (640, 480), found_rotation, found_position)
        assert np.allclose(eye.project(points, (640, 480)), np.stack([u / d, v / d], axis=1))


# --- questions -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def asked(sun, nuscenes, tmp_path_factory):
    """Everything that can be asked of the real frames, with the frames by name."""
    frames = [sun, *nuscenes.values()]
    refused: Counter[str] = Counter()
    return list(ask_frames(frames, seed=3, refused=refused)), {f.name: f for f in frames}, refused


def test_every_task_is_asked_or_has_a_reason(asked):
    pairs, _, refused = asked
    done = {sample.meta["task"] for sample, _ in pairs} | {key.partition(":")[0] for key in refused}
    assert set(TASKS) <= done
    assert {"nearer", "left_right", "front_behind", "larger"} <= {sample.meta["task"] for sample, _ in pairs}
    assert len({sample.id for sample, _ in pairs}) == len(pairs)


def test_superlatives_are_not_asked(asked):
    """The wardrobe at the left border is taller than the bed, but nobody labelled it."""
    pairs, _, refused = asked
    assert refused["viscot_tallest: its answer may change with things that nobody labelled"]
    assert not any(re.search(r"which (object|thing)", sample.question.lower()) for sample, _ in pairs)


def test_unlabelled_things_change_no_answer(sun):
    more = sun.crowded()
    assert more.labels[:2] == sun.labels
    assert len(more.labels) == len(more.boxes) == len(more.visible) == len(more.nearness) == 4
    assert more.boxes[:2] == sun.boxes
    assert all(box is not None for box in more.boxes)


def test_colors_rooms_and_counts_are_not_asked(asked):
    pairs, _, refused = asked
    for task in ("color_of_shape", "shape_of_color", "same", "color_at_relation"):
        assert any(key.startswith(f"{task}: needs what a real frame does not tell") for key in refused), task
    assert refused["count: labels name only some of what is there"]
    assert all("color" not in sample.question.lower() for sample, _ in pairs)


def test_gold_earns_full_marks_and_the_oracle_agrees(asked):
    many = int(os.environ.get("SIFTHINKER_SCENES", "8"))
    for sample, trace in asked[0][:: max(1, len(asked[0]) // many)]:
        values = {name: reward(trace, sample) for name, reward in REWARDS.items()}
        assert set(values.values()) <= {1.0, None}, (sample.id, values)
        assert know(sample).answer == sample.answer


def measured(frame, label):
    """z-depths of the sensor's points inside of the 3D box, by the test's own transformation."""
    real = frame.scene.objects[frame.labels.index(label)]
    rows, columns = np.nonzero(frame.depth.valid)
    z = frame.depth.values[rows, columns].astype(float)
    fx, fy = frame.camera.focal_px(frame.size)
    cx, cy = np.array(frame.camera.center) * frame.size
    seen = np.stack([(columns + 0.5 - cx) / fx * z, (rows + 0.5 - cy) / fy * z, z], axis=1)
    world = seen @ np.array(frame.camera.rotation) + frame.camera.position
    c, sine = np.cos(np.radians(real.yaw_deg)), np.sin(np.radians(real.yaw_deg))
    off = world - real.position
    own = np.stack([off @ (c, sine, 0), off @ (-sine, c, 0), off[:, 2]], axis=1)
    return seen[(np.abs(own) <= np.array(real.size) / 2 + 0.03).all(axis=1)]


def test_nearer_and_farther_agree_with_the_sensor(asked):
    pairs, frames, _ = asked
    checked = 0
    for sample, _ in pairs:
        frame = frames[sample.meta["group"]]
        if sample.meta["task"] == "nearer":
            names = re.fullmatch(r"Which is nearer, the (.+) or the (.+)\?", sample.question).groups()
            depths = {n: np.median(measured(frame, n)[:, 2]) for n in names}
            assert sample.answer == min(depths, key=depths.__getitem__)
            checked += 1
        if sample.meta["task"] == "front_behind":
            a, b = re.fullmatch(r"Is the (.+) in front of or behind the (.+)\?", sample.question).groups()
            ahead = np.median(measured(frame, a)[:, 2]) < np.median(measured(frame, b)[:, 2])
            assert sample.answer == ("in front" if ahead else "behind")
            checked += 1
        if sample.meta["task"] == "left_right":
            a, b = re.fullmatch(r"Is the (.+) left or right of the (.+)\?", sample.question).groups()
            left = np.median(measured(frame, a)[:, 0]) < np.median(measured(frame, b)[:, 0])
            assert sample.answer == ("left" if left else "right")
            checked += 1
    assert checked >= 3


def test_distances_agree_with_boxes_and_sensor(asked, shared_data):
    """Between centers: from the raw annotation. From the camera: the nearest sensor point inside of the box."""
    info = json.loads((shared_data / "rgbd" / "sunrgbd_000017" / "infos.json").read_text())["data_list"][0]
    raw = {("night stand" if o["bbox_label"] == 7 else "bed"): o["bbox_3d"] for o in info["instances"]}
    checked = set()
    for sample, _ in asked[0]:
        task, frame = sample.meta["task"], asked[1][sample.meta["group"]]
        if task == "dge_absolute_distance":
            exact = float(np.linalg.norm(np.subtract(raw["bed"][:3], raw["night stand"][:3])))
            assert float(sample.answer.split()[0]) == pytest.approx(exact, abs=0.006)
            checked.add(task)
        if task == "dge_object_size" and frame.name.startswith("sun"):
            named = re.search(r"side of the (.+?) \(", sample.question)[1]
            assert float(sample.answer.split()[0]) == pytest.approx(100 * max(raw[named][3:6]), abs=0.5)
            checked.add(task)
        if task == "dge_distance_cam_obj":
            named = re.search(r"box around the (.+?), in meters", sample.question)[1]
            nearest = np.linalg.norm(measured(frame, named), axis=1).min()
            # The box holds the thing, so it may be nearer than the nearest point that was measured.
            assert -0.15 < nearest - float(sample.answer.split()[0]) < 0.6
            checked.add(task)
    assert {"dge_absolute_distance", "dge_object_size"} <= checked


def test_frames_of_generated_scenes_give_the_answers_of_their_views(tmp_path):
    """The same things, once with exact geometry and once read back through millimetres of depth and a pose file."""
    rng = np.random.default_rng(8)
    both = 0
    for number in range(int(os.environ.get("SIFTHINKER_SCENES", "6"))):
        view = one_view()(rng, "", scene_config(["nearer"], (160, 120), (3, 4)))
        if isinstance(view, str):
            continue
        labels = [f"thing{i}" for i in range(len(view.boxes))]
        folder = write_scannet(tmp_path / str(number), [view], labels)
        frame = one("scannet", folder)
        for task in ("nearer", "left_right", "front_behind", "larger", "dge_absolute_distance"):
            for roles in TASKS[task].roles(view):
                exact, found = (TASKS[task].ask(world, roles) for world in (view, frame))
                if isinstance(exact, str) or isinstance(found, str):
                    continue
                answer = exact.answer
                for index, label in enumerate(labels):
                    answer = re.sub(rf"^{name(view.scene, index)}$", label, answer)
                assert found.answer == answer
                both += 1
        shutil.rmtree(folder)
    assert both > 20


def test_the_same_seed_asks_the_same(sun):
    first, again = (list(ask_frames([sun], seed=5)) for _ in range(2))
    assert [(s.id, s.question, t) for s, t in first] == [(s.id, s.question, t) for s, t in again]


def test_answers_of_many_frames_are_balanced(tmp_path):
    """Where a question can be asked either way, it is asked both ways in turn."""
    frames = []
    for number in range(8):
        objects = thing("cube", "red", (-1.3, 0.0)), thing("cube", "green", (1.3, 1.5), (0.6, 0.6, 0.6))
        folder = write_scannet(tmp_path / str(number), [render(scene(*objects), (96, 72))], ["bed", "lamp"])
        frames.append(one("scannet", folder))
    pairs = list(ask_frames(frames, ["nearer", "left_right", "larger"], each=1))
    answers = {task: Counter() for task in ("nearer", "left_right", "larger")}
    for sample, _ in pairs:
        answers[sample.meta["task"]][sample.meta["aim"]] += 1
    assert all(sorted(count.values()) == [4, 4] for count in answers.values()), answers


# --- faults ----------------------------------------------------------------------------------------------------------


def reasons(kind, folder):
    return [f for f in read_frames(kind, folder) if isinstance(f, str)]


def test_unknown_kinds_and_folders(tmp_path):
    with pytest.raises(InputError, match="did you mean 'kitti'"):
        read_frames("kiti", tmp_path)
    with pytest.raises(InputError, match="no such folder; expected sun: SUN RGB-D"):
        read_frames("sun", tmp_path / "none")
    with pytest.raises(InputError, match="expected KIND:FOLDER with KIND one of sun, kitti"):
        open_frames("data/sun")
    for kind in FRAMES:
        with pytest.raises(InputError, match=re.escape(str(tmp_path))):
            list(read_frames(kind, tmp_path))


def test_frames_without_labels_photos_or_depth_say_so(tmp_path, shared_data):
    assert all("nothing says what is where" in r for r in reasons("kitti", shared_data / "rgbd" / "kitti_depth"))
    missing = reasons("nuscenes", shared_data / "rgbd" / "nuscenes_frame")
    assert len(missing) == 3
    assert all("no photo" in r for r in missing)
    source = shared_data / "rgbd" / "sunrgbd_000017"
    shutil.copytree(source, tmp_path / "sun")
    infos = tmp_path / "sun" / "infos.json"
    infos.chmod(0o644)
    data = json.loads(infos.read_text())
    broken = [json.loads(json.dumps(data["data_list"][0])) for _ in range(4)]
    broken[0]["images"]["CAM0"]["img_path"] = "none.jpg"
    del broken[1]["instances"][0]["bbox_3d"]
    for instance in broken[2]["instances"]:
        instance["bbox_3d"][1] += 5  # far from what the photo and the sensor show
    broken[3]["instances"] = []
    infos.write_text(json.dumps(data | {"data_list": broken}))
    found = reasons("sun", tmp_path / "sun")
    told = ("no such photo", "malformed", "confirm none of the 2", "no labelled thing is in the picture")
    assert all(message in reason for message, reason in zip(told, found, strict=True))


def test_lost_poses_and_bad_boxes_of_scannet(view, tmp_path):
    folder = write_scannet(tmp_path / "scene", [view], LABELS)
    (folder / "pose" / "0.txt").write_text("-inf " * 16)
    assert "the pose was lost here" in reasons("scannet", folder)[0]
    (folder / "boxes.json").write_text('{"objects": [{"label": "bed"}]}')
    with pytest.raises(InputError, match=r"expected .*label.*center.*size"):
        list(read_frames("scannet", folder))


def test_damaged_labels_of_kitti(tmp_path):
    view = render(scene(thing("cube", "red", (0.0, 8.0)), eye=(0, 0, 1.65), target=(0, 9, 1.65)), (96, 72))
    folder = write_kitti(tmp_path / "kitti", view, ["Car"], points=True)
    label = folder / "label_2" / "000000.txt"
    label.write_text(label.read_text().replace("Car", "Plane"))
    assert "000000.txt:1: not a label" in reasons("kitti", folder)[0]
    (folder / "calib" / "000000.txt").write_text("P0: 1 2 3\n")
    assert "has no line 'P2'" in reasons("kitti", folder)[0]


def test_a_box_in_the_picture_that_contradicts_the_3d_box_is_not_relied_on(sun, shared_data, tmp_path):
    shutil.copytree(shared_data / "rgbd" / "sunrgbd_000017", tmp_path / "sun")
    infos = tmp_path / "sun" / "infos.json"
    infos.chmod(0o644)
    data = json.loads(infos.read_text())
    data["data_list"][0]["instances"][0]["bbox"] = [400, 100, 500, 200]
    infos.write_text(json.dumps(data))
    frame = one("sun", tmp_path / "sun")
    assert frame.labels == sun.labels
    assert frame.boxes[0] is None
    assert frame.visible[0] == 0.0
    assert frame.boxes[1] == sun.boxes[1]

"""Rendered views written as ScanNet and KITTI store theirs, so that readers can be checked against exact truth."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

from sifthinker.scenes.render import View


def write_scannet(folder: Path, views: list[View], labels: list[str], align: np.ndarray | None = None) -> Path:
    """align: world of the scan -> world of the boxes; poses are written in the former."""
    for name in ("color", "depth", "pose", "intrinsic"):
        (folder / name).mkdir(parents=True)
    k = np.eye(4)
    k[[0, 1], [0, 1]], k[:2, 2] = views[0].camera.focal_px(views[0].size), np.array(views[0].size) / 2
    np.savetxt(folder / "intrinsic" / "intrinsic_color.txt", k)
    back = np.eye(4) if align is None else np.linalg.inv(align)
    for number, view in enumerate(views):
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = np.array(view.camera.rotation).T, view.camera.position
        np.savetxt(folder / "pose" / f"{number}.txt", back @ pose)
        Image.fromarray(view.image).save(folder / "color" / f"{number}.png")
        Image.fromarray(np.rint(view.depth.values * 1000).astype(np.uint16)).save(folder / "depth" / f"{number}.png")
    if align is not None:
        numbers = " ".join(f"{v:.9f}" for v in align.ravel())
        (folder / "scene0000_00.txt").write_text(f"sceneType = Office\naxisAlignment = {numbers}\n")
    boxes = [
        {"label": label, "center": o.position, "size": o.size, "yaw_deg": o.yaw_deg}
        for label, o in zip(labels, views[0].scene.objects, strict=True)
    ]
    (folder / "boxes.json").write_text(json.dumps({"objects": boxes}))
    return folder


def write_kitti(folder: Path, view: View, kinds: list[str], points: bool) -> Path:
    """The camera must look along the world's +y from 1.65 m. points: as a lidar sweep, else as a depth picture."""
    for name in ("image_2", "label_2", "calib", "velodyne", "depth_2"):
        (folder / name).mkdir(parents=True)
    fx, fy = view.camera.focal_px(view.size)
    projection = np.array([[fx, 0, view.size[0] / 2, 0], [0, fy, view.size[1] / 2, 0], [0, 0, 1, 0]])
    lines = []
    for kind, o, box in zip(kinds, view.scene.objects, view.boxes, strict=True):
        # Camera axes: x = world x, y = -world z, z = world y; turned to face yaw_deg, counter-clockwise from world x.
        x, y, z = view.camera.to_camera([o.position])[0]
        length, width, height = o.size
        left, top, right, bottom = np.array(tuple(box)) * (view.size * 2)
        turned = -np.radians(o.yaw_deg)
        lines.append(
            f"{kind} 0.00 0 0.00 {left:.2f} {top:.2f} {right:.2f} {bottom:.2f} {height:.4f} {width:.4f} {length:.4f} "
            f"{x:.4f} {y + height / 2:.4f} {z:.4f} {turned:.6f}"
        )
    lines.append("DontCare -1 -1 -10 0.00 0.00 9.00 9.00 -1 -1 -1 -1000 -1000 -1000 -10")
    (folder / "label_2" / "000000.txt").write_text("\n".join(lines) + "\n")
    Image.fromarray(view.image).save(folder / "image_2" / "000000.png")
    # A lidar 0.3 m behind and 0.1 m above the camera, with its x ahead, y left, z up.
    turn = np.array([[0.0, -1, 0], [0, 0, -1], [1, 0, 0]])
    to_camera = np.hstack([turn, [[0.0], [-0.1], [-0.3]]])
    calib = {"P2": projection, "R0_rect": np.eye(3), "Tr_velo_to_cam": to_camera}
    text = "".join(f"{k}: {' '.join(f'{v:.12e}' for v in m.ravel())}\n" for k, m in calib.items())
    (folder / "calib" / "000000.txt").write_text(text)
    rows, columns = np.nonzero(view.depth.values < 80)
    depth = view.depth.values[rows, columns]
    if points:
        seen = view.camera.rays(np.stack([columns, rows], axis=1) + 0.5, view.size) * depth[:, None]
        lidar = (seen - to_camera[:, 3]) @ turn
        np.hstack([lidar, np.ones((len(lidar), 1))]).astype(np.float32).tofile(folder / "velodyne" / "000000.bin")
    else:
        levels = np.zeros(view.size[::-1], np.uint16)
        levels[rows, columns] = np.rint(depth * 256)
        Image.fromarray(levels).save(folder / "depth_2" / "000000.png")
    return folder

"""Depth maps: one class, readers of the encodings in use, and the protocol of estimators.

Inside the package larger is always farther. Disparity (large = near) is turned over at the edge, by the
reader that knows its source. Metric depth keeps metres and a mask of valid pixels; traces use relative
depth, 0 nearest and 1 farthest, which `DepthMap.relative` derives. Color pictures of depth are for people and
for the model's second image (`draw.depth_picture`) and are never read back.
"""

from .files import ENCODINGS, read_depth, read_stored
from .map import CLIP, DepthEstimator, DepthMap
from .points import project_points
from .stored import LEVELS, StoredDepth, decode_depth, encode_depth, write_depth

__all__ = [
    "CLIP",
    "ENCODINGS",
    "LEVELS",
    "DepthEstimator",
    "DepthMap",
    "StoredDepth",
    "decode_depth",
    "encode_depth",
    "project_points",
    "read_depth",
    "read_stored",
    "write_depth",
]

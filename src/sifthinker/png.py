"""PNG files of depth maps and their pictures, written fast.

Pillow tries all five filters on every row and deflates at level 6. Depth maps are smooth: differences to the left
neighbor alone, at level 2, take a fifth of the time for files of about the same size. Photos are Pillow's, and so is
reading.
"""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

LEVEL = 2
LEFT = 1
"""PNG's number of the filter that stores each byte's difference to that of the pixel on its left."""


def png_bytes(pixels: NDArray[Any]) -> bytes:
    """A PNG of pixels of shape (height, width), uint8 or uint16, or of shape (height, width, 3), uint8."""
    height, width = pixels.shape[:2]
    step = pixels.itemsize * (pixels.shape[2] if pixels.ndim == 3 else 1)
    rows = pixels.astype(">u2" if pixels.dtype == np.uint16 else np.uint8).view(np.uint8).reshape(height, width * step)
    lines = np.empty((height, 1 + width * step), np.uint8)
    lines[:, 0] = LEFT
    lines[:, 1 : 1 + step] = rows[:, :step]
    np.subtract(rows[:, step:], rows[:, :-step], out=lines[:, 1 + step :])
    header = struct.pack(">IIBBBBB", width, height, 8 * pixels.itemsize, 2 if pixels.ndim == 3 else 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines.data, LEVEL)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, content) for kind, content in chunks)


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(content, zlib.crc32(kind)))

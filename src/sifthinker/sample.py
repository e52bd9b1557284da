"""`Sample`: one question about one photo, with what is known about the answer."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps, UnidentifiedImageError

from .depth import DepthMap, StoredDepth, read_depth
from .errors import InputError, words_of
from .geometry import Box, Size
from .trace import Trace, parse_trace

ORIENTATION, SIDEWAYS = 0x0112, 5
"""The EXIF tag of how a photo is held, and the least of its values for those that lie on their side."""


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One question about one photo.

    id: unique and stable; progress, resume and pairing key on it.
    image: the photo, its file's bytes, or the path of its file; `photo()` opens it. None for a question in words only.
    depth: its depth map, open or stored, the path of a file with a sidecar, or None; `depth_map()` opens it.
    question, answer: the answer is the gold answer, "" when there is none (inference).
    choices: option texts in order (A, B, ...), empty for open questions.
    boxes: gold boxes of the evidence, unit xyxy of the unpadded image.
    meta: anything else: `answer_kind`, `task`, `group`, source facts.
    """

    id: str
    image: Image.Image | bytes | str | Path | None
    question: str
    answer: str = ""
    depth: DepthMap | StoredDepth | str | Path | None = None
    choices: tuple[str, ...] = ()
    boxes: tuple[Box, ...] = ()
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "choices", tuple(self.choices))
        object.__setattr__(self, "boxes", tuple(self.boxes))

    def photo(self) -> Image.Image:
        """The photo as RGB, rotated as its EXIF tag says. Raises `InputError` where there is none to be read."""
        if self.image is None:
            raise InputError(f"{self.id}: has no photo; it is a question in words only")
        return open_photo(self.image)

    def photo_data(self) -> bytes:
        """What tells the photo from others: the bytes of its file, or its pixels where it has none; b"" without one."""
        if isinstance(self.image, bytes) or self.image is None:
            return self.image or b""
        return self.photo().tobytes() if isinstance(self.image, Image.Image) else Path(self.image).read_bytes()

    def depth_map(self) -> DepthMap | None:
        """The depth map, or None when the sample has none."""
        if self.depth is None or isinstance(self.depth, DepthMap):
            return self.depth
        return self.depth.open() if isinstance(self.depth, StoredDepth) else read_depth(self.depth)


def parse_reply(reply: str, sample: Sample) -> Trace:
    """The trace of a reply to a sample: areas are asked for where there is a picture, depths where there is a map."""
    return parse_trace(reply, areas=sample.image is not None, depth_required=sample.depth is not None)


def open_photo(source: Image.Image | str | Path | bytes) -> Image.Image:
    """A photo as 8-bit RGB after EXIF rotation, fully decoded.

    Raises `InputError` for a missing, truncated or unreadable file, and for 16-bit or floating-point
    pictures, which are depth maps rather than photos.
    """
    name = source if isinstance(source, (str, Path)) else "image"
    try:
        if isinstance(source, Image.Image):
            image = source
        else:
            image = Image.open(io.BytesIO(source) if isinstance(source, bytes) else source)
        if image.mode.startswith(("I", "F")):
            raise InputError(
                f"{name}: a {image.mode} picture is a depth map, not a photo; expected 8-bit RGB or gray "
                "(give depth maps with --depth)"
            )
        image.load()
        return ImageOps.exif_transpose(image).convert("RGB")
    except FileNotFoundError as error:
        raise InputError(f"{name}: no such image file") from error
    except IsADirectoryError as error:
        raise InputError(f"{name}: is a folder, not an image file") from error
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        why = words_of(error)
        raise InputError(f"{name}: cannot be read as an image ({why}); the file may be truncated") from error


def photo_size(source: str | Path | bytes) -> Size:
    """The size of what `open_photo` gives, from the file's header; no pixel is decoded.

    Raises `InputError` where the header cannot be read.
    """
    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
            # A PNG may say it after its pixels, and Pillow would decode those to get there.
            turned = image.format != "PNG" and image.getexif().get(ORIENTATION, 1) >= SIDEWAYS
            return (image.height, image.width) if turned else image.size
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        name = "image" if isinstance(source, bytes) else source
        why = words_of(error)
        raise InputError(f"{name}: cannot be read as an image ({why}); the file may be truncated") from error

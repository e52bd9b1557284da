"""What every source is told beside its path."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..files import FileIndex


@dataclass(frozen=True, slots=True)
class Options:
    """images: folder of the photos, None: beside the annotation file. seed: of questions that are drawn.

    depth_encoding: key of `depth.ENCODINGS` for depth files that do not say what their numbers mean.
    """

    images: Path | None = None
    seed: int = 0
    depth_encoding: str | None = None

    def photos(self, path: Path) -> FileIndex:
        """The photos for the annotation file `path`. Raises `InputError` when their folder does not exist."""
        return FileIndex(self.images or path.parent)

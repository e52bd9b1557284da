"""What every source is told beside its path."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ...errors import InputError
from ..files import FileIndex


@dataclass(frozen=True, slots=True)
class Options:
    """images: folder of the photos, None: beside the annotation file. seed: of questions that are drawn.

    depth_encoding: key of `depth.ENCODINGS` for depth files that do not say what their numbers mean.
    columns: field -> column, of sources that are told their columns.
    """

    images: Path | None = None
    seed: int = 0
    depth_encoding: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)

    def photos(self, path: Path) -> FileIndex:
        """The photos for the annotation file `path`. Raises `InputError` when their folder does not exist."""
        return FileIndex(self.images or path.parent)


def read_columns(text: str) -> dict[str, str]:
    """`--columns`: `image=photo,boxes=objects.bbox` as a mapping. Raises `InputError`."""
    pairs = [part.partition("=") for part in text.split(",") if part.strip()]
    if not all(field.strip() and column.strip() for field, _, column in pairs):
        raise InputError(f"--columns {text!r}: expected FIELD=COLUMN, with a comma between two of them")
    return {field.strip(): column.strip() for field, _, column in pairs}

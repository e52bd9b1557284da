"""Models that come with the package: one folder each beside this file, known by its name wherever a model is named."""

from __future__ import annotations

from pathlib import Path

HERE = Path(__file__).parent


def names() -> list[str]:
    """Of the models that are here."""
    return sorted(folder.parent.name for folder in HERE.glob("*/config.json"))


def located(model: str | Path) -> str | Path:
    """The folder of a model of this package; anything else, also a folder of that name where one works, as it is."""
    return HERE / model if str(model) in names() and not Path(model).exists() else model


def about(name: str) -> str:
    """The first line below the title of a model's card."""
    lines = (HERE / name / "README.md").read_text(encoding="utf-8").splitlines()
    return next(line for line in lines if line and not line.startswith("#"))

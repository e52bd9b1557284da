"""Where a result comes from: versions, git commit, the identity of a model folder. For run folders."""

from __future__ import annotations

import hashlib
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from . import __version__
from .models import located

PACKAGES = ("numpy", "pillow", "torch", "transformers", "trl", "peft", "accelerate", "datasets", "openai", "trimesh")
"""Packages that can move a number."""

WEIGHTS = ("*.safetensors", "*.bin", "*.gguf", "config.json", "adapter_config.json")

_EDGE = 1 << 16
"""Bytes hashed at both ends of a weight file: training moves all weights, so this tells models apart at once."""


def provenance() -> dict[str, Any]:
    """The package's version, Python's, those of `PACKAGES` that are installed, and the git commit if there is one."""
    return {
        "sifthinker": __version__,
        "python": platform.python_version(),
        "versions": {name: found for name in PACKAGES if (found := _version(name))},
        "git_commit": git_commit(),
    }


def git_commit() -> str | None:
    """Commit of the checkout that this file is part of, with `+changes` where it was edited; None when installed."""
    here = Path(__file__).resolve()

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", "-C", str(here.parent), *arguments], capture_output=True, text=True, timeout=10, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    # A package installed somewhere inside of a stranger's checkout is not part of it.
    if git("ls-files", "--error-unmatch", here.name) is None or (commit := git("rev-parse", "HEAD")) is None:
        return None
    return commit + ("+changes" if git("status", "--porcelain", "--untracked-files=no", ".") else "")


def folder_identity(folder: str | Path) -> str | None:
    """Twelve hex digits that change when the weights in a model folder do; None for anything but a folder
    or a model of this package.

    Names, sizes and both ends of the files are hashed, not all of the content.
    """
    folder = Path(located(folder))
    if not folder.is_dir():
        return None
    digest = hashlib.sha256()
    for path in sorted(p for pattern in WEIGHTS for p in folder.glob(pattern)):
        size = path.stat().st_size
        digest.update(f"{path.name} {size}\n".encode())
        with path.open("rb") as file:
            digest.update(file.read(_EDGE))
            file.seek(max(0, size - _EDGE))
            digest.update(file.read())
    return digest.hexdigest()[:12]


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None

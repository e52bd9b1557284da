"""Merge a LoRA adapter into its base, for engines that want one plain model folder."""

from __future__ import annotations

from pathlib import Path

from ..errors import InputError


def merge(adapter: str | Path, out: str | Path) -> Path:
    """Write base + adapter as one model folder, with the adapter's processor.

    Raises `InputError` when `adapter` holds no adapter, or `out` is not empty.
    """
    from ..engines.processor import load_model, load_processor

    folder, out = Path(adapter), Path(out)
    if not (folder / "adapter_config.json").exists():
        raise InputError(f"{folder}: no adapter here (no adapter_config.json); full models need no merging")
    if out.exists() and any(out.iterdir()):
        raise InputError(f"{out} is not empty: give an empty folder with --out")
    merged = load_model(str(folder), trainable=True).merge_and_unload()  # type: ignore[operator]
    merged.save_pretrained(out)
    load_processor(str(folder)).save_pretrained(out)
    return out

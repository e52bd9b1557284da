"""Merge a LoRA adapter into its base, for engines that want one plain model folder."""

from __future__ import annotations

import shutil
from pathlib import Path

from ..errors import InputError
from ..records import disk_errors


def merge(adapter: str | Path, out: str | Path) -> Path:
    """Write base + adapter as one model folder, with the adapter's processor, card and stamp; all of it or nothing.

    In the type that the base was saved in, also where it was rounded while the adapter was trained (`quantize`).
    Raises `InputError` when `adapter` holds no adapter, its base is stored rounded, or `out` is not empty.
    """
    from ..engines.processor import load_model, load_processor, model_config
    from ..engines.stamp import STAMP

    folder, out = Path(adapter), Path(out)
    if not (folder / "adapter_config.json").exists():
        raise InputError(f"{folder}: no adapter here (no adapter_config.json); full models need no merging")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out} is not an empty folder: give another --out")
    if getattr(model_config(folder), "quantization_config", None):
        raise InputError(
            f"{folder}: its base is stored rounded, and sums would be rounded again; name the original base in "
            "base_model_name_or_path of adapter_config.json"
        )
    merged = load_model(str(folder), trainable=True).merge_and_unload()  # type: ignore[operator]
    torn = out.with_name(f".{out.name}.torn")
    shutil.rmtree(torn, ignore_errors=True)
    try:
        with disk_errors(out):
            torn.mkdir(parents=True)
            merged.save_pretrained(torn)
            load_processor(str(folder)).save_pretrained(torn)
            for name in (STAMP, "README.md"):
                if (folder / name).exists():
                    shutil.copyfile(folder / name, torn / name)
            torn.replace(out)  # over an empty folder, too
    finally:
        shutil.rmtree(torn, ignore_errors=True)
    return out

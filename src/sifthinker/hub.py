"""Names of models and data sets: a folder here, or an id on the hub.

The libraries that load them take seconds to import, and half a minute of tries to find out that there is no network.
What cannot be had is told before that. Loading is left out.
"""

from __future__ import annotations

import re
from pathlib import Path

from .errors import InputError

TIMEOUT_S = 10.0
FILES = {"model": "config.json", "dataset": "README.md"}
"""What is asked for, to see whether the hub answers."""


def is_hub_id(name: str) -> bool:
    """Whether a name has the form of a hub id.

    >>> is_hub_id("owner/name"), is_hub_id("./name"), is_hub_id("runs/sft/best")
    (True, False, False)
    """
    return re.fullmatch(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?", name) is not None


def check_name(name: str | Path, what: str, kind: str = "model") -> None:
    """Raises `InputError` for what is neither a folder nor a hub id, and for an id while the hub cannot be reached.

    An id whose first part is a folder here is a path, unless the hub's cache has it. what: is looked for, for the
    message. kind: `model` or `dataset`.
    """
    folder = Path(name)
    if folder.is_dir():
        return
    if folder.is_file():
        raise InputError(f"{name}: a file; expected the folder of {what}, or a hub id")
    if not is_hub_id(str(name)):
        raise InputError(f"{name}: no such folder, and not a hub id (owner/name); expected {what}")
    try:
        from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url
        from huggingface_hub.errors import HfHubHTTPError
        from huggingface_hub.file_download import repo_folder_name
    except ImportError:
        return  # whoever loads it says what to install
    # Any file will do: adapters have no config, and not every data set has a card.
    if Path(constants.HF_HUB_CACHE, repo_folder_name(repo_id=str(name), repo_type=kind), "snapshots").is_dir():
        return
    if len(folder.parts) > 1 and (first := Path(folder.parts[0])).is_dir():
        raise InputError(
            f"{name}: no such folder, but {first}/ is here, so this is taken for a path and not for a hub id; "
            f"expected the folder of {what}"
        )
    url = hf_hub_url(str(name), FILES[kind], repo_type=kind)
    try:
        get_hf_file_metadata(url, timeout=TIMEOUT_S)
    except HfHubHTTPError:
        return  # it answers; what it says is told by whoever loads
    except Exception as error:  # of requests, httpx or httpx2, by the version of the library
        raise InputError(
            f"{name}: no such folder here, and the hub does not answer ({url}: {error}); check the name and the "
            f"network, or give the folder of {what}"
        ) from error

"""Configs of training: one flat YAML file holds our fields and TRL's own, any of which a flag overrides.

Our fields are the dataclasses beside `sft` and `grpo`; every other key must be a field of TRL's `SFTConfig` or
`GRPOConfig` and is passed through unchanged. Values are checked here, before anything heavy happens.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import yaml

from ..errors import InputError, unknown_name

T = TypeVar("T")

RECIPES = resources.files("sifthinker") / "recipes"


def recipe_names() -> list[str]:
    """Names of the recipes inside the package."""
    return sorted(p.name.removesuffix(".yaml") for p in RECIPES.iterdir() if p.name.endswith(".yaml"))


def read_yaml(source: str | Path) -> dict[str, Any]:
    """The mapping in a YAML file, or in the recipe of that name.

    Raises `InputError` for missing files and broken YAML.
    """
    path = Path(source)
    if path.suffix in (".yaml", ".yml") or path.exists():
        if not path.is_file():
            raise InputError(f"{path}: no such config file")
        text = path.read_text()
    elif str(source) in recipe_names():
        text = (RECIPES / f"{source}.yaml").read_text()
    else:
        raise unknown_name("recipe", str(source), recipe_names())
    try:
        data = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise InputError(f"{source}: not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(data, dict):
        raise InputError(f"{source}: expected `field: value` lines, got a {type(data).__name__}")
    return data


def parse_flags(flags: Sequence[str]) -> dict[str, Any]:
    """`--learning-rate 1e-4 --bf16` as a mapping; values are read as YAML, a flag without value is true.

    >>> parse_flags(["--learning-rate", "1e-4", "--bf16", "--rewards=[form, answer]"])
    {'learning_rate': 0.0001, 'bf16': True, 'rewards': ['form', 'answer']}
    """
    found: dict[str, Any] = {}
    position = 0
    while position < len(flags):
        flag = flags[position]
        if not flag.startswith("--"):
            raise InputError(f"unexpected argument {flag!r}: fields are overridden with --field value")
        name, given, value = flag[2:].partition("=")
        if not given and position + 1 < len(flags) and not flags[position + 1].startswith("--"):
            position += 1
            given, value = "=", flags[position]
        found[name.replace("-", "_")] = _number(yaml.safe_load(value)) if given else True
        position += 1
    return found


def _number(value: Any) -> Any:
    """YAML 1.1 reads 1e-4 (no dot) as text; everyone who writes it means the number."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def split_config(values: dict[str, Any], ours: type[T], trl: type) -> tuple[T, dict[str, Any]]:
    """Our dataclass and the rest, whose keys are all fields of TRL's config.

    Raises `InputError` for unknown keys (with the nearest known one), missing fields, and wrong types.
    """
    own = {f.name: f for f in dataclasses.fields(ours)}  # type: ignore[arg-type]
    theirs = {f.name for f in dataclasses.fields(trl)}
    values = {key: _number(value) if isinstance(value, str) else value for key, value in values.items()}
    for key in values:
        if key not in own and key not in theirs:
            raise unknown_name("config field", key, [*own, *theirs])
    missing = [
        name
        for name, f in own.items()
        if name not in values and f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise InputError(f"config field {missing[0]} is missing: set it in the file or with --{missing[0]} VALUE")
    for name in own.keys() & values.keys():
        values[name] = _typed(name, values[name], str(own[name].type))
    return ours(**{k: v for k, v in values.items() if k in own}), {k: v for k, v in values.items() if k not in own}


_TYPES: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
    "list[str]": (list, tuple),
    "tuple[str, ...]": (list, tuple),
}


def _typed(name: str, value: Any, annotation: str) -> Any:
    optional = annotation.endswith(" | None")
    kind = annotation.removesuffix(" | None")
    if value is None and optional:
        return None
    if kind == "int" and isinstance(value, float) and value.is_integer():
        value = int(value)
    accepted = _TYPES[kind]
    if not isinstance(value, accepted) or (isinstance(value, bool) and bool not in accepted):
        raise InputError(f"config field {name}: expected {kind}, got {value!r}")
    return tuple(value) if isinstance(value, list) and kind.startswith("tuple") else value


def to_dict(ours: Any, rest: dict[str, Any]) -> dict[str, Any]:
    """The resolved config as it is stored in run folders."""
    return {**dataclasses.asdict(ours), **rest}

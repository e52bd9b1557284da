"""Recipes: settings of trainings, data sets and studies as YAML files in this folder, by name, and how YAML is read."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from ..errors import InputError, unknown_name

RECIPES = resources.files("sifthinker.recipes")


class _Yaml(yaml.SafeLoader):
    """Plain values as YAML 1.2 has them: `no` and `off` are words, 1e-4 is a number."""


_BOOL, _FLOAT = "tag:yaml.org,2002:bool", "tag:yaml.org,2002:float"
_Yaml.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in known if tag not in (_BOOL, _FLOAT)]
    for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Yaml.add_implicit_resolver(_BOOL, re.compile(r"(true|True|TRUE|false|False|FALSE)$"), list("tTfF"))
_Yaml.add_implicit_resolver(
    _FLOAT, re.compile(r"[-+]?(\.\d+|\d+(\.\d*)?)([eE][-+]?\d+)?$|[-+]?\.(inf|Inf|INF)$|\.nan$"), list("-+.0123456789")
)


LAUNCH = RECIPES / "accelerate"
"""How several processes are started: configs of `accelerate launch`."""


def recipe_names(folder: Any = RECIPES) -> list[str]:
    """Names of the recipes inside the package, or of the configs in `LAUNCH`."""
    return sorted(p.name.removesuffix(".yaml") for p in folder.iterdir() if p.name.endswith(".yaml"))


def recipe_path(name: str) -> str:
    """The file of a recipe, or of a config in `LAUNCH`. Raises `InputError` for an unknown name."""
    for folder in (RECIPES, LAUNCH):
        if name in recipe_names(folder):
            return str(folder / f"{name}.yaml")
    raise unknown_name("recipe", name, [*recipe_names(), *recipe_names(LAUNCH)])


def read_yaml(source: str | Path, above: tuple[str, ...] = ()) -> dict[str, Any]:
    """The mapping in a YAML file, or in the recipe of that name.

    A file with `recipe: NAME` (or a path) begins with the fields of that one and says what is different.

    above: those that led here. Raises `InputError` for missing files, broken YAML, and recipes that go round.
    """
    path = Path(source)
    if path.suffix in (".yaml", ".yml") or path.exists():
        if not path.is_file():
            raise InputError(f"{path}: no such config file")
        text = path.read_bytes()
    elif str(source) in recipe_names():
        text = (RECIPES / f"{source}.yaml").read_bytes()
    else:
        raise unknown_name("recipe", str(source), recipe_names())
    data = parse_yaml(str(source), text) or {}
    if not isinstance(data, dict):
        raise InputError(f"{source}: expected `field: value` lines, got a {type(data).__name__}")
    if "recipe" not in data:
        return data
    base, chain = str(data.pop("recipe")), (*above, str(source))
    if base in chain:
        raise InputError(f"{source}: recipe: {base} begins with this one: {' -> '.join((*chain, base))}")
    return {**read_yaml(base, chain), **data}


def parse_yaml(where: str, text: str | bytes) -> Any:
    """The value of a YAML text. where: what a mistake in it is told of. Raises `InputError`."""
    try:
        return yaml.load(text, _Yaml)
    except yaml.YAMLError as error:
        raise InputError(f"{where}: not YAML: {' '.join(str(error).split())}") from error

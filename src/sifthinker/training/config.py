"""Configs of training: one flat YAML file holds our fields and TRL's own, any of which a flag overrides.

Our fields are the dataclasses beside `sft` and `grpo`; every other key must be a field of TRL's `SFTConfig` or
`GRPOConfig` and is passed through unchanged. Values are checked here, before anything heavy happens.
"""

from __future__ import annotations

import ast
import dataclasses
import difflib
import inspect
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

from ..errors import InputError
from ..hub import check_name
from ..models import located
from ..recipes import parse_yaml, read_yaml, recipe_names

T = TypeVar("T")


def check_model(arguments: Sequence[str]) -> None:
    """Raises `InputError` where a new run's `--model` is not there: before TRL is loaded, which takes long."""
    words = [word for argument in arguments for word in argument.split("=", 1)]
    # A finished run that is resumed needs its model no more.
    if "--model" in words[:-1] and "--resume" not in words:
        check_name(located(words[words.index("--model") + 1]), "a model")


def read_arguments(arguments: Sequence[str], *kinds: type) -> dict[str, Any]:
    """The values of a config with flags laid over them, from `CONFIG --field value ...` in any order. A folder in place
    of a config says its `data` only.

    kinds: the dataclasses that know the fields. A flag of a truth value needs no value: `--bf16` is true.

    >>> from .sft import SftConfig
    >>> read_arguments(["--resume", "tiny-sft", "--limit", "8", "--data=mine"], SftConfig)["limit"]
    '8'
    """
    fields = fields_of(*kinds)
    config, flags, rest = None, {}, list(arguments)
    while rest:
        argument = rest.pop(0)
        if not argument.startswith("--"):
            if config is not None:
                raise InputError(f"unexpected argument {argument!r}: fields are overridden with --field value")
            config = argument
            continue
        flag, given, value = argument[2:].partition("=")
        stage, dot, field = flag.rpartition(".")
        field = field.replace("-", "_")
        name = f"{stage}{dot}{field}"
        _known(field, fields)
        if not given and _kind(fields[field]) == "bool" and not (rest and rest[0].lower() in _TRUTH):
            value = "true"
        elif not given:
            if not rest or rest[0].startswith("--"):
                raise InputError(f"--{flag} needs a value ({fields[field]})")
            value = rest.pop(0)
        flags[name] = value
    if config is None:
        raise InputError(
            f"no config given: name a YAML file, a data set folder, or a recipe: {', '.join(recipe_names())}"
        )
    return {**({"data": config} if Path(config).is_dir() else read_yaml(config)), **flags}


def fields_of(*kinds: type) -> dict[str, str]:
    """Name and type, as text, of every field of some dataclasses."""
    return {
        f.name: f.type if isinstance(f.type, str) else f.type.__name__ if type(f.type) is type else str(f.type)
        for kind in kinds
        for f in dataclasses.fields(kind)
    }


def split_config(values: Mapping[str, Any], ours: type[T], trl: type) -> tuple[T, dict[str, Any]]:
    """Our dataclass and the rest, whose keys are all fields of TRL's config.

    Text for a field that does not hold text is read as YAML. `stage: sft` or `stage: grpo` says what a file is for.
    Raises `InputError` for a file of the other stage, unknown keys (with the nearest known ones), missing fields, and
    wrong types.
    """
    for field, command in (("stages", "train"), ("sources", "build"), ("rows", "study")):
        if field in values:
            raise InputError(f"this config holds {field}: run it with `sifthinker {command}`")
    kind = ours.__name__.removesuffix("Config").lower()
    if (meant := values.get("stage", kind)) != kind:
        raise InputError(f"this config is for `sifthinker {meant}`, not for `sifthinker {kind}` (its field stage)")
    values = {key: value for key, value in values.items() if key != "stage"}
    own = {f.name: f for f in dataclasses.fields(ours)}  # type: ignore[arg-type]
    fields = fields_of(trl, ours)
    for key in values:
        _known(key, fields)
    missing = [
        name
        for name, f in own.items()
        if name not in values and f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise InputError(f"config field {missing[0]} is missing: set it in the file or with --{missing[0]} VALUE")
    typed = {key: typed_value(key, value, fields[key]) for key, value in values.items()}
    return ours(**{k: v for k, v in typed.items() if k in own}), {k: v for k, v in typed.items() if k not in own}


def _known(name: str, fields: Mapping[str, str]) -> None:
    if name not in fields:
        near = difflib.get_close_matches(name, fields, n=3, cutoff=0.6)
        hint = f"did you mean {' or '.join(map(repr, near))}?" if near else "it is neither ours nor of TRL's config;"
        raise InputError(f"unknown config field {name!r}: {hint} `sifthinker sft --help` lists ours")


_TRUTH = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}

_TYPES: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
    "list[str]": (list, tuple),
    "list[float]": (list, tuple),
    "tuple[str, ...]": (list, tuple),
}
"""What a field of that type takes; fields of other types are left to TRL."""


def _kind(annotation: str) -> str:
    return annotation.removesuffix(" | None")


def typed_value(name: str, value: Any, annotation: str) -> Any:
    """A value as a field of that type takes it; text for other types is read as YAML. Raises `InputError`."""
    kind = _kind(annotation)
    if isinstance(value, str):
        if kind == "bool":
            value = _TRUTH.get(value.lower(), value)
        elif kind.startswith(("list[", "tuple[")) and value != "null" and not value.lstrip().startswith("["):
            # As on other command lines: a,b for [a, b].
            value = parse_yaml(f"config field {name}", f"[{value}]")
        elif kind != "str" or value == "null":
            value = parse_yaml(f"config field {name}", value)
    if kind not in _TYPES or (value is None and kind != annotation):
        return value
    if kind == "int" and isinstance(value, float) and value.is_integer():
        value = int(value)
    accepted = _TYPES[kind]
    if not isinstance(value, accepted) or (isinstance(value, bool) and bool not in accepted):
        raise InputError(f"config field {name}: expected {kind}, got {value!r}")
    return tuple(value) if isinstance(value, list) and kind.startswith("tuple") else value


def to_dict(ours: Any, rest: dict[str, Any]) -> dict[str, Any]:
    """The config as it was given, as it is stored in run folders."""
    return {**dataclasses.asdict(ours), **rest}


@contextmanager
def trl_refusals() -> Iterator[None]:
    """Turn what TRL and transformers raise for settings they do not take into an `InputError` of one line."""
    try:
        yield
    except InputError:
        raise
    except (ValueError, TypeError, NotImplementedError, ImportError) as error:
        raise InputError(f"the trainer refuses these settings: {' '.join(str(error).split())}") from error


def help_text(ours: type, trl: str) -> str:
    """Our fields with meaning and default, one a line, and the name of TRL's config; printed by `--help`."""
    docs = field_docs(ours)
    lines = ["Fields, in the file or as --field VALUE:"]
    for f in dataclasses.fields(ours):
        default = ", ".join(f.default) if isinstance(f.default, tuple) else f.default
        about = docs[f.name] if default is dataclasses.MISSING else f"{docs[f.name]} [{default}]"
        lines.append(textwrap.fill(about, 110, initial_indent=f"  {f.name:<14} ", subsequent_indent=" " * 17))
    lines.append(f"Every field of TRL's {trl} is taken as well, for example --learning-rate 1e-5 --max-steps 100.")
    return "\n".join(lines) + "\n"


def field_docs(kind: type) -> dict[str, str]:
    """The text under each field of a dataclass."""
    body = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0].body  # type: ignore[attr-defined]
    return {
        field.target.id: " ".join(doc.value.value.split())
        for field, doc in pairwise(body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(doc, ast.Expr)
        and isinstance(doc.value, ast.Constant)
        and isinstance(doc.value.value, str)
    }

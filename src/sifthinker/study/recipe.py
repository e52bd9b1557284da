"""The recipe of a study: read, held against what its fields may be, and where its parts come to lie.

Whether the trainings and benchmarks in it can be run is looked at in `study`.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError, unknown_name
from ..evaluate import evaluate
from ..recipes import read_yaml

OPTIONS = {
    name: parameter
    for name, parameter in inspect.signature(evaluate).parameters.items()
    if name not in ("model", "out", "resume", "allow_failed")
}
"""What a benchmark of a recipe may say: the options of `evaluate`."""

OF_A_ROW = ("depth", "max_tokens", "temperature", "max_pixels", "batch_size")
"""Those that a row may set for itself: the items stay the same."""

OURS = ("model", "out", "seed", "resume")
"""Fields of stages that the study sets."""


@dataclass(frozen=True)
class Row:
    """One way to train.

    start: name of the row, or model, that it begins with. asked: its own options of `evaluate`. against: the row that
    it is compared with.
    """

    name: str
    about: str
    start: str
    from_row: bool
    stages: tuple[Mapping[str, Any], ...]
    asked: Mapping[str, Any]
    against: str


@dataclass(frozen=True)
class Study:
    """A recipe that was read. benchmarks: name -> all options of `evaluate`. recipe: as it was given."""

    out: Path
    seeds: tuple[int, ...]
    reference: str
    benchmarks: Mapping[str, Mapping[str, Any]]
    rows: Mapping[str, Row]
    recipe: Mapping[str, Any]

    def trained(self, row: Row) -> bool:
        """Whether a row, or one that it begins with, is trained, so that seeds differ."""
        return bool(row.stages) or (row.from_row and self.trained(self.rows[row.start]))

    def own_seeds(self, row: Row) -> tuple[int, ...]:
        """Seeds that a row has results of; those of the first count for all where nothing is trained."""
        return self.seeds if self.trained(row) else self.seeds[:1]

    def folder(self, row: Row, seed: int) -> Path:
        """Where a row's results of a seed are."""
        return self.out / row.name / f"seed-{seed if self.trained(row) else self.seeds[0]}"

    def model(self, row: Row, seed: int) -> str:
        """What a row comes to, as `--model` takes it."""
        if row.stages:
            return str(self.folder(row, seed) / row.stages[-1]["name"])
        return self.model(self.rows[row.start], seed) if row.from_row else row.start

    def training(self, row: Row, seed: int) -> dict[str, Any]:
        """The trainings of a row as a recipe of `sifthinker train`."""
        start = self.model(self.rows[row.start], seed) if row.from_row else row.start
        out = str(self.folder(row, seed))
        return {"out": out, "model": start, "seed": seed, "resume": True, "stages": [dict(s) for s in row.stages]}

    def evaluation(self, row: Row, seed: int, benchmark: str) -> tuple[Path, dict[str, Any]]:
        """Run folder and options of an evaluation."""
        return self.folder(row, seed) / "eval" / benchmark, {**self.benchmarks[benchmark], **row.asked}


def read_study(values: Mapping[str, Any], out: Path) -> Study:
    """A recipe as a study. Raises `InputError` for what is missing, unknown, or of another type."""
    _fields("the recipe", values, ("seeds", "reference", "benchmarks", "rows"), ("about",))
    seeds = values["seeds"]
    if not isinstance(seeds, list) or not seeds or not all(type(s) is int and s >= 0 for s in seeds):
        raise InputError(f"seeds: expected a list of whole numbers from 0, got {seeds!r}")
    if len(set(seeds)) < len(seeds):
        raise InputError(f"seeds: each once, got {seeds}")
    benchmarks = {name: _benchmark(name, given) for name, given in _mapping("benchmarks", values["benchmarks"]).items()}
    if not isinstance(values["rows"], list) or not values["rows"]:
        raise InputError("rows: expected a list of rows, each with a name")
    rows: dict[str, Row] = {}
    for given in values["rows"]:
        row = _row(given, rows, str(values["reference"]))
        rows[row.name] = row
    if values["reference"] not in rows:
        raise unknown_name("reference", str(values["reference"]), rows)
    for row in rows.values():
        if row.against not in rows:
            raise InputError(f"row {row.name}: {unknown_name('row', row.against, rows)}")
    return Study(out, tuple(seeds), values["reference"], benchmarks, rows, dict(values))


def _benchmark(name: Any, given: Any) -> dict[str, Any]:
    where = f"benchmark {name}"
    _folder_name(where, name)
    _fields(where, _mapping(where, given), ("benchmark",), tuple(OPTIONS))
    defaults = {key: parameter.default for key, parameter in OPTIONS.items() if key != "benchmark"}
    return {**defaults, **_options(where, given)}


def _options(where: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Options of `evaluate` with their types."""
    from ..training.config import typed_value

    with within(where):
        found = {name: typed_value(name, value, OPTIONS[name].annotation) for name, value in given.items()}
        for name in ("n", "limit", "batch_size", "max_tokens", "max_pixels"):
            if found.get(name) is not None and found[name] < 1:
                raise InputError(f"{name} {found[name]}: expected 1 or more")
    return found


def _row(given: Any, above: Mapping[str, Row], reference: str) -> Row:
    """A row. above: those that it may begin with. reference: what it is compared with if it does not say."""
    name = given.get("name") if isinstance(given, dict) else None
    where = f"row {name}"
    name = _folder_name(where, name)
    if name in above:
        raise InputError(f"{where}: there are two of that name")
    _fields(where, given, ("name", "about"), ("from", "model", "stages", "eval", "against"))
    if ("from" in given) == ("model" in given):
        raise InputError(f"{where}: say what it begins with: `from: ROW` or `model: PATH`, one of them")
    if "from" in given and given["from"] not in above:
        raise InputError(f"{where}: from {given['from']}: there is no such row above it; there are: {', '.join(above)}")
    asked = _mapping(f"{where}: eval", given["eval"]) if "eval" in given else {}
    if others := [key for key in asked if key not in OF_A_ROW]:
        raise InputError(f"{where}: eval: {others[0]} is not a row's own; only {', '.join(OF_A_ROW)} are")
    stages = given.get("stages", [])
    if not isinstance(stages, list) or not all(isinstance(stage, dict) for stage in stages):
        raise InputError(f"{where}: stages: expected a list of stages, each with `stage: sft` or `stage: grpo`")
    with within(where):
        made = tuple(_stage(stage) for stage in stages)
    start = str(given.get("from", given.get("model")))
    against = str(given.get("against", reference))
    return Row(name, str(given["about"]), start, "from" in given, made, _options(f"{where}: eval", asked), against)


def _stage(given: Mapping[str, Any]) -> dict[str, Any]:
    """A stage with the fields of its recipe, its own over them."""
    name = given.get("name", given.get("stage"))
    if name == "eval":
        raise InputError("stage eval: the name is that of the folder of evaluations; give another")
    if taken := [key for key in OURS if key in given]:
        raise InputError(f"stage {name}: {taken[0]} is set by the study; leave it out")
    fields = read_yaml(given["recipe"]) if "recipe" in given else {}
    if fields.get("stage", given.get("stage")) != given.get("stage"):
        raise InputError(f"stage {name}: recipe {given['recipe']} is for `stage: {fields['stage']}`")
    if "stages" in fields:
        raise InputError(f"stage {name}: recipe {given['recipe']} holds stages itself; list them here")
    fields = {key: value for key, value in fields.items() if key not in OURS}
    return {**fields, **{key: value for key, value in given.items() if key != "recipe"}, "name": name}


def _fields(where: str, given: Mapping[str, Any], needed: Sequence[str], more: Sequence[str]) -> None:
    for key in given:
        if key not in (*needed, *more):
            raise InputError(f"{where}: {unknown_name('field', str(key), (*needed, *more))}")
    if missing := [key for key in needed if key not in given]:
        raise InputError(f"{where}: {missing[0]} is missing")


def _mapping(where: str, given: Any) -> dict[str, Any]:
    if not isinstance(given, dict) or not given:
        raise InputError(f"{where}: expected `name: value` lines, got {given!r}")
    return given


def _folder_name(where: str, name: Any) -> str:
    if not isinstance(name, str) or Path(name).name != name or name in ("..", ""):
        raise InputError(f"{where}: expected a name that can be a folder")
    return name


@contextlib.contextmanager
def within(where: str) -> Iterator[None]:
    """Say where in the recipe an input is wrong."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{where}: {error}") from error

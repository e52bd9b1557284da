"""Where the rows of a build come from: one source, or the sources of a recipe, mixed into one data set.

    # What this mix is.
    depth: auto                     # as the flags of `build`: depth, depth_encoding, steps, annotator, seed
    dedupe: content                 # content, name or none: one question a photo over all sources
    sources:
      - {name: gqa, source: viscot:metadata/gqa_cot_train.jsonl, images: cot/gqa, cap: 10000}
      - {name: mine, source: hub:my/set, columns: {image: photo, frame: pixel_xyxy}, depth: none}

The sources follow one another; ids begin with the name of their source, which is also the column `source` of the
rows. `limit` reads the first so many rows of a source. `cap` keeps at most so many samples, drawn by a keyed hash of
their ids: which ones depends on the seed, the name and the ids, not on their order. `total` with `weight`s (1 if not
said) gives each source a cap of its share. A source with a cap is read twice; the first time only the smallest hashes
are held."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache, partial
from itertools import accumulate, islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError, unknown_name
from ..recipes import read_yaml, recipe_names
from ..records import digest
from ..sample import Sample
from .depths import AddDepth, depth_adder
from .expand import check_steps
from .files import plain_name
from .outcome import Reject
from .seeds import name_bytes
from .seen import Keys
from .sources import Rows, Source, check_source, find_source, open_source
from .sources.options import Options

MIX = "mix"
"""The kind of a build from a recipe."""

DEDUPE = ("content", "name", "none")

DRAWN_AT_ONCE = 65536
"""Keys that are sorted together where a cap is drawn, at least."""


@dataclass(frozen=True, slots=True)
class Part:
    """One source of a recipe; see the module's docstring. depth, depth_encoding: None for those of the recipe."""

    source: str
    name: str = ""
    images: str | None = None
    depth: str | None = None
    depth_encoding: str | None = None
    columns: Mapping[str, str] = dataclasses.field(default_factory=dict)
    limit: int | None = None
    cap: int | None = None
    weight: float | None = None


@dataclass(frozen=True, slots=True)
class Recipe:
    """A mix, as its file says it. root: the folder of all relative paths; that of the recipe if not said."""

    sources: tuple[Part, ...]
    root: str = ""
    seed: int = 0
    depth: str = "source"
    depth_encoding: str | None = None
    steps: int | None = None
    annotator: str | Mapping[str, float] = "template"
    dedupe: str = "content"
    total: int | None = None


@dataclass(frozen=True, slots=True)
class Input:
    """What a build works on.

    open_depth: loads what gives the rows their depth; it can be sent to another process. depths: of each source, what
    `--depth` and `--depth-encoding` are for it. licenses: source -> terms. wanted: source -> its share of the total,
    where there is one. config: what else decides about the rows.
    """

    rows: Rows
    open_depth: Callable[[], AddDepth]
    depths: Sequence[tuple[Source, str, str | None]]
    kind: str
    seed: int
    steps: int | None
    annotator: Any
    licenses: Mapping[str, str]
    wanted: Mapping[str, int]
    config: Mapping[str, Any]


def open_input(
    source: str,
    images: Path | None = None,
    depth: str | None = None,
    depth_encoding: str | None = None,
    annotator: Any = None,
    limit: int | None = None,
    seed: int | None = None,
    columns: Mapping[str, str] | None = None,
    steps: int | None = None,
    depth_cache: Path | None = None,
) -> Input:
    """One source, or a recipe: its file or the name of one in the package. None: as the recipe says, or the default.

    With a recipe `images` is the folder of its relative paths, and `limit` the first so many rows of each source.

    Raises `InputError` for what is unknown or missing, before a row is read.
    """
    if images is not None and not Path(images).is_dir():
        raise InputError(f"{images}: no such folder (--images, below which the photos are, or the paths of a recipe)")
    if _is_recipe(source):
        if columns or depth_encoding:
            raise InputError(
                f"{source}: a recipe names columns and depth_encoding for each of its sources; leave the flags out"
            )
        return _of_recipe(_overridden(read_recipe(source, images), depth, annotator, limit, seed, steps), depth_cache)
    check_steps(steps)
    seed, depth, columns = seed or 0, depth or "source", columns or {}
    kind, found = source.partition(":")[0], find_source(source)[0]
    rows = open_source(source, Options(images, seed, depth_encoding, columns))
    config = {
        "images": None if images is None else str(images),
        "depth": depth,
        "depth_encoding": depth_encoding,
        "limit": limit,
    }
    config |= ({"columns": dict(columns)} if columns else {}) | ({} if steps is None else {"steps": steps})
    return Input(
        islice(rows, limit),
        partial(depth_adder, depth, depth_encoding, depth_cache),
        [(found, depth, depth_encoding)],
        kind,
        seed,
        steps,
        "template" if annotator is None else annotator,
        {kind: found.license},
        {},
        config,
    )


def _overridden(
    recipe: Recipe, depth: str | None, annotator: Any, limit: int | None, seed: int | None, steps: int | None
) -> Recipe:
    """The recipe with what the flags say instead; a depth is that of all sources."""
    parts = recipe.sources
    if depth is not None:
        parts = tuple(replace(part, depth=None, depth_encoding=None) for part in parts)
    if limit is not None:
        parts = tuple(replace(part, limit=min(part.limit or limit, limit)) for part in parts)
    return replace(
        recipe,
        sources=parts,
        depth=depth or recipe.depth,
        annotator=recipe.annotator if annotator is None else annotator,
        seed=recipe.seed if seed is None else seed,
        steps=recipe.steps if steps is None else steps,
    )


def _of_recipe(recipe: Recipe, depth_cache: Path | None) -> Input:
    check_steps(recipe.steps)
    licenses = {part.name: _check(part, recipe) for part in recipe.sources}
    said = {name: value for name, value in asdict(recipe).items() if name != "annotator"}  # which `build` says
    config = {"recipe": {**said, "sources": [asdict(part) for part in recipe.sources]}}
    return Input(
        mixed(recipe),
        partial(_adders, recipe, depth_cache),
        [(find_source(part.source)[0], *_depth_of(part, recipe)) for part in recipe.sources],
        MIX,
        recipe.seed,
        recipe.steps,
        recipe.annotator,
        licenses,
        {part.name: share for part, share in zip(recipe.sources, _shares(recipe), strict=True) if share is not None},
        config,
    )


def _is_recipe(source: str) -> bool:
    return ":" not in source and (source.endswith((".yaml", ".yml")) or source in recipe_names())


def read_recipe(source: str, root: Path | None = None) -> Recipe:
    """A recipe file, or a recipe of the package by its name. root: instead of the one it says.

    Raises `InputError` that names the field and what it expects.
    """
    data = read_yaml(source)
    parts = data.pop("sources", None)
    if not isinstance(parts, list) or not parts:
        raise InputError(f"{source}: no recipe of a data set; expected `sources:` with a list of them")
    recipe = _fields(Recipe, {"sources": ()} | data, source)
    if recipe.dedupe not in DEDUPE:
        raise unknown_name("dedupe", str(recipe.dedupe), DEDUPE)
    base = Path(source).parent if source.endswith((".yaml", ".yml")) else Path()
    named = []
    for number, entry in enumerate(parts, 1):
        where = f"{source}, source {number}"
        entry = {"source": entry} if isinstance(entry, str) else entry
        if isinstance(entry, dict) and not entry.get("source"):
            raise InputError(f"{where}: needs `source: KIND:PATH`")
        part = _fields(Part, entry, where)
        part = replace(part, name=part.name or part.source.partition(":")[0])
        if part.weight is not None and recipe.total is None:
            raise InputError(f"{where}: a weight is a share of `total`, which the recipe does not say")
        if ":" in part.name:
            raise InputError(f"{where}: name {part.name!r}: ids begin with it and a colon; choose one without colons")
        if part.name in [earlier.name for earlier in named]:
            raise InputError(f"{where}: a second source with the name {part.name!r}; give it a `name` of its own")
        named.append(part)
    return replace(recipe, sources=tuple(named), root=str(root or base / recipe.root))


_LEAST = {"limit": 1, "cap": 1, "total": 1, "steps": 1, "seed": 0, "weight": 0}
"""Fields that are numbers, all but the weight whole ones, and the least of each."""


def _fields(kind: Any, data: Any, where: str) -> Any:
    """A dataclass from a mapping of its fields; a field without a value is one that is not said."""
    if not isinstance(data, Mapping):
        raise InputError(f"{where}: expected fields with values, got {data!r:.80}")
    known = [f.name for f in dataclasses.fields(kind)]
    said = {name: value for name, value in data.items() if value is not None}
    for name, value in said.items():
        if name not in known:
            raise InputError(f"{where}: {unknown_name('field', str(name), known)}")
        if wanted := _wanted(name, value):
            raise InputError(f"{where}: {name} {value!r:.80}: expected {wanted}")
    return kind(**said)


def _wanted(name: str, value: Any) -> str | None:
    """What a field expects, where its value is something else."""
    match name:
        case "limit" | "cap" | "total" | "steps" | "seed" | "weight":
            number = isinstance(value, int if name != "weight" else (int, float)) and not isinstance(value, bool)
            right = number and _LEAST[name] <= value < math.inf
            wanted = f"a {'' if name == 'weight' else 'whole '}number from {_LEAST[name]} on"
        case "sources":
            return None
        case "annotator":
            right, wanted = isinstance(value, (str, Mapping)), "its name, or names with their shares"
        case "columns":
            right = isinstance(value, Mapping) and all(isinstance(part, str) for pair in value.items() for part in pair)
            wanted = "FIELD: COLUMN"
        case _:
            right, wanted = isinstance(value, str), "text"
    return None if right else wanted


# --- from a recipe to rows -----------------------------------------------------------------------------------------


def mixed(recipe: Recipe) -> Iterator[Sample | Reject]:
    """The rows of all sources, one source after the other: rejects, samples that were drawn, and duplicates."""
    repeated = _Repeated(recipe.dedupe)
    for part, quota in zip(recipe.sources, quotas(recipe), strict=True):
        last = None if quota is None else _last_drawn(_open(part, recipe), quota, recipe.seed, part.name)
        for row in _open(part, recipe):
            if isinstance(row, Reject):
                yield replace(row, id=f"{part.name}:{row.id}")
            elif last is None or _key(recipe.seed, part.name, row.id) <= last:
                sample = replace(row, id=f"{part.name}:{row.id}", meta={**row.meta, "source": part.name})
                yield repeated.reject(sample) or sample


def quotas(recipe: Recipe) -> list[int | None]:
    """How many samples each source may give; None: all."""
    return [
        min((n for n in (part.cap, share) if n is not None), default=None)
        for part, share in zip(recipe.sources, _shares(recipe), strict=True)
    ]


def _shares(recipe: Recipe) -> list[int | None]:
    """How many samples of the recipe's total fall to each source; they add up to it. None: there is no total."""
    if recipe.total is None:
        return [None] * len(recipe.sources)
    ends = [0.0, *accumulate(1.0 if part.weight is None else part.weight for part in recipe.sources)]
    places = [round(recipe.total * end / (ends[-1] or 1.0)) for end in ends]
    return [last - first for first, last in pairwise(places)]


def _open(part: Part, recipe: Recipe) -> Rows:
    source, images = _placed(part, recipe)
    options = Options(images, recipe.seed, part.depth_encoding or recipe.depth_encoding, part.columns)
    return islice(open_source(source, options), part.limit)


def _placed(part: Part, recipe: Recipe) -> tuple[str, Path | None]:
    """The name of a source and the folder of its photos, with paths below the recipe's root."""
    source, path = find_source(part.source)
    root = Path(recipe.root)
    if not source.remote or (root / path.partition(":")[0]).is_dir():
        return f"{part.source.removesuffix(path)}{root / path}", root / part.images if part.images else None
    return part.source, root / part.images if part.images else None


def _check(part: Part, recipe: Recipe) -> str:
    """The terms of a source that is there. Raises `InputError` for one that is not, without reading it."""
    name, images = _placed(part, recipe)
    try:
        source, _ = check_source(name, Options(images, columns=part.columns))
        if images is not None and not images.is_dir():
            raise InputError(f"{images}: no such folder of photos")
    except InputError as error:
        raise InputError(f"{error} (source {part.name!r} of the recipe)") from error
    return source.license


def _key(seed: int, name: str, key: str) -> int:
    told = name_bytes(f"{seed}\0{name}\0{key}")
    return int.from_bytes(hashlib.blake2b(told, digest_size=8).digest())


def _last_drawn(rows: Rows, quota: int, seed: int, name: str) -> int:
    """The largest of the `quota` smallest keys: what is drawn is what is not above it."""
    keys = (_key(seed, name, row.id) for row in rows if isinstance(row, Sample))
    least = np.empty(0, np.uint64)
    while len(more := np.fromiter(islice(keys, max(quota, DRAWN_AT_ONCE)), np.uint64)):
        least = np.sort(np.concatenate([least, more]))[:quota]
    return int(least[-1]) if len(least) else -1


class _Repeated:
    """The questions so far, by the photo that they are about."""

    def __init__(self, dedupe: str) -> None:
        self.dedupe = dedupe
        self._asked = Keys()
        # Rows about one photo usually follow each other.
        self._of_file = lru_cache(maxsize=256)(lambda path: digest(Path(path).read_bytes()))

    def reject(self, sample: Sample) -> Reject | None:
        """`duplicate_question` where it was asked about the same photo; else None, and it counts as asked."""
        if self.dedupe == "none":
            return None
        asked = " ".join(sample.question.casefold().split())
        if not self._asked.add(self._photo(sample), asked, *sample.choices):
            return Reject(sample.id, "duplicate_question", f"asked before about this photo: {sample.question}")
        return None

    def _photo(self, sample: Sample) -> str | bytes:
        if not isinstance(sample.image, (str, Path)):
            return digest(sample.photo_data())
        if self.dedupe == "name":
            return plain_name(Path(sample.image).name)
        return self._of_file(str(sample.image))


def _depth_of(part: Part, recipe: Recipe) -> tuple[str, str | None]:
    """What `--depth` and `--depth-encoding` are for a source; a folder lies below the recipe's root."""
    depth = part.depth or recipe.depth
    folder = Path(recipe.root) / depth
    return str(folder) if folder.is_dir() else depth, part.depth_encoding or recipe.depth_encoding


def _adders(recipe: Recipe, cache: Path | None) -> AddDepth:
    """Gives each sample the depth that its source is to have; a model that several sources name is loaded once."""
    of_depth: dict[tuple[str, str | None], AddDepth] = {}
    of_source: dict[str, AddDepth] = {}
    for part in recipe.sources:
        key = _depth_of(part, recipe)
        if key not in of_depth:
            of_depth[key] = depth_adder(*key, cache)
        of_source[part.name] = of_depth[key]

    def ahead(samples: Sequence[Sample]) -> None:
        for adder in of_depth.values():
            if adder.ahead is not None:
                adder.ahead([sample for sample in samples if of_source[sample.meta["source"]] is adder])

    def forget() -> None:
        for adder in of_depth.values():
            adder.forget()

    def add(sample: Sample) -> Sample:
        return of_source[sample.meta["source"]](sample)

    together = max(adder.batch for adder in of_depth.values())
    return AddDepth(add, ahead if together > 1 else None, together, forget)

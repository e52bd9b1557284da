"""Evaluation: a benchmark through an engine into a run folder, graded again at any time without the model.

Three outcomes are never mixed: `scored`, `unparsed` (a reply came, but no single answer; counts 0), `failed` (no usable
reply; not scored, tried again on resume). A fourth, `no_gold`, marks samples without a gold answer.
A killed run goes on where it stopped: an item is taken over when the benchmark's version, item, prompt, pictures,
generation parameters and model are the same. Extraction is not among them, so `score` works on old replies.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from PIL import Image
from tqdm import tqdm

from .benchmarks import BENCHMARKS, Benchmark, Options, Score, open_benchmark
from .datagen.depths import AddDepth, depth_adder
from .datagen.files import RowError
from .engines import Engine, Reply, Request, open_engine, request_for
from .errors import InputError
from .grading import VERSION as EXTRACTION_VERSION
from .metrics import Item, compare_items
from .outcomes import about, judge
from .prompt import prompt_hash
from .provenance import folder_identity, provenance
from .records import JsonlWriter
from .runs import (
    ITEMS,
    METRICS,
    PICTURES,
    RUN,
    SCHEMA,
    clear_run,
    finish_run,
    kept_items,
    read_metrics,
    read_run,
    start_run,
)
from .sample import Sample
from .trace import Trace

__all__ = ["compare", "evaluate", "resolve", "score"]

KEPT_PICTURES = 32
"""Items of which the run folder keeps pictures, so that a report can be made without the data."""

PICTURE_SIDE = 512
"""Pixels of the longer side of a kept picture at most."""

PNG_SIDE = 192
"""Up to this many pixels a side, pictures are kept without loss; above, JPEG is good enough to look at."""


@dataclass(frozen=True)
class _Asked:
    """A sample with its request, or with the reason why it could not be asked."""

    sample: Sample
    item: Item
    request: Request | None


def evaluate(
    model: str | Engine,
    benchmark: str | Benchmark,
    out: str | Path,
    *,
    limit: int | None = None,
    n: int | None = None,
    seed: int = 0,
    data: str | Path | None = None,
    split: str | None = None,
    images: str | Path | None = None,
    depth: str = "source",
    batch_size: int = 64,
    max_tokens: int = 1024,
    temperature: float = 0.0,
    max_pixels: int | None = None,
    resume: bool = True,
    allow_failed: bool = False,
) -> dict[str, Any]:
    """Run a benchmark into the folder `out` and return the metrics (also in `metrics.json`).

    model: what `--model` takes, or an open engine. benchmark: NAME[:PATH], or a benchmark.
    limit: take the first so many items. n, seed: of generated benchmarks, 200 items if not said; seed also goes to the
    sampler.
    data: the benchmark's path, in place of the one behind its name. split: of generated scenes, a key of
    `scenes.splits.SPLITS`. images: folder of the photos of benchmarks that
    only name them. depth: what the benchmark has (`source`), `none`, a folder of depth files, or a depth model.
    resume: keep the replies in `out`; without, they are dropped and asked again.
    allow_failed: whether the metrics count as `ok` although some requests failed.

    Raises `InputError` for bad names and paths, and when `out` holds a run of another model, benchmark or prompt.
    """
    out = Path(out)
    config, bench = resolve(
        model if isinstance(model, str) else model.model_id, benchmark, data=data, split=split, n=n, seed=seed,
        images=images, depth=depth, limit=limit, batch_size=batch_size, max_tokens=max_tokens, temperature=temperature,
        max_pixels=max_pixels,
    )  # fmt: skip
    if (out / RUN).exists() and not resume:
        clear_run(out)
    with opened(model, max_pixels) as engine:
        run = {
            "schema": SCHEMA,
            "config": config,
            "model_id": engine.model_id,
            "weights": folder_identity(model) if isinstance(model, str) else None,
            "benchmark": bench.name,
            "version": bench.version,
            "gen_params": {"max_tokens": max_tokens, "temperature": temperature, "seed": seed},
            "prompt_hash": prompt_hash(),
            "extraction_version": EXTRACTION_VERSION,
            **provenance(),
        }
        start_run(out, run)
        items = _answer_all(engine, bench, run, out, limit, batch_size)
    return finish_run(out, run, items, allow_failed)


def resolve(
    model: str,
    benchmark: str | Benchmark,
    *,
    data: str | Path | None,
    split: str | None,
    images: str | Path | None,
    n: int | None,
    **options: Any,
) -> tuple[dict[str, Any], Benchmark]:
    """The config of an evaluation as `run.json` has it, and its benchmark, opened. Arguments: those of `evaluate`.

    Raises `InputError` for bad names and paths.
    """
    if data is not None:
        if not isinstance(benchmark, str) or benchmark.rpartition(":")[2] not in BENCHMARKS:
            raise InputError(f"benchmark {benchmark} with --data {data}: no name, or the path is given twice")
        benchmark = f"{benchmark}:{data}"
    if split is not None:
        if not isinstance(benchmark, str) or benchmark.partition(":")[0] != "scenes":
            raise InputError(f"split {split}: splits are of the benchmark scenes")
        benchmark = f"{benchmark}{',' if ':' in benchmark else ':'}split={split}"
    config = {
        "model": model,
        "benchmark": benchmark if isinstance(benchmark, str) else benchmark.name,
        "images": None if images is None else str(images),
        "n": Options().n if n is None else n,
        **options,
    }
    return config, _benchmark(config, benchmark, n_asked=n is not None)


def score(run_dir: str | Path) -> dict[str, Any]:
    """Grade the replies of a run folder again, without the model; rewrites `items.jsonl` and `metrics.json`.

    The benchmark is opened again, since depth maps and gold are not in the folder. Raises `InputError` when it is not
    what it was, or an item of the run is no longer in it.
    """
    out = Path(run_dir)
    run, items = read_run(out)
    if run["prompt_hash"] != prompt_hash() and any(i["raw_reply"] is not None for i in items):
        tqdm.write(f"{out}: its replies were given to another prompt ({run['prompt_hash']}, now {prompt_hash()})")
    config = run["config"]
    bench = _benchmark(config, config["benchmark"])
    if bench.version != run["version"]:
        raise InputError(f"{out}: benchmark {bench.name} was {run['version']}, is now {bench.version}; evaluate anew")
    left = {item["item_id"]: item for item in items}
    graded = []
    for sample in tqdm(islice(bench.load(), config["limit"]), total=len(items), desc="grading", unit="item"):
        if (item := left.pop(sample.id, None)) is not None:
            graded.append(judge(item, sample, bench))
    if left:
        raise InputError(f"{out}: {len(left)} items are not in {bench.name} any more, first {next(iter(left))}")
    run["extraction_version"] = EXTRACTION_VERSION
    allow_failed = read_metrics(out)["ok"] if (out / METRICS).exists() else False
    return finish_run(out, run, graded, allow_failed)


def compare(run_a: str | Path, run_b: str | Path, force: bool = False) -> dict[str, Any]:
    """The second run minus the first, item by item: differences with intervals, wins, losses, exact McNemar p.

    Refuses (`InputError`) runs with different items, prompts or extraction, unless `force`; then the common items
    are compared, and `warnings` says what differed.
    """
    (first, a), (second, b) = read_run(Path(run_a)), read_run(Path(run_b))
    warnings = [
        f"{what}: {first[key]} and {second[key]}"
        for key, what in (
            ("benchmark", "benchmarks differ"),
            ("version", "benchmark versions differ"),
            ("prompt_hash", "prompts differ"),
            ("extraction_version", "extraction versions differ"),
        )
        if first[key] != second[key]
    ]
    prompts_a, prompts_b = ({i["item_id"]: i["prompt"] for i in items} for items in (a, b))
    if alone := prompts_a.keys() ^ prompts_b.keys():
        warnings.append(f"{len(alone)} items are in one run only, first {min(alone)}")
    common = prompts_a.keys() & prompts_b.keys()
    if changed := sorted(i for i in common if prompts_a[i] != prompts_b[i]):
        warnings.append(f"{len(changed)} items were asked in other words, first {changed[0]}")
    if warnings and not force:
        raise InputError(
            f"{run_a} and {run_b} cannot be compared: {'; '.join(warnings)} (--force compares them anyway)"
        )
    if not common:
        raise InputError(f"{run_a} and {run_b} have no item in common: {'; '.join(warnings)}")
    failed = {i["item_id"] for i in (*a, *b) if i["outcome"] == "failed"} & common
    return {
        "a": first["model_id"],
        "b": second["model_id"],
        "benchmark": second["benchmark"],
        "n": len(common - failed),
        "n_failed": len(failed),
        "warnings": warnings,
        **compare_items(a, b),
    }


# --- the benchmark ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _WithDepth:
    """A benchmark whose photos get depth maps from elsewhere, as data sets do (`--depth` of `build`)."""

    inner: Benchmark
    depth: str
    add: AddDepth

    @property
    def name(self) -> str:
        return self.inner.name

    @property
    def version(self) -> str:
        return f"{self.inner.version}+depth-{self.depth}"

    @property
    def n(self) -> int | None:
        return self.inner.n

    def load(self) -> Iterator[Sample]:
        """One sample at a time. Raises `InputError` for a photo without a depth map."""
        for sample in self.add.told(self.inner.load()):
            try:
                yield sample if sample.image is None else self.add(sample)
            except RowError as error:
                raise InputError(f"{sample.id}: {error.detail}") from error

    def score(self, trace: Trace, sample: Sample) -> Score:
        return self.inner.score(trace, sample)


def _benchmark(config: dict[str, Any], benchmark: str | Benchmark, n_asked: bool = False) -> Benchmark:
    """The benchmark of a run, with the depth maps that it asks for."""
    options = Options(config["n"], config["seed"], Path(config["images"]) if config["images"] else None, n_asked)
    bench = open_benchmark(benchmark, options) if isinstance(benchmark, str) else benchmark
    depth = config.get("depth", "source")
    return bench if depth == "source" else _WithDepth(bench, depth, depth_adder(depth, None))


# --- asking -------------------------------------------------------------------------------------------------------


def _answer_all(
    engine: Engine, bench: Benchmark, run: dict[str, Any], out: Path, limit: int | None, batch_size: int
) -> list[Item]:
    """Every item with its reply, in order; replies are written as they come."""
    known = {key: item for key, item in kept_items(out).items() if item["raw_reply"] is not None}
    done: list[Item] = []
    outcomes: Counter[str] = Counter()
    total = limit if bench.n is None else bench.n if limit is None else min(limit, bench.n)
    asked = (_ask(s, engine, run) for s in islice(bench.load(), limit))
    with JsonlWriter(out / ITEMS) as writer, tqdm(total=total, desc=bench.name, unit="item") as bar:
        for batch in _batches(asked, batch_size):
            fresh = [a for a in batch if a.item["key"] not in known]
            replies = _replies(engine, fresh)
            for a in batch:
                old = known.get(a.item["key"])
                answered = _as_before(a, old) if old else _answered(a, replies.get(a.item["key"]))
                item = judge(answered, a.sample, bench)
                if len(done) < KEPT_PICTURES:
                    item["pictures"] = _keep_pictures(out, a)
                if old is None:
                    writer.write(item)
                done.append(item)
                outcomes.update([item["outcome"], *(["kept"] if old else [])])
            bar.update(len(batch))
            bar.set_postfix(outcomes)
    if not done:
        raise InputError(f"benchmark {bench.name} has no items")
    if repeated := [i for i, count in Counter(i["item_id"] for i in done).items() if count > 1]:
        raise InputError(f"benchmark {bench.name}: {len(repeated)} ids are not unique, first {repeated[0]}")
    return done


def _batches(asked: Iterable[_Asked], size: int) -> Iterator[list[_Asked]]:
    iterator = iter(asked)
    while batch := list(islice(iterator, size)):
        yield batch


def _ask(sample: Sample, engine: Engine, run: dict[str, Any]) -> _Asked:
    """The request for a sample, and the part of its record that does not depend on the reply."""
    request, error = None, None
    try:
        request = request_for(sample, engine, **run["gen_params"])
    except InputError as problem:
        error = str(problem)
    hashes = [] if request is None else [_image_hash(image) for image in request.images]
    prompt = [] if request is None else request.messages
    item = {
        "benchmark": run["benchmark"],
        "version": run["version"],
        **about(sample, hashes),  # a question that cannot be graded stops the run before it costs anything
        "prompt": prompt,
        "image_hashes": hashes,
        "gen_params": run["gen_params"],
        "model_id": run["model_id"],
        "raw_reply": None,
        "reason": "" if error is None else "bad_sample",
        "error": error,
    }
    identity = ("benchmark", "version", "item_id", "prompt", "image_hashes", "gen_params", "model_id")
    key = hashlib.sha256(json.dumps([item[name] for name in identity], sort_keys=True).encode()).hexdigest()[:20]
    return _Asked(sample, {"key": key, **item}, request)


def _image_hash(image: Image.Image) -> str:
    return hashlib.sha256(repr((image.mode, image.size)).encode() + image.tobytes()).hexdigest()[:16]


def _replies(engine: Engine, asked: Sequence[_Asked]) -> dict[str, Reply]:
    """Replies by key, for those that could be asked."""
    ready = [a for a in asked if a.request is not None]
    if not ready:
        return {}
    replies = engine.generate([a.request for a in ready if a.request is not None])
    return {a.item["key"]: reply for a, reply in zip(ready, replies, strict=True)}


def _as_before(asked: _Asked, old: Item) -> Item:
    """The record of an item with the reply of an earlier run."""
    return asked.item | {name: old[name] for name in ("raw_reply", "finish_reason", "usage")}


def _answered(asked: _Asked, reply: Reply | None) -> Item:
    """The record of an item with its reply; a request without a usable reply has `raw_reply` None and a reason."""
    if reply is None:
        return asked.item | {"finish_reason": None, "usage": {}}
    failed = reply.error is not None or reply.text is None
    return asked.item | {
        "raw_reply": None if failed else reply.text,
        "finish_reason": reply.finish_reason,
        "usage": dict(reply.usage),
        "reason": (reply.error or "no reply").partition(": ")[0][:80] if failed else "",
        "error": reply.error,
    }


def _keep_pictures(out: Path, asked: _Asked) -> list[str]:
    """Store small copies of what the model saw, once for each picture; returns their names."""
    if asked.request is None:
        return []
    (out / PICTURES).mkdir(exist_ok=True)
    names = []
    for image, digest in zip(asked.request.images, asked.item["image_hashes"], strict=True):
        path = out / PICTURES / f"{digest}.{'png' if max(image.size) <= PNG_SIDE else 'jpg'}"
        if not path.exists():
            small = image.convert("RGB")
            small.thumbnail((PICTURE_SIDE, PICTURE_SIDE))
            small.save(path, quality=88)
        names.append(f"{PICTURES}/{path.name}")
    return names


def opened(model: str | Engine, max_pixels: int | None) -> AbstractContextManager[Engine]:
    """The engine that a name stands for, closed at the end; one that is open already stays so."""
    if not isinstance(model, str):
        return nullcontext(model)
    return open_engine(model) if max_pixels is None else open_engine(model, max_pixels=max_pixels)

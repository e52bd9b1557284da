"""The command line: one function a command, each body one call. Errors become one line and an exit code here.

Exit codes: 0 done, 1 failed, 2 bad input.
"""

from __future__ import annotations

import json
import os
import sys
import time
import warnings
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from .errors import InputError, Paused, SifError, disk_full

app = typer.Typer(
    name="sifthinker",
    help="Teach vision-language models to look before they answer.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]
Out = Annotated[Path, typer.Option(help="Folder to write.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of everything random.")]
Workers = Annotated[int, typer.Option(min=1, help="Processes that work in parallel.")]
Benchmark = Annotated[str, typer.Option(help="NAME[:PATH]; see `sifthinker list benchmarks`.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Take the first so many items.")]
Items = Annotated[int | None, typer.Option(min=1, help="Items of a generated benchmark; 200 if not said.")]
Split = Annotated[
    str | None, typer.Option(help="Of the benchmark scenes: train, ood-pairs, ...; see `sifthinker list splits`.")
]
Images = Annotated[Path | None, typer.Option(help="Folder of the photos of benchmarks that only name them.")]
BatchSize = Annotated[int, typer.Option(min=1, help="Requests at once; a model on this machine answers them together.")]
MaxTokens = Annotated[int, typer.Option(min=1, help="Tokens of a reply at most.")]
INTERRUPTED = 130
TRAIN = ("torch", "transformers", "trl", "peft", "accelerate", "datasets")
"""Packages of the extra of that name, which most commands do without."""
AFTER_THE_FIRST_S = 10.0
"""How long the other processes of a launcher hold back their errors."""
FLAGS = {"ignore_unknown_options": True}
"""Flags that the command line does not know are fields of a config."""
Arguments = Annotated[
    list[str], typer.Argument(metavar="CONFIG [--FIELD VALUE ...]", help="YAML file or recipe, and fields to override.")
]


class ConfigCommand(TyperCommand):
    """A command whose help lists the fields of its config."""

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """The fields; read when they are asked for, so that other commands start without them."""
        from .training.config import help_text
        from .training.grpo import GrpoConfig
        from .training.sft import SftConfig

        sft, grpo = help_text(SftConfig, "SFTConfig"), help_text(GrpoConfig, "GRPOConfig")
        texts = {"sft": sft, "grpo": grpo, "train": f"Stages of kind sft. {sft}\nStages of kind grpo. {grpo}"}
        formatter.write("\n")
        formatter.write(texts[str(self.name)])


def main() -> None:
    """Run a command; a user's mistake ends in one line on standard error, never in a traceback."""
    warnings.formatwarning = lambda message, *_, **__: f"warning: {message}\n" if _is_first() else ""
    # As for `python -m`: module:attribute finds files of the folder in which one works.
    sys.path.insert(0, os.getcwd())
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run the command line `arguments` and return the exit code."""
    try:
        code = app(args=arguments or ["--help"], standalone_mode=False)
        if code == INTERRUPTED:  # what typer makes of it
            raise KeyboardInterrupt
    except InputError as error:
        return _fail(2, str(error))
    except Paused as error:
        return _fail(1, str(error), "paused")
    except SifError as error:
        return _fail(1, str(error))
    except KeyboardInterrupt:
        return _fail(INTERRUPTED, "interrupted; commands with --resume go on from where they were")
    except Exception as error:
        if disk_full(error):
            where = getattr(error, "filename", None) or "output"
            return _fail(2, f"disk full while writing {where}: free some space and run again")
        if isinstance(error, OSError):
            return _fail(1, f"{error.filename or ''}: {error.strerror or error}")
        if isinstance(error, ModuleNotFoundError) and error.name in TRAIN:
            return _fail(2, f"this command needs {error.name}: pip install 'sifthinker[train]'")
        # What the command line could not be read as. Not by class: typer brings its own click, or uses the other one.
        if not hasattr(error, "format_message"):
            raise
        return _fail(2, error.format_message())  # type: ignore[attr-defined]
    return code if isinstance(code, int) else 0


def _is_first() -> bool:
    """Whether this is the first of the processes that a launcher started on this machine, or the only one."""
    return os.environ.get("LOCAL_RANK", "0") == "0"


def _fail(code: int, message: str, kind: str = "error") -> int:
    if not _is_first():
        # If the first process has failed as well, the launcher ends this one meanwhile, and the error is said once.
        time.sleep(AFTER_THE_FIRST_S)
    print(f"{kind}: {' '.join(message.split())}", file=sys.stderr)
    return code


def _print(result: dict[str, Any], as_json: bool, text: str) -> None:
    print(json.dumps(result) if as_json else text)


@app.command()
def demo(
    out: Out = Path("runs/demo"),
    samples: Annotated[int, typer.Option(min=8, help="Training scenes of the new task.")] = 2000,
    sft_steps: Annotated[int, typer.Option(min=1, help="Optimizer steps of the warm-up.")] = 200,
    grpo_steps: Annotated[int, typer.Option(min=1, help="Optimizer steps of GRPO-SIF.")] = 30,
    items: Annotated[int, typer.Option(min=1, help="Held-out scenes of each evaluation.")] = 200,
    seed: Seed = 0,
    resume: Annotated[bool, typer.Option(help="Go on with a demo that was interrupted.")] = False,
) -> None:
    """What sif-tiny knows, and how it learns a new task: data, warm-up, GRPO-SIF, evaluation, report. No GPU."""
    from .demo import DemoConfig, demo

    demo(DemoConfig(str(out), samples, sft_steps, grpo_steps, items, seed), resume=resume)


@app.command()
def think(
    image: Path,
    question: str,
    model: Annotated[str, typer.Option(help="Hub id, folder, server:MODEL@URL, or scripted:FILE.")],
    depth: Annotated[str, typer.Option(help="auto (estimate), none, a depth file, or a depth model.")] = "auto",
    depth_encoding: Annotated[str | None, typer.Option(help="What the numbers in the depth file mean: mm, ...")] = None,
    out: Out = Path("runs/think"),
    max_tokens: Annotated[int, typer.Option(min=1, help="Tokens of the reply at most.")] = 2048,
    as_json: Json = False,
) -> None:
    """One photo and one question: the trace, a drawn picture, a page."""
    from .think import think

    result = think(image, question, model, depth=depth, depth_encoding=depth_encoding, out=out, max_tokens=max_tokens)
    files = "\n".join(f"  {name}" for name in result["files"])
    faults = "".join(f"\n  fault: {f['kind']}: {f['message']}" for f in result["trace"]["faults"])
    _print(result, as_json, f"answer: {result['trace']['answer']}{faults}\n{files}")


@app.command()
def build(
    source: Annotated[str, typer.Argument(help="KIND:PATH (see `sifthinker list sources`), or a recipe: RECIPE.yaml.")],
    out: Out,
    images: Annotated[Path | None, typer.Option(help="Folder of the photos; of all files, for a recipe.")] = None,
    depth: Annotated[
        str | None, typer.Option(help="source (what the source has; default), none, a folder, or a depth model.")
    ] = None,
    depth_encoding: Annotated[str | None, typer.Option(help="Encoding of the depth files in that folder.")] = None,
    depth_cache: Annotated[
        Path | None, typer.Option(help="Folder in which the maps of a depth model are kept for other builds.")
    ] = None,
    annotator: Annotated[
        str | None,
        typer.Option(
            help="template (default); MODEL@URL of an OpenAI-compatible server; batch:MODEL (files for a batch API); "
            "or several with their shares: template:0.5,MODEL@URL:0.5."
        ),
    ] = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Requests with the server at the same time.")] = 32,
    rpm: Annotated[float | None, typer.Option(min=0.001, help="Requests a minute at most.")] = None,
    tpm: Annotated[float | None, typer.Option(min=1, help="Tokens a minute at most.")] = None,
    budget: Annotated[float | None, typer.Option(min=0, help="Money to spend at most; needs both prices.")] = None,
    budget_tokens: Annotated[float | None, typer.Option(min=0, help="Tokens to spend at most.")] = None,
    price_in: Annotated[float | None, typer.Option(min=0, help="Of a million tokens of prompts.")] = None,
    price_out: Annotated[float | None, typer.Option(min=0, help="Of a million tokens of replies.")] = None,
    repairs: Annotated[int, typer.Option(min=0, help="How often a faulty reply is sent back with its fault.")] = 1,
    language: Annotated[str, typer.Option(help="Of the words that a model writes.")] = "English",
    replies: Annotated[Path | None, typer.Option(help="Data set folder whose kept replies are used again.")] = None,
    timeout_s: Annotated[
        float, typer.Option(min=0.1, help="Seconds after which a request is given up and tried again, up to 6 times.")
    ] = 300.0,
    columns: Annotated[str, typer.Option(help="Of hub: FIELD=COLUMN,...; frame=F says how its boxes come.")] = "",
    steps: Annotated[
        int | None,
        typer.Option(help="Expansions from the gold boxes to the whole image, 1 to 6; 2 or less if not said."),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Read the first so many rows (of each source).")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of everything random; 0, or the recipe's.")] = None,
    resume: Annotated[bool, typer.Option(help="Go on with an interrupted build.")] = False,
    workers: Workers = 1,
    executor: Annotated[
        str, typer.Option(help="Where the workers are: local (this machine), or ray (a cluster).")
    ] = "local",
    part: Annotated[
        str | None,
        typer.Option(
            help="I/N, from 1/N to N/N: only every Nth shard, from the Ith on, in a folder that other processes or "
            "machines fill as well, begun or not. Who makes the last missing shard finishes the data set."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a SIF data set from boxes."""
    from .datagen.annotators import Asking
    from .datagen.build import build, main_reasons
    from .datagen.sources.options import read_columns

    asking = Asking(
        concurrency, rpm, tpm, budget, budget_tokens, price_in, price_out, repairs, language, replies, timeout_s
    )
    manifest = build(
        source, out, images=images, depth=depth, depth_encoding=depth_encoding, annotator=annotator, limit=limit,
        seed=seed, resume=resume, asking=asking, columns=read_columns(columns), steps=steps, depth_cache=depth_cache,
        workers=workers, executor=executor, part=part,
    )  # fmt: skip
    missing = manifest.get("missing", ())
    still = f"\n  {len(missing)} shards are missing: run the other parts, or --resume without --part" if missing else ""
    _print(manifest, as_json, _counts(manifest, out) + still)
    if not manifest["read"] and not missing:
        raise SifError(f"no row was kept: {source} has none")
    if not manifest["kept"] and not missing:
        raise SifError(f"no row was kept: {main_reasons(manifest, out)}; all are in {out}/rejects.jsonl")


@app.command()
def scenes(
    out: Out,
    n: Annotated[int, typer.Option(min=1, help="Number of samples.")] = 1000,
    tasks: Annotated[
        str | None,
        typer.Option(help="all, or comma-separated tasks, systems or patterns; see `sifthinker list tasks`."),
    ] = None,
    objects: Annotated[
        str | None,
        typer.Option(help="Objects in a scene, FROM-TO, 1 to 8; default 1-3, more where a task needs more."),
    ] = None,
    size: Annotated[str, typer.Option(help="Picture size, WIDTHxHEIGHT, sides of 32 to 2048 pixels.")] = "96x96",
    seed: Seed = 0,
    workers: Workers = 2,
    renderer: Annotated[str, typer.Option(help="embree (fast) or mitsuba (photoreal, slow).")] = "embree",
    real: Annotated[str | None, typer.Option(help="KIND:FOLDER of real RGB-D frames to ask about instead.")] = None,
    trace_style: Annotated[
        str, typer.Option(help="Gold traces: sif, explicit (3D steps), scene_graph or listing.")
    ] = "sif",
    split: Annotated[str, typer.Option(help="train, ood-pairs, ...; see `sifthinker list splits`.")] = "",
    resume: Annotated[bool, typer.Option(help="Go on with an interrupted run.")] = False,
    as_json: Json = False,
) -> None:
    """Make generated scenes with exact questions."""
    from .datagen.build import build_scenes
    from .scenes.generate import scene_settings

    names, pixels, numbers = scene_settings(tasks, size, objects)
    manifest = build_scenes(
        out, n, seed=seed, tasks=names, objects=numbers, size=pixels, workers=workers, resume=resume,
        style=trace_style, renderer=renderer, real=real, split=split,
    )  # fmt: skip
    _print(manifest, as_json, _counts(manifest, out))


@app.command()
def inspect(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Data set folder.")],
    others: Annotated[
        list[Path] | None, typer.Argument(metavar="[OTHER]...", help="Folders that should share no photo with it.")
    ] = None,
    rows: Annotated[int, typer.Option(min=0, help="Rows drawn in the page.")] = 48,
    seed: Seed = 0,
    out: Annotated[Path | None, typer.Option(help="The page; DIR/inspect.html if not said.")] = None,
    as_json: Json = False,
) -> None:
    """What is in a data set: counts, balance, duplicates, photos that other folders show too; a page to browse it."""
    from .inspection import inspect, summary

    result = inspect(folder, others or (), out=out, rows=rows, seed=seed)
    _print(result, as_json, summary(result))


@app.command(context_settings=FLAGS)
def check(
    arguments: Annotated[
        list[str],
        typer.Argument(metavar="DIR|CONFIG [--FIELD VALUE ...]", help="Data set folder, or config as for sft."),
    ],
    model: Annotated[
        str | None,
        typer.Option(
            help="Hub id or folder, whose processor counts the tokens of each row; without one (and without "
            "a config that names it) there are no lengths, no plan and no memory."
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Rows to look at.")] = 200,
    out: Annotated[Path | None, typer.Option(help="Where to write the contact sheet.")] = None,
    as_json: Json = False,
) -> None:
    """Dry run before training: lengths, rewards of gold and of corrupted traces, plan, contact sheet.

    Gold traces must earn 1 from every reward. Then each is damaged in one way after the other (a box moved, a wrong
    answer, ...; the output says what each name means), and the rewards that look at what was damaged must fall.
    """
    from .training.check import check, summary

    named = [] if model is None else ["--model", model]
    result = check(*arguments, *named, limit=limit, out=out)
    _print(result, as_json, summary(result))
    if not result["ready"]:
        raise typer.Exit(1)


@app.command(cls=ConfigCommand, context_settings=FLAGS)
def sft(arguments: Arguments) -> None:
    """Warm-up on gold traces. Any field of the config is overridden with --field VALUE."""
    from .training.sft import main

    main(arguments)


@app.command(cls=ConfigCommand, context_settings=FLAGS)
def grpo(arguments: Arguments) -> None:
    """GRPO-SIF. Any field of the config is overridden with --field VALUE."""
    from .training.grpo import main

    main(arguments)


@app.command(cls=ConfigCommand, context_settings=FLAGS)
def train(arguments: Arguments) -> None:
    """The stages of a recipe in order, each with the model of the one before. --resume passes over finished ones; a
    field of one stage is overridden with --NAME.FIELD VALUE."""
    from .training.stages import main

    main(arguments)


@app.command()
def blank(
    data: Annotated[list[Path], typer.Argument(help="Data set folders whose words the tokenizer learns.")],
    out: Out,
    width: Annotated[int, typer.Option(min=16, help="Of the language model; a multiple of the head size.")] = 128,
    layers: Annotated[int, typer.Option(min=1, help="Of the language model.")] = 4,
    vision_width: Annotated[int, typer.Option(min=16, help="A multiple of the head size.")] = 128,
    vision_layers: Annotated[int, typer.Option(min=1)] = 3,
    head_size: Annotated[int, typer.Option(min=16, help="Of an attention head; a multiple of 16.")] = 16,
    patch: Annotated[int, typer.Option(min=2, help="Side in pixels; two by two make one visual token.")] = 8,
    vocabulary: Annotated[int, typer.Option(min=260, help="Tokens of words and bytes at most.")] = 768,
    seed: Seed = 0,
) -> None:
    """Make a small untrained model of the Qwen2.5-VL architecture, to be trained from the first step on."""
    from .training.tiny import TinyConfig, make_blank

    sizes = TinyConfig(width, layers, head_size, vision_width, vision_layers, patch, vocabulary, seed)
    print(make_blank(out, data, sizes))


@app.command()
def merge(
    adapter: Annotated[Path, typer.Argument(help="Folder of a LoRA adapter.")],
    out: Out,
) -> None:
    """Merge an adapter into its base: one plain model folder."""
    from .training.merge import merge

    print(merge(adapter, out))


@app.command(name="eval")
def evaluate(
    model: Annotated[str, typer.Option(help="Hub id, folder, server:MODEL@URL, scripted:FILE, oracle, ...")],
    benchmark: Benchmark = "scenes",
    out: Out = Path("runs/eval"),
    limit: Limit = None,
    n: Items = None,
    seed: Seed = 0,
    data: Annotated[Path | None, typer.Option(help="Path of the benchmark, if not given behind its name.")] = None,
    split: Split = None,
    images: Images = None,
    depth: Annotated[
        str, typer.Option(help="source (what the benchmark has), none, a folder, or a depth model.")
    ] = "source",
    batch_size: BatchSize = 64,
    max_tokens: MaxTokens = 1024,
    temperature: Annotated[float, typer.Option(min=0.0, help="Of sampling; 0 is greedy.")] = 0.0,
    max_pixels: Annotated[
        int | None, typer.Option(min=1, help="Pixels of one picture at most; default: the model's.")
    ] = None,
    resume: Annotated[bool, typer.Option(help="Keep the replies that are there.")] = True,
    allow_failed: Annotated[bool, typer.Option(help="Exit 0 although some requests failed.")] = False,
    as_json: Json = False,
) -> None:
    """Run a benchmark into a run folder: answers, focus, depth, valid traces, each with a 95% interval."""
    from .evaluate import evaluate
    from .tables import summary

    result = evaluate(
        model, benchmark, out, limit=limit, n=n, seed=seed, data=data, split=split, images=images, depth=depth,
        batch_size=batch_size, max_tokens=max_tokens,
        temperature=temperature, max_pixels=max_pixels, resume=resume, allow_failed=allow_failed,
    )  # fmt: skip
    _print(result, as_json, f"{summary(result)}\nwritten to {out}; as a page: sifthinker report {out}")
    if result["n_failed"] and not allow_failed:
        raise typer.Exit(1)


@app.command()
def score(run: Path, as_json: Json = False) -> None:
    """Grade the replies of a run folder again, without the model."""
    from .evaluate import score
    from .tables import summary

    result = score(run)
    _print(result, as_json, summary(result))


@app.command()
def compare(
    a: Path,
    b: Path,
    force: Annotated[bool, typer.Option(help="Compare although prompts or items differ.")] = False,
    as_json: Json = False,
) -> None:
    """Paired comparison of two run folders: difference, interval, exact McNemar test."""
    from .evaluate import compare
    from .tables import comparison_summary

    result = compare(a, b, force=force)
    _print(result, as_json, comparison_summary(result))


@app.command()
def probe(
    model: Annotated[str, typer.Option(help="As in `sifthinker eval`.")],
    benchmark: Benchmark = "scenes",
    out: Out = Path("runs/probe"),
    limit: Limit = None,
    n: Items = None,
    seed: Seed = 0,
    split: Split = None,
    images: Images = None,
    depth: Annotated[str, typer.Option(help="source (what the benchmark has), a folder, or a depth model.")] = "source",
    batch_size: BatchSize = 64,
    max_tokens: MaxTokens = 1024,
    as_json: Json = False,
) -> None:
    """Does a model look where it says? Paint its last area over, or another place, or turn the depth map over."""
    from .probe import probe, summary

    result = probe(
        model, benchmark, out, limit=limit, n=n, seed=seed, split=split, images=images, depth=depth,
        batch_size=batch_size, max_tokens=max_tokens,
    )  # fmt: skip
    _print(result, as_json, summary(result))


@app.command()
def study(
    recipe: Annotated[str, typer.Argument(help="YAML file: seeds, reference, benchmarks, rows; see docs/study.md.")],
    out: Out,
    resume: Annotated[bool, typer.Option(help="Go on with a study; what is finished is passed over.")] = False,
    as_json: Json = False,
) -> None:
    """Train in several ways from several seeds, ask all the same, and compare with a reference, with intervals."""
    from .study import study, summary

    result = study(recipe, out, resume=resume)
    _print(result, as_json, summary(result))


@app.command()
def report(run: Path, out: Annotated[Path | None, typer.Option(help="HTML file to write.")] = None) -> None:
    """Turn run folders into one self-contained HTML page."""
    from .report import report

    print(report(run, out))


@app.command(name="list")
def list_(
    kind: Annotated[
        str | None,
        typer.Argument(help="sources, tasks, rewards, engines, models, benchmarks, splits, recipes, launch"),
    ] = None,
    as_json: Json = False,
) -> None:
    """Sources, tasks, rewards, engines, models, benchmarks, splits, recipes and launch configs, one line each."""
    from .catalog import catalog, catalog_json

    print(json.dumps(catalog_json(kind)) if as_json else catalog(kind))


@app.command()
def recipe(name: str) -> None:
    """Print the path of a recipe or launch config: to copy it, or for `accelerate launch --config_file`."""
    from .recipes import recipe_path

    print(recipe_path(name))


def _counts(manifest: dict[str, Any], out: Path) -> str:
    from .datagen.sheet import cost, found_by_name, missed_total

    lines = [f"{out}: read {manifest['read']}, kept {manifest['kept']}, rejected {manifest['rejected']}"]
    lines += [f"{n:6d} {reason}" for reason, n in sorted(manifest["rejects_by_reason"].items())]
    if len(sources := manifest.get("by_source", {})) > 1:
        for name, found in sources.items():
            rejected = found["read"] - found["kept"]
            lines.append(f"source {name}: read {found['read']}, kept {found['kept']}, rejected {rejected}")
    if not manifest.get("missing"):
        lines += filter(None, [missed_total(manifest), found_by_name(manifest), cost(manifest)])
    return "\n  ".join(lines)


if __name__ == "__main__":
    main()

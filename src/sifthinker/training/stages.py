"""Several trainings in order, each going on with the model of the one before: `sifthinker train RECIPE`.

A recipe with stages holds `out`, a list `stages`, and fields that hold for all of them. A stage has a `name`, which is
its folder inside of `out`, `stage: sft` or `stage: grpo`, and the fields of that config: data, learning rate and what
is frozen are its own. Its model is that of the stage before, if it does not name another.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..lookup import pick
from ..records import shard_paths
from . import grpo, sft
from .config import read_arguments, split_config, to_dict

KINDS = {"sft": (sft.SftConfig, sft.sft, sft.trl_args), "grpo": (grpo.GrpoConfig, grpo.grpo, grpo.trl_args)}
"""Our config, the training, and what makes and checks TRL's config."""


@dataclass(frozen=True)
class Stage:
    """One stage. kind: a key of `KINDS`. config: of ours. trl: fields of TRL's config."""

    name: str
    kind: str
    config: Any
    trl: dict[str, Any]

    def trl_args(self) -> Any:
        """TRL's config. Raises `InputError` for what the stage would refuse."""
        with _named(self.name):
            return KINDS[self.kind][2](self.config, self.trl)


def main(arguments: Sequence[str]) -> dict[str, dict[str, float]]:
    """`sifthinker train`: run the stages of a recipe; `--NAME.FIELD value` sets a field of the stage of that name."""
    from trl import GRPOConfig, SFTConfig

    return train(read_arguments(arguments, sft.SftConfig, SFTConfig, grpo.GrpoConfig, GRPOConfig))


def train(values: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Run the stages that are not finished, in order; returns TRL's last metrics of those that were run.

    With `resume`, finished stages are passed over and the interrupted one goes on from its checkpoint.
    Settings and data of all stages are looked at before the first begins.
    """
    from .run import finished

    stages, first = look(values)
    metrics = {}
    for number, stage in enumerate(stages, 1):
        done = finished(Path(stage.config.out))
        if first:
            print(f"== {number}/{len(stages)} {stage.name} ({stage.kind}){': done before' if done else ''}", flush=True)
        if not done:
            with _named(stage.name):
                metrics[stage.name] = KINDS[stage.kind][1](stage.config, stage.trl)
    return metrics


def look(values: Mapping[str, Any]) -> tuple[list[Stage], bool]:
    """The stages of a recipe, and whether this process is the first; writes nothing.

    Raises `InputError` for what they would refuse: settings, missing data, folders that hold other runs.
    """
    from .run import find_start

    stages, first = read_stages(values), True
    for stage in stages:
        args = stage.trl_args()
        with _named(stage.name):
            for data in (stage.config.data, stage.config.eval_data):
                if data is not None and not shard_paths(data):
                    raise InputError(f"{data}: no data set here (no data-*.parquet)")
            find_start(Path(stage.config.out), to_dict(stage.config, stage.trl), stage.config, args.world_size)
            first = args.process_index == 0
    return stages, first


def read_stages(values: Mapping[str, Any]) -> list[Stage]:
    """The stages of a recipe, with their folders and models.

    Raises `InputError` for a recipe without stages, and for fields that are unknown, missing or said twice.
    """
    listed = values.get("stages")
    if not isinstance(listed, list) or not listed or not all(isinstance(given, dict) for given in listed):
        raise InputError("no list of stages in this config: run it with `sifthinker sft` or `sifthinker grpo`")
    if not isinstance(values.get("out"), str):
        raise InputError("config field out is missing: set it in the file or with --out FOLDER")
    names = [str(given.get("name")) for given in listed]
    if len(set(names)) < len(names) or any(Path(name).name != name for name in names):
        raise InputError(f"stages need names that differ and can be folders, got {', '.join(names)}")
    flags = {key: value for key, value in values.items() if "." in key}
    if unknown := [key for key in flags if key.partition(".")[0] not in names]:
        raise InputError(f"--{unknown[0]}: there is no such stage; there are {', '.join(names)}")
    common = {key: values[key] for key in values if key not in ("stages", "out", "model", *flags)}
    stages, model = [], values.get("model")
    for name, given in zip(names, listed, strict=True):
        own = {key: value for key, value in given.items() if key not in ("name", "stage")}
        own |= {key.partition(".")[2]: value for key, value in flags.items() if key.partition(".")[0] == name}
        if twice := sorted(own.keys() & (common.keys() | {"out", "resume"})):
            raise InputError(
                f"{twice[0]} stands above the stages and in the stage {name}: say it once, on the command line as "
                f"--{name}.{twice[0]}"
            )
        kind = str(given.get("stage"))
        with _named(name):
            ours = pick("kind of stage", kind, KINDS)[0]
            fields = {"model": model, **common, **own, "out": str(Path(values["out"]) / name)}
            if fields["model"] is None:
                raise InputError("config field model is missing: the first stage needs one")
            stages.append(Stage(name, kind, *split_config(fields, ours, _trl(kind))))
        model = fields["out"]
    return stages


def _trl(kind: str) -> type:
    from trl import GRPOConfig, SFTConfig

    return SFTConfig if kind == "sft" else GRPOConfig


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Say in which stage an input is wrong."""
    try:
        yield
    except InputError as error:
        raise InputError(f"stage {name}: {error}") from error

"""Configs: every recipe resolves, flags override fields, mistakes are named."""

from __future__ import annotations

import dataclasses
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

from sifthinker.errors import InputError
from sifthinker.recipes import LAUNCH, read_yaml, recipe_names
from sifthinker.training.config import field_docs, help_text, read_arguments, split_config
from sifthinker.training.grpo import GrpoConfig
from sifthinker.training.run import build_args
from sifthinker.training.sft import SftConfig


def resolved(*arguments: str, ours: type = SftConfig) -> tuple[Any, dict[str, Any]]:
    from trl import GRPOConfig, SFTConfig

    trl = SFTConfig if ours is SftConfig else GRPOConfig
    return split_config(read_arguments(arguments, ours, trl), ours, trl)


def test_flags_are_typed_and_override() -> None:
    flags = ["--learning-rate", "1e-4", "--bf16", "--max_steps=3", "--limit", "null", "--report-to", "none"]
    config, rest = resolved("tiny-grpo", *flags, "--rewards", "[form, answer]", "--lora", "no", ours=GrpoConfig)
    assert (config.rewards, config.limit, config.lora) == (("form", "answer"), None, False)
    assert (rest["learning_rate"], rest["bf16"], rest["max_steps"], rest["report_to"]) == (1e-4, True, 3, "none")


def test_text_stays_text_and_no_is_a_word(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("save_strategy: no\nlora: yes\nlearning_rate: 1e-4\nlimit: 3")
    flags = ["--model", "a: b: c", "--data", "2026", "--out", "no"]
    config, rest = resolved(str(tmp_path / "c.yaml"), *flags)
    assert (config.model, config.data, config.out, config.lora, config.limit) == ("a: b: c", "2026", "no", True, 3)
    assert rest == {"save_strategy": "no", "learning_rate": 1e-4}


def test_a_file_of_the_other_stage_is_refused() -> None:
    with pytest.raises(InputError, match="this config is for `sifthinker sft`, not for `sifthinker grpo`"):
        resolved("tiny-sft", ours=GrpoConfig)
    with pytest.raises(InputError, match="this config is for `sifthinker grpo`, not for `sifthinker sft`"):
        resolved("tiny-grpo", ours=SftConfig)
    assert "stage" not in resolved("tiny-sft")[1]
    for name, command in (("sif-50k", "build"), ("sif-tiny-study", "study"), ("tiny-ladder", "train")):
        with pytest.raises(InputError, match=f"run it with `sifthinker {command}`"):
            resolved(name)


def test_a_file_may_begin_with_another(tmp_path: Path) -> None:
    first, second, third = (tmp_path / f"{name}.yaml" for name in "abc")
    first.write_text(
        "stage: sft\nmodel: m\ndata: d\nout: o\nlimit: 3\nmax_steps: 5\nlr_scheduler_kwargs: {num_decay_steps: 2}"
    )
    second.write_text(f"recipe: {first}\nlimit: 4\nlr_scheduler_kwargs: null")
    third.write_text(f"recipe: {second}\nout: p")
    config, rest = resolved(str(third), "--max-steps", "6")
    assert (config.model, config.limit, config.out) == ("m", 4, "p")
    assert rest == {"max_steps": 6, "lr_scheduler_kwargs": None}

    (tmp_path / "mine.yaml").write_text("recipe: tiny-sft\nmax_steps: 7")
    assert resolved(str(tmp_path / "mine.yaml")) == resolved("tiny-sft", "--max-steps", "7")
    first.write_text(f"recipe: {third}")
    with pytest.raises(
        InputError, match=r"a.yaml: recipe: .*c.yaml begins with this one: .*c.yaml -> .*b.yaml -> .*a.y"
    ):
        resolved(str(third))
    first.write_text("recipe: tiny-sfd")
    with pytest.raises(InputError, match="unknown recipe 'tiny-sfd': did you mean 'tiny-sft'"):
        resolved(str(second))


def test_flags_may_stand_before_the_config() -> None:
    for arguments in (["--data", "x", "tiny-sft"], ["--resume", "tiny-sft", "--data=x"], ["tiny-sft", "--data", "x"]):
        config, _ = resolved(*arguments)
        assert (config.data, config.resume) == ("x", "--resume" in arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tiny-sft", "oops"], "unexpected argument 'oops'"),
        (["--data", "x"], "no config given: name a YAML file, a data set folder, or a recipe: .*tiny-sft"),
        (["tiny-sft", "--data"], "--data needs a value"),
        (["tiny-sft", "--data", "--resume"], "--data needs a value"),
        (["tiny-sft", "--max-steps", "many"], "config field max_steps: expected int, got 'many'"),
        (["tiny-sft", "--bf16", "maybe"], "unexpected argument 'maybe'"),
        (["tiny-sft", "--limit", "[1"], "config field limit: not YAML"),
    ],
)
def test_mistakes_in_flags_are_named(arguments: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        resolved(*arguments)


@pytest.mark.parametrize(
    ("stage", "flags", "message"),
    [
        ("grpo", ["--num-generations", "7"], "refuses these settings: .*num_generations"),
        ("grpo", ["--reward-weights", "[1,2]"], "2 weights for 6 rewards; give one for each"),
        ("sft", ["--lr-scheduler-type", "kosine"], "refuses these settings: .*kosine"),
        ("sft", ["--eval-strategy", "steps"], "give held-out samples with eval_data"),
        ("grpo", ["--judge", "m@http://x", "--rewards", "[form]"], "answer must be among the rewards"),
        ("grpo", ["--rewards", "[fokus]"], "did you mean 'focus'"),
        ("grpo", ["--steps-per-generation", "2", "--save-steps", "3"], "give a multiple of 2"),
    ],
)
def test_what_trl_refuses_is_one_line(stage: str, flags: list[str], message: str) -> None:
    from sifthinker.training import grpo, sft

    module, ours = (sft, SftConfig) if stage == "sft" else (grpo, GrpoConfig)
    with pytest.raises(InputError, match=message):
        module.trl_args(*resolved(f"tiny-{stage}", *flags, ours=ours))


def test_help_has_a_line_for_every_field() -> None:
    for ours, trl in ((SftConfig, "SFTConfig"), (GrpoConfig, "GRPOConfig")):
        text = help_text(ours, trl)
        assert field_docs(ours).keys() == {f.name for f in dataclasses.fields(ours)}
        assert all(f"\n  {name} " in text for name in field_docs(ours))
        assert f"Every field of TRL's {trl}" in text


def test_an_unknown_field_gets_near_names_only() -> None:
    with pytest.raises(InputError) as error:
        resolved("tiny-sft", "--learning-rat", "1")
    assert "did you mean 'learning_rate'" in str(error.value)
    assert len(str(error.value)) < 200


@pytest.mark.parametrize(
    "name", [name for name in recipe_names() if not {"stages", "sources", "rows"} & read_yaml(name).keys()]
)
def test_every_recipe_resolves(name: str, tmp_path: Path) -> None:
    from trl import GRPOConfig, SFTConfig

    values = read_yaml(name)
    stage, ours, trl = ("sft", SftConfig, SFTConfig) if name.endswith("sft") else ("grpo", GrpoConfig, GRPOConfig)
    config, rest = split_config(values, ours, trl)
    assert config.out.endswith(stage)
    # bf16 on a machine without GPU is refused by transformers unless use_cpu is set; the value itself is what counts.
    args = trl(**{**rest, "output_dir": str(tmp_path), "use_cpu": True, "report_to": "none"})
    assert args.learning_rate == values["learning_rate"]


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize("asked", [{}, {"bf16": True}, {"bf16": False}])
def test_a_cpu_that_would_emulate_bfloat16_computes_in_float32(
    native: bool, asked: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trl import SFTConfig as Trl

    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: native)
    settings = {"output_dir": str(tmp_path), "use_cpu": True, "report_to": "none", **asked}
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        args = build_args(Trl, settings, SftConfig(model="m", data="d", out="o"))
    assert args.bf16 is (native and asked.get("bf16", True))
    assert any("float32" in str(warning.message) for warning in said) is (not native and asked.get("bf16", False))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"model": "m", "data": "d", "out": "o", "learning_rat": 1},
            "unknown config field 'learning_rat': did you mean 'learning_rate'",
        ),
        ({"model": "m", "data": "d"}, "config field out is missing"),
        (
            {"model": "m", "data": "d", "out": "o", "max_pixels": "many"},
            "config field max_pixels: expected int, got 'many'",
        ),
        ({"model": "m", "data": "d", "out": "o", "lora": 1}, "config field lora: expected bool, got 1"),
    ],
)
def test_mistakes_are_named(values: dict, message: str) -> None:
    from trl import SFTConfig

    with pytest.raises(InputError, match=message):
        split_config(values, SftConfig, SFTConfig)


def test_unknown_recipe_and_broken_yaml(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unknown recipe 'tiny-stf': did you mean 'tiny-sft'"):
        read_yaml("tiny-stf")
    with pytest.raises(InputError, match="no such config file"):
        read_yaml(tmp_path / "none.yaml")
    broken = tmp_path / "broken.yaml"
    broken.write_text("a: [1")
    with pytest.raises(InputError, match=r"broken.yaml: not YAML"):
        read_yaml(broken)


def test_launch_configs_are_what_accelerate_reads(capsys: pytest.CaptureFixture[str]) -> None:
    from accelerate.commands.config.config_args import load_config_from_file

    from sifthinker import cli

    kinds = {"ddp": "MULTI_GPU", "fsdp2": "FSDP", "zero2": "DEEPSPEED", "zero3": "DEEPSPEED"}
    assert recipe_names(LAUNCH) == sorted(kinds)
    for name, kind in kinds.items():
        assert cli.run(["recipe", name]) == 0
        found = load_config_from_file(capsys.readouterr().out.strip())
        assert (found.distributed_type.value, found.mixed_precision) == (kind, "bf16")
    assert cli.run(["list", "launch"]) == 0
    assert "PyTorch FSDP2" in capsys.readouterr().out
    assert cli.run(["recipe", "zero4"]) == 2
    assert "did you mean 'zero" in capsys.readouterr().err

"""Configs: every recipe resolves, flags override fields, mistakes are named."""

from __future__ import annotations

from pathlib import Path

import pytest

from sifthinker.errors import InputError
from sifthinker.training.config import parse_flags, read_yaml, recipe_names, split_config
from sifthinker.training.grpo import GrpoConfig
from sifthinker.training.sft import SftConfig


def test_flags_are_typed_and_override() -> None:
    flags = parse_flags(
        ["--learning-rate", "1e-4", "--bf16", "--rewards", "[form, answer]", "--max_steps=3", "--limit", "null"]
    )
    assert flags == {"learning_rate": 1e-4, "bf16": True, "rewards": ["form", "answer"], "max_steps": 3, "limit": None}


def test_a_value_without_flag_is_named() -> None:
    with pytest.raises(InputError, match="unexpected argument 'oops'"):
        parse_flags(["oops"])


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_resolves(name: str, tmp_path: Path) -> None:
    from trl import GRPOConfig, SFTConfig

    values = read_yaml(name)
    stage, ours, trl = ("sft", SftConfig, SFTConfig) if name.endswith("sft") else ("grpo", GrpoConfig, GRPOConfig)
    config, rest = split_config(values, ours, trl)
    assert config.out.endswith(stage)
    # bf16 on a machine without GPU is refused by transformers unless use_cpu is set; the value itself is what counts.
    args = trl(**{**rest, "output_dir": str(tmp_path), "use_cpu": True, "report_to": "none"})
    assert args.learning_rate == values["learning_rate"]


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

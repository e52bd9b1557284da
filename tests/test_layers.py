"""Invariants of the package: imports point down only, nothing heavy is loaded when the lower layers are imported."""

from __future__ import annotations

import ast
import subprocess
import sys
import time
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "src" / "sifthinker"
LAYERS = {
    name: layer
    for layer, names in {
        0: "errors geometry hub lookup models png",
        1: "trace depth sample executors",
        2: "prompt normalize bfov floormap places answers mra graders grading hiou degrade records draw statistics "
        "curves provenance recipes",
        3: "rewards engines benchmarks scenes",
        4: "datagen training evaluate report think metrics outcomes figures runs tables study probe inspection",
        5: "cli serve demo catalog __main__",
    }.items()
    for name in names.split()
}
"""Layer of each module or package. A new one gets its name here; the `__init__` of `sifthinker` may see everything."""

HEAVY = ("torch", "transformers", "trl", "datasets", "peft", "accelerate")
LATE = (
    "scipy", "pyarrow", "matplotlib", "openai", "trimesh", "embreex", "shapely", "OpenEXR", "jinja2", "tqdm.asyncio",
)  # fmt: skip


def modules() -> list[Path]:
    return sorted(p for p in PACKAGE.rglob("*.py") if p != PACKAGE / "__init__.py")


def part_of(path: Path) -> str:
    """The module or package, right below `sifthinker`, that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_parts(tree: ast.AST, path: Path) -> set[str]:
    """What a file imports from the package, in functions too; imports for type checkers only are left out."""
    package = ["sifthinker", *path.relative_to(PACKAGE).parent.parts]
    checking = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    found: set[str] = set()
    for node in ast.walk(tree):
        if id(node) in checking:
            continue
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            stem = [*base, *(node.module.split(".") if node.module else [])]
            names = [".".join([*stem, alias.name]) for alias in node.names]
        else:
            continue
        found |= {name.split(".")[1] for name in names if name.startswith("sifthinker.")}
    return found


def upward(tree: ast.AST, path: Path) -> list[str]:
    own = LAYERS[part_of(path)]
    return sorted(p for p in imported_parts(tree, path) if LAYERS.get(p, -1) > own)


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_down_only(path):
    assert part_of(path) in LAYERS, f"give {part_of(path)} a layer in tests/test_layers.py (docs: DESIGN 2)"
    assert upward(ast.parse(path.read_text()), path) == []


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("from .rewards import REWARDS", ["rewards"]),
        ("def f():\n    from .training.grpo import train", ["training"]),
        ("from . import cli", ["cli"]),
        ("import sifthinker.engines.local", ["engines"]),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .rewards import Reward", []),
        ("from .geometry import Box\nfrom .trace import Trace", []),
    ],
)
def test_the_guard_can_fail(code, found):
    assert upward(ast.parse(code), PACKAGE / "trace.py") == found


def test_the_guard_reads_packages_too():
    tree = ast.parse("from ..training import grpo\nfrom ..trace import Trace\nfrom .focus import x")
    assert upward(tree, PACKAGE / "rewards" / "depth.py") == ["training"]


def test_modules_of_one_layer_do_not_import_in_circles():
    edges = {}
    for path in modules():
        edges.setdefault(part_of(path), set()).update(
            imported_parts(ast.parse(path.read_text()), path) - {part_of(path)}
        )
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join([*trail, name])
        if name not in done:
            for other in sorted(edges.get(name, ())):
                visit(other, (*trail, name))
            done.add(name)

    for name in edges:
        visit(name, ())


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_lower_layers_load_nothing_heavy():
    names = [
        ".".join(["sifthinker", *p.relative_to(PACKAGE).with_suffix("").parts]).removesuffix(".__init__")
        for p in modules()
        if LAYERS.get(part_of(p), 5) <= 3
    ]
    code = (
        f"import importlib, sys\nfor name in {names!r}: importlib.import_module(name)\n"
        f"print([m for m in {[*HEAVY, *LATE]!r} if m in sys.modules])"
    )
    assert run(code) == "[]"


def test_importing_the_package_is_quick():
    """Under 0.3 s on a quiet machine: the best of several runs, against the import of numpy and Pillow it rests on."""

    def seconds(code: str) -> float:
        return float(run(f"import time; t = time.perf_counter(); {code}; print(time.perf_counter() - t)"))

    seconds("import sifthinker")  # writes the byte code
    best, floor = float("inf"), float("inf")
    started = time.perf_counter()
    while best >= 0.3 and time.perf_counter() - started < 10:
        best = min(best, seconds("import sifthinker"))
        floor = min(floor, seconds("import numpy, PIL.Image"))
    assert best < 0.3 or best < 2.5 * floor, f"import sifthinker takes {best:.2f} s, numpy and Pillow {floor:.2f} s"


def test_the_names_others_rely_on():
    import sifthinker
    import sifthinker.hiou as imported_again  # the submodule must not hide the function
    from sifthinker import hiou

    assert callable(hiou)
    assert callable(sifthinker.hiou)
    assert imported_again is sifthinker.hiou
    assert {"form", "answer", "focus", "correction", "depth"} <= sifthinker.REWARDS.keys()
    assert all(hasattr(sifthinker, name) for name in sifthinker.__all__)

"""What the documentation shows is run: the tutorial block by block, and every example."""

from __future__ import annotations

import re
import runpy
import shlex
from pathlib import Path

import pytest

from sifthinker import cli
from sifthinker.engines import ENGINES
from sifthinker.rewards import REWARDS

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"```(python|sh)\n(.*?)```", re.DOTALL)


def test_the_tutorial_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    blocks = BLOCK.findall((ROOT / "docs" / "tutorial.md").read_text())
    assert len(blocks) >= 6
    for kind, code in blocks:
        if kind == "python":
            exec(compile(code, "tutorial.md", "exec"), names)
        else:
            for line in code.strip().splitlines():
                program, *arguments = shlex.split(line)
                assert program == "sifthinker"
                assert cli.run(arguments) == 0, line
    said = capsys.readouterr().out
    assert said.count("ready") == 2
    assert "'depth': None" in said
    assert "0.667" in said
    assert (tmp_path / "runs" / "eval" / "report.html").exists()
    assert (tmp_path / "data" / "balls" / "contact_sheet.png").exists()


@pytest.mark.timeout(900)
def test_the_page_of_studies_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "study.md").read_text()
    (tmp_path / "study.yaml").write_text(page.partition("```yaml\n")[2].partition("```")[0])
    ((_, code),) = BLOCK.findall(page)
    for line in code.strip().splitlines():
        assert cli.run(shlex.split(line)[1:]) == 0, line
    said = capsys.readouterr().out
    assert said.count("| no-depth |") == 3
    assert "| union | SIF, then GRPO with the global half of HIoU alone | sif | 2 | 16 |" in said


@pytest.mark.parametrize("page", sorted((ROOT / "docs" / "nouns").glob("*.md")), ids=lambda p: p.stem)
def test_pages_of_nouns_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for _, code in BLOCK.findall(page.read_text()):
        exec(compile(code, page.name, "exec"), names)


@pytest.mark.parametrize("example", sorted((ROOT / "examples").glob("*.py")), ids=lambda p: p.stem)
def test_examples_run(example, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(example), run_name="__main__")


def test_every_page_is_in_the_navigation_and_links_lead_somewhere():
    pages = {p.relative_to(ROOT / "docs").as_posix() for p in (ROOT / "docs").rglob("*.md")}
    named = re.findall(r"[\w/-]+\.md", (ROOT / "mkdocs.yml").read_text())
    assert sorted(named) == sorted(pages)
    for page in pages:
        text = (ROOT / "docs" / page).read_text()
        for link in re.findall(r"\]\(([\w/.-]+\.md)\)", text):
            assert ((ROOT / "docs" / page).parent / link).exists(), f"{page}: {link}"


def test_the_readme_names_what_there_is():
    readme = (ROOT / "README.md").read_text()
    commands = {c.name or c.callback.__name__ for c in cli.app.registered_commands if c.callback}
    shown = set(re.findall(r"^sifthinker (\w+)", readme, re.MULTILINE))
    assert shown <= commands
    assert shown >= {"think", "build", "scenes", "check", "sft", "grpo", "merge", "eval", "report", "list"}
    assert {"server", "scripted"} <= set(ENGINES)
    assert "depth" in REWARDS

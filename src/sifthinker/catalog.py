"""What can be named on the command line, one line each; sources also say how their boxes come and under what terms."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from .lookup import pick

Lines = Iterable[tuple[str, str]]


def _sources() -> Lines:
    from .datagen.sources import ANY, SOURCES

    return (
        (name, f"{s.about}\nboxes {'in any frame' if s.frames == ANY else ', '.join(s.frames)}; terms: {s.license}")
        for name, s in SOURCES.items()
    )


def _tasks() -> Lines:
    from .scenes.tasks import TASKS

    return ((name, task.about) for name, task in TASKS.items())


def _rewards() -> Lines:
    from .rewards import ABOUT

    return ABOUT.items()


def _engines() -> Lines:
    from .engines import ENGINES

    return ((name, engine.about) for name, engine in ENGINES.items())


def _models() -> Lines:
    from .models import about, names

    return ((name, about(name)) for name in names())


def _benchmarks() -> Lines:
    from .benchmarks import BENCHMARKS

    return ((name, benchmark.about) for name, benchmark in BENCHMARKS.items())


def _splits() -> Lines:
    from .scenes.splits import SPLITS

    return ((name, split.about) for name, split in SPLITS.items())


def _recipes() -> Lines:
    from .recipes import recipe_names

    return _first_comments(recipe_names())


def _launch() -> Lines:
    from .recipes import LAUNCH, recipe_names

    return _first_comments(recipe_names(LAUNCH))


def _first_comments(names: list[str]) -> Lines:
    """The first comment line of a recipe says what it is."""
    from .recipes import recipe_path

    return ((n, Path(recipe_path(n)).read_text().partition("\n")[0].removeprefix("# ")) for n in names)


KINDS: dict[str, Callable[[], Lines]] = {
    "sources": _sources,
    "tasks": _tasks,
    "rewards": _rewards,
    "engines": _engines,
    "models": _models,
    "benchmarks": _benchmarks,
    "splits": _splits,
    "recipes": _recipes,
    "launch": _launch,
}


def catalog_json(kind: str | None = None) -> dict[str, list[dict[str, Any]]]:
    """The same for programs: kind -> entries with `name` and `about`; sources and tasks also where they are from."""
    found: dict[str, list[dict[str, Any]]] = {
        name: [{"name": entry, "about": about} for entry, about in pick("kind", name, KINDS)()]
        for name in ([kind] if kind else KINDS)
    }
    if "sources" in found:
        from .datagen.sources import SOURCES

        found["sources"] = [
            {"name": name, "about": s.about, "frames": [str(f) for f in s.frames], "license": s.license}
            for name, s in SOURCES.items()
        ]
    if "tasks" in found:
        from .scenes.tasks import TASKS

        found["tasks"] = [
            {
                "name": name,
                "family": task.family,
                "system": task.system,
                "answer_kind": task.answer_kind,
                "about": task.about,
                "rule": task.rule,
            }
            for name, task in TASKS.items()
        ]
    return found


def catalog(kind: str | None = None) -> str:
    """The names of one kind, or of all, as text. Raises `InputError` for an unknown kind."""
    kinds = list(KINDS) if kind is None else [kind]
    parts = []
    for name in kinds:
        entries = list(pick("kind", name, KINDS)())
        width = max((len(entry) for entry, _ in entries), default=0)
        indent = "\n" + " " * (width + 4)
        lines = "\n".join(f"  {entry:<{width}}  {about.replace(chr(10), indent)}" for entry, about in entries)
        parts.append(f"{name}\n{lines}")
    return "\n\n".join(parts)

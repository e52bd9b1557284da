"""`stepgame:DIR`: stories of StepGame in words, with the relation of two letters to be found over 1 to 10 hops.

DIR holds `qaK_test.txt` in bAbI form ("n sentence" lines, then "n question, tab, label, tab, 1"), `qaK_test.json`
(number -> story, question, label), or folders of such files: correct_clean and correct_noise in the rectified set,
clean and noise in the original. Each K is a task of its own, such as `stepgame-clean-k3`. K is the length of the chain
that the story tells; most questions are about two letters of it that are nearer (820 of the 1,000 clean ones that
were looked at).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError
from ..sample import Sample
from ..trace import Trace
from .protocol import Options, Score, file_version, need_path
from .words import score_words

FILES = re.compile(r"qa(\d+)_test\.(txt|json)")
FOLDERS = ("correct_clean", "correct_noise", "clean", "noise")
LINE = re.compile(r"\d+ (.+)")

Story = tuple[tuple[str, ...], str, str]
"""Sentences, question, label."""


@dataclass(frozen=True)
class StepGame:
    """Stories, each with one question."""

    samples: tuple[Sample, ...]
    version: str
    name: str = "stepgame"

    @property
    def n(self) -> int:
        return len(self.samples)

    def load(self) -> Iterator[Sample]:
        """Folder by folder, fewest hops first."""
        return iter(self.samples)

    def score(self, trace: Trace, sample: Sample) -> Score:
        """The label against the trace's answer; "above and left" says "upper-left"."""
        return score_words(trace, sample)


def open_stepgame(path: str | None, options: Options) -> StepGame:
    """Raises `InputError` for a folder without such files, and for lines and labels that are not StepGame's."""
    from ..scenes.stepgame_sentences import OFFSETS

    folder = need_path("stepgame", path, "DIR")
    files = [file for place in (folder, *(folder / name for name in FOLDERS)) for file in _files(place)]
    if not files:
        raise InputError(f"{folder}: no qaK_test.txt here or in correct_clean, correct_noise; expected stepgame:DIR")
    samples: list[Sample] = []
    for file in files:
        kind, hops = file.parent.name.removeprefix("correct_"), _hops(file)
        task = f"stepgame-{kind}-k{hops}"
        for number, (story, question, label) in enumerate(_stories(file), 1):
            if label not in OFFSETS:
                raise InputError(f"{file}: story {number}: label {label!r} is none of {', '.join(OFFSETS)}")
            samples.append(_sample(f"{task}-{number}", task, hops, story, question, label))
    digest = hashlib.sha256(" ".join(map(file_version, files)).encode()).hexdigest()[:12]
    return StepGame(tuple(samples), digest)


def _sample(name: str, task: str, hops: int, story: tuple[str, ...], question: str, label: str) -> Sample:
    from ..scenes.stepgame import HINT

    text = "\n".join([*story, f"{question} {HINT}"])
    meta = {"task": task, "answer_kind": "direction", "group": name, "hops": hops}
    return Sample(id=name, image=None, question=text, answer=label, meta=meta)


def _files(folder: Path) -> list[Path]:
    return sorted((f for f in folder.iterdir() if FILES.fullmatch(f.name)), key=_hops) if folder.is_dir() else []


def _hops(file: Path) -> int:
    match = FILES.fullmatch(file.name)
    return int(match[1]) if match else 0


def _stories(file: Path) -> Iterator[Story]:
    if file.suffix == ".json":
        yield from _from_json(file)
        return
    story: list[str] = []
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        match = LINE.fullmatch(line.strip())
        if match is None:
            raise InputError(f"{file}:{number}: expected 'number sentence', got {line[:80]!r}")
        sentence, *rest = match[1].split("\t")
        if rest:
            yield tuple(story), sentence.strip(), rest[0].strip()
            story = []
        else:
            story.append(sentence.strip())
    if story:
        raise InputError(f"{file}: the last story has no question; the file is cut off")


def _from_json(file: Path) -> Iterator[Story]:
    try:
        for item in json.loads(file.read_text(encoding="utf-8")).values():
            yield tuple(item["story"]), item["question"], item["label"]
    except (ValueError, AttributeError, KeyError, TypeError) as error:
        raise InputError(f"{file}: expected {{number: {{story, question, label}}}}, got {error!r}") from error

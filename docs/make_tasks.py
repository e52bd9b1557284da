"""Write docs/tasks.md and a picture for each task: question, answer, rule, and the gold trace drawn step by step.

python docs/make_tasks.py            all tasks, seed 7
python docs/make_tasks.py NAME ...   only these pictures are made again
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path

from tqdm import tqdm

from sifthinker.draw import draw_trace
from sifthinker.sample import Sample
from sifthinker.scenes.generate import generate
from sifthinker.scenes.tasks import TASKS
from sifthinker.trace import Trace, format_trace

DOCS = Path(__file__).parent
BLIND = DOCS.parent / "bench" / "results" / "blind.json"
SEED = 7
SIZE = (192, 192)
WIDTH = 480

HEAD = """# Tasks

Every task, with a sample of seed {seed}: what is asked, the exact answer, the gold trace drawn on photo and depth map,
and the rule. Written by `make gallery`. "(ours)" marks rules of our own where the source gives none.

    sifthinker scenes --tasks NAME --n 1000 --seed 7 --out DIR

Photo and depth map stand side by side, one row a step of the trace. In depth pictures near is bright and far is dark;
gray has no depth. The number at a box is the mean of its relative depth, 0 nearest, 1 farthest. Green boxes are those
of the gold trace; dashed white ones, in the last step, are the evidence. Drawn worlds and posts have no depth map,
stories no picture.

*Blind* is what a task is worth to somebody who does not look: by the best constant answer, and by a linear model of the
words of the question and its options, each with a 95% interval on held-out questions; beside them the chance of a guess
where answers can be counted. `{command}` measures it. Stories in words can be read, so words tell more there, and where
an answer may be "cannot be determined", it is half of the time. A quantity counts in part, or within a factor, so that
a typical one earns something.

"""


def main(names: list[str]) -> None:
    """Write the page, and the pictures of `names` (all, if none are named)."""
    folder = DOCS / "tasks"
    folder.mkdir(exist_ok=True)
    systems: dict[str, list[str]] = defaultdict(list)
    for name, task in tqdm(TASKS.items(), desc="tasks", unit="task"):
        ((sample, trace),) = generate(1, SEED, tasks=[name], size=SIZE)
        if not names or name in names:
            picture = draw_trace(sample, None, trace, width=WIDTH)
            picture.convert("RGB").save(folder / f"{name}.jpg", quality=66, optimize=True)
        systems[task.system.removesuffix(" (ours)")].append(entry(name, sample, trace))
    text = HEAD.format(seed=SEED, command=json.loads(BLIND.read_text())["command"]) + "\n".join(
        f"## {system}\n\n" + "\n".join(e) for system, e in systems.items()
    )
    (DOCS / "tasks.md").write_text(text)


def entry(name: str, sample: Sample, trace: Trace) -> str:
    """One task: name, rule, picture, the trace as text."""
    task = TASKS[name]
    options = "".join(f"<br>({chr(65 + i)}) {choice}" for i, choice in enumerate(sample.choices))
    question = sample.question.replace("\n", "<br>")
    blind = json.loads(BLIND.read_text())["tasks"].get(name)
    return f"""### {name}

{task.about[0].upper()}{task.about[1:]}. *{task.family}, answer: {task.answer_kind}, {task.system}.*

**Rule.** {task.rule}

{f"**Blind.** {said(blind)}" if blind else ""}

> {question}{options}
>
> **{sample.answer}**

![{name}](tasks/{name}.jpg)

??? note "Gold trace"

{indented(format_trace(trace))}
"""


def said(blind: dict) -> str:
    """The figures of a task in one line."""
    constant, language = (
        f"{value:.2f} [{low:.2f}, {high:.2f}]" for value, low, high in (blind["constant"], blind["language"])
    )
    chance = "" if blind["chance"] is None else f", chance {blind['chance']:.2f}"
    return f"Constant {constant}, words {language}{chance}; {blind['n']} questions."


def indented(text: str) -> str:
    """A code block inside of a note."""
    return "\n".join(["    ```", *(f"    {line}" for line in text.splitlines()), "    ```"])


if __name__ == "__main__":
    main(sys.argv[1:])

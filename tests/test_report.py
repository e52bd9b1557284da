from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from sifthinker.curves import Series, line_chart
from sifthinker.engines import ScriptedEngine
from sifthinker.errors import InputError
from sifthinker.evaluate import evaluate
from sifthinker.report import print_table, report, trace_figure
from sifthinker.trace import Trace, format_trace, parse_trace

from .test_evaluate import Toy, always, gold_trace, make_sample, perfect

EVIL = '<script>alert("x")</script><img src=http://evil.example/a.png>'


class Page(HTMLParser):
    """What a browser would fetch or run, and the words of the page."""

    VOID = frozenset({"meta", "br", "link", "img", "input", "hr"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.tags: list[str] = []
        self.words = ""
        self.stack: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in self.VOID:
            self.stack.append(tag)
        self.links += [v or "" for k, v in attrs if k in ("src", "href", "xlink:href", "action", "srcset", "data")]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.stack.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data: str) -> None:
        if self.stack and self.stack[-1] not in ("style",):
            self.words += data


def read(path: Path) -> Page:
    html = path.read_text()
    page = Page(html)
    assert page.stack == []
    assert "script" not in page.tags
    assert all(link.startswith(("data:image/", "#")) for link in page.links), page.links
    ids = set(re.findall(r'\sid="([^"]+)"', html))
    assert {link[1:] for link in page.links if link.startswith("#")} <= ids
    assert not re.search(r"https?://|@import|url\((?!#)", html)
    return page


def write_log(folder: Path, rows: list[dict]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "log_history.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    (folder / "training.json").write_text(json.dumps({"config": {"learning_rate": 0.001}}))


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "small"
    bench = Toy()
    evaluate(always("<think></think><answer>red</answer>"), bench, folder / "eval" / "base")
    golds = {s.id: format_trace(gold_trace(s)) for s in bench.samples}
    broken = ScriptedEngine(lambda r: golds[r.id] if r.id != "item-4" else golds[r.id].split("</think>")[0])
    evaluate(broken, bench, folder / "eval" / "sft")
    evaluate(perfect(bench), bench, folder / "eval" / "grpo")
    write_log(folder / "sft", [{"step": i, "loss": 3.0 / i} for i in range(1, 50)])
    rewards = {"rewards/focus/mean": 0.5, "rewards/answer/mean": None, "reward": 1.0, "completions/mean_length": 70.0}
    write_log(folder / "grpo", [{"step": i, **rewards} for i in range(1, 4)])
    (folder / "data" / "train").mkdir(parents=True)
    (folder / "data" / "train" / "manifest.json").write_text(json.dumps({"kept": 123}))
    return folder


def test_page_of_an_experiment(experiment: Path) -> None:
    page = read(report(experiment))
    for words in ("Base", "Warm-up", "GRPO-SIF", "answer accuracy", "depth error", "mean of each reward", "123"):
        assert words in page.words, words
    assert page.words.count("Loss") >= 1
    assert "Not complete" not in page.words
    html = (experiment / "report.html").read_text()
    # Each picture stands once, however many stages and steps show it.
    uris = re.findall(r'href="(data:[^"]+)"', html)
    assert len(uris) == len(set(uris)) == 7, "six photos, and one depth picture that all share"
    assert html.count('class="area"') >= 6 * 2 * 2
    assert html.count('class="gold"') > 0


def test_findings_follow_from_the_intervals(experiment: Path) -> None:
    page = read(report(experiment))
    assert "Warm-up against Base, focus (HIoU): better, +1.000 [+1.000, +1.000]." in page.words
    assert "GRPO-SIF against Warm-up, answer accuracy: no clear change, +0.100" in page.words
    assert "Warm-up against Base, depth error: not measured on the same items." in page.words


def test_table_for_the_terminal(experiment: Path) -> None:
    table = print_table(experiment)
    head, _, first, *_ = table.splitlines()
    assert head.split() == ["Base", "Warm-up", "GRPO-SIF"]
    assert first.startswith("answer accuracy")
    assert "1.000 [0.722, 1.000]" in first
    assert "1 of 10" in table


def test_single_evaluation_and_other_path(tmp_path: Path) -> None:
    bench = Toy([make_sample(i) for i in range(3)])
    evaluate(perfect(bench), bench, tmp_path / "one")
    path = report(tmp_path / "one", tmp_path / "pages" / "p.html")
    assert path == tmp_path / "pages" / "p.html"
    page = read(path)
    assert "One model on one benchmark" in page.words
    assert "Training" not in page.words


def test_unfinished_run_names_what_is_missing(experiment: Path, tmp_path: Path) -> None:
    folder = tmp_path / "half"
    bench = Toy()
    evaluate(always("red"), bench, folder / "eval" / "base")
    (folder / "eval" / "base" / "metrics.json").unlink()
    items = folder / "eval" / "base" / "items.jsonl"
    items.write_text("".join(items.read_text().splitlines(keepends=True)[:4]) + '{"torn')
    write_log(folder / "sft", [{"step": 1, "loss": 2.0}])
    with (folder / "sft" / "log_history.jsonl").open("a") as file:
        file.write('{"step": 2, "lo')
    page = read(report(folder))
    assert "the evaluation Base is not finished: 4 items so far" in page.words
    assert "there is no evaluation of GRPO-SIF" in page.words
    assert "there is no log of GRPO-SIF" in page.words
    assert "not finished, 4 items so far" in print_table(folder)
    assert '{"torn' in items.read_text(), "a report must not touch a run that goes on"


def test_training_without_evaluation(tmp_path: Path) -> None:
    write_log(tmp_path / "sft", [{"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.0}])
    page = read(report(tmp_path))
    assert "No evaluation is there yet" in page.words
    with pytest.raises(InputError, match="no evaluation"):
        print_table(tmp_path)


def test_nothing_to_report(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="neither an evaluation"):
        report(tmp_path)
    with pytest.raises(InputError, match="no such run folder"):
        report(tmp_path / "nowhere")


def test_everything_is_escaped(tmp_path: Path) -> None:
    sample = make_sample(0, id=EVIL, question=EVIL, answer=EVIL, meta={"task": EVIL}, choices=())
    trace = gold_trace(sample)
    trace = replace(trace, steps=(replace(trace.steps[0], text=EVIL), *trace.steps[1:]))
    evaluate(always(format_trace(trace) + EVIL), Toy([sample]), tmp_path / "eval" / "base")
    write_log(tmp_path / "grpo", [{"step": 1, f"rewards/{EVIL}/mean": 0.1, "loss": 1}, {"step": 2, "loss": 2}])
    html = report(tmp_path).read_text()
    assert "<script" not in html
    assert "<img" not in html
    assert "&lt;script&gt;" in html
    Page(html)


def test_failed_and_unparsed_are_shown_apart(tmp_path: Path) -> None:
    bench = Toy([make_sample(i) for i in range(4)])
    path = tmp_path / "replies.jsonl"
    lines = [{"id": "item-0", "error": "HTTP 503: busy"}, {"id": "item-1", "reply": ""}]
    lines += [{"id": f"item-{i}", "reply": format_trace(gold_trace(bench.samples[i]))} for i in (2, 3)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    evaluate(f"scripted:{path}", bench, tmp_path / "run")
    page = read(report(tmp_path / "run"))
    assert "HTTP 503 1" in page.words
    assert "empty 1" in page.words
    assert "is incomplete: 1 requests failed" in page.words
    assert "no reply" in page.words


def test_different_sets_are_not_compared(tmp_path: Path) -> None:
    bench = Toy()
    evaluate(perfect(bench), bench, tmp_path / "a")
    evaluate(perfect(bench), bench, tmp_path / "b", limit=3)
    page = read(report(tmp_path))
    assert "b is not compared" in page.words


def test_unlike_runs_are_not_called_stages(tmp_path: Path) -> None:
    first, second = Toy(), Toy()
    second.name = "another"
    evaluate(perfect(first), first, tmp_path / "a")
    evaluate(perfect(second), second, tmp_path / "b")
    words = read(report(tmp_path)).words
    assert "2 evaluations of different benchmarks, versions or prompts, which cannot be compared" in words
    assert "stages of one model" not in words
    assert "constant answer:" not in words


def test_figure_of_a_broken_reply() -> None:
    sample = make_sample(1)
    reply = '<think>\n<area>[{"bbox_2d":[0.9,0.1,0.2,0.3]}]</area>\n<text>A & B</text>\n</think>\nwell'
    html = trace_figure(sample, parse_trace(reply), {"form": 0.0, "judge": None}, reply)
    page = Page(html)
    assert page.stack == []
    assert "A & B" in page.words
    assert "bad box" in page.words
    assert "<mark" in html
    assert html.count("data:image/") == 2
    assert all(link.startswith(("data:image/", "#")) for link in page.links)


def test_trace_figure_is_a_fragment() -> None:
    sample = make_sample(1, depth=None, boxes=())
    html = trace_figure(sample, Trace((), "blue"))
    assert "<html" not in html
    assert "blue" in html
    assert "no step that can be drawn" in html
    assert html.count("data:image/") == 1


def test_charts_stand_alone() -> None:
    chart = line_chart('a <b> & "c"', [Series("x<y", range(40), [i / 40 for i in range(40)]), Series("z", [1], [0.5])])
    svg = chart.svg
    assert svg.startswith("<svg viewBox=")
    assert "http" not in svg
    assert "#010203" not in svg
    assert "&lt;b&gt;" in svg
    assert Page(svg).stack == []
    assert [label for label, _ in chart.lines] == ["x<y", "z"]

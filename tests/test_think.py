"""From a photo and a question to JSON, picture and page: every engine, perfect and broken replies, bad input."""

from __future__ import annotations

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from sifthinker.depth import DepthMap, write_depth
from sifthinker.errors import EndpointError, EngineError, InputError
from sifthinker.geometry import WHOLE, Box
from sifthinker.prompt import build_prompt, prompt_hash
from sifthinker.sample import Sample
from sifthinker.think import mark_faults, think
from sifthinker.trace import Area, Step, Trace, format_trace, parse_trace
from tests.openai_server import Failure, images_of, serve, text_of, unused_url
from tests.tiny_models import save_tiny_depth, save_tiny_qwen

QUESTION = "What is left of the <b>cabinet</b> & box?"
PERFECT = Trace(
    (
        Step(Area((WHOLE,), (0.5,)), "A room. I look for the cabinet."),
        Step(Area((Box(0.1, 0.2, 0.4, 0.9), Box(0.5, 0.5, 0.7, 0.8)), (0.25, 0.75)), "Blue boxes & a <cabinet>."),
    ),
    "Blue boxes.",
)
BROKEN = """Sure.<think>
<area>[{"bbox_2d":[0.100,0.200,0.400,0.900],"depth":1.500}]</area>
<text>Look: <script>alert("x")</script></text>
<area>[{"bbox_2d":[0.9,0.2,0.4,0.9],"depth":0.1}]</area>
<answer>"Blue" & </div></answer>"""


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    path = tmp_path / "room <i>.png"
    Image.fromarray(rng.integers(0, 256, (60, 80, 3), dtype=np.uint8)).save(path)
    return path


@pytest.fixture
def depth(tmp_path: Path) -> Path:
    path = tmp_path / "depth.png"
    write_depth(DepthMap(np.tile(np.linspace(0, 1, 80, dtype=np.float32), (60, 1))), path)
    return path


def scripted(folder: Path, reply: str, **fields: str) -> str:
    (folder / "script.jsonl").write_text(json.dumps({"reply": reply, **fields}))
    return f"scripted:{folder / 'script.jsonl'}"


class Page(HTMLParser):
    """What a browser makes of the page: its elements, its visible text, what it would fetch."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.marked: list[str] = []
        self._inside: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside.append(tag)
        if tag == "mark":
            self.marked.append("")

    def handle_endtag(self, tag: str) -> None:
        while self._inside and self._inside.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if "style" not in self._inside:
            self.text += data
        if "mark" in self._inside and "sup" not in self._inside:
            self.marked[-1] += data

    def boxes(self) -> list[str]:
        return [a["style"] or "" for t, a in self.tags if a.get("class") == "box"]


def outputs(result: dict) -> tuple[dict, Image.Image, Page, str]:
    record, picture, page = map(Path, result["files"])
    assert [p.name for p in (record, picture, page)] == ["trace.json", "trace.png", "trace.html"]
    html = page.read_text(encoding="utf-8")
    return json.loads(record.read_text()), Image.open(picture), Page(html), html


def test_perfect_reply(photo: Path, depth: Path, tmp_path: Path) -> None:
    result = think(photo, QUESTION, scripted(tmp_path, format_trace(PERFECT)), depth=depth, out=tmp_path / "a/b")
    assert result["trace"] == PERFECT.to_json()
    assert result["trace"]["steps"][1]["boxes"] == [[0.1, 0.2, 0.4, 0.9], [0.5, 0.5, 0.7, 0.8]]
    record, picture, page, html = outputs(result)
    assert record["reply"] == format_trace(PERFECT)
    assert record["prompt_hash"] == prompt_hash()
    assert (record["model"], record["finish_reason"], record["schema"]) == ("scripted:script.jsonl", "stop", 1)
    assert Trace.from_json(record["trace"]) == PERFECT
    assert picture.size[0] == 1000
    for words in (QUESTION, "Blue boxes & a <cabinet>.", "Blue boxes.", "depth 0.250", "room <i>.png"):
        assert words in page.text
    # Box 1 reaches over pixels 8 to 31 of a ramp over 80: mean 19.5 / 79.
    assert "depth 0.250 · depth map 0.247" in page.text
    assert page.boxes()[2] == "left: 10.00%; top: 20.00%; width: 30.00%; height: 70.00%"
    assert len(page.boxes()) == 2 * 3, "three boxes, on photo and depth"
    assert not page.marked
    assert "Faults" not in page.text
    assert html.count("data:image/jpeg") == 2


def test_broken_reply_is_shown_with_its_faults(photo: Path, depth: Path, tmp_path: Path) -> None:
    result = think(photo, QUESTION, scripted(tmp_path, BROKEN), depth=depth, out=tmp_path)
    expected = parse_trace(BROKEN)
    assert len(expected.faults) >= 5
    assert result["trace"] == expected.to_json()
    record, _, page, _ = outputs(result)
    assert record["reply"] == BROKEN
    for fault in expected.faults:
        assert f"{fault.kind} at {fault.start}: {fault.message}" in " ".join(page.text.split())
    assert "Sure." in page.marked
    assert '<area>[{"bbox_2d":[0.100,0.200,0.400,0.900],"depth":1.500}]</area>' in page.marked
    assert "‸" in page.marked, "what is missing has its place"
    assert f"breaks the form of a trace in {len(expected.faults)} places" in page.text


def test_nothing_from_outside_reaches_the_page_as_markup(photo: Path, depth: Path, tmp_path: Path) -> None:
    evil = '"><script>x</script><img src=http://a.b/c onerror=alert(1)></style></pre>'
    reply = BROKEN.replace("Sure.", evil).replace("Look:", evil) + evil + "\ud800\u202e"
    result = think(photo, evil, scripted(tmp_path, reply), depth=depth, out=tmp_path)
    _, _, page, html = outputs(result)
    kinds = {tag for tag, _ in page.tags}
    assert not kinds & {"script", "img", "iframe", "link", "object", "b1"}
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert {a["href"] for _, a in page.tags if "href" in a} == {"#faults"}
    assert len(re.findall(r"url\(", html)) == len(re.findall(r'url\("data:image/jpeg;base64,[\w+/=]+"\)', html)) == 2
    policy = next(a["content"] for _, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def test_cut_off_reply_says_so(photo: Path, tmp_path: Path) -> None:
    model = scripted(tmp_path, "<think>\n<area>[{", finish_reason="length")
    _, _, page, _ = outputs(think(photo, "?", model, depth="none", out=tmp_path, max_tokens=7))
    assert "cut off at 7 tokens" in " ".join(page.text.split())


def test_without_depth_boxes_need_none(photo: Path, tmp_path: Path) -> None:
    reply = format_trace(Trace((Step(Area((WHOLE,), (None,)), "All."),), "yes"))
    result = think(photo, "?", scripted(tmp_path, reply), depth="none", out=tmp_path)
    assert result["trace"]["faults"] == []
    assert result["trace"]["steps"][0]["depths"] == [None]
    _, _, page, html = outputs(result)
    assert html.count("data:image/jpeg") == 1
    assert "Depth map" not in page.text


def test_server_engine(photo: Path, depth: Path, tmp_path: Path) -> None:
    with serve([format_trace(PERFECT)]) as server:
        result = think(photo, QUESTION, f"server:m@{server.url}", depth=depth, out=tmp_path, max_tokens=99)
    assert result["trace"] == PERFECT.to_json()
    (body,) = server.requests
    sample = Sample("s", photo, QUESTION, depth=depth)
    assert text_of(body) == "".join(b.get("text", "") for b in build_prompt(sample)[0]["content"])
    assert [i.size for i in images_of(body)] == [(80, 60), (80, 60)]
    assert body["max_tokens"] == 99
    assert outputs(result)[0]["usage"] == {"prompt_tokens": 7, "completion_tokens": 5}


def test_local_engine_and_estimated_depth(photo: Path, tmp_path: Path) -> None:
    model, estimator = save_tiny_qwen(tmp_path / "model"), save_tiny_depth(tmp_path / "depth-model")
    result = think(photo, "what?", str(model), depth=str(estimator), out=tmp_path / "out", max_tokens=6)
    record, _, page, html = outputs(result)
    assert isinstance(record["reply"], str)
    assert record["finish_reason"] in ("stop", "length")
    assert result["trace"]["faults"], "a random model does not write traces"
    assert html.count("data:image/jpeg") == 2
    assert "No answer" in page.text


def test_real_photos(shared_data: Path, tmp_path: Path) -> None:
    nyu = shared_data / "rgbd/nyu"
    model = scripted(tmp_path, format_trace(PERFECT))
    result = think(nyu / "rgb_00000.jpg", "?", model, nyu / "depth_00000.png", "mm", out=tmp_path / "nyu")
    _, picture, page, _ = outputs(result)
    assert "depth map 0." in page.text
    assert picture.height > 700
    coco = sorted((shared_data / "coco/images").rglob("*.jpg"))[0]
    assert think(coco, "?", model, "none", out=tmp_path / "coco")["trace"]["answer"] == "Blue boxes."


# --- what goes wrong -----------------------------------------------------------------------------------------------


def refused(message: str, error: type[Exception], **arguments) -> None:
    with pytest.raises(error, match=message) as caught:
        think(**arguments)
    assert "\n" not in str(caught.value), "one line"


def test_bad_photos(photo: Path, tmp_path: Path) -> None:
    model = scripted(tmp_path, "x")
    common = {"question": "?", "model": model, "depth": "none", "out": tmp_path, "error": InputError}
    refused("gone.jpg: no such image file", image=tmp_path / "gone.jpg", **common)
    torn = tmp_path / "torn.png"
    torn.write_bytes(photo.read_bytes()[:5000])
    refused(r"torn\.png: cannot be read as an image .*may be truncated", image=torn, **common)
    deep = tmp_path / "deep.png"
    Image.fromarray(np.full((6, 8), 1000, dtype=np.uint16)).save(deep)
    refused(r"deep\.png: a I;16 picture is a depth map, not a photo", image=deep, **common)


def test_bad_depth(photo: Path, depth: Path, tmp_path: Path) -> None:
    common = {"image": photo, "question": "?", "model": scripted(tmp_path, "x"), "out": tmp_path, "error": InputError}
    refused(r"gone\.png: no such depth file", depth="gone.png", **common)
    small = tmp_path / "small.png"
    write_depth(DepthMap(np.zeros((6, 8))), small)
    refused("depth map is 8x6, photo 80x60", depth=small, **common)
    bare = tmp_path / "bare.png"
    shutil.copy(depth, bare)
    refused("name the encoding .*--depth-encoding mm", depth=bare, **common)
    refused("unknown depth encoding 'millis'", depth=bare, depth_encoding="millis", **common)
    refused(
        "depth encoding 'mm' goes with a depth file, not with --depth none", depth="none", depth_encoding="mm", **common
    )
    refused("8 bits is a photo or a colored depth map", depth=photo, **common)


def test_bad_questions_and_models(photo: Path, tmp_path: Path) -> None:
    common = {"image": photo, "depth": "none", "out": tmp_path, "error": InputError}
    refused("the question is empty", question=" ", model=scripted(tmp_path, "x"), **common)
    refused("unknown engine 'sever': did you mean 'server'", question="?", model="sever:m@http://x", **common)
    refused("no such folder", question="?", model="./gone", **common)
    common["error"] = EndpointError
    refused(
        "cannot reach http://127.0.0.1:.*start the server", question="?", model=f"server:m@{unused_url()}", **common
    )


def test_out_that_cannot_be_written(photo: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    model = scripted(tmp_path, "x")
    out = tmp_path / "file" / "out"
    refused("cannot be written", InputError, image=photo, question="?", model=model, depth="none", out=out)


def test_failed_request_is_an_engine_error(photo: Path, tmp_path: Path) -> None:
    with serve([Failure(400, "too many pictures")]) as server:
        model = f"server:m@{server.url}"
        refused(f"{model}: HTTP 400: too many pictures", EngineError, image=photo, question="?", model=model, depth="none", out=tmp_path / "o")  # fmt: skip  # noqa: E501
    assert not list((tmp_path / "o").iterdir())


# --- marking -------------------------------------------------------------------------------------------------------


TAGS = [f"<{slash}{name}>" for name in ("think", "area", "text", "answer") for slash in ("", "/")]
REPLIES = st.lists(st.sampled_from([*TAGS, "[{}]", "x", "\n"]), max_size=20).map("".join)


@given(st.text(max_size=80) | REPLIES)
def test_marked_pieces_are_the_reply(reply: str) -> None:
    faults = parse_trace(reply).faults
    pieces = mark_faults(reply, faults)
    assert "".join(text for text, _ in pieces) == reply
    for number, fault in enumerate(faults, 1):
        assert "".join(text for text, numbers in pieces if number in numbers) == reply[fault.start : fault.end]
    assert {n for _, numbers in pieces for n in numbers} == set(range(1, len(faults) + 1))

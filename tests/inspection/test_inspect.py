"""What `inspect` says about folders of which everything is known."""

import json
import re

import pytest
from PIL import Image, ImageDraw

from sifthinker.cli import run
from sifthinker.datagen.build import build, build_scenes
from sifthinker.errors import InputError
from sifthinker.geometry import Box
from sifthinker.inspection import inspect, survey
from sifthinker.records import ShardWriter, digest, read_samples, to_row
from sifthinker.sample import Sample
from sifthinker.trace import Area, Step, Trace
from tests.datagen.test_rgbd import scene


def photo(number, size=(64, 48)):
    image = Image.new("RGB", size, (90, 120, 150))
    draw = ImageDraw.Draw(image)
    for k in range(6):
        x, y = (number * 37 + k * 23) % size[0], (number * 11 + k * k * 7) % size[1]
        draw.ellipse((x - 9, y - 9, x + 9, y + 9), fill=((number * 80 + k * 50) % 255, k * 40, number * 20))
    return image


def sample(name, number, question, answer, box=(0.1, 0.1, 0.4, 0.5), task="color", choices=()):
    return Sample(name, photo(number), question, answer, None, choices, (Box(*box),), {"task": task})


def folder(path, samples, texts=("I look.", "There it is, it is red.")):
    path.mkdir()
    with ShardWriter(path) as shards:
        for one in samples:
            areas = [(Box(0, 0, 1, 1),), one.boxes]
            steps = tuple(Step(Area(a, (None,) * len(a)), t) for a, t in zip(areas, texts, strict=True))
            shards.add(to_row(one, Trace(steps, one.answer), "mine", "hand"))
    return path


@pytest.fixture
def known(tmp_path):
    return folder(
        tmp_path / "known",
        [
            sample("a", 1, "What color is it?", "red"),
            sample("b", 1, "what  COLOR is it?", "blue"),
            sample("c", 2, "What color is it?", "red", box=(0.6, 0.6, 1, 1)),
            sample("c", 3, "Which one?", "B", task="pick", choices=("cup", "jar")),
        ],
    )


def test_counts(known):
    found = inspect(known)
    assert (found["rows"], found["photos"], found["with_depth"], found["read"]) == (4, 3, 0, None)
    assert found["sources"] == {"mine": 4}
    assert found["annotators"] == {"hand": 4}
    assert found["tasks"] == {"color": 3, "pick": 1}
    assert found["answers"]["color"] == {
        "n": 3, "distinct": 2, "most_common": [["red", 2], ["blue", 1]], "constant": 2 / 3,
    }  # fmt: skip
    assert found["answers"]["pick"]["most_common"] == [["B: jar", 1]]
    assert found["boxes"] == {1: 4}
    assert found["steps"] == {2: 4}
    assert found["words"] == {8: 4}
    # Sides of sqrt(0.12) = 0.346 and of 0.4, centers at (0.25, 0.3) and (0.8, 0.8).
    assert [n for n in found["box_side"] if n] == [3, 1]
    assert found["box_side"][6] == 3
    assert found["box_side"][8] == 1
    assert found["box_centers"] == [[3, 0, 0], [0, 0, 0], [0, 0, 1]]
    assert found["gold_depth"] == [0] * 20
    assert found["faulty_traces"] == []


def test_what_is_repeated(known):
    found = inspect(known)["repeated"]
    assert found == {"ids": ["c"], "questions": 1, "contradictions": [["a", "b"]]}


def test_depths_are_those_of_the_traces(tmp_path):
    build_scenes(tmp_path / "s", 20, seed=1)
    depths = [d for _, trace in read_samples(tmp_path / "s") for d in trace.last_area.depths]
    assert inspect(tmp_path / "s")["gold_depth"] == [sum(min(int(d * 20), 19) == b for d in depths) for b in range(20)]


def test_photos_that_stand_in_another_folder(tmp_path, known):
    smaller = photo(2).resize((32, 24))
    other = folder(
        tmp_path / "other",
        [
            sample("x", 1, "What color is it?", "red"),
            Sample("y", smaller, "Which?", "red", None, (), (Box(0, 0, 0.5, 0.5),)),
            sample("z", 9, "Which?", "red"),
        ],
    )
    (shared,) = inspect(known, [other])["shared"]
    assert (shared["rows"], shared["photos"]) == (3, 3)
    assert (shared["same_photos"], shared["near_photos"], shared["same_questions"]) == (1, 1, 1)
    assert sorted(pair["rows"] for pair in shared["pairs"]) == [["a", "x"], ["c", "y"]]
    with pytest.raises(InputError, match="named twice"):
        inspect(known, [known])


def test_marked_pictures_are_the_photo_that_they_were_drawn_on(tmp_path):
    photo(1, (160, 120)).save(tmp_path / "1.jpg")
    marked = Image.open(tmp_path / "1.jpg").convert("RGB")
    ImageDraw.Draw(marked).rectangle((20, 20, 90, 100), fill=(255, 40, 40))
    name = digest((tmp_path / "1.jpg").read_bytes()).hex()

    def row(id_, image, **meta):
        return Sample(id_, image, "Which?", "red" if meta else "blue", None, (), (Box(0, 0, 0.5, 0.5),), meta)

    one = folder(tmp_path / "one", [row("m", marked, drawn_on=name), row("p", tmp_path / "1.jpg")])
    two = folder(tmp_path / "two", [row("m", marked.resize((80, 60)), drawn_on=name)])
    three = folder(tmp_path / "three", [row("q", Image.open(tmp_path / "1.jpg").resize((80, 60)))])
    found = inspect(one, [two, three])
    assert (found["photos"], found["near"]) == (1, [])
    assert found["repeated"]["contradictions"] == [], "other pictures were asked about"
    assert [(s["same_photos"], s["near_photos"]) for s in found["shared"]] == [(1, 0), (0, 1)]
    # The photo itself is compared, where a row shows it.
    (pair,) = found["shared"][1]["pairs"]
    assert (pair["rows"], pair["distance"] < 8) == (["m", "q"], True)


def test_frames_with_marks_count_once(tmp_path):
    scene(tmp_path / "f", "color/1.png", "depth/1.pgm")
    scene(tmp_path / "f", "color/2.jpg", "depth/2.png")
    build(f"rgbd:{tmp_path / 'f'}", tmp_path / "d")
    found = inspect(tmp_path / "d")
    assert (found["rows"] > 4, found["photos"]) == (True, 2)


def test_photos_of_one_color_are_near_to_nothing_but_the_same_file_is_found(tmp_path):
    def plain(name, color):
        return Sample(name, Image.new("RGB", (64, 48), color), "What?", "red", None, (), (Box(0, 0, 0.5, 0.5),))

    one = folder(tmp_path / "one", [plain("a", (200, 0, 0)), plain("b", (0, 0, 200))])
    other = folder(tmp_path / "other", [plain("x", (0, 90, 0)), plain("y", (0, 0, 200))])
    found = inspect(one, [other])
    (shared,) = found["shared"]
    assert found["near"] == []
    assert (shared["same_photos"], shared["near_photos"], shared["pairs"]) == (1, 0, [])


def test_the_page_draws_rows_of_the_seed(tmp_path, known):
    def drawn(seed):
        page = tmp_path / f"{seed}.html"
        found = inspect(known, out=page, rows=2, seed=seed)
        assert found["page"] == str(page)
        html = page.read_text()
        assert "http" not in re.sub(r"<script>.*?</script>", "", html, flags=re.DOTALL)
        return re.findall(r"mine · (\w+)</p>", html)

    assert len(drawn(0)) == 2
    assert drawn(0) == drawn(0)
    assert len({tuple(drawn(seed)) for seed in range(8)}) > 1


def test_what_is_in_a_row_stays_text(tmp_path):
    path = folder(tmp_path / "d", [sample("a", 1, "<script>alert(1)</script>?", "<b>red</b>")])
    inspect(path)
    html = (path / "inspect.html").read_text()
    assert "<script>alert" not in html
    assert "<b>red" not in html
    assert "&lt;b&gt;red" in html


def test_questions_in_words_and_faulty_rows(tmp_path):
    path = tmp_path / "words"
    path.mkdir()
    text = Sample("w", None, "Is a cup left of a jar?", "yes", None, (), (), {"task": "words"})
    bad = to_row(sample("bad", 1, "What?", "red"), None, "mine", "")
    bad["completion"] = [{"role": "assistant", "content": "no trace"}]
    torn = to_row(sample("torn", 2, "What?", "red"), None, "mine", "")
    torn["images"][0]["bytes"] = b"\xff\xd8 torn"
    with ShardWriter(path) as shards:
        shards.add(to_row(text, Trace((Step(Area((), ()), "It is."),), "yes"), "mine", "hand"))
        shards.add(bad)
        shards.add(torn)
    found = inspect(path)
    assert found["faulty_traces"] == ["bad"]
    assert found["photos"] == 2
    assert found["near"] == []
    assert "cannot be decoded" in (path / "inspect.html").read_text()


def test_a_build_of_real_photos(tmp_path, shared_data, capsys):
    build(f"coco:{shared_data}/coco/instances.json", tmp_path / "d", images=shared_data / "coco")
    assert run(["inspect", str(tmp_path / "d"), "--rows", "3", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    rows = read_samples(tmp_path / "d")
    assert found["rows"] == len(rows)
    assert found["read"] > found["rows"]
    assert sum(found["box_side"]) == sum(len(one.boxes) for one, _ in rows)
    assert sum(found["rejects_by_reason"].values()) == found["read"] - found["rows"]
    assert found["altered"] == []
    manifest = tmp_path / "d/manifest.json"
    manifest.write_text(manifest.read_text().replace(json.loads(manifest.read_text())["shards"][0]["sha256"], "0" * 64))
    assert inspect(tmp_path / "d")["altered"] == ["data-00000.parquet"]
    assert run(["inspect", str(tmp_path / "nothing")]) == 2


def test_a_survey_holds_no_photos(tmp_path):
    build_scenes(tmp_path / "s", 4, seed=1)
    found = survey(tmp_path / "s")
    assert all(photo.fingerprint.nbytes == 32 for photo in found.photos.values())

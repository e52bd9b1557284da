"""The folder of a run: shards with records, of which any part may be missing, damaged, or of other rows."""

import json
from itertools import islice

import pytest

from sifthinker.datagen import shards, work
from sifthinker.datagen.annotators import TemplateAnnotator
from sifthinker.datagen.build import build, write_dataset
from sifthinker.datagen.outcome import Kept, Reject
from sifthinker.datagen.shards import Folder, Run
from sifthinker.datagen.sheet import sheet
from sifthinker.errors import InputError, SifError
from sifthinker.records import read_manifest, read_rows
from sifthinker.sample import Sample
from sifthinker.trace import Area, Step, Trace

from .photos import jsonl, own_rows
from .test_build import check, content


@pytest.fixture
def run(tmp_path):
    """A source of 14 rows in shards of three, and a function that builds it."""
    rows = own_rows(tmp_path, 14)

    def run(out="out", resume=True, **options):
        return build(f"jsonl:{rows}", tmp_path / out, seed=1, resume=resume, rows_per_shard=3, **options)

    return run


@pytest.fixture
def stopped(run, tmp_path, monkeypatch):
    """The folder of a run that was stopped when all shards were there."""

    def stop(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(shards, "card", stop)
    with pytest.raises(KeyboardInterrupt):
        run()
    monkeypatch.undo()
    return tmp_path / "out"


@pytest.fixture
def made(monkeypatch):
    """Ids of the rows that were worked on."""
    ids, real = [], work.prepare
    monkeypatch.setattr(work, "prepare", lambda sample, *more: ids.append(sample.id) or real(sample, *more))
    return ids


def records(out):
    return sorted(p.name for p in (out / ".shards").glob("0*.json"))


def test_what_is_there_is_not_made_again(run, stopped, made):
    assert records(stopped) == [f"0000{n}.json" for n in range(5)]
    assert check_counts(run()) == (14, 14)
    assert made == []
    assert check(stopped)["kept"] == 14


def check_counts(manifest):
    return manifest["read"], manifest["kept"]


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("data-00002.parquet", lambda path: path.unlink()),
        ("data-00002.parquet", lambda path: path.write_bytes(path.read_bytes()[:-7])),
        ("data-00002.parquet", lambda path: path.write_bytes(b"x" + path.read_bytes()[1:])),
        (".shards/00002.json", lambda path: path.unlink()),
        (".shards/00002.json", lambda path: path.write_bytes(path.read_bytes()[:-7])),
        (".shards/00002.json", lambda path: path.write_text("{}")),
    ],
    ids=["missing", "cut", "flipped", "no record", "cut record", "empty record"],
)
def test_what_is_missing_or_damaged_is_made_again(run, stopped, made, tmp_path, file, change):
    change(stopped / file)
    run()
    assert made == ["row6", "row7", "row8"]
    run("whole")
    assert content(stopped) == content(tmp_path / "whole")


def test_only_shards_whose_rows_changed_are_made_again(run, stopped, made, tmp_path):
    path = tmp_path / "rows.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    lines[4]["question"] = "What is that?"
    jsonl(path, lines[:9])  # and shards that are no more
    run()
    assert made == ["row3", "row4", "row5"]
    run("whole", resume=False)
    assert content(stopped) == content(tmp_path / "whole")
    assert check(stopped)["kept"] == 9


def test_shards_of_which_nothing_was_kept(run, tmp_path):
    path = tmp_path / "rows.jsonl"
    lines = path.read_text().splitlines()
    jsonl(path, [*lines[:3], *["{torn"] * 7, *lines[3:]])
    manifest = run()
    assert [shard["file"] for shard in manifest["shards"]] == [f"data-0000{n}.parquet" for n in (0, 3, 4, 5, 6)]
    assert check(tmp_path / "out")["kept"] == len(list(read_rows(tmp_path / "out"))) == 14
    datasets = pytest.importorskip("datasets")
    loaded = datasets.load_dataset(str(tmp_path / "out"), split="train", cache_dir=str(tmp_path / "cache"))
    assert loaded["id"][:] == [f"row{n}" for n in range(14)]


def test_rejects_stand_in_the_order_of_the_rows(run, tmp_path):
    path = tmp_path / "rows.jsonl"
    lines = path.read_text().splitlines()
    jsonl(path, ["{", *lines[:4], "{", "{", *lines[4:], *lines[:2]])
    run()
    ids = [json.loads(line)["id"] for line in (tmp_path / "out/rejects.jsonl").read_text().splitlines()]
    assert ids == ["rows.jsonl:1", "rows.jsonl:6", "rows.jsonl:7", "row0", "row1"]


def test_a_process_that_comes_when_another_finishes(run, stopped, monkeypatch):
    """The folder is finished, and the records gone, at any moment of the second process."""
    real = shards.Folder.is_done
    calls = []

    def finished_meanwhile(folder, *shard):
        calls.append(shard)
        if len(calls) == 3:
            monkeypatch.setattr(shards.Folder, "is_done", real)
            run()
        return real(folder, *shard)

    monkeypatch.setattr(shards.Folder, "is_done", finished_meanwhile)
    assert run() == read_manifest(stopped)
    assert check(stopped)["kept"] == 14


def test_shards_of_a_run_with_other_settings_are_not_taken_for_ours(run, stopped, tmp_path, monkeypatch):
    """Two that begin at the same moment: the second has written its settings, and a shard, over those of the first."""
    real = shards.Folder.make

    def overwritten(folder, number, key, outcomes):
        yield from real(folder, number, key, outcomes)
        if number == 3:
            record = stopped / ".shards/00003.json"
            record.write_text(record.read_text().replace(key, "another"))

    (stopped / ".shards/00003.json").unlink()
    monkeypatch.setattr(shards.Folder, "make", overwritten)
    assert run()["missing"] == [3]
    monkeypatch.undo()
    assert check_counts(run()) == (14, 14)


def test_two_processes_finish_at_the_same_time(run, stopped, monkeypatch):
    real = shards.card

    def twice(manifest):
        monkeypatch.setattr(shards, "card", real)
        run()
        return real(manifest)

    monkeypatch.setattr(shards, "card", twice)
    assert run() == read_manifest(stopped)
    assert check(stopped)["kept"] == 14


def test_outcomes_that_come_one_after_the_other(tmp_path):
    """As of scenes: they begin at the first shard that is missing."""
    starts, step = [], Step(Area((), ()), "I count.")

    def outcomes(start, stop=11):
        starts.append(start)
        for n in range(start, stop):
            sample = Sample(f"s{n}", None, "How many?", str(n))
            yield Reject(f"s{n}", "no_question") if n == 4 else Kept(sample, Trace((step,), str(n)))
        if stop < 11:
            raise KeyboardInterrupt

    def write(name, outcomes, resume=True):
        return write_dataset(outcomes, Folder(tmp_path / name, Run("made", "made", 0, {}, "me", 3)), 11, resume)

    whole = write("whole", outcomes)
    assert (whole["read"], whole["kept"]) == (11, 10)
    with pytest.raises(KeyboardInterrupt):
        write("out", lambda start: outcomes(start, 8))
    assert write("out", outcomes) == whole
    assert starts == [0, 0, 6]
    assert write("out", outcomes) == whole
    assert starts == [0, 0, 6], "a finished folder is left as it is"
    assert content(tmp_path / "out") == content(tmp_path / "whole")


@pytest.mark.parametrize("change", [lambda path: path.unlink(), lambda path: path.write_bytes(path.read_bytes()[:-9])])
def test_a_finished_data_set_whose_files_were_changed_is_not_called_finished(run, tmp_path, change):
    run()
    assert run()["kept"] == 14
    change(tmp_path / "out/data-00002.parquet")
    with pytest.raises(InputError, match=r"data-00002\.parquet missing, or changed since the data set was finished"):
        run()


def test_an_annotator_that_loses_a_row_is_found_out(run, tmp_path, monkeypatch):
    whole = TemplateAnnotator.annotate
    monkeypatch.setattr(TemplateAnnotator, "annotate", lambda self, items: islice(whole(self, items), 13))
    with pytest.raises(SifError, match="gave back 1 of the 2 rows of a shard"):
        run()
    monkeypatch.undo()
    assert run()["kept"] == 14


def test_the_contact_sheet_shows_rows_of_the_seed(run, tmp_path, monkeypatch):
    monkeypatch.setattr("sifthinker.datagen.sheet.TILES", 4)
    run()
    sheets = [sheet(tmp_path / "out", 14, seed) for seed in (1, 1, 2)]
    assert sheets[0] == sheets[1] != sheets[2]
    assert sheets[0] == (tmp_path / "out/contact_sheet.png").read_bytes()


def test_only_the_settings_that_changed_are_named(run, stopped, tmp_path):
    with pytest.raises(InputError) as caught:
        run(steps=3)
    assert "begun with other settings (config.steps was None, now 3); choose" in str(caught.value)

"""Common Voice's layout: where a language is found, how its tables are read, and what cannot be used."""

from __future__ import annotations

import contextlib
import io
import shutil
import tarfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import soundfile

from asr.cli.main import app, run
from asr.corpora.commonvoice import find, prepare, short_names
from asr.corpora.download import Progress
from asr.corpora.prepared import Prepared
from asr.errors import AsrError, UsageError
from asr.manifest import read_manifest
from tests.recipes import stand_ins

_COUNTS = {"train": 6, "dev": 3, "test": 3}


@contextlib.contextmanager
def show(label: str) -> Iterator[Progress]:
    yield lambda done, total: None


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stand_ins.commonvoice(tmp_path_factory.mktemp("corpora"), "cy", stand_ins.WELSH, _COUNTS)


@pytest.fixture
def welsh(made: Path, tmp_path: Path) -> Path:
    """The folder of a language, which a test may damage."""
    copy = tmp_path / "corpora" / made.parent.name / made.name
    shutil.copytree(made, copy)
    return copy


def sizes(prepared: Prepared) -> dict[str, int]:
    return {name: len(utterances) for name, utterances in prepared.sets.items()}


def rows(count: int, **more: str) -> list[dict[str, str]]:
    clips = [f"common_voice_cy_{40_000_001 + number}.mp3" for number in range(count)]
    return [{"client_id": f"{number}" * 128, "path": clip, **more} for number, clip in enumerate(clips)]


def test_the_publishers_sets(welsh: Path, tmp_path: Path) -> None:
    prepared = prepare(welsh.parent.parent, "cy", show)
    assert (sizes(prepared), prepared.faults, prepared.notes, prepared.sharing) == (_COUNTS, [], [], [])
    paths = prepared.write(tmp_path / "out")
    for name, path in paths.items():
        for one in read_manifest(path):
            assert one.lang == "cy"
            assert one.duration == pytest.approx(soundfile.info(one.audio).duration, abs=1e-4)
            assert set(one.text.split()) <= {"tŷ", "mae'n", "glaw", "ŵyn"}
            assert one.speaker is not None and bytes.fromhex(one.speaker).decode()[: len(name)] == name
    assert {soundfile.info(one.audio).samplerate for one in prepared.sets["train"]} == {32000, 48000}


def test_it_is_found_wherever_it_stands(welsh: Path, tmp_path: Path) -> None:
    release = welsh.parent
    assert find(welsh, "cy", show) == find(release, "cy", show) == find(release.parent, "cy", show) == welsh
    brought = tmp_path / "brought"
    brought.mkdir()
    packed = stand_ins.archive(welsh, brought)
    unpacked = find(packed, "cy", show)
    assert unpacked == brought / release.name / "cy"
    assert sizes(prepare(brought, "cy", show)) == _COUNTS
    # What is unpacked is not unpacked again, nor taken for a release of its own beside its archive.
    marked = unpacked / "marked"
    marked.touch()
    assert find(packed, "cy", show) == find(brought, "cy", show) == unpacked
    assert marked.exists()
    assert sorted(path.name for path in brought.iterdir()) == sorted([packed.name, release.name])


def test_a_folder_of_another_language_is_refused_as_an_archive_is(
    welsh: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(welsh)
    for source in (welsh, Path()):
        options = ["--from", str(source), "--lang", "de", "--out", str(tmp_path / "out")]
        with pytest.raises(SystemExit) as left:
            run(partial(app, ["data", "prepare", "commonvoice", *options]))
        assert left.value.code == 2
        assert capsys.readouterr().err == f"error: {source}: holds the language 'cy', not 'de'\n"
        assert not (tmp_path / "out").exists()
        assert find(source, "cy", show) == source
    # A folder that stands elsewhere tells no language.
    elsewhere = shutil.move(welsh, tmp_path / "clips of mine")
    assert find(elsewhere, "de", show) == elsewhere


def test_one_of_several_must_be_named(welsh: Path, tmp_path: Path) -> None:
    corpora = welsh.parent.parent
    (corpora / "cv-corpus-20.0-2024-12-06-nan-cy.tar.gz").touch()  # another language: nan-cy
    assert find(corpora, "cy", show) == welsh
    (corpora / "cv-corpus-20.0-2024-12-06-cy.tar.gz").touch()
    with pytest.raises(UsageError, match=r"holds .*cv-corpus-20\.0-2024-12-06-cy.tar.gz.*; say with --from which one"):
        find(corpora, "cy", show)


@pytest.mark.parametrize(
    ("source", "lang", "kind", "sentence"),
    [
        ("nowhere", "cy", UsageError, "nowhere: there is no such folder or archive"),
        (".", "../cy", UsageError, "such as cy or zh-CN, not '../cy'"),
        (".", "br", AsrError, "no release of Common Voice with the language 'br'; its publisher sends a link"),
        ("some.tar.gz", "br", UsageError, "some.tar.gz: holds the language 'cy', not 'br'"),
        ("cut.tar.gz", "cy", AsrError, "cut.tar.gz: damaged"),
        ("text.tar.gz", "cy", AsrError, "text.tar.gz: damaged"),
        ("other.tar.gz", "cy", AsrError, "other.tar.gz: not laid out as Common Voice's archives are"),
        ("evil.tar.gz", "cy", AsrError, "evil.tar.gz: refused"),
    ],
)
def test_what_is_no_release_is_told(
    welsh: Path, tmp_path: Path, source: str, lang: str, kind: type[AsrError], sentence: str
) -> None:
    brought = tmp_path / "brought"
    brought.mkdir()
    shutil.move(stand_ins.archive(welsh, brought), brought / "some.tar.gz")
    data = (brought / "some.tar.gz").read_bytes()
    (brought / "cut.tar.gz").write_bytes(data[: len(data) // 2])
    (brought / "text.tar.gz").write_text("no archive")
    for name, members in {
        "other.tar.gz": ["README", "audio/one.mp3"],
        "evil.tar.gz": ["cv-corpus-1/cy/train.tsv", "cv-corpus-1/cy/../../../evil"],
    }.items():
        with tarfile.open(brought / name, "w:gz") as tar:
            for member in members:
                tar.addfile(tarfile.TarInfo(member), io.BytesIO())
    with pytest.raises(kind) as caught:
        find(brought / source, lang, show)
    assert sentence in str(caught.value) and type(caught.value) is kind
    assert not [path for path in brought.iterdir() if path.is_dir()]
    assert not (tmp_path / "evil").exists()


def test_a_table_is_missing_or_empty_or_lacks_a_column(welsh: Path) -> None:
    test = (welsh / "test.tsv").read_text()
    for content, sentence in {
        None: "cy: has no test.tsv, as a whole release has; asr data from-tsv",
        test.splitlines()[0]: "test.tsv: holds nothing but its header; asr data from-tsv",
        test.replace("sentence\t", "words\t"): "test.tsv: has no column 'sentence'; there are client_id",
    }.items():
        (welsh / "test.tsv").unlink()
        if content is not None:
            (welsh / "test.tsv").write_text(content)
        with pytest.raises(AsrError, match=sentence) as caught:
            prepare(welsh, "cy", show)
        assert caught.value.exit_status == 1
        (welsh / "test.tsv").write_text(test)


def test_rows_and_clips_that_cannot_be_used_are_named_and_the_rest_is_kept(welsh: Path) -> None:
    clips = sorted((welsh / "clips").iterdir())
    clips[0].write_bytes(b"")
    clips[1].unlink()
    clips[2].write_text("not sound")
    said = rows(6, sentence='He said "no')
    said[3]["sentence"] = "?!"
    stand_ins.table(welsh, "train", said)
    with (welsh / "train.tsv").open("a") as file:
        file.write("too\tshort\n")
    prepared = prepare(welsh, "cy", show)
    assert [one.text for one in prepared.sets["train"]] == ["he said no"] * 2
    told = sorted(prepared.faults)
    assert len(told) == 5
    for fault, what in zip(
        told,
        ["the file is empty", "no such file", "not audio", "train.tsv:5: its sentence '?!' is empty", "train.tsv:8"],
        strict=True,
    ):
        assert what in fault


def test_scripts_keep_their_marks(tmp_path: Path) -> None:
    folder = stand_ins.commonvoice(tmp_path, "hi", stand_ins.HINDI, _COUNTS)
    texts = " ".join(one.text for one in prepare(folder, "hi", show).sets["train"])
    assert set(texts.split()) <= {"घर", "हिन्दी", "पानी", "है"}


def test_a_speaker_in_two_sets_is_said(welsh: Path) -> None:
    train = (welsh / "train.tsv").read_text().splitlines()
    with (welsh / "test.tsv").open("a") as file:
        file.write(train[1] + "\n")
    prepared = prepare(welsh, "cy", show)
    assert prepared.sharing == [("train", "test")]
    assert prepared.reason.endswith("no client id stands in two of them but of train and test")


def test_lengths_that_the_publisher_does_not_confirm(welsh: Path) -> None:
    path = welsh / "clip_durations.tsv"
    lines = path.read_text().splitlines()
    name, length = lines[2].split("\t")
    lines[2] = f"{name}\t{int(length) + 3000}"
    path.write_text("\n".join(lines))
    prepared = prepare(welsh, "cy", show)
    (note,) = prepared.notes
    assert note.startswith("1 clips are not as long as clip_durations.tsv says, by 3.00 s at most") and name in note
    path.unlink()  # older releases have none
    assert prepare(welsh, "cy", show).notes == []


def test_client_ids_are_cut_no_shorter_than_tells_them_apart() -> None:
    long = ["a" * 128, "b" * 128]
    assert short_names(long) == {"a" * 128: "a" * 8, "b" * 128: "b" * 8}
    close = ["c" * 20 + "d" * 108, "c" * 20 + "e" * 108]
    assert sorted(short_names([*long, *close]).values()) == ["a" * 21, "b" * 21, "c" * 20 + "d", "c" * 20 + "e"]
    assert short_names([]) == {}
    assert short_names(["me", "you"]) == {"me": "me", "you": "you"}

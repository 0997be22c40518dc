"""``asr g2p`` and ``asr lexicon``: what they print, and what users get wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from asr.cli.main import app, run
from asr.files import read_text, write_text
from asr.lm.kneser_ney import estimate
from asr.phones.dictionary import read_dictionary
from asr.phones.g2p import G2pConfig, G2pModel, phone_tokens, save_g2p

TONES = Path(__file__).parent.parent / "phones" / "tones.txt"


def _call(*arguments: object) -> int:
    """The exit status of ``asr`` with these arguments."""
    with pytest.raises(SystemExit) as left:
        run(lambda: app([*map(str, arguments)]))
    return int(left.value.code or 0)


@pytest.fixture
def g2p(tmp_path: Path) -> Path:
    """A model that has learned nothing, but says something."""
    torch.manual_seed(1)
    config, phones = G2pConfig(layers=1, hidden=8), phone_tokens(["AA", "D", "EY", "F", "IY", "M", "OW", "R"])
    model = G2pModel(config, 26, len(phones)).eval()
    save_g2p(tmp_path / "g2p", model, "ABCDEFGHIJKLMNOPQRSTUVWXYZ", phones, {})
    return tmp_path / "g2p"


def test_words_are_pronounced_one_line_a_pronunciation(
    g2p: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_text(tmp_path / "words.txt", "SOL la\nSOL\n")
    assert _call("g2p", "apply", "--model", g2p, "--words", tmp_path / "words.txt", "--nbest", 2, "--scores") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["SOL", "SOL", "la", "la"]
    assert all(0 <= float(line.split(" # ")[1]) <= 1 for line in lines)
    write_text(tmp_path / "lexicon.txt", "\n".join(lines))
    assert set(read_dictionary(tmp_path / "lexicon.txt")) == {"SOL", "la"}  # the remarks are remarks


def test_what_cannot_be_pronounced_is_named_behind_the_rest(g2p: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _call("g2p", "apply", "SOL", "ré", "--model", g2p) == 1
    printed = capsys.readouterr()
    assert printed.out.startswith("SOL ")
    assert "not pronounced: 'ré': the model has never read 'é'" in printed.err
    assert printed.err.endswith("error: 1 of 2 words could not be pronounced\n")


def test_a_lexicon_of_a_language_model(g2p: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lm, out = tmp_path / "lm.safetensors", tmp_path / "lexicon.txt"
    estimate(iter(["do re mi", "do la"]), 2).save(lm)
    assert _call("lexicon", "--dictionary", TONES, "--lm", lm, "--g2p", g2p, "--out", out) == 0
    lines = read_text(out).splitlines()
    assert {"do D OW", "re R EY", "re R IY", "mi M IY"} < set(lines)
    assert len(lines) == 5
    assert "4 words, 5 pronunciations; by the grapheme-to-phoneme model 1 words, 25.00%" in capsys.readouterr().out
    assert _call("lexicon", "--dictionary", TONES, "--lm", lm, "--out", out) == 1
    printed = capsys.readouterr().err
    assert f"left out: {TONES} has no pronunciation for 'la', and no grapheme-to-phoneme model is named" in printed
    assert f"error: 1 of 4 words have no pronunciation; the others are in {out}" in printed
    assert len(read_text(out).splitlines()) == 4


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (["g2p", "apply", "--model", "none", "DO"], 1, "none: there is no such model folder"),
        (["g2p", "apply", "--model", "none"], 2, "which words? Name them, or a file of them with --words"),
        (["g2p", "train", "--dictionary", "none", "--out", "out"], 1, "none: could not be read (No such file"),
        (["g2p", "train", "hidden", "--dictionary", TONES, "--out", "out"], 2, "'hidden': an override is written"),
        (["g2p", "train", "layer=2", "--dictionary", TONES, "--out", "out"], 2, "did you mean 'layers'?"),
        (["g2p", "train", "--dictionary", TONES, "--out", "out"], 1, "4 words are too few to learn from"),
        (["lexicon", "--dictionary", TONES, "--out", "x"], 2, "whose words? Give either --words FILE or --lm FILE"),
        (["lexicon", "--dictionary", TONES, "--words", "w", "--lm", "l", "--out", "x"], 2, "whose words?"),
        (["lexicon", "--dictionary", TONES, "--words", "none", "--out", "x"], 1, "none: could not be read"),
        (["lexicon", "--dictionary", TONES, "--words", "empty", "--out", "x"], 1, "empty: holds no words"),
        (["lexicon", "--dictionary", TONES, "--words", "foreign", "--out", "x"], 1, "none of the 2 words"),
        (["lexicon", "--dictionary", "bad", "--words", "foreign", "--out", "x"], 1, "bad:2: 'TWO' has no phones"),
    ],
)
def test_a_mistake_gets_a_sentence(
    arguments: list[object],
    status: int,
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    write_text(Path("empty"), "\n")
    write_text(Path("foreign"), "eins zwei\n")
    write_text(Path("bad"), "ONE W AH1 N\nTWO\n")
    assert _call(*arguments) == status
    told = capsys.readouterr().err
    assert told.startswith("error: ")
    assert sentence in told
    assert told.count("\n") == 1
    assert not Path("x").exists()

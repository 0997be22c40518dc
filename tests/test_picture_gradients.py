"""The picture of gradients back through time: its step-wise pass, its derivatives, its table and its complaints."""

from __future__ import annotations

import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from asr.audio import read_utterance
from asr.cmvn import speaker_statistics
from asr.manifest import read_manifest
from asr.model.acoustic import AcousticModel, save_model
from asr.model.cells import make_direction
from asr.tokens import train_tokenizer
from scripts.picture_gradients import (
    CELLS,
    PLACES,
    Material,
    StepByStep,
    draw,
    fresh_model,
    gradient_norms,
    log_odds,
    main,
    summarise,
    table,
    width_of,
)
from tests.tones import PITCHES, RATE, tiny_config, write_tones

FRAMES = torch.tensor([24, 16])  # 8 and 6 encoder frames
FARTHEST = 4


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def _model(cell: str, layers: int) -> AcousticModel:
    torch.manual_seed(1)
    config = tiny_config(f"encoder.cell={cell}", f"encoder.layers={layers}", "encoder.hidden=4")
    return AcousticModel(config, 5).eval()


@pytest.mark.parametrize("cell", CELLS)
def test_frame_after_frame_gives_what_the_layer_gives(cell: str) -> None:
    torch.manual_seed(2)
    layer = make_direction(cell, 12, 32, 32)
    x = torch.randn(3, 150, 12)
    steps = StepByStep(layer, cell)
    torch.testing.assert_close(steps(x)[0], layer(x)[0], atol=1e-5, rtol=0)
    assert len(steps.states) == 150


@pytest.mark.parametrize("cell", CELLS)
def test_measuring_leaves_the_model_as_it_was(cell: str) -> None:
    model, features = _model(cell, 2), torch.randn(2, 24, 12)
    names = list(model.state_dict())
    before, _ = model(features, FRAMES)
    gradient_norms(model, features, FRAMES, FARTHEST)
    assert list(model.state_dict()) == names
    assert torch.equal(model(features, FRAMES)[0], before)


class _Nudged(nn.Module):
    """A layer whose hidden state is moved a little at one step, which the steps after it then read."""

    def __init__(self, layer: nn.Module, cell: str, step: int, nudge: Tensor) -> None:
        super().__init__()
        self.layer, self.cell, self.step, self.nudge = layer, cell, step, nudge

    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        state = torch.zeros(1, len(x), self.nudge.shape[0], dtype=x.dtype)
        whole = (state, state) if self.cell == "lstm" else state
        outputs = []
        for step in range(x.shape[1]):
            _, whole = self.layer(x[:, step : step + 1], whole)
            nudge = self.nudge if step == self.step else torch.zeros_like(self.nudge)
            whole = (whole[0] + nudge, whole[1]) if self.cell == "lstm" else whole + nudge
            outputs.append(whole[0][0] if self.cell == "lstm" else whole[0])
        return torch.stack(outputs, dim=1), None


@pytest.mark.parametrize("cell", CELLS)
def test_gradients_are_those_of_finite_differences(cell: str) -> None:
    model, small = _model(cell, 2).double(), 1e-5
    features = torch.randn(2, 24, 12, dtype=torch.float64)
    norms = gradient_norms(model, features, FRAMES, FARTHEST)
    assert norms.shape == (2, PLACES, FARTHEST + 1)
    layer = model.encoder.stack.layers[0]
    direction = layer.forwards
    for utterance, last in enumerate((7, 5)):
        for place, t in ((0, FARTHEST), (PLACES - 1, last)):
            for k in (0, 1, FARTHEST):
                differences = []
                for nudge in small * torch.eye(4, dtype=torch.float64):
                    scores = []
                    for moved in (nudge, -nudge):
                        layer.forwards = _Nudged(direction, cell, t - k, moved)
                        log_probs = model.head(model.encoder(features, FRAMES)[0]).log_softmax(dim=2)
                        scores.append(log_odds(log_probs)[utterance, t])
                    differences.append((scores[0] - scores[1]) / (2 * small))
                expected = torch.stack(differences).norm()
                # The model's log-probs are float32, the oracle's are not.
                assert torch.allclose(norms[utterance, place, k], expected, rtol=1e-5, atol=0), (utterance, t, k)


def test_log_odds_are_those_of_the_best_token() -> None:
    p = torch.tensor([[[0.7, 0.2, 0.1], [0.25, 0.25, 0.5]]])
    torch.testing.assert_close(log_odds(p.log()), torch.tensor([[0.7 / 0.3, 1.0]]).log())


@pytest.mark.parametrize("cell", CELLS)
def test_the_cells_have_as_many_parameters(cell: str) -> None:
    lstm = fresh_model("lstm", 40, 1).parameters_count
    hidden = width_of(cell, lstm)
    counts = [fresh_model(cell, near, 1).parameters_count for near in (hidden - 1, hidden, hidden + 1)]
    assert min(counts, key=lambda count: abs(count - lstm)) == counts[1]
    assert abs(counts[1] - lstm) < 0.02 * lstm


def test_curves_are_of_ratios_and_their_intervals_of_models_and_utterances() -> None:
    models = [_model("gru", 1)] * 2
    decay = 10.0 ** -np.arange(41)
    even = summarise("GRU", models, np.broadcast_to(3 * decay, (2, 5, PLACES, 41)))
    for row in (even.mean, even.low, even.high, even.least, even.most):
        np.testing.assert_allclose(row, -np.arange(41), atol=1e-9)
    logs = np.random.default_rng(3).standard_normal((2, 100, PLACES, 41))
    logs[..., 0] = 0
    noisy = summarise("GRU", models, 10**logs)
    error = 1 / np.sqrt(200 * PLACES)
    assert abs(noisy.mean[1:]).max() < 4 * error
    widths = (noisy.high - noisy.low)[1:] / (2 * 1.96 * error)
    assert 0.8 < widths.mean() < 1.5  # wider than with utterances alone: models are drawn, too
    np.testing.assert_allclose(noisy.most[1:], 1.645, atol=0.2)
    told = table("fresh", [even])
    assert f"GRU: {even.parameters:,} parameters, models: 2" in told
    assert "   40   -40.00   -40.00 to -40.00" in told


def test_the_picture_is_xml_that_names_every_curve() -> None:
    slow, fast = (10.0 ** -(rate * np.arange(41)) for rate in (0.05, 0.25))
    curves = [
        summarise(name, [_model(cell, 1)], np.broadcast_to(decay, (1, 3, PLACES, 41)))
        for name, cell, decay in (("LSTM & more", "lstm", slow), ("RNN", "rnn", fast), ("GRU", "gru", fast))
    ]
    picture = ElementTree.fromstring(draw({"fresh": curves, "trained": curves[:1]}, 30))
    texts = ["".join(one.itertext()) for one in picture.iter("{http://www.w3.org/2000/svg}text")]
    for label in ("LSTM & more 10−2.0", "RNN 10−10.0", "GRU 10−10.0", "fresh", "trained", "k, frames of 30 ms back"):
        assert label in texts
    ends = [float(one.get("y", 0)) for one in picture.iter() if "".join(one.itertext()).startswith(("RNN", "GRU"))]
    assert abs(ends[0] - ends[1]) >= 15  # labels of curves that end together


def test_a_speaker_is_normalised_by_all_that_he_says(tmp_path: Path) -> None:
    everything = read_manifest(write_tones(tmp_path, "tones", 8, seed=1))
    first = everything[:2]
    material = Material(first, [torch.from_numpy(read_utterance(one, RATE)) for one in first], everything)
    features = AcousticModel(tiny_config("features.cmvn=speaker"), 5).features
    found, speakers = material.statistics(features), speaker_statistics(features, everything)
    assert len(speakers) > 1
    assert found is not None
    torch.testing.assert_close(found, torch.stack([speakers[f"speaker {one.speaker}"] for one in first]))
    assert material.statistics(AcousticModel(tiny_config("features.cmvn=none"), 5).features) is None


def _refused(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: object) -> str:
    monkeypatch.setattr(sys, "argv", ["picture_gradients.py", *map(str, arguments)])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code in (1, 2)
    told = capsys.readouterr().err
    assert told.startswith("error: ")
    assert told.count("\n") == 1
    return told


def test_what_cannot_be_drawn_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_config("encoder.cell=peephole", "features.cmvn=none")
    tokenizer = train_tokenizer(config.tokens, PITCHES)
    save_model(tmp_path / "peephole", AcousticModel(config, len(tokenizer)), tokenizer, {}, "")
    save_model(tmp_path / "8k", AcousticModel(tiny_config("features.cmvn=none"), len(tokenizer)), tokenizer, {}, "")
    for model, sentence in (
        ("LSTM", "'LSTM': a trained model is given as NAME=FOLDER"),
        (f"LSTM={tmp_path / 'none'}", "there is no such model folder"),
        (f"P={tmp_path / 'peephole'}", "its cell is peephole, the picture is for rnn, gru, lstm"),
        (f"L={tmp_path / '8k'}", "one output every 30 ms at 8000 Hz, the picture is for 30 ms at 16000 Hz"),
    ):
        assert sentence in _refused(capsys, monkeypatch, "none.jsonl", model)
    assert "none.jsonl" in _refused(capsys, monkeypatch, tmp_path / "none.jsonl")

"""How far gradients reach back through time in tanh RNN, GRU and LSTM: docs/gradients.svg and docs/gradients.txt.

    python scripts/picture_gradients.py data/an4/dev.jsonl \
        RNN=exp/tables/rnn/seed1/model RNN=exp/tables/rnn/seed2/model \
        GRU=exp/tables/gru/seed1/model GRU=exp/tables/gru/seed2/model \
        LSTM=exp/tables/lstm/seed1/model LSTM=exp/tables/lstm/seed2/model

(the models of ``scripts/tables_an4.sh cells``; those of one name are taken together). Without models, fresh ones alone:
3 × 160 LSTM units a direction over mel bands, the other cells as wide as it takes to have as many parameters.

Measured is the norm of d(score of frame t) / d(hidden state of frame t − k), divided by the norm at k = 0, over k. The
hidden states h are those of the first layer's forward direction, and the derivative is the total one: through the
layer's own recurrence and by whatever way through the layers above. The score is the log-odds of the frame's best
token, log p / (1 − p). Its gradient is that of log p divided by 1 − p, so the ratio is the same as log p's, but does
not drown in rounding where the model is sure. Means of log₁₀ are over models, utterances and four frames t of each,
spread evenly from t = 40 to the last; their 95 % intervals come of a bootstrap that draws models and utterances.
"""

from __future__ import annotations

import argparse
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from asr.audio import read_utterance
from asr.cmvn import speaker_key, speaker_statistics
from asr.config import read_config
from asr.errors import AsrError, UsageError
from asr.features import Features
from asr.files import write_text
from asr.manifest import Utterance, read_manifest
from asr.model.acoustic import AcousticModel, load_model

FARTHEST, PLACES, TOKENS, REPLICATES = 40, 4, 40, 2000  # k at most, frames t an utterance, V of fresh models, bootstrap
SHOWN = (1, 2, 5, 10, 20, 30, 40)
CELLS = {"rnn": torch.rnn_tanh_cell, "gru": torch.gru_cell, "lstm": torch.lstm_cell}
# Readable on a light page and on a dark one.
COLOURS = {"rnn": "#d9534f", "gru": "#4a9d5b", "lstm": "#3b82c4"}
INK = "#888888"
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 370, 300, 66, 88, 30, 42  # of a panel, and its margins


class StepByStep(nn.Module):
    """A recurrent layer of PyTorch's that computes one frame after the other and keeps the hidden state of each.

    Attributes:
        states: of the last pass, one of shape (N, H) for each frame; whatever reads them is in the graph behind them.
    """

    def __init__(self, layer: nn.LSTM | nn.GRU | nn.RNN, cell: str) -> None:
        super().__init__()
        self.layer, self.cell = layer, cell
        self.states: list[Tensor] = []

    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        """Shape (N, S, D) → (N, S, H), from a state of zeros, and None where the layer gives its last state."""
        weights = self.layer.all_weights[0]
        h = c = x.new_zeros(len(x), self.layer.hidden_size)
        self.states = []
        for frame in x.unbind(dim=1):  # (N, D)
            if self.cell == "lstm":
                h, c = torch.lstm_cell(frame, (h, c), *weights)
            else:
                h = CELLS[self.cell](frame, h, *weights)
            self.states.append(h)
        return torch.stack(self.states, dim=1), None


def log_odds(log_probs: Tensor) -> Tensor:
    """log p / (1 − p) of each frame's most probable token. Shape (N, S, V) → (N, S)."""
    best, token = log_probs.max(dim=2)
    return best - log_probs.scatter(2, token[:, :, None], -torch.inf).logsumexp(dim=2)


def gradient_norms(model: AcousticModel, features: Tensor, frames: Tensor, farthest: int = FARTHEST) -> Tensor:
    """Norms of the gradients of `PLACES` frames' scores back through time.

    Args:
        model: in evaluation mode, of a cell of `CELLS`.
        features: shape (N, T, F).
        frames: shape (N,); each utterance has more than ``farthest`` encoder frames.
        farthest: K.

    Returns:
        Of frames t of each utterance by how far back, shape (N, PLACES, K + 1).
    """
    layer = model.encoder.stack.layers[0]
    direction = layer.forwards
    layer.forwards = steps = StepByStep(direction, model.config.encoder.cell)
    try:
        log_probs, lengths = model(features, frames)  # (N, S, V)
    finally:
        layer.forwards = direction
    scores, every = log_odds(log_probs), torch.arange(len(lengths))
    found = []
    for place in range(PLACES):
        t = farthest + (lengths - 1 - farthest) * place // (PLACES - 1)  # (N,)
        gradients = torch.autograd.grad(scores[every, t].sum(), steps.states, retain_graph=True)  # S of (N, H)
        norms = torch.stack(gradients, dim=1).norm(dim=2)  # (N, S)
        found.append(norms[every[:, None], t[:, None] - torch.arange(farthest + 1)])  # (N, K + 1)
    return torch.stack(found, dim=1)


@dataclass(frozen=True)
class Curve:
    """How a kind of model hands gradients back.

    Attributes:
        name: of the kind.
        cell: its recurrent cell.
        parameters: learned numbers of a model.
        models: how many there are.
        mean: log₁₀ of the norm beside that at k = 0, shape (K + 1,).
        low, high: 95 % interval of the mean.
        least, most: within them lie 90 % of all frames t.
    """

    name: str
    cell: str
    parameters: int
    models: int
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    least: np.ndarray
    most: np.ndarray


def summarise(name: str, models: Sequence[AcousticModel], norms: np.ndarray) -> Curve:
    """The curve of models of one kind; norms of shape (models, N, PLACES, K + 1)."""
    logs = np.log10(norms / norms[..., :1])
    utterances, random = logs.mean(axis=2), np.random.default_rng(1)  # (models, N, K + 1)
    drawn = np.empty((REPLICATES, logs.shape[-1]))
    for row in drawn:
        some, others = (random.integers(count, size=count) for count in utterances.shape[:2])
        row[:] = utterances[some][:, others].mean(axis=(0, 1))
    low, high = np.percentile(drawn, (2.5, 97.5), axis=0)
    least, most = np.percentile(logs.reshape(-1, logs.shape[-1]), (5, 95), axis=0)
    cell, parameters = models[0].config.encoder.cell, models[0].parameters_count
    return Curve(name, cell, parameters, len(models), logs.mean(axis=(0, 1, 2)), low, high, least, most)


def fresh_model(cell: str, hidden: int, seed: int) -> AcousticModel:
    """3 layers over 80 mel bands, three frames side by side, normalised by utterance: nothing is known of a corpus."""
    torch.manual_seed(seed)
    config = read_config(None, ["features.cmvn=utterance", f"encoder.cell={cell}", f"encoder.hidden={hidden}"])
    return AcousticModel(config, TOKENS).eval()


def width_of(cell: str, parameters: int, widest: int = 1024) -> int:
    """H with which a fresh model comes nearest to so many parameters."""

    def count(hidden: int) -> int:
        return fresh_model(cell, hidden, 1).parameters_count

    above = bisect_left(range(widest), parameters, lo=2, key=count)
    return min(above - 1, above, key=lambda hidden: abs(count(hidden) - parameters))


@dataclass(frozen=True)
class Material:
    """What models are measured on.

    Attributes:
        utterances: those that are measured.
        waveforms: of each, at the models' rate, shape (samples,).
        everything: all of the manifest; where a model normalises by speaker, it is by all that he says there.
    """

    utterances: list[Utterance]
    waveforms: list[Tensor]
    everything: list[Utterance]

    def statistics(self, features: Features) -> Tensor | None:
        """The speaker's mean and deviation for each utterance, shape (N, 2, F); None where they are not asked for."""
        if features.config.cmvn != "speaker":
            return None
        speakers = speaker_statistics(features, self.everything)
        return torch.stack([speakers[speaker_key(one)] for one in self.utterances])


def measure(name: str, models: Sequence[AcousticModel], material: Material) -> Curve:
    """The curve of models of one kind."""
    waveforms = material.waveforms
    padded = nn.utils.rnn.pad_sequence(waveforms, batch_first=True)  # (N, L)
    samples = torch.tensor([len(waveform) for waveform in waveforms])
    norms = []
    for model in models:
        with torch.no_grad():
            features, frames = model.features(padded, samples, material.statistics(model.features))  # (N, T, F)
        norms.append(gradient_norms(model.double(), features.double(), frames).numpy())
        model.float()
    return summarise(name, models, np.stack(norms))


def table(title: str, curves: Sequence[Curve]) -> str:
    """Means and intervals, one line a curve and a k."""
    lines = [title, f"{'':6}{'k':>4}{'log10':>9}  95 % interval of it    90 % of the frames"]
    for curve in curves:
        lines.append(f"{curve.name}: {curve.parameters:,} parameters, models: {curve.models}")
        for k in SHOWN:
            mean, low, high, least, most = (
                row[k] for row in (curve.mean, curve.low, curve.high, curve.least, curve.most)
            )
            lines.append(f"{'':6}{k:4}{mean:9.2f}  {low:7.2f} to {high:6.2f}     {least:7.2f} to {most:6.2f}")
    return "\n".join(lines) + "\n"


def _superscript(number: str) -> str:
    return f'<tspan dy="-4" font-size="9">{number.replace("-", "−")}</tspan>'


def _panel(title: str, curves: Sequence[Curve], floor: int, shift: int, milliseconds: float) -> list[str]:
    """One plot, ``shift`` units from the left, from 10^floor to 1."""

    def x(k: float) -> float:
        return shift + LEFT + (WIDTH - LEFT - RIGHT) * k / FARTHEST

    def y(log: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * max(log, floor) / floor

    def points(ks: Sequence[int], logs: np.ndarray) -> str:
        return " ".join(f"{x(k):.1f},{y(logs[k]):.1f}" for k in ks)

    middle, every = (x(0) + x(FARTHEST)) / 2, range(FARTHEST + 1)
    side, half = shift + 14, (y(0) + y(floor)) / 2
    parts = [
        f'<text x="{middle}" y="18" text-anchor="middle" fill="{INK}" font-weight="bold">{title}</text>',
        f'<text x="{side}" y="{half}" transform="rotate(-90 {side} {half})" text-anchor="middle" fill="{INK}">'
        "gradient k frames back / at k = 0</text>",
    ]
    for log in range(0, floor - 1, -2):
        parts.append(
            f'<line x1="{x(0)}" x2="{x(FARTHEST)}" y1="{y(log):.1f}" y2="{y(log):.1f}" stroke="{INK}" '
            f'stroke-opacity="0.3"/><text x="{x(0) - 8}" y="{y(log) + 4:.1f}" text-anchor="end" fill="{INK}">'
            f"{'1' if log == 0 else '10' + _superscript(str(log))}</text>"
        )
    for k in range(0, FARTHEST + 1, 10):
        parts.append(f'<text x="{x(k)}" y="{HEIGHT - 24}" text-anchor="middle" fill="{INK}">{k}</text>')
    axis = f"k, frames of {milliseconds:g} ms back"
    parts.append(f'<text x="{middle}" y="{HEIGHT - 6}" text-anchor="middle" fill="{INK}">{axis}</text>')
    below = -np.inf
    for curve in sorted(curves, key=lambda one: -one.mean[-1]):
        colour = COLOURS[curve.cell]
        band = f"{points(every, curve.most)} {points(every[::-1], curve.least)}"
        below = max(y(curve.mean[-1]) + 4, below + 15)  # labels do not cover each other
        parts.append(
            f'<polygon points="{band}" fill="{colour}" fill-opacity="0.2"/>'
            f'<polyline points="{points(every, curve.mean)}" fill="none" stroke="{colour}" stroke-width="2"/>'
            f'<text x="{x(FARTHEST) + 6}" y="{below:.1f}" fill="{colour}">{escape(curve.name)} '
            f"10{_superscript(f'{curve.mean[-1]:.1f}')}</text>"
        )
    return parts


def draw(panels: dict[str, list[Curve]], milliseconds: float) -> str:
    """An SVG of one plot for each title, on the same scale; lines are means, bands hold 90 % of all frames t."""
    lowest = min(curve.least[-1] for curves in panels.values() for curve in curves)
    floor = 2 * int(np.floor(lowest / 2))
    wide = WIDTH * len(panels)
    box = f'viewBox="0 0 {wide} {HEIGHT}" width="{wide}" height="{HEIGHT}"'
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" {box} font-family="sans-serif" font-size="12">']
    for number, (title, curves) in enumerate(panels.items()):
        parts += _panel(title, curves, floor, number * WIDTH, milliseconds)
    return "\n".join([*parts, "</svg>"]) + "\n"


def load_named(pairs: Sequence[str], like: AcousticModel) -> dict[str, list[AcousticModel]]:
    """Trained models by name, from ``NAME=FOLDER``.

    Raises:
        UsageError: a pair that is none, models of one name with several cells, or a model that is not ``like`` fresh
            ones in rate and frames, or of another cell than those of `CELLS`.
        AsrError: a folder that is no model.
    """
    named: dict[str, list[AcousticModel]] = {}
    for pair in pairs:
        name, _, folder = pair.partition("=")
        if not name or not folder:
            raise UsageError(f"{pair!r}: a trained model is given as NAME=FOLDER")
        model = load_model(Path(folder)).model
        cell, rate = model.config.encoder.cell, model.config.features.rate
        if cell not in CELLS:
            raise UsageError(f"{folder}: its cell is {cell}, the picture is for {', '.join(CELLS)}")
        if (rate, model.frame_seconds) != (like.config.features.rate, like.frame_seconds):
            raise UsageError(
                f"{folder}: one output every {1000 * model.frame_seconds:g} ms at {rate} Hz, the picture is for "
                f"{1000 * like.frame_seconds:g} ms at {like.config.features.rate} Hz"
            )
        others = named.setdefault(name, [])
        if others and others[0].config.encoder.cell != cell:
            raise UsageError(f"{folder}: its cell is {cell}, that of {name} before it {others[0].config.encoder.cell}")
        others.append(model)
    return named


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("models", nargs="*", metavar="NAME=FOLDER", help="trained models")
    parser.add_argument("--seeds", type=int, default=5, help="fresh models of each cell")
    parser.add_argument("--utterances", type=int, default=32, help="the first so many that are long enough")
    parser.add_argument("--hidden", type=int, default=160, help="H of the fresh LSTM")
    parser.add_argument("--out", type=Path, default=Path("docs/gradients"), help=".svg and .txt are put behind it")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    try:
        lstm = fresh_model("lstm", arguments.hidden, 1)
        named = load_named(arguments.models, lstm)
        rate = lstm.config.features.rate
        everything = read_manifest(arguments.manifest)
        heard = [(one, torch.from_numpy(read_utterance(one, rate))) for one in everything]
        long = [pair for pair in heard if lstm.output_length(len(pair[1])) > FARTHEST][: arguments.utterances]
        if not long:
            raise AsrError(f"{arguments.manifest}: no utterance is longer than {FARTHEST} frames")
        material = Material([one for one, _ in long], [waveform for _, waveform in long], everything)
    except AsrError as error:
        parser.exit(error.exit_status, f"error: {error}\n")
    panels: dict[str, list[Curve]] = {"fresh": []}
    for cell in CELLS:
        hidden = width_of(cell, lstm.parameters_count)
        models = [fresh_model(cell, hidden, seed + 1) for seed in range(arguments.seeds)]
        panels["fresh"].append(measure(cell.upper(), models, material))
    if named:
        panels["trained"] = [measure(name, models, material) for name, models in named.items()]
    head = f"{len(long)} utterances of {arguments.manifest}, frames of {1000 * lstm.frame_seconds:g} ms\n"
    text = "\n".join([head, *(table(title, curves) for title, curves in panels.items())])
    write_text(arguments.out.with_suffix(".txt"), text)
    write_text(arguments.out.with_suffix(".svg"), draw(panels, 1000 * lstm.frame_seconds))
    print(text, end="")


if __name__ == "__main__":
    main()

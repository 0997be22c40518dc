"""Latency-controlled passes: against one written frame by frame, from batch to batch, and up to the full pass."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from asr.config import Config
from asr.errors import UsageError
from asr.latency import Chunking, divide
from asr.model.acoustic import AcousticModel
from asr.model.cells import read_on
from asr.train.objective import forward
from tests.tones import tiny_config

VOCABULARY = 5


@st.composite
def _configs(draw: st.DrawFn) -> Config:
    layer_norm = draw(st.booleans())  # over few units it blows rounding up, see test_batch_invariance.py
    connection = draw(st.sampled_from(["none", "residual", "highway"]))
    return tiny_config(
        f"seed={draw(st.integers(min_value=0, max_value=999))}",
        f"encoder.cell={draw(st.sampled_from(['lstm', 'gru', 'rnn']))}",
        f"encoder.connection={connection}",
        f"encoder.layers={draw(st.integers(min_value=1 if connection == 'none' else 2, max_value=3))}",
        f"encoder.hidden={draw(st.integers(min_value=8 if layer_norm else 1, max_value=12))}",
        f"encoder.projection={draw(st.sampled_from([0, 5])) if connection == 'none' else 0}",
        f"encoder.layer_norm={str(layer_norm).lower()}",
        f"encoder.subsampling.factor={draw(st.sampled_from([1, 3]))}",
        f"encoder.dropout_kind={draw(st.sampled_from(['plain', 'locked']))}",
    )


_CHUNKINGS = st.builds(Chunking, st.integers(min_value=1, max_value=9), st.integers(min_value=0, max_value=9))


def _model(config: Config) -> AcousticModel:
    torch.manual_seed(config.seed)
    return AcousticModel(config, VOCABULARY)


def _features(model: AcousticModel, frames: list[int]) -> tuple[Tensor, Tensor]:
    """Random ones, with garbage behind each utterance's end."""
    features = torch.randn(len(frames), max(frames), model.features.dimension)
    for row, count in zip(features, frames, strict=True):
        row[count:] = torch.nan
    return features, torch.tensor(frames)


def _read(direction: nn.Module, x: Tensor, state: tuple[Tensor, ...] | None) -> tuple[Tensor, tuple[Tensor, ...]]:
    output, state = read_on(direction, x[None], state, list(direction.parameters()))
    return output[0], state


def _by_the_book(model: AcousticModel, features: Tensor, chunking: Chunking) -> Tensor:
    """One utterance, chunk after chunk, as the paper tells it. Shape (T, F) → (S, C)."""
    stack = model.encoder.stack
    x = model.encoder.subsampling(features[None])[0]  # (S, D)
    states: list[tuple[Tensor, ...] | None] = [None] * len(stack.layers)
    said = []
    for begin in range(0, len(x), chunking.chunk):
        view = x[begin : begin + sum(chunking)]
        blocks = zip(stack.layers, stack.norms, stack.projections, stack.connections, strict=True)
        for number, (layer, norm, projection, connection) in enumerate(blocks):
            own, states[number] = _read(layer.forwards, view[: chunking.chunk], states[number])
            behind = own[:0]
            if len(view) > chunking.chunk:
                behind, _ = _read(layer.forwards, view[chunking.chunk :], states[number])
            back, _ = _read(layer.backwards, view.flip(0), None)
            both = torch.cat([torch.cat([own, behind]), back.flip(0)], dim=1)
            view = connection(view, projection(norm(both)))
        said.append(view[: chunking.chunk])
    return torch.cat(said)


@settings(max_examples=40, deadline=None)
@given(
    config=_configs(),
    frames=st.lists(st.integers(min_value=1, max_value=60), min_size=1, max_size=5),
    chunking=_CHUNKINGS,
)
def test_a_batch_gives_what_the_paper_tells_of_each_utterance(
    config: Config, frames: list[int], chunking: Chunking
) -> None:
    model = _model(config).eval()
    features, counts = _features(model, frames)
    together, lengths = model.encoder(features, counts, chunking)
    for row, length, one, count in zip(together, lengths.tolist(), features, frames, strict=True):
        alone = _by_the_book(model, one[:count], chunking)
        assert len(alone) == length
        torch.testing.assert_close(row[:length], alone, atol=1e-5, rtol=0)


@settings(max_examples=20, deadline=None)
@given(
    config=_configs(),
    frames=st.lists(st.integers(min_value=1, max_value=30), min_size=1, max_size=4),
    chunk=st.integers(min_value=1, max_value=40),
)
def test_a_view_of_the_whole_utterance_gives_the_full_pass(config: Config, frames: list[int], chunk: int) -> None:
    model = _model(config).eval()
    features, counts = _features(model, frames)
    full, lengths = model(features, counts)
    chunked, same = model(features, counts, Chunking(chunk, max(30 - chunk, 0)))
    assert torch.equal(lengths, same)
    for one, other, length in zip(full, chunked, lengths.tolist(), strict=True):
        torch.testing.assert_close(one[:length], other[:length], atol=1e-5, rtol=0)


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
@pytest.mark.parametrize("chunking", [Chunking(1, 0), Chunking(4, 3), Chunking(50, 9)])
def test_a_model_that_reads_forwards_only_loses_nothing(cell: str, chunking: Chunking) -> None:
    options = ("layers=3", "hidden=8", f"cell={cell}", "direction=forwards", "connection=residual")
    model = _model(tiny_config(*(f"encoder.{one}" for one in options))).eval()
    features, frames = _features(model, [40, 31, 1])
    full, lengths = model(features, frames)
    chunked, _ = model(features, frames, chunking)
    for one, other, length in zip(full, chunked, lengths.tolist(), strict=True):
        torch.testing.assert_close(one[:length], other[:length], atol=1e-5, rtol=0)


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_what_is_dropped_is_dropped_from_all_chunks_alike(cell: str) -> None:
    options = ("layers=3", "hidden=8", f"cell={cell}", "weight_dropout=0.5", "dropout=0.5", "dropout_kind=locked")
    model = _model(tiny_config(*(f"encoder.{one}" for one in options))).train()
    features, frames = _features(model, [40, 31])
    torch.manual_seed(1)
    full, lengths = model(features, frames)
    torch.manual_seed(1)
    chunked, _ = model(features, frames, Chunking(3, 40))
    for one, other, length in zip(full, chunked, lengths.tolist(), strict=True):
        torch.testing.assert_close(one[:length], other[:length], atol=1e-5, rtol=0)


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
@pytest.mark.parametrize("dropped", [("weight_dropout=0.3",), ("dropout=0.3",), ("dropout=0.3", "dropout_kind=locked")])
def test_gradients_of_a_batch_reach_everything(cell: str, dropped: tuple[str, ...]) -> None:
    options = [f"encoder.{one}" for one in ("layers=3", "hidden=4", f"cell={cell}", *dropped)]
    model = _model(tiny_config(*options, "train.intermediate=[1]")).train()
    features, frames = _features(model, [50, 41, 5])
    output = forward(model, features, frames, [1], [[1]] * 3, Chunking(4, 3))
    below = output.intermediate[0]
    assert below.shape == output.log_probs.shape
    inside = torch.arange(output.log_probs.shape[1]) < output.lengths[:, None]
    (output.log_probs[inside].sum() + below[inside].sum()).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_in_bfloat16_it_is_nearly_the_same(cell: str) -> None:
    model = _model(tiny_config("encoder.layers=2", "encoder.hidden=8", f"encoder.cell={cell}")).train()
    features, frames = _features(model, [50, 41])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough, lengths = model(features, frames, Chunking(4, 3))
    exact, _ = model(features, frames, Chunking(4, 3))
    for one, other, length in zip(rough, exact, lengths.tolist(), strict=True):
        torch.testing.assert_close(one[:length], other[:length], atol=0.03, rtol=0)
    rough[0].sum().backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in model.parameters())


def test_gradients_are_those_of_the_book() -> None:
    model = _model(tiny_config("encoder.layers=2", "encoder.hidden=4")).double().eval()
    features, frames = torch.randn(1, 50, model.features.dimension, dtype=torch.float64), torch.tensor([50])
    chunking, found = Chunking(4, 3), []
    weights = torch.randn(17, 8, dtype=torch.float64)
    for encoded in (model.encoder(features, frames, chunking)[0][0], _by_the_book(model, features[0], chunking)):
        model.zero_grad()
        (encoded * weights).sum().backward()
        found.append([one.grad.clone() for one in model.encoder.parameters() if one.grad is not None])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


def test_below_the_last_layer_heads_read_chunks_and_no_contexts() -> None:
    model = _model(tiny_config("encoder.layers=2", "encoder.hidden=4")).eval()
    features, frames = _features(model, [50, 20])
    short = _model(tiny_config("encoder.layers=1", "encoder.hidden=4")).eval()
    short.load_state_dict({name: one for name, one in model.state_dict().items() if name in short.state_dict()})
    (below,) = forward(model, features, frames, [1], [[1]] * 2, Chunking(4, 3)).intermediate
    expected, lengths = short(features, frames, Chunking(4, 3))
    for one, other, length in zip(below, expected, lengths.tolist(), strict=True):
        torch.testing.assert_close(one[:length], other[:length], atol=1e-5, rtol=0)


@pytest.mark.parametrize("steps", [1, 5, 12, 13, 25])
def test_it_is_known_how_much_is_laid_out(steps: int) -> None:
    seen: list[int] = []
    model = _model(tiny_config("encoder.subsampling.factor=1", "encoder.hidden=2"))
    model.encoder.stack.layers[0].backwards.register_forward_pre_hook(lambda _, x: seen.append(x[0].shape[:2].numel()))
    for chunking in (Chunking(4, 3), Chunking(12, 12), Chunking(1, 0)):
        model.encoder(torch.randn(2, steps, 12), torch.tensor([steps, 1]), chunking)
        assert seen.pop() == 2 * chunking.laid_out(steps)


def test_a_latency_is_divided_in_halves() -> None:
    assert divide(1.0, 0.03) == (17, 16)
    assert divide(0.06, 0.03) == (1, 1)
    with pytest.raises(UsageError, match=r"a latency of 0.04 s is too short: .* 0.03 s apart, .* at least 0.06 s"):
        divide(0.04, 0.03)


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("features.cmvn=utterance", "features.cmvn=utterance needs all of a recording"),
        ("features.deltas=1", "features.deltas look at the frames beside each"),
        ("features.floor=20", "features.floor lies below the mean power of all of a recording"),
        ("features.snip_edges=false", "features.snip_edges=false invents what lies beyond a recording's ends"),
        ("encoder.subsampling.kind=conv1d", "encoder.subsampling.kind=conv1d looks at the frames beside each"),
        ("encoder.cell=projected", "encoder.cell=projected carries no state from chunk to chunk; lstm, gru and rnn do"),
        ("encoder.direction=backwards", "encoder.direction=backwards begins where a recording ends"),
        ("encoder={layers: 2, hidden: 4, pyramid: 1}", "encoder.pyramid joins frames across chunks"),
        ("encoder.attention.layers=1", "encoder.attention looks at all of a recording"),
        ("decoder.weight=0.3", "the attention decoder (decoder.weight) looks at all of a recording"),
    ],
)
def test_what_needs_whole_recordings_says_so(override: str, sentence: str) -> None:
    model = _model(tiny_config(override))
    with pytest.raises(UsageError) as told:
        model.config.chunking(1.0)
    assert "this model hears whole recordings only, not chunk by chunk: " + sentence in str(told.value)
    with pytest.raises(UsageError) as told:
        tiny_config(override, "train.chunk_share=0.5")
    assert f"train.chunk_share trains a model for streams, and {sentence}" in str(told.value)

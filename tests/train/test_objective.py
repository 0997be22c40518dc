from __future__ import annotations

import pytest
import torch
from torch import Tensor

from asr.config import Config
from asr.model.acoustic import AcousticModel
from asr.model.ctc import ctc_loss, uniform_divergence
from asr.train.objective import Output, forward, objective
from tests.tones import tiny_config

LABELS = [[1, 2], [3], [2, 2, 4]]
FRAMES = torch.tensor([30, 12, 21])


def _batch(config: Config) -> tuple[AcousticModel, Tensor]:
    torch.manual_seed(1)
    return AcousticModel(config, 5), torch.randn(3, 30, config.features.dimension)


def _output(config: Config, layers: list[int]) -> Output:
    model, features = _batch(config)
    return forward(model, features, FRAMES, layers, LABELS)


def test_without_any_it_is_ctc_to_the_bit() -> None:
    config = tiny_config("encoder.layers=3")
    output = _output(config, [])
    trained, plain = objective(output, LABELS, config)
    assert torch.equal(trained, plain)
    assert torch.equal(plain, ctc_loss(output.log_probs, output.lengths, LABELS))


def test_intermediate_losses_are_those_of_the_layers_below_through_the_same_head() -> None:
    config = tiny_config("encoder.layers=3")
    model, features = _batch(config)
    output = forward(model, features, FRAMES, [1, 2], LABELS)
    assert not torch.equal(output.intermediate[0], output.intermediate[1])
    for number in (1, 2):  # a model of the first layers alone hears the same
        shorter = AcousticModel(tiny_config(f"encoder.layers={number}"), 5)
        shorter.load_state_dict({name: model.state_dict()[name] for name in shorter.state_dict()})
        torch.testing.assert_close(output.intermediate[number - 1], shorter(features, FRAMES)[0])


def test_below_self_attention_they_are_of_the_recurrent_layers_through_the_norm_before_the_head() -> None:
    model, features = _batch(tiny_config("encoder.layers=3", "encoder.attention.layers=2"))
    with torch.no_grad():
        model.encoder.get_parameter("norm.weight").uniform_(0.5, 2)
    intermediate = forward(model, features, FRAMES, [1, 2], LABELS).intermediate
    for number, found in enumerate(intermediate, start=1):
        shorter = AcousticModel(tiny_config(f"encoder.layers={number}"), 5)
        shorter.load_state_dict({name: model.state_dict()[name] for name in shorter.state_dict()})
        encoded, _ = shorter.encoder(features, FRAMES)
        torch.testing.assert_close(found, model.head(model.encoder.norm(encoded)).log_softmax(dim=2))


def test_letters_are_taught_beside_phones_by_a_head_of_their_own() -> None:
    config = tiny_config("tokens.kind=phone", "tokens.dictionary=none", "train.letters_weight=0.3")
    model, features = _batch(config)
    without, plain = objective(forward(model, features, FRAMES, [], LABELS), LABELS, config)
    assert torch.equal(without, plain)
    model.letters = torch.nn.Linear(model.encoder.outputs, 7)
    letters = [[6, 6, 1], [2], []]
    output = forward(model, features, FRAMES, [], LABELS)
    trained, same = objective(output, LABELS, config, letters)
    encoded, lengths = model.encoder(features, FRAMES)
    spelled = ctc_loss(model.letters(encoded).log_softmax(dim=2), lengths, letters)
    torch.testing.assert_close(trained, 0.7 * plain + 0.3 * spelled)
    assert torch.equal(same, plain)
    trained.sum().backward()
    assert model.letters.weight.grad is not None
    assert model.letters.weight.grad.any()


def test_the_losses_are_mixed_by_their_weights() -> None:
    intermediate = ("train.intermediate=[1, 2]", "train.intermediate_weight=0.4")
    config = tiny_config("encoder.layers=3", *intermediate, "train.label_smoothing=0.1")
    output = _output(config, [1, 2])
    trained, plain = objective(output, LABELS, config)
    below = [ctc_loss(one, output.lengths, LABELS) for one in output.intermediate]
    mixed = 0.6 * plain + 0.2 * below[0] + 0.2 * below[1]
    expected = 0.9 * mixed + 0.1 * uniform_divergence(output.log_probs, output.lengths)
    torch.testing.assert_close(trained, expected)
    assert torch.equal(plain, ctc_loss(output.log_probs, output.lengths, LABELS))


def test_an_attention_decoder_takes_its_share_of_all_that_is_ctcs() -> None:
    config = tiny_config("encoder.layers=2", "train.label_smoothing=0.1", "decoder.weight=0.3", "decoder.dropout=0")
    output = _output(config, [1])
    assert output.attended is not None
    without = config.model_copy(update={"decoder": config.decoder.model_copy(update={"weight": 0.0})})
    rest, plain = objective(output._replace(attended=None), LABELS, without)
    trained, told = objective(output, LABELS, config)
    torch.testing.assert_close(trained, 0.7 * rest - 0.3 * output.attended)
    assert torch.equal(told, plain)


def test_of_an_attention_decoder_every_parameter_and_the_encoder_learn() -> None:
    config = tiny_config("decoder.weight=0.3")
    model, features = _batch(config)
    output = forward(model, features, FRAMES, [], LABELS)
    assert output.attended is not None
    output.attended.sum().backward()
    assert model.decoder is not None
    parts = [*model.decoder.parameters(), *model.encoder.parameters()]
    assert all(one.grad is not None and one.grad.abs().max() > 0 for one in parts)
    assert model.head.weight.grad is None  # it is CTC's alone


@pytest.mark.parametrize("layers", [[], [1], [1, 2]])
@pytest.mark.parametrize("decoder", [0.0, 0.4])
@pytest.mark.parametrize("attention", [0, 1])
def test_what_is_trained_on_does_not_depend_on_the_batch(layers: list[int], decoder: float, attention: int) -> None:
    sizes = ["encoder.layers=3", f"encoder.attention.layers={attention}"]
    attends = [f"decoder.weight={decoder}", "decoder.dropout=0"] if decoder else []
    config = tiny_config(*sizes, *attends, "train.label_smoothing=0.2")
    model, features = _batch(config)
    together, _ = objective(forward(model, features, FRAMES, layers, LABELS), LABELS, config)
    for row, (frames, labels) in enumerate(zip(FRAMES.tolist(), LABELS, strict=True)):
        output = forward(model, features[row : row + 1, :frames], FRAMES[row : row + 1], layers, [labels])
        alone, _ = objective(output, [labels], config)
        torch.testing.assert_close(together[row : row + 1], alone, atol=1e-4, rtol=1e-5)


def test_no_tap_is_left_behind() -> None:
    model, features = _batch(tiny_config("encoder.layers=2"))
    forward(model, features, FRAMES, [1], LABELS)
    assert not any(layer._forward_pre_hooks for layer in model.encoder.stack.layers)


def test_intermediate_gradients_reach_the_head_and_the_layers_below_only() -> None:
    model, features = _batch(tiny_config("encoder.layers=3"))
    forward(model, features, FRAMES, [1], LABELS).intermediate[0].square().sum().backward()
    touched = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert {name for name in touched if name.startswith("encoder.stack.layers.")} == {
        name for name, _ in model.named_parameters() if name.startswith("encoder.stack.layers.0.")
    }
    assert "head.weight" in touched

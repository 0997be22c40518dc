from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from asr.config import Config, parse_config, read_config
from asr.errors import AsrError, UsageError
from asr.flat_config import parse_flat
from asr.lm.recurrent import RecurrentConfig
from asr.phones.g2p import G2pConfig
from asr.yaml_files import to_yaml


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "tiny.yaml"


def _refused(file: Path, content: str, *overrides: str) -> str:
    file.write_text(content)
    with pytest.raises(UsageError) as caught:
        read_config(file, list(overrides))
    assert "\n" not in str(caught.value)
    assert caught.value.exit_status == 2
    return str(caught.value)


def test_defaults_and_an_empty_file_are_the_same(file: Path) -> None:
    file.write_text("# nothing yet\n")
    assert read_config(file) == read_config(None) == Config()


def _check_types(model: BaseModel) -> None:
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            _check_types(value)
        if field.annotation in (int, float, str, bool):
            assert type(value) is field.annotation, name


def test_a_default_has_its_own_type() -> None:
    """0 for 0.0 would make the default config another than the same config written out."""
    _check_types(Config())
    written_out = parse_config(Config().model_dump(), "written out")
    assert written_out.model_dump_json() == Config().model_dump_json()


@pytest.mark.parametrize(
    ("content", "wrong", "right"),
    [
        ("encoder: {hiden: 3}", "encoder.hiden", "encoder.hidden"),
        ("encoder:\n  subsampling: {facto: 3}", "encoder.subsampling.facto", "encoder.subsampling.factor"),
        ("trian: {epochs: 3}", "trian", "train"),
        ("epochs: 3", "epochs", "train.epochs"),
        ("train: {hidden: 3}", "train.hidden", "encoder.hidden"),
        ("encoder: {attention: {head: 3}}", "encoder.attention.head", "encoder.attention.heads"),
        ("encoder: {heads: 3}", "encoder.heads", "encoder.attention.heads"),
        ("features: {sample_rate: 8000}", "features.sample_rate", "features.rate"),
    ],
)
def test_a_misspelt_key_is_named_with_the_file_and_the_nearest(
    file: Path, content: str, wrong: str, right: str
) -> None:
    sentence = _refused(file, content)
    assert sentence.startswith(f"{file}: ")
    assert f"there is no key {wrong!r}" in sentence
    assert f"did you mean {right!r}?" in sentence


def test_a_key_like_no_other_has_no_nearest(file: Path) -> None:
    assert _refused(file, "zzzzqqqq: 1").endswith("there is no key 'zzzzqqqq'")


@pytest.mark.parametrize("fields", [{"sed": 1}, {"far.off.from.it.seed": 1}, {"seed": -1}, {"seed": {}}, {"zzqq": {}}])
@pytest.mark.parametrize("kind", [RecurrentConfig, G2pConfig])
def test_small_configs_tell_mistakes_in_the_same_words(
    kind: type[RecurrentConfig | G2pConfig], fields: dict[str, Any]
) -> None:
    with pytest.raises(UsageError) as expected:
        parse_config(fields, "conf")
    with pytest.raises(UsageError) as caught:
        parse_flat(kind, fields, "conf")
    assert str(caught.value) == str(expected.value)


def test_every_mistake_is_told_at_once(file: Path) -> None:
    sentence = _refused(file, "encoder: {hiden: 3, layers: zero}\ntrain: {epochs: 0}")
    for key in ("encoder.hiden", "encoder.layers", "train.epochs"):
        assert key in sentence


@pytest.mark.parametrize(
    ("content", "key", "seen"),
    [
        ("train: {epochs: 2.5}", "train.epochs", "2.5"),
        ("train: {epochs: '5'}", "train.epochs", "'5'"),
        ("train: {epochs: true}", "train.epochs", "True"),
        ("train: {learning_rate: fast}", "train.learning_rate", "'fast'"),
        ("train: {learning_rate: .nan}", "train.learning_rate", "nan"),
        ("train: {learning_rate: .inf}", "train.learning_rate", "inf"),
        ("train: {clip: -1}", "train.clip", "-1"),
        ("encoder: {cell: elman}", "encoder.cell", "'elman'"),
        ("encoder: {layer_norm: 1}", "encoder.layer_norm", "1"),
        ("features: {deltas: 3}", "features.deltas", "3"),
        ("augment: {speeds: 1.0}", "augment.speeds", "1.0"),
        ("augment: {speeds: []}", "augment.speeds", "[]"),
        ("seed: -1", "seed", "-1"),
        ("train:", "train", "None"),
        ("encoder: 5", "encoder", "5"),
        ("encoder: {attention: 2}", "encoder.attention", "2"),
        ("encoder: {attention: {layers: 1, heads: 0}}", "encoder.attention.heads", "0"),
    ],
)
def test_a_wrong_value_is_named_with_what_was_seen(file: Path, content: str, key: str, seen: str) -> None:
    sentence = _refused(file, content)
    assert sentence.startswith(f"{file}: {key}")
    assert f"(seen: {seen})" in sentence


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("features: {kind: mfcc, cepstra: 30, mels: 20}", "cepstra (30) cannot exceed mels (20)"),
        ("features: {rate: 8000, high_frequency: 5000}", "the bands must lie between 0 and 4000 Hz"),
        ("features: {low_frequency: 7999, high_frequency: -10}", "the bands must lie between"),
        ("augment: {speeds: [0.1]}", "speeds must lie between 0.5 and 2"),
        ("augment: {speeds: [1.0, 1.0]}", "each of the speeds must stand once"),
        (
            "encoder: {recurrent_projection: 8}",
            "this is cell=lstm, so recurrent_projection would mean nothing: give cell=projected",
        ),
        ("encoder: {layers: 2, pyramid: 2}", "pyramid (2) must be less than layers (2)"),
        ("encoder: {layers: 1, connection: residual}", "more layers, or a projection of 512 or none"),
        ("encoder: {layers: 2, connection: highway, projection: 9}", "connection highway finds no layer"),
        ("encoder: {layers: 2, connection: highway, pyramid: 1}", "connection highway finds no layer"),
        (
            "encoder: {attention: {layers: 1, heads: 5}}",
            "heads must divide what the recurrent layers say of a frame, 512: 5",
        ),
        ("encoder: {hidden: 1, attention: {layers: 1}}", "must divide what the recurrent layers say of a frame, 2: 4"),
        ("encoder: {cell: projected, hidden: 9, attention: {layers: 1}}", "say of a frame, 10: 4"),
        (
            "encoder: {attention: {heads: 8}}",
            "encoder.attention: there are no layers of it, so heads would mean nothing",
        ),
        (
            "encoder: {attention: {heads: 8, feed_forward: 9}}",
            "so heads and feed_forward would mean nothing: give layers",
        ),
        (
            "decoder: {dropout: 0.1, hidden: 512}",
            "decoder: there is no such decoder, so hidden and dropout would mean nothing: give weight",
        ),
        (
            "train: {intermediate_weight: 0.5}",
            "train: there are no intermediate layers, so intermediate_weight would mean nothing: give intermediate",
        ),
        ("train: {letters_weight: 0.3}", "teaches letters beside phones, and tokens.kind is char: leave it at 0"),
        ("augment: {noise_snr: [0, 9]}", "no recordings are mixed in, so noise_snr would mean nothing: give noise"),
        ("tokens: {size: 50}", "this is kind=char, so size would mean nothing: give kind=unigram or kind=bpe"),
        ("tokens: {kind: word, characters: ab}", "this is kind=word, so characters would mean nothing: give kind=char"),
        ("train: {max_seconds: 200}", "max_seconds (200.0) cannot exceed batch_seconds (120.0)"),
    ],
)
def test_values_that_do_not_go_together(file: Path, content: str, words: str) -> None:
    assert words in _refused(file, content)


@pytest.mark.parametrize(
    ("content", "line"), [("encoder:\n  hidden: 3\n layers: 2\n", 3), ("a: [1,\n", 2), ("a: b: c\n", 1), ("\ta: 1", 1)]
)
def test_what_is_not_yaml_gives_file_and_line(file: Path, content: str, line: int) -> None:
    assert _refused(file, content).startswith(f"{file}:{line}: not YAML (")


@pytest.mark.parametrize("content", ["- 1\n- 2\n", "just text", "5"])
def test_a_config_is_a_mapping(file: Path, content: str) -> None:
    assert "a config is a mapping of keys to values" in _refused(file, content)


def test_keys_that_are_no_text(file: Path) -> None:
    assert "1: Keys should be strings" in _refused(file, "1: 2")
    assert "encoder.None: Keys should be strings" in _refused(file, "encoder: {null: 2}")


def test_nothing_is_built_from_tags(file: Path) -> None:
    assert ":1: not YAML" in _refused(file, "seed: !!python/object/apply:os.getpid []")


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(AsrError, match=r"none\.yaml: could not be read"):
        read_config(tmp_path / "none.yaml")


def test_overrides_come_last(file: Path) -> None:
    file.write_text("train: {epochs: 3, learning_rate: 1e-3}\nencoder: {cell: gru}\n")
    config = read_config(file, ["train.epochs=7", "encoder.subsampling.factor=4", "train.epochs=8", "seed=0"])
    assert (config.train.epochs, config.encoder.subsampling.factor, config.seed) == (8, 4, 0)
    assert (config.train.learning_rate, config.encoder.cell) == (0.001, "gru")


@pytest.mark.parametrize(
    ("assignment", "value"),
    [
        ("train.learning_rate=1e-3", 0.001),
        ("train.learning_rate=2E+0", 2.0),
        ("train.learning_rate=.5", 0.5),
        ("augment.speeds=[0.9, 1, 11e-1]", [0.9, 1.0, 1.1]),
        ("encoder.layer_norm=true", True),
        ("tokens.characters=abc", "abc"),
        ("tokens.characters='0123'", "0123"),
        ("tokens.characters='1e5'", "1e5"),
        ("tokens.characters=", None),
        ("tokens.characters='= '", "= "),
    ],
)
def test_an_override_is_yaml(assignment: str, value: object) -> None:
    section, _, name = assignment.partition("=")[0].partition(".")
    assert getattr(getattr(read_config(None, [assignment]), section), name) == value


@pytest.mark.parametrize(
    "assignment", ["train.epochs", "=5", "seed.more=1", "train.epochs=[", "seed=1=2", "seed=2024-13-01"]
)
def test_a_malformed_override(assignment: str) -> None:
    with pytest.raises(UsageError, match=assignment.split("=")[0].replace("[", r"\[") or "key=value") as caught:
        read_config(None, ["seed=3", assignment])
    assert "\n" not in str(caught.value)


def test_a_mistake_in_an_override_names_the_override(file: Path) -> None:
    sentence = _refused(file, "seed: 1", "train.epoch=5")
    assert sentence == f"{file} with train.epoch=5: there is no key 'train.epoch'; did you mean 'train.epochs'?"


_ODD = [
    {"tokens": {"characters": "1e5"}},
    {"tokens": {"characters": "äß漢'\" -:#\t"}},
    {"tokens": {"characters": "null"}},
    {"train": {"learning_rate": 1e-07}, "seed": 2**31 - 1},
    {"augment": {"speeds": [0.9, 1.0, 1.1], "time_masks": 1.5}},
]


@pytest.mark.parametrize("fields", [{}, *_ODD])
def test_written_and_read_it_is_the_same(fields: dict[str, Any], file: Path) -> None:
    config = parse_config(fields, "test")
    file.write_text(to_yaml(config.model_dump()))
    assert read_config(file) == config
    assert to_yaml(read_config(file).model_dump()) == file.read_text()


def test_a_config_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        Config().seed = 2  # type: ignore[misc]


@pytest.mark.parametrize(("kind", "deltas", "dimension"), [("fbank", 0, 80), ("fbank", 2, 240), ("mfcc", 1, 26)])
def test_dimension(kind: str, deltas: int, dimension: int) -> None:
    config = parse_config({"features": {"kind": kind, "deltas": deltas}}, "test")
    assert config.features.dimension == dimension


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (
            ["train.intermediate=[3]"],
            "train.intermediate names recurrent layers above the pyramid and below the last, from 1 to 2; it is [3]",
        ),
        (["train.intermediate=[0]"], "from 1 to 2; it is [0]"),
        (["train.intermediate=[1,1]"], "train: each of the intermediate layers must stand once, these are [1, 1]"),
        (
            ["train.intermediate=[1]", "encoder.projection=100"],
            "the last layer's head, which takes 512 numbers a frame: encoder.projection must be 0, it is 100",
        ),
        (["train.ema=1"], "train.ema: "),
        (["train.label_smoothing=-0.1"], "train.label_smoothing: "),
    ],
)
def test_losses_and_averages_that_cannot_be(overrides: list[str], sentence: str, file: Path) -> None:
    assert sentence in _refused(file, "", *overrides)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ("kind: conv1d, kernel: 4", "kernel must be odd, as many frames before as behind, it is 4"),
        ("kind: conv1d, kernel: 3, factor: 5", "kernel must be at least the stride 5, or frames are passed over: 3"),
        ("kind: conv, kernel: 3, factor: 4", "kernel must be at least the stride 4, or frames are passed over: 3"),
        ("kind: vgg, kernel: 5", "kernel is not for vgg, it is 5"),
        ("kernel: 5", "kernel is not for stack, it is 5"),
        ("channels: 5", "stack has no channels, these are 5"),
        ("kind: vgg, factor: 5", "factor must be 1, 2, 3, 4 or 6 for vgg, which pools in two steps, it is 5"),
        ("kind: vgg, factor: 8", "it is 8"),
        ("kind: resnet", "encoder.subsampling.kind: Input should be 'stack', 'conv', 'conv1d', 'vgg' or 'deepspeech2'"),
    ],
)
def test_front_ends_that_cannot_be(fields: str, sentence: str, file: Path) -> None:
    told = _refused(file, f"encoder: {{subsampling: {{{fields}}}}}")
    assert sentence in told
    assert "encoder.subsampling" in told

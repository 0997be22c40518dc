"""MODEL_CARD.md: what a model is, what it heard and how well it did, for whoever finds its folder."""

from __future__ import annotations

from typing import Any

from asr.config import Config
from asr.model.config import Cell, Direction

_CELLS: dict[Cell, str] = {
    "lstm": "LSTM",
    "gru": "GRU",
    "rnn": "RNN",
    "peephole": "LSTM with peepholes",
    "projected": "LSTM with a recurrent projection",
    "layernorm": "layer-normalised LSTM",
}
_DIRECTIONS: dict[Direction, str] = {"both": "bidirectional", "forwards": "forward", "backwards": "backward"}


def model_card(config: Config, parameters: int, tokens: int, trained: dict[str, Any]) -> str:
    """The card, in Markdown; every number comes from ``trained`` (see `asr.train.setup`) or the config."""
    encoder, features = config.encoder, config.features
    judged = trained["dev"]
    rate = "phone error rate" if config.tokens.kind == "phone" else "WER"
    where = trained["gpu"] or f"{trained['cpu']}, {trained['threads']} threads"
    speeds = ", ".join(f"{speed:g}" for speed in config.augment.speeds)
    kind = f"{_DIRECTIONS[encoder.direction]} {_CELLS[encoder.cell]}"
    above, beside = _self_attention(config), _attention_decoder(config)
    return f"""# Speech recogniser {trained["name"]}

A {kind} trained with CTC: {encoder.layers} × {encoder.hidden} units a direction{above},{beside}
{parameters:,} parameters, {tokens} tokens ({config.tokens.kind}), {features.mels} mel bands at {features.rate} Hz,
one output every {encoder.factor * features.frame_shift:g} ms.

| | |
| --- | --- |
| trained on | {trained["train_audio_hours"]:.2f} h of speech, {trained["train_utterances"]:,} utterances (`{
        trained["train"]
    }`){_initial(trained)} |
| copies at speeds | {speeds} |
| epochs | {trained["epochs"]} of at most {config.train.epochs}; {_averaged(config, trained["averaged"])} |
| time | {trained["train_minutes"]:.1f} minutes on {where}, {trained["precision"]} |
| dev set | {trained["dev_utterances"]:,} utterances (`{trained["dev_manifest"]}`) |
| dev {rate} / CER, greedy | {judged["dev_wer"]:.2f} % / {judged["dev_cer"]:.2f} % |
| seed | {config.seed} |

On the dev set were chosen: {_chosen(config)}. Results on test sets stand in the receipts that `asr score` writes.

What it has not heard it does not know: other languages, other words than its transcripts' characters can spell, and
voices, rooms and microphones far from those of its training recordings will be recognised worse than the dev set.
"""


def _initial(trained: dict[str, Any]) -> str:
    initial = trained.get("initial")
    return f"; begun with the weights of `{initial['model']}`, which heard its own before" if initial else ""


def _self_attention(config: Config) -> str:
    attention = config.encoder.attention
    if not attention.layers:
        return ""
    return f", {attention.layers} × self-attention of {attention.heads} heads on top"


def _chosen(config: Config) -> str:
    by_rule = ["when to stop"] * bool(config.train.patience) + ["the epochs to average"] * (config.train.averages_best)
    return ", ".join(["the settings, by whoever wrote the config", *by_rule])


def _attention_decoder(config: Config) -> str:
    if not config.decoder.weight:
        return ""
    return f"\nan attention decoder of {config.decoder.hidden} units with {config.decoder.weight:g} of the loss,"


def _averaged(config: Config, epochs: list[int]) -> str:
    if config.train.ema:
        return f"moving average of weights (decay {config.train.ema:g}) as of epoch {epochs[0]}"
    return f"weights averaged over epochs {_listed(epochs)}"


def _listed(epochs: list[int]) -> str:
    if len(epochs) > 1 and epochs == list(range(epochs[0], epochs[-1] + 1)):
        return f"{epochs[0]}–{epochs[-1]}"
    return ", ".join(map(str, epochs))

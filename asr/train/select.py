"""What can be trained on, told before the first step: readable, as long as stated and as its transcript needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from asr.audio import AudioInfo, check_duration, probe
from asr.augment import speed_length
from asr.config import Config
from asr.errors import AsrError
from asr.manifest import Utterance
from asr.model.acoustic import AcousticModel
from asr.model.ctc import required_frames
from asr.tokens import Tokenizer

# Above this share of rejects something is wrong with the corpus or the config, not with single utterances.
TOLERATED = 0.01


@dataclass(frozen=True)
class Selected:
    """An utterance that can be used.

    Attributes:
        utterance: as in the manifest.
        labels: its token ids.
        samples: its length at the model's rate.
        letters: ids of its letters, where a second head learns them.
    """

    utterance: Utterance
    labels: list[int]
    samples: int
    letters: list[int] = field(default_factory=list)


def _reason(utterance: Utterance, labels: list[int], samples: int, config: Config, model: AcousticModel) -> str | None:
    """Why an utterance cannot be trained on; None if it can."""
    if not labels:
        return "its transcript is empty"
    seconds = samples / config.features.rate
    longest = seconds / min(config.augment.speeds)
    if longest > config.train.max_seconds:
        return f"{longest:.1f} s (at its slowest copy) are more than train.max_seconds={config.train.max_seconds:g}"
    fastest = max(config.augment.speeds)
    frames, need = model.output_length(speed_length(samples, fastest)), required_frames(labels)
    if frames < need:
        return (
            f"{len(labels)} labels with {need - len(labels)} repeats need {need} encoder frames, its {seconds:.2f} s "
            f"(at speed {fastest:g}) give {frames}"
        )
    return None


def exact_samples(utterance: Utterance, info: AudioInfo, rate: int) -> int:
    """How many samples `asr.audio.read_utterance` will give at ``rate`` Hz; soxr rounds half a sample up."""
    frames = info.frames
    if utterance.offset is not None:
        begin = round(utterance.offset * info.rate)
        frames = max(0, min(round(utterance.duration * info.rate), frames - begin))
    return (2 * frames * rate + info.rate) // (2 * info.rate)


def select(
    utterances: Sequence[Utterance],
    tokenizer: Tokenizer,
    config: Config,
    model: AcousticModel,
    letters: Tokenizer | None = None,
) -> tuple[list[Selected], dict[str, str]]:
    """Sorts a manifest into what can be trained on and what cannot, by headers and transcripts alone.

    Args:
        utterances: of the manifest.
        tokenizer: makes the labels.
        config: of the run.
        model: which gives the frames that labels need.
        letters: makes those of a second head; None: there is none.

    Returns:
        The usable utterances in manifest order, and id → reason of every other.
    """
    usable: list[Selected] = []
    rejected: dict[str, str] = {}
    for utterance in utterances:
        try:
            info = probe(utterance.audio)
            check_duration(utterance, info)
        except AsrError as error:
            rejected[utterance.id] = str(error)
            continue
        if tokenizer.kind == "phone" and (unknown := tokenizer.unknown(utterance.text)):
            rejected[utterance.id] = f"{utterance.id}: no pronunciation for {', '.join(map(repr, unknown))}"
            continue
        samples = exact_samples(utterance, info, config.features.rate)
        spelled = letters.encode(utterance.text) if letters is not None else []
        one = Selected(utterance, tokenizer.encode(utterance.text), samples, spelled)
        needing = max(one.labels, spelled, key=required_frames)
        reason = _reason(utterance, needing, one.samples, config, model)
        if reason:
            rejected[utterance.id] = f"{utterance.id}: {reason}"
        else:
            usable.append(one)
    return usable, rejected


def refuse_too_many(rejected: dict[str, str], total: int, what: str) -> None:
    """Stops where more than 1 % of a manifest cannot be used.

    Raises:
        AsrError: gives the share and the first reasons.
    """
    if len(rejected) > TOLERATED * total:
        first = "; ".join(list(rejected.values())[:3])
        raise AsrError(
            f"{what}: {len(rejected)} of {total} utterances cannot be used, more than {TOLERATED:.0%}: {first}"
            f"{'; …' if len(rejected) > 3 else ''}. Correct the manifest or the config"
        )

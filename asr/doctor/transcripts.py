"""Checks of transcripts: there, spelled in known characters, and of a length that fits their recordings."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from asr.config import Config
from asr.doctor.finding import ERROR, INFORMATION, WARNING, Case, Finding, Item, gather, item, listed
from asr.model.acoustic import AcousticModel
from asr.tokens import Tokenizer, train_tokenizer
from asr.train.select import select

RARE = 2  # times
# Deviations from the median of ln(characters a second), in robust standard deviations (1.4826 times the median absolute
# deviation); and the least such deviation, because very even speakers may well once speak at half their rate.
FAR = 5.0
_LEAST_DEVIATION = 0.2
_ENOUGH = 20  # utterances, without which nobody knows what is usual


@dataclass(frozen=True)
class Target:
    """The model that the transcripts are to be learned by, or that has learned.

    Attributes:
        config: of the model.
        tokenizer: its own, or as training would make it.
        source: where the config came from; empty if nobody gave one, so that it is but a guess.
        trained: whether it is a model that can learn no new tokens.
    """

    config: Config
    tokenizer: Tokenizer
    source: str
    trained: bool


def make_tokenizer(config: Config, cases: Sequence[Case]) -> Tokenizer | None:
    """The tokens that `asr.train` would make of these sets; None where they hold no transcript to make them of.

    Raises:
        AsrError: too little text for the pieces asked for.
    """
    learned = [case for case in cases if case.role == "train"] or list(cases)
    if config.tokens.kind == "phone":  # the dictionary decides, not the transcripts
        learned = list(cases)
    if config.tokens.kind == "char":  # a letter that dev alone holds has a token, which no recording trains
        learned += [case for case in cases if case.role == "dev"]
    texts = [case.utterance.text for case in learned]
    return train_tokenizer(config.tokens, texts) if any(text.split() for text in texts) else None


def _empty(cases: Sequence[Case]) -> list[Finding]:
    bare = [case for case in cases if not case.utterance.text.split()]
    learned = [item(case, "has no words") for case in bare if case.role != "test"]
    heard = [item(case, "has no words") for case in bare if case.role == "test"]
    return [
        *gather(
            "empty",
            ERROR,
            "Empty transcripts in sets to learn from",
            "Write down what is said, or take them out of the manifest.",
            learned,
            len(cases),
            rejects=True,
        ),
        *gather(
            "empty",
            INFORMATION,
            "Empty transcripts in test sets",
            "Nothing, if nothing is said there: every word that is heard will count as an insertion.",
            heard,
            len(cases),
        ),
    ]


def _units(text: str) -> list[str]:
    return [character for character in text if not character.isspace()]


def _unknown(cases: Sequence[Case], target: Target) -> list[Finding]:
    """What has no token: wrong where training or the model refuses it, a word to lose in a test set."""
    refused: list[Item] = []
    lost: list[Item] = []
    units = "words" if target.tokenizer.token_words else "characters"
    for case in cases:
        if target.tokenizer.kind == "phone" and target.trained and case.role == "test":
            continue  # a lexicon of its own says which words can be recognised
        if unknown := target.tokenizer.unknown(case.utterance.text):
            one = item(case, f"{', '.join(map(repr, unknown))} in {case.utterance.text!r}", unknown=len(unknown))
            (refused if target.trained or case.role != "test" else lost).append(one)
    holder = "the model" if target.trained else "the config and the sets to learn from"
    return [
        *gather(
            "tokens",
            ERROR,
            f"Transcripts with {units} that {holder} lack",
            "Correct them, normalise them away (asr data … --normalise basic), or train on transcripts that hold them.",
            refused,
            len(cases),
            rejects=True,
        ),
        *gather(
            "tokens",
            WARNING,
            f"Test transcripts with {units} that no set to learn from holds",
            "They can never be recognised: correct or normalise them, or add such transcripts to train.",
            lost,
            len(cases),
        ),
    ]


def _untrained(cases: Sequence[Case], target: Target) -> list[Finding]:
    """Characters that have a token, but that no recording of train teaches; and those that hardly any does."""
    counts: Counter[str] = Counter()
    for case in cases:
        if case.role == "train":
            counts.update(_units(case.utterance.text))
    if not counts:
        return []
    unheard = []
    for case in cases:
        text = case.utterance.text
        new = sorted(set(_units(text)) - set(counts)) if case.role != "train" else []
        if new and not target.tokenizer.unknown(text):
            unheard.append(item(case, f"{', '.join(map(repr, new))} in {text!r}", unknown=len(new)))
    rare = sorted(unit for unit, count in counts.items() if count <= RARE)
    items = []
    for unit in rare:
        holders = [f"{case.set}/{case.utterance.id}" for case in cases if unit in case.utterance.text]
        items.append(Item("train", "", f"{unit!r} in {listed(holders)}", {"times": counts[unit]}))
    return [
        *gather(
            "tokens",
            WARNING,
            "Transcripts with characters that train never holds",
            "They can never be recognised: correct or normalise them, or add such transcripts to train.",
            unheard,
            len(cases),
        ),
        *gather(
            "rare-characters",
            INFORMATION,
            f"Characters that stand once or twice in all of train ({sum(counts.values()):,} characters)",
            "See whether they are misspellings; nothing can be learned of a letter that is heard twice.",
            items,
            len(counts),
        ),
    ]


def _fit(cases: Sequence[Case], target: Target) -> list[Finding]:
    """What training would leave out for its length: by its own selection, so that it is exact."""
    config = target.config
    model = AcousticModel(config, len(target.tokenizer))
    endless = config.model_copy(update={"train": config.train.model_copy(update={"max_seconds": math.inf})})
    plain = config.augment.model_copy(update={"speeds": [1.0]})
    short: list[Item] = []
    long: list[Item] = []
    for name in sorted({case.set for case in cases}):
        chosen = [
            case
            for case in cases
            if case.set == name
            and not (case.recording.fault or case.recording.misfit)
            and case.utterance.text.split()
            and not target.tokenizer.unknown(case.utterance.text)
        ]
        for limited, items in ((endless, short), (config, long)):
            role = next((case.role for case in chosen), "")
            if role == "test" and limited is config:
                continue  # nothing is too long to be recognised
            settings = limited if role == "train" else limited.model_copy(update={"augment": plain})
            _, rejected = select([case.utterance for case in chosen], target.tokenizer, settings, model)
            items += [
                item(case, rejected[case.utterance.id].removeprefix(f"{case.utterance.id}: "))
                for case in chosen
                if case.utterance.id in rejected
            ]
            chosen = [case for case in chosen if case.utterance.id not in rejected]
    level = ERROR if target.source else WARNING
    return [
        *gather(
            "ctc",
            level,
            "Recordings too short for CTC to align their transcripts",
            "See whether the transcript is another's or the recording cut off; otherwise lower "
            f"encoder.subsampling.factor (now {config.encoder.subsampling.factor}) or use larger tokens.",
            short,
            len(cases),
            rejects=bool(target.source),
        ),
        *gather(
            "too-long",
            level,
            f"Utterances longer than train.max_seconds={config.train.max_seconds:g}, which training leaves out",
            "Cut them at pauses, or raise train.max_seconds and train.batch_seconds.",
            long,
            len(cases),
            rejects=bool(target.source),
        ),
    ]


def speaking_rate(case: Case) -> float | None:
    """Characters a second between the pauses at both ends, spaces not counted; None if there is nothing to divide."""
    seconds = case.recording.seconds - case.recording.before - case.recording.after
    characters = len(_units(case.utterance.text))
    return characters / seconds if characters and seconds > 0 else None


def _speaking_rates(cases: Sequence[Case], told: set[tuple[str, str]]) -> list[Finding]:
    """Outliers, but for those in ``told`` (set, id), of which it is known already that they cannot fit."""
    known = [
        (case, rate) for case in cases if (case.set, case.utterance.id) not in told and (rate := speaking_rate(case))
    ]
    if len(known) < _ENOUGH:
        return []
    logs = np.log([rate for _, rate in known])
    middle = float(np.median(logs))
    deviation = max(_LEAST_DEVIATION, 1.4826 * float(np.median(np.abs(logs - middle))))
    scores = (logs - middle) / deviation
    items = []
    for index in np.argsort(-np.abs(scores)):
        if abs(scores[index]) > FAR:
            case, rate = known[index]
            says = f"{rate:.1f} characters a second, usual are {math.exp(middle):.1f}: {case.utterance.text!r}"
            items.append(item(case, says, rate=rate, score=float(scores[index])))
    return gather(
        "speaking-rate",
        WARNING,
        "Recordings much too long or too short for what they are to say",
        "Listen: the transcript may be another's, lack words or have too many, or much of the recording be noise.",
        items,
        len(cases),
    )


def check_transcripts(cases: Sequence[Case], target: Target | None) -> list[Finding]:
    """What is wrong with the transcripts.

    Args:
        cases: of every set.
        target: what they are to be learned by; None where there is not one word to make tokens of.
    """
    fitting = [] if target is None else [*_unknown(cases, target), *_untrained(cases, target), *_fit(cases, target)]
    told = {(one.set, one.id) for finding in fitting if finding.check == "ctc" for one in finding.items}
    return [*_empty(cases), *fitting, *_speaking_rates(cases, told)]

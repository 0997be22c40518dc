"""Looks over manifests: reads every recording once, then asks every check."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from asr.config import Config
from asr.doctor.between import check_between
from asr.doctor.finding import ERROR, LEVELS, Case, Finding
from asr.doctor.measure import measure
from asr.doctor.recordings import check_recordings
from asr.doctor.sets import Manifest
from asr.doctor.transcripts import Target, check_transcripts, make_tokenizer
from asr.doctor.unlikely import Unlikely
from asr.loading import prefetch
from asr.model.acoustic import Recogniser
from asr.runtime import available_threads

_QUANTILES = (0, 5, 25, 50, 75, 95, 100)  # [%]


@dataclass(frozen=True)
class Diagnosis:
    """What was found.

    Attributes:
        sets: the manifests, as named.
        cases: every utterance, in the manifests' order.
        findings: errors first.
        assumed: what the checks took for granted, a sentence each.
        unlikely: what a model doubts, the most doubtful first; None without a model.
    """

    sets: Sequence[Manifest]
    cases: Sequence[Case]
    findings: Sequence[Finding]
    assumed: Sequence[str]
    unlikely: Sequence[Unlikely] | None = None

    def count(self, level: str) -> int:
        """How many things were found at a level: recordings, lines, speakers, not kinds of them."""
        return sum(len(finding.items) for finding in self.findings if finding.level == level)

    @property
    def failed(self) -> bool:
        """Whether something must be fixed."""
        return any(finding.level == ERROR for finding in self.findings)

    def rejects(self) -> dict[tuple[str, str], list[str]]:
        """(set, id) of every utterance with an error of its own → what is wrong with it."""
        reasons: dict[tuple[str, str], list[str]] = {}
        for finding in self.findings:
            if finding.level == ERROR and finding.rejects:
                for one in finding.items:
                    reasons.setdefault((one.set, one.id), []).append(one.says)
        return reasons


def read_cases(sets: Sequence[Manifest], report: Callable[[int, int | None], None]) -> list[Case]:
    """Reads every recording, several at a time.

    Args:
        sets: the manifests.
        report: told how many recordings are read, and of how many.
    """
    lines = [
        (one, utterance, fields) for one in sets for utterance, fields in zip(one.utterances, one.fields, strict=True)
    ]
    threads = available_threads()
    # Decoding and NumPy release the interpreter's lock.
    recordings = prefetch(measure, (utterance for _, utterance, _ in lines), threads, ahead=4 * threads)
    cases = []
    for number, ((one, utterance, fields), recording) in enumerate(zip(lines, recordings, strict=True), start=1):
        cases.append(Case(one.name, one.role, utterance, fields, recording))
        report(number, len(lines))
    return cases


def _target(cases: Sequence[Case], config: Config, source: str, recogniser: Recogniser | None) -> Target | None:
    if recogniser is not None:
        return Target(recogniser.model.config, recogniser.tokenizer, source, trained=True)
    tokenizer = make_tokenizer(config, cases)
    return None if tokenizer is None else Target(config, tokenizer, source, trained=False)


def _assumed(sets: Sequence[Manifest], target: Target | None, config: Config) -> list[str]:
    features, factor = config.features, config.encoder.factor
    frames = f"{features.frame_shift:g} ms × {factor} = {features.frame_shift * factor:g} ms an encoder frame"
    tokens = "no tokens" if target is None else f"{len(target.tokenizer):,} tokens of kind {config.tokens.kind}"
    source = (
        target.source if target else ""
    ) or "the defaults, for want of --config or --model (so that what does not fit is a warning)"
    roles = [f"{one.name} for {one.role}" for one in sets if one.name != one.role]
    by_name = [f"Manifests are taken by their names: {', '.join(roles)}."] if roles else []
    return [f"Lengths and tokens by {source}: {frames}, {tokens}.", *by_name]


def examine(
    sets: Sequence[Manifest],
    config: Config,
    source: str,
    recogniser: Recogniser | None,
    report: Callable[[int, int | None], None] = lambda done, total: None,
) -> Diagnosis:
    """Looks the manifests over.

    Args:
        sets: the manifests.
        config: of the model that is to be trained, or was.
        source: where the config came from; empty if nobody gave one.
        recogniser: the model, if it is trained already.
        report: told how many recordings are read, and of how many.

    Raises:
        AsrError: a ``splits.json`` that cannot be read, or too little text for the tokens that the config asks for.
    """
    cases = read_cases(sets, report)
    target = _target(cases, config, source, recogniser)
    findings = [
        *check_recordings(cases, config.features.rate if source else None),
        *check_transcripts(cases, target),
        *check_between(sets, cases),
    ]
    findings.sort(key=lambda finding: LEVELS.index(finding.level))
    return Diagnosis(sets, cases, findings, _assumed(sets, target, config))


def summary(one: Manifest, cases: Sequence[Case]) -> dict[str, object]:
    """A manifest in numbers, as measured, not as stated: what could not be read has no part in seconds and rates."""
    recordings = [case.recording for case in cases if case.set == one.name and case.recording.seconds]
    seconds = np.array([recording.seconds for recording in recordings])
    quantiles = np.percentile(seconds, _QUANTILES).round(3).tolist() if len(seconds) else []
    return {
        "name": one.name,
        "role": one.role,
        "path": one.path.as_posix(),
        "utterances": len(one.utterances),
        "hours": round(float(seconds.sum()) / 3600, 4),
        "words": sum(len(utterance.text.split()) for utterance in one.utterances),
        "speakers": len({utterance.speaker for utterance in one.utterances if utterance.speaker}),
        "seconds": dict(zip([f"{quantile}%" for quantile in _QUANTILES], quantiles, strict=False)),
        "rates": {str(rate): count for rate, count in Counter(each.rate for each in recordings).most_common()},
        "channels": {str(count): times for count, times in Counter(each.channels for each in recordings).most_common()},
    }

"""``asr decode --tune``'s work: weights, word times and confidences fitted on a development set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from asr.corpora.connected import boundaries_path, read_boundaries
from asr.decode.align import fit_shifts, median_odds, right_words
from asr.decode.beam import BeamOptions
from asr.decode.confidence import calibrate
from asr.decode.ensemble import ensemble_sha256, mean_frames, networks
from asr.decode.hypothesis import Heard, Hypothesis, Row
from asr.decode.manifest import log_probs_of
from asr.decode.one_pass import OnePassDecoder
from asr.decode.settings import SearchSettings, Tuned, write_tuned, write_tuned_ensemble
from asr.decode.system import Search, greedy_system
from asr.decode.tune import Trial, tune, tune_rescoring
from asr.decode.tune_one_pass import CTC_WEIGHTS, LM_WEIGHTS, tune_one_pass
from asr.errors import AsrError, UsageError
from asr.files import sha256
from asr.manifest import Utterance, read_manifest
from asr.model.acoustic import Recogniser
from asr.score.align import texts_wer
from asr.score.calibration import correct_words, expected_calibration_error
from asr.tokens import BLANK


def tune_to_folder(
    recognisers: Sequence[Recogniser],
    settings: SearchSettings,
    models: Sequence[Path],
    manifest: Path,
    device: torch.device,
    threads: int,
    report: Callable[[int, int | None], None],
    told: Callable[[str], None],
    widest: int | None = None,
) -> dict[str, str]:
    """``asr decode --tune``'s work: finds a search's weights on a development set and stores them with the model.

    After weights and beam come the model's background for word times (and its delays, where a file of word
    boundaries lies beside the manifest) and the map to confidences that hold.

    Args:
        recognisers: one, or several that recognise together, as they lie in ``models``, on ``device``.
        settings: what is to be used: language models, lexicon, hotwords.
        models: model folders, of which the first gets ``decode.yaml``, or ``ensembles.yaml`` if they are several.
        manifest: the development set; never the test set.
        device: where to compute.
        threads: utterances decoded at once.
        report: told how many seconds of audio are done, and of how many.
        told: given a line of each finding.
        widest: the widest beam that is tried, without an attention decoder.

    Returns:
        id → reason of what could not be decoded, and was left out.

    Raises:
        AsrError: something cannot be read or written or does not fit, or no utterance of the set can be decoded.
        UsageError: ``widest`` beside an attention decoder.
    """
    recogniser = recognisers[0]
    search = Search(recogniser, settings, threads, len(recognisers), recogniser.model.decoder)
    if widest is not None and isinstance(search.decoder, OnePassDecoder):
        raise UsageError("--tune tries a few narrow beams with an attention decoder: leave out --beam")
    utterances = read_manifest(manifest)
    rows, failed = _hear(recognisers, search, utterances, device, report)
    usable = [one for one in utterances if one.id in rows]
    if not any(one.text for one in usable):
        why = f" ({next(iter(failed.values()))})" if failed else ""
        raise AsrError(f"{manifest}: no utterance with words can be decoded, so there is nothing to tune on{why}")
    heard, references = [rows[one.id] for one in usable], [one.text for one in usable]

    greedy_wer = _greedy_wer(recognisers, heard, references)
    greedy = "" if greedy_wer is None else f"; greedy WER {greedy_wer:.2f} %"
    told(f"{len(usable)} of {len(utterances)} utterances{greedy}")
    trial = _tune(search, settings, heard, references, lambda one: told(_line(one)), widest)
    share = {} if trial.ctc_weight is None else {"ctc_weight": trial.ctc_weight}
    search.change(search.settings.with_options(trial.options).changed(**share))
    wer = trial.wer
    if search.recurrent is not None:
        found = search.decoder.decode_batch(heard, search.threads)
        weights, counts = tune_rescoring(found, references, search.recurrent, search.decoder.options)
        search.change(search.settings.changed(rescore_weight=weights.lm_weight, rescore_mix=weights.mix))
        wer = 100 * (counts.rate or 0.0)
        told(f"LSTM's share {weights.mix:g} of weight {weights.lm_weight:g}: WER {wer:.2f} %")
    error = _calibrate(search, usable, heard, manifest)
    told(f"best: {_line(trial)}; confidences' expected calibration error {error:.3f}")
    if greedy_wer is not None and wer >= greedy_wer > 0:
        advice = (
            "language model does not help; is it of the same kind of text?" if search.lm else "search does not help"
        )
        told(f"note: on this set the {advice}")
    tuned = Tuned(
        search=search.settings,
        model_sha256=ensemble_sha256(recognisers),
        manifest=manifest.as_posix(),
        manifest_sha256=sha256(manifest),
        wer=round(wer, 4),
        wer_greedy=None if greedy_wer is None else round(greedy_wer, 4),
        calibration_error=round(error, 4),
    )
    if len(models) > 1:
        write_tuned_ensemble(models, tuned)
    else:
        write_tuned(models[0], tuned)
    return failed


def _hear(
    recognisers: Sequence[Recogniser],
    search: Search,
    utterances: Sequence[Utterance],
    device: torch.device,
    report: Callable[[int, int | None], None],
) -> tuple[dict[str, Row], dict[str, str]]:
    """What the search reads of each utterance, by id; and the reasons of those that cannot be decoded."""
    model, *others = networks(recognisers)
    total = round(sum(one.duration for one in utterances))
    rows: dict[str, Row] = {}
    failed: dict[str, str] = {}
    for made in log_probs_of(
        utterances, model, device, lambda done: report(round(done), total), others=others, encoded=search.encoded
    ):
        rows |= {utterance.id: row for utterance, row in made if not isinstance(row, str)}
        failed |= {utterance.id: row for utterance, row in made if isinstance(row, str)}
    return rows, failed


def _greedy_wer(recognisers: Sequence[Recogniser], heard: Sequence[Row], references: Sequence[str]) -> float | None:
    """Without any search [%]; None for phones, of which only a search with a lexicon makes words."""
    if recognisers[0].tokenizer.kind == "phone":
        return None
    log_probs = [one.log_probs if isinstance(one, Heard) else one for one in heard]
    greedy = greedy_system(recognisers[0], len(recognisers)).decode(log_probs)
    return 100 * (texts_wer(references, [one.text for one in greedy])[0].rate or 0.0)


def _tune(
    search: Search,
    settings: SearchSettings,
    heard: Sequence[Row],
    references: Sequence[str],
    report: Callable[[Trial], None],
    widest: int | None,
) -> Trial:
    """Weights and beam; a share of CTC that the settings give is kept."""
    if not isinstance(search.decoder, OnePassDecoder):
        return tune(heard, references, search.decoder, search.threads, report, widest, search.recurrent is None)
    shares = CTC_WEIGHTS if settings.ctc_weight is None else (settings.ctc_weight,)
    weights = LM_WEIGHTS if search.lm is not None else (settings.lm_weight,)
    return tune_one_pass(heard, references, search.decoder, shares, weights, report)


def _line(trial: Trial) -> str:
    options = trial.options
    share = "" if trial.ctc_weight is None else f"ctc_weight {trial.ctc_weight:4.2f} "
    tight = "" if options.beam_threshold == BeamOptions.beam_threshold else f"threshold {options.beam_threshold:g} "
    return (
        f"beam {options.beam:3} {share}lm_weight {options.lm_weight:4.2f} word_bonus {options.word_bonus:5.2f} "
        f"{tight}WER {trial.wer:.2f} %"
    )


def _calibrate(search: Search, utterances: Sequence[Utterance], rows: Sequence[Row], manifest: Path) -> float:
    """Fits what times and confidences need into the search's settings; returns the calibration error."""
    background = median_odds([mean_frames(row) for row in rows], BLANK).round(4).tolist()
    search.change(search.settings.changed(background=background, shift_start=0.0, shift_end=0.0))
    found = search.candidates(rows)
    correct = [
        correct_words(one.text.split(), candidates[0].words) for one, candidates in zip(utterances, found, strict=True)
    ]
    if any(correct):
        evidences = [search.evidence(candidates, row) for candidates, row in zip(found, rows, strict=True)]
        calibration = calibrate(evidences, correct)
        search.change(search.settings.changed(**asdict(calibration)))
    hypotheses = [search.hypothesis(candidates, row) for candidates, row in zip(found, rows, strict=True)]
    if boundaries_path(manifest).exists():
        pairs = _times(utterances, hypotheses, manifest)
        if pairs:
            shifts = fit_shifts([found for found, _ in pairs], [true for _, true in pairs])
            search.change(search.settings.changed(shift_start=shifts.start, shift_end=shifts.end))
    sure = [word.confidence for one in hypotheses for word in one.words]
    return expected_calibration_error(sure, [right for ones in correct for right in ones])


def _times(
    utterances: Sequence[Utterance], hypotheses: Sequence[Hypothesis], manifest: Path
) -> list[tuple[tuple[float, float], tuple[float, float]]]:
    """(start, end) found and true [s] of the words that were recognised right."""
    boundaries = read_boundaries(manifest)
    pairs = []
    for one, hypothesis in zip(utterances, hypotheses, strict=True):
        if spans := [(span.start, span.end) for span in boundaries.get(one.id, [])]:
            said, heard = one.text.split(), [word.word for word in hypothesis.words]
            if len(spans) != len(said):
                raise AsrError(
                    f"{boundaries_path(manifest)}: {one.id} has boundaries of {len(spans)} words, its transcript in "
                    f"{manifest} has {len(said)}; make both again with asr data connect"
                )
            pairs += right_words(said, spans, heard, [(word.start, word.end) for word in hypothesis.words])
    return pairs

"""What becomes of words when recordings are long: WER of joined recordings beside that of their utterances one by one.

    python scripts/measure_stitching.py MODEL MANIFEST [--tuned]

MANIFEST should be a development set of LibriSpeech's: utterances that share their id but for its last part follow each
other in one recording, and are joined again. Two kinds of long recording are made: with the pauses as they are, and
without any, so that there is nothing but joins of windows to go by. Both are transcribed without a language model, or
with ``--tuned`` by the search that ``asr decode --tune`` stored first with the model. The ratio's interval is a
bootstrap over the recordings, and one over utterances, since recordings are few: an error of a long recording belongs
to the utterance of the reference word that it meets in the alignment.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from asr.audio import read_utterance
from asr.cli.main import run
from asr.decode.settings import read_tuned
from asr.decode.system import Search, greedy_system
from asr.manifest import Utterance, read_manifest
from asr.model.acoustic import load_model
from asr.runtime import set_up
from asr.score.align import align
from asr.transcribe.backend import TorchBackend
from asr.transcribe.segment import FRAMES_PER_SECOND, LONGEST, OVERLAP, speech_frames
from asr.transcribe.stitch import join
from asr.transcribe.transcriber import Transcriber

_RESAMPLES = 10_000
_AT_ONCE = 120  # [s]
_PAUSE = 0.15  # [s] without sound is one, where pauses are taken out
_QUIET = 30.0  # [dB] below a recording's loud moments there is no sound


def chapters(utterances: Sequence[Utterance]) -> dict[str, list[Utterance]]:
    """The utterances of each recording, in order."""
    found: dict[str, list[Utterance]] = {}
    for one in sorted(utterances, key=lambda one: one.id):
        found.setdefault(one.id.rpartition("-")[0], []).append(one)
    return found


def without_pauses(samples: np.ndarray, rate: int) -> np.ndarray:
    """The same with every pause cut out, but for 50 ms at each end of it. (samples,) → (fewer samples,)."""
    length = rate // FRAMES_PER_SECOND
    frames = samples[: len(samples) // length * length].reshape(-1, length)
    loudness = 10 * np.log10(np.square(frames).mean(axis=1) + 1e-10)
    edges = np.flatnonzero(np.diff(loudness > np.quantile(loudness, 0.95) - _QUIET, prepend=True, append=True))
    keep = np.ones(len(frames), bool)
    for begin, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=False):
        if end - begin >= _PAUSE * FRAMES_PER_SECOND:
            keep[begin + 5 : end - 5] = False
    return np.asarray(frames[keep].ravel())


def errors(references: Sequence[str], text: str) -> np.ndarray:
    """The errors in each of the utterances that a text holds one behind the other. Shape (utterances,)."""
    words = [word for reference in references for word in reference.split()]
    owner = np.repeat(np.arange(len(references)), [len(reference.split()) for reference in references])
    counts, place = np.zeros(len(references), int), 0
    for operation, reference, _ in align(words, text.split()):
        counts[owner[min(place, len(owner) - 1)]] += operation != "hit"
        place += reference is not None
    return counts


def ratio_interval(long: np.ndarray, short: np.ndarray) -> tuple[float, float]:
    """95 % interval of Σ long / Σ short by bootstrap over what they count the errors of. Shape (units,) each."""
    drawn = np.random.default_rng(1).multinomial(len(long), np.full(len(long), 1 / len(long)), size=_RESAMPLES)
    low, high = np.quantile(drawn @ long / np.maximum(drawn @ short, 1), [0.025, 0.975])
    return float(low), float(high)


def texts(transcriber: Transcriber, recordings: Sequence[np.ndarray]) -> Iterator[str]:
    for samples in recordings:
        yield transcriber.transcribe(samples).text


def compare(name: str, spoken: dict[str, list[Utterance]], short: np.ndarray, found: Sequence[str]) -> None:
    """Prints the error rate of long recordings beside that of their utterances."""
    references = [[one.text for one in ones] for ones in spoken.values()]
    each = [errors(these, text) for these, text in zip(references, found, strict=True)]
    long, words = np.concatenate(each), sum(len(text.split()) for these in references for text in these)
    ends = np.cumsum([len(these) for these in references])[:-1]
    by_recording = [np.array([part.sum() for part in np.split(counts, ends)]) for counts in (long, short)]
    (low, high), (least, most) = ratio_interval(*by_recording), ratio_interval(long, short)
    print(
        f"{name:34} WER {100 * long.sum() / words:6.2f} %   ratio {long.sum() / short.sum():.4f}   "
        f"{low:.4f} – {high:.4f} over {len(ends) + 1} recordings, {least:.4f} – {most:.4f} over {len(long)} utterances",
        flush=True,
    )


def joins(backend: TorchBackend, recordings: Sequence[np.ndarray]) -> None:
    """Prints how far windows that are joined in several ways are from what the network says of two minutes at once."""
    frame = backend.shift * backend.factor
    size, hop = (int(seconds * backend.rate) // frame * frame for seconds in (LONGEST, LONGEST - OVERLAP))
    ways = {
        "no overlap": lambda before, after, shared: np.concatenate([before, after[shared:]]),
        "changed half-way": lambda before, after, shared: np.concatenate(
            [before[: len(before) - shared + shared // 2], after[shared // 2 :]]
        ),
        "faded": join,
    }
    distance, frames = dict.fromkeys(ways, 0.0), 0
    for samples in recordings:
        for at in range(0, len(samples) - _AT_ONCE * backend.rate, _AT_ONCE * backend.rate):
            stretch = samples[at : at + _AT_ONCE * backend.rate]
            (whole,) = backend.log_probs([stretch])
            begins = range(0, len(stretch) - size + hop, hop)
            windows = [backend.log_probs([stretch[begin : begin + size]])[0] for begin in begins]
            frames += len(whole)
            for name, way in ways.items():
                joined = windows[0]
                for begin, window in zip(begins[1:], windows[1:], strict=True):
                    joined = way(joined, window, len(joined) - begin // frame)
                distance[name] += float(np.sum(np.exp(whole) * (whole - joined)))
    for name, nats in distance.items():
        print(f"windows of {LONGEST:g} s, {name}: {nats / frames:.2e} nats a frame from {_AT_ONCE} s at once")


def speed(transcriber: Transcriber, recordings: Sequence[np.ndarray]) -> None:
    """Prints how often real time fits into the CPU time of finding speech, and of all."""
    rate, seconds = transcriber.backend.rate, sum(map(len, recordings)) / transcriber.backend.rate
    begin = time.process_time()
    kept = [keep for samples in recordings for _, keep in speech_frames([samples], rate)]
    found = time.process_time() - begin
    begin = time.process_time()
    list(texts(transcriber, recordings))
    whole = time.process_time() - begin
    print(
        f"{seconds / 60:.0f} minutes, {100 * np.concatenate(kept).mean():.1f} % of them kept; real time fits into the "
        f"CPU time of finding speech {seconds / found:,.0f} times, of all {seconds / whole:,.0f} times (one thread)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--tuned", action="store_true")
    arguments = parser.parse_args()
    device = set_up("cpu", 1)
    recogniser = load_model(arguments.model)
    backend = TorchBackend(recogniser, device)
    system = greedy_system(recogniser)
    if arguments.tuned:
        system = Search(recogniser, read_tuned(arguments.model, recogniser.sha256)[0].search, 1).system()
    transcriber = Transcriber(backend, system)
    spoken = chapters(read_manifest(arguments.manifest))
    samples = [[read_utterance(one, backend.rate) for one in ones] for ones in spoken.values()]
    decoded = [system.decode(backend.log_probs([one]))[0].text for ones in samples for one in ones]
    utterances = [one for ones in spoken.values() for one in ones]
    short = np.concatenate([errors([one.text], text) for one, text in zip(utterances, decoded, strict=True)])
    words = sum(len(one.text.split()) for one in utterances)
    print(f"{arguments.model}, {arguments.manifest}, {system.name}")
    print(f"{'each utterance by itself':34} WER {100 * short.sum() / words:6.2f} %   {words:,} words")
    joined = [np.concatenate(ones) for ones in samples]
    compare("joined", spoken, short, list(texts(transcriber, joined)))
    dense = [[without_pauses(one, backend.rate) for one in ones] for ones in samples]
    again = [system.decode(backend.log_probs([one]))[0].text for ones in dense for one in ones]
    short = np.concatenate([errors([one.text], text) for one, text in zip(utterances, again, strict=True)])
    print(f"{'each utterance without its pauses':34} WER {100 * short.sum() / words:6.2f} %")
    compare("joined without pauses", spoken, short, list(texts(transcriber, [np.concatenate(ones) for ones in dense])))
    joins(backend, joined)
    speed(transcriber, joined)


if __name__ == "__main__":
    run(main)

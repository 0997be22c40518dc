"""Connected words made by joining recordings of single words, so that it is known where each begins and ends.

Recordings of one speaker are joined in an order drawn from the seed, each once in each copy. Before, between and
behind them lie pauses of a length drawn evenly from 0 to ``gap`` seconds: corpora of single words are cut tightly,
people talk less so. A pause holds Gaussian noise as loud as the quietest 20 ms of the recordings beside it; zeros
would tell a recogniser where every boundary is.

A word begins with its recording and ends with it, whatever silence the recording holds itself.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from asr.audio import probe, read_utterance
from asr.errors import AsrError, UsageError
from asr.files import make_folder, read_text, write_text
from asr.manifest import Utterance, read_manifest, write_manifest
from asr.splits import shuffled

_FULL_SCALE = 32768  # of 16-bit samples
_QUIET = 0.02  # [s]
_NEXT_COPY = 1_000_003  # far enough from other seeds that people choose


@dataclass(frozen=True)
class Span:
    """Where a word lies in a recording.

    Attributes:
        word: its spelling.
        start: where it begins [s].
        end: where it ends [s].
    """

    word: str
    start: float
    end: float


@dataclass(frozen=True)
class Connected:
    """What was made.

    Attributes:
        manifest: the manifest written.
        left: ids of the recordings that were too few for another string.
    """

    manifest: Path
    left: list[str]


def boundaries_path(manifest: Path) -> Path:
    """The file beside a manifest that says where its words lie: ``dev.boundaries.jsonl`` for ``dev.jsonl``."""
    return manifest.with_suffix(".boundaries.jsonl")


def read_boundaries(manifest: Path) -> dict[str, list[Span]]:
    """Where the words of each utterance of a manifest lie, by id.

    Raises:
        AsrError: the file beside the manifest is missing or malformed.
    """
    path = boundaries_path(manifest)
    spans: dict[str, list[Span]] = {}
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        try:
            fields = json.loads(line)
            words = [Span(str(word), float(start), float(end)) for word, start, end in fields["words"]]
            spans[fields["id"]] = words
        except (ValueError, TypeError, KeyError) as error:
            raise AsrError(
                f'{path}:{number}: must be {{"id": …, "words": [[word, start, end], …]}}, this is {line[:80]!r}'
            ) from error
    return spans


def groups(
    utterances: Sequence[Utterance], lengths: tuple[int, int], seed: int
) -> tuple[list[list[Utterance]], list[Utterance]]:
    """Draws which recordings are joined: of one speaker each, none used twice.

    The draw for a speaker depends on the seed, the speaker and the ids of their recordings only.

    Args:
        utterances: recordings of one word each.
        lengths: fewest and most words of a string.
        seed: of the draw.

    Returns:
        The strings, speaker by speaker, and the recordings left over because they are fewer than ``lengths[0]``.
    """
    strings, left = [], []
    for speaker in sorted({str(one.speaker) for one in utterances}):
        by_id = {one.id: one for one in utterances if one.speaker == speaker}
        waiting = [by_id[id] for id in shuffled(by_id, seed)]
        generator = _generator(seed, "lengths", speaker)
        while len(waiting) >= lengths[0]:
            count = int(generator.integers(lengths[0], lengths[1] + 1))
            strings.append(waiting[:count])
            waiting = waiting[count:]
        left += waiting
    return strings, left


def _generator(seed: int, *names: str) -> np.random.Generator:
    digest = hashlib.sha256("\0".join([str(seed), *names]).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "big"))


def _quietest(samples: np.ndarray, rate: int) -> float:
    """Root mean square of the quietest 20 ms. Shape (samples,)."""
    size = max(1, min(len(samples), round(_QUIET * rate)))
    pieces = samples[: len(samples) // size * size].reshape(-1, size).astype(np.float64)
    return float(np.sqrt(np.square(pieces).mean(axis=1).min()))


def join(
    recordings: Sequence[np.ndarray], rate: int, gap: float, generator: np.random.Generator
) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """Joins recordings with pauses before, between and behind them.

    Args:
        recordings: at least one, shape (samples,) each, full scale ±1.
        rate: of the samples [Hz].
        gap: longest pause [s].
        generator: draws the pauses.

    Returns:
        int16 samples, shape (samples,), and (first sample, sample behind the last) of each recording. Recordings that
        had 16 bits stand in them bit for bit.
    """
    levels = [_quietest(one, rate) for one in recordings]
    parts: list[np.ndarray] = []
    spans: list[tuple[int, int]] = []
    position = 0
    for index in range(len(recordings) + 1):
        level = min(levels[max(0, index - 1) : index + 1])
        pause = level * generator.standard_normal(round(generator.uniform(0, gap) * rate))
        parts.append(pause)
        position += len(pause)
        if index < len(recordings):
            parts.append(recordings[index])
            spans.append((position, position + len(recordings[index])))
            position = spans[-1][1]
    samples = np.rint(np.concatenate(parts).astype(np.float64) * _FULL_SCALE)
    return samples.clip(-_FULL_SCALE, _FULL_SCALE - 1).astype(np.int16), spans


def _check(manifest: Path, out: Path, utterances: Sequence[Utterance], lengths: tuple[int, int], gap: float) -> int:
    """Refuses what cannot be joined; returns the rate of all recordings [Hz]."""
    if not 1 <= lengths[0] <= lengths[1]:
        raise UsageError(f"--lengths must be two numbers of words such as 3-7, this is {lengths[0]}-{lengths[1]}")
    if not 0 <= gap <= 10:
        raise UsageError(f"--gap must be 0 to 10 seconds, this is {gap:g}")
    if out.resolve() == manifest.resolve():
        raise UsageError(f"--out {out}: is the manifest itself; give the joined recordings another name")
    if not out.suffix:  # the recordings' folder has the manifest's name without its suffix
        raise UsageError(f"--out {out}: must be a file name such as {out}.jsonl, the recordings go to the folder {out}")
    for one in utterances:
        if len(one.text.split()) != 1:
            raise AsrError(
                f"{manifest}: {one.id} says {one.text!r}; only recordings of one word each can be joined with known "
                "boundaries"
            )
        if not one.speaker:
            raise AsrError(f"{manifest}: {one.id} has no speaker; only recordings of the same speaker are joined")
    first = utterances[0]
    rate = probe(first.audio).rate
    for one in utterances:
        if (other := probe(one.audio).rate) != rate:
            raise AsrError(
                f"{manifest}: {one.id} has {other} samples a second and {first.id} has {rate}; resample one of them, "
                "recordings are joined as they are"
            )
    return rate


def connect(
    manifest: Path, out: Path, lengths: tuple[int, int] = (3, 7), seed: int = 1, gap: float = 0.2, copies: int = 1
) -> Connected:
    """Joins the recordings of a manifest and writes a manifest of the strings.

    The recordings, 16-bit WAV at the rate of the sources, go to the folder that has ``out``'s name without its suffix,
    the words' boundaries to `boundaries_path`. The same arguments give the same bytes.

    Args:
        manifest: recordings of one word each, all with a speaker and of one sample rate.
        out: the manifest to write.
        lengths: fewest and most words of a string, drawn evenly; a speaker's last string may be shorter than drawn.
        seed: of the draw.
        gap: longest pause [s].
        copies: how many strings each recording comes to stand in, in other company each time.

    Raises:
        UsageError: ``lengths``, ``gap`` or ``out`` cannot be.
        AsrError: a recording cannot be read, has several words, no speaker or another rate; no speaker has enough
            recordings; or a file could not be written.
    """
    utterances = read_manifest(manifest)
    rate = _check(manifest, out, utterances, lengths, gap)
    strings, left = groups(utterances, lengths, seed)
    for copy in range(1, copies):
        strings += groups(utterances, lengths, seed + copy * _NEXT_COPY)[0]
    if not strings:
        raise AsrError(f"{manifest}: no speaker has {lengths[0]} recordings; nothing was written")
    folder = out.with_suffix("")
    make_folder(folder)
    try:
        # First of all, lest it vouch for a mixture of old and new recordings if this run is killed.
        out.unlink(missing_ok=True)
        boundaries_path(out).unlink(missing_ok=True)
    except OSError as error:
        raise AsrError(f"{out}: could not be replaced ({error.strerror or error})") from error
    name = "_".join(out.stem.split())
    written, lines = [], []
    for number, string in enumerate(strings):
        id = f"{name}-{number:04d}"
        recordings = [read_utterance(one, rate) for one in string]
        samples, spans = join(recordings, rate, gap, _generator(seed, "pauses", *(one.id for one in string)))
        path = folder / f"{id}.wav"
        encoded = io.BytesIO()
        soundfile.write(encoded, samples, rate, format="WAV", subtype="PCM_16")
        try:
            path.write_bytes(encoded.getvalue())
        except OSError as error:
            raise AsrError(f"{path}: could not be written ({error.strerror or error})") from error
        words = [one.text.strip() for one in string]
        first = string[0]
        written.append(
            Utterance(id, path, len(samples) / rate, " ".join(words), speaker=first.speaker, lang=first.lang)
        )
        timed = [
            [word, round(start / rate, 6), round(end / rate, 6)]
            for word, (start, end) in zip(words, spans, strict=True)
        ]
        lines.append(json.dumps({"id": id, "words": timed}, ensure_ascii=False) + "\n")
    write_text(boundaries_path(out), "".join(lines))
    write_manifest(out, written)
    return Connected(out, [one.id for one in left])

"""The corpus ``spoken-digits``: strings of one to seven English digits, synthesised offline; no download.

Many voices, accents, rates and pitches, silence around the speech, and a little background noise. **No voice variant
and no accent of the test set is in the training set**; variants that share a table of formants count as one voice and
stay together. The speech comes from eSpeak NG, which is under the GPL (version 3 or later) and therefore an extra:
``pip install '.[demo]'``.

Left out of the package's 104 variants:

- ``kaukovalta``, ``zac`` and ``Alicia``: unintelligible; of the ten digits, said one by one, matching by dynamic time
  warping against five ordinary voices got 1, 6 and 7 right (all variants kept: 9 or 10),
- ``robosoft`` to ``robosoft8``, ``RicishayMax`` to ``RicishayMax3``, ``UniRobot``, ``anikaRobot``, ``Demonic``: robots,
  made of another variant with an echo as loud as the voice,
- ``fast`` and ``Mr serious``: the plain voice again.

The two whispers are both in the training set: a small recogniser that had never heard whispering got 44 % of their
words wrong, which would have drowned what the test set is to measure, new voices and accents.
"""

from __future__ import annotations

import io
import json
import multiprocessing
import signal
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path

import numpy as np
import soundfile

from asr.audio import resample
from asr.corpora.espeak import Espeak, Voice, open_espeak
from asr.corpora.prepared import write_splits
from asr.errors import AsrError, UsageError
from asr.files import read_text, sha256, write_text
from asr.manifest import Utterance, write_manifest
from asr.runtime import available_threads

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
RATE = 16000  # [Hz]
UTTERANCES = {"train": 2000, "dev": 150, "test": 300}

_COMMON = ("en", "en-us", "en-gb-scotland", "en-gb-x-gbclan", "en-gb-x-gbcwmd")
ACCENTS = {"train": _COMMON, "dev": _COMMON, "test": ("en-029", "en-gb-x-rp", "en-us-nyc")}

_TRAIN = """
    m1 m7 m8 Nguyen max john norbert pablo pedro Tweaky grandpa iven iven2 iven3 iven4
    Mario Michael gustave marcelo Jacky Marco Lee ed ian travis sandro Andy AnxiousAndy Storm antonio
    Diogo Henrique Hugo michel miguel anika f3 f4 aunty belinda linda steph steph2 steph3 grandma shelby
    klatt klatt2 klatt3 klatt4 klatt5 klatt6 adam benjamin caleb announcer mike2 whisper whisperf
"""
_DEV = "f1 Annie m3 m4 Alex Denis Mike croak paul victor edward edward2"
_TEST = "f2 f5 Andrea m2 m5 m6 Gene Gene2 rob robert quincy boris david Reed"
VARIANTS = {"train": tuple(_TRAIN.split()), "dev": tuple(_DEV.split()), "test": tuple(_TEST.split())}

# A process's worth of utterances. Part of what the corpus is (see `Espeak`), so not the number of processors' business.
_SHARD = 250
_MARKER = "spoken-digits.json"


@dataclass(frozen=True)
class Plan:
    """Everything that is drawn for one utterance but its background noise.

    Attributes:
        text: the words.
        voice: who says them, and how.
        seed: of the voice's breath.
        lead, tail: silence before and after [s].
        level: of the speech [dB, root mean square, full scale ±1].
        snr: of speech to background noise [dB].
        tilt: the noise's amplitude falls with frequency to this power; 0 is white noise, 1 falls by 6 dB an octave.
    """

    text: str
    voice: Voice
    seed: int
    lead: float
    tail: float
    level: float
    snr: float
    tilt: float


def draw(split: str, generator: np.random.Generator) -> Plan:
    """One utterance of a split."""
    return Plan(
        text=" ".join(generator.choice(WORDS, size=generator.integers(1, 8))),
        voice=Voice(
            accent=str(generator.choice(ACCENTS[split])),
            variant=str(generator.choice(VARIANTS[split])),
            rate=int(generator.integers(130, 231)),
            pitch=int(generator.integers(30, 71)),
            pitch_range=int(generator.integers(20, 81)),
            word_gap=int(generator.integers(0, 16)),
        ),
        seed=int(generator.integers(2**31)),
        lead=generator.uniform(0.05, 0.4),
        tail=generator.uniform(0.05, 0.4),
        level=generator.uniform(-32, -18),
        snr=generator.uniform(20, 40),
        tilt=generator.uniform(0, 1),
    )


def _noise(samples: int, tilt: float, generator: np.random.Generator) -> np.ndarray:
    """Gaussian noise of root mean square 1. Shape (samples,)."""
    length = 1 << (samples - 1).bit_length()  # the transform of a prime length takes ten times as long
    spectrum = np.fft.rfft(generator.standard_normal(length))
    frequency = np.fft.rfftfreq(length, 1 / RATE)
    shaped = np.fft.irfft(spectrum * np.maximum(frequency, 50) ** -tilt, length)[:samples]
    return shaped / np.sqrt(np.mean(shaped**2))


def record(plan: Plan, espeak: Espeak, generator: np.random.Generator) -> np.ndarray:
    """The utterance's samples. Float32, shape (samples,), at `RATE` Hz, below full scale.

    Raises:
        AsrError: see `Espeak.speak`.
    """
    speech = resample(espeak.speak(plan.text, plan.voice, plan.seed), espeak.rate, RATE)
    speech = speech * (10 ** (plan.level / 20) / np.sqrt(np.mean(speech**2)))
    samples = np.pad(speech, (round(plan.lead * RATE), round(plan.tail * RATE))).astype(np.float64)
    samples += _noise(len(samples), plan.tilt, generator) * 10 ** ((plan.level - plan.snr) / 20)
    return (samples * min(1.0, 0.95 / np.abs(samples).max())).astype(np.float32)


@dataclass(frozen=True)
class Shard:
    """Utterances ``first`` to before ``end`` of a split: what one process writes."""

    audio: Path
    seed: int
    split: str
    first: int
    end: int


def _shards(audio: Path, seed: int, utterances: Mapping[str, int]) -> Iterator[Shard]:
    for split, count in utterances.items():
        for first in range(0, count, _SHARD):
            yield Shard(audio, seed, split, first, min(first + _SHARD, count))


def _write_shard(shard: Shard) -> list[Utterance]:
    espeak = open_espeak()
    parent = multiprocessing.parent_process()
    written = []
    for index in range(shard.first, shard.end):
        if parent and not parent.is_alive():  # killed: write no more into what the next run is about to write
            break
        generator = np.random.default_rng([shard.seed, list(ACCENTS).index(shard.split), index])
        plan = draw(shard.split, generator)
        samples = record(plan, espeak, generator)
        name = f"{shard.split}-{index:05d}"
        path = shard.audio / shard.split / f"{name}.wav"
        # WAV, not FLAC: 1.75 times the size, but read six times as fast, once an epoch. By way of memory, because
        # libsndfile says no more than "system error" of a full disk.
        encoded = io.BytesIO()
        soundfile.write(encoded, samples, RATE, format="WAV", subtype="PCM_16")
        try:
            path.write_bytes(encoded.getvalue())
        except OSError as error:
            raise AsrError(f"{path}: could not be written ({error.strerror or error})") from error
        speaker = f"{plan.voice.accent}+{plan.voice.variant}"
        written.append(Utterance(name, path, len(samples) / RATE, plan.text, speaker=speaker, lang="en"))
    return written


def _work(shard: Shard, reply: Connection) -> None:
    """What runs in a process of its own; answers with the utterances written, or with the error."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group: the parent ends this process
    answer: list[Utterance] | AsrError
    try:
        answer = _write_shard(shard)
    except AsrError as error:
        answer = error
    with suppress(BrokenPipeError):
        reply.send(answer)


def _write_all(shards: list[Shard], processes: int) -> list[Utterance]:
    """Writes every shard, each in a fresh process of its own, which is what makes the corpus the same every time."""
    context = multiprocessing.get_context("spawn")
    waiting = shards[::-1]
    running: dict[Connection, SpawnProcess] = {}
    written: list[Utterance] = []
    try:
        while waiting or running:
            while waiting and len(running) < processes:
                receiver, sender = context.Pipe(duplex=False)
                process = context.Process(target=_work, args=(waiting.pop(), sender), daemon=True)
                process.start()
                sender.close()  # so that the process's end is the end of the pipe
                running[receiver] = process
            finished = wait(list(running))
            for receiver in [one for one in running if one in finished]:
                process = running.pop(receiver)
                try:
                    answer = receiver.recv()
                except EOFError:
                    answer = None
                process.join()
                if isinstance(answer, AsrError):
                    raise answer
                if answer is None:
                    raise AsrError(f"a process that synthesises speech ended early (exit status {process.exitcode})")
                written += answer
    finally:
        for process in running.values():
            process.terminate()
            process.join()
    return written


def _audio_files(audio: Path, split: str) -> list[Path]:
    return list((audio / split).glob(f"{split}-[0-9][0-9][0-9][0-9][0-9].wav"))


def _is_done(out: Path, settings: Mapping[str, object], utterances: Mapping[str, int]) -> bool:
    marker = out / _MARKER
    return (
        marker.is_file()
        and read_text(marker) == json.dumps(settings, indent=2) + "\n"
        and all((out / f"{split}.jsonl").is_file() for split in utterances)
        and all(len(_audio_files(out / "audio", split)) == count for split, count in utterances.items())
    )


def generate(out: Path, seed: int, utterances: Mapping[str, int]) -> dict[str, Path]:
    """As `prepare`, with the number of utterances of each split given."""
    if seed < 0:
        raise UsageError(f"the seed must not be negative, this is {seed}")
    manifests = {split: out / f"{split}.jsonl" for split in utterances}
    # The sources stand for everything else that the corpus depends on: voices, ranges, the noise.
    sources = [Path(__file__), Path(__file__).with_name("espeak.py")]
    settings = {"seed": seed, "utterances": dict(utterances), "sources": [sha256(source) for source in sources]}
    if _is_done(out, settings, utterances):
        return manifests
    audio = out / "audio"
    try:
        # First of all, lest it vouch for a mixture if this run is killed.
        (out / _MARKER).unlink(missing_ok=True)
        for split in utterances:
            (audio / split).mkdir(parents=True, exist_ok=True)
            for stale in _audio_files(audio, split):
                stale.unlink()
    except OSError as error:
        raise AsrError(f"{out}: could not be written ({error.strerror or error})") from error
    written = _write_all(list(_shards(audio, seed, utterances)), available_threads())
    for split, manifest in manifests.items():
        write_manifest(manifest, [one for one in written if one.id.startswith(f"{split}-")])
    write_splits(out, "speaker", "by voice: none stands in two sets, and no accent of test in another")
    write_text(out / _MARKER, json.dumps(settings, indent=2) + "\n")
    return manifests


def prepare(out: Path, seed: int = 1) -> dict[str, Path]:
    """Writes ``out/audio/{train,dev,test}/*.wav``, ``out/{train,dev,test}.jsonl`` and ``out/splits.json``.

    What stands there already is left alone. The same seed gives the same bytes; what is drawn for an utterance depends
    on (seed, split, index) alone.

    Returns:
        the manifest of each split.

    Raises:
        AsrError: the package ``espeakng-loader`` is missing, or a file could not be written.
        UsageError: the seed is negative.
    """
    return generate(out, seed, UTTERANCES)

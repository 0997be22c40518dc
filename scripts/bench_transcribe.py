"""How fast transcribe-audio is, what it needs and how much it gets right, beside PocketSphinx on the same recordings.

    python -m venv OTHERS && OTHERS/bin/pip install pocketsphinx soundfile
    python scripts/bench_transcribe.py MODEL MANIFEST [--pocketsphinx OTHERS/bin/python] [--threads 1 2] [--rounds 3]

MODEL is a trained model folder with a tuned search (asr decode --tune). It is exported twice, and each way of computing
is the command itself, run by itself over all recordings of the manifest, start-up included: seconds of audio over
seconds of the clock, medians of the rounds, in which the ways take turns. CPU time stands beside it, since other load
on the machine disturbs it less. "First word" is the time of the command for the shortest recording alone; "an hour" is
one recording of an hour, all of them joined and repeated, by the last way. The search is the last that can be exported:
without an LSTM language model. A model of phones has no greedy words.

PocketSphinx takes the model and the dictionary of its own wheel, with its defaults, on one thread.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import soundfile

from asr.audio import read_utterance
from asr.decode.settings import FILE, read_tuned, write_tuned
from asr.files import sha256
from asr.manifest import Utterance, read_manifest
from asr.model.folder import open_folder
from asr.runtime import cpu_name
from asr.score.align import texts_wer

sys.path.insert(0, str(Path(__file__).parent))
from program import Used, run

ASR = str(Path(sys.executable).with_name("asr"))
COMMAND = [str(Path(sys.executable).with_name("transcribe-audio")), "--json"]
POCKETSPHINX = """
import json, sys, soundfile
from pocketsphinx import Decoder
decoder = Decoder(loglevel="FATAL")
for path in sys.stdin.read().split("\\n"):
    samples, rate = soundfile.read(path, dtype="int16")
    assert rate == 16000 and samples.ndim == 1, path
    decoder.start_utt()
    decoder.process_raw(samples.tobytes(), full_utt=True)
    decoder.end_utt()
    print(json.dumps({"text": decoder.hyp().hypstr if decoder.hyp() else ""}))
"""


@dataclass(frozen=True)
class Way:
    """One way to transcribe: its name, and its command without recordings."""

    name: str
    command: list[str]


def folders(model: Path, work: Path) -> dict[str, Path]:
    """The trained model and both exported ones, with the same search, and each without any."""
    exported = {"onnx float32": work / "float32", "onnx int8": work / "int8"}
    for name, folder in exported.items():
        # By a program of its own: what this one holds would count as the memory of those that it starts.
        run([ASR, "export", "--model", str(model), "--out", str(folder), *(["--int8"] if "int8" in name else [])])
    made = {"torch": work / "torch", **exported}
    shutil.copytree(model, made["torch"], ignore=shutil.ignore_patterns(FILE))
    (brought,) = read_tuned(made["onnx int8"], sha256(made["onnx int8"] / "SHA256SUMS"))
    for name in ("lm", "lexicon"):
        file = getattr(brought.search, name)
        if file is not None:
            shutil.copyfile(made["onnx int8"] / file, made["torch"] / file)
    digest = sha256(made["torch"] / "SHA256SUMS")
    write_tuned(made["torch"], brought.model_copy(update={"model_sha256": digest}))
    found = {f"{name}, beam": folder for name, folder in made.items()}
    if open_folder(model).tokenizer.kind != "phone":
        for name, folder in made.items():
            bare = work / f"{folder.name}-greedy"
            shutil.copytree(folder, bare, ignore=shutil.ignore_patterns(FILE))
            found[f"{name}, greedy"] = bare
    return found


def ways(model: Path, work: Path, threads: Sequence[int]) -> list[Way]:
    """Every way of ours."""
    found = []
    for name, folder in folders(model, work).items():
        for count in threads:
            base = [*COMMAND, "--model", str(folder), "--threads", str(count)]
            if name.startswith("torch"):
                for precision in ("float32", "bfloat16"):
                    told = name.replace("torch", f"torch {precision}")
                    found.append(Way(f"{told}, {count} threads", [*base, "--precision", precision]))
            else:
                found.append(Way(f"{name}, {count} threads", base))
    return found


def texts(used: Used) -> list[str]:
    """What a way wrote, in upper case."""
    lines = [line for line in used.output.splitlines() if line.startswith("{")]
    return [json.loads(line)["text"].upper() for line in lines]


def an_hour(utterances: Sequence[Utterance], path: Path) -> None:
    """Writes an hour of the recordings, joined and repeated."""
    written = 0
    with soundfile.SoundFile(path, "w", 16000, 1) as file:
        while written < 3600 * 16000:
            for one in utterances:
                samples = read_utterance(one, 16000)
                file.write(samples)
                written += len(samples)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--pocketsphinx", help="a Python that has it")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="ways whose names hold this")
    arguments = parser.parse_args()
    utterances = read_manifest(arguments.manifest)
    paths = [str(one.audio) for one in utterances]
    references = [one.text for one in utterances]
    seconds = sum(one.duration for one in utterances)
    shortest = min(utterances, key=lambda one: one.duration)
    print(f"{cpu_name()}; {len(paths)} recordings, {seconds / 60:.1f} minutes, {arguments.rounds} rounds")
    print(f"{'':34} × real time      CPU s  memory MB  first word s   WER %")
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        chosen = [way for way in ways(arguments.model, work, arguments.threads) if arguments.only in way.name]
        listed = work / "list"
        listed.write_text("\n".join(paths), encoding="utf-8")
        if arguments.pocketsphinx:
            shell = ["sh", "-c", 'exec "$0" -c "$1" < "$2"', arguments.pocketsphinx, POCKETSPHINX]
            chosen.append(Way("PocketSphinx, 1 threads", shell))

        def measured(way: Way, files: list[str]) -> Used:
            if way.command[0] == "sh":
                listed.write_text("\n".join(files), encoding="utf-8")
                return run([*way.command, str(listed)])
            return run([*way.command, *files])

        rounds: dict[str, list[Used]] = {way.name: [] for way in chosen}
        first: dict[str, list[float]] = {way.name: [] for way in chosen}
        for number in range(arguments.rounds):
            for way in chosen if number % 2 == 0 else chosen[::-1]:
                first[way.name].append(measured(way, [str(shortest.audio)]).wall)
                rounds[way.name].append(measured(way, paths))
        for way in chosen:
            used = rounds[way.name]
            speeds = sorted(seconds / one.wall for one in used)
            spread = f"{statistics.median(speeds):5.0f} ({speeds[0]:.0f}–{speeds[-1]:.0f})"
            print(
                f"{way.name:34} {spread:15} {statistics.median(one.cpu for one in used):7.1f} "
                f"{max(one.peak for one in used) * 1000:10.0f} {statistics.median(first[way.name]):13.2f} "
                f"{100 * texts_wer(references, texts(used[0]))[0].rate:7.2f}"
            )
        hour = work / "hour.flac"
        an_hour(utterances, hour)
        ours = [way for way in chosen if way.command[0] != "sh"]
        used = run([*ours[-1].command, str(hour)])
        speed = soundfile.info(hour).duration / used.wall
        print(f"{ours[-1].name}, an hour: {speed:.0f} × real time, {1000 * used.peak:.0f} MB")


if __name__ == "__main__":
    main()

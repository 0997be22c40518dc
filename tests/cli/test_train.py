from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
import yaml

from asr.cli.main import app, run
from asr.files import alone_in
from asr.manifest import read_manifest, write_manifest
from tests.tones import TINY, asr, write_tones

# Everything that draws at random, and a state that is saved after every step.
HARD = (
    *TINY,
    "train.epochs=3",
    "train.batch_seconds=3",
    "train.accumulate=2",
    "train.checkpoint_minutes=1e-9",
    "encoder.dropout=0.3",
    "encoder.layers=2",
    "augment.speeds=[0.9, 1.0, 1.1]",
    "augment.frequency_masks=1",
    "augment.time_masks=2",
)

# Does something to itself when a function of the training run is called for the n-th time.
_MISHAP = """if True:
    import os, resource, signal, sys
    from importlib import import_module
    from asr.runtime import wait_briefly
    wait_briefly()
    module, name, count, event = sys.argv[1].rsplit(":", 3)
    module, _, owner = module.partition("/")
    place = import_module(module)
    place = getattr(place, owner) if owner else place
    original, count = getattr(place, name), int(count)

    def mishap(*arguments, **options):
        global count
        count -= 1
        if count == 0:
            if event == "FULL":  # a full disk: no file may grow above 60 kB any more
                resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, resource.RLIM_INFINITY))
            elif event.startswith("AFTER"):
                original(*arguments, **options)
                os.kill(os.getpid(), getattr(signal, event.removeprefix("AFTER")))
            else:
                os.kill(os.getpid(), getattr(signal, event))
        return original(*arguments, **options)

    setattr(place, name, mishap)
    sys.argv[1:] = sys.argv[2:]
    from asr.cli.main import main
    main()
"""


def _arguments(manifests: tuple[Path, Path], out: Path, overrides: Sequence[str]) -> list[object]:
    train, dev = manifests
    return ["train", "--train", train, "--dev", dev, "--out", out, "--threads", 1, *overrides]


def _with_mishap(
    mishap: str, manifests: tuple[Path, Path], out: Path, overrides: Sequence[str] = HARD
) -> subprocess.CompletedProcess[str]:
    """Runs ``asr train``; ``mishap`` is module/class:function:how many calls:signal, or FULL for a full disk."""
    command = [sys.executable, "-c", _MISHAP, mishap, *map(str, _arguments(manifests, out, overrides))]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def manifests(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tones")
    return write_tones(folder, "train", 16, seed=1), write_tones(folder, "dev", 4, seed=2)


@pytest.fixture(scope="module")
def unbroken(manifests: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The weights of a run that nothing happened to."""
    out = tmp_path_factory.mktemp("unbroken")
    assert asr(*_arguments(manifests, out, HARD)).returncode == 0
    return _weights(out)


def _weights(out: Path) -> bytes:
    return (out / "model" / "model.safetensors").read_bytes()


def _position(out: Path) -> tuple[int, int]:
    """Epochs done, and steps of the next one, of the saved state."""
    progress = torch.load(out / "checkpoints" / "latest.pt", weights_only=True)["progress"]
    return progress["epoch"], progress["group"]


def _finishes_like(unbroken: bytes, manifests: tuple[Path, Path], out: Path) -> None:
    done = asr(*_arguments(manifests, out, HARD))
    assert done.returncode == 0, done.stderr
    assert "resuming after" in done.stdout
    assert _weights(out) == unbroken
    assert not list(out.rglob(".*"))


@pytest.mark.slow
def test_killed_anywhere_it_ends_in_the_same_bytes(
    unbroken: bytes, manifests: tuple[Path, Path], tmp_path: Path
) -> None:
    """One run, killed over and over: before its first state is saved, within a step, while the state is written, …"""
    for mishap, position in (
        ("asr.train.loop/Trainer:step:1:SIGKILL", None),
        ("asr.train.loop/Trainer:step:3:SIGKILL", (0, 2)),
        ("asr.train.checkpoint:asdict:2:SIGKILL", (0, 3)),
        ("torch:save:1:AFTERSIGKILL", (0, 3)),  # written, but not yet in place
        ("asr.train.loop:save_epoch:1:AFTERSIGKILL", (0, None)),
        ("asr.train.loop:prune_epochs:1:SIGKILL", (1, 0)),
        ("asr.train.setup:model_card:1:SIGKILL", (3, 0)),
    ):
        assert _with_mishap(mishap, manifests, tmp_path).returncode == -signal.SIGKILL
        if position is None:
            assert not (tmp_path / "checkpoints" / "latest.pt").exists()
        else:
            epoch, group = _position(tmp_path)
            assert (epoch, group if position[1] is not None else None) == position
    assert not (tmp_path / "model").exists()
    _finishes_like(unbroken, manifests, tmp_path)


@pytest.mark.slow
def test_killed_from_outside_it_ends_in_the_same_bytes(
    unbroken: bytes, manifests: tuple[Path, Path], tmp_path: Path
) -> None:
    command = [sys.executable, "-c", "from asr.cli.main import main; main()"]
    process = subprocess.Popen(
        [*command, *map(str, _arguments(manifests, tmp_path, HARD))], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    try:
        while not (tmp_path / "checkpoints" / "latest.pt").exists():
            assert process.poll() is None
            time.sleep(0.005)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == -signal.SIGKILL
    _finishes_like(unbroken, manifests, tmp_path)


def test_two_trainings_do_not_share_a_folder(manifests: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    with alone_in(out):
        done = asr(*_arguments(manifests, out, HARD))
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == f"error: {out}: another run is at work in it; let it end, or give another --out\n"
        assert not any(out.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM"])
def test_asked_to_stop_it_saves_and_says_so(
    number: str, unbroken: bytes, manifests: tuple[Path, Path], tmp_path: Path
) -> None:
    overrides = [*HARD, "train.checkpoint_minutes=1000"]
    done = _with_mishap(f"asr.train.loop/Trainer:step:2:{number}", manifests, tmp_path, overrides)
    assert done.returncode == 130
    assert done.stderr.endswith("error: stopped in epoch 1; the same command goes on from there\n")
    assert "Traceback" not in done.stderr
    assert _position(tmp_path) == (0, 2)
    _finishes_like(unbroken, manifests, tmp_path)


@pytest.mark.slow
def test_stopped_before_training_begins(manifests: tuple[Path, Path], tmp_path: Path) -> None:
    done = _with_mishap("asr.train.setup:probe_memory:1:SIGINT", manifests, tmp_path)
    assert done.returncode == 130
    assert done.stderr == "stopped by Ctrl-C\n"
    assert not (tmp_path / "checkpoints").exists()


@pytest.mark.slow
def test_a_full_disk_while_the_state_is_saved(unbroken: bytes, manifests: tuple[Path, Path], tmp_path: Path) -> None:
    done = _with_mishap("asr.train.loop:save_checkpoint:3:FULL", manifests, tmp_path)
    assert done.returncode == 1
    latest = tmp_path / "checkpoints" / "latest.pt"
    (sentence,) = [line for line in done.stderr.splitlines() if line]
    assert sentence.startswith(f"error: {latest}: could not be written (")
    assert sentence.endswith("what stood there before is kept")
    assert latest.stat().st_size > 60_000
    assert _position(tmp_path) == (0, 2)
    assert [path.name for path in latest.parent.iterdir()] == ["latest.pt"]
    _finishes_like(unbroken, manifests, tmp_path)


@pytest.mark.slow
def test_a_damaged_state_is_one_sentence(manifests: tuple[Path, Path], tmp_path: Path) -> None:
    assert _with_mishap("asr.train.loop/Trainer:step:3:SIGKILL", manifests, tmp_path).returncode == -signal.SIGKILL
    latest = tmp_path / "checkpoints" / "latest.pt"
    latest.write_bytes(latest.read_bytes()[:5000])
    done = asr(*_arguments(manifests, tmp_path, HARD))
    assert done.returncode == 1
    assert done.stderr == f"error: {latest}: a damaged checkpoint; delete it to begin anew\n"


@pytest.mark.slow
def test_from_tones_to_a_verified_receipt(tmp_path: Path) -> None:
    """The whole line through the command alone, with a config file, from another folder than that of the manifests."""
    train, dev = write_tones(tmp_path / "data", "train", 48, seed=1), write_tones(tmp_path / "data", "dev", 12, seed=2)
    test = write_tones(tmp_path / "data", "test", 12, seed=3)
    config: dict[str, dict[str, object]] = {}
    for assignment in TINY:
        key, _, value = assignment.partition("=")
        section, _, name = key.partition(".")
        config.setdefault(section, {})[name] = yaml.safe_load(value)
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(config))
    out = tmp_path / "exp" / "tones"
    arguments = ["--config", tmp_path / "tiny.yaml", "--train", train, "--dev", dev, "--out", out, "--threads", 1]
    done = asr("train", *arguments, "encoder.hidden=20", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(f"model: {out / 'model'}\n")
    assert len([line for line in done.stdout.splitlines() if "/12 " in line]) == 12
    assert "weights averaged over 2 epochs: dev loss" in done.stdout
    done = asr("train", *arguments, "encoder.hidden=20", cwd=tmp_path)
    assert (done.returncode, "is trained already" in done.stdout) == (0, True)
    assert asr("decode", "--model", out / "model", "--manifest", test, "--threads", 2).returncode == 0
    folder = out / "decode" / "test"
    assert asr("score", test, folder / "hyp.jsonl").returncode == 0
    receipt = json.loads((folder / "result.json").read_text())
    assert (receipt["wer"], receipt["failed"], receipt["words"]) == (0.0, 0, 24)
    assert receipt["config"] == f"{tmp_path / 'tiny.yaml'} encoder.hidden=20"
    assert receipt["command"].startswith("asr decode --model ")
    assert receipt["train_minutes"] is not None
    assert (receipt["threads"], receipt["train_threads"], receipt["train_cpu"]) == (2, 1, receipt["cpu"])
    assert receipt["train_precision"] in ("float32", "bfloat16")
    assert asr("verify", folder / "result.json", "--threads", 1).returncode == 0
    (folder / "result.json").write_text(json.dumps(receipt | {"insertions": 1}))
    done = asr("verify", folder / "result.json", "--threads", 1)
    assert (done.returncode, done.stdout) == (1, "insertions: the receipt says 1, decoding again gives 0\n")


def _call(*arguments: object) -> int:
    with pytest.raises(SystemExit) as left:
        run(lambda: app([*map(str, arguments)]))
    return int(left.value.code or 0)


def test_what_was_not_used_makes_the_status_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifests = write_tones(tmp_path, "train", 100, seed=1, suffix="flac"), write_tones(tmp_path, "dev", 4, seed=2)
    audio = read_manifest(manifests[0])[7].audio
    audio.write_bytes(audio.read_bytes()[:-400])
    arguments = _arguments(manifests, tmp_path / "run", [*TINY, "train.epochs=1"])
    for _ in range(2):  # the second call finds the model, and says so again
        assert _call(*arguments) == 1
        seen = capsys.readouterr().out
        assert f"model: {tmp_path / 'run' / 'model'}" in seen
        assert "007.flac" in seen
        assert seen.endswith("1 utterances were not used\n")
    assert (tmp_path / "run" / "model" / "SHA256SUMS").exists()


def test_mistakes_get_a_sentence_and_a_status(
    manifests: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train, dev = manifests
    short = tmp_path / "short.jsonl"
    write_manifest(short, read_manifest(train)[:1])
    (tmp_path / "bad.yaml").write_text("encoder: {hiden: 3}")
    out = tmp_path / "run"
    for manifest, more, sentence, status in (
        (train, ["encoder.hiden=3"], "the defaults with encoder.hiden=3: there is no key 'encoder.hiden'; did you", 2),
        (train, ["--config", tmp_path / "bad.yaml"], "bad.yaml: there is no key 'encoder.hiden'; did you mean", 2),
        (train, ["--config", tmp_path / "none.yaml"], "none.yaml: could not be read", 1),
        (train, ["epochs"], "'epochs': an override is written key=value", 2),
        (train, ["--device", "toaster"], "--device toaster: not to be had on this machine", 2),
        (tmp_path / "none.jsonl", [], "none.jsonl: could not be read", 1),
        (short, [*TINY, "tokens.kind=bpe", "tokens.size=500"], "tokens.size=500: SentencePiece could not learn", 1),
    ):
        assert _call("train", "--train", manifest, "--dev", dev, "--out", out, "--threads", 1, *more) == status
        seen = capsys.readouterr().err
        assert sentence in seen
        assert seen.startswith("error: ")
        assert seen.count("\n") == 1
    assert _call("train", "--train", train) == 2
    assert not (out / "model").exists()


def test_a_misspelt_key_is_told_before_torch_is_imported(tmp_path: Path) -> None:
    code = """if True:
        import sys
        from asr.cli.main import main
        try:
            main()
        finally:
            print("torch" in sys.modules)
    """
    command = [sys.executable, "-c", code, "train", "--train", "a", "--dev", "b", "--out", "c", "trian.epochs=3"]
    done = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ), cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "False\n")
    assert "there is no key 'trian'; did you mean 'train'?" in done.stderr

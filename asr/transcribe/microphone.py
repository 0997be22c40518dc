"""Sound from a microphone, through the extra ``[mic]``: sounddevice, which asks PortAudio."""

from __future__ import annotations

import queue
from collections.abc import Iterator

import numpy as np

from asr.errors import AsrError, UsageError

_BLOCK = 0.1  # [s]
_WAITING = 600  # blocks that may wait for the network before some are lost: a minute


def microphone(rate: int) -> Iterator[np.ndarray]:
    """What the system's default microphone hears, until whoever reads stops.

    Args:
        rate: [Hz].

    Yields:
        float32, shape (samples,) each, a tenth of a second.

    Raises:
        UsageError: the extra, or PortAudio, is not installed.
        AsrError: there is no microphone, it cannot be opened, or the machine is too slow for what it hears.
    """
    try:
        import sounddevice
    except ModuleNotFoundError as error:
        raise UsageError("--mic needs the extra mic: pip install 'asr[mic]'") from error
    except OSError as error:
        raise UsageError(
            "--mic needs PortAudio: install it (on Debian and Ubuntu: apt install libportaudio2)"
        ) from error
    waiting: queue.Queue[np.ndarray] = queue.Queue(_WAITING)
    late = False

    def heard(samples: np.ndarray, frames: int, time: object, status: object) -> None:
        nonlocal late
        try:
            waiting.put_nowait(samples[:, 0].copy())
        except queue.Full:
            late = True

    try:
        with sounddevice.InputStream(
            samplerate=rate, channels=1, dtype="float32", blocksize=round(_BLOCK * rate), callback=heard
        ):
            while not late:
                yield waiting.get()
    except sounddevice.PortAudioError as error:
        raise AsrError(f"the microphone could not be opened ({error})") from error
    raise AsrError("this machine is too slow for what the microphone hears: more than a minute waits to be recognised")

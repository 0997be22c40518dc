"""eSpeak NG, a formant synthesiser, driven through ctypes: words in, samples out, several hundred times real time.

Library and voices come with the package ``espeakng-loader`` (extra ``[demo]``). eSpeak NG is under the GNU General
Public License, version 3 or later; it is loaded only when speech is asked for, and nothing else here needs it.

The calls and their constants are those of eSpeak NG 1.52, ``speak_lib.h``.
"""

from __future__ import annotations

import ctypes
import functools
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asr.errors import AsrError

_SYNCHRONOUS = 2  # AUDIO_OUTPUT_SYNCHRONOUS: samples to the callback, nothing is played, no thread is started
_DO_NOT_EXIT = 0x8000  # espeakINITIALIZE_DONT_EXIT: without it, missing data ends the whole process
_UTF8 = 1  # espeakCHARS_UTF8
_END_PAUSE = 0x1000  # espeakENDPAUSE: without it, the echo that some variants have is cut off
_RATE, _VOLUME, _PITCH, _RANGE, _WORD_GAP = 1, 2, 3, 4, 7  # espeak_PARAMETER
# At the normal volume, 100, the loudest variants run into the 16-bit limit; at 30 none does. The level is the caller's.
_SAFE_VOLUME = 25
_SILENCE = 5 / 32768  # an echo's last remainder of a few steps never dies away
# path_home, the library's buffer for the folder of its data, holds so many bytes; a longer name is cut without a word.
_LONGEST_DATA_PATH = 150

_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


@dataclass(frozen=True)
class Voice:
    """Who speaks, and how.

    Attributes:
        accent: the file name of a voice of the package (``lang/``), such as ``en-us``.
        variant: the file name of a voice variant (``voices/!v``), such as ``f3``.
        rate: words a minute, 80 to 450; 175 is normal.
        pitch: 0 to 99; 50 is the variant's own.
        pitch_range: 0 (monotone) to 99; 50 is the variant's own.
        word_gap: pause between words beyond the usual one [10 ms at the normal rate].
    """

    accent: str
    variant: str
    rate: int = 175
    pitch: int = 50
    pitch_range: int = 50
    word_gap: int = 0


class Espeak:
    """The synthesiser. Its state is the process's, not the object's: take the one that `open_espeak` gives.

    Phases and flutter of its voices run on from one call of `speak` to the next, and nothing in the library winds them
    back. The same samples come again only from a fresh process that says the same things in the same order.

    Attributes:
        rate: sample rate of what it says [Hz].
    """

    rate: int

    def __init__(self, library: Path, data: Path) -> None:
        if len(str(data)) > _LONGEST_DATA_PATH:
            raise AsrError(
                f"{data}: this path has {len(str(data))} characters, eSpeak NG takes at most {_LONGEST_DATA_PATH}; "
                "install into a virtual environment with a shorter path"
            )
        try:
            self._library = ctypes.CDLL(str(library))
        except OSError as error:
            raise AsrError(
                f"{library}: could not be loaded ({error}); pip install --force-reinstall espeakng-loader"
            ) from error
        self._declare()
        # The variants that speak through the synthesiser "SpeechPlayer" (klatt 6) draw their breath from C's rand().
        self._libc = ctypes.CDLL("ucrtbase" if os.name == "nt" else None)
        self._variants = data / "voices" / "!v"
        self._blocks: list[np.ndarray] = []
        self.rate = self._library.espeak_Initialize(_SYNCHRONOUS, 0, str(data).encode(), _DO_NOT_EXIT)
        if self.rate <= 0:  # -1 by the header; 0 where the data were not found
            raise AsrError(f"{data}: eSpeak NG could not read its data; pip install --force-reinstall espeakng-loader")
        # The library keeps a bare pointer: were the callback not held here, Python would free it.
        self._callback = _Callback(self._receive)
        self._library.espeak_SetSynthCallback(self._callback)

    def _declare(self) -> None:
        library, number = self._library, ctypes.c_int
        library.espeak_Initialize.argtypes = [number, number, ctypes.c_char_p, number]
        library.espeak_SetSynthCallback.argtypes = [_Callback]
        library.espeak_SetSynthCallback.restype = None
        library.espeak_SetVoiceByName.argtypes = [ctypes.c_char_p]
        library.espeak_SetParameter.argtypes = [number, number, number]
        library.espeak_Synth.argtypes = [
            ctypes.c_char_p,
            ctypes.c_size_t,
            ctypes.c_uint,
            number,
            ctypes.c_uint,
            ctypes.c_uint,
            ctypes.c_void_p,
            ctypes.c_void_p,
        ]

    def _receive(self, samples: ctypes._Pointer[ctypes.c_short], count: int, _events: int | None) -> int:
        if samples and count > 0:
            self._blocks.append(np.ctypeslib.as_array(samples, (count,)).copy())  # the library's buffer is reused
        return 0

    def speak(self, text: str, voice: Voice, seed: int) -> np.ndarray:
        """Says ``text``, the voice's breath drawn from ``seed`` (0 to 2³¹ − 1).

        Returns:
            float32, shape (samples,), at ``rate`` Hz, full scale ±1, at the variant's own level, never clipped, no
            pause at the end.

        Raises:
            AsrError: there is no such accent or variant, or the synthesiser refused.
        """
        # An unknown variant is passed over by the library without an error.
        if not (self._variants / voice.variant).is_file():
            raise AsrError(f"{self._variants}: eSpeak NG has no voice variant {voice.variant!r}")
        if self._library.espeak_SetVoiceByName(f"{voice.accent}+{voice.variant}".encode()) != 0:
            raise AsrError(f"eSpeak NG has no voice {voice.accent!r}")
        # After the voice, which resets some of them; and all of them, since others outlast it.
        for parameter, value in (
            (_RATE, voice.rate),
            (_VOLUME, _SAFE_VOLUME),
            (_PITCH, voice.pitch),
            (_RANGE, voice.pitch_range),
            (_WORD_GAP, voice.word_gap),
        ):
            if self._library.espeak_SetParameter(parameter, value, 0) != 0:
                raise AsrError(f"eSpeak NG refused the value {value} for its parameter {parameter} ({voice})")
        self._blocks.clear()
        self._libc.srand(ctypes.c_uint(seed))
        if self._library.espeak_ng_SetRandSeed(ctypes.c_long(seed)) != 0:  # otherwise the time of day
            raise AsrError(f"eSpeak NG refused the random seed {seed}")
        data = text.encode() + b"\0"
        status = self._library.espeak_Synth(data, len(data), 0, 0, 0, _UTF8 | _END_PAUSE, None, None)
        samples = np.concatenate([*self._blocks, np.zeros(0, np.int16)]).astype(np.float32) / np.float32(32768)
        loud = np.flatnonzero(np.abs(samples) > _SILENCE)
        if status != 0 or not len(loud):
            raise AsrError(f"eSpeak NG could not say {text!r} as {voice} (status {status})")
        return samples[: loud[-1] + 1]


@functools.cache
def open_espeak() -> Espeak:
    """The synthesiser of this process, initialised at the first call.

    Raises:
        AsrError: the package ``espeakng-loader`` is missing, or its library or data cannot be used.
    """
    try:
        import espeakng_loader
    except ImportError as error:
        raise AsrError(
            "speech synthesis needs the package espeakng-loader (eSpeak NG, GPL): pip install espeakng-loader"
        ) from error
    return Espeak(Path(espeakng_loader.get_library_path()), Path(espeakng_loader.get_data_path()))

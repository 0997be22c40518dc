"""Whether an MP3 file tells how long it is, which libsndfile takes for granted."""

from __future__ import annotations

import functools
from pathlib import Path

# Bit rates by index [kbit/s] of layer III, ISO/IEC 11172-3 and 13818-3; 0 is the free format.
_KBITS_1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_KBITS_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_RATES = (44100, 48000, 32000)
_COUNTS = (b"Xing", b"Info", b"VBRI")  # headers that count the frames, in place of the first frame's sound


def is_of_unknown_length(path: Path) -> bool:
    """Whether frames differ in their bit rate and no header counts them.

    libsndfile then takes the first frame's rate for that of all: it ends long before such a file does, and says
    nothing. Programs that write MP3 to a pipe leave the header out. The frames are walked through, a fraction of a
    second for an hour; where they cannot be (damage, free format, other layers) the answer is no.
    """
    there = path.stat()
    return _is_of_unknown_length(path, there.st_size, there.st_mtime_ns)


@functools.lru_cache(4096)  # recordings of which segments are read are opened for every one
def _is_of_unknown_length(path: Path, size: int, modified: int) -> bool:
    with path.open("rb", 1 << 16) as file:
        at = _behind_tag(file.read(10))
        file.seek(at)
        first = file.read(64)
        length = _frame_length(first)
        if any(count in first[:length] for count in _COUNTS):
            return False
        while length:
            at += length
            file.seek(at)
            head = file.read(4)
            length = _frame_length(head)
            if length and head[2] >> 4 != first[2] >> 4:
                return True
    return False


def _behind_tag(head: bytes) -> int:
    """Where an ID3v2 tag ends; its length is four digits to the base 128."""
    if len(head) < 10 or not head.startswith(b"ID3"):
        return 0
    high, mid, low, least = head[6:]
    return 10 + (high << 21 | mid << 14 | low << 7 | least)


def _frame_length(head: bytes) -> int:
    """Of the layer III frame that begins so [bytes]; 0: none does."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE6 != 0xE2:
        return 0
    version, index, rate = head[1] >> 3 & 3, head[2] >> 4, head[2] >> 2 & 3
    if version == 1 or rate == 3 or index in (0, 15):
        return 0
    kbits = (_KBITS_1 if version == 3 else _KBITS_2)[index]
    hertz = _RATES[rate] >> {3: 0, 2: 1, 0: 2}[version]  # MPEG 1, 2 and 2.5
    return (144 if version == 3 else 72) * kbits * 1000 // hertz + (head[2] >> 1 & 1)

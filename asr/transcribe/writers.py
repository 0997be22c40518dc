"""What a transcript is written as: one class a format, each giving the whole text of a file.

Words carry times and confidences; subtitles are made of them, see `asr.transcribe.subtitles`. Every format is UTF-8.
"""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from asr.decode.hypothesis import Word
from asr.transcribe.subtitles import cues
from asr.transcribe.transcript import Transcript

_LEAST_INTERVAL = 0.001  # [s] of a TextGrid, in which no interval may be empty


@dataclass(frozen=True)
class Writer(ABC):
    """Makes the text of a file.

    Attributes:
        least: words of a lower confidence are marked as doubtful, where the format does not give confidences anyway.
        extension: of the file.
    """

    least: float = 0.0
    extension: ClassVar[str]

    @abstractmethod
    def write(self, transcript: Transcript) -> str:
        """The text; of no words too."""

    def marked(self, word: Word) -> str:
        """The word, or ``[word?]`` if it is doubtful."""
        return f"[{word.word}?]" if word.confidence < self.least else word.word


class Txt(Writer):
    """The words, a line for each segment."""

    extension: ClassVar[str] = "txt"

    def write(self, transcript: Transcript) -> str:
        lines = [" ".join(map(self.marked, segment.words)) for segment in transcript.segments]
        return "\n".join(lines) + "\n"


class Json(Writer):
    """An object with ``audio``, ``duration`` [s], ``text`` and ``segments``: start, end, text, words of each.

    A word has word, start, end, confidence; and ``doubtful`` where it is.
    """

    extension: ClassVar[str] = "json"

    def write(self, transcript: Transcript) -> str:
        segments = [
            {
                "start": segment.start,
                "end": segment.end,
                "text": segment.text,
                "words": list(map(self._word, segment.words)),
            }
            for segment in transcript.segments
        ]
        audio = None if transcript.audio is None else transcript.audio.as_posix()
        fields = {"audio": audio, "duration": transcript.duration, "text": transcript.text, "segments": segments}
        text = json.dumps(fields, ensure_ascii=False, indent=1) + "\n"
        # Bytes of a name that are not UTF-8, which Python holds as surrogates, are escaped: they have no UTF-8.
        return re.sub("[\ud800-\udfff]", lambda found: f"\\u{ord(found[0]):04x}", text)

    def _word(self, word: Word) -> dict[str, Any]:
        return asdict(word) | ({"doubtful": True} if word.confidence < self.least else {})


class Srt(Writer):
    """SubRip subtitles."""

    extension: ClassVar[str] = "srt"

    def write(self, transcript: Transcript) -> str:
        blocks = [
            f"{number}\n{_clock(cue.start, ',')} --> {_clock(cue.end, ',')}\n" + "\n".join(cue.lines) + "\n"
            for number, cue in enumerate(cues(transcript, self.marked), start=1)
        ]
        return "\n".join(blocks)


class Vtt(Writer):
    """WebVTT subtitles."""

    extension: ClassVar[str] = "vtt"

    def write(self, transcript: Transcript) -> str:
        blocks = [
            f"{_clock(cue.start, '.')} --> {_clock(cue.end, '.')}\n" + "\n".join(map(_escaped, cue.lines)) + "\n"
            for cue in cues(transcript, self.marked)
        ]
        return "\n".join(["WEBVTT\n", *blocks])


class Ctm(Writer):
    """NIST's time-marked conversation: file, channel, start, duration, word, confidence; a line a word."""

    extension: ClassVar[str] = "ctm"

    def write(self, transcript: Transcript) -> str:
        stem = "audio" if transcript.audio is None else transcript.audio.stem
        name = "_".join(stem.encode(errors="replace").decode().split())
        return "".join(
            f"{name} 1 {word.start:.3f} {max(word.end - word.start, 0):.3f} {word.word} {word.confidence:.4f}\n"
            for word in transcript.words
        )


class Tsv(Writer):
    """A table of words: start and end [ms], word, confidence; with a heading."""

    extension: ClassVar[str] = "tsv"

    def write(self, transcript: Transcript) -> str:
        rows = [
            f"{round(1000 * word.start)}\t{round(1000 * word.end)}\t{word.word}\t{word.confidence:.4f}"
            for word in transcript.words
        ]
        return "\n".join(["start\tend\tword\tconfidence", *rows]) + "\n"


class TextGrid(Writer):
    """Praat's annotation: one tier, words, silence between them as empty intervals."""

    extension: ClassVar[str] = "TextGrid"

    def write(self, transcript: Transcript) -> str:
        end = max(transcript.duration, _LEAST_INTERVAL * max(len(transcript.words), 1))
        intervals = list(self._intervals(transcript, end))
        lines = [
            *('File type = "ooTextFile"', 'Object class = "TextGrid"', ""),
            *("xmin = 0", f"xmax = {end:.6f}", "tiers? <exists>", "size = 1", "item []:", "    item [1]:"),
            *('        class = "IntervalTier"', '        name = "words"', "        xmin = 0"),
            *(f"        xmax = {end:.6f}", f"        intervals: size = {len(intervals)}"),
        ]
        for number, (begin, behind, label) in enumerate(intervals, start=1):
            lines += [
                f"        intervals [{number}]:",
                f"            xmin = {begin:.6f}",
                f"            xmax = {behind:.6f}",
                f'            text = "{label}"',
            ]
        return "\n".join(lines) + "\n"

    def _intervals(self, transcript: Transcript, end: float) -> Iterator[tuple[float, float, str]]:
        """Begin, end and label, end to end from 0 to ``end``; a word without length, or that overlaps, is moved."""
        at = 0.0
        for number, word in enumerate(transcript.words, start=1):
            room = end - _LEAST_INTERVAL * (len(transcript.words) - number)  # what the words behind need is theirs
            begin = min(max(word.start, at), room - _LEAST_INTERVAL)
            if begin - at >= _LEAST_INTERVAL:
                yield at, begin, ""
            else:
                begin = at
            at = min(max(word.end, begin + _LEAST_INTERVAL), room)
            yield begin, at, self.marked(word).replace('"', '""')
        if end - at > 1e-9:
            yield at, end, ""


WRITERS: dict[str, type[Writer]] = {
    "txt": Txt, "json": Json, "srt": Srt, "vtt": Vtt, "ctm": Ctm, "textgrid": TextGrid, "tsv": Tsv,
}  # fmt: skip


def _clock(seconds: float, point: str) -> str:
    """Hours, minutes, seconds and milliseconds."""
    whole, milliseconds = divmod(round(1000 * seconds), 1000)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}{point}{milliseconds:03}"


def _escaped(line: str) -> str:
    return line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

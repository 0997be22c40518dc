"""Words into subtitles, as people expect them: two short lines at most, and no longer than one can look at them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from asr.decode.hypothesis import Word
from asr.transcribe.transcript import Transcript

LINE = 42  # characters
PAUSE = 0.8  # [s] from which on the next word begins a subtitle of its own
LONGEST = 7.0  # [s]
SHORTEST = 1.0  # [s], where what follows leaves room


@dataclass(frozen=True)
class Cue:
    """A subtitle: from when to when [s], and its lines."""

    start: float
    end: float
    lines: tuple[str, ...]


def cues(transcript: Transcript, shown: Callable[[Word], str]) -> list[Cue]:
    """Groups words into subtitles that follow each other without overlap, none over two segments.

    Args:
        transcript: of which no word reaches into the next, or outlasts the recording.
        shown: what is written of a word.

    Returns:
        Each of at most two lines of at most 42 characters (a longer word has a line of its own), of at most 7 s (unless
        a single word lasts longer), with no pause of 0.8 s or more in it.
    """
    groups: list[list[Word]] = []
    for segment in transcript.segments:
        for number, word in enumerate(segment.words):
            if number and _fits([*groups[-1], word], shown):
                groups[-1].append(word)
            else:
                groups.append([word])
    found = []
    for number, group in enumerate(groups):
        start, end = group[0].start, group[-1].end
        room = groups[number + 1][0].start if number + 1 < len(groups) else transcript.duration
        found.append(Cue(start, max(end, min(start + SHORTEST, room)), _lines([shown(word) for word in group])))
    return found


def _fits(group: Sequence[Word], shown: Callable[[Word], str]) -> bool:
    """Whether the last word of a group may stand in one subtitle with those before it."""
    *_, before, last = group
    if last.start - before.end >= PAUSE or last.end - group[0].start > LONGEST:
        return False
    return all(len(line) <= LINE for line in _lines([shown(word) for word in group]))


def _lines(shown: Sequence[str]) -> tuple[str, ...]:
    """One line if it is short enough, else two, the longer one as short as can be."""
    whole = " ".join(shown)
    if len(whole) <= LINE or len(shown) == 1:
        return (whole,)
    splits = [(" ".join(shown[:place]), " ".join(shown[place:])) for place in range(1, len(shown))]
    return min(splits, key=lambda lines: max(map(len, lines)))

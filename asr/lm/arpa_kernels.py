"""What reads and writes the lines of an ARPA file, compiled: millions of them a minute would be too slow in Python."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from asr.compiled import kernel

LN10 = math.log(10.0)
# How reading ended: the bytes are used up, the section is over, or what is wrong with the line.
MORE, SECTION_END = 0, 1
NOT_A_NUMBER, POSITIVE, NO_SUCH_WORD, TOO_FEW_FIELDS, TOO_MANY_FIELDS, TOO_MANY_LINES, TWICE, BACKOFF_AT_END = range(
    2, 10
)
_TENS = 10.0 ** np.arange(23)  # exact in float64
_TAB, _NEWLINE, _RETURN, _SPACE = 9, 10, 13, 32
_PLUS, _MINUS, _POINT, _ZERO, _NINE, _BACKSLASH = 43, 45, 46, 48, 57, 92
_LARGEST = 10**17


class Words(NamedTuple):
    """A hash table of words with open addressing; its size is a power of two.

    Attributes:
        slots: int32, shape (slots,): word, −1 where there is none.
        spelled: uint8: the words' bytes, one behind the other.
        begins: int64, shape (words + 1,): word w is ``spelled[begins[w]:begins[w + 1]]``.
    """

    slots: np.ndarray
    spelled: np.ndarray
    begins: np.ndarray


@kernel
def _slot(table, text, begin, end):  # type: ignore[no-untyped-def]
    """The slot of a word, or the empty one where it belongs (FNV-1a, the bits folded)."""
    code = np.uint64(14695981039346656037)
    for position in range(begin, end):
        code = (code ^ np.uint64(text[position])) * np.uint64(1099511628211)
    mask = np.int64(len(table.slots) - 1)
    slot = np.int64(code ^ (code >> np.uint64(32))) & mask
    while table.slots[slot] >= 0:
        at = table.begins[table.slots[slot]]
        if table.begins[table.slots[slot] + 1] - at == end - begin:
            same = True
            for offset in range(end - begin):
                if table.spelled[at + offset] != text[begin + offset]:
                    same = False
                    break
            if same:
                break
        slot = (slot + 1) & mask
    return slot


@kernel
def _letters(text, begin, end, lower):  # type: ignore[no-untyped-def]
    """Whether the text is this, in lower or upper case."""
    if end - begin != len(lower):
        return False
    for offset in range(len(lower)):  # noqa: SIM110 (compiled)
        if text[begin + offset] | 32 != lower[offset]:
            return False
    return True


_INF = np.frombuffer(b"inf", np.uint8)
_INFINITY = np.frombuffer(b"infinity", np.uint8)


@kernel
def number(text, begin, end):  # type: ignore[no-untyped-def]
    """The number written there; NaN if there is none. Correctly rounded up to 15 digits and 22 places."""
    negative = begin < end and text[begin] == _MINUS
    if begin < end and (text[begin] == _MINUS or text[begin] == _PLUS):
        begin += 1
    if _letters(text, begin, end, _INF) or _letters(text, begin, end, _INFINITY):
        return -np.inf if negative else np.inf
    digits, exponent, seen, point = np.int64(0), 0, False, False
    while begin < end:
        byte = text[begin]
        if _ZERO <= byte <= _NINE:
            seen = True
            if digits < _LARGEST:
                digits = digits * 10 + (byte - _ZERO)
                exponent -= 1 if point else 0
            else:
                exponent += 0 if point else 1
        elif byte == _POINT and not point:
            point = True
        else:
            break
        begin += 1
    if not seen:
        return np.nan
    if begin < end:
        if text[begin] | 32 != 101:  # e
            return np.nan
        begin += 1
        minus = begin < end and text[begin] == _MINUS
        if begin < end and (text[begin] == _MINUS or text[begin] == _PLUS):
            begin += 1
        if begin == end:
            return np.nan
        power = 0
        while begin < end:
            byte = text[begin]
            if byte < _ZERO or byte > _NINE:
                return np.nan
            power = min(power * 10 + (byte - _ZERO), 100000)
            begin += 1
        exponent += -power if minus else power
    value = np.float64(digits)
    if digits:
        while exponent < 0 and value > 0:
            step = min(-exponent, 22)
            value /= _TENS[step]
            exponent += step
        while exponent > 0 and value < np.inf:
            step = min(exponent, 22)
            value *= _TENS[step]
            exponent -= step
    return -value if negative else value


@kernel
def read_ngrams(text, position, end, table, ngrams, log_probs, backoffs, row, last, fields):  # type: ignore[no-untyped-def]
    """Reads whole lines of one section.

    Args:
        text: bytes; ``text[position:end]`` are whole lines.
        table: the words; unigrams are added to it.
        ngrams, log_probs, backoffs: the section's, see `asr.lm.trie.Level`; filled from ``row`` on. Where there is no
            backoff weight it is NaN.
        last: whether it is the section of the longest n-grams.
        fields: int64, shape (order + 2, 2), to work in.

    Returns:
        Where it stopped, the row, how it ended, and begin and end of what is wrong.
    """
    order = ngrams.shape[1]
    while position < end:
        line, count, behind = position, 0, position
        while True:
            while text[behind] == _SPACE or text[behind] == _TAB or text[behind] == _RETURN:
                behind += 1
            if text[behind] == _NEWLINE:
                break
            begin = behind
            # What is above the space is never white space, so most bytes take one comparison.
            while text[behind] > _SPACE or (
                text[behind] != _SPACE and text[behind] != _TAB and text[behind] != _NEWLINE and text[behind] != _RETURN
            ):
                behind += 1
            if count < order + 2:
                fields[count, 0], fields[count, 1] = begin, behind
            count += 1
        # A word may be \data\ or the like; a line of one field is a heading.
        if count == 0 or (count == 1 and text[fields[0, 0]] == _BACKSLASH):
            return line, row, SECTION_END, line, behind
        if count < order + 1:
            return line, row, TOO_FEW_FIELDS, line, behind
        if count > order + 2:
            return line, row, TOO_MANY_FIELDS, line, behind
        if row == len(ngrams):
            return line, row, TOO_MANY_LINES, line, behind
        value = number(text, fields[0, 0], fields[0, 1])
        if np.isnan(value):
            return line, row, NOT_A_NUMBER, fields[0, 0], fields[0, 1]
        if value > 0:
            return line, row, POSITIVE, fields[0, 0], fields[0, 1]
        log_probs[row] = value * LN10
        for place in range(order):
            begin, after = fields[place + 1, 0], fields[place + 1, 1]
            slot = _slot(table, text, begin, after)
            if order == 1:
                if table.slots[slot] >= 0:
                    return line, row, TWICE, begin, after
                table.slots[slot] = row
                at = table.begins[row]
                for offset in range(after - begin):
                    table.spelled[at + offset] = text[begin + offset]
                table.begins[row + 1] = at + after - begin
                ngrams[row, 0] = row
            else:
                if table.slots[slot] < 0:
                    return line, row, NO_SUCH_WORD, begin, after
                ngrams[row, place] = table.slots[slot]
        backoff = np.nan
        if count == order + 2:
            begin, after = fields[order + 1, 0], fields[order + 1, 1]
            backoff = number(text, begin, after)
            if np.isnan(backoff) or backoff == np.inf:
                return line, row, NOT_A_NUMBER, begin, after
            if last and backoff != 0:
                return line, row, BACKOFF_AT_END, begin, after
        backoffs[row] = backoff * LN10
        row += 1
        position = behind + 1
    return position, row, MORE, position, position


@kernel
def _put_digits(text, at, digits, places):  # type: ignore[no-untyped-def]
    """Writes ``digits`` · 10^−places without trailing zeros; gives where it ended."""
    while places > 0 and digits % 10 == 0:
        digits //= 10
        places -= 1
    length = 1
    while length < 18 and digits >= np.int64(_TENS[length]):
        length += 1
    length = max(length, places + 1)
    end = at + length + (1 if places else 0)
    position = end - 1
    for place in range(length):
        if places and place == places:
            text[position] = _POINT
            position -= 1
        text[position] = _ZERO + digits % 10
        digits //= 10
        position -= 1
    return end


@kernel
def put_number(text, at, value):  # type: ignore[no-untyped-def]
    """Writes a natural logarithm (float32) to base 10 with the fewest digits that read back as the same float32.

    Seven to nine digits; at most 30 bytes. Returns where it ended.
    """
    if value == -np.inf:
        text[at] = _MINUS
        for place in range(len(_INF)):
            text[at + 1 + place] = _INF[place]
        return at + 4
    if value == 0:
        text[at] = _ZERO
        return at + 1
    wanted = min(abs(np.float64(value) / LN10), float(_LARGEST))
    if value < 0:
        text[at] = _MINUS
        at += 1
    exponent = int(np.floor(np.log10(wanted)))
    for figures in range(7, 10):
        places = min(max(figures - 1 - exponent, 0), 22)
        scale = _TENS[places]
        digits = np.int64(np.rint(wanted * scale))
        if figures == 9 or np.float32(np.float64(digits) / scale * LN10) == abs(value):
            return _put_digits(text, at, digits, places)
    return at


@kernel
def put_ngrams(text, tables, parents, spelled, begins, begin, end, path):  # type: ignore[no-untyped-def]
    """Writes the lines of the n-grams ``begin`` to ``end - 1``, all of one length; gives where the last one ended.

    Args:
        text: uint8, large enough.
        parents: int32, shape (M,): the node of each n-gram's prefix.
        spelled, begins: see `Words`, in the order of the ids.
        path: int64, shape (order,), to work in.
    """
    at, order = 0, len(path)
    for node in range(begin, end):
        at = put_number(text, at, tables.log_probs[node])
        above = np.int64(node)
        for place in range(order - 1, -1, -1):
            path[place] = tables.words[above]
            above = np.int64(parents[above])
        for place in range(order):
            text[at] = _TAB if place == 0 else _SPACE
            at += 1
            for position in range(begins[path[place]], begins[path[place] + 1]):
                text[at] = spelled[position]
                at += 1
        if node < len(tables.backoffs):
            text[at] = _TAB
            at = put_number(text, at + 1, tables.backoffs[node])
        text[at] = _NEWLINE
        at += 1
    return at

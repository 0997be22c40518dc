"""Model files of n-gram language models: safetensors, mapped into memory as they are, or 8-bit and unpacked.

The layout is that of safetensors: eight bytes give the length of a JSON header, which names each tensor with its type,
shape and place; the tensors follow. Tensors are named as in `asr.lm.ngram.Tables`; ``vocabulary`` holds the
words in UTF-8, one a line. Those of an 8-bit file are named in `asr.lm.quantise.pack`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from asr.compiled import kernel
from asr.errors import AsrError
from asr.files import replacing
from asr.lm import quantise
from asr.lm.ngram import SPECIAL, NgramModel, Tables

_FORMAT = "asr n-gram model"
_DTYPES: dict[str, np.dtype[Any]] = {
    "F32": np.dtype("<f4"),
    "U32": np.dtype("<u4"),
    "I32": np.dtype("<i4"),
    "U8": np.dtype("u1"),
}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}
_TABLES = {"words": "U32", "log_probs": "F32", "backoffs": "F32", "suffixes": "I32", "first": "I32"}
_LARGEST_HEADER = 1 << 20  # [bytes]


def _checksum(tensors: Iterable[np.ndarray]) -> int:
    """The sum of the 64-bit words of each tensor: any single damaged one changes it, and it runs at memory's speed."""
    total = 0
    for tensor in tensors:
        data = tensor.reshape(-1).view(np.uint8)
        whole = len(data) // 8 * 8
        total += int(data[:whole].view("<u8").sum(dtype=np.uint64)) + int(data[whole:].sum())
    return total % (1 << 64)


def _vocabulary_bytes(vocabulary: list[str]) -> np.ndarray:
    return np.frombuffer("\n".join(vocabulary).encode(), np.uint8)


def _header(model: NgramModel, storage: str, tensors: dict[str, np.ndarray]) -> bytes:
    entries: dict[str, object] = {}
    offset = 0
    for name, tensor in tensors.items():
        span = [offset, offset + tensor.nbytes]
        entries[name] = {"dtype": _NAMES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": span}
        offset += tensor.nbytes
    metadata = {"format": _FORMAT, "storage": storage, "unit": model.unit, "order": str(model.order)}
    if model.notes:
        metadata["notes"] = "\n".join(model.notes)
    metadata["checksum"] = f"{_checksum(tensors.values()):016x}"
    header = json.dumps({"__metadata__": metadata, **entries}, ensure_ascii=False).encode()
    return header + b" " * (-len(header) % 8)


def _all_tensors(model: NgramModel, eight_bit: bool) -> dict[str, np.ndarray]:
    """Wide types first, as the layout has no holes and every tensor must lie on a multiple of its item's size."""
    tables = quantise.pack(model.tables) if eight_bit else model.tables._asdict()
    tensors = {name: np.ascontiguousarray(tensor) for name, tensor in tables.items()}
    tensors["vocabulary"] = _vocabulary_bytes(model.vocabulary)
    return dict(sorted(tensors.items(), key=lambda item: -item[1].itemsize))


def write_model(model: NgramModel, path: Path, eight_bit: bool = False) -> None:
    """Writes a model file, whole or not at all.

    Args:
        model: the model.
        path: the file.
        eight_bit: 256 values for the log-probabilities of each length and as many for the backoff weights.

    Raises:
        AsrError: the file could not be written.
    """
    tensors = _all_tensors(model, eight_bit)
    header = _header(model, "8-bit" if eight_bit else "float32", tensors)
    with replacing(path) as temporary, temporary.open("wb") as file:
        file.write(len(header).to_bytes(8, "little"))
        file.write(header)
        for tensor in tensors.values():
            file.write(tensor.data)


def _parse_header(path: Path, data: np.ndarray) -> tuple[dict[str, str], dict[str, Any], int]:
    """The metadata, the entries and where the tensors begin."""
    length = int.from_bytes(data[:8].tobytes(), "little")
    if not 2 <= length <= min(_LARGEST_HEADER, len(data) - 8):
        raise AsrError(f"{path}: not a language model, or cut short within its header; get the file again")
    try:
        entries = json.loads(data[8 : 8 + length].tobytes())
        metadata = entries.pop("__metadata__", {})
    except (ValueError, AttributeError, RecursionError) as error:
        raise AsrError(f"{path}: its header is damaged ({error}); get the file again") from error
    if not isinstance(metadata, dict) or metadata.get("format") != _FORMAT:
        raise AsrError(
            f"{path}: a safetensors file, but not an n-gram language model; needed is what `asr lm train` wrote"
        )
    return metadata, entries, 8 + length


def _tensor(path: Path, data: np.ndarray, name: str, entry: Any) -> np.ndarray:
    """One tensor, a view into ``data``, the bytes behind the header."""
    try:
        dtype: np.dtype[Any] = _DTYPES[entry["dtype"]]
        shape = tuple(entry["shape"])
        begin, end = entry["data_offsets"]
        numbers = (*shape, begin, end)
        sound = all(isinstance(number, int) and number >= 0 for number in numbers) and begin % dtype.itemsize == 0
        size = dtype.itemsize
        for number in shape:
            size *= number
        sound = sound and end - begin == size
    except (KeyError, TypeError, ValueError) as error:
        raise AsrError(f"{path}: its header is damaged at {name!r}; get the file again") from error
    if not sound:
        raise AsrError(f"{path}: its header is damaged at {name!r}; get the file again")
    if end > len(data):
        raise AsrError(f"{path}: cut short: {name!r} ends at byte {end}, there are {len(data)}; get the file again")
    return data[begin:end].view(dtype).reshape(shape)


def read_model(path: Path) -> NgramModel:
    """Maps a model file into memory; one of 8 bits is unpacked, and its suffix links are found again.

    Pages are read from the disk when they are needed; changing the arrays does not change the file.

    Raises:
        AsrError: missing, not a model file, cut short, or damaged.
    """
    try:
        mapped = np.memmap(path, np.uint8, "c") if path.stat().st_size else np.zeros(0, np.uint8)
    except OSError as error:
        raise AsrError(f"{path}: could not be read ({error.strerror or error})") from error
    contents = np.asarray(mapped)  # compiled code has one signature: it must not see a subclass
    metadata, entries, begin = _parse_header(path, contents)
    data = contents[begin:]
    tensors = {name: _tensor(path, data, name, entry) for name, entry in entries.items()}
    try:
        order, checksum = int(metadata["order"]), int(metadata["checksum"], 16)
        found = _checksum(tensors.values())
        unit, storage, notes = metadata["unit"], metadata["storage"], metadata.get("notes", "")
        vocabulary = tensors.pop("vocabulary").tobytes().decode().split("\n")
    except (KeyError, ValueError, AttributeError) as error:
        raise AsrError(f"{path}: damaged: its metadata or vocabulary cannot be read; get the file again") from error
    if found != checksum:
        raise AsrError(
            f"{path}: damaged: the checksum of its tables is not the one they were written with; get it again"
        )
    try:
        tables = quantise.unpack(tensors) if storage == "8-bit" else _mapped_tables(tensors)
        _check(tables, order, vocabulary)
    except ValueError as error:
        raise AsrError(f"{path}: damaged: {error}; get the file again") from error
    return NgramModel(unit, order, vocabulary, tables, tuple(notes.split("\n")) if notes else ())


def _mapped_tables(tensors: dict[str, np.ndarray]) -> Tables:
    for name, dtype in _TABLES.items():
        if name not in tensors or tensors[name].dtype != _DTYPES[dtype] or tensors[name].ndim != 1:
            raise ValueError(f"there must be a table {name!r} of type {dtype} in one dimension")
    return Tables(**{name: tensors[name] for name in _TABLES})


@kernel
def _sound(words, suffixes, first, vocabulary):  # type: ignore[no-untyped-def]
    """Whether no walk over the trie can leave the arrays or go on for ever."""
    inner = len(first) - 1
    for node in range(inner):
        if first[node] > first[node + 1] or first[node] <= node:
            return False
    if first[0] != 1 or first[1] != 1 + vocabulary or first[inner] != len(words):
        return False
    for node in range(1, len(words)):
        if words[node] >= vocabulary or suffixes[node] < 0 or suffixes[node] >= min(node, inner):
            return False
    for word in range(vocabulary):  # noqa: SIM110 (compiled)
        if words[1 + word] != word:
            return False
    return True


def _check(tables: Tables, order: int, vocabulary: list[str]) -> None:
    """Refuses what compiled code would stumble over.

    Raises:
        ValueError: says what is wrong.
    """
    nodes, inner = len(tables.words), len(tables.backoffs)
    if tuple(vocabulary[:3]) != SPECIAL:
        raise ValueError(f"the vocabulary must begin with {', '.join(SPECIAL)}")
    if len(tables.log_probs) != nodes or len(tables.suffixes) != nodes or len(tables.first) != inner + 1 or inner < 1:
        raise ValueError("its tables do not fit each other in length")
    if order < 1 or not _sound(tables.words, tables.suffixes, tables.first, len(vocabulary)):
        raise ValueError("its tables hold nodes or words that do not exist")

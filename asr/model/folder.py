"""A trained model as a folder: config.yaml, the tokens, the weights, and the sums that vouch for all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asr.config import Config, parse_config
from asr.errors import AsrError
from asr.files import read_text, replacing, sha256, write_text
from asr.tokens import LEXICON, Tokenizer, load_tokenizer
from asr.yaml_files import read_yaml, to_yaml

if TYPE_CHECKING:
    from torch import Tensor, nn

WEIGHTS = "model.safetensors"
EXPORTED = ("model.onnx", "model.int8.onnx")  # whole networks, which need no PyTorch
G2P = "g2p"  # a folder in theirs: what pronounces hotwords
STREAM = "stream.onnx"  # beside one of them, for streams; its weights are in the other


def save_folder(
    folder: Path,
    module: nn.Module,
    tokenizer: Tokenizer,
    fields: dict[str, Any],
    more: Mapping[str, str] | None = None,
) -> None:
    """Writes a model folder; SHA256SUMS comes last, so a folder without it was not finished.

    Args:
        folder: made if it is not there.
        module: whose weights are kept.
        tokenizer: what it writes.
        fields: of ``config.yaml``.
        more: further texts by file name.

    Raises:
        AsrError: it could not be written.
    """
    save_files(folder, {WEIGHTS: _serialised(module)}, tokenizer, fields, more)


def save_files(
    folder: Path,
    binaries: Mapping[str, bytes],
    tokenizer: Tokenizer,
    fields: dict[str, Any],
    more: Mapping[str, str] | None = None,
) -> None:
    """As `save_folder`, with the weights as files that are made already, by name."""
    sums = folder / "SHA256SUMS"
    sums.unlink(missing_ok=True)
    for name, content in binaries.items():
        with replacing(folder / name) as temporary:
            temporary.write_bytes(content)
    tokenizer.save(folder)
    texts = {"config.yaml": to_yaml(fields), **(more or {})}
    for name, text in texts.items():
        write_text(folder / name, text)
    names = sorted([*binaries, *texts, *tokenizer.files])
    write_text(sums, "".join(f"{sha256(folder / name)}  {name}\n" for name in names))


def save_weights(module: nn.Module, path: Path) -> None:
    """Writes a module's weights as a safetensors file.

    Raises:
        AsrError: it could not be written.
    """
    weights = _serialised(module)
    with replacing(path) as temporary:
        temporary.write_bytes(weights)


def _serialised(module: nn.Module) -> bytes:
    from safetensors.torch import save

    return save({name: tensor.cpu().contiguous() for name, tensor in module.state_dict().items()})


def check_sums(folder: Path, weights: Sequence[str] = (WEIGHTS,)) -> str:
    """Holds every file of a model folder against its sum and returns the sum of the sums.

    Args:
        folder: a model's.
        weights: names of files one of which must be there: what is to be loaded.

    Raises:
        AsrError: a file is missing, altered or has no sum; names it.
    """
    sums = folder / "SHA256SUMS"
    if not folder.is_dir():
        what = "is a file, not a model folder" if folder.is_file() else "there is no such model folder"
        raise AsrError(f"{folder}: {what}")
    if not sums.exists():
        raise AsrError(f"{folder}: not a finished model folder, its SHA256SUMS is missing")
    listed = set()
    for number, line in enumerate(read_text(sums).splitlines(), start=1):
        digest, _, name = line.partition("  ")
        listed.add(name)
        if not name or Path(name).name != name:
            raise AsrError(f"{sums}:{number}: must be a SHA-256 sum, two spaces and a file name")
        file = folder / name
        if not file.is_file():
            raise AsrError(f"{file}: is missing from the model folder")
        if sha256(file) != digest:
            raise AsrError(f"{file}: was altered since the model was saved (its SHA-256 differs from SHA256SUMS)")
    if not listed.intersection(weights) and (there := listed.intersection((WEIGHTS, *EXPORTED))):
        raise AsrError(f"{folder}: holds {', '.join(sorted(there))}, but {' or '.join(weights)} is needed here")
    unlisted = ["config.yaml"] if "config.yaml" not in listed else []
    if not listed.intersection(weights):
        unlisted.append(" or ".join(weights))
    if not listed & {"tokens.txt", "tokens.model"}:
        unlisted.append("tokens.txt or tokens.model")
    if unlisted:
        raise AsrError(f"{sums}: holds no sum of {', '.join(unlisted)}, so nobody knows whether it was altered")
    return sha256(sums)


@dataclass(frozen=True)
class Opened:
    """What a recogniser's folder holds besides its weights.

    Attributes:
        config: of the model.
        weights: their file, which was checked, too.
        tokenizer: its tokens.
        trained: how it was trained: ``train_minutes``, ``train_audio_hours``, …
        sha256: of the folder's SHA256SUMS, which stands for every byte of the model.
        listed: names of the files that it holds sums of.
    """

    config: Config
    weights: Path
    tokenizer: Tokenizer
    trained: dict[str, Any]
    sha256: str
    listed: frozenset[str]


def open_folder(folder: Path, weights: Sequence[str] = (WEIGHTS,)) -> Opened:
    """Reads a recogniser's folder but for its weights, after checking every file; arguments and errors as `check_sums`.

    Raises:
        AsrError: as well, where a file is malformed or does not fit the others.
    """
    digest = check_sums(folder, weights)
    fields = read_yaml(folder / "config.yaml")
    trained = fields.pop("trained", {})
    config = parse_config(fields, str(folder / "config.yaml"))
    sums = folder / "SHA256SUMS"
    listed = frozenset(line.partition("  ")[2] for line in read_text(sums).splitlines())
    if config.tokens.kind == "phone" and LEXICON not in listed:
        raise AsrError(f"{sums}: holds no sum of {LEXICON}, which a model of phones needs")
    path = folder / next(name for name in weights if name in listed)
    return Opened(config, path, load_tokenizer(folder, config.tokens.kind), trained, digest, listed)


def _misfits(module: nn.Module, weights: dict[str, Tensor]) -> list[str]:
    """What weights lack, have too much, or have in another shape than a module."""
    needed = {name: list(tensor.shape) for name, tensor in module.state_dict().items()}
    there = {name: list(tensor.shape) for name, tensor in weights.items()}
    return [
        *(
            f"{name} is {there[name]}, not {needed[name]}"
            for name in needed
            if there.get(name, needed[name]) != needed[name]
        ),
        *(f"{name} is missing" for name in needed if name not in there),
        *(f"{name} is not wanted" for name in there if name not in needed),
    ]


def load_weights(module: nn.Module, path: Path) -> None:
    """Fills a module with the weights of a safetensors file.

    Raises:
        AsrError: the file cannot be read, does not fit the module, or holds values that are not finite.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        weights = load(path.read_bytes())
    except OSError as error:
        raise AsrError(f"{path}: could not be read ({error.strerror})") from error
    except SafetensorError as error:
        raise AsrError(f"{path}: not a safetensors file ({error})") from error
    if misfits := _misfits(module, weights):
        more = f", and {len(misfits) - 3} more do not fit" if len(misfits) > 3 else ""
        raise AsrError(
            f"{path}: does not fit config.yaml and the tokens beside it, it is another model's: "
            f"{', '.join(misfits[:3])}{more}"
        )
    module.load_state_dict(weights)
    for name, tensor in module.state_dict().items():
        if not tensor.isfinite().all():
            raise AsrError(f"{path}: {name} holds values that are not finite; train it again")

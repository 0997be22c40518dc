"""A trained model as a folder: config.yaml, the tokens, model.safetensors, and the sums that vouch for all of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from asr.errors import AsrError
from asr.files import read_text, replacing, sha256, write_text
from asr.tokens import Tokenizer
from asr.yaml_files import to_yaml


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
    sums = folder / "SHA256SUMS"
    sums.unlink(missing_ok=True)
    save_weights(module, folder / "model.safetensors")
    tokenizer.save(folder)
    texts = {"config.yaml": to_yaml(fields), **(more or {})}
    for name, text in texts.items():
        write_text(folder / name, text)
    names = sorted(["model.safetensors", *texts, *tokenizer.files])
    write_text(sums, "".join(f"{sha256(folder / name)}  {name}\n" for name in names))


def save_weights(module: nn.Module, path: Path) -> None:
    """Writes a module's weights as a safetensors file.

    Raises:
        AsrError: it could not be written.
    """
    weights = save({name: tensor.cpu().contiguous() for name, tensor in module.state_dict().items()})
    with replacing(path) as temporary:
        temporary.write_bytes(weights)


def check_sums(folder: Path) -> str:
    """Holds every file of a model folder against its sum and returns the sum of the sums."""
    sums = folder / "SHA256SUMS"
    if not folder.is_dir():
        raise AsrError(f"{folder}: there is no such model folder")
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
    unlisted = sorted({"config.yaml", "model.safetensors"} - listed)
    if not listed & {"tokens.txt", "tokens.model"}:
        unlisted.append("tokens.txt or tokens.model")
    if unlisted:
        raise AsrError(f"{sums}: holds no sum of {', '.join(unlisted)}, so nobody knows whether it was altered")
    return sha256(sums)


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

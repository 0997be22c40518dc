"""``asr export``'s work: the folder of an exported model."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import torch

from asr.decode.settings import FILE, find_files, read_tuned, write_tuned
from asr.errors import AsrError, UsageError
from asr.export.chunk import refer, to_onnx_stream
from asr.export.g2p import export_g2p
from asr.export.model import to_onnx
from asr.files import make_folder, read_text, replacing
from asr.model.acoustic import Recogniser, load_model
from asr.model.folder import EXPORTED, G2P, STREAM, WEIGHTS, save_files
from asr.phones.g2p import load_g2p
from asr.phones.onnx_g2p import NETWORK
from asr.transcribe.onnx_backend import OnnxBackend

_TOLERANCE = 1e-3  # of log-probs in float32


def export(model: Path, out: Path, int8: bool, g2p: Path | None = None) -> tuple[Path, float]:
    """Writes a trained model as one that needs no PyTorch, and compares both on noise.

    Args:
        model: folder of the trained model.
        out: folder of the exported one; not the same.
        int8: whether its weights are to have eight bits.
        g2p: folder of a grapheme-to-phoneme model that is to come along, for hotwords that the lexicon lacks.

    Returns:
        The file of the network, and the greatest difference of a log-prob.

    Raises:
        AsrError: it cannot be exported, read or written, or the exported one says something else.
        UsageError: ``out`` holds a trained model, or its ``g2p`` something that this did not write; or the
            grapheme-to-phoneme model writes what the model lacks.
    """
    if (out / WEIGHTS).exists():
        raise UsageError(f"{out}: holds a trained model, and an exported one needs a folder of its own; name another")
    _check_place(out / G2P)
    recogniser = load_model(model)
    if g2p is not None and (foreign := set(load_g2p(g2p).phones.symbols[1:]) - set(recogniser.tokenizer.symbols)):
        raise UsageError(f"{g2p}: writes phones that {model} lacks, such as {', '.join(sorted(foreign)[:5])}")
    content = to_onnx(recogniser.model, int8).SerializeToString()
    name = EXPORTED[int8]
    graphs = {name: content}
    if recogniser.model.config.whole_only is None:
        stream = to_onnx_stream(recogniser.model, int8)
        refer(stream, name, content)
        graphs[STREAM] = stream.SerializeToString()
    card = read_text(model / "MODEL_CARD.md") if (model / "MODEL_CARD.md").exists() else ""
    fields = {**recogniser.model.config.model_dump(), "trained": recogniser.trained}
    make_folder(out)
    for other in {*EXPORTED, STREAM} - set(graphs):
        (out / other).unlink(missing_ok=True)
    if (out / G2P).is_dir():
        shutil.rmtree(out / G2P)
    if g2p is not None:
        export_g2p(g2p, out / G2P, int8)
    cards = {"MODEL_CARD.md": f"{card}\n{_line(recogniser, name, int8)}"}
    save_files(out, graphs, recogniser.tokenizer, fields, cards)
    backend = OnnxBackend(out, 1)
    difference = _difference(recogniser, backend)
    if not int8 and not difference <= _TOLERANCE:
        (out / "SHA256SUMS").unlink()
        raise AsrError(
            f"{out / name}: its log-probs differ by {difference:.2g} from the trained model's, which should not be; "
            "please report it"
        )
    _bring_search(model, recogniser.sha256, out, backend.sha256)
    return out / name, difference


def _check_place(folder: Path) -> None:
    """Refuses to replace what is no exported grapheme-to-phoneme model: ``exp/g2p`` may be one in training."""
    own = {NETWORK, "config.yaml", "tokens.txt", "SHA256SUMS"}
    if folder.is_symlink() or (
        folder.exists() and not (folder.is_dir() and own.issuperset(path.name for path in folder.iterdir()))
    ):
        raise UsageError(f"{folder}: holds something else, and an exported model needs that place; name another --out")


def _bring_search(model: Path, model_sha256: str, out: Path, exported_sha256: str) -> None:
    """Brings the search by CTC alone that was tuned last, with its language model and lexicon, if they are there.

    An LSTM language model needs PyTorch, so a search that rescores with one stays behind.
    """
    (out / FILE).unlink(missing_ok=True)
    own = {line.partition("  ")[2] for line in read_text(out / "SHA256SUMS").splitlines()}
    for tuned in reversed(read_tuned(model, model_sha256)):
        search = tuned.search
        if search.rescore is not None or search.ctc_weight not in (None, 1):
            continue
        found = find_files(search, model)
        if found is None:
            continue
        kept = {}
        for name in ("lm", "lexicon"):
            file = getattr(found, name)
            if file is not None:
                kept[name] = Path(file).name
                if kept[name] in own:
                    kept[name] = f"search-{kept[name]}"
                with replacing(out / kept[name]) as temporary:
                    shutil.copyfile(file, temporary)
        brought = tuned.search.changed(**kept)
        write_tuned(out, tuned.model_copy(update={"search": brought, "model_sha256": exported_sha256}))
        return


def _line(recogniser: Recogniser, name: str, int8: bool) -> str:
    """What the card says of the export."""
    kind = "with weights of eight bits" if int8 else "in float32"
    left = "; its attention decoder was left out, so it recognises by CTC alone" if recogniser.model.decoder else ""
    origin = f"from the trained model whose SHA256SUMS has the sum {recogniser.sha256}"
    return f"Exported to `{name}`, {kind}, {origin}{left}.\n"


def _difference(recogniser: Recogniser, backend: OnnxBackend) -> float:
    """The greatest one between log-probs of both, for a second and half a second of noise in one batch."""
    rate, random = backend.rate, np.random.default_rng(0)
    waveforms = [(0.1 * random.standard_normal(samples)).astype(np.float32) for samples in (rate, rate // 2)]
    said = recogniser.model.log_probs([torch.from_numpy(one) for one in waveforms])
    heard = backend.log_probs(waveforms)
    return max(float(np.abs(one.numpy() - other).max()) for one, other in zip(said, heard, strict=True))

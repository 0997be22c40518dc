"""An LSTM language model (Mikolov et al. 2010; Zaremba et al. 2014), or of any other cell, and its folder on disk.

Every sentence is read on its own, from a state of zeros. The folder holds ``config.yaml`` (the config and how the model
was trained), ``tokens.txt`` or ``tokens.model``, ``model.safetensors`` and ``SHA256SUMS``; nothing is unpickled.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from asr.errors import AsrError, UsageError
from asr.flat_config import parse_flat
from asr.lm.units import EDGE, Units
from asr.model.config import Cell, EncoderConfig
from asr.model.folder import check_sums, load_weights, save_folder
from asr.model.recurrent import UnidirectionalStack
from asr.strict import Strict
from asr.tokens import load_tokenizer
from asr.yaml_files import read_yaml

_ADAPTIVE_FROM = 8000  # units, from which on the full softmax costs more than everything else
_BATCH_UNITS = 4096
_SOFTMAX_ROWS = 2048


class RecurrentConfig(Strict):
    """Everything that makes a recurrent language model what it is, apart from the text."""

    seed: int = Field(1, ge=0, lt=2**31)
    unit: Literal["piece", "word", "char", "token"] = Field("piece", description="token: those of an acoustic model")
    vocabulary: int = Field(4000, ge=4, description="pieces, or most words")
    cell: Cell = Field("lstm", description="as in encoder.cell; a projected one's recurrence is half as wide as H")
    layers: int = Field(1, ge=1)
    hidden: int = Field(512, ge=1, description="H, units of a layer")
    embedding: int = Field(256, ge=16, description="E, width of the embedding, and of the last layer's projection")
    dropout: float = Field(0.1, ge=0, lt=1, description="behind the embedding and each layer")
    softmax: Literal["auto", "full", "adaptive"] = Field("auto", description="auto: adaptive from 8,000 units on")
    minutes: float = Field(40.0, ge=0, description="time for training; 0: no limit")
    epochs: int = Field(20, ge=1, description="at most so many passes over the text")
    batch_units: int = Field(2048, ge=1, description="units of a step")
    longest: int = Field(256, ge=2, description="units; a longer sentence is cut for training")
    learning_rate: float = Field(3e-3, gt=0, description="after the warm-up; half a cosine leads down from it")
    warmup_steps: int = Field(200, ge=0)
    weight_decay: float = Field(1e-2, ge=0)
    clip: float = Field(1.0, gt=0, description="largest norm of a step's gradient")
    judge_steps: int = Field(500, ge=1, description="steps between two looks at the dev text")
    patience: int = Field(4, ge=0, description="stop after so many looks without a better dev perplexity; 0: never")
    precision: Literal["auto", "float32", "bfloat16"] = Field("auto", description="auto: bfloat16 where it is faster")


class RecurrentModel(nn.Module):
    """Embedding, recurrent layers, and a softmax: full and tied to the embedding, or adaptive.

    The full softmax shares its weights with the embedding (Press and Wolf 2017). The adaptive one (Grave et al. 2017)
    gives rare units, those of high id, fewer dimensions, and looks at them only where they occur.
    """

    def __init__(self, config: RecurrentConfig, vocabulary: int) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(vocabulary, config.embedding)
        width = EncoderConfig(cell=config.cell, hidden=config.hidden).direction_width
        self.stack = UnidirectionalStack(
            config.cell, config.embedding, config.hidden, config.layers, config.dropout, width
        )
        self.projection = nn.Linear(width, config.embedding)
        self.dropout = nn.Dropout(config.dropout)
        self.adaptive: nn.AdaptiveLogSoftmaxWithLoss | None = None
        if config.softmax == "adaptive" or (config.softmax == "auto" and vocabulary >= _ADAPTIVE_FROM):
            if vocabulary < 10:
                raise UsageError(f"softmax=adaptive needs at least 10 units, there are {vocabulary}; give softmax=full")
            cutoffs = [vocabulary // 10, 2 * vocabulary // 5]
            self.adaptive = nn.AdaptiveLogSoftmaxWithLoss(config.embedding, vocabulary, cutoffs, head_bias=True)
        else:
            self.bias = nn.Parameter(torch.zeros(vocabulary))
        # Logits of about unit size at the start, for the embedding is the softmax's matrix too.
        nn.init.normal_(self.embedding.weight, std=config.embedding**-0.5)

    def forward(self, inputs: Tensor) -> Tensor:
        """What the softmax reads behind each unit. Shape (N, S) → (N, S, E)."""
        # The embedding's rows are small; the layers want inputs of about unit variance.
        x = self.dropout(self.embedding(inputs) * self.config.embedding**0.5)  # (N, S, E)
        return self.projection(self.stack(x))  # (N, S, E)

    def target_log_probs(self, rows: Tensor, targets: Tensor) -> Tensor:
        """ln P of each target, float32 also under autocast. Shapes (M, E), (M,) → (M,)."""
        if self.adaptive is not None:
            return _adaptive_log_probs(self.adaptive, rows, targets)
        logits = nn.functional.linear(rows, self.embedding.weight, self.bias).float()  # (M, V)
        return -nn.functional.cross_entropy(logits, targets, reduction="none")

    @property
    def parameters_count(self) -> int:
        """Learned numbers."""
        return sum(parameter.numel() for parameter in self.parameters())


def _adaptive_log_probs(softmax: nn.AdaptiveLogSoftmaxWithLoss, rows: Tensor, targets: Tensor) -> Tensor:
    """The module's own forward, but every logarithm in float32. Shapes (M, E), (M,) → (M,)."""
    head = softmax.head(rows).float().log_softmax(dim=1)  # (M, short list + clusters)
    result = head.gather(1, targets.clamp(max=softmax.shortlist_size - 1)[:, None])[:, 0]
    bounds = softmax.cutoffs
    for number, tail in enumerate(softmax.tail):
        inside = ((targets >= bounds[number]) & (targets < bounds[number + 1])).nonzero()[:, 0]
        logits = tail(rows[inside]).float()  # (M', units of the cluster)
        within = -nn.functional.cross_entropy(logits, targets[inside] - bounds[number], reduction="none")
        result = result.index_copy(0, inside, head[inside, softmax.shortlist_size + number] + within)
    return result


def pad(sequences: Sequence[np.ndarray]) -> tuple[Tensor, Tensor, Tensor]:
    """Sentences, each with both its edges, as a batch: inputs (N, S), targets (N, S) and which of them count (N, S)."""
    lengths = np.array([len(one) - 1 for one in sequences])
    ids = np.full((len(sequences), lengths.max() + 1), EDGE, dtype=np.int64)
    for row, one in zip(ids, sequences, strict=True):
        row[: len(one)] = one
    valid = np.arange(lengths.max()) < lengths[:, None]
    return torch.from_numpy(ids[:, :-1]), torch.from_numpy(ids[:, 1:]), torch.from_numpy(valid)


@dataclass(frozen=True)
class Perplexity:
    """How well a model predicts a text, over every word and the end of every sentence.

    Attributes:
        sentences: how many.
        words: how many, the ends of sentences not counted.
        unknown: how many of the words are ``<unk>`` to the model, and were scored so.
        log_prob: ln P of it all.
    """

    sentences: int
    words: int
    unknown: int
    log_prob: float

    @property
    def per_word(self) -> float:
        """exp(−ln P / (words + sentences)), whatever units the model predicts."""
        return math.exp(-self.log_prob / max(self.words + self.sentences, 1))


@dataclass(frozen=True)
class RecurrentLm:
    """A trained model as it lies in a folder.

    Attributes:
        model: in evaluation mode.
        units: what it predicts.
        trained: how it was trained.
        sha256: of the folder's SHA256SUMS, which stands for every byte of it.
    """

    model: RecurrentModel
    units: Units
    trained: dict[str, Any]
    sha256: str

    def score(self, sentences: Sequence[Sequence[str]], unknown: float = 0.0) -> np.ndarray:
        """ln P of each sentence, its end included, in float32 and whatever it is batched with.

        Args:
            sentences: the words of each.
            unknown: added for every word that is ``<unk>`` to the model [nats]. All such words share one probability;
                without a penalty it is far too much for any one of them.

        Returns:
            float64, shape (sentences,).

        Raises:
            AsrError: a word cannot be written in the model's units.
        """
        ids = [np.array([EDGE, *self.units.encode(words), EDGE]) for words in sentences]
        scores = score_ids(self.model, ids)
        return scores + unknown * np.array([self.units.count_unknown(words) for words in sentences])

    def perplexity(self, lines: Iterable[str]) -> Perplexity:
        """Of a text, one sentence a line; empty lines are passed over.

        Raises:
            AsrError: a word cannot be written in the model's units.
        """
        sentences = [words for words in map(str.split, lines) if words]
        return Perplexity(
            len(sentences),
            sum(map(len, sentences)),
            sum(map(self.units.count_unknown, sentences)),
            float(self.score(sentences).sum()),
        )


@torch.inference_mode()
def score_ids(model: RecurrentModel, sequences: Sequence[np.ndarray]) -> np.ndarray:
    """ln P of each sequence of ids behind its first: float64, shape (sequences,). The model is left as it is."""
    scores = np.zeros(len(sequences))
    device = model.embedding.weight.device
    for batch in _by_length(sequences):
        inputs, targets, valid = (one.to(device) for one in pad([sequences[index] for index in batch]))
        rows, wanted = model(inputs)[valid], targets[valid]  # (M, E), (M,)
        pairs = zip(rows.split(_SOFTMAX_ROWS), wanted.split(_SOFTMAX_ROWS), strict=True)
        found = torch.cat([model.target_log_probs(*pair) for pair in pairs]).double()  # (M,)
        owners = valid.nonzero()[:, 0]  # (M,)
        totals = torch.zeros(len(batch), dtype=torch.float64, device=device).index_add_(0, owners, found)
        scores[batch] = totals.cpu().numpy()
    return scores


def _by_length(sequences: Sequence[np.ndarray]) -> Iterator[list[int]]:
    """Indices in batches of similar length, at most `_BATCH_UNITS` units each, or a single sequence."""
    batch: list[int] = []
    for index in sorted(range(len(sequences)), key=lambda index: len(sequences[index])):
        if batch and len(sequences[index]) * (len(batch) + 1) > _BATCH_UNITS:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def save_recurrent(folder: Path, model: RecurrentModel, units: Units, trained: dict[str, Any]) -> None:
    """Writes a model folder; SHA256SUMS comes last, so a folder without it was not finished.

    Raises:
        AsrError: it could not be written.
    """
    fields = {"recurrent": model.config.model_dump(), "tokens": units.tokenizer.kind, "trained": trained}
    save_folder(folder, model, units.tokenizer, fields)


def load_recurrent(folder: Path) -> RecurrentLm:
    """Loads a model folder, after checking every file against its checksum.

    Raises:
        AsrError: a file is missing, altered, does not fit the others, or the folder holds another kind of model.
    """
    digest = check_sums(folder)
    path = folder / "config.yaml"
    fields = read_yaml(path)
    if set(fields) != {"recurrent", "tokens", "trained"} or not isinstance(fields["recurrent"], dict):
        raise AsrError(f"{path}: not the config of a recurrent language model (asr lm train-lstm makes one)")
    config = parse_flat(RecurrentConfig, fields["recurrent"], str(path))
    units = Units(load_tokenizer(folder, fields["tokens"]))
    model = RecurrentModel(config, len(units))
    load_weights(model, folder / "model.safetensors")
    return RecurrentLm(model.eval(), units, fields["trained"], digest)

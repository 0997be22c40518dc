"""An LSTM that writes a transcript token by token while it looks at the encoder's frames, beside CTC.

The speller of Chan et al. 2016 ("Listen, attend and spell", eq. 6–8) with the location-aware attention of Chorowski et
al. 2015 ("Attention-based models for speech recognition", eq. 8–9): where the LSTM looks next is told by its state, by
what the frames hold and by where it looked last. Trained together with CTC over the same encoder (Watanabe et al. 2017,
"Hybrid CTC/attention architecture for end-to-end speech recognition"; the loss is put together in
`asr.train.objective`).

Its tokens are those of CTC. The blank, which no transcript holds, stands for a transcript's edge: it is read before the
first token and predicted behind the last. Everything is computed in float32, under autocast too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from asr.model.cells import make_direction
from asr.model.config import DecoderConfig
from asr.model.padding import mask_padding
from asr.tokens import BLANK

EDGE = BLANK
_FILTERS, _SEEN = 10, 31  # of the convolution over where it looked last: how many, and frames that each sees
_IGNORED = -100  # cross_entropy's own mark


class Memory(NamedTuple):
    """What is looked at, of N utterances, or of one whose hypotheses are all told apart by their `State` alone.

    Attributes:
        keys: what a state is compared with, shape (N, S, A).
        values: what is seen where it looks, shape (N, S, A).
        behind: bool, shape (N, S): what lies behind each utterance's end.
    """

    keys: Tensor
    values: Tensor
    behind: Tensor


class State(NamedTuple):
    """What is known after the last token that was read, of N transcripts.

    Attributes:
        hidden, memory: of the LSTM, shape (N, H) each.
        context: what was seen, shape (N, A).
        weights: how much each frame was looked at, shape (N, S).
    """

    hidden: Tensor
    memory: Tensor
    context: Tensor
    weights: Tensor

    def select(self, rows: Tensor) -> State:
        """The states of some transcripts, int64 of shape (M,); one may be named several times."""
        return State(*(one.index_select(0, rows) for one in self))


class AttentionDecoder(nn.Module):
    """Embedding, an LSTM that looks at frames, and a softmax over tokens and the transcript's end.

    Args:
        config: its sizes.
        encoded: C, what the encoder says of a frame.
        vocabulary: V, of CTC, whose blank's place the transcript's edge takes.
    """

    def __init__(self, config: DecoderConfig, encoded: int, vocabulary: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, config.embedding)
        self.lstm = make_direction("lstm", config.embedding + config.attention, config.hidden, config.hidden)
        # Chan et al. see the frames themselves. Narrower values leave a step on a CPU a third less to do, most of it
        # gradients of all frames and of the LSTM's weights.
        self.keys = nn.Linear(encoded, config.attention)
        self.values = nn.Linear(encoded, config.attention)
        self.query = nn.Linear(config.hidden, config.attention, bias=False)
        self.filters = nn.Conv1d(1, _FILTERS, _SEEN, padding=_SEEN // 2, bias=False)
        self.places = nn.Linear(_FILTERS, config.attention, bias=False)
        self.energy = nn.Linear(config.attention, 1, bias=False)
        self.output = nn.Linear(config.hidden + config.attention, vocabulary)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, encoded: Tensor, lengths: Tensor, labels: Sequence[Sequence[int]]) -> Tensor:
        """How likely transcripts are, each token given the true ones before it (teacher forcing).

        Args:
            encoded: shape (N, S, C).
            lengths: shape (N,), frames of each utterance, at least 1.
            labels: N transcripts as token ids.

        Returns:
            ln P of each transcript and of its end, float32, shape (N,).
        """
        given, wanted = _padded(labels, encoded.device)  # (N, U + 1) each
        with torch.autocast(encoded.device.type, enabled=False):
            memory = self.listen(encoded, lengths)
            inputs = self.dropout(self.embedding(given))  # (N, U + 1, E)
            state = self.start(memory, len(labels))
            read = []
            for row in inputs.unbind(1):
                state = self._look(memory, state, row)
                read.append(torch.cat([state.hidden, state.context], dim=1))
            logits = self.output(self.dropout(torch.stack(read, dim=1)))  # (N, U + 1, V)
            losses = nn.functional.cross_entropy(
                logits.transpose(1, 2), wanted, ignore_index=_IGNORED, reduction="none"
            )  # (N, U + 1)
        return -losses.sum(dim=1)

    def listen(self, encoded: Tensor, lengths: Tensor) -> Memory:
        """What is to be looked at; ``encoded`` of shape (N, S, C), ``lengths`` of shape (N,)."""
        encoded = mask_padding(encoded.float(), lengths)
        behind = torch.arange(encoded.shape[1], device=encoded.device) >= lengths[:, None]  # (N, S)
        return Memory(self.keys(encoded), self.values(encoded), behind)

    def start(self, memory: Memory, number: int) -> State:
        """Before the first token of so many transcripts nothing is known, and nothing was looked at."""
        new, (_, frames, width) = memory.values.new_zeros, memory.values.shape
        hidden = self.query.in_features
        return State(new(number, hidden), new(number, hidden), new(number, width), new(number, frames))

    def step(self, memory: Memory, state: State, tokens: Tensor) -> tuple[Tensor, State]:
        """Reads one more token of each transcript; `EDGE` comes first.

        Args:
            memory: of as many utterances as there are transcripts, or of the one that all are of.
            state: before it.
            tokens: int64, shape (N,).

        Returns:
            ln P of what comes next, shape (N, V), where `EDGE` is the transcript's end; and the state behind.
        """
        state = self._look(memory, state, self.dropout(self.embedding(tokens)))
        read = self.dropout(torch.cat([state.hidden, state.context], dim=1))  # (N, H + A)
        return self.output(read).log_softmax(dim=1), state

    def _look(self, memory: Memory, state: State, inputs: Tensor) -> State:
        """Reads embeddings, shape (N, E), and looks at the frames."""
        joined = torch.cat([inputs, state.context], dim=1)  # (N, E + A)
        weights = list(self.lstm.parameters())  # in the order that lstm_cell takes them
        hidden, cell = torch.lstm_cell(joined, (state.hidden, state.memory), *weights)  # (N, H) each
        places = self.places(self.filters(state.weights[:, None]).transpose(1, 2))  # (N, S, A)
        compared = torch.tanh(memory.keys + self.query(hidden)[:, None] + places)  # (N, S, A)
        energies = self.energy(compared)[..., 0].masked_fill(memory.behind, -torch.inf)  # (N, S)
        looked = energies.softmax(dim=1)
        one = len(memory.values) == 1  # for all: a product of matrices, which copies nothing for each hypothesis
        context = looked @ memory.values[0] if one else (looked[:, None] @ memory.values)[:, 0]  # (N, A)
        return State(hidden, cell, context, looked)


def _padded(labels: Sequence[Sequence[int]], device: torch.device) -> tuple[Tensor, Tensor]:
    """What is read and what is to be predicted, shape (N, U + 1) each."""
    longest = max(map(len, labels)) + 1
    given = [[EDGE, *one] + [EDGE] * (longest - 1 - len(one)) for one in labels]
    wanted = [[*one, EDGE] + [_IGNORED] * (longest - 1 - len(one)) for one in labels]
    return torch.tensor(given, device=device), torch.tensor(wanted, device=device)

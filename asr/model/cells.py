"""One direction of one layer: PyTorch's own cells, and the LSTMs that it has no fast kernel for.

`lstm` runs on oneDNN's fused kernel on a CPU; oneDNN takes neither `nn.GRU` nor `nn.RNN`, whose own loops PyTorch has,
nor an `nn.LSTM` with a projection, whose loop is slower than `asr.model.scan`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from asr.model.scan import Recurrence, normalise, scan, scan_memory

NATIVE: dict[str, type[nn.LSTM] | type[nn.GRU] | type[nn.RNN]] = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}
# Of the norm over the recurrent products, at the start, as Cooijmans et al. 2017 (section 4) found for theirs. With a
# gain of 1 a fresh layer is chaotic: rounding errors of the first frames had grown beyond 1e-5 after a hundred.
_RECURRENT_GAIN = 0.1


class ScanLSTM(nn.Module):
    """A unidirectional LSTM over padded batches that is ``peephole``, ``projected`` or ``layernorm``.

    The weights bear the names, shapes and order of those of `nn.LSTM` (and of its ``proj_size``).

    Args:
        cell: which; peepholes are diagonal (Gers and Schmidhuber 2000), the projection is recurrent (Sak et al. 2014,
            without its non-recurrent part), the norms are those of Ba et al. 2016, eq. 20–22, over all gates at once.
        inputs: D.
        hidden: H.
        width: R of a projected cell; else H.
    """

    def __init__(self, cell: str, inputs: int, hidden: int, width: int) -> None:
        super().__init__()
        self.cell, self.input_size, self.hidden_size = cell, inputs, hidden
        self.weight_ih_l0 = nn.Parameter(torch.empty(4 * hidden, inputs))
        self.weight_hh_l0 = nn.Parameter(torch.empty(4 * hidden, width))
        self.bias_ih_l0 = nn.Parameter(torch.empty(4 * hidden))
        self.bias_hh_l0 = nn.Parameter(torch.empty(4 * hidden))
        self.weight_hr_l0 = nn.Parameter(torch.empty(width, hidden)) if cell == "projected" else None
        self.peepholes = nn.Parameter(torch.empty(3, hidden)) if cell == "peephole" else None
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -(hidden**-0.5), hidden**-0.5)  # as nn.LSTM
        normed = cell == "layernorm"
        self.gain_ih = nn.Parameter(torch.ones(4 * hidden)) if normed else None
        self.gain_hh = nn.Parameter(torch.full((4 * hidden,), _RECURRENT_GAIN)) if normed else None
        self.gain_c = nn.Parameter(torch.ones(hidden)) if normed else None
        self.bias_c = nn.Parameter(torch.zeros(hidden)) if normed else None

    def forward(self, x: Tensor, weight_dropout: float = 0.0) -> Tensor:
        """Shape (N, S, D) → (N, S, R), from a state of zeros; ``weight_dropout`` as in `read`."""
        bias = self.bias_ih_l0 + self.bias_hh_l0  # (4H,)
        x = x.transpose(0, 1)  # (S, N, D)
        if self.gain_ih is None:
            gates = nn.functional.linear(x, self.weight_ih_l0, bias)  # (S, N, 4H)
        else:
            gates = normalise(nn.functional.linear(x, self.weight_ih_l0), self.gain_ih) + bias  # (S, N, 4H)
        weight = nn.functional.dropout(self.weight_hh_l0, weight_dropout, self.training)
        recurrence = Recurrence(weight, self.peepholes, self.weight_hr_l0, self.gain_hh, self.gain_c, self.bias_c)
        return scan(gates, recurrence).transpose(0, 1)  # (N, S, R)

    def extra_repr(self) -> str:
        return f"{self.cell}, {self.input_size}, {self.hidden_size}"


Direction = nn.LSTM | nn.GRU | nn.RNN | ScanLSTM
State = tuple[Tensor, ...]  # of one of PyTorch's layers: h, and an LSTM's c, of shape (1, N, H) each


def make_direction(cell: str, inputs: int, hidden: int, width: int) -> Direction:
    """A layer that reads forwards; an LSTM's forget gate starts open, so that gradients reach far back.

    Args:
        cell: as in ``encoder.cell``.
        inputs: D.
        hidden: H.
        width: of the output: R of a projected cell, else H.
    """
    if cell in NATIVE:
        layer: Direction = NATIVE[cell](inputs, hidden, batch_first=True)
    else:
        layer = ScanLSTM(cell, inputs, hidden, width)
    if cell not in ("gru", "rnn"):
        _open_forget_gate(layer, hidden)
    return layer


def _open_forget_gate(lstm: nn.Module, hidden: int) -> None:
    """A forget gate's bias of 1 from the first step (Gers et al. 2000)."""
    with torch.no_grad():
        lstm.get_parameter("bias_ih_l0")[hidden : 2 * hidden] = 1.0
        lstm.get_parameter("bias_hh_l0")[hidden : 2 * hidden] = 0.0


def read(layer: nn.Module, x: Tensor, weight_dropout: float) -> Tensor:
    """Reads a padded batch from a state of zeros.

    Args:
        layer: of `make_direction`.
        x: shape (N, S, D).
        weight_dropout: in training, the share of the hidden-to-hidden weights that are zero, the same for all
            utterances and steps of the batch (DropConnect; Merity et al. 2018).

    Returns:
        Shape (N, S, R).
    """
    output: Tensor
    if isinstance(layer, ScanLSTM):
        output = layer(x, weight_dropout)
    elif weight_dropout and layer.training:
        output, _ = read_on(layer, x, None, draw_weights(layer, weight_dropout))
    else:
        output, _ = layer(x)
    return output


def draw_weights(layer: nn.Module, weight_dropout: float) -> list[Tensor]:
    """The weights of one of PyTorch's layers; in training with some of the hidden-to-hidden ones zero, as in `read`."""
    weight_ih, weight_hh, bias_ih, bias_hh = (parameter for _, parameter in layer.named_parameters())
    return [weight_ih, nn.functional.dropout(weight_hh, weight_dropout, layer.training), bias_ih, bias_hh]


def read_chunks(layer: nn.Module, x: Tensor, state: State | None, weights: list[Tensor]) -> tuple[Tensor, State]:
    """Reads padded batches of chunks that follow each other, and gives the state behind each.

    Args:
        layer: of a cell of `NATIVE`.
        x: shape (N, K, C, D), K chunks of C frames each.
        state: before the first chunks, shape (1, N, H); None: zeros.
        weights: of `draw_weights`.

    Returns:
        Shape (N, K, C, H), and the states, shape (1, N · K, H).
    """
    if _is_scanned(layer, x, state):
        bias = weights[2] + weights[3]  # (4H,)
        gates = nn.functional.linear(x.flatten(1, 2).transpose(0, 1), weights[0], bias)  # (K · C, N, 4H)
        read = [one.unflatten(0, x.shape[1:3]) for one in scan_memory(gates, Recurrence(weights[1]))]  # (K, C, N, H)
        ends = tuple(one[:, -1].transpose(0, 1).flatten(0, 1)[None] for one in read)  # (1, N · K, H)
        return read[0].permute(2, 0, 1, 3), ends
    said: list[Tensor] = []
    states: list[State] = []
    for chunk in x.unbind(1):  # (N, C, D)
        output, state = read_on(layer, chunk, state, weights)
        said.append(output)
        states.append(state)
    ends = tuple(torch.stack(parts, dim=2).flatten(1, 2) for parts in zip(*states, strict=True))
    return torch.stack(said, dim=1), ends


def _is_scanned(layer: nn.Module, x: Tensor, state: State | None) -> bool:
    """Whether chunks are better read in one pass of `asr.model.scan`, which knows the memory behind every frame.

    oneDNN's kernel gives that of the last frame alone, and each of its calls lays out all weights and their gradients
    anew; in training in float32 on a CPU that costs more than the kernel wins.
    """
    plain = x.device.type == "cpu" and not torch.is_autocast_enabled("cpu")
    return isinstance(layer, nn.LSTM) and state is None and plain and torch.is_grad_enabled() and x.shape[1] > 4


def read_on(layer: nn.Module, x: Tensor, state: State | None, weights: list[Tensor]) -> tuple[Tensor, State]:
    """Reads a padded batch with one of PyTorch's layers from a state, and gives the state behind its last frame.

    Args:
        layer: of a cell of `NATIVE`.
        x: shape (N, S, D).
        state: None: zeros.
        weights: of `draw_weights`.

    Returns:
        Shape (N, S, H), and the state.
    """
    parts = 2 if isinstance(layer, nn.LSTM) else 1
    if state is None:
        state = (x.new_zeros(1, len(x), weights[1].shape[1]),) * parts  # (layers, N, H)
    state = tuple(part.to(x.dtype) for part in state)  # under autocast it may be of another type
    # biases, layers, dropout between them, training, bidirectional, batch first
    if isinstance(layer, nn.LSTM):
        output, *after = torch.lstm(x, state, weights, True, 1, 0.0, layer.training, False, True)
    else:
        function = torch.gru if isinstance(layer, nn.GRU) else torch.rnn_tanh
        output, *after = function(x, state[0], weights, True, 1, 0.0, layer.training, False, True)
    return output, tuple(after)

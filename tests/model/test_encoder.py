from __future__ import annotations

import pytest
import torch

from asr.model.config import EncoderConfig, SubsamplingConfig
from asr.model.encoder import Encoder
from asr.model.frontend import Stacking
from asr.model.padding import mask_padding


def test_mask_padding_zeroes_what_lies_behind_each_end() -> None:
    masked = mask_padding(torch.ones(3, 4, 2), torch.tensor([4, 1, 0]))
    assert masked.sum(dim=(1, 2)).tolist() == [8, 2, 0]
    assert masked[1, 0].tolist() == [1, 1]


def test_stacking_puts_frames_side_by_side_and_keeps_the_last_ones() -> None:
    x = torch.arange(1, 11.0).reshape(1, 5, 2)
    assert Stacking(2, 3)(x)[0].tolist() == [[1, 2, 3, 4, 5, 6], [7, 8, 9, 10, 0, 0]]


@pytest.mark.parametrize("factor", [1, 2, 3])
@pytest.mark.parametrize("pyramid", [1, 2, 3])
def test_output_length_of_a_pyramid_is_exact(factor: int, pyramid: int) -> None:
    subsampling = SubsamplingConfig(factor=factor)
    encoder = Encoder(EncoderConfig(subsampling=subsampling, layers=4, hidden=2, pyramid=pyramid), 4)
    assert encoder.factor == factor * 2**pyramid
    frames = torch.arange(1, 2 * encoder.factor + 2)
    output, lengths = encoder(torch.randn(len(frames), len(frames), 4), frames)
    assert lengths.tolist() == [encoder.output_length(one) for one in frames.tolist()]
    assert output.shape[1] == lengths.max()

"""Augmentation of training data, drawn from (seed, epoch, utterance, copy) and nothing else."""

from asr.augment.copies import generator, speed, speed_length
from asr.augment.masks import spec_augment
from asr.augment.warp import draw_factor, warp_bands
from asr.augment.waveform import Augmented, Augmenter

__all__ = [
    "Augmented",
    "Augmenter",
    "draw_factor",
    "generator",
    "spec_augment",
    "speed",
    "speed_length",
    "warp_bands",
]

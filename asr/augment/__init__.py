"""Augmentation of training data, drawn from (seed, epoch, utterance, copy) and nothing else."""

from asr.augment.copies import generator, speed, speed_length
from asr.augment.masks import spec_augment
from asr.augment.waveform import Augmented, Augmenter

__all__ = ["Augmented", "Augmenter", "generator", "spec_augment", "speed", "speed_length"]

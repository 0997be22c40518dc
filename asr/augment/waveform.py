"""Everything that is done to the waveform of a training utterance: room, noise, gain, codec, in that order.

That is the order in which sound meets them. Each kind draws from a child generator of its own, whether it is done and
how, so that neither the batch nor the other kinds change what it draws. The length never changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asr.augment.channel import WITH_BITRATE, amplify, check_codecs, transmit
from asr.augment.copies import between, generator
from asr.augment.noise import NoiseRecording, coloured_noise, mix, noise_recordings, read_noise
from asr.config import AugmentConfig


@dataclass(frozen=True)
class Augmented:
    """A waveform and what was done to it.

    Attributes:
        samples: float32, shape (samples,).
        drawn: in words, one entry for each kind that was done.
    """

    samples: np.ndarray
    drawn: tuple[str, ...]


class Augmenter:
    """Knows the noise recordings, and does to a waveform what its key draws.

    Args:
        config: which kinds, how often and how much.
        rate: of all samples [Hz].
        seed: of the training run.

    Raises:
        AsrError: a noise folder that cannot be used, or a codec that libsndfile lacks.
    """

    def __init__(self, config: AugmentConfig, rate: int, seed: int) -> None:
        self.config = config
        self.rate = rate
        self.seed = seed
        self.noises: list[NoiseRecording] = []
        if config.noise is not None and config.noise_probability:
            self.noises = noise_recordings(Path(config.noise))
        if config.codec_probability:
            check_codecs(config.codecs)

    def __call__(self, samples: np.ndarray, epoch: int, utterance: str, copy: int) -> Augmented:
        """Augments one copy of one utterance.

        Args:
            samples: at its speed already, float32, shape (samples,).
            epoch, utterance, copy: the key, see `generator`.

        Returns:
            Samples of the same length.

        Raises:
            AsrError: a noise recording that has changed or is damaged in its middle.
        """
        config = self.config
        kinds = {
            "reverberation": (config.reverberation_probability, self._reverberate),
            "coloured noise": (config.coloured_noise_probability, self._add_coloured_noise),
            "noise": (config.noise_probability if self.noises else 0.0, self._add_noise),
            "gain": (config.gain_probability, self._amplify),
            "codec": (config.codec_probability, self._transmit),
        }
        drawn = []
        for kind, (probability, change) in kinds.items():
            if probability:
                random = generator(self.seed, epoch, utterance, copy, kind)
                if random.random() < probability:
                    samples, said = change(samples, random)
                    drawn.append(said)
        return Augmented(samples, tuple(drawn))

    def _reverberate(self, samples: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, str]:
        # These bring numba, which nothing else in loading needs.
        from asr.augment.room import draw_room, impulse_response, measured_reverberation_time, reverberate

        room = draw_room(random, self.config)
        response = impulse_response(room, self.rate)
        size, time = " × ".join(f"{side:.1f}" for side in room.size), measured_reverberation_time(response, self.rate)
        return reverberate(samples, response), f"room {size} m, RT60 {time:.2f} s, {room.distance:.1f} m away"

    def _add_coloured_noise(self, samples: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, str]:
        snr, slope = between(random, self.config.coloured_noise_snr), between(random, self.config.coloured_noise_slope)
        noise = coloured_noise(len(samples), self.rate, slope, random)
        said = f"coloured noise of {slope:+.1f} dB an octave at SNR {snr:.1f} dB"
        return mix(samples, noise, snr, self.rate), said

    def _add_noise(self, samples: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, str]:
        snr, one = between(random, self.config.noise_snr), self.noises[random.integers(len(self.noises))]
        noise = read_noise(one, self.rate, len(samples), random)
        return mix(samples, noise, snr, self.rate), f"noise {one.name} at SNR {snr:.1f} dB"

    def _amplify(self, samples: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, str]:
        decibels = between(random, self.config.gain)
        return amplify(samples, decibels, self.config.gain_clip), f"gain {decibels:+.1f} dB"

    def _transmit(self, samples: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, str]:
        codec, bitrate = self.config.codecs[random.integers(len(self.config.codecs))], 0.0
        if codec in WITH_BITRATE:
            bitrate = between(random, self.config.codec_bitrate)
        said = f"codec {codec}" + (f" at {bitrate:.0f} kbit/s" if bitrate else "")
        return transmit(samples, self.rate, codec, bitrate), said

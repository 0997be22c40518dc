"""Reverberation of simulated rooms, by the image method.

Source: Allen and Berkley, "Image method for efficiently simulating small-room acoustics", JASA 65 (1979). An image of
the source arrives at the sample nearest to its time, as in the paper: what follows is one microphone, so that a
fraction of a sample is not heard. The direct sound takes no time here, so that words stay where they were.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from asr.augment.copies import between
from asr.augment.spectrum import convolve
from asr.compiled import kernel
from asr.config import AugmentConfig
from asr.loudness import root_mean_square

SOUND = 343.0  # [m/s] at 20 °C
_LONGEST = 1.0  # [s] of an impulse response
_LENGTH = 1.3  # of it, as a share of the reverberation time by Eyring, which is too short as a rule
_FROM_WALLS = 0.3  # [m] that nobody stands nearer to a wall
_HIGH_PASS = 100.0  # [Hz] below it the sum of so many positive pulses is no sound; the paper's filter


@dataclass(frozen=True)
class Room:
    """A shoebox, who speaks where and who listens where.

    Attributes:
        size: length, width, height [m].
        absorption: share of the energy that the walls, floor and ceiling take of what meets them.
        source, microphone: positions [m].
    """

    size: tuple[float, ...]
    absorption: float
    source: tuple[float, ...]
    microphone: tuple[float, ...]

    @property
    def distance(self) -> float:
        """From the source to the microphone [m]."""
        return math.dist(self.source, self.microphone)

    @property
    def reverberation_time(self) -> float:
        """RT60, in which sound falls by 60 dB [s], by Eyring's formula (JASA 1, 1930).

        It takes sound to come from everywhere alike. In long or low rooms the images ring for up to twice as long.
        """
        length, width, height = self.size
        surface = 2 * (width * height + length * height + length * width)
        return 24 * math.log(10) / SOUND * math.prod(self.size) / (-surface * math.log1p(-self.absorption))


def draw_room(random: np.random.Generator, config: AugmentConfig) -> Room:
    """A room from the config's ranges; source and microphone anywhere but close to a wall."""
    size = tuple(between(random, limits) for limits in (config.room_size, config.room_size, config.room_height))
    absorption = between(random, config.absorption)
    source, microphone = (tuple(between(random, (_FROM_WALLS, side - _FROM_WALLS)) for side in size) for _ in range(2))
    return Room(size, absorption, source, microphone)


@kernel
def _add_images(response, x, y, z, across, along, up):  # type: ignore[no-untyped-def]
    """Adds the pulse of every image to the response.

    Args:
        response: float64, shape (samples,).
        x, y, z: squared distances along each axis [samples²], ascending, shape (images of that axis,).
        across, along, up: what the reflections along that axis leave of the pressure.
    """
    longest = (len(response) - 1.0) ** 2
    for i in range(len(x)):
        if x[i] > longest:
            break
        for j in range(len(y)):
            plane = x[i] + y[j]
            if plane > longest:
                break
            left = across[i] * along[j]
            for k in range(len(z)):
                square = plane + z[k]
                if square > longest:
                    break
                distance = math.sqrt(square)
                response[int(distance + 0.5)] += left * up[k] / max(distance, 1.0)


@kernel
def _high_pass(response, angle):  # type: ignore[no-untyped-def]
    """The paper's filter, in place; ``angle`` is the edge as a share of the circle [rad a sample]."""
    radius = math.exp(-angle)
    first, second = 2 * radius * math.cos(angle), -radius * radius
    one = two = 0.0
    for place in range(len(response)):
        state = first * one + second * two + response[place]
        response[place] = state - (1 + radius) * one + radius * two
        two, one = one, state


def _images(side: float, source: float, microphone: float, absorption: float, reach: float) -> list[np.ndarray]:
    """Along one axis, nearest first: squared distances [m²] up to ``reach`` [m], and the pressure that is left."""
    most = math.ceil(reach / (2 * side)) + 1
    rooms = np.arange(-most, most + 1)
    straight = 2 * rooms * side + source - microphone  # reflected by both walls as often
    mirrored = 2 * rooms * side - source - microphone  # by one of them once more
    squares = np.concatenate([straight, mirrored]) ** 2
    reflections = np.concatenate([2 * np.abs(rooms), np.abs(rooms - 1) + np.abs(rooms)])
    order = np.argsort(squares, kind="stable")
    return [squares[order], (1 - absorption) ** (reflections[order] / 2)]  # energy → pressure


def impulse_response(room: Room, rate: int) -> np.ndarray:
    """What the microphone hears of a click at the source, until it has fallen by some 60 dB, at most 1 s.

    Args:
        room: where.
        rate: of the samples [Hz].

    Returns:
        float32, shape (samples,); the direct sound, 1 / (4π · distance), arrives at sample distance / c · rate.
    """
    seconds = room.distance / SOUND + min(_LENGTH * room.reverberation_time, _LONGEST)
    response = np.zeros(round(seconds * rate) + 2)
    reach = len(response) / rate * SOUND
    axes = zip(room.size, room.source, room.microphone, strict=True)
    images = [_images(*axis, room.absorption, reach) for axis in axes]
    scale = (rate / SOUND) ** 2  # m² → samples²
    squares, pressures = [one[0] * scale for one in images], [one[1] for one in images]
    _add_images(response, *squares, *pressures)
    response *= rate / SOUND / (4 * math.pi)
    _high_pass(response, 2 * math.pi * _HIGH_PASS / rate)
    return response.astype(np.float32)


def measured_reverberation_time(response: np.ndarray, rate: int) -> float:
    """RT60 of an impulse response [s], from its fall between -5 and -25 dB.

    Source: backward integration, Schroeder, "New method of measuring reverberation time", JASA 37 (1965); the range is
    the T20 of ISO 3382.

    Args:
        response: shape (samples,), not silent.
        rate: of the samples [Hz].
    """
    energy = np.cumsum(np.square(response[::-1], dtype=np.float64))[::-1]
    begin, end = (int(np.argmax(energy < energy[0] * share)) for share in (10**-0.5, 10**-2.5))
    begin -= 1  # so that there are two places where the direct sound is nearly all
    steepness, _ = np.polyfit(np.arange(begin, end + 1), 10 * np.log10(energy[begin : end + 1]), 1)
    return float(-60 / steepness / rate)


def reverberate(samples: np.ndarray, response: np.ndarray) -> np.ndarray:
    """Speech as it is heard in a room, at the level it had and with the direct sound where it was.

    Args:
        samples: float32, shape (samples,).
        response: of `impulse_response`, at the samples' rate.

    Returns:
        float32, shape (samples,); what would sound on after the end is cut off.
    """
    heard = convolve(samples, response[np.flatnonzero(response)[0] :])
    level = root_mean_square(heard)
    return heard * np.float32(root_mean_square(samples) / level) if level else samples

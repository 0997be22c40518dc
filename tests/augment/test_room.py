"""Rooms against acoustics: when the direct sound arrives and how loud, how long a room rings, and Allen and Berkley."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from asr.augment.room import (
    SOUND,
    Room,
    draw_room,
    impulse_response,
    measured_reverberation_time,
    reverberate,
)
from asr.config import AugmentConfig
from asr.loudness import root_mean_square

RATE = 16000
ROOM = Room((5.0, 4.0, 3.0), 0.3, (1.3, 1.1, 1.6), (3.1, 2.9, 1.2))


def drawn(count: int) -> list[Room]:
    random = np.random.default_rng(1)
    return [draw_room(random, AugmentConfig()) for _ in range(count)]


def test_the_direct_sound_comes_first_at_distance_over_c_as_loud_as_its_distance_lets_it() -> None:
    for room in drawn(50):
        response = impulse_response(room, RATE)
        (first,) = np.flatnonzero(response)[:1]
        assert first / RATE == pytest.approx(room.distance / SOUND, abs=0.51 / RATE)
        assert response[first] == pytest.approx(1 / (4 * math.pi * room.distance), rel=0.05)


def plain_images(room: Room, samples: int) -> np.ndarray:
    """Allen and Berkley's sum, eq. (10), term by term; shape (samples,), unfiltered."""
    response = np.zeros(samples)
    beta = math.sqrt(1 - room.absorption)
    reach = range(-6, 7)
    for m in [(x, y, z) for x in reach for y in reach for z in reach]:
        for p in [(x, y, z) for x in (0, 1) for y in (0, 1) for z in (0, 1)]:
            place = [(1 - 2 * q) * s + 2 * n * side for q, s, n, side in zip(p, room.source, m, room.size, strict=True)]
            distance = math.dist(place, room.microphone)
            sample = int(distance / SOUND * RATE + 0.5)
            if sample < samples:
                order = sum(abs(n - q) + abs(n) for n, q in zip(m, p, strict=True))
                response[sample] += beta**order / (4 * math.pi * distance)
    return response


def test_every_image_is_there() -> None:
    """Up to 60 ms, where the sum by hand has all of them; above 400 Hz, where the filter changes nothing."""
    fast, slow = impulse_response(ROOM, RATE)[:960], plain_images(ROOM, 960)
    hertz = np.fft.rfftfreq(960, 1 / RATE)
    ratio = np.abs(np.fft.rfft(fast))[hertz > 400] / np.abs(np.fft.rfft(slow))[hertz > 400]
    assert np.median(ratio) == pytest.approx(1, abs=0.02)
    assert np.corrcoef(np.diff(fast), np.diff(slow))[0, 1] > 0.999


@pytest.mark.parametrize("absorption", [0.1, 0.2, 0.3, 0.5])
@pytest.mark.parametrize("size", [(4.0, 4.0, 4.0), (5.0, 4.0, 3.0), (6.0, 5.0, 3.5)])
def test_a_room_rings_about_as_long_as_eyring_says(size: tuple[float, float, float], absorption: float) -> None:
    room = replace(ROOM, size=size, absorption=absorption)
    measured = measured_reverberation_time(impulse_response(room, RATE), RATE)
    assert 0.95 < measured / room.reverberation_time < 1.25


def test_eyring_comes_near_sabine_where_little_is_absorbed() -> None:
    room = replace(ROOM, absorption=0.01)
    volume, surface = 60.0, 94.0
    assert room.reverberation_time == pytest.approx(0.161 * volume / (surface * 0.01), rel=0.01)


def test_the_measure_of_an_exponential_decay() -> None:
    noise = np.random.default_rng(1).standard_normal(RATE)
    response = noise * 10 ** (-3 * np.arange(RATE) / RATE / 0.4)
    assert measured_reverberation_time(response, RATE) == pytest.approx(0.4, rel=0.05)


def test_the_measure_is_finite_in_the_driest_room_and_close_by() -> None:
    near = Room((50.0, 50.0, 50.0), 0.99, (25.0, 25.0, 25.0), (25.01, 25.0, 25.0))
    assert 0 < measured_reverberation_time(impulse_response(near, RATE), RATE) < 0.05
    same = replace(near, microphone=near.source)
    assert np.isfinite(impulse_response(same, RATE)).all()


def test_words_stay_where_they_are_and_as_loud() -> None:
    click = np.zeros(RATE, np.float32)
    click[4000] = 1.0
    for room in drawn(20):
        heard = reverberate(click, impulse_response(room, RATE))
        assert heard.shape == click.shape
        assert heard.dtype == np.float32
        assert np.abs(heard[:4000]).max() < 1e-5 < heard[4000]
        assert root_mean_square(heard) == pytest.approx(root_mean_square(click), rel=1e-3)


def test_nothing_and_silence() -> None:
    response = impulse_response(ROOM, RATE)
    assert not reverberate(np.zeros(100, np.float32), response).any()
    assert reverberate(np.ones(1, np.float32), response) == pytest.approx(1.0)


def test_rooms_are_drawn_from_their_ranges() -> None:
    config = AugmentConfig(room_size=[4.0, 6.0], room_height=[3.0, 3.5], absorption=[0.2, 0.3])
    random = np.random.default_rng(2)
    rooms = [draw_room(random, config) for _ in range(300)]
    sides = np.array([room.size for room in rooms])
    assert (sides.min(0) >= [4, 4, 3]).all() and (sides.max(0) <= [6, 6, 3.5]).all()
    assert (np.ptp(sides, axis=0) > [1.9, 1.9, 0.47]).all()
    assert 0.2 <= min(room.absorption for room in rooms) < max(room.absorption for room in rooms) <= 0.3
    for room in rooms:
        for place in (room.source, room.microphone):
            assert all(0.3 <= one <= side - 0.3 for one, side in zip(place, room.size, strict=True))

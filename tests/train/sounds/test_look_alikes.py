"""No look-alike is a beep: none holds its pitch from a sudden start to a sudden end."""

import numpy as np
import pytest
from numpy.random import Generator

from beepwatch.train.sounds.look_alikes import LOOK_ALIKES, LookAlike, draw_kind, look_alike, one
from beepwatch.train.sounds.tones import Wave
from tests.train.spectra import RATE_HZ, SAMPLES, band_share


@pytest.mark.parametrize("kind", sorted(LOOK_ALIKES))
def test_every_look_alike_sounds_and_stays_finite(kind: str) -> None:
    for seed in range(5):
        sound = LOOK_ALIKES[kind].draw(np.random.default_rng(seed), SAMPLES, RATE_HZ)
        assert sound.shape == (SAMPLES,)
        assert np.isfinite(sound).all()
        assert np.abs(sound).max() > 0.01


@pytest.mark.parametrize("kind", sorted(LOOK_ALIKES))
def test_a_kind_is_the_same_for_the_same_seed_and_another_for_another(kind: str) -> None:
    first, again, other = (
        LOOK_ALIKES[kind].draw(np.random.default_rng(seed), SAMPLES, RATE_HZ) for seed in (4, 4, 5)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_look_alike_has_no_pulses_and_full_scale() -> None:
    signal = look_alike(np.random.default_rng(1), 4.0, RATE_HZ)
    assert signal.pulses == ()
    assert signal.sound.dtype == np.float32
    assert np.abs(signal.sound).max() == pytest.approx(1.0)


def test_kinds_come_as_often_as_their_weights_say() -> None:
    rng = np.random.default_rng(0)
    drawn = [draw_kind(rng) for _ in range(4_000)]
    total = sum(kind.weight for kind in LOOK_ALIKES.values())
    for name in ("birdsong", "whine", "applause"):
        kind = LOOK_ALIKES[name]
        expected = 4_000 * kind.weight / total
        assert drawn.count(kind) == pytest.approx(expected, abs=5 * np.sqrt(expected))


def _sine(rng: Generator, samples: int, rate_hz: int) -> Wave:
    return np.asarray(np.sin(2 * np.pi * 1_000 * np.arange(samples) / rate_hz))


def test_a_steady_sound_is_never_cut_into_pulses() -> None:
    for seed in range(40):
        kind = LookAlike(draw=_sine, steady=True)
        sound = one(np.random.default_rng(seed), kind, SAMPLES, RATE_HZ)
        assert np.abs(sound[-100:]).max() > 0.99
        assert np.abs(sound[:100]).max() > 0.99


def test_what_is_heard_only_for_a_while_comes_and_goes_softly() -> None:
    """From a tenth to nine tenths a raised cosine takes 59 % of its 0.2 s."""
    paused = 0
    for seed in range(40):
        sound = one(np.random.default_rng(seed), LookAlike(draw=_sine), SAMPLES, RATE_HZ)
        level = np.abs(sound).reshape(-1, 16).max(axis=1)  # each millisecond
        if level.min() < 0.05:
            paused += 1
            start = int(np.argmax(level > 0.1))
            assert start == 0 or int(np.argmax(level > 0.9)) - start > 100
    assert 4 <= paused <= 18  # a quarter of 40


@pytest.mark.parametrize(
    ("kind", "low_hz", "high_hz"),
    [
        ("birdsong", 500, 7_100),
        ("bird trill", 500, 7_100),
        ("bird whistle", 1_300, 5_600),
        ("crickets", 2_700, 6_800),
        ("whistling", 600, 4_000),
        ("crying", 150, 6_600),
        ("flute", 300, 7_000),
        ("violin", 185, 8_000),
        ("accordion", 190, 8_000),
        ("squeaks", 400, 8_000),
        ("car horn", 320, 8_000),
        ("dial tone", 340, 490),
        ("engine", 20, 5_000),
        ("applause", 300, 6_000),
        ("drops", 650, 8_000),
    ],
)
def test_a_kind_keeps_to_the_band_that_it_has_in_the_world(
    kind: str, low_hz: float, high_hz: float
) -> None:
    for seed in range(4):
        sound = LOOK_ALIKES[kind].draw(np.random.default_rng(seed), SAMPLES, RATE_HZ)
        assert band_share(sound, low_hz, high_hz) > 0.95


def test_three_of_ten_are_two_kinds_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []

    def noted(_rng: Generator, samples: int, _rate_hz: int) -> Wave:
        drawn.append(samples)
        return np.ones(samples)

    kinds = {"only": LookAlike(draw=noted, steady=True)}
    monkeypatch.setattr("beepwatch.train.sounds.look_alikes.LOOK_ALIKES", kinds)
    for seed in range(200):
        look_alike(np.random.default_rng(seed), 0.1, RATE_HZ)
    assert set(drawn) == {1_600}
    assert len(drawn) - 200 == pytest.approx(60, abs=20)

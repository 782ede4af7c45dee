"""A learned fan knows itself, under other sounds too, and says what is new."""

from functools import cache
from pathlib import Path

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from beepwatch.classify.condition import Listener, Normal, decode, encode
from beepwatch.classify.portraits import STEADY
from beepwatch.classify.spectra import (
    LOWER_QUARTILE,
    MEDIAN,
    RATE_HZ,
    WINDOW_SAMPLES,
    Floats,
    spectrum,
)
from beepwatch.errors import ConfigurationError, ModelError
from beepwatch.train.machines.household import BANK, TYPICAL_BANK, overlaid, read_household, write
from beepwatch.train.machines.learning import (
    TooLittleSound,
    learn_normal,
    operating_states,
    portraits_of,
    spectra_of,
    windows_of,
)
from tests.train.machines.fan import fan, household


@cache
def learned() -> Normal:
    return learn_normal("fan", portraits_of([fan(1)]), household())


def test_a_fan_that_is_well_is_not_strange_and_a_whine_is() -> None:
    listener = Listener(learned())
    well = [listener.judge(one) for one in spectra_of([fan(2, 20)])]
    ill = [listener.judge(one) for one in spectra_of([fan(3, 20, whine_hz=3_100)])]
    assert max(one.strangeness for one in well if one) < 0.9
    assert min(one.strangeness for one in ill if one) > 1.2
    assert not any(one.drowned for one in ill if one)


def test_what_is_laid_over_it_is_not_taken_for_a_fault() -> None:
    listener = Listener(learned())
    rng = np.random.default_rng(4)
    for snr_db in (10.0, 0.0, -6.0):
        over = overlaid(rng, spectra_of([fan(2, 20)]), household(60)[40:], 2, (snr_db, snr_db))
        judged = [one for one in map(listener.judge, over) if one]
        assert len(judged) == len(over)
        assert np.mean([one.strangeness > 0.9 for one in judged]) < 0.1, snr_db


def test_what_drowns_it_is_known_for_that() -> None:
    listener = Listener(learned())
    rng = np.random.default_rng(5)
    over = overlaid(rng, spectra_of([fan(2, 20)]), household(), 2, (-18.0, -18.0))
    assert np.mean([one.drowned for one in map(listener.judge, over) if one]) > 0.8


def motors(hums_hz: NDArray[np.float64]) -> Floats:
    """Spectra of RMS 1: a hiss, and the hum of a motor with all its multiples below 4 kHz."""
    found = []
    for hum_hz in hums_hz.tolist():
        time_s = np.arange(WINDOW_SAMPLES) / RATE_HZ
        sound = np.random.default_rng(round(hum_hz)).normal(0, 2, WINDOW_SAMPLES)
        for times in range(1, int(4_000 / hum_hz) + 1):
            sound += np.sin(2 * np.pi * times * hum_hz * time_s + times**2)
        found.append(spectrum(np.rint(3_276.8 * sound / sound.std()).astype(np.int16)))
    return np.stack(found) + np.float32(np.log(100))


def test_a_loud_motor_mostly_drowns_it_though_only_others_were_learned_with() -> None:
    """With the known motors at their own speeds alone none of the 36 windows is."""
    known, others = motors(np.linspace(500, 900, 20)), motors(np.linspace(520, 880, 19))
    listener = Listener(learn_normal("fan", portraits_of([fan(1)]), known))
    over = overlaid(np.random.default_rng(5), spectra_of([fan(2, 20)]), others, 2, (-18.0, -18.0))
    judged = [one for one in map(listener.judge, over) if one]
    assert len(judged) == 36
    assert min(one.strangeness for one in judged) > 1
    assert np.mean([one.drowned for one in judged]) > 0.5


def test_a_fan_that_is_off_is_not_judged() -> None:
    assert Listener(learned()).judge(spectrum(fan(2, 3, loud=0.01))) is None


@pytest.mark.parametrize("hz", [437.0, 3_100.0, 6_050.0])
def test_it_says_what_was_not_there(hz: float) -> None:
    heard = np.median(spectra_of([fan(3, 20, whine_hz=hz)]), axis=0)
    found = Listener(learned()).difference(heard, 0)
    assert found.pitch_hz == pytest.approx(hz, abs=32)
    assert found.kind == "tone"
    assert found.more_db > 10


def test_two_speeds_are_two_states() -> None:
    slow, fast = fan(1), fan(2, hum_hz=171.0, loud=2.0)
    both = portraits_of([slow, fast])
    states = operating_states(both[:, STEADY])
    half = len(both) // 2
    assert set(states[:half]) != set(states[half:])
    assert states.max() == 1
    normal = learn_normal("fan", both, household())
    listener = Listener(normal)
    for pcm in (fan(3, 20), fan(4, 20, hum_hz=171.0, loud=2.0)):
        assert all(one and one.strangeness < 1 for one in map(listener.judge, spectra_of([pcm])))


def test_one_speed_is_one_state() -> None:
    assert len(learned().states) == 1


def test_the_same_sound_teaches_the_same() -> None:
    assert encode(learn_normal("fan", portraits_of([fan(1)]), household())) == encode(learned())


def test_it_is_read_as_it_was_written() -> None:
    assert decode(encode(learned())) == learned()


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("name", "../fan", "1 to 40 of"),
        ("states", [], "0 states"),
        ("usual", 1e9, "usual and spread"),
        ("spread", 0, "usual and spread"),
        ("lowest_db", 99, "lowest_db"),
        ("drowned_within", -1, "drowned_within"),
        ("drowned", {"centre": "AAAA", "whitening": "AAAA"}, "4 bytes|3 bytes"),
        ("learned_s", -3, "learned_s"),
        ("format", 3, "format 3"),
        ("surprise", 1, "surprise"),
    ],
)
def test_what_is_damaged_is_said(field: str, value: object, reason: str) -> None:
    plain = msgspec.json.decode(encode(learned()))
    with pytest.raises(ModelError, match=reason):
        decode(msgspec.json.encode(plain | {field: value}))


def test_a_number_that_is_none_is_damage() -> None:
    state = learned().states[0]
    broken = msgspec.structs.replace(state, alone=b"\x00\x00\xc0\x7f" * 512)
    with pytest.raises(ModelError, match="alone"):
        decode(encode(msgspec.structs.replace(learned(), states=(broken,))))


def test_too_little_sound_is_said() -> None:
    with pytest.raises(TooLittleSound, match="none of 2 recordings"):
        spectra_of([fan(1, 2), fan(2, 1)])
    with pytest.raises(TooLittleSound, match="8 s of sound"):
        learn_normal("fan", portraits_of([fan(1, 10)]), household())
    with pytest.raises(ConfigurationError, match="for example: fan"):
        learn_normal("No Name", spectra_of([fan(1, 40)]), household())


def test_windows_lie_whole_in_a_recording() -> None:
    pcm = np.arange(round(4.5 * RATE_HZ), dtype=np.int16)
    assert [int(one[0]) for one in windows_of(pcm)] == [0, RATE_HZ]
    assert list(windows_of(pcm[: WINDOW_SAMPLES - 1])) == []


def test_the_shipped_household_has_its_levels() -> None:
    """Of RMS 1: the power of what is steady is all of it or less."""
    shipped, typical = read_household(), read_household(TYPICAL_BANK)
    assert shipped.shape == typical.shape
    assert (typical >= shipped).all()  # the same windows
    power = 4 * np.exp(shipped[:, 256:]).sum(axis=1) * 2 / 2_048
    assert len(shipped) > 400
    assert power.max() < 1.1
    assert BANK.stat().st_size < 400_000


def test_a_bank_is_read_as_it_was_written(tmp_path: Path) -> None:
    sound = np.random.default_rng(3).normal(0, 0.01, 5 * RATE_HZ).astype(np.float32)
    write(tmp_path, [sound, sound[:RATE_HZ]])
    for bank, quantile in ((BANK, LOWER_QUARTILE), (TYPICAL_BANK, MEDIAN)):
        found = read_household(tmp_path / bank.name)
        first = (sound[:WINDOW_SAMPLES] / 0.01 * 3_276.8).astype(np.int16)
        assert len(found) == 3
        np.testing.assert_allclose(found[0], spectrum(first, quantile) + np.log(100), atol=0.12)

"""What was not there when a fan was well is found, named and told; what a home adds is not."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from beepwatch.capture.files import decode as decode_sound
from beepwatch.classify.condition import (
    Difference,
    Listener,
    Normal,
    State,
    decode,
    encode,
    unpacked,
)
from beepwatch.classify.differences import change_of, difference_text
from beepwatch.classify.novelties import Attention, Novelty, Seen, line_ridges
from beepwatch.classify.portraits import FEATURES, STEADY, TYPICAL, portrait
from beepwatch.classify.spectra import LINES, RATE_HZ, WINDOW_S, WINDOW_SAMPLES, centres_hz
from beepwatch.decide.condition import MachineWatch, Unusual
from beepwatch.errors import ModelError
from beepwatch.train.augment import to_int16
from beepwatch.train.machines.ceilings import LEAST_LINE_DB, LEAST_RATE_DB, LEAST_UNEVEN_DB
from beepwatch.train.machines.learning import learn_normal, portraits_of
from tests.train.machines.fan import fan

DATA = Path(__file__).parents[1] / "data"
HISS_RMS = 120.0  # of the fan's noise, which is white
BAND_HZ = 31.25
Sound = NDArray[np.float64]


@cache
def learned() -> Normal:
    """From two minutes, with the shipped household over it."""
    return learn_normal("fan", portraits_of([fan(1, 120)]))


@cache
def well(seconds: int = 120, seed: int = 7) -> Sound:
    return fan(seed, seconds).astype(np.float64)


def whine(hz: float, over_noise_db: float, seconds: int = 120) -> Sound:
    """So far above the fan's own noise in a band of 31 Hz."""
    power = HISS_RMS**2 * BAND_HZ / (RATE_HZ / 2) * 10 ** (over_noise_db / 10)
    time_s = np.arange(seconds * RATE_HZ) / RATE_HZ
    return np.asarray(np.sqrt(2 * power) * np.sin(2 * np.pi * hz * time_s))


def clicks(starts_s: NDArray[np.float64], seconds: int = 120, peak: float = 1_200) -> Sound:
    """A millisecond each: ten times the noise, whose power they raise by a tenth or less."""
    rng = np.random.default_rng(8)
    sound = np.zeros(seconds * RATE_HZ)
    for first in (starts_s[starts_s < seconds - 0.01] * RATE_HZ).astype(int):
        sound[first : first + 80] += peak * rng.normal(0, 1, 80) * np.exp(-np.arange(80) / 16)
    return sound


def heard(sound: Sound, normal: Normal | None = None) -> Iterator[tuple[float, Seen]]:
    """Window after window."""
    attention = Attention(Listener(normal or learned()))
    pcm = to_int16(sound / 32_768)
    for first in range(0, len(pcm) - WINDOW_SAMPLES + 1, WINDOW_SAMPLES):
        now_s = first / RATE_HZ + WINDOW_S
        seen = attention.hear(portrait(pcm[first : first + WINDOW_SAMPLES]), now_s)
        if seen is not None:
            yield now_s, seen


def told(sound: Sound, normal: Normal | None = None) -> list[tuple[float, str]]:
    """When, and what it is said to be like."""
    watch, so_far, found = MachineWatch(), list[Seen](), []
    for now_s, seen in heard(sound, normal):
        so_far.append(seen)
        if isinstance(watch.step(seen.evidence, now_s, drowned=seen.drowned), Unusual):
            change = change_of(Listener(normal or learned()), so_far)
            found.append((now_s, difference_text(change.most)))
    return found


@pytest.mark.parametrize("over_noise_db", [12.0, 19.0])
def test_a_faint_whine_is_told_within_two_minutes_and_named(over_noise_db: float) -> None:
    """It is lost in the few bands that strangeness as a whole is told by."""
    sound = well() + whine(3_100, over_noise_db)
    judged = [Listener(learned()).judge(seen.spectrum) for _, seen in heard(sound)]
    assert np.median([one.strangeness for one in judged if one]) < 0.9
    ((at_s, text),) = told(sound)
    assert at_s <= 120
    assert text.startswith("3.1 kHz whine that was not there, ")
    more_db = int(text.split(", ")[1].split()[0])
    assert more_db == pytest.approx(over_noise_db, abs=2)


@pytest.mark.parametrize("per_s", [8, 12, 25])
def test_clicks_are_told_within_two_minutes_with_their_rate(per_s: int) -> None:
    ((at_s, text),) = told(well() + clicks(np.arange(0, 120, 1 / per_s)))
    assert at_s <= 120
    assert text == f"clicks {per_s} times a second that were not there"


@pytest.mark.parametrize(
    ("starts_s", "said"),
    [
        (np.sort(np.random.default_rng(9).uniform(0, 60, 60 * 12)), "rattling around "),
        (np.arange(0, 60, 1 / 4), "clicks 4 times a second that were not there"),
    ],
)
def test_what_homes_do_as_well_is_a_tenth_of_the_evidence(
    starts_s: NDArray[np.float64], said: str
) -> None:
    """Rattling out of time, and clicks as slow as a clock's: told after ten minutes."""
    *_, (_, last) = heard(well(60) + clicks(starts_s, 60))
    assert last.novelty is not None
    assert difference_text(last.novelty.what).startswith(said)
    watch = MachineWatch()
    minutes = [watch.step(last.evidence, 3.0 * number) for number in range(1, 241)]
    (at,) = [number for number, news in enumerate(minutes) if isinstance(news, Unusual)]
    assert 9.5 * 60 < 3 * at < 10.5 * 60


@pytest.mark.parametrize("pace", [0.98, 1.02])
def test_a_fan_that_runs_a_little_faster_or_slower_has_nothing_new(pace: float) -> None:
    sound = fan(6, 60, hum_hz=97 * pace).astype(np.float64)
    assert [seen.novelty for _, seen in heard(sound)] == [None] * 20


@pytest.mark.parametrize(
    "clip",
    [
        "baby-cry-16k.flac",
        "washer-melody-16k.flac",
        "appliance_far_away.flac",  # a vacuum cleaner
        "distant_traffic.flac",
        "street_with_tones.flac",
    ],
)
def test_two_minutes_of_a_household_as_loud_as_the_fan_are_no_fault(clip: str) -> None:
    sound = np.concatenate(list(decode_sound(DATA / clip, RATE_HZ))).astype(np.float64)
    over = np.resize(sound, len(well()))
    assert told(well() + over * well().std() / over.std()) == []


def test_doors_and_a_voice_that_comes_and_goes_are_no_fault() -> None:
    """Slams every 20 s; syllables four times a second, half of the time, on a gliding pitch."""
    rng = np.random.default_rng(4)
    time_s = np.arange(120 * RATE_HZ) / RATE_HZ
    pitch = 2 * np.pi * np.cumsum(140 + 30 * np.sin(2 * np.pi * 0.7 * time_s)) / RATE_HZ
    voice = np.sum([np.sin(times * pitch) / times for times in range(1, 13)], axis=0)
    says = (np.sin(2 * np.pi * 4 * time_s) > 0) & (np.sin(2 * np.pi * time_s / 7) > 0)
    slams = 8_000 * rng.normal(0, 1, len(time_s)) * np.exp(-(time_s % 20) / 0.15)
    assert told(well() + 600 * voice * says + slams) == []


def test_while_the_room_is_loud_what_was_new_is_neither_forgotten_nor_evidence() -> None:
    hiss = np.random.default_rng(5).normal(0, 3 * HISS_RMS, 60 * RATE_HZ)
    hiss[: 30 * RATE_HZ] = 0
    seen = [one for _, one in heard(well(60) + whine(3_100, 15, 60) + hiss)]
    assert [one.novelty is not None for one in seen[5:10]] == [True] * 5
    assert all(one.hidden and one.evidence is None for one in seen[16:])
    usual = [one for _, one in heard(well(60) + hiss)]
    assert not any(one.hidden for one in usual)


def test_off_is_forgotten() -> None:
    attention = Attention(Listener(learned()))
    pcm = to_int16((well(30) + whine(3_100, 19, 30)) / 32_768)
    windows = [portrait(one) for one in pcm.reshape(10, WINDOW_SAMPLES)]
    seen = [attention.hear(one, 3.0 * number) for number, one in enumerate(windows, 1)]
    assert seen[-1] is not None
    assert seen[-1].novelty is not None
    assert attention.hear(portrait(np.zeros(WINDOW_SAMPLES, np.int16)), 33) is None
    again = attention.hear(windows[0], 36)
    assert again is not None
    assert again.novelty is None


def test_a_ridge_is_what_stands_above_its_neighbours() -> None:
    values = np.zeros(FEATURES, np.float32)
    band = int(LINES[300])
    values[band] = 5
    found = line_ridges(values)
    assert found.above[300] == 5
    assert np.abs(np.delete(found.above, 300)).max() == 0
    assert not found.noise.any()
    assert line_ridges(values + np.linspace(0, 9, FEATURES, dtype=np.float32)).above.argmax() == 300


def test_what_is_learned_of_a_steady_fan_has_the_least_limits() -> None:
    limits = learned().limits
    assert limits is not None
    assert msgspec.structs.astuple(limits) == (LEAST_LINE_DB, LEAST_RATE_DB, LEAST_UNEVEN_DB)
    (state,) = learned().states
    assert state.ceiling is not None
    lines = unpacked(state.ceiling.lines)
    hum = int(np.abs(centres_hz()[LINES] - 97).argmin())
    assert lines[hum] > 2  # the fan's own hum is nothing new
    assert np.median(lines) < 1


def plain(normal: Normal) -> dict[str, object]:
    found: dict[str, object] = msgspec.json.decode(encode(normal))
    return found


def test_a_machine_of_an_earlier_version_is_heard_as_before() -> None:
    """Its file has no ceilings: nothing new is looked for, and all else is judged."""
    old = plain(learned())
    del old["limits"]
    for state in old["states"]:  # type: ignore[attr-defined]
        del state["ceiling"]
    normal = decode(msgspec.json.encode(old | {"format": 1}))
    sound = well(60) + whine(3_100, 19, 60)
    seen = [one for _, one in heard(sound, normal)]
    assert len(seen) == 20
    assert all(one.novelty is None for one in seen)
    assert Listener(normal).judge(seen[0].spectrum) is not None


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"limits": None}, "ceilings and no limits"),
        ({"limits": {"line_db": 0, "rate_db": 4, "uneven_db": 3}}, "line_db is 0"),
    ],
)
def test_damaged_limits_are_said(changed: dict[str, object], reason: str) -> None:
    with pytest.raises(ModelError, match=reason):
        decode(msgspec.json.encode(plain(learned()) | changed))


@pytest.mark.parametrize(("ceiling", "reason"), [(False, "0 of its 1 states"), (True, "rates has")])
def test_damaged_ceilings_are_said(ceiling: bool, reason: str) -> None:
    (state,) = learned().states
    assert state.ceiling is not None
    short = msgspec.structs.replace(state.ceiling, rates=b"")
    broken: State = msgspec.structs.replace(state, ceiling=short if ceiling else None)
    with pytest.raises(ModelError, match=reason):
        decode(encode(msgspec.structs.replace(learned(), states=(broken,))))


def test_of_a_change_what_is_new_in_most_windows_is_named() -> None:
    buzz = Difference(pitch_hz=3_000.0, more_db=9.0, kind="clicks", per_s=12.0)
    heard = portrait(fan(1, 3))
    plainly = Seen(strangeness=1.0, state=0, spectrum=heard[STEADY], typical=heard[TYPICAL])
    new = msgspec.structs.replace(plainly, novelty=Novelty(1.5, buzz))
    listener = Listener(learned())
    assert change_of(listener, [plainly, new, new]).most == buzz
    assert change_of(listener, [plainly, plainly, new]).most != buzz

"""Streams hold what they say, of one split only."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from beepwatch.train.dataset import DatasetError, Recording
from beepwatch.train.judging.beeps import (
    device_of,
    is_kin,
    read_beep,
    recorded_beeps,
    tonal_stretches,
)
from beepwatch.train.judging.streams import (
    beep_streams,
    joined,
    negative_streams,
    ringing_s,
    shortcomings,
    varied_negatives,
)
from tests.train.conftest import RATE_HZ, SPANS_S, beeps


def recording(path: str, note: str = "", **more: object) -> Recording:
    """A clean sound file of the dev split."""
    fields: dict[str, object] = {
        "path": path, "split": "dev", "category": "beep_clean", "group": "some/sounds",
        "redistribute": "yes", "licence": "MIT", "source": "example.org/some/sounds",
        "duration_s": 1.0, "pitch_hz": 1_000.0, "snr_db": 40.0, "note": note,
    }  # fmt: skip
    return Recording(**(fields | more))  # type: ignore[arg-type]


def test_beep_streams_hold_each_beep_where_they_say(data: Path) -> None:
    streams = list(beep_streams(data, "dev", RATE_HZ, (20.0, 0.0), 2, 1))
    assert [stream.snr_db for stream in streams] == [20.0, 20.0, 0.0, 0.0]
    first = streams[0]
    assert first.device == "dev timer"
    assert first.is_pattern
    assert not first.kin
    assert first.pulse_s == pytest.approx(0.3)
    assert first.example_pulse == pytest.approx(SPANS_S[0])
    assert np.array(first.pulses) == pytest.approx(np.array(SPANS_S) + 4.0)
    onset, offset = (round(t * RATE_HZ) for t in first.pulses[1])
    inside = np.abs(np.fft.rfft(first.pcm[onset:offset]))
    assert np.argmax(inside) * RATE_HZ / (offset - onset) == pytest.approx(1_700, abs=5)


def test_rooms_tell_how_long_they_ring() -> None:
    assert ringing_s(recording("a.flac", "binaural room; T20-based RT60 1.63 s, peak")) == 1.63
    assert ringing_s(recording("a.flac", "a room")) is None


def test_every_other_stream_is_heard_in_a_homes_room(data: Path, tmp_path: Path) -> None:
    """Two rooms, of which one is a hall: it is never drawn at an even turn."""
    shutil.copytree(data, tmp_path, dirs_exist_ok=True)
    lines = (tmp_path / "manifest.csv").read_text().splitlines()
    kitchen = next(line for line in lines if line.startswith("dev/rir/"))
    hall = kitchen.replace("kitchen.flac", "hall.flac")
    (tmp_path / "dev/rir/hall.flac").write_bytes((tmp_path / "dev/rir/kitchen.flac").read_bytes())
    others = [line for line in lines if line != kitchen]
    rooms = [f"{kitchen}RT60 0.40 s", f"{hall}RT60 2.00 s"]
    (tmp_path / "manifest.csv").write_text("\n".join([*others, *rooms, ""]))
    streams = list(beep_streams(tmp_path, "dev", RATE_HZ, (20.0,), 16, 1))
    assert {stream.room_s for stream in streams[::2]} == {0.4}
    assert {stream.room_s for stream in streams[1::2]} == {0.4, 2.0}


def test_the_same_seed_composes_the_same_streams(data: Path) -> None:
    first, second = (next(beep_streams(data, "dev", RATE_HZ, (5.0,), 1, 3)) for _time in range(2))
    assert np.array_equal(first.pcm, second.pcm)
    other = next(beep_streams(data, "dev", RATE_HZ, (5.0,), 1, 4))
    assert not np.array_equal(first.pcm, other.pcm)


def test_a_split_never_hears_another_splits_sounds(data: Path) -> None:
    (negative,) = negative_streams(data, "test", RATE_HZ)
    assert negative.category == "household"
    assert len(negative.pcm) == 6 * RATE_HZ
    assert negative.path_at(3.0) == "test/household/fan.flac"


def test_a_split_without_beeps_is_refused(data: Path) -> None:
    with pytest.raises(DatasetError, match=r"split 'summer'.* has no beeps.*: dev, test, train\."):
        next(beep_streams(data, "summer", RATE_HZ, (20.0,), 1, 1))


def test_a_split_without_rooms_is_heard_in_rooms_that_are_made_up(
    data: Path, tmp_path: Path
) -> None:
    shutil.copytree(data, tmp_path, dirs_exist_ok=True)
    lines = (tmp_path / "manifest.csv").read_text().splitlines()
    bare = [line for line in lines if not line.startswith("dev/rir/")]
    (tmp_path / "manifest.csv").write_text("\n".join([*bare, ""]))
    first, again = (list(beep_streams(tmp_path, "dev", RATE_HZ, (20.0,), 8, 1)) for _ in range(2))
    assert len({stream.room_s for stream in first}) > 2
    assert [stream.pcm.tobytes() for stream in first] == [stream.pcm.tobytes() for stream in again]


def with_homes(data: Path, directory: Path, lengths_s: list[float]) -> Path:
    """The data with household recordings of dev of these lengths."""
    shutil.copytree(data, directory, dirs_exist_ok=True)
    lines = (directory / "manifest.csv").read_text().splitlines()
    fan = next(line for line in lines if line.startswith("dev/household/"))
    homes = [fan.replace("fan.flac", f"home{number}.flac") for number in range(len(lengths_s))]
    others = [line for line in lines if line != fan]
    (directory / "manifest.csv").write_text("\n".join([*others, *homes, ""]))
    hiss = np.random.default_rng(0).normal(0, 0.02, 10 * RATE_HZ)
    for number, length_s in enumerate(lengths_s):
        sound = hiss[: round(length_s * RATE_HZ)]
        soundfile.write(directory / f"dev/household/home{number}.flac", sound, RATE_HZ)
    return directory


@pytest.mark.parametrize("short_s", [0.05, 0.3, 0.45])
def test_households_too_short_to_be_joined_leave_no_stream_short(
    short_s: float, data: Path, tmp_path: Path
) -> None:
    """Clicks and claps are drawn as often as the others."""
    short = with_homes(data, tmp_path, [0.6, *[short_s] * 7])
    for stream in beep_streams(short, "dev", RATE_HZ, (20.0,), 8, 1):
        assert len(stream.pcm) == (2 + 4 + 3) * RATE_HZ  # the beep, before and after it
        assert np.abs(stream.pcm[-RATE_HZ // 10 :]).max() > 0


def test_a_split_whose_households_are_all_too_short_is_refused(data: Path, tmp_path: Path) -> None:
    short = with_homes(data, tmp_path, [0.3, 0.2])
    with pytest.raises(DatasetError, match=r"household.* split 'dev' is shorter than 0\.5 s"):
        next(beep_streams(short, "dev", RATE_HZ, (20.0,), 1, 1))
    assert negative_streams(short, "dev", RATE_HZ) == []
    assert varied_negatives(short, "dev", RATE_HZ, 0) == []


def test_it_is_said_what_a_split_lacks() -> None:
    beep = recording("dev/beep_real/a.flac", category="beep_real")
    assert list(shortcomings([beep], "dev")) == [
        "no room responses (category rir): the rooms are made up",
        "nothing without a beep: false alarms cannot be told",
    ]
    nameless = recording("dev/beep_real/b.flac", category="beep_real", pitch_hz=None)
    room = recording("dev/rir/a.flac", category="rir")
    home = recording("dev/household/a.flac", category="household")
    assert list(shortcomings([beep, nameless, room, home], "dev")) == [
        "left out 1 recording of beeps without f0_hz in manifest.csv"
    ]
    assert list(shortcomings([beep, room, home], "dev")) == []


def test_joined_recordings_overlap_by_their_fades() -> None:
    ones = np.ones(RATE_HZ, dtype=np.float32)
    whole = joined([ones, ones, np.ones(10, dtype=np.float32)], RATE_HZ)
    assert len(whole) == 2 * RATE_HZ - RATE_HZ // 4
    assert whole[RATE_HZ // 2 : -RATE_HZ // 2] == pytest.approx(1.0, abs=1e-5)


def test_varied_negatives_are_others_each_time_and_the_same_again(data: Path) -> None:
    (plain,) = negative_streams(data, "dev", RATE_HZ)
    (first,), (again,), (second,) = (
        varied_negatives(data, "dev", RATE_HZ, variant) for variant in (0, 0, 1)
    )
    assert np.array_equal(first.pcm, again.pcm)
    assert len(first.pcm) != len(second.pcm)
    for varied in (first, second):
        assert 1 / 1.13 < len(varied.pcm) / len(plain.pcm) < 1 / 0.89
        assert 10 ** (-30 / 20) * 0.99 < np.abs(varied.pcm).max() / 32_767 < 10 ** (-1 / 20) * 1.01


def test_tones_are_found_where_they_sound_even_over_a_loud_hum() -> None:
    spans_s = [(0.3, 0.45), (0.6, 0.75), (0.9, 1.05)]
    hum = beeps(100, [(0.0, 1.5)], 1.5)
    found = tonal_stretches((hum + beeps(2_000, spans_s, 1.5)).astype(np.float32), [2_000], RATE_HZ)
    assert np.array(found) == pytest.approx(np.array(spans_s), abs=0.011)


def test_two_tones_in_turn_are_one_pulse() -> None:
    low, high = beeps(1_000, [(0.3, 0.4)], 1.0), beeps(2_000, [(0.4, 0.5)], 1.0)
    (pulse,) = tonal_stretches((low + high).astype(np.float32), [1_000, 2_000], RATE_HZ)
    assert pulse == pytest.approx((0.3, 0.5), abs=0.011)


@pytest.mark.parametrize(
    ("name", "listed", "pulses"),
    [
        ("d16.flac", [], [(0.3, 0.4), (0.7, 0.8)]),  # its own tone alone
        ("timer_finished_alternative.flac", [], [(0.3, 0.5), (0.7, 0.9)]),  # both of its tones
        ("d16.flac", [(0.2, 0.6)], [(0.2, 0.6)]),
    ],
)
def test_a_beeps_pulses_are_the_listed_ones_or_those_of_its_tones(
    name: str, listed: list[tuple[float, float]], pulses: list[tuple[float, float]], tmp_path: Path
) -> None:
    low = beeps(1_034, [(0.3, 0.4), (0.7, 0.8)], 1.2)
    high = beeps(2_068, [(0.4, 0.5), (0.8, 0.9)], 1.2)
    soundfile.write(tmp_path / name, low + high, RATE_HZ)
    one = recording(name, pitch_hz=1_034.0)
    found = read_beep(tmp_path, one, {name: listed} if listed else {}, RATE_HZ)
    spans_s = [(pulse.onset_s, pulse.offset_s) for pulse in found.pulses]
    assert np.array(spans_s) == pytest.approx(np.array(pulses), abs=0.011)
    assert {pulse.pitch_hz for pulse in found.pulses} == {1_034.0}


def test_devs_clean_beeps_join_and_its_chimes_do_not() -> None:
    timer = recording("dev/beep_clean/some__timer_finished_alternative.flac")
    monitor = recording("dev/beep_clean/some__d16.flac", "ICU beep; f0 2896 Hz")
    noisy = recording("dev/beep_clean/some__d17.flac", "ICU beep; f0 1012 Hz", snr_db=0.1)
    chime = recording("dev/beep_clean/some__Glisten.flac")
    found = recorded_beeps([timer, monitor, noisy, chime], "dev")
    assert found == [timer, monitor]
    assert [is_kin(one) for one in found] == [False, True]
    assert [device_of(one) for one in found] == ["timer_finished_alternative", "d16"]
    assert device_of(recording("a__b.flac", group="kitchen timer")) == "kitchen timer"

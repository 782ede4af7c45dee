"""The bundled recording holds what its truth file says, where it says so."""

import csv
import itertools
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

import beepwatch.daemon

DEMO = Path(beepwatch.daemon.__file__).parent / "demo"


def rows(label: str) -> list[dict[str, str]]:
    with (DEMO / "kitchen.csv").open(newline="") as file:
        return [row for row in csv.DictReader(file) if row["label"] == label]


def sound() -> NDArray[np.float64]:
    samples, rate_hz = soundfile.read(DEMO / "kitchen.flac")
    assert rate_hz == 16_000
    return np.asarray(samples)


def tone_db(samples: NDArray[np.float64], f_hz: float) -> float:
    """Energy within 120 Hz of the tone, per sample."""
    spectrum = np.abs(np.fft.rfft(samples)) ** 2
    f = np.fft.rfftfreq(len(samples), 1 / 16_000)
    return float(10 * np.log10(spectrum[np.abs(f - f_hz) < 120].sum() / len(samples) ** 2))


def test_the_recording_is_mono_small_and_does_not_clip() -> None:
    samples = sound()
    assert samples.shape == (96 * 16_000,)
    assert np.abs(samples).max() < 0.9
    assert (DEMO / "kitchen.flac").stat().st_size < 2_000_000


@pytest.mark.parametrize("row", rows("beep"), ids=lambda row: row["onset_s"])
def test_each_beep_stands_at_least_10_db_over_the_second_before_it(row: dict[str, str]) -> None:
    named = re.search(r"(\d\.\d) kHz", row["device"])
    assert named, f"{row['device']} names no pitch"
    f_hz = 1_000 * float(named[1])
    samples = sound()
    onset, offset = (round(float(row[key]) * 16_000) for key in ("onset_s", "offset_s"))
    before = tone_db(samples[onset - 17_600 : onset - 1_600], f_hz)
    assert tone_db(samples[onset:offset], f_hz) > before + 10


def test_beeps_are_far_enough_apart_to_be_episodes_of_their_own() -> None:
    beeps = [(float(row["onset_s"]), float(row["offset_s"])) for row in rows("beep")]
    gaps_s = [onset - ended for (_, ended), (onset, _) in itertools.pairwise(beeps)]
    assert min(gaps_s) > 8


def test_the_scene_holds_a_tune_and_things_that_tempt() -> None:
    assert len(rows("melody")) == 1
    tempting = " ".join(row["device"] for row in rows(""))
    assert all(word in tempting for word in ("spinning", "rooster", "sentence"))


def test_every_sound_of_the_scene_is_credited_with_a_licence() -> None:
    credited = (DEMO / "CREDITS.md").read_text()
    for row in rows("beep") + rows("melody") + rows(""):
        line = next(line for line in credited.splitlines() if row["device"] in line)
        *_, source, _file, _commit, licence, _end = line.split("|")
        assert source.strip().startswith("https://")
        assert len(licence.strip()) > 2

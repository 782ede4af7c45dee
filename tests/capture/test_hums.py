"""While a machine is listened to, what the gate drops comes with its sound."""

import threading
from pathlib import Path

import numpy as np

from beepwatch.capture.listening import Listener
from beepwatch.clock import SystemClock
from beepwatch.messages import Hum, Quiet, Window
from beepwatch.sections import Capture
from tests.capture.sounds import DATA, RATE_HZ, noise, sine, write_wav


def listener_on(path: Path) -> Listener:
    return Listener(
        Capture(source=f"file:{path}"),
        rate_hz=RATE_HZ,
        clock=SystemClock(),
        speed="max",
        stop=threading.Event(),
    )


def test_where_hums_are_wanted_no_sound_is_kept_back_and_none_comes_twice(tmp_path: Path) -> None:
    """Half a minute of hum with a beep in it: what comes with sound covers it without a gap."""
    sound = np.rint(noise(30, 300, seed=2)).astype(np.int16)
    sound[10 * RATE_HZ : 11 * RATE_HZ] += sine(2_000, 1, peak=0.3)
    listener = listener_on(write_wav(tmp_path / "hum.wav", sound, RATE_HZ))
    listener.hums = True
    heard = [item for item in listener if isinstance(item, Window | Quiet)]
    assert [item.first_sample // RATE_HZ for item in heard] == list(range(28))
    hums = [item for item in heard if isinstance(item, Hum)]
    windows = [item for item in heard if isinstance(item, Window)]
    assert len(windows) >= 3
    assert 7 <= len(hums) <= 10
    end = 0
    for item in heard:
        if isinstance(item, Window | Hum):
            assert item.first_sample <= end
            end = item.first_sample + 3 * RATE_HZ
            assert item.waveform().tolist() == sound[item.first_sample : end].tolist()
    assert end > len(sound) - 3 * RATE_HZ


def test_where_they_are_not_a_dropped_window_has_no_sound() -> None:
    heard = list(listener_on(DATA / "mains_hum.flac"))
    assert any(isinstance(item, Quiet) for item in heard)
    assert not [item for item in heard if isinstance(item, Hum)]

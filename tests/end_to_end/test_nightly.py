"""At the configured hour the running daemon learns from what was tapped, and goes on listening."""

import contextlib
import subprocess
from datetime import timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from beepwatch.classify.shelf import Shelf
from beepwatch.clock import SystemClock
from beepwatch.daemon import nightly
from beepwatch.messages import Verdict
from tests.end_to_end.daemon import Daemon, daemon
from tests.train.beeper import RATE_HZ, beeping
from tests.train.teaching.taps import tap

TOY_HZ, OVEN_HZ, PANEL_HZ = 2_960.0, 2_100.0, 3_700.0
NIGHTLY = '[teaching]\nnightly = "03:30"\n'
SOON_S = 4.0  # from the start of the daemon until it is night


def zone_in_which_it_is_soon(at: str, soon_s: float) -> str:
    """As TZ has it: there the clock on the wall shows this time of day so many seconds from now."""
    now = SystemClock().utc() + timedelta(seconds=soon_s)
    hour, minute = map(int, at.split(":"))
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    behind_s = round((now - midnight).total_seconds()) - 3_600 * hour - 60 * minute
    behind_s -= 86_400 * round(behind_s / 86_400)
    hours, rest = divmod(abs(behind_s), 3_600)
    return f"HERE{'-' if behind_s < 0 else '+'}{hours}:{rest // 60:02}:{rest % 60:02}"


def start_just_before_night(beepwatch: Daemon) -> None:
    """It is up before the hour; a machine that is too slow for that is given more time."""
    soon_s, clock = SOON_S, SystemClock()
    while True:
        beepwatch.environment["TZ"] = zone_in_which_it_is_soon("03:30", soon_s)
        begun_s = clock.mono_s()
        beepwatch.start("--source", "stdin", "--speed", "max", stdin=subprocess.PIPE)
        beepwatch.wait_for_log('"ready"')
        if clock.mono_s() - begun_s < soon_s - 1:
            return
        beepwatch.stop()
        assert beepwatch.process is not None
        assert beepwatch.process.stdin is not None
        beepwatch.process.stdin.close()
        beepwatch.log.unlink()
        soon_s *= 3


def is_learning(beepwatch: Daemon) -> bool:
    """Whether the process that learns is there, with the other processes."""
    words = [nightly.MODULE.encode(), str(beepwatch.state).encode()]
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has ended
            if all(word in file.read_bytes().split(b"\0") for word in words):
                return True
    return False


def play(beepwatch: Daemon, *sounds: NDArray[np.int16]) -> None:
    assert beepwatch.process is not None
    assert beepwatch.process.stdin is not None
    beepwatch.process.stdin.write(np.concatenate(sounds).astype("<i2").tobytes())
    beepwatch.process.stdin.flush()


def test_what_was_tapped_is_learnt_at_night_while_it_listens_and_what_is_worse_is_not(
    tmp_path: Path,
) -> None:
    """A toy was called wrong; the oven was once called wrong and once right."""
    calm = beeping(OVEN_HZ, level=0, length_s=6.0)
    with daemon(tmp_path) as beepwatch:
        beepwatch.configure(NIGHTLY)
        beepwatch.state.mkdir(mode=0o700)
        taps = (
            (TOY_HZ, 1, Verdict.WRONG),
            (OVEN_HZ, 2, Verdict.WRONG),
            (OVEN_HZ, 3, Verdict.RIGHT),
        )
        toy, oven, right = (
            tap(beepwatch.state, beeping(pitch_hz, seed=seed), verdict, rate_hz=RATE_HZ)
            for pitch_hz, seed, verdict in taps
        )
        start_just_before_night(beepwatch)
        beepwatch.wait_until(lambda: is_learning(beepwatch), "process that learns")
        play(beepwatch, beeping(PANEL_HZ, seed=4), calm)
        beepwatch.wait_for_log("episode_over")
        beepwatch.wait_for_log("learnt from your taps")
        beepwatch.wait_for_log('"process_replaced"')
        play(beepwatch, beeping(TOY_HZ, seed=5), calm, beeping(OVEN_HZ, seed=6), calm)
        assert beepwatch.process is not None
        assert beepwatch.process.stdin is not None
        beepwatch.process.stdin.close()
        assert beepwatch.wait() == 0, beepwatch.log.read_text()
        written = beepwatch.log.read_text()
        events = [event for event in beepwatch.events() if event["verdict"] is None]
        shelf = Shelf(beepwatch.state)
        assert list(shelf.digests()) == [f"wrong-{toy}"]
    assert [(event["label"], event["pulses"]) for event in events] == [("beep", 3)] * 2
    assert f"wrong-{oven} is not learnt: it would silence event {right} too" in written
    assert written.count('"process_replaced"') == 1
    assert '"dropped_windows": 0' in written

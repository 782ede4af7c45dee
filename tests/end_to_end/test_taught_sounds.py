"""A sound that is taught while the daemon runs is told by its name from then on."""

import os
import signal
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import soundfile

import beepwatch.daemon
from beepwatch.classify.shelf import Shelf
from tests.classify.pitched import pitched
from tests.end_to_end.daemon import Daemon, daemon

KITCHEN = Path(beepwatch.daemon.__file__).parent / "demo" / "kitchen.flac"
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
TIMER_S, PANEL_S, KEY_S, CALM_S = (6, 13), (41, 49), (55, 60), (50, 54)
PANEL_HZ = 4_870.0
RULES = '[[rules]]\nlabel = "beep"\ncooldown_s = 5\ntext = "something has beeped"\n'


def played(*parts: tuple[float, float]) -> bytes:
    """Pieces of the demo's recording, from second to second, as raw sound."""
    pcm, rate_hz = soundfile.read(KITCHEN, dtype="int16")
    pieces = [pcm[round(start * rate_hz) : round(stop * rate_hz)] for start, stop in parts]
    return np.concatenate(pieces).astype("<i2").tobytes()


def labels(beepwatch: Daemon) -> Sequence[str]:
    return [event["label"] for event in beepwatch.events()]


def test_what_is_taught_while_it_listens_has_its_name_from_the_next_time_on(
    tmp_path: Path,
) -> None:
    """Heard before, it is a beep; after, it is not also a beep; and all else stays as it was."""
    with daemon(tmp_path) as beepwatch:
        beepwatch.configure(RULES)
        beepwatch.start("--source", "stdin", "--speed", "max", stdin=subprocess.PIPE)
        assert beepwatch.process is not None
        sound = beepwatch.process.stdin
        assert sound is not None
        sound.write(played(TIMER_S, PANEL_S, CALM_S, CALM_S))
        sound.flush()
        beepwatch.wait_for_log("episode_over", times=2)
        assert labels(beepwatch) == ["beep", "beep"]
        Shelf(beepwatch.state).put(pitched("panel", PANEL_HZ), NOW)
        beepwatch.wait_for_log('"process_replaced"')
        sound.write(played(PANEL_S, CALM_S, KEY_S, CALM_S, CALM_S))
        sound.close()
        assert beepwatch.wait() == 0, beepwatch.log.read_text()
        assert labels(beepwatch) == ["beep", "beep", "panel", "beep"]
        written = beepwatch.log.read_text()
    assert written.count('"process_replaced"') == 1
    assert '"changed": ["the taught sounds"]' in written
    told = [line.split("  ")[1] for line in written.splitlines() if "  score " in line]
    assert told == ["something has beeped"] * 2 + ["panel", "something has beeped"]


def test_on_a_terminal_a_taught_sound_is_picked_up_and_a_closed_window_is_the_end(
    tmp_path: Path,
) -> None:
    terminal, behind = os.openpty()
    with daemon(tmp_path) as beepwatch:
        beepwatch.configure("")
        beepwatch.start("--source", f"file:{KITCHEN}", stdin=behind)
        assert beepwatch.process is not None
        beepwatch.wait_for_log('"listening"')
        Shelf(beepwatch.state).put(pitched("panel", PANEL_HZ), NOW)
        beepwatch.wait_for_log('"process_replaced"')
        beepwatch.process.send_signal(signal.SIGHUP)
        assert beepwatch.wait() == 0
        assert '"stopping"' in beepwatch.log.read_text()
    os.close(terminal)
    os.close(behind)

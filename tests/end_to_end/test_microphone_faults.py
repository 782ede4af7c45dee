"""A microphone that is not there, goes away, hangs or is forbidden: told once, and found again."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import psutil
import pytest

from tests.bot_api import BotApi
from tests.end_to_end.daemon import Daemon, daemon
from tests.end_to_end.sounds import BEEPS, with_silence
from tests.sound_server import SoundServer, sound_server

CONFIG = "[notify.console]\nenabled = false\n"
OTHER_DEVICES = """
pcm.aaa { type null hint { show on description "Nothing" } }
pcm.bbb { type null hint { show on description "Nothing" } }
"""


BACK = "microphone is heard again"


def first_lines(texts: list[str]) -> set[str]:
    """What is said; below it stands when."""
    return {text.splitlines()[0] for text in texts}


class Room:
    """A microphone, a daemon that listens to it, and the phone that it tells."""

    def __init__(self, api: BotApi, server: SoundServer, beepwatch: Daemon, beep: Path) -> None:
        self.api = api
        self.server = server
        self.beepwatch = beepwatch
        self._beep = beep

    def told(self, count: int) -> list[str]:
        """The first so many messages without sound."""
        requests = self.api.wait_for("sendMessage", count=count, within_s=60)
        return [request.fields["text"] for request in requests]

    def hear_a_beep(self) -> None:
        """From the loudspeaker to the phone."""
        self.server.play(self._beep)
        self.api.wait_for("sendVoice", within_s=60)

    def all_told_by_the_end(self) -> list[str]:
        """The daemon ends in order; the messages without sound."""
        assert self.beepwatch.stop() == 0
        return [request.fields["text"] for request in self.api.calls("sendMessage")]

    def recorder(self) -> int:
        """The process of the child that has loaded PortAudio."""
        for pid in self.beepwatch.children():
            if "portaudio" in Path(f"/proc/{pid}/maps").read_text():
                return pid
        raise AssertionError("no child has loaded PortAudio")


@contextmanager
def room(directory: Path, *, plugged_in: bool = True) -> Iterator[Room]:
    beep = with_silence(BEEPS, directory / "beep.wav", before_s=0.0, after_s=0.2)
    with (
        BotApi() as api,
        sound_server(directory / "sound") as server,
        daemon(directory, server.environment) as beepwatch,
    ):
        if not plugged_in:
            server.kill()
        beepwatch.configure(CONFIG, api)
        yield Room(api, server, beepwatch, beep)


@pytest.mark.mic
@pytest.mark.slow
def test_a_microphone_that_is_absent_at_the_start_is_waited_for(tmp_path: Path) -> None:
    with room(tmp_path, plugged_in=False) as here:
        here.beepwatch.start()
        (missing,) = here.told(1)
        here.beepwatch.wait_for_log("ready")
        here.server.start()
        here.told(3)
        texts = here.all_told_by_the_end()

    assert "there is no input device" in missing
    assert first_lines(texts[1:]) == {
        "beepwatch is listening to microphone",
        BACK,
        "beepwatch has stopped listening",
    }
    assert len(texts) == 4


@pytest.mark.mic
@pytest.mark.slow
def test_a_microphone_that_is_unplugged_is_found_with_another_index(tmp_path: Path) -> None:
    """Neither the server's order of sources nor PortAudio's of devices is what it was.

    A recorder that is killed in between knows what was told.
    """
    with room(tmp_path) as here:
        here.beepwatch.start()
        here.told(1)
        before = here.server.sources()
        here.server.unplug()
        _, lost = here.told(2)
        os.kill(here.recorder(), signal.SIGKILL)
        here.beepwatch.wait_for_log("process_died")
        here.server.asoundrc.write_text(OTHER_DEVICES + here.server.asoundrc.read_text())
        here.server.plug_in_another()
        here.server.plug_in()
        after = here.server.sources()
        here.told(3)
        here.hear_a_beep()
        texts = here.all_told_by_the_end()

    assert before.index("laundry_microphone") != after.index("laundry_microphone")
    assert "was lost" in lost
    assert first_lines(texts[2:3]) == {BACK}
    assert len(texts) == 4


@pytest.mark.mic
@pytest.mark.slow
def test_a_sound_server_that_hangs_is_told_though_it_answers_nothing(tmp_path: Path) -> None:
    with room(tmp_path) as here:
        here.beepwatch.start()
        here.told(1)
        here.server.hang()
        _, hangs = here.told(2)
        here.server.go_on()
        here.told(3)
        texts = here.all_told_by_the_end()

    assert "has given no samples" in hangs
    assert first_lines(texts[2:3]) == {BACK}
    assert len(texts) == 4


@pytest.mark.mic
@pytest.mark.slow
def test_a_recorder_that_a_hanging_sound_server_holds_does_not_outlive_the_supervisor(
    tmp_path: Path,
) -> None:
    with room(tmp_path) as here:
        here.beepwatch.start()
        here.told(1)
        children = [psutil.Process(pid) for pid in here.beepwatch.children()]
        here.server.hang()
        here.told(2)  # from here on it waits for the server to let it close the stream
        os.kill(here.beepwatch.pid, signal.SIGKILL)
        _, alive = psutil.wait_procs(children, timeout=60)

    assert alive == []


@pytest.mark.mic
@pytest.mark.slow
def test_a_sound_server_that_lets_nobody_in_is_told_with_its_socket(tmp_path: Path) -> None:
    """Root is one like others here: it may no longer pass over a file's mode."""
    command: tuple[str, ...] = (sys.executable, "-m", "beepwatch")
    if os.geteuid() == 0:
        command = ("setpriv", "--bounding-set=-dac_override,-dac_read_search", *command)
    with room(tmp_path) as here:
        here.server.allow(yes=False)
        here.beepwatch.start(command=command)
        (forbidden,) = here.told(1)
        here.server.allow(yes=True)
        here.told(3)
        texts = here.all_told_by_the_end()

    assert "pulse.socket may not be opened by this user" in forbidden
    assert BACK in first_lines(texts)
    assert len(texts) == 4


@pytest.mark.mic
@pytest.mark.slow
@pytest.mark.parametrize("after_s", [0.0, 1.5])
def test_a_beep_in_which_the_recorder_is_killed_is_told_once(
    tmp_path: Path, after_s: float
) -> None:
    """Five seconds of pulses; whoever listens next hears the rest of them."""
    with room(tmp_path) as here:
        here.beepwatch.start()
        here.told(1)
        killed = here.recorder()
        with ThreadPoolExecutor() as pool:
            heard = pool.submit(here.hear_a_beep)
            threading.Event().wait(after_s)
            os.kill(killed, signal.SIGKILL)
            heard.result()
        here.beepwatch.wait_for_log("process_died")
        assert here.beepwatch.stop() == 0
        (event,) = here.beepwatch.events()

    onset, offset = (datetime.fromisoformat(event[end]) for end in ("onset", "offset"))
    assert offset - onset > timedelta(seconds=after_s + 1)
    assert len(here.api.calls("sendVoice")) == 1
    assert {alert["state"] for alert in event["alerts"]} == {"sent"}

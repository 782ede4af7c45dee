"""Real ALSA, PortAudio and PulseAudio, with a microphone that is held, forbidden, picky or mute."""

import fcntl
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

import pytest

from tests.capture.recorder import Recorder
from tests.capture.sounds import noise, write_wav
from tests.sound_server import sound_server

pytestmark = [pytest.mark.mic]
AS_ANYBODY = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")


class SoundCard:
    """ALSA with `sound_card.c` for its one device."""

    def __init__(self, plugin: Path, home: Path) -> None:
        self.lock = home / "card.lock"
        self.lock.touch()
        self._plugin = plugin
        self._asoundrc = home / ".asoundrc"
        self.environment = {
            "HOME": str(home),
            "PULSE_SERVER": "unix:/nowhere",
            "PATH": "/usr/sbin:/usr/bin:/bin",
        }
        self.be(lowest_hz=8_000, highest_hz=48_000)

    def be(self, *, lowest_hz: int, highest_hz: int, refused_hz: int = 0) -> None:
        """Take these rates; promise one that it then refuses."""
        self._asoundrc.write_text(
            f'pcm_type.card {{ lib "{self._plugin}" }}\n'
            f'pcm.!default {{ type card lock "{self.lock}" lowest_hz {lowest_hz} '
            f"highest_hz {highest_hz} refused_hz {refused_hz} hint.show on }}\n"
        )

    @contextmanager
    def held(self) -> Iterator[None]:
        """By another program than the one that listens: this one."""
        with self.lock.open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    @contextmanager
    def forbidden(self) -> Iterator[None]:
        """For everybody but a root that may pass over it."""
        self.lock.chmod(0o000)
        try:
            yield
        finally:
            self.lock.chmod(0o600)


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("plugin") / "sound_card.so"
    source = Path(__file__).with_name("sound_card.c")
    flags = ("-shared", "-fPIC", "-DPIC", "-O1", "-Wall", "-Wextra", "-Werror")
    subprocess.run(["gcc", *flags, "-o", made, source, "-lasound"], check=True)
    return made


@pytest.fixture
def card(plugin: Path, tmp_path: Path) -> SoundCard:
    return SoundCard(plugin, tmp_path)


@pytest.mark.parametrize("taken", [SoundCard.held, SoundCard.forbidden])
def test_a_microphone_that_may_not_be_opened_is_taken_as_soon_as_it_may(
    card: SoundCard, taken: Callable[[SoundCard], AbstractContextManager[None]]
) -> None:
    before = AS_ANYBODY if os.geteuid() == 0 else ()
    with taken(card):
        recorder = Recorder(card.environment, before=before)
        missing = recorder.next("Fault")
    with closing(recorder):
        over = recorder.next("Fault")

    assert (missing["kind"], missing["cleared"]) == ("no device", False)
    assert "end the program that holds the microphone" in missing["text"]
    assert (over["kind"], over["cleared"]) == ("no device", True)
    assert over["counts"]["faults"] == 1


def test_a_device_that_refuses_its_own_rate_is_opened_at_another(card: SoundCard) -> None:
    """PortAudio calls 44.1 kHz its own, which it promises and does not take."""
    card.be(lowest_hz=8_000, highest_hz=48_000, refused_hz=44_100)
    with closing(Recorder(card.environment)) as recorder:
        listening = recorder.next("Listening")

    assert listening["rate_hz"] == 48_000
    assert listening["counts"]["faults"] == 0


def test_a_device_of_one_odd_rate_is_opened_at_it(card: SoundCard) -> None:
    card.be(lowest_hz=22_050, highest_hz=22_050)
    with closing(Recorder(card.environment)) as recorder:
        assert recorder.next("Listening")["rate_hz"] == 22_050


def test_a_device_that_refuses_every_rate_is_told_once_and_tried_again(
    card: SoundCard, tmp_path: Path
) -> None:
    """And PortAudio's three lines for each of 24 tries are not in the log."""
    card.be(lowest_hz=22_050, highest_hz=22_050, refused_hz=22_050)
    stderr = tmp_path / "stderr"
    with closing(Recorder(card.environment, stderr=stderr)) as recorder:
        refused = recorder.next("Fault")
        card.be(lowest_hz=22_050, highest_hz=22_050)
        over = recorder.next("Fault")

    assert "refuses every rate and format" in refused["text"]
    assert (refused["cleared"], over["cleared"]) == (False, True)
    assert "Expression" not in stderr.read_text()


def test_nothing_but_zeros_is_told_until_there_is_sound(tmp_path: Path) -> None:
    """A sink that nobody plays to gives zeros; the limit is 1 s instead of 30."""
    hiss = write_wav(tmp_path / "hiss.wav", noise(3, 30, seed=1).round().astype("<i2"), 16_000)
    with (
        sound_server(tmp_path) as server,
        closing(Recorder(server.environment, all_zero_after_s=1.0)) as recorder,
    ):
        mute = recorder.next("Fault")
        player = threading.Thread(target=server.play, args=(hiss,))
        player.start()
        over = recorder.next("Fault")
        player.join()

    assert (mute["kind"], mute["cleared"]) == ("all zero", False)
    assert (over["kind"], over["cleared"]) == ("all zero", True)


def test_a_source_that_the_server_suspends_is_stalled_until_it_goes_on(tmp_path: Path) -> None:
    """So it does while another program has reserved the device for itself."""
    with (
        sound_server(tmp_path) as server,
        closing(Recorder(server.environment)) as recorder,
    ):
        recorder.next("Listening")
        server.suspend(yes=True)
        stalled = recorder.next("Fault")
        server.suspend(yes=False)
        over = recorder.next("Fault")

    assert (stalled["kind"], stalled["cleared"]) == ("stalled", False)
    assert (over["kind"], over["cleared"]) == ("stalled", True)


def test_the_doctor_does_not_wait_for_a_sound_server_that_hangs(tmp_path: Path) -> None:
    program = (
        "from beepwatch.capture import diagnosis\n"
        "from beepwatch.sections import Capture\n"
        "diagnosis._ANSWERS_WITHIN_S = 1.0\n"
        "print(diagnosis.microphone_report(Capture()).faults[0])"
    )
    with sound_server(tmp_path) as server:
        server.hang()
        told = subprocess.run(
            [sys.executable, "-c", program],
            env={**server.environment, "PYTHONPATH": str(Path(__file__).parents[2])},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )

    assert "microphone has not answered for 1 s" in told.stdout
    assert "Restart the sound server" in told.stdout

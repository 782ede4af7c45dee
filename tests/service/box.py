"""What a test does with beepwatch on a booted machine, and what it looks at."""

import subprocess
import wave
from pathlib import Path

from tests.bot_api import TOKEN, BotApi
from tests.end_to_end.sounds import BEEPS, with_silence
from tests.service.debian import PROGRAM
from tests.service.machine import Machine

CHAT_ID = 4711
UNIT = "beepwatch.service"
_REPEATS = 100


class Box:
    """A machine whose beepwatch is to be, or is, a service."""

    def __init__(self, machine: Machine, user: int | None = None) -> None:
        self.machine = machine
        self.user = user
        self._manager = ["--user"] if user is not None else []

    def service(self, verb: str) -> subprocess.CompletedProcess[str]:
        """`beepwatch service VERB`."""
        words = (PROGRAM, "service", verb, *self._manager)
        return self.machine.attempt(*words, user=self.user)

    def install(self) -> str:
        """What `beepwatch service install` said."""
        done = self.service("install")
        assert done.returncode == 0, f"{done.stdout}{done.stderr}\n{self.journal()}"
        return done.stdout

    def systemctl(self, *words: str) -> str:
        """Of its manager."""
        return self.machine.run("systemctl", *self._manager, *words, user=self.user)

    def shown(self, name: str) -> str:
        """What `systemctl show` says of the unit."""
        return self.systemctl("show", UNIT, f"--property={name}", "--value").strip()

    @property
    def supervisor(self) -> int:
        """Its process id, as the machine counts."""
        return int(self.shown("MainPID"))

    def children(self) -> list[int]:
        """Those of recorder, classifier and messenger."""
        listed = self.machine.attempt("pgrep", "--parent", str(self.supervisor)).stdout
        return [int(pid) for pid in listed.split()]

    def journal(self) -> str:
        """All that systemd kept of it."""
        whose = f"--unit={UNIT}" if self.user is None else f"_SYSTEMD_USER_UNIT={UNIT}"
        return self.machine.run("journalctl", whose, "--output=cat", "--no-pager")

    def wait_for_journal(self, text: str) -> None:
        """Until systemd has kept it."""
        self.machine.wait_until(lambda: text in self.journal(), f"{text!r} in the journal")

    def wait_until_shown(self, name: str, value: str) -> None:
        """Until systemd says so of the unit."""
        self.machine.wait_until(lambda: self.shown(name) == value, f"{name}={value}")

    def wait_until_replaced(self, child: int) -> None:
        """Until a child is gone and there are three again."""
        self.machine.wait_until(
            lambda: child not in self.children() and len(self.children()) == 3,
            "another child in its place",
        )

    def wait_for_beep(self, api: BotApi) -> None:
        """Until one more beep has reached the phone than now."""
        already = len(api.calls("sendVoice"))
        self.machine.wait_until(
            lambda: len(api.calls("sendVoice")) > already, "a beep on the phone"
        )


def configuration(source: str, api: BotApi) -> str:
    """Tells every beep, to one chat."""
    return (
        f'[capture]\nsource = "{source}"\n'
        '[[rules]]\nlabel = "beep"\ncooldown_s = 0\n'
        "[store]\nmin_free_mb = 1\n"
        f'[notify.telegram]\nchat_ids = [{CHAT_ID}]\nbase_url = "{api.base_url}"\n'
    )


def beeps_for_minutes(directory: Path) -> Path:
    """A burst of pulses every few seconds, as a WAV file."""
    burst = with_silence(BEEPS, directory / "burst.wav", before_s=0.5, after_s=4.0)
    with wave.open(str(burst), "rb") as file:
        parameters, sound = file.getparams(), file.readframes(file.getnframes())
    with wave.open(str(directory / "beeps.wav"), "wb") as file:
        file.setparams(parameters)
        file.writeframes(sound * _REPEATS)
    return directory / "beeps.wav"


def hand_over_the_token(box: Box) -> None:
    """Where `telegram pair` puts it."""
    box.machine.write("/etc/beepwatch/telegram-token", f"{TOKEN}\n", mode=0o600)

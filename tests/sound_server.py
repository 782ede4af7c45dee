"""A real PulseAudio with a loudspeaker that a microphone hears: a null sink and its monitor.

It has its own home, socket and configuration, so that nothing of the machine's own sound is
touched, and hands out the environment that makes PortAudio's default device, and `paplay`, use it.
"""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_ASOUNDRC = """\
pcm.!default { type pulse hint { show on description "Sound server" } }
ctl.!default { type pulse }
"""
_START_WITHIN_S = 60.0
_SPEAKER = "loudspeaker"
_MICROPHONE = "laundry_microphone"


class SoundServer:
    """PulseAudio as a child process; `environment` is for every program that is to use it."""

    def __init__(self, directory: Path, rate_hz: int = 44_100, period_ms: int = 10) -> None:
        self.rate_hz = rate_hz
        self._period_ms = period_ms  # how often the loudspeaker's sound goes on to its listeners
        self._directory = directory
        self._socket = directory / "pulse.socket"
        self._process: subprocess.Popen[bytes] | None = None
        self._keeper: subprocess.Popen[bytes] | None = None
        self._log = directory / "pulseaudio.log"
        for name in ("home", "runtime", "config", "state"):
            (directory / name).mkdir(parents=True, exist_ok=True)
            (directory / name).chmod(0o700)
        self.asoundrc = directory / "home" / ".asoundrc"
        self.asoundrc.write_text(_ASOUNDRC)
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("PULSE_")},  # noqa: TID251 - children inherit it
            "HOME": str(directory / "home"),
            "XDG_RUNTIME_DIR": str(directory / "runtime"),
            "XDG_CONFIG_HOME": str(directory / "config"),
            "XDG_STATE_HOME": str(directory / "state"),
            "PULSE_SERVER": f"unix:{self._socket}",
            "PULSE_COOKIE": str(directory / "cookie"),
        }

    def start(self) -> None:
        """Start the server and wait until it answers."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *("pulseaudio", "-n", "--daemonize=no", "--use-pid-file=no"),
                    *("--exit-idle-time=-1", "--disallow-exit", "--log-target=stderr"),
                    f"--load=module-native-protocol-unix auth-anonymous=1 socket={self._socket}",
                ],
                env={**self.environment, "PULSE_SERVER": ""},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        deadline_s = time.monotonic() + _START_WITHIN_S
        while not self._answers():
            if time.monotonic() > deadline_s or self._process.poll() is not None:
                raise RuntimeError(f"PulseAudio did not start:\n{self._log.read_text()}")
            threading.Event().wait(0.05)
        self.plug_in()

    def plug_in(self) -> None:
        """Let there be the microphone, with the next free indices, and be the default."""
        speaker = (f"sink_name={_SPEAKER}", f"rate={self.rate_hz}", "channels=2")
        self._control("load-module", "module-null-sink", *speaker)
        microphone = (f"source_name={_MICROPHONE}", f"master={_SPEAKER}.monitor")
        self._control("load-module", "module-remap-source", *microphone)
        self._control("set-default-source", _MICROPHONE)
        self._control("set-default-sink", _SPEAKER)
        # A null sink that nobody listens to closely wakes up every two seconds, and keeps a new
        # listener waiting for so long; a sound card does not. So somebody listens closely.
        self._keeper = subprocess.Popen(
            ["parec", f"--device={_MICROPHONE}", f"--latency-msec={self._period_ms}", "/dev/null"],
            env=self.environment,
            stdin=subprocess.DEVNULL,
        )

    def wait_for_sound(self) -> None:
        """Until the microphone gives sound: the first may take two seconds, unlike a card's."""
        heard = subprocess.Popen(
            ["parec", f"--device={_MICROPHONE}", "--raw", "--latency-msec=10"],
            env=self.environment,
            stdout=subprocess.PIPE,
        )
        assert heard.stdout is not None
        heard.stdout.read(1)
        heard.kill()
        heard.communicate()

    def unplug(self) -> None:
        """Take the microphone away; the server stays, without any source."""
        self._control("unload-module", "module-remap-source")
        self._control("unload-module", "module-null-sink")
        if self._keeper is not None:
            self._keeper.kill()
            self._keeper.wait()

    def plug_in_another(self) -> None:
        """A sink nobody plays to, whose monitor is one more source."""
        self._control("load-module", "module-null-sink", "sink_name=television")

    def sources(self) -> list[str]:
        """What the server lists, in its order."""
        listed = subprocess.run(
            ["pactl", "list", "short", "sources"],
            env=self.environment,
            check=True,
            capture_output=True,
            text=True,
        )
        return [line.split("\t")[1] for line in listed.stdout.splitlines()]

    def suspend(self, *, yes: bool) -> None:
        """What the server does with a device that another program reserves for itself."""
        self._control("suspend-source", _MICROPHONE, "1" if yes else "0")
        self._control("suspend-sink", _SPEAKER, "1" if yes else "0")

    def hang(self) -> None:
        """It takes connections and answers nothing, until `go_on`."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """The end of `hang`."""
        self._signal(signal.SIGCONT)

    def allow(self, *, yes: bool) -> None:
        """Whether anybody but root may connect."""
        self._socket.chmod(0o777 if yes else 0o000)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """Take it away without a word, as a crash or a pulled plug would."""
        for process in (self._keeper, self._process):
            if process is not None:
                process.kill()
                process.wait()
        self._keeper = self._process = None
        self._socket.unlink(missing_ok=True)

    def play(self, path: Path) -> None:
        """Play a sound file (WAV, FLAC, …) to its end through the loudspeaker."""
        subprocess.run(
            ["paplay", f"--device={_SPEAKER}", str(path)], env=self.environment, check=True
        )

    def _answers(self) -> bool:
        command = ["pactl", "info"]
        asked = subprocess.run(command, env=self.environment, capture_output=True, check=False)
        return asked.returncode == 0

    def _control(self, *words: str) -> None:
        subprocess.run(["pactl", *words], env=self.environment, check=True, capture_output=True)


@contextmanager
def sound_server(
    directory: Path, rate_hz: int = 44_100, period_ms: int = 10
) -> Iterator[SoundServer]:
    """A running server, killed by its process id at the end."""
    server = SoundServer(directory, rate_hz, period_ms)
    try:
        server.start()
        yield server
    finally:
        server.kill()

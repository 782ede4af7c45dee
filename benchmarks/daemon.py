"""What the whole daemon costs and how soon it tells: python -m benchmarks.daemon WHAT [OPTIONS].

startup    from the start of the process to the first samples heard
latency    from the end of a beep at the microphone to the first byte of the Telegram request
footprint  memory and processor time of all processes, samples lost

The microphone is a real sound server's (tests/sound_server.py), the phone a stand-in of the Bot
API (tests/bot_api.py); everything in between is the program as installed. Figures of memory mean
something only with `--program` from an environment without development tools.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import IO, cast

import numpy as np
import psutil
import soundfile

from tests.bot_api import BotApi
from tests.end_to_end.daemon import daemon
from tests.sound_server import SoundServer, sound_server

RATE_HZ = 44_100
BEEP_HZ = 2_900
RULE = '[[rules]]\nlabel = "beep"\ncooldown_s = 0\n'


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=["startup", "latency", "footprint"])
    parser.add_argument("--program", type=Path, help="the beepwatch executable to measure")
    parser.add_argument("--times", type=int, default=50, help="starts, or beeps")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--silent", action="store_true", help="a silent room, windows gated")
    parser.add_argument(
        "--period-ms", type=int, default=50, help="of the sound server; a sound card's is 20 to 100"
    )
    parser.add_argument("--load", action="store_true", help="keep one core busy")
    options = parser.parse_args()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(sound_server(directory / "sound", period_ms=options.period_ms))
        if options.load:
            busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
            stack.callback(busy.kill)
        measure = {"startup": _startup, "latency": _latency, "footprint": _footprint}[options.what]
        measure(options, directory, server)


def _startup(options: argparse.Namespace, directory: Path, server: SoundServer) -> None:
    taken_s = []
    server.wait_for_sound()
    for number in range(options.times):
        with daemon(directory, server.environment) as one:
            one.log = directory / f"start-{number}.log"
            one.configure("")
            begun_s = time.monotonic()
            one.start(program=options.program)
            one.wait_for_log('"event": "listening"')
            taken_s.append(time.monotonic() - begun_s)
            one.stop()
    _report("run to listening, s", taken_s)


def _latency(options: argparse.Namespace, directory: Path, server: SoundServer) -> None:
    beep = directory / "beep.wav"
    _write_beep(beep)
    noise = _play_noise(directory, server, level=0.002)
    with BotApi() as api, daemon(directory, server.environment) as one:
        one.configure(f"[notify]\nnotices = false\n{RULE}", api)
        one.start(program=options.program)
        one.wait_for_log('"event": "listening"')
        ear = _Ear(server)
        chance = np.random.default_rng(1)
        taken_s = []
        for number in range(options.times):
            time.sleep(chance.uniform(5.0, 6.5))
            ear.arm()
            server.play(beep)
            ended_s = ear.beep_ended_s()
            voices = api.wait_for("sendVoice", count=number + 1, within_s=20)
            taken_s.append(voices[number].first_byte_mono_s - ended_s)
        ear.close()
        one.stop()
    noise.kill()
    _report("end of a beep to the first byte of the request, s", taken_s)


def _footprint(options: argparse.Namespace, directory: Path, server: SoundServer) -> None:
    noise = _play_noise(directory, server, level=0.0003 if options.silent else 0.05)
    gate = "true" if options.silent else "false"
    with BotApi() as api, daemon(directory, server.environment) as one:
        one.configure(f"[capture]\ngate = {gate}\n", api)
        one.start(program=options.program)
        one.wait_for_log('"event": "listening"')
        time.sleep(20)  # past the start and the first notice
        processes = [psutil.Process(one.pid)]
        processes += processes[0].children(recursive=True)
        before_s = [_cpu_s(process) for process in processes]
        begun_s = time.monotonic()
        time.sleep(options.minutes * 60)
        wall_s = time.monotonic() - begun_s
        total_mb = total_own_mb = 0.0
        for process, cpu_before_s in zip(processes, before_s, strict=True):
            memory = process.memory_full_info()
            total_mb += memory.pss / 1e6
            total_own_mb += memory.uss / 1e6
            share = (_cpu_s(process) - cpu_before_s) / wall_s
            print(_line(_name(process), memory.pss / 1e6, memory.uss / 1e6, share))
        cpu_s = sum(_cpu_s(process) for process in processes) - sum(before_s)
        print(_line("whole daemon", total_mb, total_own_mb, cpu_s / wall_s))
        one.stop()
        counts = [line for line in one.log.read_text().splitlines() if '"stopped"' in line]
        print("counted:", counts[-1] if counts else "nothing")
    noise.kill()


def _line(name: str, proportional_mb: float, own_mb: float, share: float) -> str:
    return (
        f"{name:30} {proportional_mb:6.1f} MB, {own_mb:6.1f} MB of it shared with nobody  "
        f"{100 * share:5.2f} % of a core"
    )


class _Ear:
    """Listens beside the daemon and notes when a beep's sound ends at the microphone."""

    def __init__(self, server: SoundServer) -> None:
        command = ["parec", "--raw", "--format=s16le", "--channels=1", "--latency-msec=10"]
        self._process = subprocess.Popen(
            [*command, f"--rate={RATE_HZ}"], env=server.environment, stdout=subprocess.PIPE
        )
        self._sound = cast(IO[bytes], self._process.stdout)
        self._ended = threading.Event()
        self._ended_s = 0.0
        self._armed = False
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def arm(self) -> None:
        """The next beep counts."""
        self._ended.clear()
        self._armed = True

    def beep_ended_s(self) -> float:
        """Monotonic time at which the last loud block had come."""
        if not self._ended.wait(20):
            raise RuntimeError("no beep reached the microphone")
        return self._ended_s

    def close(self) -> None:
        """Stop listening."""
        self._process.kill()
        self._process.wait()

    def _listen(self) -> None:
        heard = False
        while block := self._sound.read(RATE_HZ // 100 * 2):
            loud = int(np.abs(np.frombuffer(block, dtype="<i2")).max()) > 3_000
            if loud and self._armed:
                heard, self._ended_s = True, time.monotonic()
            elif heard and time.monotonic() - self._ended_s > 0.3:
                heard = self._armed = False
                self._ended.set()


def _write_beep(path: Path) -> None:
    """One pulse of half a second with harmonics, as a piezo buzzer gives it."""
    times_s = np.arange(round(0.5 * RATE_HZ)) / RATE_HZ
    tone = sum(np.sin(2 * np.pi * BEEP_HZ * k * times_s) / k**2 for k in (1, 2, 3))
    fade = np.minimum(1, np.minimum(times_s, times_s[::-1]) / 0.005)
    soundfile.write(path, 0.3 * tone * fade, RATE_HZ)


def _play_noise(directory: Path, server: SoundServer, level: float) -> "subprocess.Popen[bytes]":
    """Hours of a room's noise: white, falling 3 dB an octave."""
    spectrum = np.fft.rfft(np.random.default_rng(0).standard_normal(60 * RATE_HZ))
    pink = np.fft.irfft(spectrum / np.sqrt(np.maximum(np.arange(len(spectrum)), 1)))
    path = directory / "noise.wav"
    soundfile.write(path, level * pink / pink.std(), RATE_HZ)
    loop = f"while paplay --device=loudspeaker '{path}'; do :; done"
    return subprocess.Popen(["sh", "-c", loop], env=server.environment, start_new_session=True)


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _name(process: psutil.Process) -> str:
    return (
        "resource tracker"
        if "resource_tracker" in " ".join(process.cmdline())
        else (f"{process.name()} {process.pid}")
    )


def _report(what: str, values: list[float]) -> None:
    print(
        f"{what}: median {statistics.median(values):.2f}, worst {max(values):.2f} of {len(values)}"
    )


if __name__ == "__main__":
    main()

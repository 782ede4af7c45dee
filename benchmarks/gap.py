"""What of a microphone's sound is lost with a recorder: python -m benchmarks.gap [OPTIONS].

killed    kill -9 at a random moment, and the next life that the supervisor's rules give it
replaced  told to make room for its next life, as for other settings; with --what replaced

The microphone is a real sound server's (tests/sound_server.py), the recorder the daemon's own in a
process of its own. Lost is what neither the windows that came nor the next life's first one hold:
before its first sample, or told as lost within it. With --forget the next life begins without what
the one before has heard and not told.
"""

import argparse
import os
import random
import signal
import statistics
import tempfile
import time
from collections.abc import Iterator
from multiprocessing.connection import wait
from pathlib import Path

from beepwatch.daemon.child import Child
from beepwatch.daemon.running import recorder_of
from beepwatch.daemon.settings import RecorderSettings
from beepwatch.logs import LogSettings
from beepwatch.messages import AnyMessage, Quiet, Window
from beepwatch.sections import Capture
from tests.sound_server import sound_server

RATE_HZ = 16_000
STARTS_WITHIN_S = 60.0
LIVES_S = 3.0
ENDS_WITHIN_S = 5.0


def main() -> None:
    """Kill or replace a recorder several times, and print what was lost."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--what", choices=["killed", "replaced"], default="killed")
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--forget", action="store_true", help="what the one before has heard")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    chance = random.Random(options.seed)  # noqa: S311 - moments, not secrets
    with tempfile.TemporaryDirectory() as directory, sound_server(Path(directory)) as server:
        os.environ.update(server.environment)
        lost_s = [lose(chance, options.what, forget=options.forget) for _ in range(options.times)]
    print(
        f"{options.what}: lost, s: median {statistics.median(lost_s):.2f}, "
        f"{min(lost_s):.2f} to {max(lost_s):.2f} of {len(lost_s)}"
    )


def lose(chance: random.Random, what: str, *, forget: bool = False) -> float:
    """One recorder's end and its next life: seconds lost."""
    capture = Capture(source="microphone", gate=False)
    logs = LogSettings(level="error")
    settings = RecorderSettings(capture=capture, rate_hz=RATE_HZ, speed=1.0, logs=logs)
    recorder = recorder_of(settings)
    if forget:
        recorder.settings = settings
    try:
        recorder.start(time.monotonic())
        span = next(spans(recorder, time.monotonic() + STARTS_WITHIN_S))
        heard_until_s = _ends_s(span)
        for span in spans(recorder, time.monotonic() + LIVES_S + chance.uniform(0.0, 1.0)):
            heard_until_s = _ends_s(span)
        ended_s = time.monotonic()
        if what == "killed":
            assert recorder.pid is not None  # noqa: S101 - it was started
            os.kill(recorder.pid, signal.SIGKILL)
        else:
            recorder.dismiss(ended_s, ENDS_WITHIN_S)
        stream_id = span.stream_id
        for span in spans(recorder, ended_s + 30.0):
            if span.stream_id != stream_id:
                return span.started_mono_s - heard_until_s + span.lost_samples / span.rate_hz
            heard_until_s = _ends_s(span)
        raise SystemExit("the recorder did not come back")
    finally:
        recorder.put_to_rest()


def spans(recorder: Child, until_s: float) -> Iterator[Window | Quiet]:
    """What it hears, through its deaths, as the supervisor's loop would take it."""
    while (now_s := time.monotonic()) < until_s:
        if recorder.due(now_s):
            recorder.start(now_s)
        ends = [end for end in (recorder.connection, recorder.sentinel) if end is not None]
        wait(ends, max(0.0, min(until_s - now_s, recorder.due_in_s(now_s))))
        message: AnyMessage | None = recorder.receive(time.monotonic())
        if isinstance(message, Window | Quiet):
            yield message
        if not recorder.speaks:
            recorder.bury(time.monotonic())


def _ends_s(span: Window | Quiet) -> float:
    return span.started_mono_s + span.samples / span.rate_hz


if __name__ == "__main__":
    main()

"""How soon after a beep's end its alert is decided: python -m benchmarks.looking [OPTIONS].

The real listener cuts streams into windows, early ones included (`capture/looking.py`), and the
real pipeline hears them; only sound counts as time, not how long it takes to be heard. Without
`--data` a beep of half a second in noise begins at chance between two windows; with it, the dev
split's beeps at 10 dB and better in rooms that ring. `--taught` waits as long for an answer as with
taught sounds.
"""

import argparse
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from beepwatch.capture.blocks import EndOfSound
from beepwatch.capture.listening import Listener
from beepwatch.classify.bundle import find_bundle, load_bundle
from beepwatch.classify.engines import Engine, open_engine
from beepwatch.classify.heads import AROUND_FRAMES
from beepwatch.classify.taught import BEFORE_S, LASTING_FRAMES
from beepwatch.clock import ManualClock
from beepwatch.daemon.pipeline import Pipeline
from beepwatch.logs import LogSettings, configure_logging
from beepwatch.messages import Quiet, Window
from beepwatch.sections import Capture, Rule
from beepwatch.train.judging.streams import beep_streams
from tests.capture.sounds import Script, block

BLOCK_S = 0.05
BEEP_S, BEEP_HZ = 0.5, 2_900.0
SNRS_DB = (20.0, 10.0)
SEED = 3

Sound = NDArray[np.int16]


def main() -> None:
    """Print medians, worst, and what it takes."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--times", type=int, default=40, help="beeps, without --data")
    parser.add_argument("--taught", action="store_true")
    options = parser.parse_args()
    configure_logging(LogSettings(level="error"))
    bundle = load_bundle(find_bundle("beep"))
    engine = open_engine(bundle)
    reach_s = (AROUND_FRAMES + LASTING_FRAMES + 1) * engine.frame_s  # as TaughtEngine has it
    more_s = reach_s + BEFORE_S if options.taught else 0.0
    streams = _recorded(options.data, engine) if options.data else _made(options.times, engine)
    late_s, windows, early, sound_s, unheard = [], 0, 0, 0.0, 0
    for sound, ends_s in streams:
        listener = _listener(sound, engine)
        told_s = _told_s(listener, engine, bundle.info.thresholds, more_s)
        windows += listener.counts.windows + listener.counts.early_windows
        early += listener.counts.early_windows
        sound_s += len(sound) / engine.rate_hz
        if told_s is None:
            unheard += 1
        else:
            late_s.append(told_s - ends_s)
    print(
        f"median {np.median(late_s):.2f} s, worst {max(late_s):.2f} s of {len(late_s)} heard, "
        f"{unheard} unheard; {windows} windows passed on in {sound_s:.0f} s, {early} of them early"
    )


def _made(times: int, engine: Engine) -> Iterator[tuple[Sound, float]]:
    """Streams of 14 s with a beep each, and when it ends."""
    chance = np.random.default_rng(SEED)
    for _ in range(times):
        sound = chance.normal(0, 33, 14 * engine.rate_hz)
        first = round((6 + chance.uniform(0, 1)) * engine.rate_hz)
        at_s = np.arange(round(BEEP_S * engine.rate_hz)) / engine.rate_hz
        edge = np.minimum(1, np.minimum(at_s, at_s[::-1]) / 0.005)
        sound[first : first + len(at_s)] += 3_000 * edge * np.sin(2 * np.pi * BEEP_HZ * at_s)
        yield np.rint(sound).astype(np.int16), (first + len(at_s)) / engine.rate_hz


def _recorded(data: Path, engine: Engine) -> Iterator[tuple[Sound, float]]:
    """The dev split's, and when the first pulse ends."""
    for stream in beep_streams(data, "dev", engine.rate_hz, SNRS_DB, repeats=2, seed=SEED):
        yield stream.pcm, stream.pulses[0][1]


def _listener(sound: Sound, engine: Engine) -> Listener:
    samples = round(BLOCK_S * engine.rate_hz)
    pieces = [block(sound[at : at + samples]) for at in range(0, len(sound), samples)]
    source = Script([*pieces, EndOfSound()])
    source.live = True
    return Listener(
        Capture(),
        rate_hz=engine.rate_hz,
        clock=ManualClock(datetime(2026, 1, 1, tzinfo=UTC)),
        stop=threading.Event(),
        source=source,
        early=True,
    )


def _told_s(
    listener: Listener, engine: Engine, thresholds: dict[str, float], more_s: float
) -> float | None:
    """Up to where sound had come when the first alert was written; None if none was."""
    rules = [Rule(label="beep", cooldown_s=0.0)]
    context_s = engine.context_s + more_s
    pipeline = Pipeline(engine, thresholds=thresholds, context_s=context_s, rules=rules)
    told_s = None
    for heard in listener:
        if not isinstance(heard, Window | Quiet):
            continue
        notes = pipeline.hear(heard) if isinstance(heard, Window) else pipeline.skip(heard)
        if told_s is None and any(note.alert is not None for note in notes):
            told_s = (heard.first_sample + heard.samples) / heard.rate_hz
    return told_s


if __name__ == "__main__":
    main()

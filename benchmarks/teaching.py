"""How well a sound is taught from one example and from three, beside simpler ways.

    python -m benchmarks.teaching --data DIR [--split dev] [--bundle beep] [--devices N]

Each recorded beep of the split plays a device that nobody has met. Its examples and its test
streams are heard in other rooms, over other household recordings and at other levels; one half of
the split's rooms and homes is for the examples, the other for the tests. A beep is heard if an
episode lies within 0.5 s of it, as the daemon decides it. False alarms are counted on all of the
split's recordings without a beep, and on the other devices' test streams at 10 dB.
"""

import argparse
import math
import resource
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from beepwatch.classify.bundle import find_bundle, load_bundle
from beepwatch.classify.engines import Answers, Engine, open_engine
from beepwatch.classify.heads import Head
from beepwatch.classify.taught import SURE, TaughtEngine
from beepwatch.train import augment, synthesis
from beepwatch.train.dataset import choose, read_manifest, read_pulses, read_sound
from beepwatch.train.judging import streams, template
from beepwatch.train.judging.beeps import device_of, read_beep, recorded_beeps
from beepwatch.train.judging.detection import Heard, judge, poisson_interval
from beepwatch.train.judging.fixed_rule import FixedRule
from beepwatch.train.teaching import judged
from beepwatch.train.teaching.examples import Example, NoBeepFound, find_example, heard
from beepwatch.train.teaching.fitting import Shelved, teach
from beepwatch.train.teaching.negatives import Bank, read_bank

SNRS_DB = (10.0, 5.0)
EXAMPLE_SNRS_DB = (12.0, 25.0)
LONGEST_S = 10.0  # of a recorded beep that is used
LEAD_S, TAIL_S = 3.0, 2.0
EXAMPLES = 3
IN_A_HOME = 5
TEMPLATE_CORRELATION = 0.5
MONTH_H = 720.0

Sound = NDArray[np.float32]
Span = tuple[float, float]


class Stream(msgspec.Struct, frozen=True, kw_only=True):
    """A device's beep somewhere, and where in it the pulses are."""

    pcm: NDArray[np.int16]
    pulses: list[Span]
    answers: Answers


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """A stranger with its examples and tests."""

    name: str
    pitch_hz: float
    clean: synthesis.Signal
    examples: list[Example]
    tests: dict[float, list[Stream]]


class Place:
    """Half of a split's rooms and household recordings."""

    def __init__(self, data: Path, split: str, half: int, engine: Engine) -> None:
        recordings = read_manifest(data)
        rate_hz = engine.rate_hz
        rooms = choose(recordings, split, ["rir"], redistributable_only=False)
        rooms.sort(key=lambda recording: streams.ringing_s(recording) or math.inf)
        homes = choose(recordings, split, ["household"], redistributable_only=False)
        self._rooms = [
            augment.ready_room(read_sound(data / one.path, rate_hz), rate_hz)
            for one in rooms[half::2]
        ]
        self._homes = [read_sound(data / one.path, rate_hz) for one in homes[half::2]]
        self._engine = engine

    def hear(self, rng: np.random.Generator, signal: synthesis.Signal, snr_db: float) -> Stream:
        """A beep in one of the rooms, `snr_db` over a home, within a third of an octave.

        Every other time the room is of the third that ring least, as in `streams`.
        """
        rate_hz = self._engine.rate_hz
        few = max(len(self._rooms) // 3, 1) if rng.random() < 0.5 else len(self._rooms)
        wet = augment.in_room(
            signal.sound[: round(LONGEST_S * rate_hz)], self._rooms[int(rng.integers(few))]
        )
        pulses = [pulse for pulse in signal.pulses if pulse.onset_s < LONGEST_S - 0.1]
        lead = round(LEAD_S * rate_hz)
        mixed = self._home(rng, lead + len(wet) + round(TAIL_S * rate_hz))
        tone = np.concatenate(
            [wet[round(p.onset_s * rate_hz) : round(p.offset_s * rate_hz)] for p in pulses]
        )
        loud = max(augment.band_rms(tone, signal.pitch_hz, rate_hz), 1e-9)
        noise = max(augment.band_rms(mixed, signal.pitch_hz, rate_hz), augment.FAINTEST_RMS)
        mixed[lead : lead + len(wet)] += wet * np.float32(noise / loud * 10 ** (snr_db / 20))
        mixed = synthesis.at_peak(augment.coloured(rng, mixed, rate_hz))
        pcm = augment.to_int16(mixed * 10 ** (rng.uniform(-30, -1) / 20))
        return Stream(
            pcm=pcm,
            pulses=[(p.onset_s + LEAD_S, p.offset_s + LEAD_S) for p in pulses],
            answers=heard(self._engine, pcm),
        )

    def _home(self, rng: np.random.Generator, samples: int) -> Sound:
        chosen: list[Sound] = []
        while sum(map(len, chosen)) < samples:
            sound = self._homes[int(rng.integers(len(self._homes)))]
            rms = max(float(np.sqrt((sound**2).mean())), 1e-4)
            chosen.append(sound * np.float32(0.05 / rms))
        return np.concatenate(chosen)[:samples].copy()


def devices_of(
    data: Path, split: str, engine: Engine, most: int, repeats: int, seed: int
) -> list[Device]:
    """Strangers: the split's recorded beeps, one of each device; dev has clean ones too."""
    pulses = read_pulses(data)
    near, far = Place(data, split, 0, engine), Place(data, split, 1, engine)
    strangers: dict[str, tuple[int, synthesis.Signal]] = {}
    for number, recording in enumerate(recorded_beeps(read_manifest(data), split)):
        signal = read_beep(data, recording, pulses, engine.rate_hz)
        if signal.pulses:
            strangers.setdefault(device_of(recording), (number, signal))
    names = sorted(strangers)
    chosen = np.unique(np.linspace(0, len(names) - 1, min(most, len(names))).round().astype(int))
    found: list[Device] = []
    for name in (names[index] for index in chosen):
        number, signal = strangers[name]
        rng = np.random.default_rng([seed, number])
        found.append(
            Device(
                name=name,
                pitch_hz=signal.pitch_hz,
                clean=signal,
                examples=_examples(rng, near, signal, engine),
                tests={
                    snr: [far.hear(rng, signal, snr) for _ in range(repeats)] for snr in SNRS_DB
                },
            )
        )
    return found


def _examples(
    rng: np.random.Generator, place: Place, signal: synthesis.Signal, engine: Engine
) -> list[Example]:
    """What a person would record; what nothing is found in they would record again."""
    found: list[Example] = []
    for _ in range(3 * EXAMPLES):
        pcm = place.hear(rng, signal, rng.uniform(*EXAMPLE_SNRS_DB)).pcm
        try:
            found.append(find_example("example", pcm[round(1.5 * engine.rate_hz) :], engine))
        except NoBeepFound:
            continue
        if len(found) == EXAMPLES:
            break
    return found


def by_head(head: Head, answers: Answers, engine: Engine) -> list[Heard]:
    """The daemon's episodes of one head, of as many pulses as it asks for."""
    taught = TaughtEngine(engine, dict.fromkeys(engine.labels, SURE), [head])
    return _heard(taught, head, answers)


def _heard(engine: TaughtEngine, head: Head, answers: Answers) -> list[Heard]:
    return [
        Heard(
            onset_s=one.pulses[0].onset_s,
            offset_s=one.pulses[-1].offset_s,
            pulses=tuple((pulse.onset_s, pulse.offset_s) for pulse in one.pulses),
        )
        for one in judged.episodes(engine, answers, head.name)
        if len(one.pulses) >= head.pulses
    ]


class Score(msgspec.Struct, kw_only=True):
    """One way of being taught, over all devices."""

    name: str
    heard: dict[float, list[bool]]
    others: list[bool]
    alarms: int = 0
    hours: float = 0.0

    def row(self) -> str:
        """For the table."""
        shares = [f"{100 * np.mean(found):.1f} % ({len(found)})" for found in self.heard.values()]
        others = f"{100 * np.mean(self.others):.1f} % ({len(self.others)})" if self.others else ""
        low, high = (rate * MONTH_H for rate in poisson_interval(self.alarms, self.hours))
        alarms = f"{self.alarms} in {self.hours:.1f} h ({low:.0f} to {high:.0f} a month)"
        return "| " + " | ".join([self.name, *shares, others, alarms]) + " |"


def score(
    name: str,
    devices: Sequence[Device],
    negatives: Sequence[tuple[NDArray[np.int16], Answers]],
    detect: Callable[[int, NDArray[np.int16], Answers], list[Heard]],
    rate_hz: int,
) -> Score:
    """What a detector, asked for each device in turn, makes of all streams."""
    found = Score(name=name, heard={snr: [] for snr in SNRS_DB}, others=[])
    for number, device in enumerate(devices):
        for snr_db, several in device.tests.items():
            found.heard[snr_db] += [
                judge(detect(number, one.pcm, one.answers), one.pulses).heard for one in several
            ]
        for other in devices:
            if other is not device:
                found.others += [
                    judge(detect(number, one.pcm, one.answers), one.pulses).heard
                    for one in other.tests[SNRS_DB[0]][:2]
                ]
        for pcm, answers in negatives:
            found.alarms += len(detect(number, pcm, answers))
            found.hours += len(pcm) / rate_hz / 3_600
    return found


def right_names(
    devices: Sequence[Device], engine: Engine, bank: Bank | None, thresholds: dict[str, float]
) -> tuple[int, int, int]:
    """Of five taught sounds in a home: streams with the right name only, with a wrong, with none.

    The devices in order of their names, five at a time, all taught against one another.
    """
    right = wrong = missed = 0
    for first in range(0, len(devices) - IN_A_HOME + 1, IN_A_HOME):
        home = devices[first : first + IN_A_HOME]
        shelf = [Shelved(name=f"s{i}", examples=tuple(d.examples)) for i, d in enumerate(home)]
        heads = [
            teach(
                one.name,
                one.examples,
                engine,
                bank=bank,
                others=[other for other in shelf if other is not one],
            ).head
            for one in shelf
        ]
        together = TaughtEngine(engine, thresholds, heads)
        for number, device in enumerate(home):
            for stream in device.tests[SNRS_DB[0]]:
                names = _names(together, stream, heads)
                right += names == {number}
                wrong += bool(names - {number})
                missed += not names
    return right, wrong, missed


def _names(engine: TaughtEngine, stream: Stream, heads: Sequence[Head]) -> set[int]:
    return {
        number
        for number, head in enumerate(heads)
        if judge(_heard(engine, head, stream.answers), stream.pulses).heard
    }


def rivals(devices: Sequence[Device], rate_hz: int) -> dict[str, Callable[..., list[Heard]]]:
    """The fixed-frequency rule, told the tone, and a template of one example, as recorded."""
    templates = [
        template.learn(
            device.clean.sound,
            (device.clean.pulses[0].onset_s, device.clean.pulses[0].offset_s),
            rate_hz,
        )
        for device in devices
    ]
    kept: dict[int, NDArray[np.float64]] = {}

    def rule(number: int, pcm: NDArray[np.int16], _answers: Answers) -> list[Heard]:
        spans = FixedRule(tone_hz=devices[number].pitch_hz).alarms(pcm, rate_hz)
        return [Heard(onset_s=on, offset_s=off, pulses=((on, off),)) for on, off in spans]

    def matched(number: int, pcm: NDArray[np.int16], _answers: Answers) -> list[Heard]:
        if id(pcm) not in kept:
            kept[id(pcm)] = template.log_spectrogram(pcm / np.float32(32_768), rate_hz)
        return template.match(templates[number], kept[id(pcm)]).at(TEMPLATE_CORRELATION)

    return {"template, one clean example": matched, "fixed-frequency rule, told the tone": rule}


def main() -> None:
    """Teach, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True, help="directory with manifest.csv")
    parser.add_argument("--split", choices=("dev", "test"), default="test")
    parser.add_argument("--bundle", default="beep", help="a shipped model's name or a directory")
    parser.add_argument("--bank", type=Path, help="directory of the bank; default: the bundle's")
    parser.add_argument("--devices", type=int, default=100, help="at most so many, spread evenly")
    parser.add_argument("--repeats", type=int, default=6, help="tests of a device at each SNR")
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--no-rivals", action="store_true")
    given = parser.parse_args()

    bundle = load_bundle(find_bundle(given.bundle))
    engine = open_engine(bundle)
    bank = read_bank(given.bank or bundle.directory, engine.model_id)
    devices = [
        device
        for device in devices_of(
            given.data, given.split, engine, given.devices, given.repeats, given.seed
        )
        if _told(device)
    ]
    negatives = [
        (stream.pcm, heard(engine, stream.pcm))
        for stream in streams.negative_streams(given.data, given.split, engine.rate_hz)
    ]
    print(f"{len(devices)} devices, bank: {'yes' if bank else 'NO'}", file=sys.stderr)
    shares = " | ".join(f"{snr:g} dB" for snr in SNRS_DB)
    print(f"| | {shares} | others' beeps taken | false alarms |\n|---|---|---|---|---|")
    for count in (3, 1):
        heads, seconds = [], []
        for device in devices:
            began_s = time.process_time()
            heads.append(teach("sound", device.examples[:count], engine, bank=bank).head)
            seconds.append(time.process_time() - began_s)

        def taught(
            number: int,
            _pcm: NDArray[np.int16],
            answers: Answers,
            heads: list[Head] = heads,
        ) -> list[Heard]:
            return by_head(heads[number], answers, engine)

        name = f"taught from {count}"
        print(score(name, devices, negatives, taught, engine.rate_hz).row(), flush=True)
        told = [head.expected.false_alarms_per_month or 0.0 for head in heads]
        caught = sum(head.expected.caught for head in heads)
        print(
            f"{name}: {np.median(seconds):.1f} s of processor time, {max(seconds):.1f} s at most; "
            f"told: {caught} of {sum(head.expected.examples for head in heads)} caught, "
            f"at most {np.mean(told):.2g} false alarms a month in the mean, "
            f"{np.median(told):.2g} in the median, "
            f"{sum(rate <= 1 for rate in told)} of {len(told)} heads 1 or fewer",
            file=sys.stderr,
        )
    if not given.no_rivals:
        for name, detect in rivals(devices, engine.rate_hz).items():
            print(score(name, devices, negatives, detect, engine.rate_hz).row(), flush=True)
    right, wrong, missed = right_names(devices, engine, bank, dict(bundle.info.thresholds))
    total = max(right + wrong + missed, 1)
    print(
        f"right name among {IN_A_HOME} at {SNRS_DB[0]:g} dB: {right} of {total} "
        f"({100 * right / total:.1f} %), a wrong one {wrong}, none {missed}"
    )
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_024
    print(f"at most {peak_mb:.0f} MB of memory, the recordings included", file=sys.stderr)


def _told(device: Device) -> bool:
    """Whether there are examples enough; says so where not, for it is a miss of its own."""
    if len(device.examples) == EXAMPLES:
        return True
    print(f"{device.name}: a beep in {len(device.examples)} of its examples", file=sys.stderr)
    return bool(device.examples)


if __name__ == "__main__":
    main()

"""How many windows of a room the silence gate drops, and how many beeps it keeps.

    python -m benchmarks.gate --data DIR [--split train --split dev]

DIR holds `manifest.csv`, `pulses.csv` and the recordings at the paths they name. Each table shows
our rule and the one that people use today: a frame of 1,024 samples at 44.1 kHz is silent if its
peak is under 300, a window is dropped if more than 75 % of its frames are. The gate is meant to
drop 95 % of each kind of quiet room; rooms close to the sound are shown beside them. One
recording is heard through four walls, so that its rows are no independent samples. Cuts of one
recording are joined in their order; a beep's SNR is that of its loudest 80 ms over the room's mean,
both in the octave around its pitch. The same is asked of beeps of random pitch and length, for each
kind of room.
"""

import argparse
import csv
import re
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray
from scipy.signal import butter, sosfilt, sosfiltfilt

from beepwatch.capture.blocks import Block
from beepwatch.capture.gate import Gate
from beepwatch.capture.windows import WindowCutter

Sound = NDArray[np.float64]  # in int16 steps

RATE_HZ = 16_000
WINDOW = 3 * RATE_HZ
FRAME_TODAY = round(1_024 * RATE_HZ / 44_100)
SNRS_DB = (0, 3, 6, 10)
COLOURS = (0, 1, 2)  # white, pink, brown
LEVELS = (2, 20, 600)  # RMS in int16 steps
PITCHES_HZ = (400, 630, 1_016, 1_600, 2_516, 4_000, 6_000)
SHORTEST_ROOM_S = 12
WARM_S = 10.0
EVERY_S = 5.0
RANDOM_DB = 6.0
RANDOM_PASSES = 5  # through each room, of which each has a pitch and a length
FAR = {"street": "distant traffic", "vacuuming": "far appliance", "dishwasher": "far dishwasher"}
QUIET = {"near-silence", "hum", "clock", *FAR.values()} - {"far dishwasher"}


@dataclass(frozen=True, kw_only=True)
class Room:
    """A room without beeps; quiet kinds are those that the gate is meant to drop."""

    name: str
    kind: str
    sound: Sound


@dataclass(frozen=True, kw_only=True)
class Beep:
    """One pulse and its loudest pitch."""

    kind: str
    hz: float
    sound: Sound


@dataclass
class Rates:
    """Windows seen, and kept by each rule."""

    windows: int = 0
    ours: int = 0
    today: int = 0

    def add(self, sound: Sound, only: list[int] | None = None) -> None:
        """Judge the sound's windows by both rules, all of them or `only` some."""
        pcm = np.clip(np.rint(sound), -32_768, 32_767).astype(np.int16)
        ours, today = kept(pcm), kept_today(pcm)
        chosen = range(len(ours)) if only is None else only
        self.windows += len(chosen)
        self.ours += sum(ours[index] for index in chosen)
        self.today += sum(today[index] for index in chosen)


def kept(pcm: NDArray[np.int16]) -> list[bool]:
    """Our verdict on each window of 3 s every second."""
    cutter = WindowCutter(from_hz=RATE_HZ, rate_hz=RATE_HZ, window_s=3, hop_s=1)
    gate = Gate(rate_hz=RATE_HZ, over_floor_db=6)
    block = Block(
        data=pcm.tobytes(), sample_format="int16", channels=1, rate_hz=RATE_HZ, lost_frames=0
    )
    return [gate.step(cut.fresh, cut.first_sample).keep for cut in cutter.push(block)]


def kept_today(pcm: NDArray[np.int16]) -> list[bool]:
    """The same windows by the rule that people use today."""
    keeps = []
    for start in range(0, pcm.size - WINDOW + 1, RATE_HZ):
        window = np.abs(pcm[start : start + WINDOW].astype(int))
        frames = window[: WINDOW // FRAME_TODAY * FRAME_TODAY].reshape(-1, FRAME_TODAY)
        keeps.append(float((frames.max(axis=1) < 300).mean()) <= 0.75)
    return keeps


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of manifest.csv")
    parser.add_argument("--split", action="append", help="of the manifest; default train and dev")
    options = parser.parse_args()
    splits = options.split or ["train", "dev"]
    with (options.data / "manifest.csv").open(encoding="utf-8") as lines:
        rows = [row for row in csv.DictReader(lines) if row["split"] in splits]
    rooms = list(all_rooms(options.data, rows))
    _print_rooms(rooms)
    _print_pitches()
    quiet = [room for room in rooms if room.kind in QUIET and "tiled" not in room.name]
    _print_random(quiet)
    _print_beeps(quiet, list(real_beeps(options.data, rows)))
    _print_cost()


def _print_rooms(rooms: list[Room]) -> None:
    print(f"{'room, windows of it dropped':44} {'windows':>7} {'ours':>8} {'today':>8}")
    totals: defaultdict[str, Rates] = defaultdict(Rates)
    for room in sorted(rooms, key=lambda room: (room.kind, room.name)):
        rates = Rates()
        for into in (rates, totals[room.kind]):
            into.add(room.sound)
        _print_dropped(room.name, rates)
    for kind, rates in totals.items():
        _print_dropped(f"ALL OF: {kind}", rates)


def _print_dropped(name: str, rates: Rates) -> None:
    if rates.windows:
        ours, today = (100 * (1 - keeps / rates.windows) for keeps in (rates.ours, rates.today))
        print(f"{name[:44]:44} {rates.windows:7} {ours:6.1f} % {today:6.1f} %")


def _print_pitches() -> None:
    """Beeps of 80 ms, with and without fades, in noise of three colours, at three room levels."""
    print(
        f"\n{'80 ms beep, windows of it kept':32}"
        + "".join(f"{snr:>6} dB ours  today" for snr in SNRS_DB)
    )
    for hz in PITCHES_HZ:
        cells = []
        for snr_db in SNRS_DB:
            rates, chance = Rates(), np.random.default_rng(hz)
            for exponent, rms, fade_s in product(COLOURS, LEVELS, (0, 0.01)):
                room = coloured_noise(60, rms, exponent, chance)
                pitch = hz * chance.uniform(0.985, 1.015)
                beep = Beep(kind="80 ms", hz=pitch, sound=faded_tone(pitch, 0.08, fade_s))
                rates.add(*with_beeps(room, beep, snr_db, chance))
            cells.append(rates)
        _print_kept(f"{hz} Hz", cells)


def _print_random(quiet: list[Room]) -> None:
    """Tones of 80 to 150 ms from 400 Hz to 6 kHz, with fades of 0 to 10 ms."""
    chance = np.random.default_rng(3)
    noises = [
        Room(name="noise", kind="synthetic noise", sound=coloured_noise(60, rms, colour, chance))
        for colour, rms in product(COLOURS, LEVELS)
    ]
    print(
        f"\n{f'random beeps, {RANDOM_DB:.0f} dB, windows kept':44} {'windows':>7} {'ours':>9} today"
    )
    totals: defaultdict[str, Rates] = defaultdict(Rates)
    for room, _ in product(noises + quiet, range(RANDOM_PASSES)):
        hz = float(np.exp(chance.uniform(np.log(400), np.log(6_000))))
        tone = faded_tone(hz, chance.uniform(0.08, 0.15), chance.uniform(0, 0.01))
        beep = Beep(kind="random", hz=hz, sound=tone)
        totals[room.kind].add(*with_beeps(room.sound, beep, RANDOM_DB, chance))
    for kind, rates in totals.items():
        ours, today = (100 * keeps / rates.windows for keeps in (rates.ours, rates.today))
        print(f"{kind:44} {rates.windows:7} {ours:7.2f} % {today:3.0f} %")


def _print_beeps(rooms: list[Room], beeps: list[Beep]) -> None:
    kinds = sorted({beep.kind for beep in beeps})
    print(
        f"\n{'real beep in quiet rooms':32}"
        + "".join(f"{snr:>6} dB ours  today" for snr in SNRS_DB)
    )
    for kind in kinds:
        cells = []
        for snr_db in SNRS_DB:
            rates, chance = Rates(), np.random.default_rng(1)
            some = [beep for beep in beeps if beep.kind == kind]
            for room, number in product(rooms, range(4)):
                beep = some[(number * 7 + len(room.name)) % len(some)]
                rates.add(*with_beeps(room.sound, beep, snr_db, chance))
            cells.append(rates)
        _print_kept(kind, cells)


def _print_kept(name: str, cells: list[Rates]) -> None:
    text = ""
    for cell in cells:
        ours, today = (100 * keeps / max(1, cell.windows) for keeps in (cell.ours, cell.today))
        text += f"{ours:11.1f} % {today:4.0f} %"
    print(f"{name[:26]:26}{cells[0].windows:6}{text}")


def _print_cost() -> None:
    pcm = np.random.default_rng(2).normal(0, 200, 300 * RATE_HZ).astype(np.int16)
    begun_s = time.perf_counter()
    steps = len(kept(pcm))
    print(f"\ncost: {1e3 * (time.perf_counter() - begun_s) / steps:.2f} ms a step of 1 s")


def all_rooms(data: Path, rows: list[dict[str, str]]) -> Iterator[Room]:
    """Household recordings near and far, a mains hum and clocks."""
    groups = defaultdict(list)
    for row in rows:
        if row["category"] != "household":
            continue
        if row["group"].startswith("timgrau"):
            groups[row["group"]].append(row["path"])
        elif "ambient indoor" in row["note"] or "near-silence" in row["note"]:
            groups[f"indoors: {row['note']}"].append(row["path"])
    for group, paths in groups.items():
        joined = np.concatenate([read(data / path) for path in sorted(paths, key=_by_number)])
        if joined.size >= SHORTEST_ROOM_S * RATE_HZ:
            yield from _near_and_far(group.removeprefix("timgrau_"), joined)
    yield from (room for row in rows for room in _tiled(data, row["path"]))


def _tiled(data: Path, path: str) -> Iterator[Room]:
    """Steady recordings too short for a room, six times over."""
    if "mains_hum" in path:
        hum = at_dbfs(np.tile(read(data / path), 6), -58)
        yield Room(name="mains hum, -58 dBFS, tiled", kind="hum", sound=hum)
    if "locktick" in path:
        clock = np.tile(read(data / path), 6)
        name = f"clock close by {Path(path).stem[-12:]}, tiled"
        yield Room(name=name, kind="clock", sound=clock)


def _near_and_far(name: str, sound: Sound) -> Iterator[Room]:
    """As recorded; and as heard through a window or from another room."""
    indoors = name.startswith("indoors")
    yield Room(
        name=f"{name} as recorded", kind="near-silence" if indoors else "close by", sound=sound
    )
    if indoors:
        return
    for cutoff_hz, dbfs in ((500, -50), (500, -60), (800, -50), (800, -60)):
        muffled = sosfilt(butter(2, cutoff_hz, fs=RATE_HZ, output="sos"), sound)
        far = at_dbfs(muffled, dbfs)
        kind = FAR.get(name.split("_")[0], "far, other")
        yield Room(name=f"{name} below {cutoff_hz} Hz, {dbfs} dBFS", kind=kind, sound=far)


def real_beeps(data: Path, rows: list[dict[str, str]]) -> Iterator[Beep]:
    """The pulses of 80 ms or more that `pulses.csv` knows, cut out."""
    with (data / "pulses.csv").open(encoding="utf-8") as lines:
        pulses = list(csv.DictReader(lines))
    for row in rows:
        if row["category"] not in {"beep_real", "melody"}:
            continue
        spans = [pulse for pulse in pulses if pulse["path"] == row["path"]]
        sound = read(data / row["path"]) if spans else np.zeros(0)
        for pulse in spans:
            start_s, end_s = float(pulse["onset_s"]), float(pulse["offset_s"])
            cut = sound[round(start_s * RATE_HZ) : round(end_s * RATE_HZ)]
            if 0.08 <= end_s - start_s <= 2.5:
                yield Beep(kind=f"{row['category']} {row['group']}", hz=loudest_hz(cut), sound=cut)


def with_beeps(
    room: Sound, beep: Beep, snr_db: float, chance: np.random.Generator
) -> tuple[Sound, list[int]]:
    """The room with the beep in it every 5 s, and the windows that hold one whole."""
    edges_hz = np.minimum(beep.hz * 2 ** np.array([-0.5, 0.5]), 0.495 * RATE_HZ)
    band = butter(4, edges_hz, "bandpass", fs=RATE_HZ, output="sos")
    floor = np.square(sosfiltfilt(band, np.rint(room))).mean()
    padded = np.concatenate([np.zeros(RATE_HZ), beep.sound, np.zeros(RATE_HZ)])
    powers = np.convolve(np.square(sosfiltfilt(band, padded)), np.ones(1_280) / 1_280, "valid")
    gain = np.sqrt(10 ** (snr_db / 10) * floor / powers.max())
    sound = room.copy()
    holding: set[int] = set()
    for start_s in np.arange(WARM_S, room.size / RATE_HZ - 3, EVERY_S):
        start = round((start_s + chance.uniform(0, 0.5)) * RATE_HZ)
        end = start + beep.sound.size
        sound[start:end] += gain * beep.sound
        last = min(start // RATE_HZ, (room.size - WINDOW) // RATE_HZ)
        first = max(0, -((WINDOW - end) // RATE_HZ))
        holding |= set(range(first, last + 1))
    return sound, sorted(holding)


def faded_tone(hz: float, seconds: float, fade_s: float) -> Sound:
    """A pure tone whose ends rise and fall as a raised cosine."""
    tone = np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE_HZ)) / RATE_HZ)
    if ramp := round(fade_s * RATE_HZ):
        rise = np.sin(np.linspace(0, np.pi / 2, ramp)) ** 2
        tone[:ramp] *= rise
        tone[-ramp:] *= rise[::-1]
    return tone


def coloured_noise(
    seconds: float, rms: float, exponent: float, chance: np.random.Generator
) -> Sound:
    """Noise whose power falls as 1/f**exponent above 50 Hz: 0 white, 1 pink, 2 brown."""
    white = np.fft.rfft(chance.standard_normal(round(seconds * RATE_HZ)))
    hz = np.maximum(50, np.fft.rfftfreq(round(seconds * RATE_HZ), 1 / RATE_HZ))
    noise = np.fft.irfft(white * hz ** (-exponent / 2))
    return np.asarray(noise * rms / noise.std(), dtype=np.float64)


def at_dbfs(sound: Sound, dbfs: float) -> Sound:
    """The same sound at another RMS level."""
    gain = 32_768 * 10 ** (dbfs / 20) / float(np.sqrt(np.square(sound).mean()))
    return sound * gain


def loudest_hz(sound: Sound) -> float:
    """Where the spectrum's peak above 300 Hz is."""
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(sound.size)))
    hz = np.fft.rfftfreq(sound.size, 1 / RATE_HZ)
    return float(hz[(spectrum * (hz > 300)).argmax()])


def read(path: Path) -> Sound:
    """Mono, 16 kHz, in int16 steps."""
    samples, rate_hz = soundfile.read(path, dtype="float64", always_2d=True)
    mono = soxr.resample(samples.mean(axis=1), rate_hz, RATE_HZ)
    return np.asarray(32_768 * mono, dtype=np.float64)


def _by_number(path: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", path)]


if __name__ == "__main__":
    main()

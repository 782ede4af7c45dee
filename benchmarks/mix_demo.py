"""Lay the demo's recording again from the manifest's pieces: same pieces, same samples.

    python benchmarks/mix_demo.py --data DIR [--out beepwatch/daemon/demo]

DIR holds `manifest.csv` and the pieces at the paths it names. Writes `kitchen.flac` (16 kHz mono),
`kitchen.csv` (what sounds when) and `CREDITS.md`. A piece that may not be redistributed, or that
belongs to the test split, is refused.
"""

import argparse
import csv
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray
from scipy.signal import fftconvolve

Sound = NDArray[np.float64]

RATE_HZ = 16_000
LENGTH_S = 96.0
HISS_DBFS = -74.0  # a cheap microphone's own noise
HUM_DBFS = -66.0  # the refrigerator: mains hum and its harmonics
SEED = 20_26

KITCHEN = "train/rir/GoogleChromeLabs__web-audio-samples__house_kitchen.flac"
ACROSS = "train/rir/GoogleChromeLabs__web-audio-samples__house_dining-mid-kitchen.flac"
NEXT_ROOM = "train/rir/GoogleChromeLabs__web-audio-samples__house_dining-living.flac"
ALARMS = "beep_clean/Vishnurams97__Alarm-sound-Recognition-with-CNN__"


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A cut of one recording, laid at a time, at a level, through a room or as it was recorded.

    `pulses_s` are the pulses of a beep in the source's own time, found by the energy of a 240 Hz
    band around the tone, 12 dB below its peak; the level is that of the pulses, else of the cut.
    """

    path: str
    at_s: float
    level_dbfs: float
    cut_s: tuple[float, float]
    room: str | None = None
    repeat: int = 1
    crossfade_s: float = 0.0
    fade_s: tuple[float, float] = (0.01, 0.05)
    device: str = ""
    label: str = ""
    pulses_s: tuple[tuple[float, float], ...] = ()


BACKGROUND = (
    Piece(
        path="train/household/Timgrau__Projektarbeit-1__raw_street_3.flac",
        at_s=0.0,
        level_dbfs=-60.0,
        cut_s=(0.2, 18.7),
        repeat=6,
        crossfade_s=2.0,
        device="distant traffic through a window",
    ),
    Piece(
        path="train/household/karolpiczak__ESC-10__005Clocktick_1-21934-A.flac",
        at_s=20.0,
        level_dbfs=-56.0,
        cut_s=(0.42, 4.6),
        repeat=3,
        crossfade_s=0.04,
        room=ACROSS,
        fade_s=(0.2, 0.4),
        device="wall clock",
    ),
    Piece(
        path="train/speech/lhotse-speech__lhotse__common_voice_en_651325.flac",
        at_s=14.2,
        level_dbfs=-38.0,
        cut_s=(0.85, 2.3),
        room=KITCHEN,
        device="a sentence",
    ),
    Piece(
        path="train/speech/lhotse-speech__lhotse__ES2011a.Headset-0-40s-46s.flac",
        at_s=16.6,
        level_dbfs=-42.0,
        cut_s=(1.3, 4.5),
        room=ACROSS,
        device="an answer",
    ),
    Piece(
        path="dev/household/Timgrau__Projektarbeit-1__raw_dishwasher_0.flac",
        at_s=31.0,
        level_dbfs=-45.0,
        cut_s=(2.0, 24.0),
        fade_s=(1.5, 1.0),
        device="dishwasher",
    ),
    Piece(
        path="train/nature/karolpiczak__ESC-10__009Rooster_1-26806-A.flac",
        at_s=35.5,
        level_dbfs=-42.0,
        cut_s=(0.0, 2.5),
        room=NEXT_ROOM,
        device="a rooster outside",
    ),
    Piece(
        path="train/household/nlathia__sound-detection__nb1.flac",
        at_s=61.0,
        level_dbfs=-41.0,
        cut_s=(0.0, 3.0),
        repeat=4,
        crossfade_s=0.3,
        fade_s=(1.2, 1.2),
        device="washing machine, spinning: a steady whine at 2.4 kHz",
    ),
)

EPISODES = (
    Piece(
        path=f"train/{ALARMS}d100.flac",
        at_s=8.0,
        level_dbfs=-33.0,
        cut_s=(0.45, 3.4),
        room=KITCHEN,
        device="timer, 3.0 kHz",
        label="beep",
        pulses_s=((0.524, 0.788), (1.586, 1.856), (2.644, 2.913)),
    ),
    Piece(
        path=f"train/{ALARMS}d12.flac",
        at_s=24.0,
        level_dbfs=-36.0,
        cut_s=(0.76, 3.98),
        room=ACROSS,
        device="microwave oven, 1.0 kHz and harmonics",
        label="beep",
        pulses_s=((0.823, 0.998), (1.601, 1.781), (2.315, 2.504), (2.998, 3.188), (3.657, 3.831)),
    ),
    Piece(
        path=f"dev/{ALARMS}d48.flac",
        at_s=43.0,
        level_dbfs=-30.0,
        cut_s=(0.42, 3.6),
        room=KITCHEN,
        device="dishwasher panel, 3.1 kHz, while it runs",
        label="beep",
        pulses_s=((0.479, 0.579), (1.167, 1.267), (1.856, 1.956), (2.549, 2.644), (3.238, 3.337)),
    ),
    Piece(
        path=f"train/{ALARMS}d10.flac",
        at_s=57.0,
        level_dbfs=-40.0,
        cut_s=(0.205, 0.40),
        room=ACROSS,
        fade_s=(0.005, 0.02),
        device="one short key beep, 2.0 kHz, in a quiet room",
        label="beep",
        pulses_s=((0.215, 0.384),),
    ),
    Piece(
        path="train/melody/mzakharo__lg_detector__lg_washer.flac",
        at_s=74.0,
        level_dbfs=-34.0,
        cut_s=(0.1, 9.7),
        room=KITCHEN,
        fade_s=(0.01, 1.0),
        device="washing machine, end-of-programme tune",
        label="melody",
    ),
    Piece(
        path="dev/beep_real/ArmDeveloperEcosystem__ml-audio-classifier-example-for-pico"
        "__325367__moonlightshadow__fire-house-alarm.flac",
        at_s=89.0,
        level_dbfs=-32.0,
        cut_s=(6.5, 9.0),
        room=NEXT_ROOM,
        fade_s=(0.01, 0.3),
        device="smoke alarm in the next room, 3.1 kHz",
        label="beep",
        pulses_s=((6.56, 6.99), (7.373, 7.807), (8.181, 8.65)),
    ),
)


def read(data: Path, path: str) -> Sound:
    """The piece as mono at RATE_HZ, shape [samples], full scale 1."""
    samples, rate_hz = soundfile.read(data / path, dtype="float64", always_2d=True)
    mono = samples.mean(axis=1)
    return np.asarray(soxr.resample(mono, rate_hz, RATE_HZ, quality="VHQ"), dtype=np.float64)


def through(room: Sound, dry: Sound) -> Sound:
    """`dry` as the room passes it on: no delay of the direct sound, energy kept."""
    direct = int(np.argmax(np.abs(room)))
    response = room[max(0, direct - 8) :]
    response = response / np.sqrt(np.sum(response**2))
    return np.asarray(fftconvolve(dry, response), dtype=np.float64)


def faded(sound: Sound, in_s: float, out_s: float) -> Sound:
    """`sound` with raised-cosine ends."""
    result = sound.copy()
    for length_s, end in ((in_s, slice(None)), (out_s, slice(None, None, -1))):
        count = min(round(length_s * RATE_HZ), len(result))
        ramp = 0.5 - 0.5 * np.cos(np.pi * (np.arange(count) + 0.5) / max(1, count))
        result[end][:count] *= ramp
    return result


def repeated(sound: Sound, times: int, crossfade_s: float) -> Sound:
    """`sound` after itself `times` times, joints crossfaded at constant power."""
    overlap = round(crossfade_s * RATE_HZ)
    step = len(sound) - overlap
    result = np.zeros(step * times + overlap)
    angle = 0.5 * np.pi * (np.arange(overlap) + 0.5) / max(1, overlap)
    for i in range(times):
        part = sound.copy()
        if overlap and i > 0:
            part[:overlap] *= np.sin(angle)
        if overlap and i < times - 1:
            part[-overlap:] *= np.cos(angle)
        result[i * step : i * step + len(part)] += part
    return result


def laid(piece: Piece, data: Path) -> Sound:
    """The piece, cut, repeated, faded, in its room, at its level; shape [samples]."""
    start, end = (round(s * RATE_HZ) for s in piece.cut_s)
    sound = read(data, piece.path)[start:end]
    loud = [
        sound[round(a * RATE_HZ) - start : round(b * RATE_HZ) - start] for a, b in piece.pulses_s
    ]
    measured = np.concatenate(loud) if loud else sound
    gain = 10 ** (piece.level_dbfs / 20) / np.sqrt(np.mean(measured**2))
    sound = repeated(sound * gain, piece.repeat, piece.crossfade_s)
    sound = faded(sound, *piece.fade_s)
    return through(read(data, piece.room), sound) if piece.room else sound


def quiet_room() -> Sound:
    """Hiss of the microphone and hum of the refrigerator, shape [samples]."""
    generator = np.random.Generator(np.random.PCG64(SEED))
    length = round(LENGTH_S * RATE_HZ)
    hiss = 10 ** (HISS_DBFS / 20) * generator.standard_normal(length)
    time_s = np.arange(length) / RATE_HZ
    hum = sum(
        weight * np.sin(2 * np.pi * f_hz * time_s)
        for f_hz, weight in ((50, 0.4), (100, 1.0), (150, 0.3), (200, 0.5), (300, 0.2))
    )
    return np.asarray(hiss + 10 ** (HUM_DBFS / 20) * hum, dtype=np.float64)


def mix(data: Path) -> Sound:
    """The whole recording, shape [LENGTH_S · RATE_HZ]."""
    recording = quiet_room()
    for piece in BACKGROUND + EPISODES:
        sound = laid(piece, data)
        start = round(piece.at_s * RATE_HZ)
        sound = sound[: len(recording) - start]
        recording[start : start + len(sound)] += sound
    return recording


def truth() -> list[list[str]]:
    """Rows of `kitchen.csv`: onset, offset, label, pulses, device; a tune's pulses are not counted.

    A sound with an empty label is a temptation: nothing should be heard in it.
    """
    rows = []
    for piece in EPISODES + BACKGROUND:
        first_s, last_s = piece.cut_s[0], piece.cut_s[0] + laid_for_s(piece)
        if piece.pulses_s:
            first_s, last_s = piece.pulses_s[0][0], piece.pulses_s[-1][1]
        onset_s = piece.at_s + first_s - piece.cut_s[0]
        offset_s = min(LENGTH_S, piece.at_s + last_s - piece.cut_s[0])
        pulses = str(len(piece.pulses_s)) if piece.pulses_s else ""
        rows.append([f"{onset_s:.2f}", f"{offset_s:.2f}", piece.label, pulses, piece.device])
    return sorted(rows, key=lambda row: float(row[0]))


def laid_for_s(piece: Piece) -> float:
    """How long the piece sounds, its room's tail not counted."""
    cut_s = piece.cut_s[1] - piece.cut_s[0]
    return piece.repeat * (cut_s - piece.crossfade_s) + piece.crossfade_s


def manifest(data: Path) -> dict[str, dict[str, str]]:
    """The manifest's rows of every piece and room used, by path.

    Raises SystemExit for one that is not there, is a test file or may not be redistributed.
    """
    with (data / "manifest.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["path"]: row for row in csv.DictReader(file)}
    pieces = BACKGROUND + EPISODES
    paths = {piece.path for piece in pieces} | {piece.room for piece in pieces if piece.room}
    for path in sorted(paths):
        row = rows.get(path)
        if row is None:
            sys.exit(f"{path} is not in {data / 'manifest.csv'}; give the data set's directory.")
        if row["split"] == "test" or row["redistribute"] != "yes":
            sys.exit(f"{path} may not be shipped: take a train or dev piece with redistribute=yes.")
    return {path: rows[path] for path in sorted(paths)}


def credits_page(rows: dict[str, dict[str, str]]) -> str:
    """CREDITS.md: for each piece its use, source, file, commit and licence."""
    uses: dict[str, list[str]] = {path: [] for path in rows}
    for piece in BACKGROUND + EPISODES:
        uses[piece.path].append(piece.device)
        if piece.room and "room response" not in uses[piece.room]:
            uses[piece.room].append("room response")
    lines = [
        "# Who made the sounds of `kitchen.flac`",
        "",
        "Cut, levelled, laid through measured room responses and mixed by",
        "`benchmarks/mix_demo.py`; hiss and hum are synthesised. The first column says what a",
        "piece stands for in the scene, not always what its makers recorded: the timer, the",
        "microwave oven, the panel and the key are monitor alarms. ESC-10 is the work of",
        "K. J. Piczak; the sentence is from Common Voice (CC0), the answer from the AMI corpus",
        "(CC BY 4.0). Thanks to all of them.",
        "",
        "| in the scene | source | file | commit | licence |",
        "|---|---|---|---|---|",
    ]
    for path, row in rows.items():
        lines.append(
            f"| {'; '.join(uses[path])} | https://{row['source']} | `{row['source_path']}` "
            f"| `{row['source_commit']}` | {row['licence']} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write recording, truth and credits."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True, help="directory of manifest.csv")
    default_out = Path(__file__).parents[1] / "beepwatch" / "daemon" / "demo"
    parser.add_argument("--out", type=Path, default=default_out)
    arguments = parser.parse_args()
    rows = manifest(arguments.data)
    arguments.out.mkdir(parents=True, exist_ok=True)
    recording = np.clip(np.round(mix(arguments.data) * 32_768), -32_768, 32_767).astype(np.int16)
    soundfile.write(arguments.out / "kitchen.flac", recording, RATE_HZ, subtype="PCM_16")
    with (arguments.out / "kitchen.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["onset_s", "offset_s", "label", "pulses", "device"])
        writer.writerows(truth())
    (arguments.out / "CREDITS.md").write_text(credits_page(rows), encoding="utf-8")
    print(f"{arguments.out / 'kitchen.flac'}: {len(recording) / RATE_HZ:.1f} s")


if __name__ == "__main__":
    main()

"""Recordings with their split, licence and pulses, as a data directory's manifest lists them."""

import csv
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from beepwatch.errors import UnreadableAudio
from beepwatch.train.synthesis import Pulse, Signal

Sound = NDArray[np.float32]

CORRECTIONS = Path(__file__).with_name("corrections.csv")
MANIFEST_NEEDS = ("path", "split", "category")
PULSES_NEED = ("path", "onset_s", "offset_s")
_LOUD_DB = 20.0  # below the loudest, and still the beep
_LEVEL_STEP_S = 0.01


class DatasetError(UnreadableAudio):
    """A data directory whose manifest does not hold what training needs."""


class NoManifest(DatasetError):
    """There is none in the directory, or it lists nothing."""

    exit_code = 2


class Recording(msgspec.Struct, frozen=True, kw_only=True):
    """One row of `manifest.csv`."""

    path: str  # below the data directory
    split: str  # train, dev or test
    category: str
    group: str  # device, speaker, session: never in two splits; "" is not known
    redistribute: str  # "yes": may be in shipped weights
    licence: str
    source: str
    duration_s: float  # 0 is not told
    pitch_hz: float | None
    snr_db: float | None
    note: str

    @property
    def known_group(self) -> str:
        """Its group; "" where that is not known, or only names the source: `a/b` of `x.org/a/b`."""
        only_names_it = f"/{self.source}".endswith(f"/{self.group}")
        return "" if only_names_it else self.group


def read_manifest(data: Path) -> list[Recording]:
    """All recordings of a data directory, sorted by path.

    Columns beside path, split and category may be missing. Raises NoManifest if there is none
    or it has no row, DatasetError if it cannot be read or a group crosses splits.
    """
    manifest = data / "manifest.csv"
    if not manifest.is_file():
        raise NoManifest(f"no manifest.csv in {data}. Give --data the directory that holds it.")
    empty = NoManifest(
        f"{manifest} lists no recording. Its first line has to name {', '.join(MANIFEST_NEEDS)}, "
        "and each further line is a recording."
    )
    if manifest.stat().st_size == 0:
        raise empty
    recordings = [_recording(where, row) for where, row in _rows(manifest, MANIFEST_NEEDS)]
    if not recordings:
        raise empty
    check_groups(recordings)
    return sorted(recordings, key=lambda recording: recording.path)


def _rows(table: Path, needed: Sequence[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Each row with where it stands; DatasetError if it is no table that has what is needed."""
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, restval="", strict=True)
            missing = [column for column in needed if column not in (reader.fieldnames or ())]
            if missing:
                raise DatasetError(
                    f"{table} has no column {missing[0]!r}. "
                    f"Its first line has to name {', '.join(needed)}."
                )
            for row in reader:
                yield f"{table}, line {reader.line_num}", row
    except (UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"cannot read {table}: {error}. It has to be CSV in UTF-8.") from error


def _recording(where: str, row: Mapping[str, str]) -> Recording:
    return Recording(
        path=row["path"],
        split=row["split"],
        category=row["category"],
        group=row.get("group", ""),
        redistribute=row.get("redistribute", ""),
        licence=row.get("licence", ""),
        source=row.get("source", ""),
        duration_s=_number(where, row, "duration_s") or 0.0,
        pitch_hz=_number(where, row, "f0_hz", r"f0 ([\d.]+) Hz"),
        snr_db=_number(where, row, "snr_db", r"SNR (-?[\d.]+)"),
        note=row.get("note", ""),
    )


def _number(
    where: str, row: Mapping[str, str], column: str, in_note: str | None = None
) -> float | None:
    """A column's number, or the one that the row's note mentions instead; None without either."""
    field = row.get(column, "").strip()
    if not field:
        found = in_note and re.search(in_note, row.get("note", ""))
        return float(found[1]) if found else None
    try:
        return float(field)
    except ValueError:
        raise DatasetError(f"{where}: {column} is {field!r}; it has to be a number.") from None


def check_groups(recordings: Iterable[Recording]) -> None:
    """Raise DatasetError if a device, speaker or session is in more than one split.

    A room response's group is a kind of room, so it is not checked.
    """
    split_of: dict[tuple[str, str], str] = {}
    for recording in recordings:
        if recording.category == "rir" or not recording.known_group:
            continue
        key = (recording.source, recording.group)
        split = split_of.setdefault(key, recording.split)
        if split != recording.split:
            of = f" of {recording.source}" if recording.source else ""
            raise DatasetError(
                f"group {recording.group!r}{of} is in both {split} and "
                f"{recording.split}: {recording.path}. A group belongs to one split."
            )


def choose(
    recordings: Iterable[Recording],
    split: str,
    categories: Sequence[str],
    redistributable_only: bool,
) -> list[Recording]:
    """The recordings of some categories of one split."""
    return [
        recording
        for recording in recordings
        if recording.split == split
        and recording.category in categories
        and (recording.redistribute == "yes" or not redistributable_only)
    ]


def read_sound(path: Path, rate_hz: int) -> Sound:
    """A file as mono float32 at `rate_hz`, shape [samples]; UnreadableAudio if it is none."""
    if not path.is_file():
        raise UnreadableAudio(f"cannot read {path}: there is no such file.")
    try:
        sound, native_hz = soundfile.read(path, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise UnreadableAudio(f"cannot read {path}: {error}. Is it a sound file?") from error
    mono = sound.mean(axis=1)
    if native_hz != rate_hz:
        mono = soxr.resample(mono, native_hz, rate_hz)
    return np.ascontiguousarray(mono, dtype=np.float32)


def read_pulses(data: Path) -> dict[str, list[tuple[float, float]]]:
    """Onset and offset in seconds of each pulse of each listed file, by path.

    `pulses.csv` may be missing. `corrections.csv` beside this module stands for the recordings that
    it names: there the data's own list was found wrong, by the energy in the beep's band and the
    device's beat (`benchmarks/truth.py`).
    """
    listed = data / "pulses.csv"
    return (_pulses_in(listed) if listed.is_file() else {}) | _pulses_in(CORRECTIONS)


def _pulses_in(table: Path) -> dict[str, list[tuple[float, float]]]:
    pulses: dict[str, list[tuple[float, float]]] = {}
    for where, row in _rows(table, PULSES_NEED):
        onset_s, offset_s = (_number(where, row, column) for column in PULSES_NEED[1:])
        if onset_s is None or offset_s is None or onset_s >= offset_s:
            raise DatasetError(
                f"{where}: a pulse from {row['onset_s']!r} to {row['offset_s']!r}; "
                "it has to end after it began, in seconds."
            )
        pulses.setdefault(row["path"], []).append((onset_s, offset_s))
    return pulses


def loud_stretches(sound: Sound, rate_hz: int) -> list[tuple[float, float]]:
    """Where a clean recording is within 20 dB of what its loudest 2 % exceed, in seconds.

    For sound files of beeps without noise; gaps and stretches under 30 ms are filled and dropped.
    """
    step = round(_LEVEL_STEP_S * rate_hz)
    count = len(sound) // step
    rms = np.sqrt((sound[: count * step].reshape(count, step) ** 2).mean(axis=1))
    if count == 0 or rms.max() == 0:
        return []
    loud = rms > np.quantile(rms, 0.98) * 10 ** (-_LOUD_DB / 20)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], loud.astype(int), [0]])))
    merged: list[tuple[float, float]] = []
    for start, end in zip(edges[::2] * _LEVEL_STEP_S, edges[1::2] * _LEVEL_STEP_S, strict=True):
        if merged and start - merged[-1][1] < 0.03:
            merged[-1] = (merged[-1][0], float(end))
        else:
            merged.append((float(start), float(end)))
    return [(start, end) for start, end in merged if end - start >= 0.03]


def read_signal(
    data: Path, recording: Recording, pulses: dict[str, list[tuple[float, float]]], rate_hz: int
) -> Signal:
    """A recorded beep with its pulses: the listed ones, else where a clean file is loud."""
    sound = read_sound(data / recording.path, rate_hz)
    spans = pulses.get(recording.path) or loud_stretches(sound, rate_hz)
    pitch_hz = recording.pitch_hz or 2_000.0
    return Signal(
        sound=sound,
        pulses=tuple(
            Pulse(onset_s=onset_s, offset_s=offset_s, pitch_hz=pitch_hz)
            for onset_s, offset_s in spans
        ),
    )


def data_digest(data: Path, recordings: Iterable[Recording]) -> str:
    """SHA-256 over path and content of every file used, in order of path."""
    digest = hashlib.sha256()
    for path in sorted({recording.path for recording in recordings}):
        digest.update(path.encode())
        digest.update(hashlib.sha256((data / path).read_bytes()).digest())
    return digest.hexdigest()

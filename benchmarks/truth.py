"""Where the pulses of a recording are that repeats itself: python -m benchmarks.truth --data DIR.

DIR's `pulses.csv` was found by a threshold on the energy around a beep's pitch. Where a room rings
or a level wavers that splits pulses, merges them and misses others. A device's beat is exact, so
all periods of a recording can be laid over one another: their mean tells when a pulse begins and
ends within a period, however much one of them is drowned. Nothing of beepwatch is asked. For each
of `RECORDINGS` what is found is printed as rows of `beepwatch/train/corrections.csv`; `--out` draws
it. They are those of the test split's recordings of one tone and one beat whose list tells another
number of pulses; eight others agree, none of their onsets being off by more than 0.07 s.
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from beepwatch.train.dataset import Recording, read_manifest, read_sound

Values = NDArray[np.float64]

RECORDINGS = {  # the end of the name, and about how long its period is, in seconds
    "smoke_2_49.flac": 0.22,
    "smoke_2_50.flac": 0.22,
    "smoke_2_52.flac": 0.24,
    "smoke_2_53.flac": 1.012,
    "smoke_2_59.flac": 0.22,
    "6gnkkrur.ingestion-7f474ccdc-xbf9j.flac": 0.24,
    "6gnklo8n.ingestion-7f474ccdc-jxr84.flac": 0.24,
    "6gnkqj4g.ingestion-7f474ccdc-jxr84.flac": 0.24,
}
RATE_HZ = 16_000
STEP_S = 0.002
BAND_HZ = 50.0
LOUDEST_DB = 30.0  # below the loudest nothing counts
STRETCH = 0.02  # by which a period may be off the one that is named
PHASES = 60
LEAST_S = 0.06  # of a pulse that the recording begins or ends with
LEAST_DB = 15.0  # below the others, a pulse is there


def main() -> None:
    """Print the rows."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, help="a PNG to draw")
    options = parser.parse_args()
    found = []
    for recording in read_manifest(options.data):
        period_s = next((p for name, p in RECORDINGS.items() if recording.path.endswith(name)), 0.0)
        if period_s and recording.pitch_hz:
            level_db = level(read_sound(options.data / recording.path, RATE_HZ), recording.pitch_hz)
            found.append((recording, level_db, pulses(level_db, period_s)))
    for recording, _, spans in found:
        for onset_s, offset_s in spans:
            print(f"{recording.path},{onset_s:.2f},{offset_s:.2f}")
    if options.out:
        _draw(found, options.out)


def level(sound: NDArray[np.float32], pitch_hz: float) -> Values:
    """In the 50 Hz around a pitch, in dB, a value every `STEP_S`; never far below the loudest."""
    at_s = np.arange(len(sound)) / RATE_HZ
    window = np.hanning(round(RATE_HZ / BAND_HZ))
    tone = np.convolve(sound * np.exp(-2j * np.pi * pitch_hz * at_s), window / window.sum(), "same")
    level_db = 20 * np.log10(np.abs(tone[:: round(STEP_S * RATE_HZ)]) + 1e-9)
    floored: Values = np.maximum(level_db, level_db.max() - LOUDEST_DB)
    return floored


def pulses(level_db: Values, about_s: float) -> list[tuple[float, float]]:
    """Onset and offset of each, seconds, for what repeats itself after about so long."""
    tried_s = np.arange(about_s * (1 - STRETCH), about_s * (1 + STRETCH), 1e-4)
    period_s = max(tried_s, key=lambda one_s: float(_laid_over(level_db, one_s).var()))
    onset, offset = _sounding(_laid_over(level_db, period_s))
    ends_s = len(level_db) * STEP_S
    spans = []
    for number in range(-1, int(ends_s / period_s) + 1):
        onset_s = max(0.0, (number + onset) * period_s)
        offset_s = min(ends_s, (number + offset) * period_s)
        if offset_s - onset_s >= LEAST_S:
            spans.append((onset_s, offset_s))
    loud_db = [float(level_db[int(on / STEP_S) : int(off / STEP_S)].mean()) for on, off in spans]
    least_db = np.median(loud_db) - LEAST_DB
    return [span for span, one_db in zip(spans, loud_db, strict=True) if one_db >= least_db]


def _laid_over(level_db: Values, period_s: float) -> Values:
    """Mean level at each phase of a period, [PHASES]."""
    phase = (np.arange(len(level_db)) * STEP_S / period_s % 1 * PHASES).astype(int)
    return np.bincount(phase, level_db, PHASES) / np.bincount(phase, minlength=PHASES)


def _sounding(mean_db: Values) -> tuple[float, float]:
    """From which share of a period to which it sounds: all but its longest pause."""
    loud = mean_db >= (np.quantile(mean_db, 0.85) + mean_db.min()) / 2
    twice = np.concatenate([loud, loud])
    edges = np.flatnonzero(np.diff(twice.astype(int)))
    falls = [int(edge) for edge in edges if twice[edge]]
    pauses = [(fall, next(e for e in edges if e > fall)) for fall in falls if fall < edges[-1]]
    fall, rise = max(pauses, key=lambda pause: int(pause[1] - pause[0]))
    onset = (rise + 1) % PHASES / PHASES
    return onset, onset + 1 - (rise - fall) / PHASES


def _draw(found: list[tuple[Recording, Values, list[tuple[float, float]]]], out: Path) -> None:
    import matplotlib.pyplot as plt

    figure, plots = plt.subplots(len(found), 1, figsize=(24, 2.6 * len(found)))
    for plot, (recording, level_db, spans) in zip(plots, found, strict=True):
        plot.plot(np.arange(len(level_db)) * STEP_S, level_db, linewidth=0.8)
        plot.set_title(f"{recording.path[-40:]}: {len(spans)} pulses", fontsize=9)
        for span in spans:
            plot.axvspan(*span, color="green", alpha=0.2)
    figure.tight_layout()
    figure.savefig(out, dpi=50)


if __name__ == "__main__":
    main()

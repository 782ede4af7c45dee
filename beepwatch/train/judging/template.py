"""Spectral template matching: one clean example of a device, looked for in a stream.

The example's first pulse, as a patch of a log spectrogram, is slid over the stream's; the score
is their normalised cross-correlation (Lewis, Fast Normalized Cross-Correlation, 1995): 1 where
the stream looks like the example whatever its level, around 0 where it has nothing of it.
"""

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.signal import fftconvolve

from beepwatch.train.judging.detection import Heard

FRAME_S = 0.016
LOWEST_HZ, HIGHEST_HZ = 300.0, 7_000.0
AROUND_S = 0.08  # of the example before and after the pulse: how it starts and ends
LONGEST_S = 1.0
GAP_S = 3.0  # matches nearer to each other are one detection
SOUNDING = 2.3  # in log magnitude, 20 dB: bands this far below the loudest tell of the example
SIDE_BANDS = 4  # beside those, where its silence shows
FAINTEST = 1e-3  # of full scale in one band, so that digital silence has no pattern


class Template(msgspec.Struct, frozen=True, kw_only=True):
    """A patch of log spectrogram, [frames, bands], mean 0 and norm 1."""

    patch: NDArray[np.float64]
    first_band: int  # of the spectrogram's bands; the patch has those that the example sounds in
    before_frames: int  # of the patch that lie before the pulse
    pulse_s: float


class MatchEvidence(msgspec.Struct, frozen=True, kw_only=True):
    """Correlation at each frame at which the patch may begin, [frames]."""

    correlation: NDArray[np.float32]
    before_s: float
    pulse_s: float

    def at(self, threshold: float) -> list[Heard]:
        """Peaks over the threshold, a pulse each, joined over pauses of up to 3 s."""
        over = np.flatnonzero(self.correlation >= threshold)
        detections: list[Heard] = []
        runs = np.split(over, np.flatnonzero(np.diff(over) > self.pulse_s / FRAME_S) + 1)
        for run in runs if len(over) else []:
            best = int(run[self.correlation[run].argmax()])
            onset_s = best * FRAME_S + self.before_s
            span = (onset_s, onset_s + self.pulse_s)
            score = float(self.correlation[best])
            if detections and onset_s - detections[-1].offset_s <= GAP_S:
                last = detections.pop()
                detections.append(
                    Heard(
                        onset_s=last.onset_s,
                        offset_s=span[1],
                        pulses=(*last.pulses, span),
                        score=max(last.score, score),
                    )
                )
            else:
                detections.append(
                    Heard(onset_s=span[0], offset_s=span[1], pulses=(span,), score=score)
                )
        return detections


def log_spectrogram(sound: NDArray[np.floating], rate_hz: int) -> NDArray[np.float64]:
    """Log magnitudes of sound with full scale 1, [frames, bands], windows of two frames."""
    frame = round(FRAME_S * rate_hz)
    count = max(len(sound) // frame - 1, 0)
    window = np.hanning(2 * frame)
    starts = frame * np.arange(count)
    spans = sound[starts[:, np.newaxis] + np.arange(2 * frame)] * window
    frequency_hz = np.fft.rfftfreq(2 * frame, 1 / rate_hz)
    chosen = (frequency_hz >= LOWEST_HZ) & (frequency_hz <= HIGHEST_HZ)
    return np.asarray(np.log(np.abs(np.fft.rfft(spans, axis=1))[:, chosen] + FAINTEST))


def learn(example: NDArray[np.float32], pulse: tuple[float, float], rate_hz: int) -> Template:
    """The template of an example's pulse, given by onset and offset in seconds."""
    onset_s, offset_s = pulse
    pulse_s = min(offset_s - onset_s, LONGEST_S)
    margin = round(AROUND_S * rate_hz)
    # The example may begin with its pulse: what is around it then is silence.
    padded = np.concatenate([np.zeros(margin), example, np.zeros(2 * margin)])
    start = round(onset_s * rate_hz)
    piece = padded[start : start + round(pulse_s * rate_hz) + 2 * margin]
    peak = float(np.abs(piece).max(initial=0.0))
    patch = log_spectrogram(piece / max(peak, 1e-9), rate_hz)
    # A clean example's silence is far deeper than any room's: 40 dB are enough to tell them apart.
    patch = np.maximum(patch, patch.max() - 4.6)
    loud = np.flatnonzero(patch.max(axis=0) > patch.max() - SOUNDING)
    first, last = max(int(loud[0]) - SIDE_BANDS, 0), int(loud[-1]) + SIDE_BANDS
    patch = patch[:, first : last + 1]
    patch = patch - patch.mean()
    return Template(
        patch=patch / max(float(np.linalg.norm(patch)), 1e-9),
        first_band=first,
        before_frames=round(AROUND_S / FRAME_S),
        pulse_s=pulse_s,
    )


def match(template: Template, spectrogram: NDArray[np.float64]) -> MatchEvidence:
    """How like the template every part of a stream's log spectrogram is."""
    frames, bands = template.patch.shape
    spectrogram = spectrogram[:, template.first_band : template.first_band + bands]
    if len(spectrogram) < frames:
        correlation = np.zeros(0, dtype=np.float32)
    else:
        product = fftconvolve(spectrogram, template.patch[::-1], "valid", axes=0).sum(axis=1)
        total = _sliding_sum(spectrogram.sum(axis=1), frames)
        square = _sliding_sum((spectrogram**2).sum(axis=1), frames)
        spread = square - total**2 / (frames * bands)
        correlation = (product / np.sqrt(np.maximum(spread, 1e-6))).astype(np.float32)
    return MatchEvidence(
        correlation=correlation,
        before_s=template.before_frames * FRAME_S,
        pulse_s=template.pulse_s,
    )


def _sliding_sum(values: NDArray[np.float64], length: int) -> NDArray[np.float64]:
    sums = np.concatenate([[0.0], np.cumsum(values)])
    return np.asarray(sums[length:] - sums[:-length])

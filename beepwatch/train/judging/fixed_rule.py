"""The fixed-frequency rule that home-made alarms use, to compare with.

Known from several published projects: an FFT of 2,048 samples at 44.1 kHz; a blip is a peak at
the hand-set tone that exceeds the peak of the band 1 to 2 kHz below it by a sensitivity; so many
blips make a beep, so many beeps an alarm.
"""

import msgspec
import numpy as np
from numpy.typing import NDArray

from beepwatch.train.judging.detection import Heard

SPAN_S = 2_048 / 44_100


class FixedRule(msgspec.Struct, frozen=True, kw_only=True):
    """One appliance's alarm."""

    tone_hz: float
    tolerance_hz: float = 100.0  # published values run from 30 to 300
    sensitivity_db: float = 6.0
    blips_per_beep: int = 2
    beeps_per_alarm: int = 1
    reset_s: float = 3.0  # without a beep, an alarm is over

    def excess_db(self, magnitude: NDArray[np.float32], rate_hz: int) -> NDArray[np.float32]:
        """How far the tone stands out of the band below it in each span, [spans]."""
        span = round(SPAN_S * rate_hz)
        frequency_hz = np.fft.rfftfreq(span, 1 / rate_hz)
        at_tone = np.abs(frequency_hz - self.tone_hz) <= self.tolerance_hz
        # A low tone has no band a kilohertz below it; what lies under the tone then serves.
        below_hz = max(self.tone_hz - 1_000, min(0.7 * self.tone_hz, 350))
        below = (frequency_hz >= max(self.tone_hz - 2_000, 100)) & (frequency_hz <= below_hz)
        ratio = magnitude[:, at_tone].max(axis=1) / magnitude[:, below].max(axis=1)
        return np.asarray(20 * np.log10(ratio), dtype=np.float32)

    def alarms(self, pcm: NDArray[np.int16], rate_hz: int) -> list[tuple[float, float]]:
        """Onset and end of each alarm in seconds: enough beeps with no long pause between."""
        excess_db = self.excess_db(magnitudes(pcm, rate_hz), rate_hz)
        evidence = RuleEvidence(rule=self, excess_db=excess_db)
        return [heard.span for heard in evidence.at(self.sensitivity_db)]


class RuleEvidence(msgspec.Struct, frozen=True, kw_only=True):
    """A rule and how far its tone stood out; the threshold is the sensitivity in dB."""

    rule: FixedRule
    excess_db: NDArray[np.float32]  # [spans]

    def at(self, threshold: float) -> list[Heard]:
        """The rule's alarms; an alarm has a pulse for each beep."""
        edges = np.flatnonzero(
            np.diff(np.concatenate([[0], (self.excess_db > threshold).astype(int), [0]]))
        )
        alarms: list[Heard] = []
        beeps: list[tuple[float, float]] = []
        for start, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
            if end - start < self.rule.blips_per_beep:
                continue
            onset_s, offset_s = start * SPAN_S, end * SPAN_S
            if beeps and onset_s - beeps[-1][1] > self.rule.reset_s:
                beeps = []
            beeps.append((onset_s, offset_s))
            if len(beeps) > self.rule.beeps_per_alarm:
                alarms.pop()
            if len(beeps) >= self.rule.beeps_per_alarm:
                alarms.append(
                    Heard(
                        onset_s=beeps[0][0],
                        offset_s=offset_s,
                        pulses=tuple(beeps),
                        score=float(self.excess_db[start:end].max()),
                    )
                )
        return alarms


def magnitudes(pcm: NDArray[np.int16], rate_hz: int) -> NDArray[np.float32]:
    """Spectra of spans of 46 ms, end to end, [spans, frequencies]; the same for every tone."""
    span = round(SPAN_S * rate_hz)
    spans = pcm[: len(pcm) // span * span].reshape(-1, span) / np.float32(32_768)
    spectra = np.abs(np.fft.rfft(spans * np.hanning(span).astype(np.float32), axis=1))
    return np.asarray(spectra + 1e-9, dtype=np.float32)

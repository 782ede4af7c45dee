"""The fixed-frequency rule that home-made alarms use, to compare with.

Known from several published projects: an FFT of 2,048 samples at 44.1 kHz; a blip is a peak at
the hand-set tone that exceeds the peak of the band 1 to 2 kHz below it by a sensitivity; so many
blips make a beep, so many beeps an alarm.
"""

import msgspec
import numpy as np
from numpy.typing import NDArray

SPAN_S = 2_048 / 44_100


class FixedRule(msgspec.Struct, frozen=True, kw_only=True):
    """One appliance's alarm."""

    tone_hz: float
    tolerance_hz: float = 100.0  # published values run from 30 to 300
    sensitivity_db: float = 6.0
    blips_per_beep: int = 2
    beeps_per_alarm: int = 1
    reset_s: float = 3.0  # without a beep, an alarm is over

    def blips(self, pcm: NDArray[np.int16], rate_hz: int) -> NDArray[np.bool_]:
        """For each span of 46 ms, whether the tone stands out, [spans]."""
        span = round(SPAN_S * rate_hz)
        spans = pcm[: len(pcm) // span * span].reshape(-1, span) / 32_768
        magnitude = np.abs(np.fft.rfft(spans * np.hanning(span), axis=1)) + 1e-9
        frequency_hz = np.fft.rfftfreq(span, 1 / rate_hz)
        at_tone = np.abs(frequency_hz - self.tone_hz) <= self.tolerance_hz
        # A low tone has no band a kilohertz below it; what lies under the tone then serves.
        below_hz = max(self.tone_hz - 1_000, min(0.7 * self.tone_hz, 350))
        below = (frequency_hz >= max(self.tone_hz - 2_000, 100)) & (frequency_hz <= below_hz)
        floor = magnitude[:, below].max(axis=1)
        exceeds = magnitude[:, at_tone].max(axis=1) > floor * 10 ** (self.sensitivity_db / 20)
        return np.asarray(exceeds)

    def alarms(self, pcm: NDArray[np.int16], rate_hz: int) -> list[tuple[float, float]]:
        """Onset and end of each alarm in seconds: enough beeps with no long pause between."""
        blips = self.blips(pcm, rate_hz)
        edges = np.flatnonzero(np.diff(np.concatenate([[0], blips.astype(int), [0]])))
        alarms: list[tuple[float, float]] = []
        beeps: list[tuple[float, float]] = []
        for start, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
            if end - start < self.blips_per_beep:
                continue
            onset_s, offset_s = start * SPAN_S, end * SPAN_S
            if beeps and onset_s - beeps[-1][1] > self.reset_s:
                beeps = []
            beeps.append((onset_s, offset_s))
            if len(beeps) == self.beeps_per_alarm:
                alarms.append((beeps[0][0], offset_s))
            elif len(beeps) > self.beeps_per_alarm:
                alarms[-1] = (alarms[-1][0], offset_s)
        return alarms

"""One opening of a source: how its sound is cut and gated, and when each sample was heard."""

from typing import Any

from beepwatch.capture.gate import Gate
from beepwatch.capture.levels import level_dbfs
from beepwatch.capture.looking import Looks
from beepwatch.capture.windows import Cut, StreamTime, WindowCutter
from beepwatch.sections import Capture


class Opening:
    """What belongs to one opening, from its first samples on."""

    def __init__(
        self, capture: Capture, *, from_hz: int, rate_hz: int, time: StreamTime, early: bool
    ) -> None:
        """Sound comes at `from_hz` and leaves at `rate_hz`; `time` is its first sample's.

        With `early` there are looks at the next window before it is whole.
        """
        self._early = early
        self.cutter = WindowCutter(
            from_hz=from_hz, rate_hz=rate_hz, window_s=capture.window_s, hop_s=capture.hop_s
        )
        self.gate: Gate | None = None
        if capture.gate:
            self.gate = Gate(rate_hz=rate_hz, over_floor_db=capture.gate_over_floor_db)
        self.time = time
        self.looks = Looks(hop_samples=self.cutter.hop_samples, rate_hz=rate_hz)
        self.sounded_until = 0  # sample up to which sound was passed on, without dropped windows

    @property
    def heard_until_s(self) -> float:
        """Monotonic time of the end of all that has come."""
        return self.time.at(self.cutter.heard_s)[0]

    @property
    def missing_to_look_s(self) -> float:
        """How much more sound it takes until a look is due; 0 if it is."""
        missing = self.looks.due - self.cutter.received_samples
        return max(0.0, missing / self.cutter.rate_hz)

    @property
    def missing_s(self) -> float:
        """How much more sound it takes until there is something to do."""
        whole_s = self.cutter.missing_s
        return min(whole_s, self.missing_to_look_s) if self._early else whole_s

    def span(self, cut: Cut, source: str) -> dict[str, Any]:
        """The fields of a `Span`: the cut's place in the stream, on both clocks."""
        rate_hz = self.cutter.rate_hz
        mono_s, utc = self.time.at(cut.first_sample / rate_hz)
        return {
            "stream_id": self.cutter.stream_id,
            "sequence": cut.sequence,
            "first_sample": cut.first_sample,
            "rate_hz": rate_hz,
            "started_at": utc,
            "started_mono_s": mono_s,
            "level_dbfs": level_dbfs(cut.pcm),
            "lost_samples": cut.lost_samples,
            "source": source,
        }

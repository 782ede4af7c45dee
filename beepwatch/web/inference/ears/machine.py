"""Judges recordings of a learned machine as `teach --judge` does."""

from pathlib import Path

import numpy as np

from beepwatch.classify.condition import Listener
from beepwatch.classify.faults import NORMAL, Diagnostician
from beepwatch.classify.machines import Machines
from beepwatch.classify.spectra import RATE_HZ, WINDOW_SAMPLES
from beepwatch.train.machines import lessons
from beepwatch.web.inference.answers import ModelShown
from beepwatch.web.inference.ears.upload import UploadedSound
from beepwatch.web.inference.machine import STRANGE, Judged
from beepwatch.web.inference.settings import Machine

_ID_DIGITS = 12  # of what was learned, as in the daemon's events
_WARM_UP_WINDOWS = 2


class MachineEar:
    """How a machine sounds when it is well, and its faults if they were learned."""

    def __init__(self, settings: Machine) -> None:
        """Raises ModelError."""
        machines = Machines(Path(settings.state))
        self._listener = Listener(machines.normal(settings.name))
        faults = machines.faults(settings.name)
        self._doctor = None if faults is None else Diagnostician(faults)
        self._enough_s = settings.enough_s
        self.rate_hz = RATE_HZ
        self.problems: list[str] = []
        labels = [STRANGE] if faults is None else list(faults.labels)
        self.model = ModelShown(
            kind="machine",
            id=machines.digests()[settings.name][:_ID_DIGITS],
            name=settings.name,
            labels=labels,
            normal=[] if faults is None else [one for one in labels if one == NORMAL],
        )
        hiss = np.random.default_rng(0).integers(-99, 99, _WARM_UP_WINDOWS * WINDOW_SAMPLES)
        lessons.judge(self._listener, "", [hiss.astype(np.int16)], doctor=self._doctor)

    def hear(self, sound: UploadedSound, *, in_full: bool) -> Judged | None:
        """The whole of it; None if there is no sound. A verdict needs all of it, too."""
        del in_full
        heard = lessons.judge(self._listener, "", sound.blocks(), self._enough_s, self._doctor)
        if sound.samples == 0:
            return None
        return Judged(
            duration_s=sound.duration_s,
            anomaly=heard.anomalous,
            message=lessons.said_of(heard),
            windows=heard.windows,
            off=heard.off,
            drowned=heard.drowned,
            strangeness=heard.strangeness,
            unusual_at_s=heard.unusual_at_s,
            difference=heard.difference,
            fault=heard.fault,
            faults=heard.faults,
            problem=sound.problem,
        )

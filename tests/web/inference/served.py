"""A learned fan, with and without the names of its faults, for servers that judge it."""

import io
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from beepwatch.classify.machines import Machines
from beepwatch.train.machines.learning import spectra_of
from beepwatch.train.machines.naming import learn_faults
from tests.classify.test_machines import NOW
from tests.daemon.fans import normal_fan, well, whining
from tests.train.machines.fan import household

RATE_HZ = 16_000


def learned_fan(state: Path, *, faults: bool = False) -> Machines:
    """The state directory's machines, with "fan" among them."""
    machines = Machines(state)
    machines.put(normal_fan(), NOW)
    if faults:
        spectra = [spectra_of([sound]) for sound in (well(9), whining(9))]
        labels = ["normal"] * len(spectra[0]) + ["bearing"] * len(spectra[1])
        machines.put_faults(learn_faults("fan", np.concatenate(spectra), labels, household()))
    return machines


def wav(pcm: NDArray[np.int16], rate_hz: int = RATE_HZ) -> bytes:
    """The file."""
    file = io.BytesIO()
    soundfile.write(file, pcm, rate_hz, format="WAV")
    return file.getvalue()

"""A learned fan, and windows of one as the recorder passes them on."""

import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import cache

import numpy as np
from numpy.typing import NDArray

from beepwatch.classify.condition import Normal
from beepwatch.classify.spectra import RATE_HZ
from beepwatch.messages import Hum, Window
from beepwatch.train.machines.learning import learn_normal, portraits_of
from tests.daemon.loud import START
from tests.train.machines.fan import fan, household

WHINE_HZ = 3_100.0


@cache
def normal_fan(seed: int = 1, *, whine: bool = False) -> Normal:
    """How the fan sounds when it is well; with a whine, if that is how it should be."""
    sound = fan(seed, whine_hz=WHINE_HZ if whine else None)
    return learn_normal("fan", portraits_of([sound]), household())


def well(seconds: int, seed: int = 3) -> NDArray[np.int16]:
    return fan(seed, seconds)


def whining(seconds: int, seed: int = 4) -> NDArray[np.int16]:
    return fan(seed, seconds, whine_hz=WHINE_HZ)


def hums(
    *parts: NDArray[np.int16], from_s: float = 0.0, at: datetime = START, every_s: float = 3.0
) -> Iterator[Hum]:
    """What the gate drops of a sound, window after window; a stream of its own."""
    stream_id = uuid.uuid4().hex
    sound = np.concatenate(parts)
    hop = round(every_s * RATE_HZ)
    for number, first in enumerate(range(0, len(sound) - 3 * RATE_HZ + 1, hop)):
        begun_s = first / RATE_HZ
        yield Hum(
            pcm=sound[first : first + 3 * RATE_HZ].astype("<i2").tobytes(),
            samples=3 * RATE_HZ,
            stream_id=stream_id,
            sequence=number,
            first_sample=first,
            rate_hz=RATE_HZ,
            started_at=at + timedelta(seconds=begun_s),
            started_mono_s=from_s + begun_s,
            level_dbfs=-30.0,
            lost_samples=0,
            source="test",
        )


def as_window(hum: Hum) -> Window:
    """The same, as if the gate had let it through."""
    fields = {name: getattr(hum, name) for name in hum.__struct_fields__ if name != "samples"}
    return Window(**fields)

"""What a worker makes of a file, with networks and machines whose answers are known."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from beepwatch.classify.bundle import find_bundle, load_bundle
from beepwatch.classify.engines import Answers, open_engine
from beepwatch.classify.taught import TaughtEngine
from beepwatch.web.inference.answers import ModelShown, Refused, Said
from beepwatch.web.inference.ears import upload
from beepwatch.web.inference.ears.sounds import Hearing
from beepwatch.web.inference.ears.upload import UploadedSound, said_of
from beepwatch.web.inference.sounds import Heard
from tests.train.engines import SteadyEngine
from tests.web.inference.recordings import KITCHEN

RATE_HZ = 16_000
MODEL = ModelShown(
    kind="sounds", id="loudness", name="loudness", labels=["beep"], thresholds={"beep": 0.5}
)


class LoudnessEngine(SteadyEngine):
    """Takes every loud frame for a beep."""

    def __init__(self) -> None:
        super().__init__(0.0)

    def answers(self, pcm: NDArray[np.int16]) -> Answers:
        """1 where the samples are not zero."""
        frames = pcm[: len(pcm) // 320 * 320].reshape(-1, 320)
        blank = super().answers(pcm)
        scores = (np.abs(frames).max(axis=1) > 0).astype(np.float32)[:, None]
        return Answers(scores, blank.pitch_hz, blank.embedding)


class LoudnessEar:
    """Listens with it."""

    model = MODEL
    rate_hz = RATE_HZ

    def __init__(self) -> None:
        self.problems: list[str] = []

    def hear(self, sound: UploadedSound, *, in_full: bool) -> Said | None:
        """The whole of it."""
        engine = TaughtEngine(LoudnessEngine(), {"beep": 0.5})
        return Hearing(engine, window_s=3.0, in_full=in_full).of(sound)


def heard_in(path: Path) -> Said | Refused:
    return said_of(LoudnessEar(), path, in_full=True)


def file_of(directory: Path, seconds: float, *loud_s: tuple[float, float]) -> Path:
    """Silence with a stretch of full scale from … to …, for each given."""
    sound = np.zeros(round(seconds * RATE_HZ), np.int16)
    for start_s, end_s in loud_s:
        sound[round(start_s * RATE_HZ) : round(end_s * RATE_HZ)] = 32_000
    path = directory / "sound.wav"
    soundfile.write(path, sound, RATE_HZ)
    return path


def test_every_window_has_the_peak_of_its_own_frames(tmp_path: Path) -> None:
    """Over the seams of the stretches in which a long file is scored, of 20 s, too."""
    heard = heard_in(file_of(tmp_path, 64.0, (4.0, 4.2), (20.98, 21.02), (63.5, 63.7)))
    assert isinstance(heard, Heard)
    loud = [(one.start_s, one.end_s) for one in heard.windows if one.probabilities == [1.0]]
    assert loud == [(3, 6), (18, 21), (21, 24), (63, 64)]
    assert len(heard.windows) == 22


def test_episodes_are_told_with_their_times(tmp_path: Path) -> None:
    heard = heard_in(file_of(tmp_path, 30.0, (1.0, 1.2), (1.5, 1.7), (20.0, 20.4)))
    assert isinstance(heard, Heard)
    times_s = [time_s for one in heard.events for time_s in (one.onset_s, one.offset_s)]
    assert times_s == pytest.approx([1.0, 1.7, 20.0, 20.4], abs=0.021)
    assert [one.pulses for one in heard.events] == [2, 1]
    told = heard.verdict()
    assert told.anomaly
    assert told.details.message == "beep heard 2 times, first at 1.0 s"
    assert heard.in_full(MODEL).probabilities == {"beep": 1.0}


def test_a_verdict_is_that_of_the_whole_answer_without_what_it_does_not_show() -> None:
    """The kitchen's beeps, whose pulses are counted anew where they are shown."""
    bundle = load_bundle(find_bundle("beep"))
    engine = TaughtEngine(open_engine(bundle), bundle.info.thresholds)
    in_full = Hearing(engine, 3.0).of(UploadedSound(KITCHEN, RATE_HZ))
    enough = Hearing(engine, 3.0, in_full=False).of(UploadedSound(KITCHEN, RATE_HZ))
    assert isinstance(in_full, Heard)
    assert isinstance(enough, Heard)
    assert enough.verdict() == in_full.verdict()
    assert enough.verdict().anomaly
    assert (len(in_full.windows) > 1, enough.windows) == (True, [])
    assert [(one.onset_s, one.score) for one in enough.events] == [
        (one.onset_s, one.score) for one in in_full.events
    ]


def test_more_sound_than_an_hour_is_refused_and_not_a_sample_less(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upload, "LONGEST_S", 60.0)
    assert isinstance(heard_in(file_of(tmp_path, 60.0)), Heard)
    refused = heard_in(file_of(tmp_path, 60.001))
    assert isinstance(refused, Refused)
    assert refused.status == 413
    assert refused.reason.startswith("it is longer than 1 min.")

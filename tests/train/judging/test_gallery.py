"""Reports, curves and clips of the worst errors come out of one study."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from beepwatch.classify.bundle import find_bundle
from beepwatch.classify.engines import Answers
from beepwatch.errors import ConfigurationError
from beepwatch.train.evaluation import RAW, Study, own_hearing, raw_hearing
from beepwatch.train.judging.gallery import evaluate_into, worst, write_gallery
from beepwatch.train.judging.results import as_markdown, as_text, tables
from beepwatch.train.judging.rivals import RULE
from beepwatch.train.judging.streams import beep_streams, negative_streams
from tests.train.conftest import RATE_HZ
from tests.train.engines import SteadyEngine


class EarlyEngine(SteadyEngine):
    """Fires in the first second of anything and never again."""

    def answers(self, pcm: NDArray[np.int16]) -> Answers:
        """1 for fifty frames, then 0."""
        answers = super().answers(pcm)
        answers.probabilities[50:] = 0.0
        return answers


def study(data: Path, score: float) -> Study:
    """An engine of one answer on dev's streams."""
    return study_of(SteadyEngine(score), data)


def study_of(engine: SteadyEngine, data: Path) -> Study:
    """An engine on dev's streams."""
    streams = list(beep_streams(data, "dev", RATE_HZ, (20.0, 5.0), 2, 1))
    negatives = negative_streams(data, "dev", RATE_HZ)
    own = own_hearing(engine, streams, negatives, 0.5)
    return Study(
        split="dev", model_id="steady", rate_hz=RATE_HZ, streams=streams, negatives=negatives,
        hearings=[own, raw_hearing(own)],
    )  # fmt: skip


def test_what_a_deaf_engine_does_worst_is_to_miss_clear_beeps(data: Path) -> None:
    mistakes = worst(study(data, 0.0))
    assert [(one.kind, one.score) for one in mistakes] == [("miss", 0.0), ("miss", 0.0)]
    first = mistakes[0]
    assert "dev timer, 3 pulses at 1700 Hz, 20 dB" in first.what
    # Two seconds, the beep's 1.5, two seconds.
    assert len(first.pcm) / RATE_HZ == pytest.approx(5.5, abs=0.01)
    assert first.marks_s[0] == pytest.approx((2.0, 2.3))


def test_what_an_ever_firing_engine_does_worst_is_to_raise_alarms(data: Path) -> None:
    (alarm,) = worst(study(data, 1.0))
    assert alarm.kind == "false alarm"
    assert "household, fan.flac" in alarm.what


def test_what_is_heard_beside_a_beep_is_a_false_alarm_and_the_beep_is_missed(data: Path) -> None:
    """Four streams and the household, of which two have 20 dB: there a miss counts."""
    mistakes = worst(study_of(EarlyEngine(1.0), data))
    assert [one.kind for one in mistakes] == ["false alarm"] * 5 + ["miss"] * 2
    beside = [one.what for one in mistakes if "beside the beep of dev timer" in one.what]
    assert sorted(what.split(" at ")[1] for what in beside) == ["20 dB", "20 dB", "5 dB", "5 dB"]
    assert {one.score for one in mistakes} == {0.0, 1.0}
    assert all(one.marks_s[0][0] == pytest.approx(0.0, abs=0.02) for one in mistakes[:5])


def test_what_came_near_the_threshold_is_shown_as_no_error(data: Path) -> None:
    kinds = [(one.kind, one.wrong) for one in worst(study(data, 0.4))]
    assert kinds == [("miss", True), ("miss", True), ("nearly a false alarm", False)]


def test_everything_is_written_and_nothing_stays_of_an_earlier_run(
    data: Path, tmp_path: Path
) -> None:
    (tmp_path / "error-77.wav").touch()
    one = study(data, 0.0)
    write_gallery(one, one.evaluation(curves=True), tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {
        "report.md", "report.json", "index.html", "curve.png",
        "error-01.wav", "error-01.png", "error-02.wav", "error-02.png",
    }  # fmt: skip
    clip, rate_hz = soundfile.read(tmp_path / "error-01.wav", dtype="int16")
    assert rate_hz == RATE_HZ
    assert np.array_equal(clip, worst(one)[0].pcm)
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
    page = (tmp_path / "index.html").read_text()
    assert page.count("<audio") == 2
    assert 'src="error-02.wav"' in page
    numbers = json.loads((tmp_path / "report.json").read_text())
    assert numbers["results"][0]["patterns"]["20.0"] == {"heard": 0, "of": 2}


def test_tables_read_the_same_as_text_and_markdown(data: Path) -> None:
    found = tables(study(data, 0.0).evaluation())
    text, page = as_text(found), as_markdown(found)
    assert "| beepwatch | 0.0 % | 0.0 % | 0.0 % (0/2) |" in page
    assert "beepwatch 0.0 % 0.0 %" in " ".join(text.split())
    assert "2 streams at each SNR" in text
    assert "0.0 (0.0 to 2213.3)" in text  # none in 6 s
    assert text.count("Single pulses") == 0


def test_a_place_that_cannot_be_written_is_told_before_anything_is_done(
    data: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="file cannot be made: File exists"):
        evaluate_into(tmp_path / "file", find_bundle("beep"), data, "dev", report=pytest.fail)


def test_what_somebody_else_has_in_a_directory_stays(data: Path, tmp_path: Path) -> None:
    recorded = tmp_path / "machine" / "error-01.wav"
    recorded.parent.mkdir()
    recorded.write_bytes(b"of the machine")
    with pytest.raises(ConfigurationError, match=r"machine is not empty and holds no report\.json"):
        evaluate_into(recorded.parent, find_bundle("beep"), data, "dev", report=pytest.fail)
    assert recorded.read_bytes() == b"of the machine"


def test_a_bundle_is_evaluated_into_a_directory(data: Path, tmp_path: Path) -> None:
    said: list[str] = []
    found = evaluate_into(
        tmp_path, find_bundle("beep"), data, "dev", repeats=1, compared=(RAW, RULE),
        report=said.append,
    )  # fmt: skip
    assert set(found.curves) == {"beepwatch", RAW, RULE}
    assert (tmp_path / "report.md").read_text().startswith("## Split dev")
    assert "index.html" in said[-1]

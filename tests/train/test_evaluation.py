"""Engines whose answers are known get the marks that they deserve."""

import re
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest

from beepwatch.classify.bundle import find_bundle
from beepwatch.errors import UnreadableAudio
from beepwatch.train import evaluation as module
from beepwatch.train.evaluation import (
    INT8,
    OWN,
    RAW,
    EpisodeEvidence,
    FrameEvidence,
    StreamAnswers,
    Study,
    episodes,
    evaluate,
    examine,
    own_hearing,
    raw_hearing,
    score,
)
from beepwatch.train.judging.detection import Hearing
from beepwatch.train.judging.original import Original
from beepwatch.train.judging.rivals import ORIGINAL, RULE, TEMPLATE, rule_hearing, template_hearing
from beepwatch.train.judging.streams import (
    BeepStream,
    NegativeStream,
    beep_streams,
    negative_streams,
)
from beepwatch.train.networks import BeepNet
from beepwatch.train.quantise import calibration_windows
from tests.train.conftest import RATE_HZ, Trained
from tests.train.engines import Oracle, SteadyEngine


@pytest.fixture(scope="module")
def streams(data: Path) -> list[BeepStream]:
    """The dev split's beep, twice at 20 and twice at 0 dB."""
    return list(beep_streams(data, "dev", RATE_HZ, (20.0, 0.0), 2, 1))


@pytest.fixture(scope="module")
def negatives(data: Path) -> list[NegativeStream]:
    """The dev split's household."""
    return negative_streams(data, "dev", RATE_HZ)


def study(hearing: Hearing, streams: list[BeepStream], negatives: list[NegativeStream]) -> Study:
    """One detector on all streams."""
    return Study(
        split="dev", model_id="known", rate_hz=RATE_HZ, streams=streams, negatives=negatives,
        hearings=[hearing, raw_hearing(hearing)],
    )  # fmt: skip


def answers(probabilities: np.ndarray) -> StreamAnswers:
    """Frames of 40 ms, all at one pitch."""
    return StreamAnswers(
        probabilities=probabilities.astype(np.float32),
        pitch_hz=np.full((len(probabilities), 1), 1_000, dtype=np.float32),
        frame_s=0.04,
        rate_hz=RATE_HZ,
    )


def three_pulses(probability: float = 0.9) -> StreamAnswers:
    """0.4 s each, from 1, 2 and 3 s on."""
    probabilities = np.zeros(250)
    for start in (25, 50, 75):
        probabilities[start : start + 10] = probability
    return answers(probabilities)


def test_frames_over_the_threshold_are_one_episode_of_as_many_pulses() -> None:
    (heard,) = episodes(three_pulses(), 0.5)
    assert len(heard.pulses) == 3
    assert heard.onset_s == pytest.approx(1.0, abs=0.04)
    assert heard.offset_s == pytest.approx(3.4, abs=0.04)
    assert heard.score == pytest.approx(0.9)


def test_faint_pulses_of_one_pitch_are_an_episode_and_of_many_none() -> None:
    """The network's pitches reach the state machine as they reach it in the daemon."""
    alike = three_pulses(0.4)
    (heard,) = episodes(alike, 0.5)
    assert len(heard.pulses) == 3
    assert heard.score == pytest.approx(0.4)
    pitch_hz = alike.pitch_hz.copy()
    pitch_hz[50:60], pitch_hz[75:85] = 1_300, 1_700
    assert episodes(msgspec.structs.replace(alike, pitch_hz=pitch_hz), 0.5) == []


def test_a_streams_scores_are_those_of_the_first_label_and_every_tone() -> None:
    found = score(SteadyEngine(0.25), np.zeros(50 * RATE_HZ, dtype=np.int16))
    assert found.probabilities.shape == (2_500,)
    assert set(found.probabilities.tolist()) == {0.25}
    assert found.pitch_hz.shape == (2_500, 3)
    assert (found.frame_s, found.rate_hz) == (0.02, RATE_HZ)


def test_raw_frames_within_three_seconds_are_one_alarm() -> None:
    (heard,) = FrameEvidence(answers=three_pulses()).at(0.5)
    assert heard.pulses == pytest.approx(np.array([(1.0, 1.4), (2.0, 2.4), (3.0, 3.4)]))
    lone = np.zeros(250)
    lone[[10, 100]] = 0.6
    assert [one.span for one in FrameEvidence(answers=answers(lone)).at(0.5)] == [
        pytest.approx((0.4, 0.44)),
        pytest.approx((4.0, 4.04)),
    ]


def test_nothing_over_the_threshold_is_no_episode() -> None:
    quiet = answers(np.full(100, 0.4))
    assert episodes(quiet, 0.5) == []
    assert FrameEvidence(answers=quiet).at(0.5) == []


def test_an_oracle_hears_everything_in_time_and_nothing_else(
    streams: list[BeepStream], negatives: list[NegativeStream]
) -> None:
    found = study(
        own_hearing(Oracle(streams), streams, negatives, 0.5), streams, negatives
    ).evaluation(curves=True)
    own, raw = found.results
    assert {snr: share.share for snr, share in own.patterns.items()} == {20.0: 1.0, 0.0: 1.0}
    assert own.singles == {}
    assert own.false_alarms == {"household": 0.0}
    assert own.elsewhere == 0
    assert own.timing.onset_error_ms[1] <= 20
    assert own.timing.offset_error_ms[1] <= 20
    assert own.timing.count_exact == 1.0
    assert raw.timing.count_exact == 1.0
    assert found.reliability.error == 0.0
    assert all(point.recall == 1.0 for point in found.curves[OWN])


def test_a_deaf_engine_hears_nothing_and_raises_no_alarm(
    streams: list[BeepStream], negatives: list[NegativeStream]
) -> None:
    found = study(
        own_hearing(SteadyEngine(0.0), streams, negatives, 0.5), streams, negatives
    ).evaluation()
    own = found.results[0]
    assert {share.heard for share in own.patterns.values()} == {0}
    assert own.per_hour(hard=False) == 0.0
    assert "dev_onset_error_ms" not in found.quality()
    assert found.quality()["dev_patterns_20_db"] == 0.0


def test_an_engine_that_always_fires_raises_alarms(
    streams: list[BeepStream], negatives: list[NegativeStream]
) -> None:
    """Six seconds of household hold one alarm without an end: 600 an hour."""
    hearing = own_hearing(SteadyEngine(1.0), streams, negatives, 0.5)
    own, raw = study(hearing, streams, negatives).evaluation().results
    assert own.false_alarms == {"household": 1.0}
    assert raw.per_hour(hard=False) == pytest.approx(600, rel=0.01)
    assert own.patterns[20.0].share == 1.0
    assert own.timing.onset_error_ms[0] == pytest.approx(4_200, abs=30)


def test_only_an_engines_answers_can_be_taken_raw(
    streams: list[BeepStream], negatives: list[NegativeStream]
) -> None:
    decided = own_hearing(SteadyEngine(0.0), streams, negatives, 0.5)
    assert all(isinstance(evidence, EpisodeEvidence) for evidence in decided.beeps)
    with pytest.raises(TypeError, match="found FrameEvidence"):
        raw_hearing(raw_hearing(decided))


def test_frames_of_devices_that_training_may_have_met_do_not_count(
    streams: list[BeepStream], negatives: list[NegativeStream]
) -> None:
    """Frames of two streams and of the household are left, all silent or open or a pulse."""
    met = [msgspec.structs.replace(stream, kin=stream.snr_db == 0.0) for stream in streams]
    found = study(own_hearing(SteadyEngine(0.25), met, negatives, 0.5), met, negatives)
    scores, truth = found.frames()
    strange = [stream for stream in met if not stream.kin]
    pieces = [one.pcm for one in strange] + [one.pcm for one in negatives]
    expected = sum(len(pcm) // 320 for pcm in pieces)
    assert len(strange) == 2
    assert len(scores) == len(truth) == expected
    assert np.nansum(truth) == pytest.approx(2 * 3 * 0.3 / 0.02, abs=6)


def test_rivals_hear_a_clear_tone_and_no_hiss(
    streams: list[BeepStream], negatives: list[NegativeStream]
) -> None:
    clear = [stream for stream in streams if stream.snr_db == 20.0]
    for hear in (rule_hearing, template_hearing):
        hearing = hear(clear, negatives, RATE_HZ)
        own = study(own_hearing(Oracle(clear), clear, negatives, 0.5), clear, negatives)
        own.hearings[1:] = [hearing]
        assert own.evaluation().results[1].patterns[20.0].share == 1.0


def test_an_evaluation_names_its_numbers_and_prints_them(data: Path) -> None:
    found = evaluate(find_bundle("beep"), data, "dev", repeats=1)
    quality = found.quality()
    assert quality["dev_patterns_20_db"] == 1.0
    assert quality["dev_false_alarms_per_hour"] == 0.0
    assert quality["dev_onset_error_ms"] < 60
    assert 0 <= quality["dev_calibration_error"] < 0.5
    assert "fixed-frequency rule" in found.table()
    assert [one.name for one in found.results] == [OWN, RAW, RULE]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("gone.wav,dev,household,,", "cannot read {data}/gone.wav: there is no such file"),
        ("one.wav,dev,household,,long", "duration_s is 'long'; it has to be a number"),
        ("home.wav,test,household,hall,", "group 'hall' is in both dev and test: home.wav"),
    ],
)
def test_a_manifest_that_is_wrong_is_told_before_anything_is_done(
    row: str, said: str, data: Path, tmp_path: Path
) -> None:
    lines: list[str] = []
    head = "path,split,category,group,duration_s\none.wav,dev,household,hall,\n"
    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / "manifest.csv").write_text(f"{head}{row}\n")
    with pytest.raises(UnreadableAudio, match=re.escape(said.format(data=bad))):
        evaluate(find_bundle("beep"), bad, report=lines.append)
    with pytest.raises(UnreadableAudio, match=r"split 'nope' in .* has no beeps"):
        evaluate(find_bundle("beep"), data, "nope", report=lines.append)
    assert lines == []


def test_what_cannot_be_compared_is_said(data: Path, tmp_path: Path) -> None:
    bundle = find_bundle("beep")
    for name in ("bundle.json", "model.onnx", "weights.safetensors"):
        (tmp_path / name).write_bytes((bundle / name).read_bytes())
    found = examine(tmp_path, data, "test", repeats=1, compared=module.ALL_RIVALS, runs=tmp_path)
    assert [hearing.name for hearing in found.hearings] == [OWN, RAW, RULE, TEMPLATE]
    assert len(found.skipped) == 2
    assert all("recipe.toml" in reason for reason in found.skipped)
    assert "left out: beepwatch int8" in found.evaluation().table()


@pytest.fixture
def tiny_bundle(
    trained: Trained, recipe_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A bundle with the recipe that it was trained by."""
    for path in (*trained.out.glob("*"), recipe_path):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr(module, "RECIPE", recipe_path.name)
    return tmp_path


def test_on_dev_rivals_have_the_lowest_thresholds_that_its_streams_allow(
    tiny_bundle: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of six seconds a single false alarm is far more than one an hour."""
    monkeypatch.setattr(module, "open_original", lambda *_, **__: Original(BeepNet()))
    found = examine(tiny_bundle, data, "dev", repeats=1, compared=(TEMPLATE, ORIGINAL))
    assert [hearing.name for hearing in found.hearings] == [OWN, TEMPLATE, ORIGINAL]
    assert found.skipped == []
    for rival in found.hearings[1:]:
        assert rival.false_alarms(rival.threshold) == {"household": 0.0}
        lower = [threshold for threshold in rival.sweep if threshold < rival.threshold]
        assert rival.false_alarms(lower[-1]) != {"household": 0.0}
    names = [one.name for one in found.evaluation().results]
    assert f"{TEMPLATE}, equal false alarms" in names
    assert f"{ORIGINAL}, equal false alarms" in names


def test_the_same_network_in_8_bits_is_compared(
    tiny_bundle: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "calibration_windows", partial(calibration_windows, count=6))
    runs = tiny_bundle / "runs"
    study = examine(tiny_bundle, data, "dev", repeats=1, compared=(INT8,), runs=runs)
    assert [hearing.name for hearing in study.hearings] == [OWN, INT8]
    assert "ms a window in one thread, in float" in study.hearings[1].note
    graph = onnx.load(runs / f"{study.model_id}.int8.onnx")
    assert any(node.op_type == "QuantizeLinear" for node in graph.graph.node)


def test_another_threshold_may_be_asked_for(data: Path) -> None:
    found = evaluate(find_bundle("beep"), data, "dev", threshold=0.999_999, repeats=1)
    assert found.threshold == 0.999_999
    assert found.results[0].patterns[20.0].heard == 0
    assert msgspec.json.decode(msgspec.json.encode(found))["split"] == "dev"

"""What has a name is told by it, and not nameless as well; what has none is told as before."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import beepwatch.daemon
from beepwatch.classify.bundle import find_bundle, load_bundle
from beepwatch.classify.engines import Answers, Engine, answers_of_stream, open_engine
from beepwatch.classify.heads import Head
from beepwatch.classify.shelf import Shelf
from beepwatch.classify.taught import SURE, UNSURE, TaughtEngine, usable_heads
from beepwatch.daemon.pipeline import Pipeline
from beepwatch.decide.episodes import Closed, Episode, EpisodeTracker
from beepwatch.messages import Scores, Window
from tests.classify.pitched import SHIPPED, pitched, tone

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
KITCHEN = Path(beepwatch.daemon.__file__).parent / "demo" / "kitchen.flac"
PANEL_HZ, OVEN_HZ, ALARM_HZ, TIMER_HZ = 4_870.0, (4_994.0, 1_000.0), 3_085.0, 3_016.0


@pytest.fixture(scope="module")
def shipped() -> Engine:
    return open_engine(load_bundle(find_bundle("beep")))


@pytest.fixture(scope="module")
def kitchen() -> NDArray[np.int16]:
    pcm, _ = soundfile.read(KITCHEN, dtype="int16")
    return np.asarray(pcm, dtype=np.int16)


def taught(shipped: Engine, *heads: Head) -> TaughtEngine:
    return TaughtEngine(shipped, SHIPPED.thresholds, heads)


def events(engine: TaughtEngine, pcm: NDArray[np.int16]) -> list[tuple[str, int]]:
    """Label and pulses of what the daemon's chain makes of windows of 3 s, one a second."""
    chain = Pipeline(engine, thresholds=engine.thresholds, context_s=engine.context_s)
    notes = []
    rate_hz = engine.rate_hz
    for sequence, first in enumerate(range(0, len(pcm) - 2 * rate_hz, rate_hz)):
        window = Window(
            pcm=pcm[first : first + 3 * rate_hz].tobytes(),
            stream_id="a",
            sequence=sequence,
            first_sample=first,
            rate_hz=rate_hz,
            started_at=NOW,
            started_mono_s=first / rate_hz,
            level_dbfs=-30.0,
            lost_samples=0,
            source="test",
        )
        notes += chain.hear(window)
    notes += chain.finish()
    return [
        (note.event.label, note.event.pulses) for note in notes if note.event and note.event.final
    ]


def names(engine: TaughtEngine, pcm: NDArray[np.int16]) -> list[str]:
    return [label for label, _ in events(engine, pcm)]


# One recording through the daemon's chain


def test_a_taught_device_is_told_by_its_name_and_the_others_as_before(
    shipped: Engine, kitchen: NDArray[np.int16]
) -> None:
    minute = kitchen[: 60 * shipped.rate_hz]
    *others, panel, key = events(taught(shipped), minute)
    assert (panel, key) == (("beep", 5), ("beep", 1))
    with_panel = events(taught(shipped, pitched("panel", PANEL_HZ)), minute)
    assert with_panel == [*others, ("panel", 5), key]


def test_four_taught_devices_are_told_apart_and_none_is_told_twice(
    shipped: Engine, kitchen: NDArray[np.int16]
) -> None:
    """Timer and alarm are 2 % apart, panel and oven 2.5 %. The key has no name."""
    engine = taught(
        shipped,
        pitched("panel", PANEL_HZ),
        pitched("oven", *OVEN_HZ),
        pitched("alarm", ALARM_HZ),
        pitched("timer", TIMER_HZ),
    )
    seconds_60 = 60 * engine.rate_hz
    assert names(engine, kitchen[:seconds_60]) == ["timer", "oven", "panel", "beep"]
    assert names(engine, kitchen[86 * engine.rate_hz :]) == ["alarm"]


@pytest.mark.parametrize(
    "lasting_s", [[0.1] * 5, [0.2] * 3, [1.0], [4.0], [0.1, 0.5, 2.0]], ids=str
)
@pytest.mark.parametrize("level", [1.0, 0.2, 0.03])
def test_pulses_of_any_length_and_level_leave_no_nameless_rest(
    shipped: Engine, lasting_s: Sequence[float], level: float
) -> None:
    sound = tone(3_000.0, lasting_s)
    pcm = np.asarray(sound * level, dtype=np.int16)
    told = names(taught(shipped, pitched("tone", 3_000.0)), pcm)
    nameless = names(taught(shipped), pcm)
    assert set(told) <= {"tone"}
    assert bool(told) == bool(nameless)


def test_a_sound_of_another_pitch_right_after_it_keeps_its_own_name(shipped: Engine) -> None:
    engine = taught(shipped, pitched("tone", 3_000.0))
    both = np.concatenate([tone(3_000.0, [0.3] * 3)[:-16_000], tone(2_000.0, [0.3] * 3)[16_000:]])
    assert sorted(names(engine, both)) == ["beep", "tone"]


def test_a_veto_silences_and_tells_nothing(shipped: Engine, kitchen: NDArray[np.int16]) -> None:
    """A false alarm that somebody has called wrong."""
    veto = pitched("not-the-panel", PANEL_HZ, kind="veto")
    engine = taught(shipped, veto, pitched("oven", *OVEN_HZ))
    assert engine.labels == ("beep", "oven")
    assert set(engine.thresholds) == {"beep", "oven"}
    without = names(taught(shipped, pitched("oven", *OVEN_HZ)), kitchen)
    with_veto = names(engine, kitchen)
    assert len(with_veto) == len(without) - 1
    assert with_veto.count("oven") == without.count("oven") == 1


# Frame by frame


class Given:
    """An engine that answers what it was given."""

    labels = ("beep",)
    rate_hz, frame_s, step_frames = 16_000, 0.02, 2
    context_s = history_s = 0.0
    model_id = SHIPPED.model_id

    def __init__(self, answers: Answers) -> None:
        self._answers = answers

    def answers(self, pcm: NDArray[np.int16]) -> Answers:
        """The same for any sound."""
        return self._answers


class SureAt(Head, frozen=True, kw_only=True):
    """A head whose probabilities are given; the pitch says where."""

    def logits(self, answers: Answers) -> NDArray[np.float32]:
        """Of the column of the embedding that its bias names."""
        likely = np.clip(answers.embedding[:, int(self.bias)], 1e-6, 1 - 1e-6)
        return np.asarray(np.log(likely / (1 - likely)), dtype=np.float32)


def sure_at(name: str, column: int, pitch_hz: float = 1_000.0, threshold: float = 0.5) -> Head:
    made = pitched(name, pitch_hz, threshold=threshold)
    fields = {field: getattr(made, field) for field in made.__struct_fields__}
    return SureAt(**{**fields, "bias": float(column)})


def frames(
    *columns: tuple[float, list[tuple[int, int, float]]], count: int = 200
) -> NDArray[np.float32]:
    """[frames, columns], each a value everywhere but in runs of (first, last, value)."""
    made = np.zeros((count, len(columns)), dtype=np.float32)
    for number, (everywhere, runs) in enumerate(columns):
        made[:, number] = everywhere
        for first, last, value in runs:
            made[first : last + 1, number] = value
    return made


def answered(
    beep: NDArray[np.float32], by_head: NDArray[np.float32], *heads: Head
) -> NDArray[np.float32]:
    pitch_hz = np.full((len(beep), 1), 1_000.0, dtype=np.float32)
    engine = TaughtEngine(Given(Answers(beep, pitch_hz, by_head)), {"beep": 0.97}, heads)
    return engine.answers(np.zeros(0, dtype=np.int16)).probabilities


def runs_of(column: NDArray[np.bool_]) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], column.astype(int), [0]])))
    return [(int(a), int(b) - 1) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def test_a_beep_that_begins_before_and_rings_on_after_is_all_of_it_the_taught_sound() -> None:
    beep = frames((0.0, [(97, 125, 0.99), (160, 165, 0.99)]))
    head = frames((0.0, [(100, 110, 0.9)]))
    told = answered(beep, head, sure_at("washer", 0))
    assert runs_of(told[:, 0] > 0.5) == [(160, 165)]
    assert runs_of(told[:, 1] >= 0.5) == [(99, 111)]


def test_what_had_ended_before_is_another_sound() -> None:
    beep = frames((0.0, [(70, 80, 0.99), (100, 110, 0.99), (140, 150, 0.99)]))
    head = frames((0.0, [(100, 110, 0.9)]))
    told = answered(beep, head, sure_at("washer", 0))
    assert runs_of(told[:, 0] > 0.5) == [(70, 80), (140, 150)]


def test_a_fainter_pulse_of_the_pattern_is_not_told_nameless_but_a_strangers_is() -> None:
    beep = frames((0.0, [(100, 110, 0.99), (140, 150, 0.99), (170, 180, 0.99)]))
    head = frames((0.0, [(100, 110, 0.9), (140, 150, 0.1), (170, 180, 0.001)]))
    told = answered(beep, head, sure_at("washer", 0))
    assert runs_of(told[:, 0] > 0.5) == [(170, 180)]


def test_a_head_that_is_not_sure_takes_nothing_away() -> None:
    beep = frames((0.0, [(100, 110, 0.99)]))
    told = answered(beep, frames((0.0, [(100, 110, 0.49)])), sure_at("washer", 0))
    np.testing.assert_array_equal(told[:, :1], beep)
    assert 0.45 < told[105, 1] < 0.5


def test_the_surer_of_two_heads_has_the_sound() -> None:
    """Not for a frame of it does the other."""
    beep = frames((0.0, [(100, 110, 0.99)]))
    heads = frames((0.0, [(98, 112, 0.6)]), (0.0, [(100, 110, 0.9)]))
    told = answered(beep, heads, sure_at("washer", 0), sure_at("dryer", 1))
    assert told[:, 1].max() < 0.5
    assert runs_of(told[:, 2] >= 0.5) == [(99, 111)]


def test_a_head_whose_pitch_is_not_there_is_not_asked() -> None:
    beep = frames((0.0, [(100, 110, 0.99)]))
    told = answered(beep, frames((0.9, [])), sure_at("washer", 0, pitch_hz=1_100.0))
    assert told[:, 1].max() == 0.0
    np.testing.assert_array_equal(told[:, :1], beep)


def episodes(told: NDArray[np.float32], *labels: str) -> list[Episode]:
    """What the daemon's tracker makes of a row of frames."""
    tracker = EpisodeTracker({"beep": 0.97, **dict.fromkeys(labels, SURE)}, context_s=0.0)
    scores = Scores(
        probabilities=told,
        pitch_hz=np.full((len(told), 1), 1_000.0, dtype=np.float32),
        labels=("beep", *labels),
        frame_s=0.02,
        stream_id="a",
        first_sample=0,
        rate_hz=16_000,
        started_at=NOW,
        started_mono_s=0.0,
        model_id="",
    )
    changes = [*tracker.hear(scores), *tracker.finish()]
    return [change.episode for change in changes if isinstance(change, Closed)]


REPEATED_HELPS = 2.6  # by how much less the odds may be, of a pulse that comes three times
RUNS = st.lists(
    st.tuples(st.integers(5, 190), st.integers(0, 25), st.floats(0.001, 0.999)), max_size=6
)


@example(beeps=[(7, 8, 0.984375)], washers=[(5, 0, 0.75)], dryers=[(5, 7, 0.5)], threshold=0.05)
@given(beeps=RUNS, washers=RUNS, dryers=RUNS, threshold=st.sampled_from([0.05, 0.5, 0.99]))
@settings(max_examples=200, deadline=None)
def test_no_sound_gets_lost_between_its_names_and_none_is_told_twice(
    beeps: list[tuple[int, int, float]],
    washers: list[tuple[int, int, float]],
    dryers: list[tuple[int, int, float]],
    threshold: float,
) -> None:
    def column(runs: list[tuple[int, int, float]]) -> tuple[float, list[tuple[int, int, float]]]:
        return 0.0, [(first, min(first + more, 199), value) for first, more, value in runs]

    by_head = frames(column(washers), column(dryers))
    heads = (sure_at("washer", 0, threshold=threshold), sure_at("dryer", 1, threshold=threshold))
    beep = frames(column(beeps))
    told = episodes(answered(beep, by_head, *heads), "washer", "dryer")
    sure = by_head.max(axis=1) >= np.float32(threshold)
    named = any(one.label != "beep" for one in told)
    assert named or not sure.any()
    # Only what nearly was may be told because it comes again.
    nearly = threshold / (threshold + REPEATED_HELPS * (1 - threshold))
    assert not named or by_head.max() >= nearly - 1e-4
    if not told:
        assert episodes(beep) == []
    for nameless in (pulse for one in told if one.label == "beep" for pulse in one.pulses):
        first, last = round(nameless.onset_s / 0.02), round(nameless.offset_s / 0.02)
        assert not sure[first : last - 1].any()


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_stretch_shorter_than_a_pulse_is_answered(count: int) -> None:
    told = answered(frames((0.9, []), count=count), frames((0.9, []), count=count), sure_at("a", 0))
    assert told.shape == (count, 2)


def test_without_heads_the_answers_are_the_engines_own(
    shipped: Engine, kitchen: NDArray[np.int16]
) -> None:
    engine = taught(shipped)
    pcm = kitchen[: 10 * engine.rate_hz]
    np.testing.assert_array_equal(
        engine.answers(pcm).probabilities, shipped.answers(pcm).probabilities
    )
    assert (engine.context_s, engine.history_s) == (shipped.context_s, shipped.history_s)


def test_how_a_long_recording_is_cut_does_not_matter(
    shipped: Engine, kitchen: NDArray[np.int16]
) -> None:
    """With what a taught sound adds to history and context."""
    engine = taught(shipped, pitched("panel", PANEL_HZ), pitched("oven", *OVEN_HZ))
    part = kitchen[20 * engine.rate_hz : 48 * engine.rate_hz]
    whole = engine.answers(part).probabilities
    parts = [one.probabilities for one in answers_of_stream(engine, [part], stretch_s=1.0)]
    assert np.abs(np.concatenate(parts) - whole).max() < 1e-3


def test_two_columns_of_one_name_are_refused(shipped: Engine) -> None:
    with pytest.raises(ValueError, match="a name of its own"):
        taught(shipped, pitched("panel", PANEL_HZ), pitched("panel", ALARM_HZ))


# From the shelf


def test_a_broken_a_stale_and_a_doubly_named_sound_are_left_out_with_a_line_each(
    tmp_path: Path,
) -> None:
    shelf = Shelf(tmp_path)
    shelf.put(pitched("good", PANEL_HZ), NOW)
    shelf.put(pitched("old", PANEL_HZ, model_id="0" * 12), NOW)
    shelf.put(pitched("spin", PANEL_HZ), NOW)
    shelf.put(pitched("broken", PANEL_HZ), NOW)
    (shelf.directory / "broken" / "head.json").write_text('{"format": 1}')
    heads, problems = usable_heads(shelf, SHIPPED.model_id, ("beep", "spin"))
    assert [head.name for head in heads] == ["good"]
    said: list[Callable[[str], bool]] = [
        lambda line: "broken is left out: this is no taught sound" in line,
        lambda line: f"model {'0' * 12}, and the one in use is {SHIPPED.model_id}" in line,
        lambda line: "spin is left out: the model in use has a label of that name" in line,
    ]
    assert len(problems) == 3
    assert [is_said(line) for is_said, line in zip(said, problems, strict=True)] == [True] * 3
    assert not any("\n" in line for line in problems)


def test_a_head_that_is_asked_here_and_there_says_what_it_says_of_the_whole(
    shipped: Engine,
) -> None:
    """Of two pulses far apart, the first at the very beginning."""
    clip = tone(2_000, (0.2, 0.3), pause_s=4.0)[16_000:]
    head = pitched("washer", 2_000.0)
    answers = shipped.answers(clip)
    own = head.probabilities(answers)
    beside = np.max([own, np.roll(own, 1), np.roll(own, -1)], axis=0)
    less = 1 / (1 + ((1 - own) / np.maximum(own, 1e-12)) ** UNSURE)
    whole = np.where(beside >= SURE, beside, less)  # who is sure of a frame has those beside it
    named = taught(shipped, head).named(answers).probabilities[:, -1]
    asked = named > 1e-9
    assert 0 < asked.sum() < len(asked) / 2
    assert named[asked] == pytest.approx(whole[asked], abs=1e-6)

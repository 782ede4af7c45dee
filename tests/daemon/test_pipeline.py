"""From sound to what is written: events, alerts and the clips that belong to them."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from itertools import pairwise

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from beepwatch.daemon.pipeline import Note, Pipeline
from beepwatch.messages import AlertKind, Clip, Event, Quiet, Watch, Window
from beepwatch.sections import Rule
from beepwatch.store.wishes import absence_key
from tests.daemon.loud import (
    CONTEXT_S,
    RATE_HZ,
    START,
    START_S,
    THRESHOLDS,
    Loudness,
    sound,
    windows,
)

DEFAULT = (Rule(label="beep"),)


def pipeline(rules: Sequence[Rule] = DEFAULT, **more: object) -> Pipeline:
    return Pipeline(
        Loudness(),
        thresholds=THRESHOLDS,
        context_s=CONTEXT_S,
        rules=rules,
        since_s=START_S,
        **more,  # type: ignore[arg-type]
    )


def told(chain: Pipeline, spans: Iterable[Window | Quiet]) -> list[Note]:
    """All notes, the end's included."""
    notes: list[Note] = []
    for span in spans:
        notes += chain.hear(span) if isinstance(span, Window) else chain.skip(span)
    return notes + chain.finish()


def place(clip: Clip | None) -> tuple[float, float]:
    """Start and end of a clip in seconds of the stream."""
    assert clip is not None
    start_s = (clip.started_at - START).total_seconds()
    return start_s, start_s + clip.duration_s


def samples(clip: Clip | None) -> NDArray[np.int16]:
    assert clip is not None
    return np.frombuffer(clip.pcm, dtype="<i2")


def events(notes: Iterable[Note]) -> list[Event]:
    return [note.event for note in notes if note.event is not None and note.event.final]


def kinds(notes: Iterable[Note]) -> list[AlertKind]:
    return [note.alert.kind for note in notes if note.alert is not None]


def test_a_beep_is_one_alert_and_then_its_final_event() -> None:
    alert, final = told(pipeline(), windows(sound(20, [(8.0, 0.4), (9.0, 0.4)])))
    assert alert.alert is not None
    assert alert.event is not None
    assert final.event is not None
    assert (alert.alert.kind, alert.alert.text) == (AlertKind.HEARD, "beep")
    assert (alert.event.final, alert.event.pulses) == (False, 1)
    assert (final.event.final, final.event.pulses, final.alert) == (True, 2, None)
    assert alert.episode == final.episode
    assert (final.event.onset - START).total_seconds() == pytest.approx(8.0, abs=0.04)
    assert (final.event.offset - START).total_seconds() == pytest.approx(9.4, abs=0.04)
    assert final.event.model_id == "loudness"


def test_the_alerts_clip_runs_from_a_second_before_the_first_pulse_until_now() -> None:
    """The window from 6 s to 9 s is the first that holds the beep and what follows it."""
    pcm = sound(20, [(8.0, 0.4)])
    alert, _final = told(pipeline(), windows(pcm))
    start_s, end_s = place(alert.clip)
    assert start_s == pytest.approx(7.0, abs=0.04)
    assert end_s == pytest.approx(9.0, abs=0.002)
    first = round(start_s * RATE_HZ)
    np.testing.assert_array_equal(samples(alert.clip), pcm[first:9_000])


def test_a_pattern_is_told_with_sound_from_its_first_pulse_on() -> None:
    rules = (Rule(label="beep", pulses=3, within_s=6),)
    notes = told(pipeline(rules), windows(sound(20, [(4.0, 0.2), (6.0, 0.2), (8.0, 0.2)])))
    assert kinds(notes) == [AlertKind.HEARD]
    assert place(notes[0].clip)[0] == pytest.approx(3.0, abs=0.04)
    assert notes[0].event is not None
    assert notes[0].event.pulses == 3


def test_the_final_clip_is_the_whole_episode_with_a_second_before_and_after() -> None:
    pcm = sound(40, [(8.0, 0.4), (10.0, 0.4), (12.0, 0.6)])
    final = told(pipeline(), windows(pcm))[-1]
    start_s, end_s = place(final.clip)
    assert [start_s, end_s] == pytest.approx([7.0, 13.6], abs=0.04)
    np.testing.assert_array_equal(
        samples(final.clip), pcm[round(start_s * RATE_HZ) : round(end_s * RATE_HZ)]
    )


def test_no_event_ends_before_it_began_though_a_stream_begins_before_the_last_ones_end() -> None:
    """The first was ahead of the clock by 14 s when it was lost, in the middle of a pattern."""
    first = windows(sound(16, [(14.0, 0.4), (15.0, 0.4)]))
    second = windows(sound(12, [(3.0, 0.4), (4.0, 0.4)]), later_s=2.0, stream_id="b")
    final = events(told(pipeline(), [*first, *second]))
    assert [(event.pulses, round(event.duration_s, 1)) for event in final] == [(2, 1.4), (2, 1.4)]
    onsets_s = [(event.onset - START).total_seconds() for event in final]
    assert onsets_s == pytest.approx([14.0, 5.0], abs=0.04)


@pytest.mark.parametrize(
    "beeps",
    [
        [(5.0 + 2 * number, 0.5) for number in range(40)],
        [(5.0, 100.0)],
        [(5.0, 0.5), (7.0, 0.5), (9.0, 70.0)],
    ],
    ids=["pulses", "one long tone", "pulses, then a tone"],
)
def test_of_a_longer_episode_the_first_30_s_are_kept(beeps: list[tuple[float, float]]) -> None:
    pcm = sound(130, beeps)
    (final,) = [note for note in told(pipeline(), windows(pcm)) if note.event and note.event.final]
    start_s, end_s = place(final.clip)
    assert start_s == pytest.approx(4.0, abs=0.04)
    assert end_s - start_s == pytest.approx(30.0, abs=0.002)
    first = round(start_s * RATE_HZ)
    np.testing.assert_array_equal(
        samples(final.clip), pcm[first : first + len(samples(final.clip))]
    )


def test_of_an_episode_that_goes_on_each_half_minute_is_written() -> None:
    """That much is left of it if its life ends before it does."""
    pcm = sound(130, [(5.0 + 2 * number, 0.5) for number in range(50)])
    told_of = [note.event for note in told(pipeline(), windows(pcm)) if note.event]
    alert, *between, last = told_of
    assert [event.final for event in told_of] == [False] * (len(told_of) - 1) + [True]
    pulses = [event.pulses for event in (alert, *between)]
    assert len(between) == 3
    assert [later - earlier for earlier, later in pairwise(pulses)] == pytest.approx(
        [15] * 3, abs=2
    )
    assert last.pulses == 50


@pytest.mark.parametrize("last_s", [26.0, 27.4, 27.9, 28.3, 28.9])
def test_an_episode_of_about_30_s_keeps_its_last_pulse_as_far_as_there_is_room(
    last_s: float,
) -> None:
    beeps = [(5.0 + 2.6 * number, 0.3) for number in range(11)] + [(5.0 + last_s, 0.3)]
    (final,) = [
        note
        for note in told(pipeline(), windows(sound(60, beeps)))
        if note.event and note.event.final
    ]
    assert place(final.clip)[1] == pytest.approx(min(34.0, 5.0 + last_s + 1.3), abs=0.04)


def test_an_episode_that_ends_in_a_minute_of_lost_sound_keeps_what_there_was() -> None:
    """The queue was full: windows from 9 s to 100 s never came."""
    spans = list(windows(sound(110, [(5.0, 100.0)])))
    notes = told(pipeline(), [*spans[:7], *spans[100:]])
    assert [event.pulses for event in events(notes)] == [1, 1]
    assert place(notes[0].clip)[0] == pytest.approx(4.0, abs=0.04)


def test_dropped_windows_in_an_episode_are_silence_of_their_true_length() -> None:
    pcm = sound(30, [(8.0, 0.4), (10.9, 0.4)])
    spans = list(windows(pcm, window_s=1.0, hop_s=1.0, gated=True))
    assert any(isinstance(span, Quiet) for span in spans[8:10])
    final = told(pipeline(), spans)[-1]
    start_s, end_s = place(final.clip)
    assert [start_s, end_s] == pytest.approx([7.0, 12.3], abs=0.04)
    heard = samples(final.clip)
    silent = round((9.0 - start_s) * RATE_HZ), round((10.0 - start_s) * RATE_HZ)
    assert not heard[slice(*silent)].any()
    assert heard[: silent[0]].any()


def test_a_burst_within_the_cooldown_is_covered_by_the_alert_before() -> None:
    notes = told(
        pipeline(), windows(sound(90, [(8.0, 0.4), (20.0, 0.4), (30.0, 0.4), (75.0, 0.4)]))
    )
    assert kinds(notes) == [AlertKind.HEARD]
    finals = [note for note in notes if note.event and note.event.final]
    assert [note.covered for note in finals] == [False, True, True, True]
    assert len({note.episode for note in finals}) == 4


def test_after_the_cooldown_it_is_told_again() -> None:
    rules = (Rule(label="beep", cooldown_s=10),)
    notes = told(pipeline(rules), windows(sound(40, [(8.0, 0.4), (14.0, 0.4), (25.0, 0.4)])))
    assert kinds(notes) == [AlertKind.HEARD, AlertKind.HEARD]
    alerts = [note.alert for note in notes if note.alert]
    assert len({alert.dedupe_key for alert in alerts}) == 2


def test_a_cooldown_of_an_earlier_life_holds() -> None:
    chain = pipeline(last_told_s={0: START_S - 60})
    notes = told(chain, windows(sound(20, [(8.0, 0.4)])))
    assert kinds(notes) == []
    assert [note.covered for note in notes] == [True]


def test_every_rule_of_a_label_tells_for_itself() -> None:
    rules = (Rule(label="beep"), Rule(label="beep", pulses=2), Rule(label="melody"))
    notes = told(pipeline(rules), windows(sound(20, [(8.0, 0.4), (9.0, 0.4)])))
    assert kinds(notes) == [AlertKind.HEARD, AlertKind.HEARD]


def test_an_alert_says_what_its_rule_says_and_its_event_keeps_the_label() -> None:
    rules = (Rule(label="beep", text="the washing is done"), Rule(label="beep", pulses=2))
    notes = told(pipeline(rules), windows(sound(20, [(8.0, 0.4), (9.0, 0.4)])))
    assert [note.alert.text for note in notes if note.alert] == ["the washing is done", "beep"]
    assert {note.event.label for note in notes if note.event} == {"beep"}


def test_without_a_satisfied_rule_the_event_is_kept_and_nobody_told() -> None:
    notes = told(pipeline(()), windows(sound(20, [(8.0, 0.4)])))
    assert kinds(notes) == []
    assert [event.pulses for event in events(notes)] == [1]


def test_what_still_sounds_at_the_end_is_an_event_too() -> None:
    notes = told(pipeline(), windows(sound(9, [(8.0, 1.0)])))
    assert len(events(notes)) == 1
    assert place(notes[-1].clip)[1] == pytest.approx(9.0, abs=0.002)


def test_the_dead_mans_switch_tells_once_and_again_when_it_is_heard() -> None:
    chain = pipeline(missing_after_s=60)
    notes = told(chain, windows(sound(200, [(140.0, 0.4)]), gated=True))
    assert kinds(notes)[:3] == [AlertKind.MISSED, AlertKind.RECOVERED, AlertKind.HEARD]
    missed, recovered = (note.alert for note in notes[:2])
    assert missed is not None
    assert recovered is not None
    assert missed.text == "nothing heard for 1 min"
    assert recovered.text == "beep heard again after 2 min"


def test_the_dead_mans_switch_runs_while_nothing_comes_at_all() -> None:
    chain = pipeline(missing_after_s=60)
    assert chain.tick(START_S + 59, START) == []
    assert kinds(chain.tick(START_S + 60, START)) == [AlertKind.MISSED]
    assert chain.tick(START_S + 9_000, START) == []


def test_a_sound_that_no_rule_asks_for_does_not_feed_the_dead_mans_switch() -> None:
    chain = pipeline((Rule(label="melody"),), missing_after_s=60)
    notes = told(chain, windows(sound(80, [(50.0, 0.4)])))
    assert kinds(notes) == [AlertKind.MISSED]


def test_a_reopened_microphone_goes_on() -> None:
    chain = pipeline((Rule(label="beep", cooldown_s=1),))
    spans = [*windows(sound(10, [(4.0, 0.4)]))]
    spans += windows(sound(10, [(4.0, 0.4)]), later_s=60.0, stream_id="b")
    notes = told(chain, spans)
    onsets = [event.onset - START for event in events(notes)]
    assert [round(onset / timedelta(seconds=1)) for onset in onsets] == [4, 64]
    assert place(notes[-1].clip)[0] == pytest.approx(63.0, abs=0.04)


beeps_anywhere = st.lists(
    st.tuples(st.integers(0, 150), st.integers(2, 40)), min_size=1, max_size=12
).map(lambda parts: _laid_out(parts))


def _laid_out(parts: list[tuple[int, int]]) -> list[tuple[float, float]]:
    """(pause, length) in frames of 40 ms, as (onset, length) in seconds."""
    beeps, at = [], 25
    for pause, length in parts:
        at += pause
        beeps.append((at * 0.04, length * 0.04))
        at += length
    return beeps


@settings(max_examples=40)
@given(
    beeps=beeps_anywhere,
    hops=st.integers(1, 4),
    hop_frames=st.integers(5, 40),
)
def test_how_the_stream_is_cut_makes_neither_other_events_nor_other_alerts(
    beeps: list[tuple[float, float]], hops: int, hop_frames: int
) -> None:
    rules = (Rule(label="beep", pulses=2, within_s=5, cooldown_s=20),)
    seconds = beeps[-1][0] + beeps[-1][1] + 10
    seconds = np.ceil(seconds / (hop_frames * 0.04)) * hop_frames * 0.04 + 2
    pcm = sound(float(seconds), beeps)
    once = told(pipeline(rules), windows(pcm))
    hop_s = hop_frames * 0.04
    again = told(pipeline(rules), windows(pcm, window_s=(hops + 1) * hop_s, hop_s=hop_s))
    assert [_rounded(event) for event in events(again)] == [
        _rounded(event) for event in events(once)
    ]
    assert kinds(again) == kinds(once)
    for other, one in zip(_final_clips(again), _final_clips(once), strict=True):
        np.testing.assert_allclose(place(other), place(one), atol=0.002)


@settings(max_examples=30)
@given(beeps=beeps_anywhere, early_s=st.floats(0.1, 0.9))
def test_beginnings_of_windows_make_alerts_earlier_and_no_other_events(
    beeps: list[tuple[float, float]], early_s: float
) -> None:
    """Each window comes once more before, as far as it was `early_s` earlier, gated or not."""
    pcm = sound(float(np.ceil(beeps[-1][0] + beeps[-1][1] + 10)), beeps)
    for gated in (False, True):
        whole = list(windows(pcm, gated=gated))
        spans: list[Window | Quiet] = []
        for one in whole:
            if isinstance(one, Window) and spans:
                kept = one.pcm[: -2 * round(early_s * RATE_HZ)]
                spans.append(msgspec.structs.replace(one, pcm=kept))
            spans.append(one)
        early, once = told(pipeline(), spans), told(pipeline(), whole)

        assert [_rounded(event) for event in events(early)] == [
            _rounded(event) for event in events(once)
        ]
        assert kinds(early) == kinds(once)
        for other, one_clip in zip(_final_clips(early), _final_clips(once), strict=True):
            np.testing.assert_array_equal(samples(other), samples(one_clip))
        for other_note, note in zip(_told(early), _told(once), strict=True):
            assert place(other_note.clip)[1] <= place(note.clip)[1] + 0.002


def _told(notes: Iterable[Note]) -> list[Note]:
    """Those that alert."""
    return [note for note in notes if note.alert is not None]


def _rounded(event: Event) -> tuple[int, int, int]:
    """To 2 ms."""
    onset, offset = (
        round((at - START) / timedelta(milliseconds=2)) for at in (event.onset, event.offset)
    )
    return onset, offset, event.pulses


def _final_clips(notes: list[Note]) -> list[Clip | None]:
    return [note.clip for note in notes if note.event is not None and note.event.final]


@pytest.mark.parametrize(("since_s", "is_told"), [(0.0, False), (9.0, True)])
def test_a_watch_waits_for_the_next_beep_after_it_was_wished_for(
    since_s: float, is_told: bool
) -> None:
    """The beep at 8 s ends the watch since 0 s and does not concern the one since 9 s."""
    chain = pipeline()
    chain.watch(Watch(number=7, since_mono_s=START_S + since_s, for_s=12.0))
    notes = told(chain, windows(sound(40, [(8.0, 0.4)])))
    missed = [note.alert for note in notes if note.alert and note.alert.kind is AlertKind.MISSED]
    assert [alert.dedupe_key for alert in missed] == ([absence_key(7)] if is_told else [])
    assert [(alert.created_at - START).total_seconds() for alert in missed] == (
        [21.0] if is_told else []
    )


def test_a_watch_that_is_called_off_tells_nothing() -> None:
    chain = pipeline()
    chain.watch(Watch(number=7, since_mono_s=START_S, for_s=5.0))
    chain.watch(Watch(number=8, since_mono_s=START_S, for_s=0.0))
    assert told(chain, windows(sound(20, []))) == []

"""A classifier may die at any moment: its next lives write what one life would have written."""

import tempfile
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import beepwatch.daemon.queue
from beepwatch.clock import ManualClock
from beepwatch.daemon.pipeline import Pipeline
from beepwatch.daemon.queue import WindowQueue
from beepwatch.daemon.remembering import remember
from beepwatch.daemon.resuming import Earlier
from beepwatch.daemon.settings import ClassifierSettings
from beepwatch.daemon.writing import NoteWriter
from beepwatch.decide.episodes import Episode
from beepwatch.decide.pulses import Pulse
from beepwatch.logs import LogSettings
from beepwatch.messages import Done, Event, Quiet, Window
from beepwatch.sections import Model, Rule
from beepwatch.store.database import Database
from beepwatch.store.memory import Memory
from beepwatch.store.outbox import Outbox
from beepwatch.store.wishes import Wishes
from tests.daemon.loud import CONTEXT_S, START, START_S, THRESHOLDS, Loudness, sound, windows

RULES = (Rule(label="beep", cooldown_s=6), Rule(label="beep", pulses=2, within_s=5, cooldown_s=9))


class Lives:
    """One classifier after another on the same windows and the same store."""

    def __init__(
        self, directory: Path, rules: Sequence[Rule], spans: Sequence[Window | Quiet]
    ) -> None:
        self.queue = WindowQueue(len(spans))
        for span in spans:
            self.queue.push(span)
        self._database = Database(directory)
        self._settings = ClassifierSettings(
            bundle=directory,
            model=Model(),
            rules=tuple(rules),
            missing_after_s=0.0,
            directory=directory,
            channels=("console",),
            since_s=START_S,
            live=False,
            logs=LogSettings(),
        )

    def live(self, windows_heard: int | None, *, answers: bool = True) -> bool:
        """Hear so many windows, then die, before or after the last answer; whether all is heard."""
        memory = Memory(self._database)
        remembered = remember(
            memory, Wishes(self._database), self._settings, ManualClock(START, START_S)
        )
        writer = NoteWriter(Outbox(self._database), ("console",), memory.last_alerts())
        chain = Pipeline(
            Loudness(),
            thresholds=THRESHOLDS,
            context_s=CONTEXT_S,
            rules=self._settings.rules,
            since_s=START_S,
            last_told_s=remembered.last_told_s,
            earlier=remembered.earlier,
        )
        heard = 0
        while windows_heard is None or heard < windows_heard:
            span = self.queue.hand_out()
            if span is None:
                writer.write(chain.finish())
                return True
            writer.write(chain.hear(span) if isinstance(span, Window) else chain.skip(span))
            heard += 1
            if heard != windows_heard or answers:
                done = Done(stream_id=span.stream_id, sequence=span.sequence, at_rest=chain.at_rest)
                self.queue.done(done)
        self.queue.take_back()
        return False

    def written(self) -> list[tuple[int, int, int, bool, int]]:
        """Onset and offset in 10 ms, pulses, whether it is final, how often it was told."""
        with self._database.reading() as sql:
            rows = sql.execute(
                "SELECT onset, offset, pulses, final, (SELECT count(*) FROM alerts "
                "WHERE event_id = events.id) FROM events ORDER BY onset"
            ).fetchall()
        start_us = round(START.timestamp() * 1e6)
        return [
            (
                round((row[0] - start_us) / 1e4),
                round((row[1] - start_us) / 1e4),
                row[2],
                bool(row[3]),
                row[4],
            )
            for row in rows
        ]

    def close(self) -> None:
        self._database.close()


def written(
    deaths: Sequence[tuple[int, bool]],
    spans: Sequence[Window | Quiet],
    rules: Sequence[Rule] = RULES,
) -> list[tuple[int, int, int, bool, int]]:
    """What is in the store after lives of so many windows each, and a last one to the end."""
    with tempfile.TemporaryDirectory() as directory:
        lives = Lives(Path(directory), rules, spans)
        try:
            over = any(lives.live(heard, answers=answers) for heard, answers in deaths)
            assert over or lives.live(None)
            return lives.written()
        finally:
            lives.close()


beeps_somewhere = st.lists(
    st.tuples(st.integers(3, 120), st.integers(2, 30)), min_size=1, max_size=14
).map(
    lambda parts: [
        (sum(pause + length for pause, length in parts[:i]) * 0.04 + parts[i][0] * 0.04, length)
        for i, (_, length) in enumerate(parts)
    ]
)


@settings(max_examples=60)
@example(beeps=[(0.12, 2), (3.2, 2)], deaths=[(2, False)], gated=False)  # both in one window
@example(  # the cooldown ends just when the last one sounds
    beeps=[(0.12, 2), (0.36, 2), (0.56, 2), (0.76, 2), (4.4, 4), (9.36, 2)],
    deaths=[(1, False)],
    gated=False,
)
@given(
    beeps=beeps_somewhere,
    deaths=st.lists(st.tuples(st.integers(0, 12), st.booleans()), max_size=8),
    gated=st.booleans(),
)
def test_however_often_it_dies_the_events_and_alerts_are_those_of_one_life(
    beeps: list[tuple[float, int]], deaths: list[tuple[int, bool]], gated: bool
) -> None:
    pulses = [(onset_s, length * 0.04) for onset_s, length in beeps]
    pcm = sound(pulses[-1][0] + pulses[-1][1] + 8.0, pulses)
    spans = list(windows(pcm, gated=gated))
    assert written(deaths, spans) == written([], spans)


def test_an_episode_longer_than_all_that_is_kept_is_one_event(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its first minutes are only in the store, as it was written every half minute."""
    monkeypatch.setattr(beepwatch.daemon.queue, "HEARD_BYTES", 40 * 6_000)
    spans = list(windows(sound(200, [(5.0 + 2 * number, 0.5) for number in range(90)])))
    one_life = written([], spans)
    ((_, _, all_pulses, _, all_alerts),) = one_life
    ((onset, offset, pulses, final, alerts),) = written([(60, True), (100, False)], spans)
    assert (onset, offset, final) == (one_life[0][0], one_life[0][1], True)
    assert 0.8 * all_pulses < pulses <= all_pulses
    assert alerts == all_alerts


def event(
    onset_s: float, offset_s: float, *, pulses: int = 2, final: bool = False, number: int = 7
) -> Event:
    return Event(
        id=number,
        label="beep",
        onset=START + timedelta(seconds=onset_s),
        offset=START + timedelta(seconds=offset_s),
        pulses=pulses,
        peak_score=0.9,
        model_id="m",
        final=final,
    )


def episode(*onsets_s: float, length_s: float = 0.5) -> Episode:
    return Episode(
        label="beep",
        pulses=tuple(
            Pulse(
                onset=START + timedelta(seconds=onset_s),
                onset_s=START_S + onset_s,
                duration_s=length_s,
                peak_score=0.8,
            )
            for onset_s in onsets_s
        ),
    )


def joined(earlier: Earlier, heard: Episode) -> Event:
    now = event(0, 0)
    return earlier.join(
        Event(
            label="beep",
            onset=heard.onset,
            offset=heard.offset,
            pulses=len(heard.pulses),
            peak_score=0.8,
            model_id=now.model_id,
        ),
        heard,
    )


def test_pulses_that_were_heard_before_are_not_counted_again() -> None:
    """Known are 4 until 9 s; of those heard now, the one at 12 s is new."""
    earlier = Earlier([event(1.0, 9.0, pulses=4)])
    one = joined(earlier, episode(6.0, 8.5, 12.0))
    assert (one.id, one.pulses) == (7, 5)
    assert (one.onset, one.offset) == (event(1.0, 12.5).onset, event(1.0, 12.5).offset)


@pytest.mark.parametrize(("onset_s", "pulses"), [(1.0, 3), (6.0, 4)])
def test_a_life_that_has_heard_all_of_an_episode_knows_best_how_many_pulses_it_has(
    onset_s: float, pulses: int
) -> None:
    """Frames told four of it before; in its sound there were three."""
    heard = episode(onset_s, 8.5)
    final = msgspec.structs.replace(event(onset_s, 9.0, pulses=3, final=True), id=None)
    assert Earlier([event(1.0, 9.0, pulses=4)]).join(final, heard).pulses == pulses


@pytest.mark.parametrize(
    ("onset_s", "final", "same"),
    [(8.9, True, True), (9.1, True, False), (11.9, False, True), (12.1, False, False)],
)
def test_an_open_event_goes_on_after_a_pause_and_a_closed_one_only_if_it_is_heard_again(
    onset_s: float, final: bool, same: bool
) -> None:
    earlier = Earlier([event(1.0, 9.0, final=final)])
    assert (joined(earlier, episode(onset_s)).id == 7) is same


def test_only_the_first_episode_can_go_on_with_an_event() -> None:
    """The clock was set back by chance into the time of an earlier one."""
    earlier = Earlier([event(1.0, 9.0)])
    assert joined(earlier, episode(60.0)).id is None
    assert joined(earlier, episode(5.0)).id is None


@pytest.mark.parametrize(
    ("at_s", "closed"), [(2.0, False), (11.5, False), (12.5, True), (-700.0, True)]
)
def test_an_open_event_is_closed_when_nothing_goes_on_with_it(at_s: float, closed: bool) -> None:
    """Neither while the windows of its time come again; a clock set back does not keep it open."""
    earlier = Earlier([event(1.0, 9.0)], [event(1.0, 9.0)])
    at: datetime = START + timedelta(seconds=at_s)
    assert earlier.over(at) == ([event(1.0, 9.0, final=True)] if closed else [])
    assert earlier.over(at) == []


def test_events_that_several_deaths_have_left_open_are_all_closed() -> None:
    old, last = event(1.0, 9.0, number=3), event(20.0, 21.0)
    earlier = Earlier([last], [old, last])
    assert [one.id for one in earlier.over(last.offset)] == [3]
    assert [one.id for one in earlier.all_over()] == [7]
    assert earlier.all_over() == []

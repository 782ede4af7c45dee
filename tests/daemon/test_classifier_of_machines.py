"""The classifier's process with a learned machine: strange windows are one alert, well ones its
end, and none of it needs a restart.
"""

from collections.abc import Iterable
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import msgspec

from beepwatch.classify.machines import Machines
from beepwatch.clock import SystemClock
from beepwatch.messages import (
    Alert,
    AlertKind,
    Done,
    Fault,
    Finish,
    Finished,
    Hum,
    MachineStandings,
    Poke,
    Quiet,
    Ready,
    Window,
)
from beepwatch.store.database import Database
from beepwatch.store.library import Library
from beepwatch.store.listing import event_rows
from beepwatch.store.outbox import Outbox
from tests.daemon.conversation import Conversation, without_beats
from tests.daemon.fans import as_window, hums, normal_fan, well, whining
from tests.daemon.loud import START
from tests.daemon.test_classifier import NEVER, classifying


def say_all(child: Conversation, spans: Iterable[Window | Quiet]) -> list[object]:
    """What it answers, beside that it has dealt with each and how the machines stand."""
    return [one for one in say_and_hear(child, spans) if not isinstance(one, MachineStandings)]


def say_and_hear(child: Conversation, spans: Iterable[Window | Quiet]) -> list[object]:
    answers: list[object] = []
    for span in spans:
        child.say(span)
        answers += child.hear_until(Done)
    return [one for one in without_beats(answers) if not isinstance(one, Done)]  # type: ignore[arg-type]


def alerts(directory: Path) -> list[Alert]:
    with closing(Database(directory)) as database:
        return [one.alert for one in Outbox(database).tellable("console", NEVER, 9)]


def test_strange_windows_are_one_alert_with_clip_and_picture_and_well_ones_its_end(
    tmp_path: Path,
) -> None:
    """Whether or not the gate lets them through."""
    Machines(tmp_path).put(normal_fan(), START)
    child = classifying(tmp_path)
    child.hear_until(Ready)
    heard = list(hums(well(30), whining(120), well(120)))
    mixed = [as_window(hum) if number % 3 == 0 else hum for number, hum in enumerate(heard)]
    answers = say_all(child, mixed)
    assert [type(one) for one in answers] == [Poke, Poke]
    child.say(Finish(within_s=1.0))
    assert any(isinstance(answer, Finished) for answer in child.hear())
    unusual, usual = alerts(tmp_path)
    assert unusual.kind is AlertKind.UNUSUAL
    assert "3.1 kHz whine that was not there" in unusual.text
    assert unusual.created_at == START + timedelta(seconds=90)
    assert usual.text.startswith("the fan sounds as usual again")
    with closing(Database(tmp_path)) as database:
        assert unusual.event_id is not None
        pending = Library(database).pending_pcm(unusual.event_id)
        assert pending is not None
        # The last half minute, all of it, dropped by the gate or not.
        assert pending[1].pcm == whining(120)[30 * 16_000 : 60 * 16_000].tobytes()
        assert Outbox(database).picture(unusual.event_id) is not None
        (event,) = event_rows(database)
    assert usual.event_id == unusual.event_id
    assert (event.onset, event.offset) == (START + timedelta(seconds=30), usual.created_at)


def test_the_supervisor_is_told_how_a_machine_stands(tmp_path: Path) -> None:
    Machines(tmp_path).put(normal_fan(), START)
    child = classifying(tmp_path)
    begun = [one for one in child.hear_until(Ready) if isinstance(one, MachineStandings)]
    assert [[machine.name for machine in one.machines] for one in begun] == [["fan"]]
    told = say_and_hear(child, hums(whining(90)))
    child.close()
    (fan,) = [one for one in told if isinstance(one, MachineStandings)][-1].machines
    assert fan.heard_at == START + timedelta(seconds=90)
    assert fan.unusual_since is not None


def test_a_recording_that_ends_while_the_machine_is_unusual_ends_its_event(
    tmp_path: Path,
) -> None:
    Machines(tmp_path).put(normal_fan(), START)
    child = classifying(tmp_path)
    child.hear_until(Ready)
    say_all(child, hums(whining(90)))
    with closing(Database(tmp_path)) as database:
        event = Outbox(database).last_event()
        assert event is not None
        assert not event.final
        child.say(Finish(within_s=1.0))
        assert any(isinstance(answer, Finished) for answer in child.hear())
        event = Outbox(database).last_event()
    assert event is not None
    assert event.final


def test_a_machine_that_is_taught_meanwhile_is_heard_without_a_restart_and_a_damaged_one_told(
    tmp_path: Path,
) -> None:
    child = classifying(tmp_path, live=True)
    child.hear_until(Ready)
    now_s = SystemClock().mono_s()
    assert say_all(child, hums(whining(30), from_s=now_s)) == []
    shelf = Machines(tmp_path)
    shelf.put(normal_fan(), START)
    shelf.put(msgspec.structs.replace(normal_fan(), name="pump"), START)
    (shelf.directory / "pump" / "normal.json").write_text("{")
    shelf.put(normal_fan(), START)  # the same again, for it to look again
    answers: list[object] = []
    deadline_s = now_s + 45.0
    while not answers and SystemClock().mono_s() < deadline_s:
        answers = say_all(child, list(hums(well(3), from_s=now_s)))
    (fault,) = answers
    assert isinstance(fault, Fault)
    assert "pump" in fault.text
    at = SystemClock().utc()
    answers = say_all(child, hums(whining(90), from_s=now_s + 600, at=at))
    assert [type(one) for one in answers] == [Poke]
    child.close()
    (alert,) = alerts(tmp_path)
    assert alert.text.startswith("the fan has sounded unusual")


def test_dropped_windows_without_sound_say_nothing_of_a_machine(tmp_path: Path) -> None:
    """Neither for nor against: a minute of strange sound takes as long with them in between."""
    Machines(tmp_path).put(normal_fan(), START)
    child = classifying(tmp_path)
    child.hear_until(Ready)
    spans: list[Quiet | Hum] = []
    for hum in hums(whining(66)):
        fields = {name: getattr(hum, name) for name in hum.__struct_fields__ if name != "pcm"}
        for later in range(3):
            fields["first_sample"] = hum.first_sample + later * 16_000
            fields["started_mono_s"] = hum.started_mono_s + later
            spans.append(hum if later == 0 else Quiet(**fields))
    assert [type(one) for one in say_all(child, spans)] == [Poke]
    child.close()

"""The words of an alert."""

from datetime import timedelta, timezone
from pathlib import Path

import msgspec

from beepwatch.messages import Alert, AlertKind
from beepwatch.notify.captions import caption, console_line, digest, digest_line
from beepwatch.notify.captions import heard as heard_words
from tests.notify.laundry import NOON, beep, heard, notice

PARIS = timezone(timedelta(hours=1))
CLIP = Path("/state/clips/a.mp3")


def test_a_caption_holds_label_room_local_time_pulses_and_score() -> None:
    event = beep(pulses=5, lasting_s=4.1, final=True)
    assert caption(heard(), [event], "laundry room", PARIS) == (
        "beep · laundry room\nSat 1 Mar 13:00:00 · 5 pulses in 4.1 s · score 0.98"
    )


def test_what_the_rule_says_stands_for_the_label_wherever_it_is_told() -> None:
    alert = msgspec.structs.replace(heard(), text="the washing is done")
    event = beep(pulses=5, lasting_s=4.1, final=True)
    assert caption(alert, [event], "attic", PARIS).startswith("the washing is done · attic\n")
    assert "  the washing is done  5 pulses" in console_line(alert, [event], None, PARIS)
    assert " · the washing is done · 5 pulses" in digest_line(alert, [event], PARIS)


def test_an_episode_that_goes_on_is_counted_so_far() -> None:
    assert caption(heard(), [beep()], zone=PARIS) == (
        "beep\nSat 1 Mar 13:00:00 · 1 pulse so far · score 0.98"
    )


def test_the_episodes_of_a_burst_are_summed() -> None:
    burst = [
        beep(0, 5, 4.1, final=True, score=0.91),
        beep(60, 2, 1.0, final=True, score=0.99),
        beep(119, 3, 2.0, final=True, score=0.95),
    ]
    assert caption(heard(), burst, zone=PARIS).endswith(
        "10 pulses in 3 bursts within 2 min 1 s · score 0.99"
    )
    burst[1] = beep(60, 2, 1.0)
    assert "10 pulses in 3 bursts so far" in caption(heard(), burst, zone=PARIS)


def test_a_notice_is_its_own_text_with_room_and_time() -> None:
    assert caption(notice(), [], "laundry room", PARIS) == (
        "beepwatch is listening\nlaundry room · Sat 1 Mar 13:00:00"
    )
    assert caption(notice(), [], zone=PARIS) == "beepwatch is listening\nSat 1 Mar 13:00:00"


def test_an_unusual_machine_is_told_with_the_time_of_telling_and_no_pulses() -> None:
    alert = msgspec.structs.replace(
        heard(), kind=AlertKind.UNUSUAL, text="the fan has sounded unusual for 10 min"
    )
    event = msgspec.structs.replace(beep(-600, 0, 600, final=True), label="fan", peak_score=2.1)
    assert caption(alert, [event], "attic", PARIS) == (
        "the fan has sounded unusual for 10 min\nattic · Sat 1 Mar 13:00:00"
    )
    assert console_line(alert, [event], CLIP, PARIS) == (
        "13:00:00  unusual  the fan has sounded unusual for 10 min"
    )
    line = digest_line(alert, [event], PARIS)
    assert line == "Sat 1 Mar 13:00:00 · the fan has sounded unusual for 10 min"
    assert heard_words("fan", [event], zone=PARIS) == (
        "fan\nSat 1 Mar 12:50:00 · over 10 min 0 s · score 2.10"
    )


def test_an_alert_whose_event_is_gone_still_says_what_it_was() -> None:
    assert caption(heard(), [], zone=PARIS) == "beep\nSat 1 Mar 13:00:00"


def test_the_console_has_one_line_per_alert() -> None:
    event = beep(pulses=5, lasting_s=4.1, final=True)
    assert console_line(heard(), [event], CLIP, PARIS) == (
        "13:00:00  beep  5 pulses in 4.1 s  score 0.98  /state/clips/a.mp3"
    )
    assert console_line(heard(), [event], None, PARIS).endswith("score 0.98  no clip")
    fault = Alert(
        kind=AlertKind.FAULT,
        text="no device:\n plug it in",
        created_at=NOON,
        due_at=NOON,
        dedupe_key="f",
    )
    assert console_line(fault, [], None, PARIS) == "13:00:00  fault  no device: plug it in"


def test_without_a_zone_the_machines_own_is_taken() -> None:
    assert f"{NOON.astimezone():%H:%M:%S}" in caption(notice(), [])


def test_a_list_takes_as_many_lines_as_its_message_holds_and_says_that_more_follow() -> None:
    lines = [digest_line(heard(), [beep(60 * minute, 2, final=True)], PARIS) for minute in range(9)]
    assert lines[1] == "Sat 1 Mar 13:01:00 · beep · 2 pulses in 0.4 s"
    assert digest(lines, "attic", 4_096) == (
        9,
        "\n".join(["9 alerts could not be told in time · attic", *lines]),
    )
    count, text = digest(lines, "attic", 300)
    assert 0 < len(text) <= 300
    assert text.splitlines()[1:] == [*lines[:count], "… more follow"]
    assert digest(lines, "", 10)[1].splitlines() == [
        "1 alert could not be told in time",
        lines[0],
        "… more follow",
    ]


def test_a_notice_in_a_list_is_one_line_and_no_novel() -> None:
    fault = msgspec.structs.replace(notice(), text="no device:\n" + "plug it in " * 99)
    line = digest_line(fault, [], PARIS)
    assert line.startswith("Sat 1 Mar 13:00:00 · no device: plug it in plug")
    assert len(line) == len("Sat 1 Mar 13:00:00 · ") + 120
    assert line.endswith("…")

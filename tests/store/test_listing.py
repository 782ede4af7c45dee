"""What `beepwatch events` prints."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from msgspec import structs

from beepwatch.errors import ConfigurationError
from beepwatch.messages import Verdict
from beepwatch.store.database import Database
from beepwatch.store.library import Library
from beepwatch.store.listing import event_rows, json_lines, notice_rows, since_time, text_lines
from beepwatch.store.outbox import Outbox
from tests.store.messages_of_a_day import NOON, at, beep, heard, notice, sound


def test_an_event_is_one_line_with_the_names_of_the_contract(
    outbox: Outbox, library: Library, database: Database
) -> None:
    outbox.write(event=beep(0.25, 5, final=True), clip=sound(), alert=heard(), channels=["console"])
    path = library.keep(1, 1, b"mp3", ".mp3")
    assert json_lines(event_rows(database)) == (
        '{"id":1,"label":"beep","onset":"2025-03-01T12:00:00.250000Z",'
        '"offset":"2025-03-01T12:00:04.450000Z","pulses":5,"score":0.97,'
        f'"clip":"{path}",'
        '"alerts":[{"id":1,"kind":"heard","channel":"console","state":"pending","attempts":0}],'
        '"verdict":null}\n'
    )


def test_each_channel_of_an_alert_is_listed_and_the_burst_shares_it(
    outbox: Outbox, database: Database
) -> None:
    outbox.write(event=beep(), alert=heard(), channels=["console", "telegram:1"])
    outbox.write(event=beep(30), told_by=1)
    outbox.write(event=beep(60))
    delivery = outbox.due("telegram:1", at(0))
    assert delivery is not None
    outbox.refused(delivery.id, error="chat not found")
    rows = [json.loads(line) for line in json_lines(event_rows(database)).splitlines()]
    told = [[(a["id"], a["channel"], a["state"], a["attempts"]) for a in r["alerts"]] for r in rows]
    burst = [(1, "console", "pending", 0), (1, "telegram:1", "refused", 1)]
    assert told == [burst, burst, []]
    assert [row["clip"] for row in rows] == [None, None, None]


def test_since_leaves_out_what_ended_before(outbox: Outbox, database: Database) -> None:
    for onset_s in (0, 100, 200):
        outbox.write(event=beep(onset_s))
    outbox.write(alert=notice("old", created_s=0))
    outbox.write(alert=notice("new", created_s=150))
    assert [row.id for row in event_rows(database, at(100.2))] == [2, 3]
    assert len(notice_rows(database)) == 2
    assert [row.created_at for row in notice_rows(database, at(100))] == [at(150)]


@pytest.mark.parametrize(
    ("text", "ago_s"),
    [("90s", 90), ("30m", 1_800), ("2h", 7_200), ("1.5d", 129_600), ("1w", 604_800)],
)
def test_since_takes_a_length(text: str, ago_s: float) -> None:
    assert since_time(text, NOON) == NOON - timedelta(seconds=ago_s)


def test_since_takes_a_time() -> None:
    assert since_time("2025-03-01T14:00+02:00", NOON) == NOON
    local = since_time("2025-03-01T14:00", NOON)
    assert local == datetime(2025, 3, 1, 14).astimezone(UTC)


@pytest.mark.parametrize("text", ["yesterday", "2 hours", "-2h", "", "99999999w"])
def test_since_says_what_it_takes(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"--since is .*2h"):
        since_time(text, NOON)


def test_people_get_events_and_notices_in_order_a_line_each(
    outbox: Outbox, database: Database
) -> None:
    outbox.write(alert=notice("later", created_s=50), channels=["console"])
    outbox.write(event=beep(10, 5), alert=heard(), channels=["console"])
    outbox.write(alert=notice(), channels=[])
    (event,) = event_rows(database)
    clipped = structs.replace(event, clip="/var/lib/beepwatch/clips/a.mp3", verdict=Verdict.WRONG)
    first, line, clip, later = text_lines([clipped], notice_rows(database)).splitlines()
    machine = structs.replace(event, label="fan", pulses=0)
    assert text_lines([machine], []).endswith(
        "fan  unusual for 4.2 s  score 0.97  console pending\n"
    )
    assert first.endswith(":00:00  listening")
    assert line.endswith("beep  5 pulses in 4.2 s  score 0.97  console pending  wrong")
    assert clip == "    /var/lib/beepwatch/clips/a.mp3"
    assert later.endswith(":00:50  listening  console pending")

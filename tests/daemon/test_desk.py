"""Buttons and commands: the real messenger between the stand-in of the Bot API and a store."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

import beepwatch.daemon.inquiries
import beepwatch.daemon.messenger
import beepwatch.notify.door
from beepwatch.clock import LocalZone, SystemClock
from beepwatch.messages import (
    Alert,
    AlertKind,
    Clip,
    Condition,
    Inquiry,
    Listen,
    MachineStanding,
    Piece,
    Poke,
    Taken,
    Verdict,
    Watch,
)
from beepwatch.notify.door import Hours
from beepwatch.store.corrections import corrections
from beepwatch.store.wishes import Wishes
from tests import bot_api
from tests.bot_api import BotApi
from tests.daemon.chats import ALSO_OURS, OURS, STRANGER, Box, eventually
from tests.daemon.stage import PATIENCE_S
from tests.notify.laundry import tone

FAST = Hours(poll_s=1, pause_s=0.01, soon_s=0.01, again_s=0.05)
RATE_HZ = 16_000


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Box]:
    monkeypatch.setattr(beepwatch.notify.door, "Hours", lambda: FAST)
    monkeypatch.setattr(beepwatch.daemon.messenger, "LOOK_FOR_ROOM_S", 0.05)
    with BotApi() as api:
        opened = Box(tmp_path / "state", api)
        opened.start()
        yield opened
        opened.end()


# Buttons


def test_a_verdict_is_acknowledged_shown_in_every_chat_and_kept_with_its_clip(box: Box) -> None:
    event_id = box.beeps()
    ours, also_ours = box.posted(), box.posted(ALSO_OURS)
    assert ours.kind == "voice"
    assert ours.labels == ["right", "wrong", "quiet for 1 h"]
    box.api.tap(ours, "wrong")
    for posted in (ours, also_ours):
        box.shows(posted, "right", "✓ wrong", "quiet for 1 h")
    box.until(lambda: box.api.notices == ["wrong: kept with its sound"], "notice")
    assert box.verdict(event_id) is Verdict.WRONG
    eventually(lambda: len(corrections(box.database)) == 1)
    (correction,) = corrections(box.database)
    assert (correction.event_id, correction.verdict) == (event_id, Verdict.WRONG)
    assert correction.path.read_bytes() == ours.file


def test_a_verdict_is_changed_by_the_other_chat_and_a_double_tap_changes_nothing(
    box: Box,
) -> None:
    event_id = box.beeps()
    ours, also_ours = box.posted(), box.posted(ALSO_OURS)
    data = ours.buttons[0][0]["callback_data"]
    for _ in range(3):
        box.api.send_tap(ours, data)
    box.shows(ours, "✓ right", "wrong", "quiet")
    box.until(lambda: len(box.api.notices) == 3, "notices")
    box.shows(also_ours, "✓ right", "wrong", "quiet")
    box.api.tap(also_ours, "wrong")
    for posted in (ours, also_ours):
        box.shows(posted, "right", "✓ wrong", "quiet")
    assert box.verdict(event_id) is Verdict.WRONG
    assert [len(posted.edits) for posted in (ours, also_ours)] == [2, 2]


def test_a_button_works_on_a_message_from_before_a_restart(box: Box) -> None:
    event_id = box.beeps()
    posted = box.posted()
    box.start()
    box.api.tap(posted, "right")
    box.shows(posted, "✓ right", "wrong", "quiet for 1 h")
    assert box.verdict(event_id) is Verdict.RIGHT


def test_a_tap_during_an_outage_counts_and_is_shown_afterwards(box: Box) -> None:
    """It is read once there is a network; by then the server knows no such query any more."""
    event_id = box.beeps()
    posted = box.posted()
    box.posted(ALSO_OURS)
    too_old = bot_api.error(400, "Bad Request: query is too old and response timeout expired")
    box.api.always("answerCallbackQuery", too_old)
    box.api.always("getUpdates", bot_api.RESET_BEFORE)
    box.api.always("editMessageCaption", bot_api.RESET_BEFORE)
    box.start()
    box.api.tap(posted, "wrong")
    assert box.verdict(event_id) is None
    box.api.always("getUpdates", None)
    eventually(lambda: box.verdict(event_id) is Verdict.WRONG)
    box.api.wait_for("answerCallbackQuery", 1, PATIENCE_S)
    assert posted.labels == ["right", "wrong", "quiet for 1 h"]
    box.api.always("editMessageCaption", None)
    box.say(Poke())
    box.shows(posted, "right", "✓ wrong", "quiet for 1 h")


def test_quiet_for_an_hour_is_for_this_chat_and_can_be_undone(box: Box) -> None:
    box.beeps()
    ours = box.posted()
    box.posted(ALSO_OURS)
    until = SystemClock().utc() + timedelta(hours=1)
    quiet = ours.buttons[0][2]["callback_data"]
    box.api.send_tap(ours, quiet)
    box.shows(ours, "right", "wrong", "✓ quiet until", "not quiet any more")
    box.api.send_tap(ours, quiet)
    box.until(lambda: len(box.api.notices) == 2, "notices")
    assert box.api.notices[0] == box.api.notices[1]
    shown = [(until + timedelta(minutes=late)).astimezone(LocalZone()) for late in (0, 1)]
    assert ours.labels[2].rpartition(" ")[2] in [f"{when:%H:%M}" for when in shown]
    unheard = box.beeps()
    box.posted(ALSO_OURS, 2)
    eventually(lambda: box.states(unheard) == ["muted", "sent"])
    box.api.tap(ours, "not quiet any more")
    box.shows(ours, "right", "wrong", "quiet for 1 h")
    box.beeps()
    assert box.posted(OURS, 2).kind == "voice"
    assert box.states(unheard) == ["muted", "sent"]


def test_a_tap_that_concerns_another_database_changes_nothing(box: Box) -> None:
    event_id = box.beeps()
    posted = box.posted()
    right = posted.buttons[0][0]["callback_data"]
    for data in (right[:-8] + "00000000", "right:99:00000000", "something else"):
        box.api.send_tap(posted, data)
    box.until(lambda: len(box.api.notices) == 3, "notices")
    assert box.verdict(event_id) is None
    assert [notice[:24] for notice in sorted(box.api.notices)] == [
        "I do not know this butto",
        "I do not know this messa",
        "I do not know this messa",
    ]


def test_a_store_that_cannot_be_written_is_said_and_the_next_tap_counts(box: Box) -> None:
    event_id = box.beeps()
    posted = box.posted()
    eventually(lambda: box.states(event_id) == ["sent", "sent"])
    with box.database.transaction():  # for longer than the messenger waits
        box.api.tap(posted, "right")
        box.until(lambda: bool(box.api.notices), "notice")
    assert box.api.notices[0].startswith("not now: ")
    assert box.verdict(event_id) is None
    box.api.tap(posted, "right")
    box.shows(posted, "✓ right", "wrong", "quiet for 1 h")


def test_strangers_taps_and_commands_are_ignored(box: Box) -> None:
    event_id = box.beeps()
    posted = box.posted()
    box.posted(ALSO_OURS)
    box.api.tap(posted, "wrong", chat_id=STRANGER)
    for text in ("/mute 2h", "/listen 10", "/last", "/watch 10m", "/help", "/status"):
        box.api.write_to_bot(STRANGER, text)
    assert box.answer("/help").text.startswith("/status")
    assert {posted.chat_id for posted in box.api.messages} == {OURS, ALSO_OURS}
    assert box.api.notices == []
    assert box.verdict(event_id) is None
    assert set(box.api.commands) == {OURS, ALSO_OURS}
    wishes = Wishes(box.database)
    assert wishes.muted_until(f"telegram:{STRANGER}", SystemClock().utc()) is None
    assert wishes.watching() is None


def test_switched_off_there_are_no_buttons_and_nobody_is_answered(box: Box) -> None:
    box.start(commands=False)
    asked = len(box.api.calls("getUpdates"))
    box.api.write_to_bot(OURS, "/status")
    box.beeps()
    assert box.posted().labels == []
    box.posted(ALSO_OURS)
    assert len(box.api.calls("getUpdates")) == asked
    assert len(box.api.messages) == 2


# Commands


def test_status_says_how_it_stands(box: Box) -> None:
    box.beeps()
    box.posted()
    box.api.write_to_bot(OURS, "/status")
    asked = box.asks(Inquiry)
    assert isinstance(asked, Inquiry)
    now = SystemClock().utc()
    box.say(
        Condition(
            number=asked.number,
            up_s=7_200.0,
            source="microphone:USB",
            level_dbfs=-38.2,
            level_age_s=1.0,
            waiting_windows=2,
            dropped_windows=4,
            model="beep-1",
            machines=(MachineStanding(name="fan", unusual_since=now, heard_at=now),),
        )
    )
    lines = box.posted(OURS, 2).text.splitlines()
    assert lines[1].endswith("(2 h)")
    assert lines[2:5] == [
        "level -38 dBFS from microphone:USB",
        "2 windows wait, 4 lost",
        "model beep-1",
    ]
    assert lines[5].startswith("last heard ")
    assert lines[6].startswith("fan: unusual since ")
    assert lines[7] == "no alerts still to be told"
    assert lines[8].endswith(" GB free")


def test_status_of_a_supervisor_that_does_not_answer_says_so(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beepwatch.daemon.inquiries, "ANSWERS_WITHIN_S", 0.05)
    assert "what listens does not answer" in box.answer("/status").text


def test_an_alert_that_waits_in_two_chats_is_still_to_be_told_once(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beepwatch.daemon.inquiries, "ANSWERS_WITHIN_S", 0.05)
    box.api.always("sendVoice", bot_api.RESET_BEFORE)
    box.beeps()
    assert "1 alert still to be told" in box.answer("/status").text


def test_last_is_the_last_event_with_its_sound(box: Box) -> None:
    assert box.answer("/last").text == "nothing heard yet"
    box.beeps()
    alert = box.posted(OURS, 2)
    last = box.answer("/last")
    assert last.kind == "voice"
    assert last.file == alert.file
    assert "3 pulses in 1.0 s" in last.text


def test_listen_sends_the_sound_that_comes_from_now_on(box: Box) -> None:
    box.api.write_to_bot(OURS, "/listen 2")
    asked = box.asks(Listen)
    assert isinstance(asked, Listen)
    assert asked.length_s == 2
    assert box.answer("/listen 3").text == "I am listening already; a moment"
    clip = tone(2.0)
    half = len(clip.pcm) // 2
    stale = piece(asked.number + 1, clip, b"\x7f\x7f" * RATE_HZ, last=True)
    for part in (stale, piece(asked.number, clip, clip.pcm[:half])):
        box.say(part)
        assert isinstance(box.asks(Taken), Taken)
    box.say(piece(asked.number, clip, clip.pcm[half:], last=True))
    heard = box.posted(OURS, 2)
    assert heard.kind == "voice"
    assert heard.text.startswith("2 s from ")
    assert 8 * len(heard.file or b"") / 64_000 == pytest.approx(2.0, abs=0.2)


def test_listen_sends_what_has_come_and_says_when_nothing_comes(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beepwatch.daemon.inquiries, "LISTENS_WITHIN_S", -0.5)
    assert box.answer("/listen 1").text == "no sound comes. /status says more"
    box.api.write_to_bot(OURS, "/listen 1")
    asked = box.asks(Listen)
    asked = box.asks(Listen)
    assert isinstance(asked, Listen)
    box.say(piece(asked.number, tone(1.0), tone(1.0).pcm))
    assert box.posted(OURS, 2).kind == "voice"


def test_what_is_heard_while_muted_is_recorded_through_a_restart_and_never_told(box: Box) -> None:
    assert box.answer("/mute 2h").text.startswith("quiet here until ")
    box.start()
    unheard = box.beeps()
    box.posted(ALSO_OURS)
    eventually(lambda: box.states(unheard) == ["muted", "sent"])
    box.api.write_to_bot(OURS, "/unmute")  # "/mute" may be answered again: it was asked before
    said = "what is heard is told again"
    box.until(lambda: any(posted.text == said for posted in box.api.messages), said)
    heard = box.beeps()
    eventually(lambda: box.states(heard) == ["sent", "sent"])
    assert box.states(unheard) == ["muted", "sent"]
    voices = [posted.chat_id for posted in box.api.messages if posted.kind == "voice"]
    assert sorted(voices) == [OURS, ALSO_OURS, ALSO_OURS]


def test_a_fault_is_told_to_a_muted_chat(box: Box) -> None:
    box.answer("/mute")
    now = SystemClock().utc()
    box.say(Alert(kind=AlertKind.FAULT, text="no mic", created_at=now, due_at=now, dedupe_key="f"))
    assert "no mic" in box.posted(OURS, 2).text


def test_a_machine_that_is_unusual_still_is_told_to_a_chat_that_was_muted(box: Box) -> None:
    """At once to the other; what was heard meanwhile is not told."""
    assert "a machine that sounds unusual" in box.answer("/mute 2h").text
    beeped, unusual = box.beeps(), box.is_unusual("fan")
    eventually(lambda: box.states(beeped) == ["muted", "sent"])
    eventually(lambda: box.states(unusual) == ["muted", "sent"])
    box.answer("/unmute")
    eventually(lambda: box.states(unusual) == ["sent", "sent"])
    assert box.states(beeped) == ["muted", "sent"]
    assert box.posted(OURS, 3).text.startswith("the fan has sounded unusual")


def test_a_mute_counts_from_when_it_was_asked_for(box: Box) -> None:
    """It may have waited at the server for an outage of the box to end."""
    assert "that time is over" in box.answer("/mute 2h", age_s=3 * 3_600).text
    assert Wishes(box.database).muted_until("telegram:7", SystemClock().utc()) is None
    box.answer("/mute 2h", age_s=3_600)
    until = Wishes(box.database).muted_until("telegram:7", SystemClock().utc())
    assert until is not None
    left_s = (until - SystemClock().utc()).total_seconds()
    assert left_s == pytest.approx(3_600, abs=PATIENCE_S)


def test_a_watch_goes_to_the_classifier_and_into_the_store(box: Box) -> None:
    assert box.answer("/watch 150m", age_s=600).text.startswith("if nothing is heard until ")
    wish = box.asks(Watch)
    assert isinstance(wish, Watch)
    assert wish.for_s == 9_000
    ago_s = SystemClock().mono_s() - wish.since_mono_s
    assert ago_s == pytest.approx(600, abs=PATIENCE_S)
    watching = Wishes(box.database).watching()
    assert watching is not None
    assert (watching.number, watching.for_s) == (wish.number, 9_000)
    assert box.answer("/watch off").text == "I do not wait for a sound any more"
    over = box.asks(Watch)
    assert isinstance(over, Watch)
    assert over.for_s == 0
    assert Wishes(box.database).watching() is None


def test_status_names_what_the_chat_wished_for(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beepwatch.daemon.inquiries, "ANSWERS_WITHIN_S", 0.05)
    box.answer("/mute 2h")
    box.answer("/watch 1h")
    lines = box.answer("/status").text.splitlines()
    assert lines[-2].startswith("quiet here until ")
    assert lines[-1].startswith("tells you if nothing is heard until ")
    others = box.answer("/status", ALSO_OURS).text.splitlines()
    assert not any(line.startswith("quiet here") for line in others)
    box.beeps()
    box.posted(ALSO_OURS, 2)
    assert "tells you" not in box.answer("/status").text


def test_wrong_usage_gets_one_line(box: Box) -> None:
    assert box.answer("/listen 31").text == (
        "/listen takes 1 to 30 seconds, for example /listen 10"
    )
    assert box.answer("/dance").text == "I do not know /dance. /help lists what I know"


def piece(number: int, clip: Clip, pcm: bytes, *, last: bool = False) -> Piece:
    return Piece(
        number=number, pcm=pcm, rate_hz=clip.rate_hz, started_at=clip.started_at, last=last
    )

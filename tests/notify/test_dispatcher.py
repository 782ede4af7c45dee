"""The dispatcher between a real outbox and a real Bot API client; only the waits are short."""

import asyncio
import threading
from datetime import timedelta

import msgspec
import pytest

from beepwatch.clock import ManualClock, SystemClock
from beepwatch.errors import StoreError
from beepwatch.messages import Clip
from beepwatch.notify.channels import ConsoleChannel, Outgoing, Sound
from beepwatch.notify.clips import as_wav
from beepwatch.store.database import Database
from beepwatch.store.listing import notice_rows
from tests import bot_api
from tests.bot_api import TOKEN
from tests.notify.laundry import SHORT_WAITS, beep, heard, notice, tone
from tests.notify.office import CHAT, NOW, TELEGRAM, Office

pytestmark = pytest.mark.asyncio


async def test_what_was_written_before_the_start_arrives_with_its_mp3(office: Office) -> None:
    event_id = office.hear()
    async with office.open() as dispatcher:
        assert await dispatcher.drain(5)
    (posted,) = office.api.messages
    assert (posted.kind, posted.chat_id) == ("voice", CHAT)
    assert posted.text.startswith("beep · laundry room\n")
    path = office.library.path(event_id)
    assert path is not None
    assert path.suffix == ".mp3"
    assert posted.file == path.read_bytes()
    assert office.states() == ["sent"]
    assert office.library.pending() == []
    assert dispatcher.counts["sent"] == 1


async def test_a_poke_sends_at_once(office: Office) -> None:
    patient = msgspec.structs.replace(SHORT_WAITS, longest_idle_s=60)
    async with office.open(waits=patient) as dispatcher:
        await dispatcher.drain(5)
        office.say("a")
        dispatcher.poke()
        await office.until(lambda: len(office.api.messages) == 1)


async def test_an_alert_arrives_without_poke_too(office: Office) -> None:
    async with office.open():
        await asyncio.sleep(0.02)
        office.say("a")
        await office.until(lambda: len(office.api.messages) == 1)


async def test_alerts_arrive_in_order_through_every_trouble(office: Office) -> None:
    troubles = [bot_api.INTERNAL, bot_api.BAD_GATEWAY, bot_api.RESET_BEFORE, bot_api.PORTAL]
    office.api.fail("sendMessage", *troubles)
    for number in range(5):
        office.outbox.write(
            alert=msgspec.structs.replace(
                notice(f"k{number}", SystemClock().utc()), text=f"notice {number}"
            ),
            channels=[TELEGRAM],
        )
    async with office.open() as dispatcher:
        await office.until(lambda: len(office.api.messages) == 5)
        await dispatcher.drain(5)
    first_lines = [posted.text.splitlines()[0] for posted in office.api.messages]
    assert first_lines == [f"notice {number}" for number in range(5)]
    assert notice_rows(office.database)[0].alerts[0].attempts == 5
    assert dispatcher.counts["failed"] == 4


async def test_a_failure_is_written_down_before_the_wait(office: Office) -> None:
    office.api.always("sendMessage", bot_api.INTERNAL)
    office.say("a")
    slow = msgspec.structs.replace(SHORT_WAITS, first_s=60, largest_s=300)
    async with office.open(waits=slow) as dispatcher:
        await dispatcher.drain(5)
        assert len(office.api.calls("sendMessage")) == 2  # the drain's poke ends the wait once
        now = SystemClock().utc()
        delivery = office.outbox.due(TELEGRAM, now + timedelta(seconds=400))
        assert delivery is not None
        assert delivery.attempts == 2
        assert delivery.last_error == "Internal Server Error"
        assert delivery.next_try_at is not None
        assert (delivery.next_try_at - now).total_seconds() > 100
    assert office.states() == ["pending"]


async def test_the_servers_wish_to_wait_is_not_cut_short(office: Office) -> None:
    office.api.fail("sendMessage", bot_api.flood(1))
    office.say("a")
    async with office.open() as dispatcher:
        (first,) = await asyncio.to_thread(office.api.wait_for, "sendMessage", 1)
        for _ in range(5):
            await asyncio.sleep(0.05)
            dispatcher.poke()
        first, second = await asyncio.to_thread(office.api.wait_for, "sendMessage", 2)
    assert 1.0 <= second.first_byte_mono_s - first.first_byte_mono_s < 2.0


async def test_a_message_that_is_refused_is_recorded_and_lets_the_next_one_go(
    office: Office,
) -> None:
    office.api.fail("sendMessage", bot_api.error(400, "Bad Request: message text is empty"))
    for key in "ab":
        office.say(key)
    async with office.open() as dispatcher:
        await dispatcher.drain(5)
    assert office.states() == ["refused", "sent"]
    assert office.reported == []


async def test_what_was_tried_for_too_long_expires_with_what_is_as_old_and_lets_the_next_go(
    office: Office,
) -> None:
    """Or a chat that is gone for good would have ever more behind its oldest alert."""
    impatient = msgspec.structs.replace(SHORT_WAITS, keep_trying_s=600, least_attempts=3)
    office.api.fail("sendMessage", *[bot_api.INTERNAL] * 3)
    now = SystemClock().utc()
    for key, minutes in (("a", 12), ("b", 11), ("c", 5)):
        created_at = now - timedelta(minutes=minutes)
        office.outbox.write(alert=notice(key, created_at), channels=[TELEGRAM])
    async with office.open(waits=impatient) as dispatcher:
        await office.until(lambda: len(office.api.messages) == 1)
        await dispatcher.drain(5)
    assert office.states() == ["expired", "expired", "sent"]
    assert dispatcher.counts["expired"] == 2


async def test_a_clock_that_is_set_while_an_alert_is_tried_does_not_end_the_trying(
    office: Office,
) -> None:
    """As from 1970 to now, when the network that it waited for is there and not yet well."""
    clock = ManualClock(NOW)
    waits = msgspec.structs.replace(SHORT_WAITS, least_attempts=3)
    office.api.always("sendMessage", bot_api.INTERNAL)
    office.say("a")
    async with office.open(waits=waits, clock=clock) as dispatcher:
        await office.until(lambda: dispatcher.counts["failed"] >= 3)
        clock.set_utc(NOW + timedelta(days=20_000))
        failed = dispatcher.counts["failed"]
        await office.until(lambda: dispatcher.counts["failed"] >= failed + 2)
        office.api.always("sendMessage", None)
        await office.until(lambda: office.states() == ["sent"])
    assert dispatcher.counts["expired"] == 0


async def test_a_burst_is_one_message_whose_caption_ends_with_the_whole_count(
    office: Office,
) -> None:
    event_id = office.hear()
    async with office.open() as dispatcher:
        await dispatcher.drain(5)
        assert "1 pulse so far" in office.api.messages[0].text
        office.outbox.write(
            event=beep(pulses=5, lasting_s=4.1, final=True, id=event_id), clip=tone(2)
        )
        office.outbox.write(event=beep(30, 2, 1.0, final=True), clip=tone(), told_by=1)
        await dispatcher.drain(5)
    (posted,) = office.api.messages
    assert "7 pulses in 2 bursts within 31.0 s" in posted.text
    assert office.library.pending() == []
    assert dispatcher.counts["edited"] >= 1


async def test_an_edit_is_tried_again_and_given_up_when_the_message_is_gone(
    office: Office,
) -> None:
    event_id = office.hear()
    async with office.open() as dispatcher:
        await dispatcher.drain(5)
        office.api.fail("editMessageCaption", bot_api.BAD_GATEWAY)
        office.outbox.write(event=beep(pulses=2, id=event_id))
        dispatcher.poke()
        await office.until(lambda: "2 pulses" in office.api.messages[0].text)
        gone = bot_api.error(400, "Bad Request: message to edit not found")
        office.api.fail("editMessageCaption", gone)
        office.outbox.write(event=beep(pulses=3, id=event_id))
        dispatcher.poke()
        await office.until(lambda: dispatcher.counts["edits_given_up"] == 1)
        await dispatcher.drain(5)
    assert office.outbox.edit_due(TELEGRAM, NOW + timedelta(days=1)) is None
    assert len(office.api.calls("editMessageCaption")) == 3


async def test_an_edit_is_not_tried_for_ever(office: Office) -> None:
    event_id = office.hear()
    impatient = msgspec.structs.replace(SHORT_WAITS, keep_trying_s=0.01, least_attempts=3)
    async with office.open(waits=impatient) as dispatcher:
        await dispatcher.drain(5)
        office.api.always("editMessageCaption", bot_api.INTERNAL)
        office.outbox.write(event=beep(pulses=2, id=event_id))
        dispatcher.poke()
        await office.until(lambda: dispatcher.counts["edits_given_up"] == 1)
    assert len(office.api.calls("editMessageCaption")) == 3


async def test_one_channel_does_not_wait_for_another(office: Office) -> None:
    office.api.always("sendVoice", bot_api.Fault(hang_s=30))
    office.outbox.write(
        event=beep(final=True),
        clip=tone(),
        alert=heard(created_at=NOW),
        channels=["console", TELEGRAM],
    )
    console = ConsoleChannel(office.console)
    async with office.open(office.telegram(), console, finish_within_s=0.05):
        await office.until(lambda: office.console.getvalue().count("\n") == 1)
        before = office.beats
        await office.until(lambda: office.beats > before + 3)
    assert "1 pulse in 0.4 s" in office.console.getvalue()
    assert office.console.getvalue().rstrip().endswith("-beep-1.mp3")
    assert sorted(office.states()) == ["pending", "sent"]


async def test_a_clip_that_encodes_too_slowly_goes_as_wav(office: Office) -> None:
    may_end = threading.Event()

    def stuck(clip: Clip) -> Sound:
        may_end.wait(5)
        return as_wav(clip)

    office.hear()
    hasty = msgspec.structs.replace(SHORT_WAITS, encode_within_s=0.05)
    async with office.open(encode=stuck, waits=hasty) as dispatcher:
        await office.until(lambda: len(office.api.messages) == 1)
        await dispatcher.drain(5)
        may_end.set()
    assert office.api.messages[0].kind == "document"
    assert office.api.messages[0].file == as_wav(tone()).content
    assert dispatcher.counts["clip_failures"] == 1


async def test_a_disk_that_takes_no_clip_does_not_hold_up_the_sound(office: Office) -> None:
    (office.database.directory / "clips").write_text("in the way")
    office.hear()
    async with office.open() as dispatcher:
        await office.until(lambda: len(office.api.messages) == 1)
        await office.until(lambda: office.states() == ["sent"])
        (office.database.directory / "clips").unlink()
        await office.until(lambda: office.library.pending() == [])
    assert office.api.messages[0].kind == "voice"
    assert dispatcher.counts["clip_failures"] >= 1


async def test_a_clip_file_that_was_deleted_leaves_the_words(office: Office) -> None:
    event_id = office.hear()
    office.library.keep(event_id, 1, b"mp3", ".mp3").unlink()
    async with office.open() as dispatcher:
        await dispatcher.drain(5)
    assert office.api.messages[0].kind == "text"


async def test_an_event_without_clip_is_told_in_words(office: Office) -> None:
    office.outbox.write(event=beep(), alert=heard(created_at=NOW), channels=[TELEGRAM])
    async with office.open() as dispatcher:
        await dispatcher.drain(5)
    assert office.api.messages[0].kind == "text"
    assert dispatcher.counts["clip_failures"] == 0


async def test_a_locked_database_is_waited_for_and_nothing_is_sent_twice(
    office: Office,
) -> None:
    other = Database(office.database.directory)
    office.say("a")
    with other.transaction():
        async with office.open() as dispatcher:
            await office.until(lambda: dispatcher.counts["store_errors"] >= 2)
            assert len(office.api.messages) == 1
    async with office.open():
        await office.until(lambda: office.states() == ["sent"])
    other.close()


async def test_it_goes_on_when_the_lock_is_gone(office: Office) -> None:
    other = Database(office.database.directory)
    office.say("a")
    async with office.open() as dispatcher:
        with other.transaction():
            await office.until(lambda: dispatcher.counts["store_errors"] >= 1)
        await office.until(lambda: office.states() == ["sent"])
    assert len(office.api.messages) == 1
    other.close()


class Broken:
    """A channel with a bug, that cannot edit."""

    name = "broken"
    can_edit = False
    digest_characters = 0

    def __init__(self) -> None:
        self.tries = 0

    async def open(self) -> None:
        """Nothing."""

    async def close(self) -> None:
        """Nothing."""

    async def send(self, message: Outgoing) -> str | None:
        self.tries += 1
        if self.tries == 1:
            raise KeyError(TOKEN)
        return None

    async def edit(self, reference: str | None, message: Outgoing) -> None:
        raise AssertionError("it cannot edit")


async def test_a_channels_bug_is_counted_and_tried_again_and_shows_no_secret(
    office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    written = office.outbox.write(event=beep(), alert=heard(created_at=NOW), channels=["broken"])
    async with office.open(Broken()) as dispatcher:
        await office.until(lambda: office.states() == ["sent"])
        office.outbox.write(event=beep(pulses=2, id=written.event_id))
        await dispatcher.drain(5)
    assert dispatcher.counts["channel_bugs"] == 1
    assert dispatcher.counts["edited"] == 0
    assert office.outbox.edit_due("broken", NOW + timedelta(days=1)) is None
    assert TOKEN not in capsys.readouterr().out


async def test_a_message_on_its_way_at_the_stop_arrives(office: Office) -> None:
    office.say("a")
    office.api.always("sendMessage", bot_api.Fault(hang_s=0.2, body=b""))
    async with office.open():
        await asyncio.to_thread(office.api.wait_for, "sendMessage", 1)
        office.api.always("sendMessage", None)
    assert office.states() == ["pending"]
    async with office.open() as dispatcher:
        await asyncio.sleep(0.1)
        await dispatcher.drain(5)
    assert office.states() == ["sent"]


async def test_a_drain_that_takes_too_long_says_so(office: Office) -> None:
    office.api.always("sendMessage", bot_api.Fault(hang_s=30))
    office.say("a")
    async with office.open(finish_within_s=0.05) as dispatcher:
        assert not await dispatcher.drain(0.1)
    assert office.states() == ["pending"]


async def test_a_beat_that_fails_ends_the_run_and_is_seen(office: Office) -> None:
    def gone() -> None:
        raise BrokenPipeError("the supervisor is gone")

    office.beat = gone  # type: ignore[method-assign]
    with pytest.raises(BrokenPipeError):
        async with office.open():
            await asyncio.sleep(0.1)


async def test_clips_that_cannot_be_listed_are_asked_for_again(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: list[object] = [StoreError("locked"), StoreError("locked")]
    real = office.library.pending

    def pending() -> list[int]:
        if answers:
            answers.pop()
            raise StoreError("locked")
        return real()

    monkeypatch.setattr(office.library, "pending", pending)
    office.outbox.write(event=beep(), clip=tone())
    async with office.open() as dispatcher:
        await office.until(lambda: real() == [])
    assert dispatcher.counts["clip_failures"] == 2

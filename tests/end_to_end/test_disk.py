"""The real daemon on a disk that is full, slow, read-only or has damaged its database."""

import hashlib
import os
import re
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from beepwatch.classify.shelf import Shelf
from beepwatch.clock import SystemClock
from beepwatch.daemon.refuge import refuge_from
from beepwatch.store.database import RESERVE, Database
from beepwatch.store.listing import event_rows
from beepwatch.store.outbox import Outbox
from tests.bot_api import BAD_GATEWAY, BotApi, Posted
from tests.classify.pitched import pitched
from tests.end_to_end.daemon import CHAT_ID, Daemon, daemon
from tests.end_to_end.sounds import BEEPS, repeated, with_silence
from tests.small_disk import BrokenDisk, broken_disk, is_held, small_disk
from tests.store.messages_of_a_day import heard

EVERY_BEEP = '[[rules]]\nlabel = "beep"\ncooldown_s = 8\n'
FEW_COMMITS = "[notify]\nnotices = false\n[notify.console]\nenabled = false\n"
QUIET_BEFORE_S = 5.0
QUIET_AFTER_S = 8.0


def file_source(sound: Path) -> tuple[str, str]:
    return "--source", f"file:{sound}"


def wait_for(api: BotApi, words: str, within_s: float = 60.0) -> Posted:
    """The first message with these words."""
    count = 1
    while words not in (message := api.wait_for_message(count, within_s=within_s)).text:
        count += 1
    return message


def texts(api: BotApi) -> list[str]:
    return [message.text for message in api.messages]


@pytest.mark.slow
def test_a_beep_while_the_disk_is_full_is_told_without_its_clip_which_follows(
    tmp_path: Path,
) -> None:
    """Database, clips and log lie on the same disk of 16 MB, and not a byte is free."""
    sound = with_silence(BEEPS, tmp_path / "room.wav", QUIET_BEFORE_S, QUIET_AFTER_S)
    with (
        BotApi() as api,
        small_disk(tmp_path / "disk", 16_000_000) as disk,
        daemon(disk.path) as beepwatch,
    ):
        beepwatch.configure("[notify.console]\nenabled = false\n", api)  # it writes to the log
        beepwatch.start(*file_source(sound))
        started = api.wait_for_message(1, within_s=60)
        beepwatch.wait_until((beepwatch.state / RESERVE).exists, "a reserve")
        disk.fill()
        told = wait_for(api, "pulse")
        fault = wait_for(api, "no room for clips")
        disk.make_room()
        assert beepwatch.wait() == 0
        (event,) = beepwatch.events()
        clip = Path(event["clip"]).read_bytes()
    assert "listening" in started.text
    assert (told.kind, told.file) == ("text", None)
    assert "Free some space" in fault.text
    assert any("can be written again" in text for text in texts(api))
    assert {alert["state"] for alert in event["alerts"]} == {"sent"}
    assert len(clip) > 10_000


@pytest.mark.slow
def test_a_damaged_database_is_put_aside_at_the_start_and_the_phone_is_told(
    tmp_path: Path,
) -> None:
    sound = with_silence(BEEPS, tmp_path / "room.wav", 1.0, 4.0)
    with BotApi() as api, daemon(tmp_path) as beepwatch:
        beepwatch.configure("", api)
        Database(beepwatch.state).close()
        path = beepwatch.state / "beepwatch.db"
        damaged = hashlib.shake_128(b"garbage").digest(path.stat().st_size)
        path.write_bytes(damaged)
        beepwatch.start(*file_source(sound), "--speed", "max")
        assert beepwatch.wait() == 0
        (event,) = beepwatch.events()
        (aside,) = beepwatch.state.glob("beepwatch.db.corrupt-*Z")
        assert aside.read_bytes() == damaged
        assert "database_put_aside" in beepwatch.log.read_text()
    fault = texts(api)[0]
    assert "database was damaged" in fault
    assert aside.name in fault
    assert {alert["state"] for alert in event["alerts"]} == {"sent"}


@pytest.mark.slow
def test_a_disk_that_takes_two_seconds_to_sync_loses_nothing_and_nobody_is_killed_for_it(
    tmp_path: Path,
) -> None:
    """strace holds up every fsync and fdatasync of every process of the daemon by 2 s."""
    strace = shutil.which("strace")
    assert strace is not None, "script/setup installs strace"
    sound = with_silence(BEEPS, tmp_path / "room.wav", 1.0, 4.0)
    slow = ("-f", "-qq", "-o", os.devnull, "--seccomp-bpf", "-e", "trace=fsync,fdatasync")
    inject = ("-e", "inject=fsync,fdatasync:delay_enter=2000000", sys.executable, "-m", "beepwatch")
    with BotApi() as api, daemon(tmp_path) as beepwatch:
        beepwatch.configure(FEW_COMMITS, api)
        Database(beepwatch.state).close()
        beepwatch.start(*file_source(sound), "--speed", "max", command=[strace, *slow, *inject])
        assert beepwatch.wait() == 0
        (event,) = beepwatch.events()
        log = beepwatch.log.read_text()
    assert {alert["state"] for alert in event["alerts"]} == {"sent"}
    assert len([message for message in api.messages if message.kind == "voice"]) == 1
    assert "process_hangs" not in log
    assert "process_died" not in log


@pytest.mark.slow
def test_on_a_disk_that_the_kernel_has_made_read_only_it_starts_in_memory_and_tells(
    tmp_path: Path,
) -> None:
    """ext4 after an error, as a failing card comes back from a restart: with what it knew, and an
    alert that waits. Started twice, the disk is told of once.
    """
    sound = with_silence(BEEPS, tmp_path / "room.wav", 1.0, 4.0)
    with BotApi() as api, broken_disk(tmp_path) as disk, daemon(tmp_path) as beepwatch:
        beepwatch.state = disk.path / "state"
        beepwatch.configure(FEW_COMMITS, api)
        Shelf(beepwatch.state).put(pitched("panel", 4_870.0), SystemClock().utc())
        database = Database(beepwatch.state)
        Outbox(database).write(alert=heard("told late"), channels=[f"telegram:{CHAT_ID}"])
        database.close()
        disk.break_it()
        refuge = refuge_from(beepwatch.state)
        assert refuge is not None
        try:
            for _ in range(2):
                beepwatch.start(*file_source(sound), "--speed", "max")
                assert beepwatch.wait() == 0, beepwatch.log.read_text()
            database = Database(refuge.memory)
            events = event_rows(database)
            database.close()
            assert list(Shelf(refuge.memory).digests()) == ["panel"]
            assert refuge.memory.stat().st_mode & 0o777 == 0o700
        finally:
            shutil.rmtree(refuge.memory)
    late, told, *sounds = texts(api)
    # The second time within the first one's cooldown or after it: the recording runs ahead.
    assert {message.kind for message in api.messages[2:]} == {"voice"}
    assert len(sounds) in (1, 2)
    assert late.startswith("beep")
    assert told.startswith(
        f"the disk of {beepwatch.state} cannot be written: Read-only file system. What sounds is"
    )
    assert {alert.state.value for event in events for alert in event.alerts} == {"sent"}


@pytest.mark.slow
def test_with_a_disk_that_was_pulled_it_starts_in_memory_and_tells(tmp_path: Path) -> None:
    """ext4 that was shut down: every call is answered with EIO, reading as well."""
    sound = with_silence(BEEPS, tmp_path / "room.wav", 1.0, 4.0)
    with BotApi() as api, broken_disk(tmp_path) as disk, daemon(tmp_path) as beepwatch:
        beepwatch.state = disk.path / "state"
        beepwatch.configure(FEW_COMMITS, api)
        Database(beepwatch.state).close()
        disk.pull()
        refuge = refuge_from(beepwatch.state)
        assert refuge is not None
        try:
            beepwatch.start(*file_source(sound), "--speed", "max")
            assert beepwatch.wait() == 0, beepwatch.log.read_text()
        finally:
            shutil.rmtree(refuge.memory)
    fault, voice = api.messages
    assert "cannot be written: Input/output error. What sounds is told" in fault.text
    assert voice.kind == "voice"


@contextmanager
def listening_when_the_disk_breaks(
    directory: Path, fault: Callable[[BrokenDisk], None] = BrokenDisk.break_it
) -> Iterator[tuple[BotApi, Daemon]]:
    """A daemon that has just told that it listens, 5 s before a beep: ext4 after an error."""
    sound = with_silence(BEEPS, directory / "room.wav", QUIET_BEFORE_S, 180.0)
    with (
        BotApi() as api,
        broken_disk(directory) as disk,
        daemon(directory) as beepwatch,
    ):
        beepwatch.state = disk.path / "state"
        beepwatch.configure("[notify.console]\nenabled = false\n", api)
        beepwatch.start(*file_source(sound))
        api.wait_for_message(1, within_s=60)
        fault(disk)
        yield api, beepwatch


@pytest.mark.slow
def test_what_sounds_on_a_disk_that_turns_read_only_is_told_all_the_same_and_so_is_the_disk(
    tmp_path: Path,
) -> None:
    """Nothing can be written until the next start of the machine."""
    with listening_when_the_disk_breaks(tmp_path) as (api, beepwatch):
        fault = wait_for(api, "beepwatch.db")
        beep = wait_for(api, "beep (")
        assert beepwatch.stop() == 0
        log = beepwatch.log.read_text()
    assert fault.kind == beep.kind == "text"
    assert "told without the store" in beep.text
    assert [text.startswith("beep (") for text in texts(api)].count(True) == 1
    assert "process_died" not in log


@pytest.mark.slow
def test_children_that_are_killed_on_a_disk_that_turned_read_only_live_again_and_tell(
    tmp_path: Path,
) -> None:
    """They read what is there, and write nothing."""
    with listening_when_the_disk_breaks(tmp_path) as (api, beepwatch):
        for child in beepwatch.children():
            os.kill(child, signal.SIGKILL)
        beep = wait_for(api, "beep (")
        assert beepwatch.stop() == 0
        log = beepwatch.log.read_text()
    assert "told without the store" in beep.text
    assert log.count("process_died") == 3


@pytest.mark.slow
@pytest.mark.parametrize("dying", [False, True])
def test_what_sounds_after_the_disk_was_pulled_is_told_also_when_the_children_die_of_it(
    tmp_path: Path, dying: bool
) -> None:
    """Every call is answered with EIO, which SQLite takes for damage. SIGBUS is what comes of a
    page of its shared memory that cannot be had any more.
    """
    with listening_when_the_disk_breaks(tmp_path, BrokenDisk.pull) as (api, beepwatch):
        for child in beepwatch.children() if dying else ():
            os.kill(child, signal.SIGBUS)
        fault = wait_for(api, "Input/output error")
        beep = wait_for(api, "beep (")
        assert beepwatch.stop() == 0
        log = beepwatch.log.read_text()
    assert "told without the store" in fault.text
    assert "told without the store" in beep.text
    assert [text.startswith("beep (") for text in texts(api)].count(True) == 1
    assert ["Input/output error" in text for text in texts(api)].count(True) == 1
    assert log.count("process_died") == (3 if dying else 0)


@pytest.mark.slow
def test_what_waited_for_the_network_when_the_disk_was_pulled_is_told_by_the_messengers_next_life(
    tmp_path: Path,
) -> None:
    """All children die of the disk; what was still to be told cannot be read any more."""
    sound = with_silence(BEEPS, tmp_path / "room.wav", 60.0, 180.0)
    with BotApi() as api, broken_disk(tmp_path) as disk, daemon(tmp_path) as beepwatch:
        api.always("sendMessage", BAD_GATEWAY)
        beepwatch.state = disk.path / "state"
        beepwatch.configure("[notify.console]\nenabled = false\n", api)
        beepwatch.start(*file_source(sound))
        beepwatch.wait_for_log('"alert_not_sent"', times=3)
        disk.pull()
        for child in beepwatch.children():
            os.kill(child, signal.SIGBUS)
        beepwatch.wait_for_log('"without_store"', times=2)
        api.always("sendMessage", None)
        told = wait_for(api, "beepwatch is listening")
        assert beepwatch.stop() == 0
    assert "told without the store" in told.text
    assert ["is listening" in text for text in texts(api)].count(True) == 1


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("both", [False, True])
def test_what_sounds_on_a_disk_that_hangs_is_told_though_nothing_ends_whom_it_holds(
    tmp_path: Path, both: bool
) -> None:
    """The classifier, or the messenger as well; when it answers again all is written."""
    sound = with_silence(BEEPS, tmp_path / "room.wav", 30.0, 240.0)
    with BotApi() as api, broken_disk(tmp_path) as disk, daemon(tmp_path) as beepwatch:
        if both:
            api.always("sendMessage", BAD_GATEWAY)
        beepwatch.state = disk.path / "state"
        beepwatch.configure("[notify.console]\nenabled = false\n", api)
        beepwatch.start(*file_source(sound))
        beepwatch.wait_for_log('"alert_not_sent"' if both else '"alert_sent"', times=1 + both)
        with disk.hanging():
            api.always("sendMessage", None)
            wait_for(api, "does not answer", within_s=120)
            wait_for(api, "beep (", within_s=120)
        wait_for(api, "again", within_s=120)
        beepwatch.wait_until(lambda: bool(beepwatch.events()), "beep in the store")
        assert beepwatch.stop() == 0
        events, log = beepwatch.events(), beepwatch.log.read_text()
    told = texts(api)
    # What was told without the store says that it may come again.
    without, *again = [text for text in told if re.match(r"beep\b", text)]
    assert "it may come again" in without
    assert len(again) <= 1
    assert ["does not answer" in text for text in told].count(True) == 1
    # Sent, but not marked as sent before the disk hung: it may come twice.
    assert 1 <= ["is listening" in text for text in told].count(True) <= 1 + both
    assert log.count('"process_left_to_the_system"') == 1 + both
    assert "window_put_aside" not in log
    assert [event["label"] for event in events] == ["beep"]


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_disk_that_hangs_for_a_while_costs_no_beep_and_tells_none_twice(tmp_path: Path) -> None:
    """First for seconds, then until the classifier is killed for giving no sign of life."""
    sound = with_silence(BEEPS, tmp_path / "one.wav", 8.0, 4.0)
    with BotApi() as api, broken_disk(tmp_path) as disk, daemon(tmp_path) as beepwatch:
        beepwatch.state = disk.path / "state"
        beepwatch.configure(f"{EVERY_BEEP}[notify.console]\nenabled = false\n", api)
        beepwatch.start(*file_source(repeated(sound, tmp_path / "room.wav", times=3)))
        wait_for(api, "is listening")
        _messenger, classifier, _recorder = beepwatch.children()  # as they were started
        for count, hung in ((1, False), (2, True)):
            beepwatch.wait_until(lambda: nothing_is_to_be_told(beepwatch), "rest")
            with disk.hanging():
                beepwatch.wait_until(lambda: is_held(classifier), "write")
                if hung:
                    beepwatch.wait_for_log('"process_hangs"')
            api.wait_for_message(1 + count, within_s=60)
        api.wait_for_message(4, within_s=60)
        assert beepwatch.wait() == 0
        events, log = beepwatch.events(), beepwatch.log.read_text()
    told = [message.text for message in api.messages[1:4]]
    assert [re.split(r"\s", text)[0] for text in told] == ["beep"] * 3
    assert told == sorted(told, key=lambda text: text.splitlines()[1])  # by their time
    assert [event["label"] for event in events] == ["beep"] * 3
    assert [len(event["alerts"]) for event in events] == [1] * 3
    assert "beep" not in " ".join(message.text for message in api.messages[4:]).split()
    assert log.count('"process_died"') == 1
    assert '"process_left_to_the_system"' not in log
    assert '"dropped_windows": 0' in log


def nothing_is_to_be_told(beepwatch: Daemon) -> bool:
    """Nor to be marked as told, so that the messenger has no business with the disk."""
    with closing(Database(beepwatch.state)) as database:
        return Outbox(database).next_due_at(f"telegram:{CHAT_ID}", SystemClock().utc()) is None


@pytest.mark.slow
def test_with_a_disk_that_hangs_it_starts_in_memory_and_moves_when_it_answers(
    tmp_path: Path,
) -> None:
    sound = with_silence(BEEPS, tmp_path / "room.wav", 1.0, 4.0)
    with BotApi() as api, broken_disk(tmp_path) as disk, daemon(tmp_path) as beepwatch:
        beepwatch.state = disk.path / "state"
        beepwatch.configure(FEW_COMMITS, api)
        Database(beepwatch.state).close()
        with disk.hanging():
            beepwatch.start(*file_source(sound), "--speed", "max")
            fault = wait_for(api, "cannot be written: it does not answer. What sounds is told")
            voice = api.wait_for_message(2, within_s=60)
        assert beepwatch.wait() == 0, beepwatch.log.read_text()
        beepwatch.start(*file_source(sound), "--speed", "max")
        assert beepwatch.wait() == 0, beepwatch.log.read_text()
    assert (fault.kind, voice.kind) == ("text", "voice")
    assert "can be written again" in api.messages[2].text
    # The second time within the first one's cooldown or after it: the recording runs ahead.
    assert len([one for one in api.messages if one.kind == "voice"]) in (1, 2)

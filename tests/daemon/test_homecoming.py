"""What was kept in memory while the disk took nothing moves to the disk, whole or not at all."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from beepwatch.classify.shelf import Shelf
from beepwatch.clock import ManualClock
from beepwatch.daemon import homecoming, refuge, running
from beepwatch.daemon.homecoming import HomeWatch, bring_home
from beepwatch.daemon.refuge import refuge_from
from beepwatch.daemon.running import run
from beepwatch.errors import BeepwatchError, ConfigurationError
from beepwatch.messages import Alert, AlertKind
from beepwatch.secrecy import Secret
from beepwatch.sections import Capture, Config, Notify, Store, Telegram
from beepwatch.store.claim import claimed
from beepwatch.store.database import Database
from beepwatch.store.listing import event_rows
from beepwatch.store.outbox import Outbox
from tests.bot_api import TOKEN, BotApi
from tests.classify.pitched import pitched
from tests.small_disk import SmallDisk, mount, small_disk
from tests.store.messages_of_a_day import beep, heard

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
PHONE = "telegram:7"


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallDisk]:
    (tmp_path / "run").mkdir()
    monkeypatch.setattr(refuge, "PLACES", (tmp_path / "run",))
    with small_disk(tmp_path / "disk", 16_000_000) as mounted:
        yield mounted


@pytest.fixture
def state(disk: SmallDisk) -> Path:
    """With one alert that is still to be told."""
    state = disk.path / "state"
    write(state, "before")
    return state


def write(directory: Path, key: str, onset_s: float = 0.0) -> None:
    with closing(Database(directory)) as database:
        Outbox(database).write(event=beep(onset_s), alert=heard(key), channels=[PHONE])


def wait_for(api: BotApi, words: str) -> None:
    api.wait_until(lambda: any(words in one.text for one in api.messages), words)


def memory_of(state: Path, disk: SmallDisk) -> Path:
    """Where its state is while the disk is full."""
    disk.fill()
    one = refuge_from(state)
    assert one is not None
    disk.make_room()
    return one.memory


def brought(state: Path) -> Alert | None:
    with closing(Database(state)) as database:
        return bring_home(database, [PHONE], ManualClock(NOW, 0.0), lambda: None)


def untold(directory: Path) -> list[str]:
    with closing(Database(directory)) as database:
        pending = Outbox(database).tellable(PHONE, NOW, 100)
    return [delivery.alert.dedupe_key for delivery in pending]


def test_the_disk_gets_all_that_memory_has_and_what_was_told_is_not_told_again(
    state: Path, disk: SmallDisk
) -> None:
    memory = memory_of(state, disk)
    with closing(Database(memory)) as database:
        outbox = Outbox(database)
        (before,) = outbox.tellable(PHONE, NOW, 100)
        outbox.sent(before.id, reference=None, revision=0, sent_at=NOW)
    write(memory, "meanwhile", 3_600)
    clip = memory / "clips" / "2026" / "beep.mp3"
    clip.parent.mkdir(parents=True)
    clip.write_bytes(b"sound")
    clip.chmod(0o600)
    Shelf(memory).put(pitched("panel", 4_870.0), NOW)
    (memory / "poison").mkdir()
    (memory / "poison" / "window.wav").write_bytes(b"deadly")
    told = brought(state)
    assert told is not None
    assert (told.kind, told.dedupe_key) == (AlertKind.RECOVERED, f"home:{NOW.isoformat()}")
    assert untold(state) == ["meanwhile"]
    with closing(Database(state)) as database:
        assert len(event_rows(database)) == 2
        assert database.integrity() == []
    home = state / "clips" / "2026" / "beep.mp3"
    assert (home.read_bytes(), home.stat().st_mode & 0o777) == (b"sound", 0o600)
    assert list(Shelf(state).digests()) == ["panel"]
    assert (state / "poison" / "window.wav").read_bytes() == b"deadly"
    assert not memory.exists()
    assert brought(state) is None


def test_to_a_disk_that_went_on_without_it_come_the_alerts_and_beside_it_all_the_rest(
    state: Path, disk: SmallDisk
) -> None:
    memory = memory_of(state, disk)
    write(memory, "in memory", 3_600)
    write(state, "on the disk", 7_200)
    told = brought(state)
    assert told is not None
    (apart,) = state.glob("apart-*Z")
    assert told.text.endswith(f"lies in {apart.name}")
    assert apart.stat().st_mode & 0o777 == 0o700
    assert untold(apart) == ["before", "in memory"]
    assert sorted(untold(state)) == ["before", "in memory", "on the disk"]


def test_a_new_disk_gets_all_of_it(state: Path, disk: SmallDisk) -> None:
    memory = memory_of(state, disk)
    write(memory, "in memory", 3_600)
    (state / "beepwatch.db").unlink()
    assert brought(state) is not None
    assert untold(state) == ["before", "in memory"]


def test_what_was_done_on_the_disk_since_stays(state: Path, disk: SmallDisk) -> None:
    """Somebody teaches while the daemon does not know yet that it can go home."""
    memory = memory_of(state, disk)
    for directory, text, at_s in ((memory, "old", 1_000), (state, "new", 2_000)):
        file = directory / "taught" / "panel" / "head.json"
        file.parent.mkdir(parents=True)
        file.write_text(text)
        os.utime(file, (at_s, at_s))
    assert brought(state) is not None
    assert (state / "taught" / "panel" / "head.json").read_text() == "new"


def test_what_does_not_fit_stays_in_memory_for_the_next_time(state: Path, disk: SmallDisk) -> None:
    memory = memory_of(state, disk)
    write(memory, "in memory", 3_600)
    (memory / "clips").mkdir()
    (memory / "clips" / "long.mp3").write_bytes(bytes(20_000_000))
    with closing(Database(state)) as database:
        assert bring_home(database, [PHONE], ManualClock(NOW, 0.0), lambda: None) is None
    assert untold(memory) == ["before", "in memory"]
    assert list((state / "clips").iterdir()) == []
    (memory / "clips" / "long.mp3").unlink()
    assert brought(state) is not None
    assert untold(state) == ["before", "in memory"]


def test_what_another_daemon_works_with_is_not_taken_away(state: Path, disk: SmallDisk) -> None:
    memory = memory_of(state, disk)
    with claimed(memory), pytest.raises(ConfigurationError, match="another beepwatch works with"):
        brought(state)
    assert memory.exists()


def test_what_somebody_has_put_where_memory_would_be_is_left_alone(
    state: Path, disk: SmallDisk, tmp_path: Path
) -> None:
    """Whoever may write to /dev/shm could hand us alerts, or take ours."""
    memory = memory_of(state, disk)
    theirs = tmp_path / "theirs"
    memory.rename(theirs)
    memory.symlink_to(theirs)
    assert brought(state) is None
    memory.unlink()
    theirs.rename(memory)
    memory.chmod(0o755)
    assert brought(state) is None
    assert memory.is_dir()


def test_a_service_manager_hears_of_each_file_that_is_moved(state: Path, disk: SmallDisk) -> None:
    """A disk that takes seconds to sync each of many clips is no reason to be killed."""
    memory = memory_of(state, disk)
    (memory / "clips").mkdir()
    for name in ("one", "two", "three"):
        (memory / "clips" / name).write_bytes(b"sound")
    signs: list[None] = []
    with closing(Database(state)) as database:
        bring_home(database, [PHONE], ManualClock(NOW, 0.0), lambda: signs.append(None))
    assert len(signs) == 3


def wait_until_possible(possible: HomeWatch) -> None:
    give_up_s = time.monotonic() + 45
    while not possible():
        assert time.monotonic() < give_up_s, "the disk takes it again"
        threading.Event().wait(0.02)


def test_a_disk_that_is_not_there_is_waited_for(
    state: Path, disk: SmallDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it was mounted lies an empty directory, on a disk that has room."""
    monkeypatch.setattr(homecoming, "LOOKS_EVERY_S", 0.02)
    memory = memory_of(state, disk)
    one = refuge.Refuge(disk=state, memory=memory, reason="gone")
    state.rename(disk.path / "pulled")
    with closing(HomeWatch(one)) as possible:
        threading.Event().wait(0.2)
        state.mkdir()
        threading.Event().wait(0.2)
        assert not possible()
        state.rmdir()
        (disk.path / "pulled").rename(state)
        wait_until_possible(possible)


def test_there_must_be_room_for_all_of_it(
    state: Path, disk: SmallDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(homecoming, "LOOKS_EVERY_S", 0.02)
    disk.fill()
    one = refuge_from(state)
    assert one is not None
    looked = threading.Semaphore(0)

    def can_move(where: refuge.Refuge) -> bool:
        answer = asked(where)
        looked.release()
        return answer

    asked = homecoming._can_move
    monkeypatch.setattr(homecoming, "_can_move", can_move)
    with closing(HomeWatch(one)) as possible:
        for _ in range(2):
            assert looked.acquire(timeout=45)
        assert not possible()
        disk.make_room()
        wait_until_possible(possible)


def test_a_daemon_that_starts_on_a_full_disk_tells_and_goes_home_when_there_is_room(
    state: Path, disk: SmallDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole of it, without a microphone: an alert waits on the disk, then in memory."""
    monkeypatch.setattr(homecoming, "LOOKS_EVERY_S", 0.2)
    said: list[str] = []

    def live(api: BotApi) -> None:
        try:
            wait_for(api, "is full: No space left")
            disk.make_room()
            wait_for(api, "can be written again")
            said.extend(one.text for one in api.messages)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    disk.fill()
    with BotApi() as api:
        config = Config(
            capture=Capture(source="microphone:none of this name"),
            store=Store(directory=str(state), min_free_mb=0),
            notify=Notify(telegram=Telegram(chat_ids=(7,), base_url=api.base_url)),
        )
        acting = threading.Thread(target=live, args=(api,))
        acting.start()
        assert run(config, token=Secret(TOKEN)) == 0
        acting.join()
    assert [text.split("\n")[0] == "beep" for text in said].count(True) == 1
    assert ["no input device" in text for text in said].count(True) <= 1
    assert untold(state) == []
    with closing(Database(state)) as database:
        kinds = [alert.kind for row in event_rows(database) for alert in row.alerts]
        assert kinds == [AlertKind.HEARD]
        assert database.integrity() == []


def test_an_end_that_is_asked_for_while_the_state_moves_comes_in_order_after_it(
    state: Path, disk: SmallDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the life in memory and the one on the disk, which nobody wants any more."""
    monkeypatch.setattr(homecoming, "LOOKS_EVERY_S", 0.2)
    moved: list[Alert] = []

    def bring_and_be_stopped(*what: Any) -> Alert | None:  # noqa: ANN401 - as bring_home takes them
        told = bring_home(*what)
        if told is not None:
            moved.append(told)
            os.kill(os.getpid(), signal.SIGTERM)
        return told

    monkeypatch.setattr(running, "bring_home", bring_and_be_stopped)
    memory = memory_of(state, disk)
    disk.fill()
    with BotApi() as api:
        config = Config(
            capture=Capture(source="microphone:none of this name"),
            store=Store(directory=str(state), min_free_mb=0),
            notify=Notify(telegram=Telegram(chat_ids=(7,), base_url=api.base_url)),
        )

        def make_room() -> None:
            wait_for(api, "is full: No space left")
            disk.make_room()

        acting = threading.Thread(target=make_room)
        acting.start()
        assert run(config, token=Secret(TOKEN)) == 0
        acting.join()
        told = len(api.messages)
    assert len(moved) == 1
    assert not memory.exists()
    assert moved[0].dedupe_key in untold(state)
    assert told == len(api.messages)


@contextmanager
def seen_from_a_sandbox(state: Path, place: Path) -> Iterator[None]:
    """Through a copy of the mount, with the flags that the mount has now."""
    mount("--bind", str(state), str(place))
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


def test_from_a_sandbox_of_when_the_disk_was_read_only_it_goes_home_through_the_next_start(
    state: Path, disk: SmallDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another administrator's `remount,rw` reaches the disk and not the service's own mounts."""
    monkeypatch.setattr(homecoming, "LOOKS_EVERY_S", 0.2)
    monkeypatch.setattr(running, "service_manager", lambda: (str(tmp_path / "notify"), None))
    seen = tmp_path / "seen"
    seen.mkdir()
    mount("-o", "remount,ro", str(disk.path))
    with BotApi() as api, seen_from_a_sandbox(state, seen):
        config = Config(
            capture=Capture(source="microphone:none of this name"),
            store=Store(directory=str(seen), min_free_mb=0),
            notify=Notify(telegram=Telegram(chat_ids=(7,), base_url=api.base_url)),
        )

        def mend() -> None:
            wait_for(api, "cannot be written: Read-only file system")
            mount("-o", "remount,rw", str(disk.path))

        acting = threading.Thread(target=mend)
        acting.start()
        with pytest.raises(BeepwatchError, match="can be written again, but not in this process"):
            run(config, token=Secret(TOKEN))
        acting.join()
        assert [one.text.split("\n")[0] == "beep" for one in api.messages].count(True) == 1
    with seen_from_a_sandbox(state, seen):
        told = brought(seen)
    assert told is not None
    assert told.text.endswith("what was kept in memory is on it now")
    assert untold(state) == []

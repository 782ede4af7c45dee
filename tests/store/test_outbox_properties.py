"""Any interleaving of writes, sends, failures and crashes: nothing lost, nothing sent twice."""

import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from beepwatch.messages import Delivery
from beepwatch.store.database import Database
from beepwatch.store.library import Library
from beepwatch.store.outbox import Outbox
from tests.store.messages_of_a_day import at, beep, heard, notice, sound
from tests.store.pending import pending_by_channel

CHANNELS = ("console", "telegram:1")


class OutboxMachine(RuleBasedStateMachine):
    """The real outbox beside lists of what was written and what each channel took."""

    @initialize()
    def open(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="outbox-"))
        self.database = Database(self.directory)
        self.outbox = Outbox(self.database)
        self.now_s = 0.0
        self.written: list[str] = []
        self.due_s: dict[str, float] = {}
        self.pulses: dict[int, int] = {}
        self.told: dict[str, list[str]] = {channel: [] for channel in CHANNELS}
        self.next_try_s: dict[tuple[str, str], float] = {}
        self.alert_ids: list[int] = []

    def teardown(self) -> None:
        self.database.close()
        shutil.rmtree(self.directory)

    @rule(quiet_s=st.sampled_from([0, 0, 0, 50]))
    def hear(self, quiet_s: float) -> None:
        key = f"alert-{len(self.written)}"
        written = self.outbox.write(
            event=beep(self.now_s),
            clip=sound(0.01),
            alert=heard(key, created_s=self.now_s, due_s=self.now_s + quiet_s),
            channels=CHANNELS,
        )
        assert written.event_id is not None
        assert written.alert_id is not None
        self.pulses[written.event_id] = 1
        self.alert_ids.append(written.alert_id)
        self.written.append(key)
        self.due_s[key] = self.now_s + quiet_s

    @rule()
    def notice(self) -> None:
        key = f"alert-{len(self.written)}"
        self.outbox.write(alert=notice(key, created_s=self.now_s), channels=CHANNELS)
        self.written.append(key)
        self.due_s[key] = self.now_s

    @precondition(lambda self: self.written)
    @rule(data=st.data())
    def write_again(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(self.written))
        self.outbox.write(alert=heard(key), channels=CHANNELS)

    @precondition(lambda self: self.pulses)
    @rule(data=st.data())
    def grow(self, data: st.DataObject) -> None:
        event_id = data.draw(st.sampled_from(sorted(self.pulses)))
        self.pulses[event_id] += 1
        self.outbox.write(event=beep(0, self.pulses[event_id], id=event_id))

    @precondition(lambda self: self.alert_ids)
    @rule(data=st.data())
    def later_episode(self, data: st.DataObject) -> None:
        told_by = data.draw(st.sampled_from(self.alert_ids))
        written = self.outbox.write(event=beep(self.now_s), told_by=told_by)
        assert written.event_id is not None
        self.pulses[written.event_id] = 1

    @rule(channel=st.sampled_from(CHANNELS))
    def send(self, channel: str) -> None:
        delivery = self._take(channel)
        if delivery is None:
            return
        self.outbox.sent(
            delivery.id, reference="1", revision=delivery.revision, sent_at=at(self.now_s)
        )
        self.told[channel].append(delivery.alert.dedupe_key)

    @rule(channel=st.sampled_from(CHANNELS))
    def send_all_but_the_newest(self, channel: str) -> None:
        """In one message, whether or not a next try is due."""
        pending = self.outbox.tellable(channel, at(self.now_s), 100)
        keys = [delivery.alert.dedupe_key for delivery in pending]
        assert keys == [
            key
            for key in self.written
            if key not in self.told[channel] and self.due_s[key] <= self.now_s
        ]
        self.outbox.sent_together(pending[:-1], reference="digest:1", sent_at=at(self.now_s))
        self.told[channel] += keys[:-1]

    @rule(channel=st.sampled_from(CHANNELS), wait_s=st.integers(1, 300))
    def fail(self, channel: str, wait_s: int) -> None:
        delivery = self._take(channel)
        if delivery is None:
            return
        next_s = self.now_s + wait_s
        self.outbox.failed(delivery.id, error="no", tried_at=at(self.now_s), next_try_at=at(next_s))
        self.next_try_s[channel, delivery.alert.dedupe_key] = next_s

    @rule(by_s=st.floats(0.5, 120))
    def wait(self, by_s: float) -> None:
        self.now_s += by_s

    @rule()
    def crash(self) -> None:
        """A second connection without the first one's goodbye, as after kill -9."""
        abandoned = self.database
        self.database = Database(self.directory)
        self.outbox = Outbox(self.database)
        abandoned.close()

    def _take(self, channel: str) -> Delivery | None:
        """What is due, and that it is what the lists say."""
        delivery = self.outbox.due(channel, at(self.now_s))
        expected = self._expected(channel)
        assert (delivery.alert.dedupe_key if delivery else None) == expected
        return delivery

    def _expected(self, channel: str) -> str | None:
        for key in self.written:
            if key in self.told[channel] or self.due_s[key] > self.now_s:
                continue
            return key if self.next_try_s.get((channel, key), 0) <= self.now_s else None
        return None

    @invariant()
    def nothing_is_lost_or_doubled(self) -> None:
        if not hasattr(self, "outbox"):
            return
        waiting = pending_by_channel(self.database)
        for channel in CHANNELS:
            assert waiting.get(channel, 0) == len(self.written) - len(self.told[channel])
            assert len(set(self.told[channel])) == len(self.told[channel])

    @invariant()
    def the_next_wait_ends_when_something_is_due(self) -> None:
        if not hasattr(self, "outbox"):
            return
        for channel in CHANNELS:
            if self._expected(channel) is not None:
                assert self.outbox.next_due_at(channel, at(self.now_s)) == at(self.now_s)


OutboxMachine.TestCase.settings = settings(
    max_examples=25,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestOutbox = OutboxMachine.TestCase

WRITER = """
import sys
from pathlib import Path
from beepwatch.store.database import Database
from beepwatch.store.outbox import Outbox
from tests.store.messages_of_a_day import beep, heard, sound
outbox = Outbox(Database(Path(sys.argv[1])))
for number in range(100_000):
    outbox.write(
        event=beep(number), clip=sound(0.1), alert=heard(str(number)), channels=["console"]
    )
    print(number, flush=True)
"""


def test_what_was_acknowledged_before_kill_9_is_told_after_it(tmp_path: Path) -> None:
    for attempt in range(3):
        acknowledged: list[int] = []
        state = tmp_path / f"state-{attempt}"
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(state)], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        for line in writer.stdout:
            acknowledged.append(int(line))
            if int(line) >= 7:
                break
        writer.send_signal(signal.SIGKILL)
        acknowledged += [int(line) for line in writer.stdout]
        writer.wait(10)
        writer.stdout.close()
        database = Database(state)
        assert database.integrity() == []
        outbox = Outbox(database)
        last = acknowledged[-1]
        told = []
        while delivery := outbox.due("console", at(0)):
            told.append(int(delivery.alert.dedupe_key))
            outbox.sent(delivery.id, reference=None, revision=1, sent_at=at(0))
        assert told[: last + 1] == list(range(last + 1))
        assert len(told) <= last + 2  # one more may have been written and not yet said so
        assert Library(database).pending() == [number + 1 for number in told]
        database.close()

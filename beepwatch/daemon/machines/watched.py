"""One machine that is listened to: from windows of sound to what is told of it. No I/O."""

from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec
import numpy as np
from numpy.typing import NDArray

from beepwatch.classify.condition import Listener, Normal
from beepwatch.classify.differences import Change, change_of, difference_text
from beepwatch.classify.faults import Diagnostician, fault_text
from beepwatch.classify.novelties import Attention, Seen
from beepwatch.classify.spectra import WINDOW_S, WINDOW_SAMPLES, Floats
from beepwatch.decide.condition import Drifted, MachineWatch, Unusual, UsualAgain
from beepwatch.messages import Alert, AlertKind, Event, Hum, MachineStanding, Window

News = Unusual | UsualAgain | Drifted
_RECENT = 40  # windows that are compared with normal: two minutes
_OF_LATE = 20  # of them: what is said when somebody asks


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be told; with an event there is sound to go with it, and something to draw."""

    alert: Alert
    event: Event | None = None
    change: Change | None = None


class Ear:
    """Puts together what comes in overlapping pieces: windows of 3 s, one after another.

    A gap begins a window anew. What came of a window before it was whole is a piece like others.
    """

    def __init__(self) -> None:
        self._stream_id = ""
        self._end = 0  # sample of the stream up to which it has heard
        self._pieces: list[NDArray[np.int16]] = []

    def hear(self, span: Window | Hum) -> NDArray[np.int16] | None:
        """The last 3 s, if so much has come since the last time; [WINDOW_SAMPLES], 16 kHz."""
        if span.stream_id != self._stream_id or not span.first_sample <= self._end:
            self._stream_id, self._end = span.stream_id, span.first_sample
            self._pieces.clear()
        sound = span.waveform()
        self._pieces.append(sound[self._end - span.first_sample :])
        self._end = max(self._end, span.first_sample + len(sound))
        if sum(map(len, self._pieces)) < WINDOW_SAMPLES:
            return None
        window = np.concatenate(self._pieces)[-WINDOW_SAMPLES:]
        self._pieces.clear()
        return window


def unnamed() -> Diagnostician | None:
    """No faults were learned."""
    return None


class Machine:
    """What was learned of it, and what has been heard of it.

    `doctor` is asked when there is something to tell: who can name it.
    """

    def __init__(
        self,
        normal: Normal,
        model_id: str,
        watch: MachineWatch,
        doctor: Callable[[], Diagnostician | None] = unnamed,
    ) -> None:
        self.watch = watch
        self.model_id = model_id  # 12 hexadecimal digits of what was learned
        self._listener = Listener(normal)
        self._attention = Attention(self._listener)
        self._name = normal.name
        self._doctor = doctor
        self._recent: deque[Seen] = deque(maxlen=_RECENT)
        self._heard_at: datetime | None = None
        self._off_since: datetime | None = None

    def hear(self, portrait: Floats, now_s: float, at: datetime) -> Told | None:
        """A window's portrait; the window ended `now_s`, which is `at`."""
        seen = self._attention.hear(portrait, now_s)
        if seen is None:
            self.watch.step(None, now_s)
            self._off_since = self._off_since or at
            return None
        self._heard_at, self._off_since = at, None
        self._recent.append(seen)
        news = self.watch.step(seen.evidence, now_s, drowned=seen.drowned)
        return None if news is None else self._told(news, at)

    def standing(self, now_s: float, now: datetime) -> MachineStanding:
        """How it stands, `now_s` being `now`."""
        since = None
        if self.watch.unusual:
            since = now - timedelta(seconds=self.watch.memory(now_s).since_ago_s)
        recent = [seen.strangeness for seen in self._recent][-_OF_LATE:]
        return MachineStanding(
            name=self._name,
            unusual_since=since,
            heard_at=self._heard_at,
            off_since=self._off_since,
            strangeness=float(np.median(recent)) if recent else None,
        )

    def _told(self, news: News, at: datetime) -> Told:
        if isinstance(news, UsualAgain):
            text = f"the {self._name} sounds as usual again, after {_length(news.after_s)}"
            return Told(alert=self._alert(AlertKind.RECOVERED, text, at))
        change = change_of(self._listener, self._recent)
        doctor = self._doctor()
        fault = None if doctor is None else doctor.fault(change.spectra)
        like = fault_text(fault, difference_text(change.most))
        text = f"{self._finding(news)}; most like: {like}"
        for_s = news.for_s if isinstance(news, Unusual) else WINDOW_S
        event = Event(
            label=self._name,
            onset=at - timedelta(seconds=for_s),
            offset=at,
            pulses=0,
            peak_score=max(one.strangeness for one in self._recent),
            model_id=self.model_id,
            final=isinstance(news, Drifted),  # what is unusual goes on
        )
        return Told(
            alert=self._alert(AlertKind.UNUSUAL, text, at),
            event=event,
            change=change,
        )

    def _finding(self, news: Unusual | Drifted) -> str:
        if isinstance(news, Unusual):
            return f"the {self._name} has sounded unusual for {_length(news.for_s)}"
        return f"the {self._name} has slowly come to sound otherwise than when it was learned"

    def _alert(self, kind: AlertKind, text: str, at: datetime) -> Alert:
        key = f"machine:{self._name}:{kind}:{at.isoformat()}"
        return Alert(kind=kind, text=text, created_at=at, due_at=at, dedupe_key=key)


def _length(length_s: float) -> str:
    """ "10 min", "3 h"; what is shorter than a minute is one."""
    minutes = max(1, round(length_s / 60))
    return f"{minutes} min" if minutes < 120 else f"{round(minutes / 60)} h"

"""Several threads through many recordings, and together through a long one.

Threads rather than processes: the network, the resampler and the decoders let go of Python's
lock, and what is left to Python is a few percent of the time. A process more would cost 0.3 s of
start and 80 MB, and every stretch of a shared recording would have to be copied to it.
"""

import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from beepwatch.classify.engines import Answers, Engine, Stretch, stretches, undated
from beepwatch.classify.taught import untaught
from beepwatch.daemon.found import Found, Given, Scanned, found
from beepwatch.decide.episodes import Change, Closed, EpisodeTracker
from beepwatch.decide.recent import RecentSound
from beepwatch.errors import BeepwatchError
from beepwatch.train.datasets.remote import Location, sound_of

_STRETCH_S = 28.0  # nobody waits for a scan's first answer, and fewer stretches overlap less
_MAY_WAIT = 2  # stretches that are scored, for somebody else to decide
_DECIDED_AT_ONCE = 250  # frames; a run without a beep in it is decided as a whole

Decode = Callable[[Location, int], Generator[NDArray[np.int16], None, None]]


class Hearing:
    """One recording on its way: read by one thread at a time, scored by any, decided in order.

    Whoever scores a stretch may do so before an earlier one is done; what it answers waits for
    its turn, and one thread at a time decides. So the answers are those of one thread, and little
    more sound is held than threads.
    """

    def __init__(
        self,
        given: Given,
        engine: Engine,
        thresholds: Mapping[str, float],
        decode: Decode = sound_of,
    ) -> None:
        self._given = given
        self._engine = engine
        self._sound = decode(given.file, engine.rate_hz)
        self._stretches = stretches(engine, self._sound_that_is_there(), _STRETCH_S)
        self._reading = threading.Lock()
        self._handed_out = 0
        self._read = False
        self._broken = False
        self._problem: str | None = None
        self._deciding = threading.Lock()
        self._scored: dict[int, tuple[Answers, Stretch]] = {}  # by number, not decided
        self._decided = 0
        self._frames = 0
        self._recent = RecentSound(untaught(engine))
        self._tracker = EpisodeTracker(thresholds, context_s=0.0, ear=self._recent)
        self._found: list[Found] = []
        self._answer: Scanned | None = None

    def step(self) -> bool:
        """Read and score one stretch; False when there was none left."""
        taken = self._take()
        if taken is None:
            return False
        number, stretch = taken
        self._scored[number] = stretch.answers(self._engine), stretch
        # Who decides just now goes on with this one as well: nobody waits, unless it is behind.
        while self._decided in self._scored and self._deciding.acquire(
            blocking=len(self._scored) > _MAY_WAIT
        ):
            try:
                self._decide_in_order()
            finally:
                self._deciding.release()
        return True

    def answer(self) -> Scanned | None:
        """What was found, to who asks first after all of it is read, scored and decided."""
        with self._deciding:
            self._decide_in_order()
            done = self._read and not self._broken and self._decided == self._handed_out
            if self._answer is not None or not done:
                return None
            self._keep(self._tracker.finish())
            self._answer = Scanned(
                given=self._given,
                found=tuple(sorted(self._found, key=lambda one: one.onset_s)),
                problem=self._problem,
            )
            return self._answer

    def close(self) -> None:
        """Let go of the file or of the program that decodes it."""
        with self._reading:
            self._sound.close()

    def _take(self) -> tuple[int, Stretch] | None:
        with self._reading:
            if self._read:
                return None
            try:
                stretch = next(self._stretches, None)
            except BaseException:
                self._broken = True  # whoever asks on finds nothing left: that is no end
                raise
            if stretch is None:
                self._read = True
                return None
            self._handed_out += 1
            return self._handed_out - 1, stretch

    def _sound_that_is_there(self) -> Iterator[NDArray[np.int16]]:
        """What comes before a recording breaks off is heard like any other."""
        try:
            yield from self._sound
        except BeepwatchError as error:
            self._problem = str(error)

    def _decide_in_order(self) -> None:
        while self._decided in self._scored:
            self._follow(*self._scored.pop(self._decided))
            self._decided += 1

    def _follow(self, answers: Answers, stretch: Stretch) -> None:
        sound = stretch.sound(self._engine)
        frame_samples = round(self._engine.frame_s * self._engine.rate_hz)
        ahead = stretch.pcm[(stretch.first + stretch.frames) * frame_samples :]
        self._recent.add(sound, ahead)
        for start in range(0, len(answers.probabilities), _DECIDED_AT_ONCE):
            piece = answers.part(start, _DECIDED_AT_ONCE)
            changes = self._tracker.hear(undated(piece, self._engine, self._frames))
            self._frames += len(piece.probabilities)
            self._keep(changes)

    def _keep(self, changes: Iterable[Change]) -> None:
        self._found += [
            found(self._given.file, self._recent.recounted(change.episode))
            for change in changes
            if isinstance(change, Closed)
        ]


class Crew:
    """Goes through recordings: each thread takes the next, and helps with one when none is left."""

    def __init__(self, given: Sequence[Given], begin: Callable[[Given], Hearing]) -> None:
        self._given = given
        self._begin = begin
        self._changed = threading.Condition()
        self._begun = 0
        self._open: dict[int, Hearing] = {}  # by number, with something left to read
        self._answers: dict[int, Scanned] = {}  # by number, not fetched yet
        self._stopping = False

    def answers(self, workers: int) -> Iterator[Scanned]:
        """One for each recording, in the order given, as soon as it can be told."""
        with ThreadPoolExecutor(workers, thread_name_prefix="scan") as pool:
            at_work = [pool.submit(self._work) for _ in range(workers)]
            for one in at_work:
                one.add_done_callback(self._wake)
            try:
                for number in range(len(self._given)):
                    yield self._fetch(number, at_work)
            finally:
                self._stopping = True

    def _fetch(self, number: int, at_work: Sequence[Future[None]]) -> Scanned:
        with self._changed:
            while number not in self._answers:
                for one in at_work:
                    if one.done():
                        one.result()  # raises what that thread could not go on with
                self._changed.wait()
            return self._answers.pop(number)

    def _work(self) -> None:
        while (claimed := self._claim()) is not None:
            number, hearing = claimed
            try:
                while not self._stopping and hearing.step():
                    pass
            finally:
                self._put_down(number, hearing)

    def _claim(self) -> tuple[int, Hearing] | None:
        with self._changed:
            if self._stopping:
                return None
            if self._begun < len(self._given):
                number = self._begun
                self._begun += 1
                self._open[number] = self._begin(self._given[number])
                return number, self._open[number]
            return next(iter(self._open.items()), None)

    def _put_down(self, number: int, hearing: Hearing) -> None:
        """There is no more to read in it, or no reason to."""
        with self._changed:
            if self._open.pop(number, None) is not None:
                hearing.close()
            answer = hearing.answer()
            if answer is not None:
                self._answers[number] = answer
                self._changed.notify_all()

    def _wake(self, _one: Future[None]) -> None:
        with self._changed:
            self._changed.notify_all()

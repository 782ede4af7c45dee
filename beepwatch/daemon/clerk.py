"""Beside `beepwatch record`: each file is judged by the model and listed in `dataset.csv`.

In a thread of its own, from the disk, so that whatever it waits for, the microphone does not.
"""

import hashlib
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from beepwatch.capture.files import decode
from beepwatch.capture.sessions import Judgement, Recorded
from beepwatch.classify.engines import Engine
from beepwatch.errors import BeepwatchError
from beepwatch.sections import Model
from beepwatch.train.datasets.catalogue import Catalogue

_LEAST_ODDS = 1e-6


class Judge(Engine, Protocol):
    """An engine that knows its thresholds."""

    @property
    def thresholds(self) -> Mapping[str, float]:
        """A probability for each label."""
        ...


class FilingClerk:
    """Takes files and looks after them one by one; `open_judge` is called in its thread.

    What goes wrong with the model or the list is said once and costs no recording: the files are
    there, and the session's JSON names them.
    """

    def __init__(
        self, directory: Path, open_judge: Callable[[], Judge] | None, say: Callable[[str], None]
    ) -> None:
        """`directory` is the data set's; without `open_judge` files are only listed."""
        self.listed_all = True  # as far as is known
        self._directory = directory
        self._open_judge = open_judge
        self._say = say
        self._said: set[str] = set()
        self._catalogue = Catalogue(directory)
        self._taken: SimpleQueue[Recorded | None] = SimpleQueue()
        self._judged: SimpleQueue[tuple[str, Judgement]] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def take(self, recorded: Recorded) -> None:
        """One more; does not wait."""
        self._taken.put(recorded)

    def judgements(self) -> dict[str, Judgement]:
        """Those that have come since this was last asked, by the file's name."""
        judged = {}
        while not self._judged.empty():
            name, judgement = self._judged.get()
            judged[name] = judgement
        return judged

    def finish(self, within_s: float) -> None:
        """Be done with what was taken; what takes longer is left."""
        self._taken.put(None)
        self._thread.join(within_s)
        if self._thread.is_alive():
            self.listed_all = False
            self._complain("not all files were judged and listed in time.")

    def _work(self) -> None:
        judge: Judge | None = None
        last = False
        while not last:
            taken = self._batch()
            last = None in taken
            files = [one for one in taken if one is not None]
            if files and self._open_judge is not None:
                judge, self._open_judge = self._opened(self._open_judge), None
            self._list([row for one in files if (row := self._row(judge, one))])

    def _batch(self) -> list[Recorded | None]:
        """What there is, at least one: the list is written once for all of them."""
        taken = [self._taken.get()]
        try:
            while taken[-1] is not None:
                taken.append(self._taken.get_nowait())
        except Empty:
            pass
        return taken

    def _opened(self, open_judge: Callable[[], Judge]) -> Judge | None:
        try:
            return open_judge()
        except BeepwatchError as error:
            self._complain(f"recorded without the model's opinion: {error}")
            return None

    def _judgement(self, judge: Judge | None, recorded: Recorded) -> Judgement | None:
        if judge is None:
            return None
        try:
            judgement = judged(judge, recorded.path)
        except BeepwatchError as error:
            self._complain(str(error))
            return None
        if judgement is not None:
            self._judged.put((recorded.path.name, judgement))
        return judgement

    def _row(self, judge: Judge | None, recorded: Recorded) -> dict[str, str] | None:
        """None for a file that somebody has taken away in the meantime."""
        judgement = self._judgement(judge, recorded)
        try:
            return _row(self._directory, recorded, judgement)
        except OSError as error:
            self._complain(f"{recorded.path} is not listed: {error.strerror}")
            return None

    def _list(self, rows: list[dict[str, str]]) -> None:
        try:
            self._catalogue.describe(rows)
        except BeepwatchError as error:
            self.listed_all = False
            self._complain(
                f"not listed: {error} Then list them: beepwatch dataset index {self._directory}."
            )

    def _complain(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            self._say(text)


def opening(model: Model, state: Path, say: Callable[[str], None]) -> Callable[[], Judge]:
    """How the configured model is opened, with what it was taught; raises ModelError when called.

    A taught sound that cannot be used is said.
    """

    def opened() -> Judge:
        from beepwatch.classify.bundle import find_bundle, load_bundle
        from beepwatch.classify.shelf import Shelf
        from beepwatch.classify.taught import open_taught

        bundle = load_bundle(find_bundle(model.bundle))
        engine, problems = open_taught(bundle, model.runtime, Shelf(state))
        for problem in problems:
            say(problem)
        return engine

    return opened


def judged(judge: Judge, file: Path) -> Judgement | None:
    """What a file is most likely of, and the highest frame probability of that.

    None for one that is shorter than a frame. Raises UnreadableAudio.
    """
    pcm = np.concatenate([np.zeros(0, dtype=np.int16), *decode(file, judge.rate_hz)])
    if len(pcm) < judge.frame_s * judge.rate_hz:
        return None
    highest = judge.answers(pcm).probabilities.max(axis=0)
    needed = np.array([judge.thresholds.get(label, 0.5) for label in judge.labels])
    best = int(np.argmax(_odds(highest) / _odds(needed)))
    return Judgement(
        label=judge.labels[best],
        score=round(float(highest[best]), 4),
        heard=bool(highest[best] >= needed[best]),
    )


def _odds(probability: NDArray[np.floating]) -> NDArray[np.floating]:
    return (probability + _LEAST_ODDS) / (1 - probability + _LEAST_ODDS)


def _row(directory: Path, recorded: Recorded, judgement: Judgement | None) -> dict[str, str]:
    """What is known of a file. Its label is not: a person has yet to listen."""
    row = {
        "path": recorded.path.relative_to(directory).as_posix(),
        "session": recorded.session,
        "device": recorded.subject.appliance,
        "room": recorded.subject.room,
        "sha256": hashlib.sha256(recorded.path.read_bytes()).hexdigest(),
        "duration_s": f"{recorded.duration_s:g}",
        "rate_hz": str(recorded.rate_hz),
        "channels": "1",
        "bits": "16",
        "source": recorded.source,
    }
    if judgement is not None:
        row |= {"model_label": judgement.label, "model_score": f"{judgement.score:.4f}"}
    return row

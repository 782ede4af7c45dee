"""Recordings on their way through a device: decoded beside it, their blocks put into its batches.

A device wants one process; what comes from strangers' files is decoded in others, so that a file
which kills its decoder is one file. Several recordings are open at once, so that short ones fill a
batch too.
"""

import threading
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress

import torch

from beepwatch.errors import BeepwatchError
from beepwatch.train.datasets.spreading import MOST_DEATHS
from beepwatch.train.featuring.decoding import Decoders, Died
from beepwatch.train.featuring.device import MEMORY_BYTES, BatchTransform, blocks_of_batch
from beepwatch.train.featuring.recipe import FeatureRecipe
from beepwatch.train.featuring.spectra import Floats
from beepwatch.train.featuring.work import Done, Job, Plan, one_thread, work_on_one

_OPEN_RECORDINGS = 16
_BATCHES_AHEAD = 2  # of all together: one at work and one to come


class DeviceError(BeepwatchError):
    """A device that cannot be used, or not any more."""


class _Lost(Exception):
    """What a recording cannot be blamed for: the device has failed, or nobody wants it any more."""


class _Waiting:
    """A block that has been handed in."""

    def __init__(self, samples: Floats, frames: int) -> None:
        self.samples = samples
        self.frames = frames
        self.rows: Future[Floats] = Future()


class Batches:
    """A device, and the blocks that wait for it. Raises DeviceError if it has no room for one."""

    def __init__(self, recipe: FeatureRecipe, device: torch.device) -> None:
        self._recipe = recipe
        self._device = device
        self._blocks = blocks_of_batch(recipe)
        if self._blocks == 0:
            raise DeviceError(f"frames of {recipe.frames.fft_samples} samples are too large for it")
        self._changed = threading.Condition()
        self._pending: deque[_Waiting] = deque()
        self._awaited: set[_Waiting] = set()  # somebody can do nothing before
        self._open = 0  # recordings
        self._ending = False
        try:
            if device.type == "cuda":
                total = torch.cuda.get_device_properties(device).total_memory
                torch.cuda.set_per_process_memory_fraction(min(1.0, MEMORY_BYTES / total), device)
            self._transform = BatchTransform(recipe, device)
            self._input = torch.zeros(
                (self._blocks, self._transform.samples), pin_memory=device.type == "cuda"
            )
            self._samples: Floats = self._input.numpy()  # the same memory
            self._compute()  # with what it takes, it has taken all that it ever will
        except RuntimeError as error:
            raise DeviceError(_first_line(error)) from error
        self._thread = threading.Thread(target=self._run, name="device", daemon=True)
        self._thread.start()

    def worked_on(
        self, plan: Plan, jobs: Iterable[Job], decoding: int
    ) -> Generator[list[Done], None, None]:
        """Answers as they come; `decoding` recordings are decoded at the same time.

        Raises DeviceError.
        """
        decoders = Decoders(decoding)
        left = iter(jobs)
        pool = ThreadPoolExecutor(_OPEN_RECORDINGS, thread_name_prefix="features")
        at_work: set[Future[Done]] = set()
        try:
            with one_thread():
                while True:
                    for job in left:
                        at_work.add(pool.submit(self._work_on, plan, job, decoders))
                        if len(at_work) >= 2 * _OPEN_RECORDINGS:
                            break
                    if not at_work:
                        return
                    done, at_work = wait(at_work, return_when=FIRST_COMPLETED)
                    if good := [one.result() for one in done if one.exception() is None]:
                        yield good
                    for one in done:
                        one.result()  # raises what no recording can go on after
        except _Lost as error:
            raise DeviceError(
                f"the device {self._device} has failed: {_first_line(error)}. Run this again, on "
                "the processor if it fails again: what is made so far is kept."
            ) from error
        finally:
            self.close()
            decoders.close()
            pool.shutdown(cancel_futures=True)

    def close(self) -> None:
        """Nobody gets an answer any more."""
        with self._changed:
            self._ending = True
            left, self._pending = self._pending, deque()
            self._changed.notify_all()
        for one in left:
            one.rows.cancel()
        self._thread.join()

    def _work_on(self, plan: Plan, job: Job, decoders: Decoders) -> Done:
        """As the pool of `--workers` does: whatever a recording's own fault is, two dead decoders
        or any error, is named and costs no other. Raises _Lost.
        """
        try:
            for _ in range(MOST_DEATHS - 1):
                with suppress(Died):
                    return self._tried_on(plan, job, decoders)
            return self._tried_on(plan, job, decoders)
        except _Lost:
            raise
        except Died as died:
            last_words = f"{MOST_DEATHS} decoders died on it: {died}"
        except Exception as error:  # noqa: BLE001 - told with its recording, the others go on
            last_words = f"{type(error).__name__}: {' '.join(str(error).split())}"
        problem = f"{job.path}: {last_words}. Leave it out, or report it with --debug."
        return Done(path=job.path, problem=problem)

    def _tried_on(self, plan: Plan, job: Job, decoders: Decoders) -> Done:
        """By one decoder. Raises Died."""
        # Open is who has its turn: for whoever waits for one no batch waits.
        with decoders.turn() as turn, self._opened():
            return work_on_one(plan, job, self.rows, turn.recording)

    @contextmanager
    def _opened(self) -> Iterator[None]:
        with self._changed:
            self._open += 1
        try:
            yield
        finally:
            with self._changed:
                self._open -= 1
                self._changed.notify_all()

    def rows(self, blocks: Iterable[Floats]) -> Iterator[Floats]:
        """Rows of a recording's blocks, in order; some of these are handed in ahead."""
        ahead: deque[_Waiting] = deque()
        for block in blocks:
            ahead.append(self._handed_in(block))
            if len(ahead) > _BATCHES_AHEAD * self._blocks // max(1, self._open):
                yield self._fetched(ahead.popleft())
        while ahead:
            yield self._fetched(ahead.popleft())

    def _handed_in(self, block: Floats) -> _Waiting:
        frames = self._recipe.frames
        count = 1 + (len(block) - frames.fft_samples) // frames.hop_samples
        one = _Waiting(block, count)
        with self._changed:
            if self._ending:
                one.rows.cancel()
                return one
            self._pending.append(one)
            self._changed.notify_all()
        return one

    def _fetched(self, one: _Waiting) -> Floats:
        with self._changed:
            if not one.rows.done():
                self._awaited.add(one)
                self._changed.notify_all()
        try:
            return one.rows.result()
        except CancelledError:
            raise _Lost("nobody wants its rows any more") from None

    def _run(self) -> None:
        while (batch := self._next_batch()) is not None:
            rows: list[Floats] = []
            failure: _Lost | None = None
            try:
                rows = self._answered(batch)
            except Exception as error:  # noqa: BLE001 - told to all who wait, and who would for ever
                failure = _Lost(_first_line(error))
                failure.__cause__ = error
            with self._changed:
                self._awaited.difference_update(batch)
                for number, one in enumerate(batch):
                    if failure is not None:
                        one.rows.set_exception(failure)
                    else:
                        one.rows.set_result(rows[number])

    def _next_batch(self) -> list[_Waiting] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._ending or self._is_due())
            if self._ending:
                return None
            many = min(self._blocks, len(self._pending))
            return [self._pending.popleft() for _ in range(many)]

    def _is_due(self) -> bool:
        """Whether the batch is full, or gets no fuller before it is done."""
        nobody_adds = len(self._awaited) >= self._open
        return len(self._pending) >= self._blocks or (bool(self._pending) and nobody_adds)

    def _answered(self, batch: Sequence[_Waiting]) -> list[Floats]:
        for place, one in enumerate(batch):
            self._samples[place, : len(one.samples)] = one.samples
            self._samples[place, len(one.samples) :] = 0
        self._samples[len(batch) :] = 0
        rows = self._compute()
        return [rows[place, : one.frames] for place, one in enumerate(batch)]

    def _compute(self) -> Floats:
        """Of `_input`, [blocks, frames, columns]."""
        found = self._transform.rows(self._input.to(self._device, non_blocking=True))
        rows: Floats = found.cpu().numpy()
        return rows


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")

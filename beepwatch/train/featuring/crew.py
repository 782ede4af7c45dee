"""Who makes the rows: this process, others beside it, those of a cluster, or a GPU."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from beepwatch.train.datasets.remote import address_of, location_of
from beepwatch.train.datasets.spreading import Lost, in_batches, spread
from beepwatch.train.featuring.work import Done, Job, Plan, work_on

if TYPE_CHECKING:
    from beepwatch.train.featuring.batching import Batches

Report = Callable[[str, int, int], None]  # what is being done, how many are done, of how many

_LARGEST_BATCH = 16  # recordings that a worker is told of at once
_BATCHES_A_WORKER = 8


class Crew:
    """Those who work on recordings, and who is told how far they are."""

    def __init__(
        self, workers: int, cluster: str | None, batches: "Batches | None", report: Report
    ) -> None:
        self._workers = workers
        self._cluster = cluster
        self._batches = batches
        self._report = report

    def made(self, plan: Plan, jobs: Sequence[Job]) -> Iterator[list[Done]]:
        """The rows, or the names of their files, as they come."""
        if self._batches is None:
            return self.done("features", work_on, plan, jobs)
        answers = self._batches.worked_on(plan, jobs, self._workers)
        return self._counted("features", answers, len(jobs))

    def done(
        self,
        what: str,
        function: Callable[[Plan, Sequence[Job]], list[Done]],
        plan: Plan,
        jobs: Sequence[Job],
    ) -> Iterator[list[Done]]:
        """The answers, as they come."""
        if self._cluster is not None:
            there = address_of(location_of(plan.data).absolute())  # its workers are elsewhere
            plan = msgspec.structs.replace(plan, into=None, data=there)
        share = len(jobs) // (max(self._workers, 1) * _BATCHES_A_WORKER)
        batches = in_batches(jobs, min(max(share, 1), _LARGEST_BATCH))
        answers = self._answers(partial(function, plan), batches)
        yield from self._counted(what, answers, len(jobs))

    def _counted(self, what: str, answers: Iterator[list[Done]], of: int) -> Iterator[list[Done]]:
        finished = 0
        self._report(what, finished, of)
        for answer in answers:
            finished += len(answer)
            yield answer
            self._report(what, finished, of)

    def _answers(
        self, work: Callable[[Sequence[Job]], list[Done]], batches: Iterator[list[Job]]
    ) -> Iterator[list[Done]]:
        lost: list[Job] = []
        for answer in self._spread(work, batches):
            if not isinstance(answer, Lost):
                yield answer
            elif len(answer.item) == 1:
                yield [Done(path=answer.item[0].path, problem=_last_words(answer))]
            else:
                lost += answer.item
        for answer in self._spread(work, in_batches(lost, 1)):  # one of a batch was at fault
            if isinstance(answer, Lost):
                yield [Done(path=answer.item[0].path, problem=_last_words(answer))]
            else:
                yield answer

    def _spread(
        self, work: Callable[[Sequence[Job]], list[Done]], batches: Iterator[list[Job]]
    ) -> Iterator[list[Done] | Lost[list[Job]]]:
        return spread(work, batches, self._workers, ordered=False, cluster=self._cluster)


def _last_words(lost: Lost[list[Job]]) -> str:
    return f"{lost.item[0].path}: {lost.problem}. Leave it out, or report it with --debug."

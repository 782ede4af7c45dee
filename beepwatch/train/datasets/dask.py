"""The workers of a Dask cluster in the place of processes of our own; `spreading` comes here.

The package and the files have to be where the workers are: the same version of the one, and the
others under the same paths. The scheduler hands out again what a dead worker had, and gives an
item up after `distributed.scheduler.allowed-failures` workers.
"""

from collections.abc import Callable, Generator, Iterable
from importlib import import_module
from typing import Any, TypeVar

from beepwatch.errors import ConfigurationError, install_with
from beepwatch.train.datasets.spreading import Lost, SpreadError, Told, attempt, told

try:
    distributed: Any = import_module("distributed")  # most of it has no types
except ModuleNotFoundError as error:
    raise ConfigurationError(
        f"--dask needs {error.name}, which is not installed. {install_with('dask')}"
    ) from error

Item = TypeVar("Item")
Result = TypeVar("Result")

_CONNECT_WITHIN_S = 20
_AHEAD = 8  # for each thread of a worker


def on_cluster(
    function: Callable[[Item], Result], items: Iterable[Item], address: str, *, ordered: bool
) -> Generator[Result | Lost[Item]]:
    """As `spread`, which see. Raises SpreadError if there is no such scheduler, or no more."""
    try:
        client = distributed.Client(address, timeout=_CONNECT_WITHIN_S, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        raise SpreadError(
            f"no Dask scheduler answers at {address!r}. Start one with `dask scheduler`, "
            "and give the address that it prints, such as tcp://127.0.0.1:8786."
        ) from error
    with client:
        threads = sum(client.nthreads().values())
        if threads == 0:
            raise SpreadError(
                f"the Dask scheduler at {address} has no workers. "
                f"Start some with `dask worker {address}`."
            )
        yield from _results(client, function, items, threads * _AHEAD, ordered=ordered)


def _results(
    client: Any,  # noqa: ANN401 - it has no types
    function: Callable[[Item], Result],
    items: Iterable[Item],
    most: int,
    *,
    ordered: bool,
) -> Generator[Result | Lost[Item]]:
    left = iter(items)
    open_: dict[Any, Item] = {}  # by future, in the items' order
    while True:
        for item in left:
            open_[client.submit(attempt, function, item, pure=False)] = item
            if len(open_) >= most:
                break
        if not open_:
            return
        awaited = [next(iter(open_))] if ordered else list(open_)
        with client.as_current():
            distributed.wait(awaited, return_when="FIRST_COMPLETED")
        for future in [one for one in open_ if one.done()]:
            if ordered and future is not next(iter(open_)):
                break
            item = open_.pop(future)
            yield told(item, _outcome(future, client))


def _outcome(future: Any, client: Any) -> Told:  # noqa: ANN401 - it has no types
    try:
        outcome: Told = future.result()
    except distributed.KilledWorker as error:
        return None, f"workers died on it: {error.last_worker.address} was the last"
    except distributed.CancelledError as error:
        raise SpreadError(
            f"the Dask scheduler at {client.scheduler.address} has gone. "
            "Start it again, and this: what is done is not done again."
        ) from error
    return outcome

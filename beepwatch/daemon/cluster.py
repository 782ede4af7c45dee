"""A scan by the workers of a Dask cluster: a recording each, with the answers of a scan here."""

from collections.abc import Generator, Iterator, Sequence
from functools import lru_cache, partial

import msgspec
import numpy as np
from numpy.typing import NDArray

from beepwatch.classify.bundle import find_bundle, load_bundle
from beepwatch.classify.engines import open_engine
from beepwatch.classify.heads import Head
from beepwatch.classify.taught import TaughtEngine
from beepwatch.daemon.crew import Hearing
from beepwatch.daemon.found import Given, Scanned
from beepwatch.errors import ModelError
from beepwatch.sections import Model
from beepwatch.train.datasets.remote import Location, sound_of
from beepwatch.train.datasets.spreading import Lost, spread


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be looked for; taught sounds travel in it, the model has to be there already."""

    model: Model
    model_id: str
    heads: tuple[Head, ...]


class Errand(msgspec.Struct, frozen=True, kw_only=True):
    """A recording, and where it is to be found from anywhere."""

    given: Given
    there: Location


def scan_on_cluster(order: Order, files: Sequence[Given], address: str) -> Iterator[Scanned]:
    """In the order given. Raises SpreadError, and ModelError if a worker has another model."""
    errands = (Errand(given=one, there=one.file.absolute()) for one in files)
    for answer in spread(partial(hear, order), errands, 0, cluster=address):
        if isinstance(answer, Lost):
            given = answer.item.given
            yield Scanned(given=given, problem=f"{given.file}: {answer.problem}")
        elif isinstance(answer, Scanned):
            yield answer
        else:
            raise ModelError(answer)


def hear(order: Order, errand: Errand) -> Scanned | str:
    """One recording, on a worker; why it has not got the model, if so."""
    try:
        engine = _engine(order)
    except ModelError as error:
        return f"a worker cannot look for it: {error}"
    hearing = Hearing(errand.given, engine, engine.thresholds, partial(_sound, errand.there))
    try:
        while hearing.step():
            pass
        answer = hearing.answer()
    finally:
        hearing.close()
    if answer is None:
        raise LookupError("a recording that is read to its end has no answer")
    if answer.problem is None:
        return answer
    as_given = answer.problem.replace(str(errand.there), str(errand.given.file))
    return msgspec.structs.replace(answer, problem=as_given)


def _sound(
    there: Location, _given: Location, rate_hz: int
) -> Generator[NDArray[np.int16], None, None]:
    yield from sound_of(there, rate_hz)


@lru_cache(maxsize=2)  # a worker lives for weeks; scans with other heads come and go
def _engine(order: Order) -> TaughtEngine:
    """Raises ModelError."""
    bundle = load_bundle(find_bundle(order.model.bundle))
    if bundle.info.model_id != order.model_id:
        raise ModelError(
            f"its model {order.model.bundle!r} is {bundle.info.model_id}, and here it is "
            f"{order.model_id}. Install the same version of beepwatch on all machines."
        )
    engine = open_engine(bundle, order.model.runtime)
    return TaughtEngine(engine, bundle.info.thresholds, order.heads)

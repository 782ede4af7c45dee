"""What the server counts, for Prometheus."""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from beepwatch.web.inference.crew import Crew

_PATHS = frozenset({"/", "/inference", "/v1/classify", "/openapi.json", "/metrics"})
_BUCKETS_S = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 120)


@dataclass
class Counted:
    """A request under way."""

    status: int = 0  # 0: it got no answer


class Counts:
    """Counts of one server's life."""

    def __init__(self, crew: Crew) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_OfCrew(crew))
        self._requests = Counter(
            "beepwatch_serve_requests",
            "Requests answered.",
            ("path", "status"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "beepwatch_serve_request_seconds",
            "From a request's headers to its answer.",
            ("path",),
            buckets=_BUCKETS_S,
            registry=self._registry,
        )
        self._sound = Counter(
            "beepwatch_serve_sound_seconds",
            "Length of the recordings heard.",
            registry=self._registry,
        )

    @contextmanager
    def request(self, path: str) -> Iterator[Counted]:
        """Count a request once it is over."""
        known = path if path in _PATHS else "other"
        counted, begun_s = Counted(), time.monotonic()
        try:
            yield counted
        finally:
            self._requests.labels(known, str(counted.status)).inc()
            self._seconds.labels(known).observe(time.monotonic() - begun_s)

    def heard(self, duration_s: float) -> None:
        """A recording of this length."""
        self._sound.inc(duration_s)

    def text(self) -> bytes:
        """As Prometheus reads it."""
        return generate_latest(self._registry)


class _OfCrew(Collector):
    """How the workers are at the moment of asking."""

    def __init__(self, crew: Crew) -> None:
        self._crew = crew

    def collect(self) -> Iterable[Metric]:
        """All of it."""
        shown = self._crew.shown
        workers = GaugeMetricFamily(
            "beepwatch_serve_workers", "Workers in each state.", labels=["state"]
        )
        for state in ("starting", "idle", "busy"):
            workers.add_metric([state], sum(worker.state == state for worker in shown))
        yield workers
        yield CounterMetricFamily(
            "beepwatch_serve_worker_deaths",
            "Workers that ended before the server did.",
            value=sum(worker.deaths for worker in shown),
        )
        yield GaugeMetricFamily(
            "beepwatch_serve_waiting", "Uploads that no worker has yet.", value=self._crew.waiting
        )

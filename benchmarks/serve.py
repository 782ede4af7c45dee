"""How many recordings of 10 s `beepwatch serve` hears: python -m benchmarks.serve [--seconds 20].

The real server is asked over HTTP on loopback, by threads of this process on connections that stay
open, with a form of one 16 kHz WAV of 10 s. First as fast as it answers, then at half of `--goal` a
second, whether or not it keeps up: latency counts from when a request was due, so that a server
that stalls cannot hide it. Then `--requests` in all, and memory before and after. Beside it, in the
same minute, what the network alone takes for the same recording: the least that there is to pay.

With `--reference PYTHON`, an interpreter that has flask, librosa, torch and soundfile (an
environment of its own), the same requests go to a server as such models are often served: Flask's
own, in threads, MFCCs by librosa, a small convolutional network in torch.
"""

import argparse
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
import soundfile
from numpy.typing import NDArray

from beepwatch.classify.bundle import find_bundle, load_bundle
from beepwatch.classify.engines import open_engine
from benchmarks.scan import RATE_HZ, kitchen

CLIP_S = 10.0
CONNECTIONS = 8
BOUNDARY = "a-boundary-of-the-benchmark"
WARM_UP_REQUESTS = 50
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")

# Of the fan project's kind: 40 MFCCs at 22.05 kHz, three blocks of convolution and pooling.
REFERENCE = """
import io, sys, librosa, numpy, torch
from flask import Flask, request
app = Flask("reference")
blocks, channels = [], 1
for filters in (16, 32, 64):
    blocks += [torch.nn.Conv2d(channels, filters, 2), torch.nn.ReLU(), torch.nn.MaxPool2d(2)]
    channels = filters
network = torch.nn.Sequential(
    *blocks, torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(64, 4),
    torch.nn.Softmax(dim=1)).eval()
torch.set_num_threads(1)
@app.get("/")
def health():
    return "server is up"
@app.post("/inference")
def inference():
    sound, rate_hz = librosa.load(io.BytesIO(request.files["file"].read()))
    features = librosa.feature.mfcc(y=sound, sr=rate_hz, n_mfcc=40)
    features = numpy.pad(features[:, :433], ((0, 0), (0, max(0, 433 - features.shape[1]))), "edge")
    with torch.inference_mode():
        answer = network(torch.from_numpy(features)[None, None])[0].tolist()
    return {"Anomaly": answer[0] < 0.5, "Details": {"Message": "", "Probabilities": answer}}
app.run("127.0.0.1", int(sys.argv[1]), threaded=True)
"""


@dataclass(kw_only=True)
class Load:
    """What came of many requests."""

    seconds: float = 0.0
    latencies_s: list[float] = field(default_factory=list)
    lost: int = 0  # not answered, or not with 200

    def quantile_ms(self, quantile: float) -> float:
        """Of the latencies of what was answered."""
        ordered = sorted(self.latencies_s)
        return 1e3 * ordered[min(len(ordered) - 1, round(quantile * len(ordered)))]

    def as_line(self) -> str:
        """One line of the table."""
        answered = len(self.latencies_s)
        if not answered:
            return f"none answered, {self.lost} lost"
        return (
            f"{answered / self.seconds:6.1f} a second; median {self.quantile_ms(0.5):.0f} ms, "
            f"p99 {self.quantile_ms(0.99):.0f} ms, slowest {self.quantile_ms(1):.0f} ms; "
            f"{self.lost} of {answered + self.lost} lost"
        )


class Client:
    """Threads that send the same request again and again."""

    def __init__(self, port: int, request: bytes) -> None:
        self._port = port
        self._request = request
        self._claiming = threading.Lock()

    def run(self, requests: int, rate: float | None = None) -> Load:
        """So many requests, `rate` a second or as fast as they are answered."""
        load, begun_s = Load(), time.monotonic()
        numbers = iter(range(requests))
        threads = [
            threading.Thread(target=self._ask, args=(numbers, begun_s, rate, load))
            for _ in range(CONNECTIONS if rate is None else 4 * CONNECTIONS)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        load.seconds = time.monotonic() - begun_s
        return load

    def _ask(self, numbers: Iterator[int], begun_s: float, rate: float | None, load: Load) -> None:
        connection: socket.socket | None = None
        while (number := self._next(numbers)) is not None:
            due_s = time.monotonic() if rate is None else begun_s + number / rate
            time.sleep(max(0.0, due_s - time.monotonic()))
            try:
                connection = connection or self._connect()
                connection.sendall(self._request)
                status, stays = _status(connection)
            except OSError:
                status, stays = 0, False
            taken_s = time.monotonic() - due_s
            with self._claiming:
                load.lost += status != 200
                if status == 200:
                    load.latencies_s.append(taken_s)
            if not stays and connection is not None:
                connection.close()
                connection = None
        if connection is not None:
            connection.close()

    def _next(self, numbers: Iterator[int]) -> int | None:
        with self._claiming:
            return next(numbers, None)

    def _connect(self) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self._port), timeout=120)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection


def _status(connection: socket.socket) -> tuple[int, bool]:
    """Of a whole answer, and whether another request may follow on the connection."""
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += _received(connection)
    head, _, body = answer.partition(b"\r\n\r\n")
    lower = head.lower()
    _, _, length = lower.partition(b"content-length:")
    missing = int(length.split(b"\r\n")[0]) - len(body)
    while missing > 0:
        missing -= len(_received(connection))
    stays = b"connection: close" not in lower and lower.startswith(b"http/1.1")
    return int(head.split()[1]), stays


def _received(connection: socket.socket) -> bytes:
    piece = connection.recv(1 << 16)
    if not piece:
        raise ConnectionResetError
    return piece


class Served:
    """A server as a child process, and what it uses."""

    def __init__(self, command: Sequence[str], port: int) -> None:
        self.port = port
        self._process = subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **ONE_THREAD},
        )
        self.await_health()

    def await_health(self) -> None:
        """Until it answers."""
        for _ in range(600):
            if self._process.poll() is not None:
                raise SystemExit(f"the server ended with {self._process.returncode}")
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                    return
            except OSError:
                time.sleep(0.1)
        raise SystemExit("the server does not answer")

    def memory_mb(self) -> float:
        """Of all its processes, each with what it shares."""
        return float(sum(one.memory_info().rss for one in self._family())) / 1e6

    def processor_s(self) -> tuple[float, float]:
        """Time taken so far, by the process that was started and by its children."""
        first, *children = (sum(one.cpu_times()[:2]) for one in self._family())
        return first, sum(children)

    def _family(self) -> list[psutil.Process]:
        process = psutil.Process(self._process.pid)
        return [process, *process.children(recursive=True)]

    def stop(self) -> None:
        """And wait for it."""
        self._process.terminate()
        self._process.wait(40)


@contextmanager
def served(command: Sequence[str], port: int) -> Iterator[Served]:
    """A server that is gone afterwards."""
    server = Served(command, port)
    try:
        yield server
    finally:
        server.stop()


def free_port() -> int:
    """That nobody uses now."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def clip() -> NDArray[np.int16]:
    """The recording."""
    start = round(5 * RATE_HZ)
    return kitchen(20)[start : start + round(CLIP_S * RATE_HZ)]


def network_ms() -> float:
    """Processor time that the shipped network takes for it, the median, alone in this thread."""
    engine, sound = open_engine(load_bundle(find_bundle("beep"))), clip()
    taken_s: list[float] = []
    for _ in range(100):
        begun_s = time.thread_time()
        engine.answers(sound)
        taken_s.append(time.thread_time() - begun_s)
    return 1e3 * float(np.median(taken_s))


def request_of(port: int) -> bytes:
    """A whole POST with a WAV of 10 s."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "clip.wav"
        soundfile.write(path, clip(), RATE_HZ)
        content = path.read_bytes()
    part = 'Content-Disposition: form-data; name="file"; filename="clip.wav"'
    head = f"--{BOUNDARY}\r\n{part}\r\nContent-Type: audio/wav\r\n\r\n".encode()
    body = head + content + f"\r\n--{BOUNDARY}--\r\n".encode()
    return (
        f"POST /inference HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: {len(body)}\r\n"
        f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n\r\n"
    ).encode() + body


def measure(name: str, server: Served, given: argparse.Namespace, requests: int) -> None:
    """All figures of one server."""
    client = Client(server.port, request_of(server.port))
    client.run(WARM_UP_REQUESTS)
    warm_up = client.run(WARM_UP_REQUESTS)
    rate = len(warm_up.latencies_s) / warm_up.seconds
    memory_mb, before_s = server.memory_mb(), server.processor_s()
    many = client.run(max(CONNECTIONS, round(rate * given.seconds)))
    answered = max(1, len(many.latencies_s))
    first_ms, children_ms = (
        1e3 * (after_s - earlier_s) / answered
        for earlier_s, after_s in zip(before_s, server.processor_s(), strict=True)
    )
    print(
        f"{name}, as fast as it answers: {many.as_line()}; {first_ms + children_ms:.1f} ms of "
        f"processor each, {first_ms:.1f} by the server and {children_ms:.1f} by its workers"
    )
    half = given.goal / 2
    at_half = client.run(round(half * given.seconds), half)
    print(f"{name}, {half:g} a second: {at_half.as_line()}")
    if requests:
        print(f"{name}, {requests} requests more: {client.run(requests).as_line()}")
        print(f"{name}, memory: {memory_mb:.0f} MB before them, ", end="")
    print(f"{server.memory_mb():.0f} MB in all its processes; load {os.getloadavg()[0]:.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--seconds", type=float, default=20.0, help="of each measurement")
    parser.add_argument("--goal", type=float, default=200.0, help="recordings a second")
    parser.add_argument("--requests", type=int, default=10_000, help="between two looks at memory")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--reference", metavar="PYTHON", help="that has flask, librosa and torch")
    given = parser.parse_args()
    port = free_port()
    words = ["serve", "--port", str(port), "--workers", str(given.workers)]
    with served([sys.executable, "-m", "beepwatch", *words], port) as server:
        measure("beepwatch", server, given, given.requests)
    print(f"the network alone: {network_ms():.1f} ms of processor")
    if given.reference:
        port = free_port()
        with served([given.reference, "-c", REFERENCE, str(port)], port) as server:
            measure("reference", server, given, 0)


if __name__ == "__main__":
    main()

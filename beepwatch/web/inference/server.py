"""The server's life: workers first, then the socket; at the end the other way round."""

import socket
from collections.abc import Callable

from beepwatch.errors import ModelError
from beepwatch.web.inference.answers import ModelShown
from beepwatch.web.inference.crew import Crew
from beepwatch.web.inference.routes import application
from beepwatch.web.inference.settings import Settings
from beepwatch.web.serving import Server

MOST_WAITED_S = 30  # for uploads under way, when it ends


class InferenceServer(Server):
    """Answers once a worker is ready; ends once those that have asked are answered."""

    def __init__(self, crew: Crew, started: Callable[[], None]) -> None:
        super().__init__(application(crew), started)
        self._crew = crew
        self.config.timeout_graceful_shutdown = MOST_WAITED_S

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the workers, then listen."""
        await self._crew.start()
        if self._crew.unable is None:
            await super().startup(sockets)
        else:
            await self._crew.stop()
            self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer who has asked, then end the workers."""
        try:
            if self.started:
                await super().shutdown(sockets)
        finally:
            await self._crew.stop()


def serve_inference(
    settings: Settings,
    listening: socket.socket,
    *,
    workers: int,
    most_waiting: int,
    started: Callable[[ModelShown], None],
) -> None:
    """Until somebody ends it. Raises ModelError where no worker can hear with these settings.

    `started` is told what the first worker hears with: taught sounds are known to it alone.
    """
    crew = Crew(settings, workers=workers, most_waiting=most_waiting)

    def tell() -> None:
        assert crew.model is not None  # noqa: S101 - it answers once a worker is ready
        started(crew.model)

    InferenceServer(crew, tell).run(sockets=[listening])
    if crew.unable is not None:
        raise ModelError(crew.unable)

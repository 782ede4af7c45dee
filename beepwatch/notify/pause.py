"""A wait that ends early: for something new, or for good."""

import asyncio


class Stopped(Exception):
    """The messenger is to end; what was begun is written down already."""


class Pause:
    """One task's waits. `poke` and `stop` are called in the loop's own thread."""

    def __init__(self) -> None:
        self._wake = asyncio.Event()
        self._resting = asyncio.Event()
        self._stopped = False

    def poke(self) -> None:
        """There may be something new: end the wait, or skip the next one."""
        self._resting.clear()
        self._wake.set()

    def stop(self) -> None:
        """Every wait from now on raises Stopped."""
        self._stopped = True
        self._wake.set()

    def raise_if_stopped(self) -> None:
        """Raises Stopped after `stop`."""
        if self._stopped:
            raise Stopped

    async def wait(self, wait_s: float, *, cut_short: bool = True) -> None:
        """Wait for so long, or until poked unless `cut_short` is False; raises Stopped."""
        loop = asyncio.get_running_loop()
        ends_at_s = loop.time() + wait_s
        self.raise_if_stopped()
        try:
            while (left_s := ends_at_s - loop.time()) > 0:
                if not self._wake.is_set():
                    self._resting.set()
                await asyncio.wait_for(self._wake.wait(), left_s)
                self._wake.clear()
                self.raise_if_stopped()
                if cut_short:
                    return
        except TimeoutError:
            pass  # the whole wait is over
        finally:
            self._resting.clear()

    async def until_resting(self) -> None:
        """Until the task has done what there was to do, or waits to try it again."""
        await self._resting.wait()

"""A supervisor in this process with real children, and a test that acts on them from a thread."""

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from beepwatch.clock import SystemClock
from beepwatch.daemon.child import Child
from beepwatch.daemon.signals import Signals
from beepwatch.daemon.supervisor import Supervisor
from beepwatch.daemon.systemd import ServiceManager
from beepwatch.daemon.wiring import Plan, Terms, Wiring
from tests.daemon.parts import Part

PATIENCE_S = 45.0  # until a test gives up; the machine may be busy


class Stage:
    """Plays one supervisor's life; `acts` runs beside it and ends it by a file or a signal."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.manager: ServiceManager | None = None
        self.supervisor: Supervisor | None = None
        self._playing = False
        self._failed: list[BaseException] = []

    def play(
        self,
        *acts: Callable[[], None],
        recorder: str = "recorder",
        classifier: str = "classifier",
        messenger: str = "messenger",
        windows: int = 0,
        queue_windows: int = 100,
        patient: bool = True,
        notices: bool = False,
        reload: Callable[[], Plan | str] | None = None,
        hangup_reloads: bool = True,
        **more: Any,  # noqa: ANN401 - of the wiring
    ) -> int:
        """The exit code."""
        module = "tests.daemon.children"
        recorder_part = Part(plays=recorder, directory=self.directory, windows=windows)
        wiring = Wiring(
            recorder=Child("recorder", module, recorder_part),
            classifier=Child(
                "classifier", module, Part(plays=classifier, directory=self.directory)
            ),
            messenger=Child("messenger", module, Part(plays=messenger, directory=self.directory)),
            terms=Terms(
                queue_windows=queue_windows, patient=patient, resumable=False, notices=notices
            ),
            state=self.directory,
            reload=reload,
            **more,
        )
        manager = self.manager or ServiceManager("", None)
        acting = threading.Thread(target=self._act, args=(acts,))
        with Signals(hangup_reloads=hangup_reloads and reload is not None) as signals:
            self.supervisor = Supervisor(wiring, SystemClock(), manager, signals)
            self._playing = True
            acting.start()
            try:
                exit_code = self.supervisor.run()
            finally:
                self._playing = False
                acting.join()
                manager.close()
        if self._failed:
            raise self._failed[0]
        return exit_code

    def _act(self, acts: tuple[Callable[[], None], ...]) -> None:
        try:
            for act in acts:
                act()
        except BaseException as error:  # noqa: BLE001 - raised where the test sees it
            self._failed.append(error)
            for _ in range(2):  # the second one ends all at once
                self.signal()
                threading.Event().wait(0.2)

    @property
    def journal(self) -> list[str]:
        """What the children have written so far."""
        path = self.directory / "journal"
        return path.read_text().splitlines() if path.exists() else []

    @property
    def taken(self) -> list[int]:
        """The numbers of the windows that classifiers have had."""
        return [int(line.split()[1]) for line in self.journal if line.startswith("took ")]

    def count(self, line: str) -> int:
        """How often this line, or one that begins so, is in the journal."""
        return sum(written.startswith(line) for written in self.journal)

    def wait_for(self, line: str, times: int = 1) -> None:
        """Until the journal has this line so often."""
        self.wait_until(lambda: self.count(line) >= times, line)

    def wait_until(self, true: Callable[[], bool], what: str) -> None:
        """Until something is true."""
        give_up_s = time.monotonic() + PATIENCE_S
        while not true():
            assert time.monotonic() < give_up_s, f"waited in vain for {what}; {self.journal}"
            threading.Event().wait(0.02)

    def pid(self, plays: str, life: int = 1) -> int:
        """The process of a child's so-manieth life."""
        lines = [line for line in self.journal if line.startswith(f"{plays} began ")]
        return int(lines[life - 1].split()[-1])

    def put(self, name: str) -> None:
        """What a child looks for."""
        (self.directory / name).touch()

    def signal(self) -> None:
        """^C, as the supervisor gets it."""
        if self._playing:
            os.kill(os.getpid(), signal.SIGINT)

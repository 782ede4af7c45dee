"""The real children under a supervisor in this process, on the demo's recording."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import msgspec

import beepwatch.daemon
from beepwatch.clock import SystemClock
from beepwatch.daemon.child import Child
from beepwatch.daemon.planning import Planner, channel_names
from beepwatch.daemon.signals import Signals
from beepwatch.daemon.supervisor import Supervisor
from beepwatch.daemon.systemd import ServiceManager
from beepwatch.daemon.wiring import Wiring
from beepwatch.messages import AlertKind
from beepwatch.sections import Capture, Config, Notify, Rule, Store
from beepwatch.store.database import Database

RECORDING = Path(beepwatch.daemon.__file__).parent / "demo" / "kitchen.flac"
COOLDOWN_S = 12.0  # so that the recording is told of several times


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """An event and the alerts that told of it, apart from when the recording was played."""

    onset_s: float  # after the first event's
    duration_s: float
    pulses: int
    final: bool
    alerts: int


def configured(state: Path, **sections: object) -> Config:
    """The demo's recording and rule, without notices of start and stop."""
    return Config(
        capture=Capture(source=f"file:{RECORDING}", queue_windows=30),
        rules=(Rule(label="beep", cooldown_s=COOLDOWN_S),),
        notify=Notify(notices=False),
        store=Store(directory=str(state), min_free_mb=0),
        **sections,  # type: ignore[arg-type]
    )


def play(
    state: Path,
    *acts: Callable[[Wiring, Supervisor], None],
    speed: float | Literal["max"] = "max",
    ill: str = "",
    patient: bool = True,
    config: Config | None = None,
) -> Supervisor:
    """Play the recording to its end, with `acts` in a thread beside it.

    `ill` is the classifier's illness, from `tests.daemon.illnesses`.
    """
    config = config or configured(state)
    Database(state).close()
    plan = Planner(speed=speed, log_level="critical", since_s=SystemClock().mono_s()).plan(
        config, None
    )
    assert channel_names(config.notify, None) == ("console",)
    module = "beepwatch.daemon.classifier"
    if ill:
        module = "tests.daemon.illnesses"
        (state / "illness").write_text(ill)
    terms = plan.terms
    if not patient:
        terms = msgspec.structs.replace(terms, patient=False, resumable=False)
    wiring = Wiring(
        recorder=Child("recorder", "beepwatch.daemon.recorder", plan.settings["recorder"]),
        classifier=Child("classifier", module, plan.settings["classifier"]),
        messenger=Child("messenger", "beepwatch.daemon.messenger", plan.settings["messenger"]),
        terms=terms,
        state=state,
    )
    manager = ServiceManager("", None)
    with Signals() as signals:
        supervisor = Supervisor(wiring, SystemClock(), manager, signals)
        acting = [
            threading.Thread(target=act, args=(wiring, supervisor), daemon=True) for act in acts
        ]
        for thread in acting:
            thread.start()
        try:
            assert supervisor.run() == 0
        finally:
            manager.close()
            for thread in acting:
                thread.join(30)
    return supervisor


def told(state: Path) -> list[Told]:
    """Every event in the order of their sounding."""
    database = Database(state)
    with database.reading() as sql:
        rows = sql.execute(
            "SELECT onset, offset, pulses, final, (SELECT count(*) FROM alerts WHERE event_id = "
            "events.id AND kind = 'heard') AS alerts FROM events ORDER BY onset"
        ).fetchall()
    database.close()
    return [
        Told(
            onset_s=round((row["onset"] - rows[0]["onset"]) / 1e6, 2),
            duration_s=round((row["offset"] - row["onset"]) / 1e6, 2),
            pulses=row["pulses"],
            final=bool(row["final"]),
            alerts=row["alerts"],
        )
        for row in rows
    ]


def notices(state: Path, kind: AlertKind) -> list[str]:
    """What was told beside the beeps, by its text."""
    database = Database(state)
    with database.reading() as sql:
        rows = sql.execute("SELECT text FROM alerts WHERE kind = ? ORDER BY id", (kind.value,))
        texts = [str(row[0]) for row in rows]
    database.close()
    return texts


def undelivered(state: Path) -> int:
    """Deliveries that were not made."""
    database = Database(state)
    with database.reading() as sql:
        (count,) = sql.execute("SELECT count(*) FROM deliveries WHERE state <> 'sent'").fetchone()
    database.close()
    return int(count)

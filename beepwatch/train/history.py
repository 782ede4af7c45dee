"""What a training run went through, one line of JSON for each check and each round of mining."""

from pathlib import Path

import msgspec

from beepwatch.train.checkpoints import Progress
from beepwatch.whole_files import write_whole

HISTORY = "history.jsonl"


class Checked(msgspec.Struct, frozen=True, kw_only=True, tag="checked"):
    """The averaged weights were scored on the dev clips."""

    step: int  # done by then
    loss: float  # mean since the check before
    dev_score: float


class Mined(msgspec.Struct, frozen=True, kw_only=True, tag="mined"):
    """Clips that the network took for beeps were added to the others."""

    step: int  # done by then
    number: int  # of the round, from 0
    candidates: int
    kept: int
    lowest_logit: float  # of those kept


Entry = Checked | Mined


def read_history(run: Path) -> list[Entry]:
    """Everything that is known of a run, in order; its beginning may be unknown.

    A last line without an end was cut short, and what it told will be gone through again.
    """
    try:
        content = (run / HISTORY).read_bytes()
    except FileNotFoundError:
        return []
    return [msgspec.json.decode(line, type=Entry) for line in content.split(b"\n")[:-1]]


def rewind(run: Path, progress: Progress) -> None:
    """Forget what came after the point that a run goes on from: it will be gone through again."""
    kept = [
        entry
        for entry in read_history(run)
        if (
            entry.step <= progress.step
            if isinstance(entry, Checked)
            else entry.number < len(progress.mined)
        )
    ]
    write_whole(run / HISTORY, b"".join(msgspec.json.encode(entry) + b"\n" for entry in kept))


def append(run: Path, entry: Entry) -> None:
    """Add a line."""
    with (run / HISTORY).open("ab") as file:
        file.write(msgspec.json.encode(entry) + b"\n")

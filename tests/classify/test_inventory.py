"""What `teach --list` says of each sound."""

import io
import json
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
from rich.console import Console

from beepwatch.classify.inventory import inventory, json_lines, table
from beepwatch.classify.shelf import Shelf
from tests.classify.pitched import SHIPPED, pitched

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def full(tmp_path: Path) -> Shelf:
    shelf = Shelf(tmp_path)
    shelf.put(pitched("washer", 2_000.0, threshold=0.8), NOW, [np.ones(9, np.int16)] * 3)
    shelf.put(pitched("washer", 2_000.0, threshold=0.7), NOW)
    shelf.put(pitched("old", 2_000.0, model_id="0" * 12), NOW)
    veto = pitched("no-bird", 2_000.0, kind="veto")
    untried = msgspec.structs.replace(veto.expected, false_alarms_per_month=None)
    shelf.put(msgspec.structs.replace(veto, expected=untried), NOW)
    shelf.put(pitched("torn", 2_000.0), NOW)
    (shelf.directory / "torn" / "head.json").write_text("{")
    return shelf


def test_every_sound_is_listed_with_what_is_known_of_it(tmp_path: Path) -> None:
    entries = inventory(full(tmp_path), SHIPPED.model_id, SHIPPED.labels)
    rows = {row["name"]: row for row in map(json.loads, json_lines(entries).splitlines())}
    assert [*rows] == ["no-bird", "old", "torn", "washer"]
    washer = rows["washer"]
    assert (washer["examples"], washer["versions"], washer["threshold"]) == (3, 1, 0.7)
    assert (washer["stale"], washer["problem"], washer["kind"]) == (False, "", "sound")
    assert washer["expected"]["caught"] == 3
    assert datetime.fromisoformat(washer["taught_at"]).tzinfo is not None
    assert rows["old"]["stale"] is True
    assert rows["torn"]["threshold"] is None
    assert "no taught sound" in rows["torn"]["problem"]


def test_one_that_cannot_even_be_looked_at_is_listed_with_the_others(tmp_path: Path) -> None:
    """As for somebody else than the service's user; by a name too long here."""
    shelf = full(tmp_path)
    head = shelf.directory / "torn" / "head.json"
    head.unlink()
    head.symlink_to("x" * 300)
    entries = {one.name: one for one in inventory(shelf, SHIPPED.model_id, SHIPPED.labels)}
    assert [*entries] == ["no-bird", "old", "torn", "washer"]
    assert "head.json cannot be read: File name too long" in entries["torn"].problem


def test_the_table_says_it_in_words(tmp_path: Path) -> None:
    written = io.StringIO()
    entries = inventory(full(tmp_path), SHIPPED.model_id, SHIPPED.labels)
    Console(file=written, width=300).print(table(entries, UTC))
    lines = written.getvalue().splitlines()
    assert lines[0].split() == ["name", "examples", "taught", "threshold", "expected", "state"]
    said = {line.split()[0]: line for line in lines[1:]}
    assert "catches 3 of 3, nearest: dryer, false alarms: fewer than 1 a month" in said["washer"]
    assert said["washer"].rstrip().endswith("in use")
    assert f"stale: taught for model {'0' * 12}; teach it again" in said["old"]
    assert "silences what is no beep" in said["no-bird"]
    assert "false alarms: not known" in said["no-bird"]
    assert "unusable: this is no taught sound" in said["torn"]

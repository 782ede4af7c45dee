"""A set ten times as large as the memory that a process may have is learnt from, in that memory."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.train.datasets.stores import recording, write_index

COLUMNS = 1_024
CONTEXT = 256  # frames: a block is 1 MiB
LABELS = ("beep", "spin", *["wash"] * 8)  # one session each, again and again
MIB = 2**20


def write_large_store(directory: Path, blocks: int) -> int:
    """Recordings of ten blocks of a MiB each; bytes.

    Of a block only 16 numbers are written: noise, and in its label's column much more. The rest is
    a hole in the file, which reads as zeros and takes no room on the disk.
    """
    rng = np.random.default_rng(1)
    rows: list[dict[str, object]] = []
    with (directory / "features.npy").open("wb") as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": (blocks * CONTEXT, COLUMNS)}
        np.lib.format.write_array_header_1_0(file, header)
        begins_at = file.tell()
        for number in range(blocks):
            kind = number // 10 % len(LABELS)
            frame = rng.normal(0, 40, 16)
            frame[min(kind, 2)] += 2_000
            file.seek(begins_at + number * MIB)
            file.write(frame.astype("<f4").tobytes())
            if number % 10 == 0:
                place = {"first_frame": number * CONTEXT, "session": str(number // 10)}
                frames = 10 * CONTEXT
                rows.append(recording(f"{number}.wav", frames, label=LABELS[kind], **place))
        file.truncate(begins_at + blocks * MIB)
    write_index(directory, rows)
    return blocks * MIB


@pytest.mark.slow
@pytest.mark.parametrize(("way", "limit_bytes"), [("numpy", 192 * MIB), ("torch", 896 * MIB)])
def test_a_set_ten_times_the_memory_is_learnt_in_constant_memory(
    tmp_path: Path, way: str, limit_bytes: int
) -> None:
    assert write_large_store(tmp_path, 10 * limit_bytes // MIB) >= 10 * limit_bytes
    child = subprocess.run(
        [sys.executable, "-m", "tests.train.datasets.large", way, str(tmp_path), str(limit_bytes)],
        # Each thread of these libraries takes address space for its stack.
        env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},  # noqa: TID251
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert child.returncode == 0, child.stderr
    found = json.loads(child.stdout)
    assert found["right"] > 0.95
    assert found["most_bytes"] < limit_bytes
    assert found["most_bytes"] - found["early_bytes"] < 8 * MIB

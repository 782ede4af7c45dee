"""Recordings to teach by, and when."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from beepwatch.classify.examples import encode

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def wav(path: Path, pcm: NDArray[np.int16]) -> str:
    """A recording on disk."""
    path.write_bytes(encode(pcm))
    return str(path)

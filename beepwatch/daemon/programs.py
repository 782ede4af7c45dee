"""Programs of this machine that are asked something: what they print, within a time."""

import subprocess
from collections.abc import Sequence

from beepwatch.config import environment_of_children
from beepwatch.errors import BeepwatchError


def answer_of(
    words: Sequence[str], *, within_s: float, todo: str
) -> subprocess.CompletedProcess[str]:
    """What a program said, whatever it exits with.

    Raises BeepwatchError, with what is to be done, for one that cannot be run or takes longer.
    """
    try:
        return subprocess.run(
            words,
            capture_output=True,
            text=True,
            timeout=within_s,
            check=False,
            env=environment_of_children(),
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BeepwatchError(f"{words[0]} could not be run: {error}. {todo}") from error

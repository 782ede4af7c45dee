"""Why no microphone may be seen: what the kernel and the sound server's sockets tell of it.

ALSA and PortAudio leave out a device that may not be opened or that another program holds.
"""

import os
import re
import socket
from collections.abc import Iterable, Iterator
from pathlib import Path

from beepwatch.config import sound_server_sockets

DEVICES = Path("/dev/snd")
CARDS = Path("/proc/asound")
PROCESSES = Path("/proc")
_CONNECTS_WITHIN_S = 1.0


def why_absent() -> str:
    """One sentence or more, each with what to do; nothing if there is nothing to be seen."""
    reasons = [
        *forbidden_devices(DEVICES),
        *held_cards(CARDS, PROCESSES),
        *shut_sockets(sound_server_sockets()),
    ]
    return " ".join(reasons)


def forbidden_devices(devices: Path) -> Iterator[str]:
    """Capture devices that this user may not open."""
    for device in sorted(devices.glob("pcmC*D*c")):
        if not os.access(device, os.R_OK | os.W_OK):
            yield (
                f"{device} may not be opened by this user. Add it to the device's group "
                f"({_group(device)}) and log in again."
            )


def held_cards(cards: Path, processes: Path) -> Iterator[str]:
    """Capture devices that a process has opened."""
    for status in sorted(cards.glob("card*/pcm*c/sub*/status")):
        owner = re.search(r"owner_pid\s*:\s*(\d+)", _text(status))
        if owner is not None and int(owner[1]) != os.getpid():
            name = _text(processes / owner[1] / "comm").strip() or "unknown"
            yield (
                f"{status.parts[-4]} is held by process {owner[1]} ({name}). End that, or let both "
                "share it through a sound server."
            )


def shut_sockets(sockets: Iterable[Path]) -> Iterator[str]:
    """Sound servers that do not let this user in, or are gone."""
    for path in sockets:
        with socket.socket(socket.AF_UNIX) as asking:
            asking.settimeout(_CONNECTS_WITHIN_S)
            try:
                asking.connect(str(path))
            except PermissionError:
                yield (
                    f"The sound server's socket {path} may not be opened by this user. Run "
                    "beepwatch as the user it belongs to."
                )
            except ConnectionRefusedError:
                yield f"Nobody answers at the sound server's socket {path}. Start the server."
            except OSError:  # there is none, which is no reason by itself
                continue


def _group(path: Path) -> str:
    try:
        return path.group()
    except KeyError:  # it has a number only
        return str(path.stat().st_gid)


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""

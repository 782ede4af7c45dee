"""ALSA's configuration without the plugins that pull half a media library into the process.

PortAudio opens every PCM that ALSA's configuration names, to see whether it can record. Debian's
libasound2-plugins configures two that link FFmpeg: an encoder for playback (a52) and a sample rate
converter (rate-lav) that nobody needs who opens a device at its own rate. 14 MB of a recorder's 45,
measured on Debian 12 with `python -m benchmarks.daemon footprint`.
"""

import os
import re
from functools import cache
from pathlib import Path

from beepwatch.config import tell_libraries

MAIN_FILE = Path("/usr/share/alsa/alsa.conf")
PLUGIN_DIRECTORY = Path("/etc/alsa/conf.d")
_HEAVY = re.compile(r"a52|rate-lav")


@cache
def spare_heavy_plugins() -> None:
    """Let ALSA read the system's configuration without them; one that the user chose is kept.

    Has to come before PortAudio is initialised for the first time.
    """
    text = lean_configuration(MAIN_FILE, PLUGIN_DIRECTORY)
    if text is None:
        return
    descriptor = os.memfd_create("alsa.conf")  # lives as long as the process, leaves nothing behind
    os.write(descriptor, text.encode())
    # By number, not "self": programs that this process starts inherit the variable.
    tell_libraries("ALSA_CONFIG_PATH", f"/proc/{os.getpid()}/fd/{descriptor}")


def lean_configuration(main_file: Path, plugins: Path) -> str | None:
    """The text of `main_file` that loads the light files of `plugins` one by one.

    None when there is nothing to spare, or when the file does not look as expected.
    """
    try:
        text = main_file.read_text(encoding="utf-8")
        files = sorted(plugins.glob("*.conf"))
    except (OSError, UnicodeDecodeError):
        return None
    light = [file for file in files if not _HEAVY.search(file.name)]
    whole_directory = f'"{plugins}"'
    if len(light) == len(files) or whole_directory not in text:
        return None
    return text.replace(whole_directory, " ".join(f'"{file}"' for file in light))

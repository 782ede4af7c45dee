"""The program's start."""

import io
import sys


def main() -> None:
    """Run the command line; `python -m beepwatch` and the `beepwatch` script come here."""
    from beepwatch.cli import run_command_line

    for stream in (sys.stdout, sys.stderr):  # a file's name may be no text
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    sys.exit(run_command_line())


if __name__ == "__main__":
    main()

"""The program's start."""

import gc
import io
import sys


def main() -> None:
    """Run the command line; `python -m beepwatch` and the `beepwatch` script come here."""
    try:
        from beepwatch.cli import run_command_line
    except KeyboardInterrupt:
        sys.exit(130)
    for stream in (sys.stdout, sys.stderr):  # a file's name may be no text
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    exit_code = run_command_line()
    gc.freeze()  # what is left goes with the process: nobody need search it for garbage first
    sys.exit(exit_code)


if __name__ == "__main__":
    main()

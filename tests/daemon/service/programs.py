"""Programs in the place of systemd's, which note what they are told."""

from pathlib import Path

INACTIVE = "ActiveState=inactive\nSubState=dead\nUnitFileState=\nLoadState=not-found\n"
ACTIVE = (
    "ActiveState=active\nSubState=running\nUnitFileState=enabled\nLoadState=loaded\n"
    "StatusText=listening to microphone\nActiveEnterTimestampMonotonic=40000000\nNRestarts=2\n"
)
FAILING = (
    "ActiveState=activating\nSubState=auto-restart\nResult=exit-code\nExecMainStatus=3\n"
    "UnitFileState=disabled\nLoadState=loaded\n"
)
# Notes what it is told; after a restart it shows what lies in `next`, stopped what is in `absent`.
SYSTEMCTL = """\
#!/bin/sh
cd "$(dirname "$0")" || exit
echo "$*" >>calls
[ "$1" = --user ] && shift
if [ -e refusal ] && [ "$1" != --version ]; then cat refusal >&2; exit 1; fi
case $1 in
    --version) echo "systemd 252 (252.39-1)" ;;
    show) cat shown ;;
    restart) cp next shown ;;
    disable | stop) cp absent shown ;;
esac
"""


class Systemd:
    """A directory of programs that answer as systemd's do."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.will("shown", INACTIVE)
        self.will("next", ACTIVE)
        self.will("absent", INACTIVE)
        self.program("systemctl", SYSTEMCTL)
        self.program("systemd-analyze", "#!/bin/sh\nexit 0\n")
        self.program("journalctl", "#!/bin/sh\necho 'beepwatch: no such model.'\necho 'Failed.'\n")

    def program(self, name: str, text: str) -> None:
        (self.directory / name).write_text(text)
        (self.directory / name).chmod(0o755)

    def will(self, name: str, text: str) -> None:
        (self.directory / name).write_text(text)

    def told(self) -> list[str]:
        """What it was asked to do; looking is not doing."""
        calls = (self.directory / "calls").read_text().splitlines()
        words = [call.removeprefix("--user ") for call in calls]
        return [each for each in words if not each.startswith(("show", "--version"))]

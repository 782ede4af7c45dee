"""torchaudio is there both ways: with its extension where it loads, without it where it does not.

Each in a process of its own, as a package is imported once.
"""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

# An extension that does not load, also where this machine's does.
WITHOUT = """
import sys, torch
def load(path):
    raise OSError(f"Could not load this library: {path}")
torch.ops.load_library = load
from beepwatch.train.frontend import has_extension, torchaudio
mel = torchaudio.transforms.MelSpectrogram(16_000, n_fft=512, n_mels=20)
tone = torch.sin(2 * torch.pi * 1_000 * torch.arange(16_000) / 16_000)
print(has_extension, int(mel(tone)[:, 30].argmax()), torchaudio is sys.modules["torchaudio"])
torchaudio.functional.forced_align(torch.zeros(1, 2, 2), torch.ones(1, 1, dtype=int))
"""


def said(code: str, directory: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-W", "ignore", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, cwd=directory)


@pytest.mark.skipif(find_spec("torchaudio") is None, reason="torchaudio is not installed")
def test_without_its_extension_it_hears_a_tone_and_says_what_it_cannot_do(tmp_path: Path) -> None:
    """Of 20 HTK mel bands up to 8 kHz the one around 1 kHz (1,000 mel) is number 6."""
    done = said(WITHOUT, tmp_path)
    assert done.stdout.split() == ["False", "6", "True"], done.stderr
    assert "forced_align needs torchaudio's compiled extension" in done.stderr.splitlines()[-1]


def test_a_torchaudio_whose_extension_loads_is_taken_as_it_is(tmp_path: Path) -> None:
    extension = tmp_path / "torchaudio" / "_extension" / "__init__.py"
    extension.parent.mkdir(parents=True)
    extension.write_text("_IS_TORCHAUDIO_EXT_AVAILABLE = True\n")
    (tmp_path / "torchaudio" / "__init__.py").write_text("from . import _extension\n")
    done = said(
        "import sys; from beepwatch.train.frontend import has_extension, torchaudio\n"
        "print(has_extension, torchaudio.__file__)",
        tmp_path,
    )
    assert done.stdout.split() == ["True", str(tmp_path / "torchaudio" / "__init__.py")], (
        done.stderr
    )


def test_a_torchaudio_that_is_not_there_is_missed_by_name(tmp_path: Path) -> None:
    done = said(
        "import sys; sys.modules['torchaudio'] = None\nimport beepwatch.train.frontend", tmp_path
    )
    assert "ModuleNotFoundError: import of torchaudio" in done.stderr.splitlines()[-1]

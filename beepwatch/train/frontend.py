"""torchaudio, from here and nowhere else: with its compiled extension, or without it.

Its x86-64 Linux wheel links CUDA, so beside a CPU build of torch the extension cannot be loaded,
and importing the package fails, though only forced alignment, RNN-T loss, CUDA's decoder and some
filters' fast ways need it. Without the file torchaudio runs without them (its `_load_lib` says so);
a file that cannot be loaded is treated here as if it were not there.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any, NoReturn

_EXTENSION = "torchaudio._extension"


def _imported() -> tuple[Any, bool]:
    """The package, and whether its extension is there as well."""
    try:
        package = import_module("torchaudio")
    except OSError:
        _forget()
        with _without_extension():
            package = import_module("torchaudio")
    return package, bool(sys.modules[_EXTENSION].__dict__["_IS_TORCHAUDIO_EXT_AVAILABLE"])


def _forget() -> None:
    """What a failed import left behind."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchaudio"]:
        del sys.modules[name]


@contextmanager
def _without_extension() -> Iterator[None]:
    """While entered, `torchaudio._extension` is one that found no file."""
    absent = ModuleType(_EXTENSION)
    absent.__dict__.update(
        _IS_TORCHAUDIO_EXT_AVAILABLE=False,
        _IS_ALIGN_AVAILABLE=False,
        _check_cuda_version=lambda: None,
        fail_if_no_align=_refused,
    )
    sys.modules[_EXTENSION] = absent
    try:
        yield
    except BaseException:
        _forget()
        raise


def _refused(function: Callable[..., object]) -> Callable[..., NoReturn]:
    def refuse(*_arguments: object, **_more: object) -> NoReturn:
        raise RuntimeError(
            f"torchaudio.{function.__name__} needs torchaudio's compiled extension, which does not "
            "fit this build of torch."
        )

    return refuse


torchaudio, has_extension = _imported()

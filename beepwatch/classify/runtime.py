"""ONNX Runtime, imported from here and nowhere else, so that it reports to nobody.

Unless it is told otherwise before it is imported, it gives this device a number, which it keeps
below the home directory, and starts a thread that tells its maker how it is used, 4 MB of memory.
"""

from beepwatch.config import tell_libraries

tell_libraries("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime  # noqa: E402

__all__ = ["onnxruntime"]

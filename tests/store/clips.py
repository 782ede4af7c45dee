"""Clips become files."""

from pathlib import Path

from beepwatch.store.library import Library


def keep(library: Library, event_id: int, content: bytes = b"mp3") -> Path:
    pending = library.pending_pcm(event_id)
    assert pending is not None
    return library.keep(event_id, pending[0], content, ".mp3")

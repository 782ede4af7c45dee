"""The labelling page's side of the server: clips by group, their pictures and sound, their labels.

Every label is in `dataset.csv` before the page is told that it is saved. A change says what label
the page believed a clip to have, so that a page that has not yet seen another's label never
overwrites it. A clip that this server does not know, as when it was started again without it,
keeps none of the others from being saved; nor does a label that nobody would type here, if the
table has had it: it can be replaced, and undoing brings it back.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from beepwatch.errors import SourceError
from beepwatch.train.datasets.catalogue import (
    Catalogue,
    CatalogueError,
    Relabelling,
    is_file_within,
)
from beepwatch.train.datasets.clustering import LARGEST_GROUP, groups_of
from beepwatch.train.datasets.impressions import Impression
from beepwatch.web.pictures import picture_of, sound_of, wav_of

STATIC = Path(__file__).with_name("static")
MOST_LABELS = 9  # keys 1 to 9
LONGEST_LABEL = 64
_MOST_BODY_BYTES = 2_000_000
_LOOKS_EVERY_S = 0.5  # whether another program changed the table
_SAYS_SOMETHING_EVERY = 30  # looks, so that a browser that has gone is noticed


class Change(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the page asks for: another label for a clip, if it still has the one seen."""

    clip: Annotated[str, Meta(max_length=64)]
    seen: str
    label: str


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """A clip as the page shows it."""

    id: str
    path: str
    duration_s: float
    score: float
    pitch_hz: float


class Clips:
    """A data set as the page has it: clips in groups, and the names of their labels.

    What sounds alike is together, unless `groups` of paths say what is; then the rest is left out.
    """

    def __init__(
        self,
        directory: Path,
        names: Sequence[str],
        heard: Sequence[Impression],
        groups: Sequence[Sequence[str]] | None = None,
    ) -> None:
        self.directory = directory
        self.names = tuple(names)
        shown = [
            Shown(
                id=clip_id(one.path),
                path=one.path,
                duration_s=round(one.duration_s, 2),
                score=round(one.score, 3),
                pitch_hz=round(one.pitch_hz),
            )
            for one in heard
        ]
        if groups is None:
            columns = list(zip(*(one.blocks for one in heard), strict=True))
            scores = np.array([one.score for one in heard], dtype=np.float32)
            numbers = groups_of([np.stack(column) for column in columns], scores)
            self.groups = [[shown[number] for number in group] for group in numbers]
        else:
            self.groups = _as_given(shown, groups)
        shown = [clip for group in self.groups for clip in group]
        self.path_of = {clip.id: clip.path for clip in shown}
        self.id_of = {clip.path: clip.id for clip in shown}

    def by_id(self, labels: Mapping[str, str]) -> dict[str, str]:
        """Labels of these clips by their id, from those by path."""
        return {self.id_of[path]: label for path, label in labels.items() if path in self.id_of}


def _as_given(shown: Sequence[Shown], groups: Sequence[Sequence[str]]) -> list[list[Shown]]:
    """In that order, and no more at once than can be looked through; what was not heard is not."""
    by_path = {clip.path: clip for clip in shown}
    found = [[by_path[path] for path in group if path in by_path] for group in groups]
    return [
        group[first : first + LARGEST_GROUP]
        for group in found
        for first in range(0, len(group), LARGEST_GROUP)
    ]


def clip_id(path: str) -> str:
    """Stays the clip's own when others come and go, so that an old page labels no other clip."""
    return hashlib.sha256(path.encode()).hexdigest()[:16]


def application(
    clips: Clips, catalogue: Catalogue, ending: Callable[[], bool] = lambda: False
) -> Starlette:
    """The page and what it asks for. `ending` tells that the server is about to stop."""
    page = _Page(clips, catalogue, ending)
    return Starlette(
        routes=[
            Route("/", page.document),
            Route("/session", page.session),
            Route("/labels", page.relabel, methods=["POST"]),
            Route("/changes", page.changes),
            Route("/clips/{clip}/picture.png", page.picture),
            Route("/clips/{clip}/sound.wav", page.sound),
            Mount("/static", StaticFiles(directory=STATIC)),
        ],
        exception_handlers={HTTPException: _worded},
    )


class _Page:
    def __init__(self, clips: Clips, catalogue: Catalogue, ending: Callable[[], bool]) -> None:
        self._clips = clips
        self._catalogue = catalogue
        self._ending = ending
        self._changed = asyncio.Event()  # replaced by a new one whenever it is set
        self._had: set[str] = set()  # labels that the table has had while this server ran
        self._latest: Mapping[str, str] = {}

    async def document(self, _request: Request) -> Response:
        return FileResponse(STATIC / "labelling.html", headers={"Cache-Control": "no-cache"})

    async def session(self, _request: Request) -> Response:
        labels = await self._labels()
        return _json(
            {
                "directory": self._clips.directory.resolve().name,
                "key": clip_id(str(self._clips.directory.resolve())),  # of what a tab remembers
                "names": self._clips.names,
                "groups": self._clips.groups,
                "labels": self._clips.by_id(labels),
            }
        )

    async def relabel(self, request: Request) -> Response:
        try:
            wanted = msgspec.json.decode(await _body(request), type=list[Change])
        except msgspec.DecodeError as error:
            raise HTTPException(400, str(error)) from error
        known = self._clips.path_of
        changes = [
            Relabelling(path=known[one.clip], seen=one.seen, label=self._checked(one.label))
            for one in wanted
            if one.clip in known
        ]
        gone = [one.clip for one in wanted if one.clip not in known]
        try:
            refused = await run_in_threadpool(self._catalogue.relabel, changes)
        except CatalogueError as error:
            raise HTTPException(503, str(error)) from error
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
        return _json(
            {
                "refused": {self._clips.id_of[path]: now for path, now in refused.items()},
                "gone": gone,
            }
        )

    async def changes(self, _request: Request) -> Response:
        return StreamingResponse(
            self._told_changes(),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-store"},
        )

    async def picture(self, request: Request) -> Response:
        return await self._made(request, "image/png", lambda file: picture_of(sound_of(file)))

    async def sound(self, request: Request) -> Response:
        return await self._made(request, "audio/wav", lambda file: wav_of(sound_of(file)))

    async def _told_changes(self) -> AsyncIterator[bytes]:
        """All labels first, then those that became others: a page that was cut off loses none."""
        told: Mapping[str, str] | None = None
        sent: dict[str, str] = {}
        quiet = 0
        while not self._ending():
            changed = self._changed
            with suppress(HTTPException):  # the table is broken: whoever saves is told
                labels = await self._labels()
                if labels is not told:
                    now = self._clips.by_id(labels)
                    gone = {clip: "" for clip in sent if clip not in now}
                    news = {clip: label for clip, label in now.items() if sent.get(clip) != label}
                    message = {"all": now} if told is None else {"changed": news | gone}
                    told, sent, quiet = labels, now, 0
                    yield b"data: " + msgspec.json.encode(message) + b"\n\n"
            quiet += 1
            if quiet % _SAYS_SOMETHING_EVERY == 0:
                yield b": still here\n\n"
            with suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), _LOOKS_EVERY_S)

    async def _labels(self) -> Mapping[str, str]:
        try:
            labels = await run_in_threadpool(self._catalogue.labels)
        except CatalogueError as error:
            raise HTTPException(503, str(error)) from error
        if labels is not self._latest:
            self._latest = labels
            self._had.update(labels.values())
        return labels

    def _checked(self, label: str) -> str:
        """One that can be typed, none at all, or one that was there."""
        typed = len(label) <= LONGEST_LABEL and label == label.strip() and label.isprintable()
        if not typed and label not in self._had:
            raise HTTPException(400, f"{label[:LONGEST_LABEL]!r} is no label.")
        return label

    def _path(self, clip: str) -> str:
        path = self._clips.path_of.get(clip)
        if path is None:
            raise HTTPException(404, f"there is no clip {clip!r}. Load the page again.")
        return path

    async def _made(
        self, request: Request, media_type: str, make: Callable[[Path], bytes]
    ) -> Response:
        """What is made of a clip's sound, unless the browser has it already."""
        path = self._path(request.path_params["clip"])
        file = self._clips.directory / path
        if not is_file_within(self._clips.directory.resolve(), file):
            raise HTTPException(404, f"{path} is gone. Load the page again.")
        status = file.stat()
        mark = f"{file.resolve()} {status.st_mtime_ns} {status.st_size} {media_type}"
        headers = {
            "ETag": f'"{hashlib.sha256(mark.encode()).hexdigest()[:16]}"',
            "Cache-Control": "private, no-cache",
        }
        if request.headers.get("if-none-match") == headers["ETag"]:
            return Response(status_code=304, headers=headers)
        try:
            content = await run_in_threadpool(make, file)
        except SourceError as error:
            raise HTTPException(404, str(error)) from error
        return Response(content, media_type=media_type, headers=headers)


async def _body(request: Request) -> bytes:
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > _MOST_BODY_BYTES:
            raise HTTPException(413, "That is too much at once.")
    return body


def _json(content: object) -> Response:
    return Response(
        msgspec.json.encode(content),
        media_type="application/json",
        headers={"Cache-Control": "no-store"},
    )


async def _worded(_request: Request, error: Exception) -> Response:
    """An error that the page can show."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    detail = error.detail if isinstance(error, HTTPException) else str(error)
    return Response(
        msgspec.json.encode({"error": detail}), status_code=status, media_type="application/json"
    )

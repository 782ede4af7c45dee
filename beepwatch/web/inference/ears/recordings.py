"""Names recordings by a network that `beepwatch train --features` made."""

from pathlib import Path

import numpy as np

from beepwatch.classify.recordings import Block, RecordingEngine, load_recording_bundle
from beepwatch.web.inference.answers import ModelShown, rounded
from beepwatch.web.inference.ears.upload import UploadedSound
from beepwatch.web.inference.recordings import Labelled
from beepwatch.web.inference.settings import Recordings
from beepwatch.web.inference.sounds import Stretch


class RecordingEar:
    """A network, and which of its labels mean that all is well."""

    def __init__(self, settings: Recordings) -> None:
        """Raises ModelError."""
        bundle = load_recording_bundle(Path(settings.bundle))
        info = bundle.info
        self._engine = RecordingEngine(bundle)
        self._labels = info.labels
        self._normal = np.isin(info.labels, info.normal)
        self.rate_hz = info.rate_hz
        self.problems: list[str] = []
        self.model = ModelShown(
            kind="recordings",
            id=info.model_id,
            name=info.name,
            labels=list(info.labels),
            normal=list(info.normal),
        )

    def hear(self, sound: UploadedSound, *, in_full: bool) -> Labelled | None:
        """The whole of it; None if there is no sound. For a verdict windows are left out."""
        named = self._engine.hear(sound.blocks())
        if named is None:
            return None
        anomaly = bool(named.shares[~self._normal].sum() > named.shares[self._normal].sum())
        likely = int(np.where(self._normal == anomaly, -1, named.shares).argmax())
        return Labelled(
            duration_s=sound.duration_s,
            anomaly=anomaly,
            label=self._labels[likely],
            score=rounded(float(named.shares[likely])),
            probabilities=_rounded(named.shares),
            windows=[_stretch(one) for one in named.blocks] if in_full else [],
            problem=sound.problem,
        )


def _stretch(block: Block) -> Stretch:
    return Stretch(
        start_s=round(block.start_s, 3),
        end_s=round(block.end_s, 3),
        probabilities=_rounded(block.shares),
    )


def _rounded(shares: np.ndarray) -> list[float]:
    return [rounded(float(share)) for share in shares]

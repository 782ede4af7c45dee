"""Whether a score of 0.9 means 0.9."""

import math
from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

BINS = 10
TEMPERATURES = (0.25, 4.0)  # within which one is sought
SUREST = 1e-6  # a score nearer to 0 or 1 counts as this near: float32 knows no better
RINGING_S = 0.1  # after a pulse the room still rings: the truth is open
SURE_FROM = 0.1  # most frames are surely silent, and would hide what the others say


class Bin(msgspec.Struct, frozen=True, kw_only=True):
    """Frames whose scores are alike."""

    score: float  # mean
    share: float  # of them within a pulse
    frames: int


class Reliability(msgspec.Struct, frozen=True, kw_only=True):
    """Expected calibration error: the mean distance of score and share, weighted by frames.

    Naeini, Cooper and Hauskrecht, Obtaining Well Calibrated Probabilities Using Bayesian Binning
    (2015), with bins of equal width.
    """

    error: float  # over all frames
    error_where_unsure: float  # over the frames that score 0.1 or more; nan if none does
    bins: tuple[Bin, ...]  # those that are not empty


def frames_in_pulses(
    pulses: Sequence[tuple[float, float]], frames: int, frame_s: float
) -> NDArray[np.float32]:
    """1 for frames whose centre lies in a pulse, nan just after one, else 0, [frames]."""
    centre_s = (np.arange(frames) + 0.5) * frame_s
    truth = np.zeros(frames, dtype=np.float32)
    for _onset_s, offset_s in pulses:
        truth[(centre_s >= offset_s) & (centre_s < offset_s + RINGING_S)] = math.nan
    for onset_s, offset_s in pulses:
        truth[(centre_s >= onset_s) & (centre_s < offset_s)] = 1.0
    return truth


def reliability(scores: NDArray[np.float32], truth: NDArray[np.float32]) -> Reliability:
    """Scores against what was there, both [frames]; frames whose truth is nan do not count."""
    known = np.isfinite(truth)
    scores, truth = scores[known], truth[known]
    index = np.minimum((scores * BINS).astype(int), BINS - 1)
    bins = [
        Bin(
            score=float(scores[index == number].mean(dtype=np.float64)),
            share=float(truth[index == number].mean(dtype=np.float64)),
            frames=int((index == number).sum()),
        )
        for number in range(BINS)
        if (index == number).any()
    ]
    return Reliability(
        error=_error(bins),
        error_where_unsure=_error([one for one in bins if one.score >= SURE_FROM]),
        bins=tuple(bins),
    )


def fit_temperature(scores: NDArray[np.float32], truth: NDArray[np.float32]) -> float:
    """What logits have to be divided by so that scores are shares; both arguments [frames].

    The temperature of the least cross entropy, after Guo, Pleiss, Sun and Weinberger, On
    Calibration of Modern Neural Networks (2017); frames whose truth is nan do not count.
    """
    known = np.isfinite(truth)
    sure = np.clip(scores[known].astype(np.float64), SUREST, 1 - SUREST)
    logits = np.log(sure / (1 - sure))
    signed = np.where(truth[known] >= 0.5, -logits, logits)

    def cross_entropy(temperature: float) -> float:
        return float(np.logaddexp(0.0, signed / temperature).mean())

    return float(minimize_scalar(cross_entropy, bounds=TEMPERATURES, method="bounded").x)


def _error(bins: Sequence[Bin]) -> float:
    frames = sum(one.frames for one in bins)
    if not frames:
        return math.nan
    return sum(one.frames * abs(one.score - one.share) for one in bins) / frames

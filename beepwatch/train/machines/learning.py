"""Learns how a machine sounds when it is well, from normal sound alone.

The figures (shrinkage, paces, copies, levels of what is laid over) were chosen on the propellers of
mission `square` with household recordings of the dev split: docs/machines.md.
"""

from collections.abc import Iterator, Sequence

import msgspec
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from beepwatch.classify.condition import (
    MOST_STATES,
    Cloud,
    Normal,
    State,
    distances,
    packed,
)
from beepwatch.classify.heads import name_problem
from beepwatch.classify.portraits import STEADY, portrait
from beepwatch.classify.spectra import (
    NARROW_BANDS,
    RATE_HZ,
    WINDOW_S,
    WINDOW_SAMPLES,
    Floats,
    centres_hz,
    coarse,
    level_db,
    spectrum,
)
from beepwatch.errors import BeepwatchError, ConfigurationError
from beepwatch.train.datasets.clustering import clusters
from beepwatch.train.machines.ceilings import learn_ceilings
from beepwatch.train.machines.household import overlaid, read_household

PACES, PACE_DEVIATION = 3, 0.03  # relative: how far its speed may wander
COPIES = 4  # of each, with something else over each
SHRINKAGE = 0.2
# Of what is so much louder than the machine that it tells nothing: any vacuum cleaner, not only
# those of the household that is learned with, so each is heard at other speeds too.
DROWNED_DB, DROWNED_COPIES, DROWNED_SHRINKAGE, NEARLY_ALL = (-26.0, -9.0), 16, 0.002, 0.94
OTHER_PACES, OTHER_PACE_DEVIATION = 4, 0.15
HOP_S = 1.0
LEAST_WINDOWS = 20  # half a minute, hop by hop
LEAST_OF_A_STATE = 40
CLEARLY_APART = 0.65  # silhouette
_MOST_COMPARED = 600
_COMPONENTS = 10
_BLOCK = 20  # windows that are held back together: neighbours share their sound
_SEED = 5
_LEAST_VARIANCE = 1e-4
_PER_DB = np.float32(np.log(10) / 10)  # natural log of power
_LEAST_SCALE = 0.05  # natural log of power: a fifth of a dB


class TooLittleSound(BeepwatchError):
    """Not enough of a machine to tell how it sounds."""


def windows_of(pcm: NDArray[np.int16], hop_s: float = HOP_S) -> Iterator[NDArray[np.int16]]:
    """Windows of a recording at 16 kHz, `hop_s` apart; none of what is shorter than a window."""
    hop = round(hop_s * RATE_HZ)
    for first in range(0, len(pcm) - WINDOW_SAMPLES + 1, hop):
        yield pcm[first : first + WINDOW_SAMPLES]


def spectra_of(recordings: Sequence[NDArray[np.int16]], hop_s: float = HOP_S) -> Floats:
    """Steady spectra of all windows of recordings, [windows, BANDS]. Raises TooLittleSound."""
    return np.stack([spectrum(window) for window in _windows(recordings, hop_s)])


def portraits_of(recordings: Sequence[NDArray[np.int16]], hop_s: float = HOP_S) -> Floats:
    """Portraits of all windows of recordings, [windows, FEATURES]. Raises TooLittleSound."""
    return np.stack([portrait(window) for window in _windows(recordings, hop_s)])


def _windows(recordings: Sequence[NDArray[np.int16]], hop_s: float) -> list[NDArray[np.int16]]:
    found = [window for pcm in recordings for window in windows_of(pcm, hop_s)]
    if not found:
        raise TooLittleSound(
            f"none of {len(recordings)} recordings has a window of {WINDOW_S:g} s. "
            "Give five minutes and more, best of every programme."
        )
    return found


def check_name(name: str) -> None:
    """Raises ConfigurationError for what can be no machine's name."""
    problem = name_problem(name)
    if problem:
        raise ConfigurationError(f"{problem}. Give another, for example: fan.")


def learn_normal(
    name: str, portraits: Floats, household: Floats | None = None, *, hop_s: float = HOP_S
) -> Normal:
    """From portraits of normal sound [windows, FEATURES], `hop_s` apart, as they were heard.

    Raises ConfigurationError for a name that cannot be, TooLittleSound.
    """
    check_name(name)
    if len(portraits) < LEAST_WINDOWS:
        raise TooLittleSound(
            f"{len(portraits) * hop_s:.0f} s of sound are too little to learn {name} from, "
            f"{LEAST_WINDOWS * hop_s:.0f} s are needed. "
            "Give five minutes and more, best of every programme."
        )
    sounds = read_household() if household is None else household
    rng = np.random.default_rng(_SEED)
    spectra = np.ascontiguousarray(portraits[:, STEADY])
    of_state = operating_states(spectra)
    halves = _halves(len(spectra))
    usual, spread = _calibrated(rng, spectra, of_state, halves, sounds)
    ceilings, limits = learn_ceilings(portraits, of_state, halves)
    states = _states(rng, spectra, of_state, sounds)
    drowned, within = _drowned(rng, spectra, sounds)
    return Normal(
        name=name,
        learned_s=len(spectra) * hop_s,
        states=tuple(
            msgspec.structs.replace(state, ceiling=ceiling)
            for state, ceiling in zip(states, ceilings, strict=True)
        ),
        lowest_db=float(np.quantile(level_db(spectra), 0.01)),
        drowned=drowned,
        drowned_within=within,
        usual=usual,
        spread=spread,
        limits=limits,
    )


def operating_states(spectra: Floats) -> NDArray[np.intp]:
    """Which state each window is of, [windows]: as many as are clearly apart, most often one."""
    points = _projected(spectra)
    one = np.zeros(len(points), dtype=np.intp)
    best, best_score = one, CLEARLY_APART
    for count in range(2, MOST_STATES + 1):
        groups = clusters(points, count)
        sizes = np.bincount(groups, minlength=count)
        if sizes.min() < LEAST_OF_A_STATE:
            continue
        score = silhouette(points, groups)
        if score > best_score:
            best, best_score = groups, score
    return best


def silhouette(points: Floats, groups: NDArray[np.intp]) -> float:
    """Mean over points of how much nearer their own group is (Rousseeuw 1987); 1 at most."""
    some = np.linspace(0, len(points) - 1, min(len(points), _MOST_COMPARED)).astype(np.intp)
    squares = (points**2).sum(axis=1)
    between = squares[some, None] + squares - 2 * points[some] @ points.T
    distance = np.sqrt(np.maximum(between, 0))
    members = np.eye(groups.max() + 1, dtype=np.float32)[groups]
    sums, counts = distance @ members, members.sum(axis=0)
    rows = np.arange(len(some))
    own_group = groups[some]
    own = sums[rows, own_group] / np.maximum(counts[own_group] - 1, 1)
    means = sums / np.maximum(counts, 1)
    means[rows, own_group] = np.inf
    other = means.min(axis=1)
    return float(((other - own) / np.maximum(np.maximum(own, other), 1e-9)).mean())


def _projected(spectra: Floats) -> Floats:
    """Main components of the spectra as they are, [windows, components]."""
    off = spectra - spectra.mean(axis=0)
    directions = np.linalg.eigh(off.T @ off)[1][:, ::-1][:, :_COMPONENTS]
    return np.asarray(off @ directions, dtype=np.float32)


def _states(
    rng: Generator, spectra: Floats, of_state: NDArray[np.intp], household: Floats
) -> tuple[State, ...]:
    return tuple(
        _state(rng, spectra[of_state == number], household, len(spectra))
        for number in np.unique(of_state)
    )


def heard_in_a_room(rng: Generator, alone: Floats, household: Floats) -> Floats:
    """How spectra [windows, BANDS] may sound: at other paces, with sounds over them, coarsely."""
    paces = np.concatenate([alone, *(at_another_pace(rng, alone) for _ in range(PACES))])
    return coarse(np.concatenate([paces, overlaid(rng, paces, household, COPIES)]))


def _state(rng: Generator, alone: Floats, household: Floats, windows: int) -> State:
    return State(
        share=len(alone) / windows,
        alone=packed(np.median(alone, axis=0)),
        deviation=packed(np.maximum(alone.std(axis=0), _LEAST_SCALE)),
        heard=_cloud(heard_in_a_room(rng, alone, household), SHRINKAGE),
    )


def _drowned(rng: Generator, spectra: Floats, household: Floats) -> tuple[Cloud, float]:
    """Where normal sound lies under a loud household, and within what distance nearly all of it."""
    few = coarse(overlaid(rng, spectra, _more(rng, household), DROWNED_COPIES, DROWNED_DB))
    cloud = _cloud(few, DROWNED_SHRINKAGE)
    return cloud, float(np.quantile(distances([cloud], few), NEARLY_ALL))


def _more(rng: Generator, household: Floats) -> Floats:
    """With each sound at other speeds too, as loud as it was."""
    found = [household]
    for _ in range(OTHER_PACES):
        other = at_another_pace(rng, household, OTHER_PACE_DEVIATION)
        softer_db = level_db(household) - level_db(other)
        found.append(other + (softer_db * _PER_DB)[:, None])
    return np.concatenate(found)


def _cloud(few: Floats, shrinkage: float) -> Cloud:
    centre = few.mean(axis=0)
    scale = np.maximum(few.std(axis=0), _LEAST_SCALE)
    off = (few - centre) / scale
    variances, directions = np.linalg.eigh(off.T @ off / len(off))
    shrunken = (1 - shrinkage) * np.maximum(variances, 0) + shrinkage * variances.mean()
    whitening = (directions / np.sqrt(np.maximum(shrunken, _LEAST_VARIANCE))).T / scale
    return Cloud(centre=packed(centre), whitening=packed(whitening))


def at_another_pace(rng: Generator, spectra: Floats, deviation: float = PACE_DEVIATION) -> Floats:
    """Each of the spectra as if what it is of ran a little faster or slower."""
    factors = np.exp(rng.normal(0, deviation, size=len(spectra)))
    hz = centres_hz()
    changed = np.empty_like(spectra)
    for row, factor in enumerate(factors.tolist()):
        for bands in (slice(None, NARROW_BANDS), slice(NARROW_BANDS, None)):
            changed[row, bands] = np.interp(hz[bands] * factor, hz[bands], spectra[row, bands])
    return changed


def _halves(windows: int) -> NDArray[np.intp]:
    """Which half each window belongs to, [windows]: each is judged by the other."""
    if windows < 4 * _BLOCK:
        return np.arange(windows) * 2 // windows
    return np.arange(windows) // _BLOCK % 2


def _calibrated(
    rng: Generator,
    spectra: Floats,
    of_state: NDArray[np.intp],
    halves: NDArray[np.intp],
    household: Floats,
) -> tuple[float, float]:
    """Median log distance of normal sound, and how much more the last hundredth's is."""
    logs = []
    for own in (0, 1):
        known, held_back = spectra[halves != own], spectra[halves == own]
        clouds = [state.heard for state in _states(rng, known, of_state[halves != own], household)]
        tried = np.concatenate([held_back, overlaid(rng, held_back, household, 4)])
        logs.append(np.log(distances(clouds, coarse(tried)).min(axis=1)))
    usual, high = np.quantile(np.concatenate(logs), (0.5, 0.99))
    return float(usual), max(float(high - usual), 0.01)

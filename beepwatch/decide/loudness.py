"""How loud the tones of some pulses are from moment to moment, against what sounds around them."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from beepwatch.decide.demodulation import STEP_S
from beepwatch.decide.pulses import KEPT, Pulse, is_same_pitch
from beepwatch.decide.ranks import median, quantile

LEAST_CONTRAST_DB = 6.0  # between a pitch's pulses and its noise, for it to tell anything
MOST_CONTRAST_DB = 30.0  # beyond this, what the gate left out is no more silent than a quiet room
NEAR_S = 0.6  # the level of what sounds within this is a pulse's own
MOST_VOICES = 6
CLEAR = 0.6  # of the clearest tone's contrast: another has a say from there on
SILENT_SHARE = 0.9  # of a voice's time: one of its tones is silent for no more than that
IN_TURN = -0.5  # correlation of two tones of which one is silent while the other sounds
FAINTEST_POWER = 1e-7  # silence has no logarithm

Levels = NDArray[np.float64]  # dB
Places = NDArray[np.intp]  # of steps


class Voice:
    """Pulses that have pitches in common."""

    def __init__(self) -> None:
        self.pulses: list[Pulse] = []
        self._lasting: dict[float, float] = {}  # by mean pitch, how long pulses have it

    @property
    def length_s(self) -> float:
        """Of all its pulses."""
        return sum(pulse.duration_s for pulse in self.pulses)

    def sounds_at(self, pulse: Pulse) -> bool:
        """Whether a pulse shares a pitch with it."""
        return any(is_same_pitch(hz, known) for hz in pulse.pitches_hz for known in self._lasting)

    def add(self, pulse: Pulse) -> None:
        """One pulse more."""
        self.pulses.append(pulse)
        for hz in pulse.pitches_hz:
            known = next((known for known in self._lasting if is_same_pitch(hz, known)), hz)
            length_s = self._lasting.pop(known, 0.0) + pulse.duration_s
            mean_hz = known + (hz - known) * pulse.duration_s / length_s
            self._lasting[mean_hz] = length_s

    def pitches_hz(self, highest_hz: float) -> list[float]:
        """What sounds for long enough, and the next two partials of the lowest."""
        kept = [hz for hz, length_s in self._lasting.items() if length_s >= KEPT * self.length_s]
        for partial_hz in [min(kept) * order for order in (2, 3)] if kept else []:
            if partial_hz < highest_hz and not any(is_same_pitch(partial_hz, hz) for hz in kept):
                kept.append(partial_hz)
        return kept


class Loudness(NamedTuple):
    """How loud an episode's own pitches are, a level a step, 0 dB being that of its pulses."""

    level_db: Levels
    contrast_db: float  # by how much the noise is below


def voices_of(pulses: Sequence[Pulse]) -> list[Voice]:
    """The longest first."""
    voices: list[Voice] = []
    for pulse in pulses:
        if not pulse.pitches_hz:
            continue
        voice = next((voice for voice in voices if voice.sounds_at(pulse)), None)
        if voice is None:
            voice = Voice()
            voices.append(voice)
        voice.add(pulse)
    return sorted(voices, key=lambda voice: -voice.length_s)[:MOST_VOICES]


def loudness_of(
    power: NDArray[np.float64], parts: Iterable[tuple[int, Places]], noise: Places
) -> Loudness | None:
    """Of whichever voice is the loudest, each beside its own pulses; None if none stands out.

    What the network took for one pulse may be two tones in turn: then each is a voice.

    `power` [tones, steps] has the voices' tones one after another; `parts` are how many each has
    and the steps that it sounds in, `noise` those that nothing does.
    """
    level_db = 10 * np.log10(power + FAINTEST_POWER)
    noise_db = median(level_db.take(noise, axis=1))
    of_voices: list[Levels] = []
    first = 0
    for count, sounding in parts:
        tones = slice(first, first + count)
        for together, own in _in_turn(level_db[tones], sounding, noise_db[tones]):
            heard = _of_voice(level_db[tones][together], own, noise_db[tones][together])
            if heard is not None:
                of_voices.append(heard)
        first += count
    if not of_voices:
        return None
    loudest_db = np.maximum.reduce(of_voices)
    return Loudness(loudest_db, -float(median(loudest_db[noise])))


def _in_turn(
    level_db: Levels, sounding: Places, noise_db: Levels
) -> Iterator[tuple[list[int], Places]]:
    """Which of a voice's tones [tones, steps], and when they sound; apart if in turn."""
    if not (len(level_db) and len(sounding)):
        return
    over_noise_db = level_db.take(sounding, axis=1) - noise_db[:, None]
    groups = _apart(over_noise_db)
    if len(groups) < 2:
        yield list(range(len(level_db))), sounding
        return
    turns = np.argmax([over_noise_db[tones].mean(axis=0) for tones in groups], axis=0)
    for number, tones in enumerate(groups):
        yield tones, sounding[turns == number]


def _apart(over_noise_db: Levels) -> list[list[int]]:
    """Which tones [tones, steps] sound together, of those that stand out: the loudest first."""
    loud_db = quantile(over_noise_db, SILENT_SHARE)
    least_db = max(CLEAR * min(float(loud_db.max()), MOST_CONTRAST_DB), LEAST_CONTRAST_DB)
    in_order = np.argsort(-loud_db, kind="stable")
    clear: list[int] = in_order[loud_db[in_order] >= least_db].tolist()
    if len(clear) < 2:
        return [clear]
    off_db = np.maximum(over_noise_db[clear], 0.0)
    off_db -= off_db.mean(axis=1, keepdims=True)
    # Not `@`: for so little, threads of a BLAS cost more than they bring.
    products = np.einsum("is,js->ij", off_db, off_db)
    spread = np.sqrt(products.diagonal())
    apart = products < IN_TURN * np.outer(spread, spread)
    groups: list[list[int]] = []
    for place in range(len(clear)):
        group = next((group for group in groups if not apart[place, group].any()), None)
        if group is None:
            groups.append([place])
        else:
            group.append(place)
    return [[clear[place] for place in group] for group in groups]


def _of_voice(level_db: Levels, sounding: Places, noise_db: Levels) -> Levels | None:
    """How loud its tones [tones, steps] are beside its pulses, 0 dB, the clearest tones most."""
    if not len(sounding):
        return None
    own_db = quantile(level_db.take(sounding, axis=1), 0.6)
    over_noise_db = own_db - noise_db
    contrasts_db = [min(max(one_db, 0.0), MOST_CONTRAST_DB) for one_db in over_noise_db.tolist()]
    clearest_db = max(contrasts_db)
    if clearest_db < LEAST_CONTRAST_DB:
        return None
    heard = np.zeros(level_db.shape[1])
    weight = 0.0
    for tone_db, tone_own_db, contrast_db in zip(level_db, own_db, contrasts_db, strict=True):
        if contrast_db >= CLEAR * clearest_db:
            heard += contrast_db * np.maximum(tone_db - tone_own_db, -contrast_db)
            weight += contrast_db
    return heard / weight


def during(
    pulses: Sequence[Pulse], at_s: NDArray[np.float64], margin_s: float
) -> NDArray[np.bool_]:
    """[steps]: whether one of the pulses sounds at these times, which are in order."""
    sounds = np.zeros(len(at_s), dtype=np.bool_)
    firsts = at_s.searchsorted([pulse.onset_s - margin_s for pulse in pulses], "left")
    ends = at_s.searchsorted([pulse.offset_s + margin_s for pulse in pulses], "right")
    for first, end in zip(firsts.tolist(), ends.tolist(), strict=True):
        sounds[first:end] = True
    return sounds


def loudest_near(level_db: Levels) -> Levels:
    """The highest level within `NEAR_S`, single steps aside."""
    smooth = np.convolve(level_db, np.full(9, 1 / 9), "same")
    block = 10  # steps: what is searched far around need not be known to 5 ms
    blocks = np.maximum.reduceat(smooth, np.arange(0, len(smooth), block))
    reach = round(NEAR_S / STEP_S / block)
    beyond = np.full(reach, -np.inf)
    highest = np.concatenate([beyond, blocks, beyond])
    width = 1  # of what each is the highest of
    while width < 2 * reach + 1:
        further = min(width, 2 * reach + 1 - width)
        highest = np.maximum(highest[:-further], highest[further:])
        width += further
    return np.asarray(np.repeat(highest, block)[: len(level_db)])

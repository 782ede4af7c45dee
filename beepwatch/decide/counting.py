"""How many pulses an episode has, counted in its sound once it is over.

A network that was asked for beeps, frame by frame, loses faint pulses and takes what a room gives
back for more of them. Once an episode is believed its pitches are known, and how loud they are
tells every 5 ms when they sound. By how much the level has to fall for a pulse to be over depends
on the room, the noise and the device: so it is counted several times, and the count holds that
most of these agree on and whose pulses resemble one another in length and pause.
"""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import log
from statistics import fmean, median
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from beepwatch.decide.demodulation import STEP_S, demodulated
from beepwatch.decide.episodes import Episode
from beepwatch.decide.pulses import KEPT, Pulse, is_same_pitch

MARGIN_S = 1.5  # of sound around an episode; no other of its label comes nearer than 3 s
LONGEST_S = 30.0  # of an episode: a longer one's sound need not be there any more
LOST_S = 0.1  # of an episode's sound that may be missing at its ends

SMOOTHED_STEPS = (7, 13)  # under a Hann window: 20 ms are told apart, or noise is averaged
FALLS_DB = (3.0, 4.0, 5.0, 6.5, 8.0)  # below the pulses' own level, from where it is a pause
HYSTERESIS_DB = 2.0
OVER_NOISE_DB = 5.0
LEAST_CONTRAST_DB = 6.0  # between a pitch's pulses and its noise, for it to tell anything
MOST_CONTRAST_DB = 30.0  # beyond this, what the gate left out is no more silent than a quiet room
NEAR_S = 0.6  # the level of what sounds within this is a pulse's own, up to …
OWN_LEVEL_DB = 6.0  # … so much from that of all
MOST_VOICES = 6
HIGHEST_HZ = 7_400.0  # of a partial
HIGHEST_SHARE = 0.46  # of the rate
CLEAR = 0.6  # of the clearest tone's contrast: another has a say from there on
GUARD_S = 0.05  # from a pulse to where there is only noise
LEAST_STEPS = 20  # of noise, to compare with
FAINTEST_POWER = 1e-7  # silence has no logarithm
ALIKE = 1.3  # the longer over the shorter of two pulses that may be each other's likes
SHORTEST_S = 0.03
SHORTEST_PAUSE_S = 0.025
CERTAIN_SCORE = 0.9

Levels = NDArray[np.float64]  # dB
Span = tuple[float, float]  # seconds


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


def recounted(episode: Episode, sound: NDArray[np.int16], rate_hz: int, start_s: float) -> Episode:
    """The episode with its pulses counted in `sound` [samples], which begins at `start_s`.

    `sound` should reach `MARGIN_S` beyond the episode on both sides. If it does not hold all of
    it, without pitches, or without noise to compare with, the episode stays as it is.
    """
    span = span_to_count_in(episode)
    end_s = start_s + len(sound) / rate_hz
    if (
        span is None
        or start_s > episode.pulses[0].onset_s + LOST_S
        or end_s < episode.pulses[-1].offset_s - LOST_S
    ):
        return episode
    first, last = (max(round((time_s - start_s) * rate_hz), 0) for time_s in span)
    counts = list(_counts(episode, sound[first:last], rate_hz, start_s + first / rate_hz))
    if not counts:
        return episode
    told = [(pulse.onset_s, pulse.offset_s) for pulse in episode.pulses]
    return msgspec.structs.replace(episode, counted=_likeliest(told, counts))


def span_to_count_in(episode: Episode) -> Span | None:
    """From when to when its sound is needed; None if it is too long to be counted."""
    start_s, end_s = episode.pulses[0].onset_s, episode.pulses[-1].offset_s
    if end_s - start_s > LONGEST_S:
        return None
    return start_s - MARGIN_S, end_s + MARGIN_S


def _counts(
    episode: Episode, sound: NDArray[np.int16], rate_hz: int, start_s: float
) -> Iterator[list[Span]]:
    """The pulses as they are found in one way and another, where any are."""
    highest_hz = min(HIGHEST_HZ, HIGHEST_SHARE * rate_hz)
    voices = [(voice, voice.pitches_hz(highest_hz)) for voice in _voices(episode.pulses)]
    pitches_hz = [hz for _voice, several_hz in voices for hz in several_hz]
    if not pitches_hz:
        return
    tones = demodulated(sound, pitches_hz, rate_hz)
    for smoothed in SMOOTHED_STEPS:
        loudness = _loudness(tones, voices, episode.pulses, start_s, smoothed)
        if loudness is None:
            return
        near_db = np.clip(_loudest_near(loudness.level_db), -OWN_LEVEL_DB, OWN_LEVEL_DB)
        for level_db in (loudness.level_db, loudness.level_db - near_db):
            for fall_db in FALLS_DB:
                steps = _steps_of_pulses(level_db, loudness.contrast_db, fall_db)
                if spans := _likely(steps, level_db, episode, start_s):
                    yield spans


def _likeliest(told: Sequence[Span], counts: Sequence[Sequence[Span]]) -> int:
    """How many pulses most ways of counting agree on, unless that were an odd signal."""
    agreeing = Counter(len(spans) for spans in counts)
    different = dict.fromkeys(map(tuple, (told, *counts)))  # many ways find the same
    best, most_likely = len(told), -np.inf
    for spans in sorted(different, key=lambda spans: -agreeing[len(spans)]):
        votes = agreeing[len(spans)] / len(counts)
        if votes <= most_likely:
            break  # the rest have no more, and oddness only takes away
        likely = votes - _oddness(spans, told)
        if likely > most_likely:
            best, most_likely = len(spans), likely
    return best


def _voices(pulses: Sequence[Pulse]) -> list[Voice]:
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


def _loudness(
    tones: NDArray[np.complex64],
    voices: Sequence[tuple[Voice, list[float]]],
    pulses: Sequence[Pulse],
    start_s: float,
    smoothed: int,
) -> Loudness | None:
    """Of whichever voice is the loudest, each beside its own pulses; None if none stands out."""
    window = np.hanning(smoothed + 2)[1:-1] / ((smoothed + 1) / 2)
    power = np.stack([np.abs(np.convolve(tone, window, "same")) ** 2 for tone in tones])
    level_db = 10 * np.log10(power + FAINTEST_POWER)
    steps = level_db.shape[1]
    # What the gate left out is no noise: it is nothing.
    quiet = ~_during(pulses, steps, start_s, GUARD_S) & np.any(tones != 0, axis=0)
    if quiet.sum() < LEAST_STEPS:
        return None
    of_voices: list[Levels] = []
    first = 0
    for voice, pitches_hz in voices:
        own = level_db[first : first + len(pitches_hz)]
        first += len(pitches_hz)
        heard = _of_voice(own, _during(voice.pulses, steps, start_s, 0.0), quiet)
        if heard is not None:
            of_voices.append(heard)
    if not of_voices:
        return None
    loudest_db = np.max(of_voices, axis=0)
    return Loudness(loudest_db, -float(np.median(loudest_db[quiet])))


def _of_voice(
    level_db: Levels, sounding: NDArray[np.bool_], quiet: NDArray[np.bool_]
) -> Levels | None:
    """How loud its tones [tones, steps] are beside its pulses, 0 dB, the clearest tones most."""
    if not (len(level_db) and sounding.any()):
        return None
    beside_db = level_db - np.quantile(level_db[:, sounding], 0.6, axis=1, keepdims=True)
    contrast_db = np.clip(-np.median(beside_db[:, quiet], axis=1), 0, MOST_CONTRAST_DB)
    clearest_db = contrast_db.max()
    if clearest_db < LEAST_CONTRAST_DB:
        return None
    weight = np.where(contrast_db >= CLEAR * clearest_db, contrast_db, 0)[:, np.newaxis]
    heard_db = np.maximum(beside_db, -contrast_db[:, np.newaxis])
    return np.asarray((weight * heard_db).sum(axis=0) / weight.sum())


def _during(
    pulses: Sequence[Pulse], steps: int, start_s: float, margin_s: float
) -> NDArray[np.bool_]:
    """[steps]: whether one of the pulses sounds."""
    at_s = start_s + (np.arange(steps) + 0.5) * STEP_S
    during = np.zeros(steps, dtype=np.bool_)
    for pulse in pulses:
        during |= (at_s >= pulse.onset_s - margin_s) & (at_s <= pulse.offset_s + margin_s)
    return during


def _loudest_near(level_db: Levels) -> Levels:
    """The highest level within `NEAR_S`, single steps aside."""
    smooth = np.convolve(level_db, np.full(9, 1 / 9), "same")
    block = 10  # steps: what is searched far around need not be known to 5 ms
    blocks = np.pad(smooth, (0, -len(smooth) % block), "edge").reshape(-1, block).max(axis=1)
    reach = round(NEAR_S / STEP_S / block)
    padded = np.pad(blocks, reach, "edge")
    highest = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1).max(axis=1)
    return np.asarray(np.repeat(highest, block)[: len(level_db)])


def _steps_of_pulses(level_db: Levels, contrast_db: float, fall_db: float) -> list[tuple[int, int]]:
    """Steps from where the level rises over the threshold to where it is well below."""
    up_db = min(max(-fall_db, OVER_NOISE_DB - contrast_db), -1.5)
    down_db = max(up_db - HYSTERESIS_DB, 2 - contrast_db)
    loud = level_db >= up_db
    known = np.flatnonzero(loud | (level_db < down_db))  # in between it is as it was
    sounds = np.concatenate([[False], loud[known], [False]])
    edges = np.append(known, len(level_db))[np.flatnonzero(sounds[1:] != sounds[:-1])]
    spans: list[tuple[int, int]] = []
    for start, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        if spans and (start - spans[-1][1]) * STEP_S < SHORTEST_PAUSE_S:
            start = spans.pop()[0]
        spans.append((start, end))
    return [span for span in spans if (span[1] - span[0]) * STEP_S >= SHORTEST_S]


def _likely(
    steps: Sequence[tuple[int, int]], level_db: Levels, episode: Episode, start_s: float
) -> list[Span]:
    """In seconds, without splinters; beyond the first and last pulse only what is like others."""
    lengths_s = [(end - start) * STEP_S for start, end in steps]
    in_order_s = sorted(lengths_s)
    usual_s = median(in_order_s) if steps else 0.0
    told = (episode.pulses[0].onset_s, episode.pulses[-1].offset_s)
    spans = [(start_s + start * STEP_S, start_s + end * STEP_S) for start, end in steps]
    certain = _alone_in_certain_pulses(spans, episode.pulses)
    likely: list[Span] = []
    for span, length_s, (start, end) in zip(spans, lengths_s, steps, strict=True):
        alike = _how_many_like(length_s, in_order_s) - 1
        if _overlap(span, told):
            whole = length_s >= 0.5 * usual_s or alike >= max(2, len(steps) / 4)
            kept = whole or span in certain
        else:
            one_more = alike >= 1 and _ratio(length_s, usual_s, 0.02) <= 1.5
            kept = one_more and bool(np.median(level_db[start:end]) >= -FALLS_DB[0])
        if kept:
            likely.append(span)
    return likely


def _how_many_like(length_s: float, in_order_s: Sequence[float]) -> int:
    """Of some lengths, how many are near to one, itself too."""
    longest_s = ALIKE * (length_s + 0.02) - 0.02
    shortest_s = (length_s + 0.02) / ALIKE - 0.02
    return bisect_right(in_order_s, longest_s) - bisect_left(in_order_s, shortest_s)


def _alone_in_certain_pulses(spans: Sequence[Span], pulses: Sequence[Pulse]) -> set[Span]:
    """What is all that was found of a pulse that the network is sure of, however short."""
    within = (
        [span for span in spans if _overlap(span, (pulse.onset_s, pulse.offset_s))]
        for pulse in pulses
        if pulse.peak_score >= CERTAIN_SCORE
    )
    return {some[0] for some in within if len(some) == 1}


def _oddness(spans: Sequence[Span], told: Sequence[Span]) -> float:
    """How unlike an appliance, and unlike what was told; 1 is as much as all counts' votes."""
    lengths_s = [end_s - start_s for start_s, end_s in spans]
    pauses_s = sorted(max(later[0] - one[1], 0.0) for one, later in pairwise(spans))
    usual_s = median(lengths_s)
    uneven = fmean(min(log(_ratio(one_s, usual_s, 0.03)), 1.0) for one_s in lengths_s)
    # Nothing to compare: one pause; or none, which is odd where several pulses were told.
    odd = 0.2 if pauses_s or len(told) == 1 else 0.6
    if len(pauses_s) > 1:  # in order, what is most like a pause is beside it
        unlike = [log(_ratio(one_s, next_s, 0.03)) for one_s, next_s in pairwise(pauses_s)]
        odd = fmean(min(beside, 1.0) for beside in map(min, [1.0, *unlike], [*unlike, 1.0]))
    lost = fmean(not any(_overlap(span, one) for span in spans) for one in told)
    other = min(abs(log(len(spans) / len(told))), 1.0)
    return 2.0 * uneven + 1.6 * odd + 2.0 * lost + 0.6 * other


def _ratio(one_s: float, other_s: float, slack_s: float) -> float:
    """The longer over the shorter, each `slack_s` longer: ends are not known better."""
    longer_s, shorter_s = max(one_s, other_s), min(one_s, other_s)
    return (longer_s + slack_s) / (shorter_s + slack_s)


def _overlap(one: Span, other: Span) -> bool:
    return one[0] < other[1] and one[1] > other[0]

"""How many pulses an episode has, counted in its sound once it is over.

A network that was asked for beeps, frame by frame, loses faint pulses and takes what a room gives
back for more of them. Once an episode is believed its pitches are known, and how loud they are
tells every 5 ms when they sound. By how much the level has to fall for a pulse to be over depends
on the room, the noise and the device: so it is counted several times, and the count holds that
most of these agree on and whose pulses resemble one another in length and pause. Where they differ,
the beat has a say (`decide/beats.py`).
"""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, pairwise
from math import fsum, inf, log
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from beepwatch.decide.beats import in_beat
from beepwatch.decide.demodulation import STEP_S, demodulated, smoothed
from beepwatch.decide.episodes import Episode
from beepwatch.decide.loudness import (
    Levels,
    Loudness,
    Places,
    during,
    loudest_near,
    loudness_of,
    voices_of,
)
from beepwatch.decide.opinion import AFTER_S
from beepwatch.decide.pulses import Pulse

MARGIN_S = 1.5  # of sound around an episode; no other of its label comes nearer than 3 s
LONGEST_S = 30.0  # of an episode: a longer one's sound need not be there any more
LOST_S = 0.1  # of an episode's sound that may be missing at its ends

SMOOTHED_STEPS = (7, 13)  # under a Hann window: 20 ms are told apart, or noise is averaged
FALLS_DB = (3.0, 4.0, 5.0, 6.5, 8.0)  # below the pulses' own level, from where it is a pause
HYSTERESIS_DB = 2.0
OVER_NOISE_DB = 5.0
OWN_LEVEL_DB = 6.0  # from all pulses' level: up to so much near ones have one of their own
HIGHEST_HZ = 7_400.0  # of a partial
HIGHEST_SHARE = 0.46  # of the rate
GUARD_S = 0.05  # from a pulse to where there is only noise
LEAST_STEPS = 20  # of noise, to compare with
ALIKE = 1.3  # the longer over the shorter of two pulses that may be each other's likes
SHORTEST_S = 0.03
SHORTEST_PAUSE_S = 0.025
CERTAIN_SCORE = 0.9
BEAT_VOTES = 0.5  # of all, for the pulses that come at a beat

Span = tuple[float, float]  # seconds
Steps = tuple[int, int]  # from one to before another


class Told(NamedTuple):
    """What the network told of an episode's pulses."""

    span: Span  # from the first to the last
    certain: list[Span]  # pulses that it is sure of
    start_s: float  # when the first step of its sound begins


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
    pulses, first_s = episode.pulses, start_s + first / rate_hz
    loudnesses = list(_loudnesses(pulses, sound[first:last], rate_hz, first_s))
    counts = list(_counts_in(loudnesses, _told(pulses, first_s)))
    if not counts:
        return episode
    told = [(pulse.onset_s, pulse.offset_s) for pulse in pulses]
    if {len(told)} == set(map(len, counts)):
        return msgspec.structs.replace(episode, counted=len(told))
    regular = in_beat(counts, loudnesses[0], first_s)
    return msgspec.structs.replace(episode, counted=_likeliest(told, counts, regular))


def likeness(
    pulses: Sequence[Pulse], sound: NDArray[np.int16], rate_hz: int, start_s: float
) -> float | None:
    """How much like an appliance's pulses their tone is, all of it from before the first on.

    1 is for what every way of counting finds and is alike throughout, minus infinity for what does
    not stand out from its own pauses; None if `sound`, from `start_s` on, does not hold them.
    """
    counts = counts_of(pulses, sound, rate_hz, start_s)
    if counts is None:
        return None
    told = [(pulse.onset_s, pulse.offset_s) for pulse in pulses]
    agreeing = Counter(map(len, counts))
    different = set(map(tuple, counts))  # many ways find the same
    return max(
        (agreeing[len(spans)] / len(counts) - _oddness(spans, told) for spans in different),
        default=-inf,
    )


def counts_of(
    pulses: Sequence[Pulse], sound: NDArray[np.int16], rate_hz: int, start_s: float
) -> list[list[Span]] | None:
    """What their tone is cut into, from one and a half seconds before the first on, in one way and
    another; None if `sound`, from `start_s` on, does not hold the pulses.
    """
    first_s, last_s = span_to_compare(pulses)
    if start_s > pulses[0].onset_s or start_s + len(sound) / rate_hz < pulses[-1].offset_s:
        return None
    first, last = (max(round((time_s - start_s) * rate_hz), 0) for time_s in (first_s, last_s))
    return list(_counts(pulses, sound[first:last], rate_hz, start_s + first / rate_hz))


def span_to_compare(pulses: Sequence[Pulse]) -> Span:
    """From when to when their sound is needed to know what their tone is cut into, so far."""
    return pulses[0].onset_s - MARGIN_S, pulses[-1].offset_s + AFTER_S


def span_to_count_in(episode: Episode) -> Span | None:
    """From when to when its sound is needed; None if it is too long to be counted."""
    start_s, end_s = episode.pulses[0].onset_s, episode.pulses[-1].offset_s
    if end_s - start_s > LONGEST_S:
        return None
    return start_s - MARGIN_S, end_s + MARGIN_S


def _counts(
    pulses: Sequence[Pulse], sound: NDArray[np.int16], rate_hz: int, start_s: float
) -> Iterator[list[Span]]:
    """The pulses as they are found in one way and another, where any are."""
    return _counts_in(_loudnesses(pulses, sound, rate_hz, start_s), _told(pulses, start_s))


def _loudnesses(
    pulses: Sequence[Pulse], sound: NDArray[np.int16], rate_hz: int, start_s: float
) -> Iterator[Loudness]:
    """How loud their tones are, by each of `SMOOTHED_STEPS`; nothing if they do not stand out."""
    highest_hz = min(HIGHEST_HZ, HIGHEST_SHARE * rate_hz)
    voices = voices_of(pulses)
    several_hz = [voice.pitches_hz(highest_hz) for voice in voices]
    if not any(several_hz):
        return
    tones = demodulated(sound, [hz for pitches_hz in several_hz for hz in pitches_hz], rate_hz)
    at_s = np.asarray(start_s + (np.arange(tones.shape[1]) + 0.5) * STEP_S, dtype=np.float64)
    # What the gate left out is no noise: it is nothing.
    quiet = ~during(pulses, at_s, GUARD_S) & tones.any(axis=0)
    noise = np.flatnonzero(quiet)
    if len(noise) < LEAST_STEPS:
        return
    sounding = [np.flatnonzero(during(voice.pulses, at_s, 0.0)) for voice in voices]
    parts = list(zip(map(len, several_hz), sounding, strict=True))
    for steps in SMOOTHED_STEPS:
        loudness = loudness_of(np.abs(smoothed(tones, steps)) ** 2, parts, noise)
        if loudness is None:
            return
        yield loudness


def _counts_in(loudnesses: Iterable[Loudness], told: Told) -> Iterator[list[Span]]:
    for level_db, contrast_db in loudnesses:
        near_db = np.clip(loudest_near(level_db), -OWN_LEVEL_DB, OWN_LEVEL_DB)
        for beside_db in (level_db, level_db - near_db):
            for found, ways in groupby(_steps_of_pulses(beside_db, contrast_db)):
                if spans := _likely(found, beside_db, told):
                    yield from (spans for _way in ways)


def _likeliest(
    told: Sequence[Span], counts: Sequence[Sequence[Span]], regular: Sequence[Span]
) -> int:
    """How many pulses most ways of counting agree on, unless that were an odd signal.

    Those that come at a beat, `regular` if there are any, have votes of their own.
    """
    agreeing = Counter(map(len, counts))
    votes = {number: times / len(counts) for number, times in agreeing.items()}
    if regular:
        votes[len(regular)] = votes.get(len(regular), 0.0) + BEAT_VOTES
    # Many ways find the same.
    different = dict.fromkeys(tuple(spans) for spans in (told, *counts, regular) if spans)
    best, most_likely = len(told), -np.inf
    for spans in sorted(different, key=lambda spans: -votes.get(len(spans), 0.0)):
        own_votes = votes.get(len(spans), 0.0)
        if own_votes <= most_likely:
            break  # the rest have no more, and oddness only takes away
        likely = own_votes - _oddness(spans, told)
        if likely > most_likely:
            best, most_likely = len(spans), likely
    return best


def _told(pulses: Sequence[Pulse], start_s: float) -> Told:
    return Told(
        span=(pulses[0].onset_s, pulses[-1].offset_s),
        certain=[(p.onset_s, p.offset_s) for p in pulses if p.peak_score >= CERTAIN_SCORE],
        start_s=start_s,
    )


def _steps_of_pulses(level_db: Levels, contrast_db: float) -> list[list[Steps]]:
    """For each of `FALLS_DB`, from where the level rises over the threshold to well below."""
    ups_db = [min(max(-fall_db, OVER_NOISE_DB - contrast_db), -1.5) for fall_db in FALLS_DB]
    downs_db = [max(up_db - HYSTERESIS_DB, 2 - contrast_db) for up_db in ups_db]
    # All in one row, so that it is asked once: each begins with a silent step, and one is the end.
    length = len(level_db) + 1
    loud = np.zeros(len(FALLS_DB) * length + 1, dtype=np.bool_)
    known = np.ones_like(loud)  # in between it is as it was
    rows = (len(FALLS_DB), length)
    np.greater_equal(level_db, np.array(ups_db)[:, np.newaxis], out=loud[:-1].reshape(rows)[:, 1:])
    np.less(level_db, np.array(downs_db)[:, np.newaxis], out=known[:-1].reshape(rows)[:, 1:])
    # A run of what is known begins where one of both changes; the rest of it tells nothing more.
    changes = np.flatnonzero((loud[1:] != loud[:-1]) | (known[1:] != known[:-1])) + 1
    places = changes[loud[changes] | known[changes]]
    sounds = np.concatenate([[False], loud[places]])
    edges = places[sounds[1:] != sounds[:-1]] - 1
    starts, ends = _joined(edges[::2], edges[1::2], length)
    first = length * np.arange(len(FALLS_DB) + 1)
    found = list(zip((starts % length).tolist(), (ends % length).tolist(), strict=True))
    return [found[one:next_one] for one, next_one in pairwise(starts.searchsorted(first).tolist())]


def _joined(starts: Places, ends: Places, length: int) -> tuple[Places, Places]:
    """Without pauses and pulses too short to be any, in rows of that many steps."""
    apart = np.ones(len(starts) + 1, dtype=np.bool_)
    apart[1:-1] = (starts[1:] - ends[:-1]) * STEP_S >= SHORTEST_PAUSE_S
    apart[1:-1] |= starts[1:] // length > starts[:-1] // length
    starts, ends = starts[apart[:-1]], ends[apart[1:]]
    lasting = (ends - starts) * STEP_S >= SHORTEST_S
    return starts[lasting], ends[lasting]


def _likely(found: Sequence[Steps], level_db: Levels, told: Told) -> list[Span]:
    """In seconds, without splinters; beyond the first and last pulse only what is like others."""
    lengths_s = [(end - start) * STEP_S for start, end in found]
    in_order_s = sorted(lengths_s)
    usual_s = middle(in_order_s) if found else 0.0
    spans = [(told.start_s + start * STEP_S, told.start_s + end * STEP_S) for start, end in found]
    likely: list[Span] = []
    for span, length_s, (start, end) in zip(spans, lengths_s, found, strict=True):
        if overlap(span, told.span):
            kept = (
                length_s >= 0.5 * usual_s
                or _how_many_others_like(length_s, in_order_s) >= max(2, len(found) / 4)
                or _is_alone_in_a_certain_pulse(span, spans, told.certain)
            )
        else:
            kept = (
                _ratio(length_s, usual_s, 0.02) <= 1.5
                and _how_many_others_like(length_s, in_order_s) >= 1
                and middle(sorted(level_db[start:end].tolist())) >= -FALLS_DB[0]
            )
        if kept:
            likely.append(span)
    return likely


def _how_many_others_like(length_s: float, in_order_s: Sequence[float]) -> int:
    """Of some lengths, how many are near to one of them."""
    longest_s = ALIKE * (length_s + 0.02) - 0.02
    shortest_s = (length_s + 0.02) / ALIKE - 0.02
    return bisect_right(in_order_s, longest_s) - bisect_left(in_order_s, shortest_s) - 1


def _is_alone_in_a_certain_pulse(
    span: Span, spans: Sequence[Span], certain: Iterable[Span]
) -> bool:
    """Whether it is all that was found of a pulse that the network is sure of, however short."""
    return any(
        overlap(span, pulse) and sum(overlap(one, pulse) for one in spans) == 1 for pulse in certain
    )


def _oddness(spans: Sequence[Span], told: Sequence[Span]) -> float:
    """How unlike an appliance, and unlike what was told; 1 is as much as all counts' votes."""
    lengths_s = [end_s - start_s for start_s, end_s in spans]
    pauses_s = sorted([max(later[0] - one[1], 0.0) for one, later in pairwise(spans)])
    # Nothing to compare: one pause; or none, which is odd where several pulses were told.
    odd = 0.2 if pauses_s or len(told) == 1 else 0.6
    if len(pauses_s) > 1:  # in order, what is most like a pause is beside it
        unlike = [log(_ratio(one_s, next_s, 0.03)) for one_s, next_s in pairwise(pauses_s)]
        odd = _mean([min(before, after, 1.0) for before, after in pairwise([1.0, *unlike, 1.0])])
    lost = (len(told) - how_many_overlap(told, spans)) / len(told)
    other = min(abs(log(len(spans) / len(told))), 1.0)
    return 2.0 * unevenness(lengths_s) + 1.6 * odd + 2.0 * lost + 0.6 * other


def unevenness(lengths_s: Sequence[float]) -> float:
    """By how much they differ from the usual one: the mean of log ratios, each 1 at most."""
    usual_s = middle(sorted(lengths_s))
    return _mean([min(log(_ratio(one_s, usual_s, 0.03)), 1.0) for one_s in lengths_s])


def _mean(values: Sequence[float]) -> float:
    return fsum(values) / len(values)


def middle(in_order_s: Sequence[float]) -> float:
    """The median of what is in order."""
    half = len(in_order_s) // 2
    if len(in_order_s) % 2:
        return in_order_s[half]
    return (in_order_s[half - 1] + in_order_s[half]) / 2


def _ratio(one_s: float, other_s: float, slack_s: float) -> float:
    """The longer over the shorter, each `slack_s` longer: ends are not known better."""
    longer_s, shorter_s = (one_s, other_s) if one_s > other_s else (other_s, one_s)
    return (longer_s + slack_s) / (shorter_s + slack_s)


def overlap(one: Span, other: Span) -> bool:
    return one[0] < other[1] and one[1] > other[0]


def how_many_overlap(spans: Iterable[Span], others: Sequence[Span]) -> int:
    """Of some spans, how many overlap one of the others, which are in order."""
    starts_s = [start_s for start_s, _end_s in others] + [inf]
    ends_s = [end_s for _start_s, end_s in others]
    return sum(starts_s[bisect_right(ends_s, one_s)] < until_s for one_s, until_s in spans)

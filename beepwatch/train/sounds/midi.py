"""Music written down: random phrases as a standard MIDI file.

Format: MIDI Manufacturers Association, Standard MIDI Files 1.0 (1996); one track of format 0.
"""

import struct

import numpy as np
from numpy.random import Generator

TICKS_PER_S = 960  # 480 to a beat of half a second, the tempo a file has unless it says otherwise
DRUMS = 9  # the channel that plays percussion
BEND_RANGE = 2.0  # semitones either way, as General MIDI begins


class Score:
    """Notes and movements of controllers, at seconds from the start."""

    def __init__(self) -> None:
        self._messages: list[tuple[int, int, bytes]] = []  # tick, rank within a tick, message

    def _add(self, at_s: float, rank: int, *message: int) -> None:
        self._messages.append((max(round(at_s * TICKS_PER_S), 0), rank, bytes(message)))

    def program(self, channel: int, program: int) -> None:
        """What a channel plays; `program` counts from 0."""
        self._add(0, 0, 0xC0 | channel, program)

    def note(self, channel: int, key: int, velocity: float, at_s: float, length_s: float) -> None:
        """A note; keys beyond the keyboard and velocities beyond 1 to 127 are taken to its end."""
        key = min(max(key, 0), 127)
        self._add(at_s, 3, 0x90 | channel, key, min(max(round(velocity), 1), 127))
        # Ends sort before starts, so that a repeated note is not cut off by the one before.
        self._add(at_s + max(length_s, 0.01), 2, 0x80 | channel, key, 64)

    def control(self, channel: int, controller: int, value: float, at_s: float) -> None:
        """A controller's new value, 0 to 127."""
        self._add(at_s, 1, 0xB0 | channel, controller, min(max(round(value), 0), 127))

    def bend(self, channel: int, semitones: float, at_s: float) -> None:
        """The pitch wheel, at most BEND_RANGE either way."""
        place = min(max(round(8_192 + semitones / BEND_RANGE * 8_192), 0), 16_383)
        self._add(at_s, 1, 0xE0 | channel, place & 0x7F, place >> 7)

    def encode(self) -> bytes:
        """The whole as a file's bytes."""
        track = bytearray()
        now = 0
        for tick, _, message in sorted(self._messages):
            track += variable_length(tick - now) + message
            now = tick
        track += b"\x00\xff\x2f\x00"
        header = struct.pack(">4sIHHH", b"MThd", 6, 0, 1, TICKS_PER_S // 2)
        return header + struct.pack(">4sI", b"MTrk", len(track)) + bytes(track)


def variable_length(number: int) -> bytes:
    """A number in groups of seven bits, all but the last with the eighth bit set."""
    groups = [number & 0x7F]
    while number := number >> 7:
        groups.append(0x80 | (number & 0x7F))
    return bytes(reversed(groups))


class _Player:
    """Somebody who plays one channel and never twice alike."""

    def __init__(
        self, rng: Generator, score: Score, channel: int, low: int, high: int, breath: bool = False
    ) -> None:
        self._rng = rng
        self._breath = breath
        self._score = score
        self._channel = channel
        steps = np.array([(0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10)][int(rng.integers(2))])
        keys = (np.arange(11)[:, None] * 12 + steps + rng.integers(12)).ravel()
        self._scale = keys[(keys >= low) & (keys <= high)]
        self._place = int(rng.integers(len(self._scale)))

    def key(self) -> int:
        """The next key of a walk over the scale, which often repeats itself."""
        step = int(self._rng.choice([-4, -2, -1, -1, 0, 0, 1, 1, 2, 3]))
        self._place = int(np.clip(self._place + step, 0, len(self._scale) - 1))
        return int(self._scale[self._place])

    def play(self, key: int, at_s: float, length_s: float, loud: float = 80) -> None:
        """One note, a little off in time, level and pitch."""
        rng = self._rng
        at_s += abs(rng.normal(0, 0.012))
        if self._breath:
            self._breathe(at_s, length_s)
        if rng.random() < 0.6:
            self._score.bend(self._channel, rng.normal(0, 0.15) - rng.uniform(0, 0.4), at_s)
            self._score.bend(self._channel, rng.normal(0, 0.08), at_s + 0.05)
        self._score.note(
            self._channel, key, rng.normal(loud, 14), at_s, length_s * rng.uniform(0.85, 1.1)
        )

    def _breathe(self, at_s: float, length_s: float) -> None:
        """Breath or bow: expression that grows into a note and leaves it before its end."""
        rise_s = min(self._rng.uniform(0.04, 0.15), 0.4 * length_s)
        fall_s = min(self._rng.uniform(0.04, 0.2), 0.4 * length_s)
        softest = self._rng.uniform(10, 60)
        for share in np.linspace(0, 1, 8):
            level = softest + (127 - softest) * share
            self._score.control(self._channel, 11, level, at_s + rise_s * share)
            self._score.control(self._channel, 11, level, at_s + length_s - fall_s * share)

    def melody(self, at_s: float, beat_s: float) -> float:
        """Notes of several lengths; the time after the last."""
        legato = self._rng.uniform(0.6, 1.05)
        for _ in range(int(self._rng.integers(5, 16))):
            length_s = beat_s * float(self._rng.choice([0.5, 1, 1, 1.5, 2]))
            self.play(self.key(), at_s, legato * length_s)
            at_s += length_s
        return at_s

    def repeats(self, at_s: float, beat_s: float) -> float:
        """One note again and again, as people do it."""
        key = self.key()
        for _ in range(int(self._rng.integers(3, 10))):
            self.play(key, at_s, beat_s * self._rng.uniform(0.4, 0.8))
            at_s += beat_s * self._rng.uniform(0.85, 1.15)
        return at_s

    def chords(self, at_s: float, beat_s: float) -> float:
        """Three or four keys at once or broken."""
        spread_s = self._rng.choice([0, 0.03, 0.12])
        for _ in range(int(self._rng.integers(2, 7))):
            length_s = beat_s * float(self._rng.choice([1, 2, 3]))
            for number in range(int(self._rng.integers(2, 5))):
                self.play(self.key() + 12 * (number % 2), at_s + number * spread_s, length_s)
            at_s += length_s
        return at_s

    def trill(self, at_s: float, beat_s: float) -> float:
        """Two neighbours in turn, six to fourteen a second."""
        key, step = self.key(), int(self._rng.integers(1, 4))
        pace_s = 1 / self._rng.uniform(6, 14)
        for number in range(int(self._rng.uniform(0.4, 1.5) / pace_s)):
            self.play(key + step * (number % 2), at_s, pace_s)
            at_s += pace_s * self._rng.uniform(0.92, 1.08)
        return at_s

    def glissando(self, at_s: float, beat_s: float) -> float:
        """Long notes that slide by up to two semitones, with a growing vibrato."""
        for _ in range(int(self._rng.integers(1, 4))):
            length_s = beat_s * self._rng.uniform(1.5, 4)
            start, end = self._rng.uniform(-2, 2, 2)
            self._score.note(self._channel, self.key(), self._rng.normal(85, 12), at_s, length_s)
            for share in np.linspace(0, 1, 25):
                slide = start + (end - start) * share
                self._score.bend(self._channel, slide, at_s + share * length_s)
                self._score.control(self._channel, 1, 90 * share, at_s + share * length_s)
            at_s += length_s
            self._score.bend(self._channel, 0, at_s + 0.02)
        return at_s


def solo(rng: Generator, program: int, low: int, high: int, length_s: float, breath: bool) -> bytes:
    """One instrument alone, phrase after phrase; with breath its notes swell and shake."""
    score = Score()
    score.program(0, program)
    player = _Player(rng, score, 0, low, high, breath)
    wheel = [40, 60, 90, 127] if breath else [0, 0, 40, 90]
    styles = [player.melody, player.melody, player.repeats, player.chords, player.trill,
              player.glissando]  # fmt: skip
    at_s = rng.uniform(0, 0.3)
    while at_s < length_s:
        score.control(0, 1, rng.choice(wheel), at_s)  # the modulation wheel
        score.bend(0, 0, at_s)
        beat_s = float(np.exp(rng.uniform(np.log(0.12), np.log(0.7))))
        at_s = styles[int(rng.integers(len(styles)))](at_s, beat_s) + rng.uniform(0.1, 0.9)
    return score.encode()


def held(rng: Generator, program: int, low: int, high: int, length_s: float) -> bytes:
    """A noise that is no instrument: held for a while at some key, again at another."""
    score = Score()
    score.program(0, program)
    at_s = rng.uniform(0, 0.3)
    while at_s < length_s:
        heard_s = rng.uniform(0.6, 6)
        key = int(rng.integers(low, high + 1))
        score.bend(0, rng.normal(0, 0.7), at_s)
        score.note(0, key, rng.uniform(60, 120), at_s, heard_s)
        at_s += heard_s + rng.uniform(0.1, 1.0)
    return score.encode()


def band(rng: Generator, lead: int, length_s: float) -> bytes:
    """Drums, bass, chords and a lead at one tempo."""
    score = Score()
    beat_s = 60 / rng.uniform(75, 160)
    chords_program = int(rng.choice([0, 4, 18, 25, 27, 48, 50, 81, 88, 90]))
    for channel, program in enumerate((lead, chords_program, int(rng.integers(32, 40)))):
        score.program(channel, program)
    player = _Player(rng, score, 0, 60, 88)
    backing = _Player(rng, score, 1, 48, 72)
    bass = _Player(rng, score, 2, 28, 45)
    for step in range(int(length_s / beat_s * 2)):
        at_s = step * beat_s / 2
        _drum(rng, score, step, at_s)
        if step % 8 == 0:
            for _ in range(3):
                backing.play(backing.key(), at_s, 3.8 * beat_s, loud=75)
        if step % 2 == 0 or rng.random() < 0.3:
            bass.play(bass.key(), at_s, 0.6 * beat_s, loud=95)
        if rng.random() < 0.7:
            player.play(player.key(), at_s, beat_s * float(rng.choice([0.4, 0.9, 1.4])))
    return score.encode()


def _drum(rng: Generator, score: Score, step: int, at_s: float) -> None:
    """A cymbal always; a kick and a snare in turn on the beats."""
    score.note(DRUMS, 42, rng.normal(70, 12), at_s, 0.05)
    if step % 4 == 0 or rng.random() < 0.1:
        score.note(DRUMS, 36, rng.normal(105, 8), at_s, 0.1)
    if step % 4 == 2:
        score.note(DRUMS, int(rng.choice([38, 39])), rng.normal(100, 8), at_s, 0.1)

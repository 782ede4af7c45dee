"""Phrases are files that any sequencer reads, and hold the notes that they should."""

from itertools import pairwise

import msgspec
import numpy as np
import pytest

from beepwatch.train.sounds import midi

BREATH = 11  # the expression controller


class Message(msgspec.Struct, frozen=True):
    """One message of a track."""

    at_s: float
    kind: int  # the upper half of its status byte
    channel: int
    data: tuple[int, ...]


def messages(score: bytes) -> list[Message]:
    """Read as the standard says, all but the end of the track."""
    assert score[:8] == b"MThd\x00\x00\x00\x06"
    assert score[14:18] == b"MTrk"
    assert int.from_bytes(score[18:22]) == len(score) - 22
    found, place, tick = [], 22, 0
    while score[place:] != b"\x00\xff\x2f\x00":
        wait = 0
        while score[place] & 0x80:
            wait, place = wait << 7 | score[place] & 0x7F, place + 1
        tick += wait << 7 | score[place]
        status, place = score[place + 1], place + 2
        count = 1 if status >> 4 == 0xC else 2
        data = tuple(score[place : place + count])
        assert all(byte < 0x80 for byte in data)
        found.append(Message(tick / midi.TICKS_PER_S, status >> 4, status & 0x0F, data))
        place += count
    return found


def notes(score: bytes, channel: int = 0) -> list[tuple[int, float, float]]:
    """Key, start and end of every note of a channel; each start has its end."""
    sounding: dict[int, list[float]] = {}
    found = []
    for message in messages(score):
        if message.channel == channel and message.kind == 0x9:
            assert message.data[1] > 0
            sounding.setdefault(message.data[0], []).append(message.at_s)
        elif message.channel == channel and message.kind == 0x8:
            found.append((message.data[0], sounding[message.data[0]].pop(0), message.at_s))
    assert not any(sounding.values())
    return sorted(found, key=lambda note: note[1])


def programs(score: bytes) -> dict[int, int]:
    """What each channel plays."""
    return {one.channel: one.data[0] for one in messages(score) if one.kind == 0xC}


@pytest.mark.parametrize(
    ("number", "encoded"),
    [(0, "00"), (0x7F, "7f"), (0x80, "8100"), (0x3FFF, "ff7f"), (0x200000, "81808000")],
)
def test_numbers_of_variable_length_are_as_the_standard_shows_them(
    number: int, encoded: str
) -> None:
    """Standard MIDI Files 1.0, the table of examples."""
    assert midi.variable_length(number).hex() == encoded


def test_a_score_is_a_file_of_format_0_with_ends_before_starts() -> None:
    score = midi.Score()
    score.note(0, 60, 100, 0.5, 0.5)
    score.note(0, 60, 100, 0.0, 0.5)
    assert score.encode().hex() == (
        "4d546864" "00000006" "0000" "0001" "01e0"  # header: format 0, one track, 480 a beat
        "4d54726b" "00000016"
        "00903c64" "8360803c40" "00903c64" "8360803c40" "00ff2f00"
    )  # fmt: skip


def test_a_wheel_at_rest_is_in_the_middle() -> None:
    score = midi.Score()
    score.bend(0, 0, 0)
    score.bend(0, 2, 0.001)
    assert bytes.fromhex("e00040") in score.encode()
    assert bytes.fromhex("e07f7f") in score.encode()


def test_what_lies_beyond_an_instrument_is_taken_to_its_end() -> None:
    score = midi.Score()
    score.note(0, 200, 300, 0.0, 0.0)
    score.control(0, 7, -5, 0.0)
    score.bend(0, 9, 0.0)
    found = {message.kind: message for message in messages(score.encode())}
    assert found[0x9].data == (127, 127)
    assert found[0xB].data == (7, 0)
    assert found[0xE].data == (0x7F, 0x7F)
    assert found[0x8].at_s == pytest.approx(0.01, abs=0.001)  # no note is shorter


@pytest.mark.parametrize("breath", [True, False])
def test_a_soloist_plays_its_instrument_within_its_range_for_as_long_as_asked(breath: bool) -> None:
    """Chords reach an octave higher, trills three keys."""
    for seed in range(5):
        score = midi.solo(np.random.default_rng(seed), 73, 60, 84, 20.0, breath)
        played = notes(score)
        assert programs(score) == {0: 73}
        assert min(key for key, _on, _off in played) >= 60
        assert max(key for key, _on, _off in played) <= 84 + 12
        assert played[0][1] < 0.5
        assert played[-1][1] > 18.0
        swells = [one for one in messages(score) if one.kind == 0xB and one.data[0] == BREATH]
        assert bool(swells) == breath


def test_no_two_notes_of_a_soloist_are_alike() -> None:
    """Level, length and pause: appliances repeat themselves exactly, people never do."""
    score = midi.solo(np.random.default_rng(0), 73, 60, 84, 20.0, breath=False)
    starts = [message for message in messages(score) if message.kind == 0x9]
    assert len({message.data[1] for message in starts}) > 15
    played = notes(score)
    assert len({round(off - on, 3) for _key, on, off in played}) > 0.8 * len(played)


def test_a_noise_is_held_again_and_again_with_pauses() -> None:
    for seed in range(5):
        score = midi.held(np.random.default_rng(seed), 122, 40, 80, 20.0)
        held = notes(score)
        assert programs(score) == {0: 122}
        assert all(40 <= key <= 80 for key, _on, _off in held)
        assert all(0.6 <= off - on <= 6.01 for _key, on, off in held)
        pauses = [after[1] - before[2] for before, after in pairwise(held)]
        assert all(0.09 <= pause <= 1.01 for pause in pauses)
        assert held[-1][2] > 19.0


def test_a_band_is_a_lead_chords_a_bass_and_drums_at_one_tempo() -> None:
    for seed in range(5):
        score = midi.band(np.random.default_rng(seed), 80, 20.0)
        playing = programs(score)
        assert playing[0] == 80
        assert playing.keys() == {0, 1, 2}
        assert 32 <= playing[2] < 40
        bass = [key for key, _on, _off in notes(score, 2)]
        assert max(bass) <= 45
        assert len(notes(score, 1)) >= 6
        cymbals = [on for key, on, _off in notes(score, midi.DRUMS) if key == 42]
        beats = np.diff(cymbals)
        assert beats == pytest.approx(beats[0], abs=0.003)
        assert 60 / 160 / 2 - 0.002 <= beats[0] <= 60 / 75 / 2 + 0.002
        kicks = {on for key, on, _off in notes(score, midi.DRUMS) if key == 36}
        assert set(cymbals[::4]) <= kicks

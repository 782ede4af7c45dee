"""A frame's truth is what the pulses say, and a beep is to be seen where it stands out."""

import numpy as np
import pytest

from beepwatch.train.synthesis import Pulse
from beepwatch.train.truth import OPEN, TONE, cell_energy, frame_truth, tone_cells
from tests.train.conftest import beeps

FRAME = 320  # samples


def pulse(onset_s: float, offset_s: float) -> Pulse:
    return Pulse(onset_s=onset_s, offset_s=offset_s, pitch_hz=2_000)


# The truth of frames


def test_truth_is_the_share_of_each_frame_that_a_pulse_fills() -> None:
    truth, _weight = frame_truth((pulse(0.10, 0.20),), 8, 0.04)
    assert truth.tolist() == pytest.approx([0, 0, 0.5, 1, 1, 0, 0, 0], abs=1e-6)


def test_a_ringing_room_after_a_pulse_counts_less() -> None:
    _truth, weight = frame_truth((pulse(0.08, 0.20),), 12, 0.04)
    assert weight.tolist() == pytest.approx([1] * 5 + [0.3] * 3 + [1] * 4)


def test_the_next_pulse_counts_fully_even_while_the_last_one_rings() -> None:
    _truth, weight = frame_truth((pulse(0.0, 0.08), pulse(0.12, 0.2)), 5, 0.04)
    assert weight.tolist() == pytest.approx([1, 1, 0.3, 1, 1])


def test_a_tone_longer_than_any_beep_is_open_and_not_false() -> None:
    truth, weight = frame_truth((pulse(0.0, 3.6),), 100, 0.04)
    assert truth[:90].tolist() == [1.0] * 90
    assert weight[76:90].tolist() == [0.0] * 14


def test_a_pulse_that_began_before_the_clip_counts_little() -> None:
    """Its onset was never heard; the next pulse counts fully."""
    truth, weight = frame_truth((pulse(-0.1, 0.08), pulse(0.28, 0.36)), 10, 0.04)
    assert truth.tolist() == pytest.approx([1, 1, 0, 0, 0, 0, 0, 1, 1, 0], abs=1e-6)
    assert weight.tolist() == pytest.approx([0.1, 0.1, 0.3, 0.3, 0.3, 1, 1, 1, 1, 0.3])


# Where a beep is to be seen


def test_a_cell_holds_the_energy_of_its_frame_and_the_one_before() -> None:
    """Bins of 50 Hz: 2,000 Hz is number 40. A Hann window's sum over two frames is one frame."""
    sound = beeps(2_000, [(0.1, 0.2)], 0.4).astype(np.float32)  # frames 5 to 9
    energy = cell_energy(sound, FRAME)
    assert energy.shape == (20, 161)
    whole = (0.3 / 2 * FRAME) ** 2
    assert energy[6:10, 40] == pytest.approx(whole, rel=1e-3)
    assert energy[[5, 10], 40] == pytest.approx(whole / 4, rel=1e-2)
    assert energy[:5].max() == energy[11:].max() == 0
    assert energy[7].argmax() == 40
    assert energy[7, [37, 38, 42, 43]].max() < 1e-6 * whole


def test_a_beep_is_to_be_seen_at_its_pitch_while_it_sounds_and_perhaps_after() -> None:
    """Over quiet hiss: its bin and the two beside it, which a Hann window fills too."""
    sound = beeps(2_000, [(0.1, 0.2)], 0.4).astype(np.float32)
    sound[3_200:] += 0.02 * beeps(2_000, [(0.0, 0.2)], 0.2).astype(np.float32)  # the room
    back = np.random.default_rng(0).normal(0, 1e-5, len(sound)).astype(np.float32)
    truth, _weight = frame_truth((pulse(0.1, 0.2),), 20, 0.02)
    cells = tone_cells(sound, back, truth, FRAME)
    assert cells.dtype == np.int8
    seen = np.argwhere(cells == TONE)
    assert set(seen[:, 0].tolist()) == {5, 6, 7, 8, 9}
    assert set(seen[:, 1].tolist()) == {39, 40, 41}
    assert not cells[:5].any()
    assert cells[10, 40] == OPEN  # its last frame is half of this one's span
    assert not cells[12:].any()  # so faint that nobody could ask for it


def test_a_beep_that_the_background_drowns_is_not_to_be_seen() -> None:
    """In its own bin: hiss as loud as the tone is only open, a hundred times its energy nothing."""
    sound = beeps(2_000, [(0.0, 0.4)], 0.4).astype(np.float32)
    truth = np.ones(20, dtype=np.float32)
    louder = [tone_cells(sound, factor * sound, truth, FRAME)[5, 40] for factor in (0.9, 1.5, 10)]
    assert louder == [TONE, OPEN, 0]

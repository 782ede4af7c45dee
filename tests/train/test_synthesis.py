"""Synthesised sound is what its truth says it is."""

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beepwatch.train.synthesis import (
    Rhythm,
    Sound,
    Timbre,
    at_peak,
    beep,
    beep_pitch_hz,
    draw_pitches,
    draw_rhythm,
    draw_timbre,
    gliding_tone,
    known_rhythm,
    log_uniform,
    pulse_sound,
)

RATE_HZ = 16_000
PURE = Timbre(
    partials=((1.0, 1.0),), attack_s=0.002, release_s=0.002, decay_s=np.inf, flutter_hz=0.0,
    roughness=0.0, bend=0.0, sweep=0.0,
)  # fmt: skip


def buzzed(pitch_hz: float, length_s: float, **other: object) -> Sound:
    """A pulse of a pure buzzer, or of one that differs from it."""
    timbre = msgspec.structs.replace(PURE, **other)
    return pulse_sound(np.random.default_rng(0), pitch_hz, length_s, timbre, RATE_HZ)


def loudest_hz(sound: np.ndarray) -> float:
    """The strongest bin of its spectrum."""
    return float(np.argmax(np.abs(np.fft.rfft(sound)))) * RATE_HZ / len(sound)


@settings(max_examples=60)
@given(seed=st.integers(0, 10_000))
def test_a_beep_sounds_within_its_pulses_and_nowhere_else(seed: int) -> None:
    signal = beep(np.random.default_rng(seed), 4.0, RATE_HZ)
    time_s = np.arange(len(signal.sound)) / RATE_HZ
    inside = np.zeros(len(signal.sound), dtype=bool)
    for pulse in signal.pulses:
        inside |= (time_s >= pulse.onset_s - 1e-4) & (time_s < pulse.offset_s + 1e-4)
    assert signal.pulses
    assert not signal.sound[~inside].any()
    for pulse in signal.pulses:
        span = signal.sound[round(pulse.onset_s * RATE_HZ) : round(pulse.offset_s * RATE_HZ)]
        assert np.abs(span).max() > 1e-4


@settings(max_examples=60)
@given(seed=st.integers(0, 10_000))
def test_pulses_are_as_long_and_as_high_as_appliances_make_them(seed: int) -> None:
    signal = beep(np.random.default_rng(seed), 4.0, RATE_HZ)
    for pulse in signal.pulses[:-1]:
        assert 0.059 <= pulse.offset_s - pulse.onset_s <= 3.0
    for pulse in signal.pulses:
        assert 390 <= pulse.pitch_hz <= 6_000
    for before, after in zip(signal.pulses, signal.pulses[1:], strict=False):
        assert after.onset_s >= before.offset_s - 1e-6


def test_a_pulse_has_its_pitch_and_its_length() -> None:
    sound = buzzed(1_000, 0.5)
    assert len(sound) == 8_000
    assert loudest_hz(sound) == 1_000  # 8,000 samples: bins of 2 Hz


def test_no_partial_is_folded_back() -> None:
    """Of twelve multiples of 3,100 Hz two lie below 0.48 of the rate."""
    partials = tuple((float(order), 1.0) for order in range(1, 13))
    spectrum = np.abs(np.fft.rfft(buzzed(3_100, 0.5, partials=partials)))
    strong_hz = np.flatnonzero(spectrum > 0.2 * spectrum.max()) * 2
    distance_hz = np.minimum(np.abs(strong_hz - 3_100), np.abs(strong_hz - 6_200))
    assert distance_hz.max() <= 10
    assert {3_100, 6_200} <= set(strong_hz.tolist())


def test_two_tones_at_once_stand_apart_as_told() -> None:
    """1,000 and 1,300 Hz, the second half as loud."""
    sound = buzzed(1_000, 1.0, partials=((1.0, 1.0), (1.3, 0.5)))
    amplitude = np.abs(np.fft.rfft(sound)) / (RATE_HZ / 2)
    assert amplitude[1_000] == pytest.approx(1.0, abs=0.01)
    assert amplitude[1_300] == pytest.approx(0.5, abs=0.01)


def test_a_sweep_moves_the_pitch_by_its_octaves_over_the_pulse() -> None:
    sound = buzzed(1_000, 1.0, sweep=0.25)
    first, last = sound[:1_600], sound[-1_600:]  # their middles are at 0.05 and 0.95 s
    assert loudest_hz(first) == pytest.approx(1_000 * 2 ** (0.25 * 0.05), abs=10)
    assert loudest_hz(last) == pytest.approx(1_000 * 2 ** (0.25 * 0.95), abs=10)


def test_a_bend_is_soon_gone_and_leaves_only_its_phase() -> None:
    """20 Hz that die away with 10 ms are a fifth of a turn."""
    late = np.arange(round(0.1 * RATE_HZ), round(0.4 * RATE_HZ))
    wave = np.exp(-2j * np.pi * 1_000 * late / RATE_HZ)
    plain, bent = (buzzed(1_000, 0.5, bend=bend)[late] for bend in (0.0, 0.02))
    turned = np.angle((bent * wave).sum() / (plain * wave).sum()) / (2 * np.pi)
    assert turned == pytest.approx(0.2, abs=0.005)
    assert np.abs(bent.max() - plain.max()) < 0.01


def test_a_decaying_pulse_is_down_to_1_over_e_after_its_time_constant() -> None:
    sound = np.abs(buzzed(1_000, 1.0, decay_s=0.3))
    first, later = (sound[at : at + 160].max() for at in (800, 800 + 4_800))
    assert later / first == pytest.approx(np.exp(-1), rel=0.01)


@pytest.mark.parametrize(("roughness", "softest"), [(1.0, 0.0), (0.0, 0.5)])
def test_a_rasping_buzzer_pauses_as_hard_as_it_is_rough(roughness: float, softest: float) -> None:
    """Twenty times a second: off at roughness 1, and at 0 between half of its level and all."""
    sound = buzzed(2_000, 1.0, flutter_hz=20.0, roughness=roughness)
    level = np.abs(sound[1_600:-1_600]).reshape(-1, 16).max(axis=1)  # each millisecond
    assert level.min() == pytest.approx(softest, abs=0.02)
    assert level.max() == pytest.approx(1.0, abs=0.02)
    quiet = level < softest + 0.05
    starts = np.flatnonzero(np.diff(quiet.astype(int)) == 1)
    assert np.diff(starts) == pytest.approx(50, abs=1)


@settings(max_examples=100)
@given(seed=st.integers(0, 10_000), pitch_hz=st.floats(400, 6_000))
def test_a_buzzer_sounds_its_own_pitch_loudly_enough(seed: int, pitch_hz: float) -> None:
    """Harmonics lie below 7,600 Hz; one tone may stand between them."""
    timbre = draw_timbre(np.random.default_rng(seed), pitch_hz)
    multiples = dict(timbre.partials)
    assert multiples[1.0] >= 0.5
    assert all(0 < amplitude <= 1 for amplitude in multiples.values())
    assert max(pitch_hz * multiple for multiple in multiples if multiple % 1 == 0) <= 7_600
    assert sum(multiple % 1 != 0 for multiple in multiples) <= 1
    assert 0.001 <= timbre.attack_s <= 0.02
    assert 0.001 <= timbre.release_s <= 0.03
    assert timbre.decay_s >= 0.2
    assert abs(timbre.sweep) <= 0.25


def test_most_buzzers_are_steady_and_some_rasp_ring_slide_or_have_two_tones() -> None:
    rng = np.random.default_rng(0)
    drawn = [draw_timbre(rng, 1_000) for _ in range(2_000)]

    def share(chosen: list[bool]) -> float:
        return sum(chosen) / len(drawn)

    assert share([one.flutter_hz > 0 for one in drawn]) == pytest.approx(0.12, abs=0.03)
    assert share([np.isfinite(one.decay_s) for one in drawn]) == pytest.approx(0.2, abs=0.03)
    assert share([one.sweep != 0 for one in drawn]) == pytest.approx(0.04, abs=0.02)
    two = [any(multiple % 1 for multiple, _ in one.partials) for one in drawn]
    assert share(two) == pytest.approx(0.08, abs=0.025)
    pure = [len(one.partials) == 1 for one in drawn]
    assert share(pure) == pytest.approx(0.35 * 0.92, abs=0.04)


def test_half_of_all_buzzers_sit_where_a_piezo_disc_resonates() -> None:
    """Of the others log2(4,600 / 1,700) of log2(6,000 / 400) octaves lie there too, 37 %."""
    rng = np.random.default_rng(0)
    pitches_hz = np.array([beep_pitch_hz(rng) for _ in range(4_000)])
    assert 400 <= pitches_hz.min() < 500
    assert 5_000 < pitches_hz.max() <= 6_000
    inside = (pitches_hz >= 1_700) & (pitches_hz <= 4_600)
    assert inside.mean() == pytest.approx(0.5 + 0.5 * 0.37, abs=0.03)


def test_a_log_uniform_number_is_as_likely_in_each_octave() -> None:
    rng = np.random.default_rng(0)
    octaves = np.log2([log_uniform(rng, 100, 1_600) for _ in range(4_000)]) - np.log2(100)
    counts = np.histogram(octaves, bins=4, range=(0, 4))[0]
    assert counts.sum() == 4_000
    assert counts == pytest.approx(1_000, abs=150)


@settings(max_examples=100)
@given(seed=st.integers(0, 10_000))
def test_a_rhythm_has_pulses_of_60_ms_to_2_and_a_half_seconds(seed: int) -> None:
    rhythm = draw_rhythm(np.random.default_rng(seed))
    assert 1 <= len(rhythm) <= 25
    assert all(0.06 <= on_s <= 2.5 for on_s, _off_s in rhythm)
    assert all(off_s >= 0.05 for _on_s, off_s in rhythm[:-1])


def test_rhythms_are_single_steady_grouped_or_in_turn() -> None:
    rng = np.random.default_rng(0)
    drawn = [draw_rhythm(rng) for _ in range(2_000)]
    single = sum(len(rhythm) == 1 for rhythm in drawn) / len(drawn)
    steady = sum(len(rhythm) > 1 and len(set(rhythm)) == 1 for rhythm in drawn) / len(drawn)
    assert single == pytest.approx(0.2, abs=0.03)
    assert steady == pytest.approx(0.48 + 0.1 * 3 / 6, abs=0.04)


def test_a_known_rhythm_is_a_standard_one_at_another_pace() -> None:
    """The evacuation signal: three pulses of half a second, half a second apart, 1.5 s pause."""

    def three_and_a_pause(rhythm: Rhythm) -> bool:
        paused_s = [off_s for _on_s, off_s in rhythm]
        return len(rhythm) == 9 and paused_s[:3] == pytest.approx(
            [paused_s[0], paused_s[0], 3 * paused_s[0]]
        )

    drawn = [known_rhythm(np.random.default_rng(seed)) for seed in range(200)]
    evacuations = [rhythm for rhythm in drawn if three_and_a_pause(rhythm)]
    assert 15 <= len(evacuations) <= 60
    for rhythm in evacuations:
        on_s = {on_s for on_s, _off_s in rhythm}
        assert len(on_s) == 1
        assert on_s == {rhythm[0][1]}
        assert 0.85 * 0.5 <= on_s.pop() <= 1.2 * 0.5
    assert min(on_s for rhythm in drawn for on_s, _off_s in rhythm) >= 0.06


def test_pitches_stay_change_in_turn_or_play_a_tune() -> None:
    rng = np.random.default_rng(0)
    drawn = [draw_pitches(rng, 8) for _ in range(2_000)]
    assert {len(pitches) for pitches in drawn} == {8}
    one = sum(len(set(pitches)) == 1 for pitches in drawn) / len(drawn)
    in_turn = [p for p in drawn if len(set(p)) == 2 and p[:2] * 4 == p]
    assert one == pytest.approx(0.78, abs=0.03)
    assert len(in_turn) / len(drawn) == pytest.approx(0.1, abs=0.03)
    assert min(min(pitches) for pitches in drawn) >= 400
    assert max(max(pitches) for pitches in drawn) <= 6_000


def test_a_gliding_tone_follows_its_pitch() -> None:
    sound = gliding_tone(np.repeat([1_000.0, 2_000.0], RATE_HZ), RATE_HZ)
    assert loudest_hz(sound[:RATE_HZ]) == 1_000
    assert loudest_hz(sound[RATE_HZ:]) == 2_000


def test_the_same_seed_gives_the_same_sound() -> None:
    first, again = (beep(np.random.default_rng(9), 4.0, RATE_HZ) for _ in range(2))
    assert first.pulses == again.pulses
    assert np.array_equal(first.sound, again.sound)
    assert not np.array_equal(first.sound, beep(np.random.default_rng(8), 4.0, RATE_HZ).sound)


def test_silence_stays_silent() -> None:
    assert not at_peak(np.zeros(10, dtype=np.float32)).any()


def test_a_peak_is_1_whatever_it_was() -> None:
    scaled = at_peak(np.array([0.1, -0.25, 0.0], dtype=np.float32))
    assert scaled.tolist() == pytest.approx([0.4, -1.0, 0.0])
    assert scaled.dtype == np.float32

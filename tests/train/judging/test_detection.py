"""Detections are counted as a user would count them."""

import math

import msgspec
import numpy as np
import pytest

from beepwatch.train.judging.detection import (
    Evidence,
    Heard,
    Hearing,
    Share,
    Verdict,
    curve,
    judge,
    lowest_threshold,
    overlaps,
    poisson_interval,
    pooled,
    pulse_bin,
    result,
    room_kind,
    timing,
)
from beepwatch.train.judging.streams import BeepStream

TRUTH = ((1.0, 1.2), (1.5, 1.7))


class Scored(msgspec.Struct, frozen=True):
    """Detections with the score that each needs."""

    detections: tuple[Heard, ...]

    def at(self, threshold: float) -> list[Heard]:
        """Those that score as high."""
        return [heard for heard in self.detections if heard.score >= threshold]


def heard(*pulses: tuple[float, float], score: float = 1.0) -> Heard:
    """A detection of these pulses."""
    return Heard(onset_s=pulses[0][0], offset_s=pulses[-1][1], pulses=pulses, score=score)


def stream(
    snr_db: float = 20.0,
    pulses: tuple[tuple[float, float], ...] = TRUTH,
    device: str = "timer",
    kin: bool = False,
    room_s: float | None = None,
) -> BeepStream:
    """A stream of half an hour of which only the description counts."""
    return BeepStream(
        pcm=np.zeros(1_800, dtype=np.int16), pulses=pulses, pitch_hz=2_000, device=device,
        snr_db=snr_db, kin=kin, room_s=room_s, example=np.zeros(1, dtype=np.float32),
    )  # fmt: skip


def hearing(beeps: list[Evidence], silent: dict[str, list[Evidence]]) -> Hearing:
    """A detector whose thresholds run from 0.1 to 0.9."""
    sweep = tuple(np.arange(0.1, 0.95, 0.1).round(1).tolist())
    return Hearing(name="some", threshold=0.5, sweep=sweep, beeps=beeps, silent=silent)


@pytest.mark.parametrize(
    ("span", "expected"),
    [
        ((1.0, 2.0), True),
        ((0.0, 0.6), True),
        ((0.0, 0.4), False),
        ((5.4, 6), True),
        ((5.6, 6), False),
    ],
)
def test_a_detection_counts_within_half_a_second(span: tuple[float, float], expected: bool) -> None:
    assert overlaps(span, [(1.0, 2.0), (4.0, 5.0)]) is expected


def test_a_verdict_measures_the_beep_and_counts_what_is_beside_it() -> None:
    found = [heard((1.03, 1.2)), heard((1.5, 1.6), (1.65, 1.75)), heard((9.0, 9.1))]
    verdict = judge(found, TRUTH)
    assert verdict.heard
    assert verdict.elsewhere == 1
    assert verdict.onset_error_s == pytest.approx(0.03)
    assert verdict.offset_error_s == pytest.approx(0.05)
    assert (verdict.pulses, verdict.true_pulses) == (3, 2)


def test_a_miss_has_no_times() -> None:
    verdict = judge([heard((9.0, 9.1))], TRUTH)
    assert not verdict.heard
    assert verdict.elsewhere == 1
    assert math.isnan(verdict.onset_error_s)


@pytest.mark.parametrize(
    ("count", "hours", "low", "high"),
    [
        (0, 1.0, 0.0, 3.689),
        (1, 1.0, 0.0253, 5.572),
        (10, 1.0, 4.795, 18.390),
        (10, 2.0, 2.398, 9.195),
    ],
)
def test_intervals_are_those_of_a_table_of_poisson_limits(
    count: int, hours: float, low: float, high: float
) -> None:
    """Garwood's limits for 0, 1 and 10, as tables of the exact interval give them."""
    assert poisson_interval(count, hours) == pytest.approx((low, high), abs=1e-3)


def test_nothing_is_known_of_no_time_at_all() -> None:
    assert poisson_interval(0, 0.0) == (0.0, math.inf)


def test_a_result_tells_snrs_devices_and_lengths_apart() -> None:
    single = ((1.0, 1.05),)
    streams = [
        stream(20.0),
        stream(20.0, device="oven", room_s=0.5),
        stream(5.0),
        stream(20.0, single, device="fridge"),
        stream(20.0, device="monitor", kin=True),
    ]
    some, none = Scored((heard((1.0, 1.2)),)), Scored((heard((9.0, 9.1)),))
    found = result(
        hearing([some, none, some, some, none], {"household": [none], "nature": [some, none]}),
        streams,
        {"household": 0.5, "nature": 0.25},
        rate_hz=1,
    )
    assert (found.patterns[20.0].heard, found.patterns[20.0].of) == (1, 2)
    assert found.patterns[5.0].share == 1.0
    assert (found.singles[20.0].heard, found.singles[20.0].of) == (1, 1)
    assert (found.kin[20.0].heard, found.kin[20.0].of) == (0, 1)
    assert found.by_device["oven"][20.0].heard == 0
    assert set(found.by_pulse) == {"0 to 100 ms", "100 to 300 ms"}
    assert found.by_pulse["0 to 100 ms"][20.0].heard == 1
    assert found.by_room["furnished room, RT60 under 0.7 s"][20.0].heard == 0
    assert found.by_room["room unknown"][20.0].heard == 2
    assert found.per_hour(hard=False) == 2.0
    assert found.per_hour(hard=True) == 4.0
    assert found.per_hour(hard=None) == pytest.approx(8 / 3)
    assert found.elsewhere == 2
    assert found.elsewhere_hours == pytest.approx(2.5)


def test_false_alarms_are_the_mean_over_what_a_detector_was_told() -> None:
    one, none = Scored((heard((1.0, 1.2)),)), Scored(())
    assert hearing([], {"music": [one, none]}).false_alarms(0.5) == {"music": 0.5}


@pytest.mark.parametrize(
    ("pulse_s", "name"),
    [
        (0.099, "0 to 100 ms"),
        (0.1, "100 to 300 ms"),
        (0.5, "300 ms to 1 s"),
        (1.0, "over 1 s"),
        (9.0, "over 1 s"),
    ],
)
def test_pulse_lengths_fall_in_bins(pulse_s: float, name: str) -> None:
    assert pulse_bin(pulse_s) == name


@pytest.mark.parametrize(
    ("room_s", "name"),
    [
        (0.69, "furnished room, RT60 under 0.7 s"),
        (0.7, "hall, stairwell, RT60 over 0.7 s"),
        (None, "room unknown"),
    ],
)
def test_rooms_are_told_apart_by_how_long_they_ring(room_s: float | None, name: str) -> None:
    assert room_kind(stream(room_s=room_s)) == name


def test_clear_beeps_of_all_levels_are_taken_together() -> None:
    cells = {20.0: Share(heard=3, of=4), 10.0: Share(heard=1, of=4), 5.0: Share(heard=0, of=4)}
    assert pooled(cells) == Share(heard=4, of=8)
    assert pooled({5.0: Share(heard=0, of=4)}) is None


def test_timing_is_judged_where_the_beep_is_clear() -> None:
    def verdict(error_s: float, pulses: int) -> Verdict:
        return Verdict(
            heard=True, elsewhere=0, onset_error_s=error_s, offset_error_s=0.0,
            pulses=pulses, true_pulses=2,
        )  # fmt: skip

    streams = [stream(20.0), stream(10.0), stream(10.0), stream(5.0)]
    verdicts = [verdict(0.01, 2), verdict(0.02, 2), verdict(0.06, 5), verdict(3.0, 9)]
    found = timing(streams, verdicts)
    assert found.heard == 3
    assert found.onset_error_ms == pytest.approx((20, 52))
    assert found.count_exact == pytest.approx(2 / 3)
    assert found.count_error == pytest.approx(1.0)


def test_a_curve_trades_false_alarms_for_recall() -> None:
    streams = [stream(20.0), stream(10.0), stream(0.0)]
    beeps: list[Evidence] = [Scored((heard(*TRUTH, score=s),)) for s in (0.85, 0.25, 0.95)]
    alarms: list[Evidence] = [Scored((heard(*TRUTH, score=0.35), heard(*TRUTH, score=0.65)))]
    some = hearing(beeps, {"speech": alarms})
    points = curve(some, streams, {"speech": 0.5})
    assert [point.recall for point in points] == [1.0] * 2 + [0.5] * 6 + [0.0]
    assert [point.false_alarms_per_hour for point in points] == [4.0] * 3 + [2.0] * 3 + [0.0] * 3
    assert lowest_threshold(some, {"speech": 0.5}, 0.0) == 0.7
    assert lowest_threshold(some, {"speech": 0.5}, 2.0) == 0.4


def test_one_endless_alarm_at_a_low_threshold_does_not_make_it_a_good_one() -> None:
    class Melting:
        def at(self, threshold: float) -> list[Heard]:
            return [heard((0.0, 900.0))] if threshold < 0.3 else [heard(*TRUTH)] * (threshold < 0.6)

    class Many:
        def at(self, threshold: float) -> list[Heard]:
            return [heard(*TRUTH)] * (5 if 0.3 <= threshold < 0.6 else threshold < 0.3)

    assert lowest_threshold(hearing([], {"music": [Many()]}), {"music": 1.0}, 1.0) == 0.6
    assert lowest_threshold(hearing([], {"music": [Melting()]}), {"music": 1.0}, 1.0) == 0.1


def test_no_threshold_may_be_high_enough() -> None:
    always = Scored((heard(*TRUTH, score=1.0),))
    assert lowest_threshold(hearing([], {"music": [always]}), {"music": 1.0}, 0.0) == 0.9

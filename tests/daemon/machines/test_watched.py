"""A machine that is listened to: pieces of sound in, an alert and its end out."""

from datetime import timedelta

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beepwatch.classify.portraits import portrait
from beepwatch.classify.spectra import RATE_HZ, WINDOW_SAMPLES
from beepwatch.daemon.machines.watched import Ear, Machine, Told
from beepwatch.decide.condition import MachineWatch
from beepwatch.messages import AlertKind, Hum
from tests.daemon.fans import as_window, hums, normal_fan, well, whining
from tests.daemon.loud import START

RAMP = (np.arange(20 * RATE_HZ) % 30_000).astype(np.int16)


def machine(watch: MachineWatch | None = None) -> Machine:
    return Machine(normal_fan(), "0123456789ab", watch or MachineWatch())


def told(one: Machine, heard: list[Hum]) -> list[Told]:
    """Window by window, at the end of each."""
    found = []
    for hum in heard:
        at = hum.started_at + timedelta(seconds=3)
        found.append(one.hear(portrait(hum.waveform()), hum.started_mono_s + 3, at))
    return [news for news in found if news is not None]


@given(
    st.lists(st.tuples(st.integers(1, 30), st.integers(1, 40)), min_size=1, max_size=30),
)
def test_windows_are_whole_and_in_their_order_however_the_pieces_overlap(
    cuts: list[tuple[int, int]],
) -> None:
    """Pieces of 0.1 s and more, each beginning within or at the end of what was heard."""
    ear, end, windows = Ear(), 0, []
    (whole,) = hums(RAMP[: 3 * RATE_HZ])
    for back, length in cuts:
        first = max(0, end - back * RATE_HZ // 10)
        stop = min(first + length * RATE_HZ // 10, len(RAMP))
        piece = Hum(
            **{
                **{name: getattr(whole, name) for name in whole.__struct_fields__},
                "first_sample": first,
                "samples": stop - first,
                "pcm": RAMP[first:stop].tobytes(),
            }
        )
        end = max(end, stop)
        window = ear.hear(piece)
        if window is not None:
            windows.append(window)
            assert window.tolist() == RAMP[end - WINDOW_SAMPLES : end].tolist()
    assert len(windows) <= end // WINDOW_SAMPLES


def test_overlapping_windows_are_judged_one_after_another() -> None:
    """Ten seconds in windows of 3 s every second hold three of them, of what is new each."""
    ear = Ear()
    heard = [ear.hear(as_window(hum)) for hum in hums(RAMP[: 10 * RATE_HZ], every_s=1.0)]
    found = [window for window in heard if window is not None]
    assert np.concatenate(found).tolist() == RAMP[: 9 * RATE_HZ].tolist()


def test_what_lies_on_both_sides_of_a_gap_is_no_window() -> None:
    ear = Ear()
    cut = [
        Hum(
            **{
                **{name: getattr(hum, name) for name in hum.__struct_fields__},
                "pcm": hum.pcm[: 2 * RATE_HZ],  # a second
                "samples": RATE_HZ,
            }
        )
        for hum in hums(RAMP, every_s=1.0)
    ]
    heard = [ear.hear(piece) for piece in (*cut[:2], *cut[3:5], cut[5], *cut[7:9])]
    (window,) = [one for one in heard if one is not None]
    assert window.tolist() == RAMP[3 * RATE_HZ : 6 * RATE_HZ].tolist()


def test_a_whine_is_told_once_with_what_is_new_and_its_end_once() -> None:
    first, second = told(machine(), list(hums(well(60), whining(180), well(150))))
    assert first.alert.kind is AlertKind.UNUSUAL
    assert first.alert.text == (
        "the fan has sounded unusual for 1 min; "
        "most like: 3.1 kHz whine that was not there, 29 dB more"
    )
    assert first.alert.created_at == START + timedelta(seconds=120)
    assert first.event is not None
    assert (first.event.label, first.event.final, first.event.pulses) == ("fan", False, 0)
    assert first.event.onset == START + timedelta(seconds=60)
    assert first.event.peak_score > 1
    assert second.alert.kind is AlertKind.RECOVERED
    assert second.alert.text == "the fan sounds as usual again, after 3 min"
    assert second.event is None


def test_time_in_which_it_is_off_is_no_evidence() -> None:
    silence = np.zeros(600 * RATE_HZ, np.int16)
    assert told(machine(), list(hums(silence))) == []
    one = machine()
    assert told(one, list(hums(whining(45), silence))) == []
    assert one.watch.evidence_s == 42  # no time has passed before the first window


def test_what_creeps_is_told_with_what_has_become_of_it() -> None:
    """A whine so faint that no window of it is strange enough."""
    watch = MachineWatch("report")
    watch.drift = 0.51  # as after days
    (drifted,) = told(machine(watch), list(hums(well(6))))
    assert drifted.alert.kind is AlertKind.UNUSUAL
    assert drifted.alert.text.startswith(
        "the fan has slowly come to sound otherwise than when it was learned; most like: "
    )
    assert drifted.event is not None


@pytest.mark.parametrize(("for_s", "said"), [(60, "1 min"), (605, "10 min"), (9_000, "2 h")])
def test_how_long_is_said_as_a_person_would(for_s: float, said: str) -> None:
    watch = MachineWatch()
    one = machine(watch)
    told(one, list(hums(whining(57))))
    known = watch.memory(57.0)
    watch.recall(msgspec.structs.replace(known, since_ago_s=for_s - 6), 57.0)
    (unusual,) = told(one, list(hums(whining(6), from_s=57.0)))
    assert f"unusual for {said};" in unusual.alert.text

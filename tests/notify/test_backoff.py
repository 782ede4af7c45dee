"""When to try again."""

from hypothesis import given
from hypothesis import strategies as st

from beepwatch.messages import Delivery, DeliveryState
from beepwatch.notify.backoff import Backoff, Waits, is_given_up
from beepwatch.notify.channels import RetryAfter, Shut, Unreachable
from tests.notify.laundry import at, notice

WAITS = Waits()


@given(attempts=st.integers(1, 100_000))
def test_waits_double_up_to_a_minute_with_a_quarter_of_jitter(attempts: int) -> None:
    plain_s = min(60.0, 2.0 ** min(attempts - 1, 30))
    wait_s = Backoff(WAITS).after_s(attempts, Unreachable("no route"))
    assert plain_s <= wait_s <= 1.25 * plain_s


def test_the_servers_wish_is_honoured_to_the_second() -> None:
    assert Backoff(WAITS).after_s(9, RetryAfter(41)) == 41
    assert Backoff(WAITS).after_s(9, RetryAfter(1e9)) == 86_400


def test_a_shut_channel_is_asked_every_five_minutes_from_the_first_time_on() -> None:
    assert 300 <= Backoff(WAITS).after_s(1, Shut("blocked")) <= 375


def delivery() -> Delivery:
    return Delivery(
        id=1,
        alert=notice(),
        channel="console",
        state=DeliveryState.PENDING,
        attempts=0,
        next_try_at=None,
        last_error=None,
        reference=None,
    )


def test_an_alert_is_given_up_after_a_month_of_trying_only() -> None:
    month_s = 30 * 86_400
    assert not is_given_up(delivery(), 30_000, at(month_s), WAITS)
    assert not is_given_up(delivery(), 1_999, at(month_s + 1), WAITS)
    assert is_given_up(delivery(), 2_000, at(month_s + 1), WAITS)

"""Trying reads again: what is retried, how long, and how often."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunekit.engine.plans import Call, run
from tunekit.engine.retrying import READS, WAITS, RetryPolicy, retried
from tunekit.errors import (
    AuthenticationError,
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    ProviderError,
    QuotaExceededError,
    RateLimitError,
    UnclearReplyError,
)
from tunekit.testing import VirtualClock


def failing(*errors: Exception) -> tuple[Callable[[], str], list[int]]:
    """A call that raises these errors in turn and then answers; and how often it was made."""
    waiting = list(errors)
    made: list[int] = []

    def call() -> str:
        made.append(1)
        if waiting:
            raise waiting.pop(0)
        return "answer"

    return call, made


@pytest.mark.parametrize("error", [UnclearReplyError, RateLimitError])
def test_an_outage_is_waited_out_with_growing_pauses(
    clock: VirtualClock, error: type[ProviderError]
) -> None:
    call, made = failing(*[error("down")] * 7)
    assert run(retried(call, clock, WAITS), clock) == "answer"
    assert clock.sleeps == [1, 2, 4, 8, 16, 30, 30]
    assert len(made) == 8


@pytest.mark.parametrize(
    "error",
    [
        AuthenticationError,
        PermissionDeniedError,
        NotFoundError,
        InvalidRequestError,
        ConflictError,
        QuotaExceededError,
        ProviderError,
    ],
)
def test_a_clear_refusal_is_not_tried_again(
    clock: VirtualClock, error: type[ProviderError]
) -> None:
    call, made = failing(error("no"))
    with pytest.raises(error):
        run(retried(call, clock), clock)
    assert (len(made), clock.sleeps) == (1, [])


def test_an_error_that_is_none_of_ours_is_not_tried_again(clock: VirtualClock) -> None:
    call, made = failing(RuntimeError("a bug"))
    with pytest.raises(RuntimeError):
        run(retried(call, clock), clock)
    assert len(made) == 1


@pytest.mark.parametrize("policy", [READS, WAITS])
def test_an_outage_without_end_is_reported_in_time(
    clock: VirtualClock, policy: RetryPolicy
) -> None:
    call, _ = failing(*[UnclearReplyError("down")] * 1000)
    with pytest.raises(UnclearReplyError):
        run(retried(call, clock, policy), clock)
    assert policy.outage - policy.maximum <= clock.monotonic() <= policy.outage


def test_a_pause_that_the_provider_asks_for_is_kept(clock: VirtualClock) -> None:
    call, _ = failing(RateLimitError("a", retry_after=17), UnclearReplyError("b", retry_after=5))
    run(retried(call, clock), clock)
    assert clock.sleeps == [17, 5]


def test_a_pause_beyond_the_patience_is_reported_at_once(clock: VirtualClock) -> None:
    call, made = failing(RateLimitError("a", retry_after=3600))
    with pytest.raises(RateLimitError) as caught:
        run(retried(call, clock), clock)
    assert caught.value.retry_after == 3600
    assert (len(made), clock.sleeps) == (1, [])


@pytest.mark.parametrize("asked", [0, 0.001, -5])
def test_a_provider_that_asks_for_no_pause_is_not_hammered(
    clock: VirtualClock, asked: float
) -> None:
    call, made = failing(*[RateLimitError("a", retry_after=asked)] * 10_000)
    with pytest.raises(RateLimitError):
        run(retried(call, clock), clock)
    assert len(made) <= READS.outage / READS.initial + 1


@given(
    asked=st.lists(st.none() | st.floats(-10, 200), min_size=1, max_size=60),
    until=st.none() | st.floats(0, 400),
)
def test_no_pause_goes_past_patience_or_deadline(
    asked: list[float | None], until: float | None
) -> None:
    clock = VirtualClock()
    call, made = failing(*[RateLimitError("a", retry_after=pause) for pause in asked])
    try:
        run(retried(call, clock, WAITS, until=until), clock)
    except RateLimitError:
        assert len(made) <= len(asked)
    else:
        assert len(made) == len(asked) + 1
    assert clock.monotonic() <= WAITS.outage
    if until is not None:
        assert clock.monotonic() <= until + 1e-9
    assert len(made) <= WAITS.outage / WAITS.initial + 1


def test_a_pause_that_a_deadline_cuts_short_ends_in_the_error(clock: VirtualClock) -> None:
    call, made = failing(*[UnclearReplyError("down")] * 50)
    with pytest.raises(UnclearReplyError):
        run(retried(call, clock, WAITS, until=10), clock)
    assert clock.sleeps == [1, 2, 4, 3]
    assert len(made) == 4


def test_an_atomic_call_stays_atomic_when_it_is_tried_again(clock: VirtualClock) -> None:
    plan = retried(lambda: None, clock, atomic=True)
    command = next(plan)
    assert isinstance(command, Call)
    assert command.atomic
    plan.close()

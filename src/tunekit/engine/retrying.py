"""Trying reads again. A create call is never tried again here; see `submission`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from tunekit.engine.plans import Call, Clock, Plan, Sleep
from tunekit.errors import ProviderError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long a failing read is tried again.

    Attributes:
        initial: Seconds before the second attempt; doubled each time, up to `maximum`.
        maximum: Longest pause in seconds.
        outage: Seconds after which an outage is reported instead of tried again.
    """

    initial: float = 1.0
    maximum: float = 30.0
    outage: float = 300.0


READS = RetryPolicy(outage=60.0)
WAITS = RetryPolicy()


def retried(
    call: Callable[[], T],
    clock: Clock,
    policy: RetryPolicy = READS,
    *,
    atomic: bool = False,
    until: float | None = None,
) -> Plan[T]:
    """Make a call that may safely be repeated until it answers, or the outage is too long.

    A pause that the provider asks for (`retry_after`) is honoured as long as it fits, and never
    shorter than the policy's first one.

    Args:
        call: What to call.
        clock: The time.
        policy: How often and for how long.
        atomic: See `Call`.
        until: A deadline by `clock.monotonic()`. No pause goes past it, and after a pause that it
            has cut short the error is raised.

    Raises:
        ProviderError: It is not retryable, or the outage lasted longer than the policy allows.
    """
    deadline = clock.monotonic() + policy.outage
    pause = policy.initial
    while True:
        try:
            result: T = yield Call(call, atomic=atomic)
        except ProviderError as error:
            now = clock.monotonic()
            asked = error.retry_after
            wanted = pause if asked is None else max(asked, policy.initial)
            if not error.retryable or now + wanted > deadline:
                raise
            if until is not None and now + wanted > until:
                yield Sleep(max(0.0, until - now))
                raise
            yield Sleep(wanted)
            pause = min(pause * 2, policy.maximum)
        else:
            return result

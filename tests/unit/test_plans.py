"""Running plans in the calling thread."""

from __future__ import annotations

import pytest

from tunekit.engine.plans import Call, Emit, Plan, Sleep, SystemClock, iterate, run
from tunekit.testing import VirtualClock


def test_a_plan_gets_the_result_of_each_call_and_returns_its_own(clock: VirtualClock) -> None:
    def plan() -> Plan[int]:
        first = yield Call(lambda: 20)
        yield Sleep(3)
        second = yield Call(lambda: 1)
        return int(2 * (first + second))

    assert run(plan(), clock) == 42
    assert clock.sleeps == [3]


def test_an_error_of_a_call_is_the_plan_s_to_judge(clock: VirtualClock) -> None:
    def plan() -> Plan[str]:
        try:
            yield Call(lambda: 1 // 0)
        except ZeroDivisionError:
            return "judged"
        return "missed"

    assert run(plan(), clock) == "judged"


def test_an_error_that_the_plan_does_not_catch_reaches_the_caller(clock: VirtualClock) -> None:
    def plan() -> Plan[None]:
        yield Call(lambda: 1 // 0)

    with pytest.raises(ZeroDivisionError):
        run(plan(), clock)


def test_emitted_values_reach_whoever_iterates_in_order(clock: VirtualClock) -> None:
    def plan() -> Plan[None]:
        for number in range(3):
            yield Emit(number)
            yield Sleep(1)

    assert list(iterate(plan(), clock)) == [0, 1, 2]


def test_a_negative_pause_is_none(clock: VirtualClock) -> None:
    def plan() -> Plan[None]:
        yield Sleep(-5)

    run(plan(), clock)
    assert clock.sleeps == [0]


@pytest.mark.parametrize("left_by", ["break", "interrupt"])
def test_a_plan_that_is_left_is_closed(clock: VirtualClock, left_by: str) -> None:
    closed = []

    def interrupt() -> None:
        raise KeyboardInterrupt

    def plan() -> Plan[None]:
        try:
            yield Emit(1)
            yield Call(interrupt)
        finally:
            closed.append(True)

    values = iterate(plan(), clock)
    assert next(values) == 1
    if left_by == "break":
        values.close()  # type: ignore[attr-defined]
    else:
        with pytest.raises(KeyboardInterrupt):
            next(values)
    assert closed == [True]


def test_the_system_clock_moves_by_what_it_sleeps() -> None:
    clock = SystemClock()
    before = clock.monotonic()
    clock.sleep(0.02)
    assert clock.monotonic() - before >= 0.02
    assert clock.now().tzinfo is not None

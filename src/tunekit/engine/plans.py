"""Plans: generators that say what to do next, and the synchronous way of running them."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol, TypeAlias, TypeVar

import anyio

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call:
    """Make one short blocking call and send its result (or its exception) back into the plan.

    Attributes:
        func: What to call.
        atomic: Whether a cancelled caller waits until the call is done, instead of leaving it to
            end by itself. For calls whose answer must reach the ledger.
    """

    func: Callable[[], Any]
    atomic: bool = False


@dataclass(frozen=True, slots=True)
class Sleep:
    """Let this many seconds pass."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Emit:
    """Hand a value to whoever iterates over the plan."""

    value: Any


Plan: TypeAlias = Generator[Call | Sleep | Emit, Any, T]


class Clock(Protocol):
    """Time, so that tests can bring their own."""

    def monotonic(self) -> float:
        """Seconds that never run backwards."""

    def now(self) -> datetime:
        """The wall clock, in UTC."""

    def sleep(self, seconds: float) -> None:
        """Block the calling thread."""

    async def sleep_async(self, seconds: float) -> None:
        """Let other tasks run meanwhile; may be cancelled."""


class SystemClock:
    """The real time."""

    def monotonic(self) -> float:
        """Seconds that never run backwards."""
        return time.monotonic()

    def now(self) -> datetime:
        """The wall clock, in UTC."""
        return datetime.now(UTC)

    def sleep(self, seconds: float) -> None:
        """Block the calling thread."""
        time.sleep(seconds)

    async def sleep_async(self, seconds: float) -> None:
        """Let other tasks run meanwhile; may be cancelled."""
        await anyio.sleep(seconds)


def iterate(plan: Plan[T], clock: Clock) -> Iterator[Any]:
    """Run a plan in the calling thread and give each value that it emits."""
    answer: Any = None
    error: Exception | None = None
    try:
        while True:
            try:
                command = plan.send(answer) if error is None else plan.throw(error)
            except StopIteration:
                return
            answer, error = None, None
            match command:
                case Sleep(seconds):
                    clock.sleep(max(0.0, seconds))
                case Call(func):
                    try:
                        answer = func()
                    except Exception as raised:  # the plan decides what it means
                        error = raised
                case Emit(value):
                    yield value
    finally:
        plan.close()


def run(plan: Plan[T], clock: Clock) -> T:
    """Run a plan to its end in the calling thread and return its result."""
    result: list[T] = []

    def keep() -> Plan[None]:
        result.append((yield from plan))

    for _ in iterate(keep(), clock):
        pass  # a plan that is run for its result has nobody to emit to
    return result[0]

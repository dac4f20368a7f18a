"""Cuts a launch off at any point: between two steps of its plan, or within one of them."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, Literal, TypeVar

from typing_extensions import override

from tunekit.engine.plans import Call, Emit, Plan, Sleep
from tunekit.ledger import Ledger
from tunekit.providers.base import FineTuneProvider
from tunekit.testing import VirtualClock

T = TypeVar("T")
When = Literal["before", "after"]


class Abandoned(Exception):
    """The caller went away."""


def drive(
    plan: Plan[T], clock: VirtualClock, *, leave: tuple[int, When] | None = None
) -> tuple[T, int]:
    """Run a plan by hand, and leave it before or after its n-th command was carried out.

    Returns:
        Its result and the number of commands.

    Raises:
        Abandoned: It was left, and closed as Python would.
    """
    generator: Generator[Call | Sleep | Emit, Any, T] = plan
    number = 0
    answer: Any = None
    error: Exception | None = None
    while True:
        try:
            command = generator.send(answer) if error is None else generator.throw(error)
        except StopIteration as end:
            return end.value, number
        answer, error = None, None
        if leave == (number, "before"):
            generator.close()
            raise Abandoned
        if isinstance(command, Sleep):
            clock.sleep(command.seconds)
        elif isinstance(command, Call):
            try:
                answer = command.func()
            except Exception as raised:
                error = raised
        if leave == (number, "after"):
            generator.close()
            raise Abandoned
        number += 1


class Points:
    """Counts the operations of provider and ledger, and does something at one of them."""

    def __init__(self, number: int | None, when: When, act: Callable[[], object]) -> None:
        self.number = number
        self.when = when
        self.act = act
        self.passed: list[str] = []

    def through(self, name: str, work: Callable[[], Any]) -> Any:
        mine = len(self.passed) == self.number
        self.passed.append(name)
        if mine and self.when == "before":
            self.act()
        try:
            return work()
        finally:
            if mine and self.when == "after":
                self.act()


WATCHED_PROVIDER = ("prepare", "upload", "submit", "find", "fetch")
WATCHED_LEDGER = ("run", "open_run", "run_of_tag", "set_state", "file", "add_file")


def watched(target: T, names: tuple[str, ...], points: Points) -> T:
    """Let the named methods of this object go through the points."""
    for name in names:
        method = getattr(target, name)

        def through(*args: Any, _name: str = name, _method: Any = method, **kwargs: Any) -> Any:
            return points.through(_name, lambda: _method(*args, **kwargs))

        setattr(target, name, through)
    return target


def watch_both(
    provider: FineTuneProvider, ledger: Ledger, points: Points
) -> tuple[FineTuneProvider, Ledger]:
    return (
        watched(provider, WATCHED_PROVIDER, points),
        watched(ledger, WATCHED_LEDGER, points),
    )


class ScheduledClock(VirtualClock):
    """A clock that a scheduler sets, for many plans side by side."""

    @override
    def sleep(self, seconds: float) -> None:
        raise AssertionError("the scheduler lets time pass")

    def set(self, moment: float) -> None:
        self.advance(moment - self.monotonic())

"""Runs plans in an event loop: loops are awaited, and only short blocking calls use threads."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

import anyio
import anyio.to_thread

from tunekit.engine.plans import Call, Emit, Plan, Sleep
from tunekit.engine.session import Session

T = TypeVar("T")

THREADS = 8
"""Blocking calls of one client that are under way at the same time."""


class _Work(Generic[T]):
    """A call that either runs to its end, or never starts once nobody waits for it."""

    def __init__(self, func: Callable[[], T]) -> None:
        self._func = func
        self._lock = threading.Lock()
        self._state: Literal["waiting", "running", "over"] = "waiting"

    def __call__(self) -> T:
        with self._lock:
            if self._state == "over":
                raise RuntimeError("the caller has gone")
            self._state = "running"
        try:
            return self._func()
        finally:
            self._state = "over"

    def is_under_way(self) -> bool:
        """Whether it runs now. When it has not begun yet, it never will."""
        with self._lock:
            if self._state == "waiting":
                self._state = "over"
            return self._state == "running"


@dataclass
class AsyncSession:
    """A session whose plans are awaited."""

    session: Session
    _limiter: anyio.CapacityLimiter | None = field(default=None, repr=False)

    @property
    def limiter(self) -> anyio.CapacityLimiter:
        """Bounds the threads; made inside the running event loop."""
        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(THREADS)
        return self._limiter

    async def call(self, func: Callable[[], T], *, atomic: bool = False) -> T:
        """Make a blocking call in a thread.

        A cancelled caller leaves it at once, and the call ends by itself; an `atomic` one is
        waited for.
        """
        if not atomic:
            return await anyio.to_thread.run_sync(
                func, abandon_on_cancel=True, limiter=self.limiter
            )
        work = _Work(func)
        try:
            return await anyio.to_thread.run_sync(work, limiter=self.limiter)
        except anyio.get_cancelled_exc_class():
            # anyio shields the thread from its own cancellation, but `asyncio.Task.cancel` (and
            # with it `asyncio.timeout` and `wait_for`) reaches through that.
            while work.is_under_way():
                with suppress(anyio.get_cancelled_exc_class()), anyio.CancelScope(shield=True):
                    await anyio.sleep(0.01)
            raise

    async def iterate(self, plan: Plan[Any]) -> AsyncIterator[Any]:
        """Run a plan and give each value that it emits."""
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
                        await self.session.clock.sleep_async(max(0.0, seconds))
                    case Call(func, atomic):
                        try:
                            answer = await self.call(func, atomic=atomic)
                        except Exception as raised:  # the plan decides what it means
                            error = raised
                    case Emit(value):
                        yield value
        finally:
            plan.close()

    async def run(self, plan: Plan[T]) -> T:
        """Run a plan to its end and return its result."""
        result: list[T] = []

        def keep() -> Plan[None]:
            result.append((yield from plan))

        async with aclosing(self.iterate(keep())) as emitted:  # type: ignore[type-var]
            async for _ in emitted:
                pass  # a plan that is run for its result has nobody to emit to
        return result[0]

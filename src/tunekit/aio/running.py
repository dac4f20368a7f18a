"""Runs plans in an event loop: loops are awaited, and only short blocking calls use threads."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, TypeVar

import anyio
import anyio.to_thread

from tunekit.engine.plans import Call, Emit, Plan, Sleep
from tunekit.engine.session import Session

T = TypeVar("T")

THREADS = 8
"""Blocking calls of one client that are under way at the same time."""


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
        return await anyio.to_thread.run_sync(
            func, abandon_on_cancel=not atomic, limiter=self.limiter
        )

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

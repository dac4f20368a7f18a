"""A clock that moves only when somebody sleeps on it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import anyio.lowlevel


class VirtualClock:
    """Time for tests: `sleep` returns at once and moves the clock.

    Attributes:
        sleeps: Every pause that was asked for, in seconds.
    """

    def __init__(self, start: datetime | None = None) -> None:
        self._start = start or datetime(2026, 1, 1, tzinfo=UTC)
        self._elapsed = 0.0
        self.sleeps: list[float] = []

    def monotonic(self) -> float:
        """Seconds since the clock was made."""
        return self._elapsed

    def now(self) -> datetime:
        """The wall clock, in UTC."""
        return self._start + timedelta(seconds=self._elapsed)

    def sleep(self, seconds: float) -> None:
        """Move the clock."""
        self.sleeps.append(seconds)
        self._elapsed += seconds

    async def sleep_async(self, seconds: float) -> None:
        """Move the clock and let other tasks run."""
        self.sleep(seconds)
        await anyio.lowlevel.checkpoint()

    def advance(self, seconds: float) -> None:
        """Move the clock without recording a pause."""
        self._elapsed += seconds

"""The asynchronous job handle."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any

from typing_extensions import override

from tunekit.aio.models import TunedModel
from tunekit.aio.running import AsyncSession
from tunekit.providers.base import Checkpoint, JobEvent, JobSnapshot, JobStatus


class Job:
    """The asynchronous twin of `tunekit.Job`; see there for what each verb does and raises."""

    def __init__(self, session: AsyncSession, snapshot: JobSnapshot) -> None:
        self._session = session
        self._verbs = session.session
        self.snapshot = snapshot

    @property
    def id(self) -> str:
        """The provider's id of the job."""
        return self.snapshot.id

    @property
    def status(self) -> JobStatus:
        """Where the job stood when it was last looked at."""
        return self.snapshot.status

    @property
    def run(self) -> str | None:
        """The run name under which it was started, when it was started from here."""
        return self._verbs.run_name(self.id)

    async def refresh(self) -> Job:
        """Look at the job again and return this handle."""
        self.snapshot = await self._session.run(self._verbs.fetch_job(self.id))
        return self

    async def watch(self, *, timeout: float | None = None) -> AsyncIterator[JobSnapshot]:  # noqa: ASYNC109 - as in the synchronous handle
        """Wait like `wait`, and give each snapshot on the way."""
        plan = self._verbs.wait_job(self.id, timeout)
        async with aclosing(self._session.iterate(plan)) as snapshots:  # type: ignore[type-var]
            async for snapshot in snapshots:
                self.snapshot = snapshot
                yield snapshot

    async def wait(self, *, timeout: float | None = None) -> Job:  # noqa: ASYNC109 - as above
        """Wait until the job has succeeded; a cancelled wait leaves the job running."""
        async with aclosing(self.watch(timeout=timeout)) as snapshots:  # type: ignore[type-var]
            async for _ in snapshots:
                pass  # the last snapshot is what counts
        return self

    async def result(self, *, timeout: float | None = None) -> TunedModel:  # noqa: ASYNC109 - as above
        """Wait for the job and return its tuned model."""
        await self.wait(timeout=timeout)
        return TunedModel(self._session, self._verbs.tuned_model(self.snapshot))

    async def events(
        self, *, follow: bool = False, after: str | None = None
    ) -> AsyncIterator[JobEvent]:
        """The job's events, oldest first and each once."""
        plan = self._verbs.events(self.id, follow=follow, after=after)
        async with aclosing(self._session.iterate(plan)) as found:  # type: ignore[type-var]
            async for event in found:
                yield event

    async def metrics(self) -> list[dict[str, Any]]:
        """One row of figures per metric event."""
        return await self._session.run(self._verbs.metrics(self.id))

    async def checkpoints(self) -> Sequence[Checkpoint]:
        """Complete checkpoints, oldest first."""
        return await self._session.run(self._verbs.checkpoints(self.id))

    async def cancel(self) -> Job:
        """Ask for the job to be cancelled; harmless when it is over."""
        self.snapshot = await self._session.run(self._verbs.cancel(self.id))
        return self

    async def pause(self) -> Job:
        """Ask the job to save a whole checkpoint and stop."""
        self.snapshot = await self._session.run(self._verbs.pause(self.id))
        return self

    async def resume(self) -> Job:
        """Let a paused job go on from its checkpoint."""
        self.snapshot = await self._session.run(self._verbs.resume(self.id))
        return self

    @override
    def __repr__(self) -> str:
        return f"<aio.Job {self.id!r} {self.status.value}>"

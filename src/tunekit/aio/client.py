"""The asynchronous client."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any, Self

from typing_extensions import override

from tunekit.aio.deployments import Deployment
from tunekit.aio.jobs import Job
from tunekit.aio.models import TunedModel
from tunekit.aio.running import AsyncSession
from tunekit.client import open_session
from tunekit.config import Config
from tunekit.data import Dataset
from tunekit.engine.plans import Clock
from tunekit.engine.session import Session
from tunekit.ledger import Run
from tunekit.problems import Report
from tunekit.providers.base import Estimate, FineTuneProvider, ModelRef, Progress
from tunekit.spec import FineTuneSpec


def connect(
    profile: str | None = None,
    *,
    provider: str | FineTuneProvider | None = None,
    config: Config | str | Path | None = None,
    clock: Clock | None = None,
    **settings: Any,
) -> Client:
    """Connect as `tunekit.connect` does; does no network I/O and needs no await."""
    return Client(
        open_session(profile, provider=provider, config=config, clock=clock, settings=settings)
    )


class Client:
    """The asynchronous twin of `tunekit.Client`; see there for what each verb does and raises."""

    def __init__(self, session: Session) -> None:
        self._session = AsyncSession(session)

    @property
    def provider(self) -> FineTuneProvider:
        """The provider underneath."""
        return self._session.session.provider

    @property
    def session(self) -> Session:
        """Provider, ledger, configuration and clock, for code that builds on the handles."""
        return self._session.session

    async def check(
        self, spec: FineTuneSpec, train: Dataset, validation: Dataset | None = None
    ) -> Report:
        """Find every fault of a launch. Sends nothing."""
        return await self._session.call(partial(self.session.check, spec, train, validation))

    async def estimate(
        self, spec: FineTuneSpec, train: Dataset, validation: Dataset | None = None
    ) -> Estimate:
        """Say what the job would take."""
        return await self._session.call(partial(self.session.estimate, spec, train, validation))

    async def fine_tune(
        self,
        spec: FineTuneSpec,
        train: Dataset,
        validation: Dataset | None = None,
        *,
        run: str | None = None,
        on_report: Callable[[Report], None] | None = None,
        on_upload: Progress | None = None,
    ) -> Job:
        """Start the job, or return the one that this run already has."""
        plan = self.session.fine_tune(
            spec, train, validation, run, on_report=on_report, on_upload=on_upload
        )
        return Job(self._session, await self._session.run(plan))

    async def job(self, ref: str) -> Job:
        """The job with this run name or job id."""
        return Job(self._session, await self._session.run(self.session.find_job(ref)))

    async def jobs(self, *, limit: int | None = None) -> AsyncIterator[Job]:
        """The account's jobs, newest first; pages are fetched as they are needed."""
        cursor: str | None = None
        given = 0
        while True:
            page = await self._session.run(self.session.jobs_page(cursor, 20))
            for snapshot in page.data:
                if limit is not None and given >= limit:
                    return
                given += 1
                yield Job(self._session, snapshot)
            cursor = page.cursor
            if not page.has_more or cursor is None:
                return

    async def recover(self) -> list[Run]:
        """Settle runs that were interrupted while they were submitted. Creates nothing."""
        return await self._session.run(self.session.recover())

    def model(self, model: str | ModelRef) -> TunedModel:
        """A handle on any model of the provider. No I/O."""
        if isinstance(model, str):
            resolved = self.session.config.model(model, self.provider.name)
            model = ModelRef(id=resolved, provider=self.provider.name)
        return TunedModel(self._session, model)

    async def deployments(self) -> list[Deployment]:
        """Everything of this account that stands now, and may cost money."""
        found = await self._session.run(self.session.deployments())
        return [Deployment(self._session, snapshot) for snapshot in found]

    async def deployment(self, name: str) -> Deployment:
        """The deployment of this name."""
        snapshot = await self._session.run(self.session.fetch_deployment(name))
        return Deployment(self._session, snapshot)

    async def close(self) -> None:
        """Free connections. Jobs and deployments go on."""
        await self._session.call(self.provider.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    @override
    def __repr__(self) -> str:
        return f"<aio.Client {self.provider.account!r}>"

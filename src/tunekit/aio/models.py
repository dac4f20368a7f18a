"""The asynchronous model handle."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from typing_extensions import override

from tunekit._text import parse_duration
from tunekit.aio.deployments import Deployment
from tunekit.aio.running import AsyncSession
from tunekit.providers.base import Artifact, ModelRef


class TunedModel:
    """The asynchronous twin of `tunekit.TunedModel`; see there for what each verb does."""

    def __init__(self, session: AsyncSession, ref: ModelRef) -> None:
        self._session = session
        self._verbs = session.session
        self.ref = ref

    @property
    def id(self) -> str:
        """What the provider calls it; a folder for local models."""
        return self.ref.id

    @property
    def base_model(self) -> str | None:
        """What it was tuned from; None when it is a base itself."""
        return self.ref.base_model

    async def deploy(
        self,
        *,
        name: str | None = None,
        ttl: str | float | timedelta | None = None,
        wait: bool = True,
        timeout: float | None = 900.0,  # noqa: ASYNC109 - as in the synchronous handle
        **options: Any,
    ) -> Deployment:
        """Bring the model up and return once a real chat call has been answered."""
        plan = self._verbs.deploy(self.ref, name=name, ttl=parse_duration(ttl), options=options)
        deployment = Deployment(self._session, await self._session.run(plan))
        return await deployment.wait(timeout=timeout) if wait else deployment

    async def artifacts(self) -> Sequence[Artifact]:
        """The model's files."""
        return await self._session.run(self._verbs.artifacts(self.ref))

    async def download(self, to: str | Path) -> Path:
        """Copy the model's files into the folder `to`, which appears whole or not at all."""
        return await self._session.run(self._verbs.download(self.ref, Path(to)))

    async def merge(self, to: str | Path | None = None) -> TunedModel:
        """Merge an adapter into its base, in a folder of its own, and return that model."""
        target = None if to is None else Path(to)
        merged = await self._session.run(self._verbs.merge(self.ref, target))
        return TunedModel(self._session, merged)

    async def push(self, repo_id: str, *, private: bool = True) -> str:
        """Send the model to a Hugging Face repository and return its URL."""
        return await self._session.run(self._verbs.push(self.ref, repo_id, private=private))

    async def delete(self) -> None:
        """Delete the model at the provider. Deleting it twice is harmless."""
        await self._session.run(self._verbs.delete_model(self.ref))

    @override
    def __repr__(self) -> str:
        return f"<aio.TunedModel {self.id!r}>"

"""The asynchronous deployment handle."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractContextManager
from datetime import datetime
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Self

import anyio
from typing_extensions import override

from tunekit import inference
from tunekit.aio.running import AsyncSession
from tunekit.errors import DeploymentError
from tunekit.inference import ChatReply, Prompt
from tunekit.providers.base import DeploymentSnapshot, DeploymentStatus, Endpoint, ModelRef

if TYPE_CHECKING:
    import openai


class Deployment:
    """The asynchronous twin of `tunekit.Deployment`; see there for what each verb does."""

    def __init__(self, session: AsyncSession, snapshot: DeploymentSnapshot) -> None:
        self._session = session
        self._verbs = session.session
        self.snapshot = snapshot

    @property
    def name(self) -> str:
        """Its identity at the provider."""
        return self.snapshot.name

    @property
    def status(self) -> DeploymentStatus:
        """Where it stood when it was last looked at."""
        return self.snapshot.status

    @property
    def model(self) -> ModelRef:
        """What it serves."""
        return self.snapshot.model

    @property
    def expires_at(self) -> datetime | None:
        """When it ends by itself, if it does."""
        return self.snapshot.expires_at

    async def refresh(self) -> Deployment:
        """Look at it again and return this handle."""
        self.snapshot = await self._session.run(self._verbs.fetch_deployment(self.name))
        return self

    async def wait(self, *, timeout: float | None = None) -> Deployment:  # noqa: ASYNC109 - as in the synchronous handle
        """Wait until a real chat call has been answered and return this handle."""
        plan = self._verbs.wait_deployment(self.name, timeout, self._probe)
        self.snapshot = await self._session.run(plan)
        return self

    def _probe(self, endpoint: Endpoint) -> None:
        inference.probe(endpoint, provider=self.snapshot.provider, deployment=self.name)

    @cached_property
    def endpoint(self) -> Endpoint:
        """Base URL, model name and credential. Keep it out of logs."""
        return self._verbs.endpoint(self.snapshot)

    @cached_property
    def client(self) -> openai.OpenAI:
        """A ready `openai` client."""
        return inference.openai_client(self.endpoint)

    @cached_property
    def async_client(self) -> openai.AsyncOpenAI:
        """A ready asynchronous `openai` client; pass `model=deployment.model_name` to its calls."""
        return inference.async_openai_client(self.endpoint)

    @property
    def model_name(self) -> str:
        """What to pass as `model` to the endpoint."""
        return self.endpoint.model

    async def chat(self, prompt: Prompt, **parameters: Any) -> ChatReply:
        """Ask once."""
        with self._translating():
            completion = await self.async_client.chat.completions.create(
                model=self.model_name,
                messages=self._messages(prompt),
                stream=False,
                **parameters,
            )
        return ChatReply.of(completion)

    async def stream(self, prompt: Prompt, **parameters: Any) -> AsyncIterator[str]:
        """Ask once and give the pieces of text as they come."""
        with self._translating():
            chunks = await self.async_client.chat.completions.create(
                model=self.model_name,
                messages=self._messages(prompt),
                stream=True,
                **parameters,
            )
            async with chunks:
                async for text in inference.async_texts(chunks):
                    yield text

    def _messages(self, prompt: Prompt) -> Any:
        return inference.to_messages(prompt, self.model.system_prompt)

    def _translating(self) -> AbstractContextManager[None]:
        return inference.translating(provider=self.snapshot.provider, deployment=self.name)

    async def check(self) -> DeploymentStatus:
        """Look at it again, ask it something, and return `ready` when it answers."""
        if (await self.refresh()).status is DeploymentStatus.READY:
            await self._session.call(partial(self._probe, self.endpoint))
        return self.status

    async def delete(self) -> None:
        """End it. Deleting it twice is harmless."""
        if "client" in self.__dict__:
            self.client.close()
            del self.__dict__["client"]
        if "async_client" in self.__dict__:
            await self.async_client.close()
            del self.__dict__["async_client"]
        await self._session.run(self._verbs.delete_deployment(self.name))

    async def __aenter__(self) -> Self:
        await self._session.call(partial(self._verbs.adopt, self.name))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, *exc_info: object
    ) -> None:
        try:
            # Also when the block was cancelled: what costs money is ended first.
            with anyio.CancelScope(shield=True):
                await self.delete()
        except Exception as error:
            left = f"Deployment {self.name!r} could not be deleted: {error}"
            advice = "It may still cost money; run `tunekit delete` on it."
            if raised is not None and not isinstance(raised, Exception):
                # An interrupt or a cancellation goes on as what it is, but not without a word.
                raised.add_note(f"{left} {advice}")
                return
            raise DeploymentError(left, snapshot=self.snapshot, next_step=advice) from error

    @override
    def __repr__(self) -> str:
        return f"<aio.Deployment {self.name!r} {self.status.value}>"

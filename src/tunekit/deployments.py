"""A deployment: a model that is up and may cost money while it stands."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from typing_extensions import override

from tunekit import inference
from tunekit.engine.session import Session
from tunekit.errors import DeploymentError
from tunekit.inference import ChatReply, Prompt
from tunekit.providers.base import DeploymentSnapshot, DeploymentStatus, Endpoint, ModelRef

if TYPE_CHECKING:
    import openai


class Deployment:
    """A model behind an OpenAI-compatible endpoint.

    As a context manager it belongs to the block: it is deleted at the end, and a local one also
    ends when this process dies. Otherwise it stands until `delete`, or until its `ttl` is over.
    """

    def __init__(self, session: Session, snapshot: DeploymentSnapshot) -> None:
        self._session = session
        self.snapshot = snapshot

    @property
    def name(self) -> str:
        """Its identity at the provider."""
        return self.snapshot.name

    @property
    def status(self) -> DeploymentStatus:
        """Where it stood when it was last looked at; `refresh` looks again."""
        return self.snapshot.status

    @property
    def model(self) -> ModelRef:
        """What it serves."""
        return self.snapshot.model

    @property
    def expires_at(self) -> datetime | None:
        """When it ends by itself, if it does."""
        return self.snapshot.expires_at

    def refresh(self) -> Deployment:
        """Look at it again and return this handle."""
        self.snapshot = self._session.run(self._session.fetch_deployment(self.name))
        return self

    def wait(self, *, timeout: float | None = None) -> Deployment:
        """Wait until a real chat call has been answered and return this handle.

        Raises:
            DeploymentFailedError: It failed, or is gone.
            WaitTimeoutError: The time is up; it may still come up.
        """
        plan = self._session.wait_deployment(self.name, timeout, self._probe)
        self.snapshot = self._session.run(plan)
        return self

    def _probe(self, endpoint: Endpoint) -> None:
        inference.probe(endpoint, provider=self.snapshot.provider, deployment=self.name)

    @cached_property
    def endpoint(self) -> Endpoint:
        """Base URL, model name and credential. Keep it out of logs."""
        return self._session.endpoint(self.snapshot)

    @cached_property
    def client(self) -> openai.OpenAI:
        """A ready `openai` client; pass `model=deployment.model_name` to its calls."""
        return inference.openai_client(self.endpoint)

    @cached_property
    def async_client(self) -> openai.AsyncOpenAI:
        """A ready asynchronous `openai` client."""
        return inference.async_openai_client(self.endpoint)

    @property
    def model_name(self) -> str:
        """What to pass as `model` to the endpoint."""
        return self.endpoint.model

    def chat(self, prompt: Prompt, **parameters: Any) -> ChatReply:
        """Ask once.

        Args:
            prompt: A user message, or a list of messages. The system prompt of the training data
                is put first unless the messages bring their own.
            **parameters: Passed through: `temperature`, `max_tokens`, `tools`, ...

        Raises:
            ProviderError: The endpoint refused or could not be reached.
        """
        with self._translating():
            completion = self.client.chat.completions.create(
                model=self.model_name,
                messages=self._messages(prompt),
                stream=False,
                **parameters,
            )
        return ChatReply.of(completion)

    def stream(self, prompt: Prompt, **parameters: Any) -> Iterator[str]:
        """Ask once and give the pieces of text as they come. Arguments as for `chat`."""
        with (
            self._translating(),
            self.client.chat.completions.create(
                model=self.model_name,
                messages=self._messages(prompt),
                stream=True,
                **parameters,
            ) as chunks,
        ):
            yield from inference.texts(chunks)

    def _messages(self, prompt: Prompt) -> Any:
        return inference.to_messages(prompt, self.model.system_prompt)

    def _translating(self) -> AbstractContextManager[None]:
        return inference.translating(provider=self.snapshot.provider, deployment=self.name)

    def check(self) -> DeploymentStatus:
        """Look at it again, ask it something, and return `ready` when it answers.

        Raises:
            ProviderError: It stands, but does not answer.
        """
        if self.refresh().status is DeploymentStatus.READY:
            self._probe(self.endpoint)
        return self.status

    def delete(self) -> None:
        """End it. Deleting it twice is harmless."""
        if "client" in self.__dict__:
            self.client.close()
            del self.__dict__["client"]
        self._session.run(self._session.delete_deployment(self.name))

    def __enter__(self) -> Self:
        self._session.adopt(self.name)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, *exc_info: object
    ) -> None:
        try:
            self.delete()
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
        return f"<Deployment {self.name!r} {self.status.value}>"

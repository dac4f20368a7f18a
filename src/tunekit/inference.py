"""Talking to a model that is up: the conveniences on top of a real `openai` client."""

from __future__ import annotations

import ipaddress
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from typing_extensions import override

from tunekit.errors import (
    AuthenticationError,
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    ProviderError,
    QuotaExceededError,
    RateLimitError,
    UnclearReplyError,
)
from tunekit.providers.base import Endpoint

if TYPE_CHECKING:
    import openai
    from openai.types.chat import ChatCompletion

_BY_STATUS: Mapping[int, type[ProviderError]] = {
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    408: UnclearReplyError,
    409: ConflictError,
    429: RateLimitError,
}

Prompt = str | Sequence[Mapping[str, Any]]
"""A user message, or a whole list of messages."""


@dataclass(frozen=True)
class ChatReply:
    """One answer.

    Attributes:
        text: The answer's text; empty when it only calls tools.
        finish_reason: `stop`, `length`, `tool_calls`, ...
        tool_calls: The calls in OpenAI's JSON form.
        prompt_tokens: Tokens read, as the server counts them; None when it does not say.
        completion_tokens: Tokens written, likewise.
        request_id: The server's id of the request.
        completion: The whole answer as the `openai` client gave it.
    """

    text: str
    finish_reason: str | None
    tool_calls: tuple[dict[str, Any], ...] = ()
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    request_id: str | None = None
    completion: ChatCompletion | None = field(default=None, repr=False)

    @override
    def __str__(self) -> str:
        return self.text

    @classmethod
    def of(cls, completion: ChatCompletion) -> ChatReply:
        """Read an answer of the `openai` client.

        Raises:
            ProviderError: It is no chat completion, as when the base URL leads to a web page.
        """
        if not getattr(completion, "choices", None):
            raise ProviderError(
                f"The endpoint answered, but with no chat completion: {str(completion)[:200]!r}.",
                next_step="See whether the base URL is that of an OpenAI-compatible API.",
            )
        choice = completion.choices[0]
        usage = completion.usage
        return cls(
            text=choice.message.content or "",
            finish_reason=choice.finish_reason,
            tool_calls=tuple(call.model_dump() for call in choice.message.tool_calls or ()),
            prompt_tokens=usage.prompt_tokens if usage else None,
            completion_tokens=usage.completion_tokens if usage else None,
            request_id=getattr(completion, "_request_id", None),
            completion=completion,
        )


def to_messages(prompt: Prompt, system_prompt: str | None) -> list[dict[str, Any]]:
    """Make the messages of a request.

    The system prompt that the model was trained with goes first, unless the prompt brings its own.
    """
    messages: list[dict[str, Any]]
    if isinstance(prompt, str):
        messages = [{"role": "user", "content": prompt}]
    else:
        messages = [dict(message) for message in prompt]
    brings_own = any(message.get("role") in ("system", "developer") for message in messages)
    if system_prompt is not None and not brings_own:
        messages.insert(0, {"role": "system", "content": system_prompt})
    return messages


def is_loopback(url: str) -> bool:
    """Whether the URL leads to this very machine."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def openai_client(endpoint: Endpoint, **options: Any) -> openai.OpenAI:
    """A synchronous `openai` client for the endpoint. A proxy is never asked for loopback."""
    import openai

    if is_loopback(endpoint.base_url):
        options.setdefault("http_client", openai.DefaultHttpxClient(trust_env=False))
    return openai.OpenAI(
        base_url=endpoint.base_url,
        api_key=endpoint.api_key.get_secret_value(),
        default_headers=endpoint.headers or None,
        **options,
    )


def async_openai_client(endpoint: Endpoint, **options: Any) -> openai.AsyncOpenAI:
    """An asynchronous `openai` client for the endpoint."""
    import openai

    if is_loopback(endpoint.base_url):
        options.setdefault("http_client", openai.DefaultAsyncHttpxClient(trust_env=False))
    return openai.AsyncOpenAI(
        base_url=endpoint.base_url,
        api_key=endpoint.api_key.get_secret_value(),
        default_headers=endpoint.headers or None,
        **options,
    )


def probe(endpoint: Endpoint, *, provider: str, deployment: str) -> None:
    """Make one real chat call of one token.

    Raises:
        ProviderError: It was not answered.
    """
    with (
        openai_client(endpoint, max_retries=0, timeout=60) as client,
        translating(provider=provider, deployment=deployment),
    ):
        client.chat.completions.create(
            model=endpoint.model, messages=[{"role": "user", "content": "Hello"}], max_tokens=1
        )


@contextmanager
def translating(*, provider: str, deployment: str) -> Iterator[None]:
    """Turn what the `openai` client raises inside the block into our errors."""
    import openai

    try:
        yield
    except openai.OpenAIError as error:
        raise translated(error, provider=provider, deployment=deployment) from error


def translated(error: openai.OpenAIError, *, provider: str, deployment: str) -> ProviderError:
    """Turn an error of the `openai` client into ours: by type, then by status."""
    import openai

    where = f"Deployment {deployment!r}"
    if isinstance(error, openai.APIStatusError):
        fallback = UnclearReplyError if error.status_code >= 500 else InvalidRequestError
        kind = _BY_STATUS.get(error.status_code, fallback)
        if kind is RateLimitError and error.code == "insufficient_quota":
            kind = QuotaExceededError
        return kind(
            f"{where} answered HTTP {error.status_code}: {error.message}",
            provider=provider,
            status_code=error.status_code,
            code=error.code,
            request_id=error.request_id,
            retry_after=_seconds(error.response.headers.get("retry-after")),
        )
    if isinstance(error, openai.APIConnectionError):
        cause = error.__cause__ or error
        return UnclearReplyError(
            f"{where} could not be reached: {cause}",
            provider=provider,
            next_step="See with `tunekit deployments` whether it still stands.",
        )
    return ProviderError(f"{where}: {error}", provider=provider)


def _seconds(header: str | None) -> float | None:
    """Read a `Retry-After` header; None for a date, which no chat server sends."""
    try:
        return max(0.0, float(header)) if header else None
    except ValueError:
        return None


def texts(chunks: Iterable[Any]) -> Iterator[str]:
    """The pieces of text of a streamed answer."""
    for chunk in chunks:
        if chunk.choices and chunk.choices[0].delta.content:
            yield chunk.choices[0].delta.content


async def async_texts(chunks: AsyncIterator[Any]) -> AsyncIterator[str]:
    """The pieces of text of a streamed answer."""
    async for chunk in chunks:
        if chunk.choices and chunk.choices[0].delta.content:
            yield chunk.choices[0].delta.content

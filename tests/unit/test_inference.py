"""Talking to a deployment, over real connections on loopback."""

from __future__ import annotations

import asyncio
import logging
import pickle
import socket
import traceback
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest
from pydantic import SecretStr
from typing_extensions import override

from helpers.chat_server import CALL, KEY, PIECES, ChatServer, chat_server
from tunekit import aio, inference
from tunekit.client import connect
from tunekit.config import Config
from tunekit.deployments import Deployment
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
from tunekit.providers.base import DeploymentSnapshot, Endpoint, ModelRef
from tunekit.testing import FakeProvider, VirtualClock

SYSTEM = "Answer with ingredients."
QUESTION = "What goes into bread?"


class Served(FakeProvider):
    """The fake, whose deployments answer at a real address."""

    base_url = ""

    @override
    def endpoint(self, deployment: DeploymentSnapshot) -> Endpoint:
        return Endpoint(
            base_url=self.base_url,
            model=deployment.model.id,
            api_key=SecretStr(KEY),
            headers={"x-team": f"{KEY}-too"},
        )


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with chat_server() as running:
        yield running


@pytest.fixture
def served(home: Path, clock: VirtualClock, server: ChatServer) -> Served:
    provider = Served(home=home, clock=clock)
    provider.base_url = server.base_url
    return provider


@pytest.fixture
def deployment(served: Served, config: Config, clock: VirtualClock) -> Iterator[Deployment]:
    client = connect(provider=served, config=config, clock=clock)
    model = client.model(ModelRef(id="tuned-1", provider="fake", system_prompt=SYSTEM))
    standing = model.deploy(wait=False)
    yield standing
    standing.delete()


@pytest.fixture
def unretried(deployment: Deployment) -> Deployment:
    """A deployment whose client does not try again by itself."""
    deployment.__dict__["client"] = inference.openai_client(deployment.endpoint, max_retries=0)
    return deployment


def test_a_chat_gives_text_usage_and_the_reason_for_its_end(
    deployment: Deployment, server: ChatServer
) -> None:
    reply = deployment.chat(QUESTION, temperature=0.5)
    assert reply.text == str(reply) == "Flour and salt."
    assert (reply.finish_reason, reply.tool_calls) == ("stop", ())
    assert (reply.prompt_tokens, reply.completion_tokens) == (7, 3)
    assert reply.request_id == "req-1"
    assert reply.completion is not None
    assert reply.completion.id == "chat-1"
    assert server.requests[0] == {
        "model": "tuned-1",
        "messages": [
            {"role": "system", "content": SYSTEM},
            {"role": "user", "content": QUESTION},
        ],
        "stream": False,
        "temperature": 0.5,
    }
    assert server.headers[0]["authorization"] == f"Bearer {KEY}"
    assert server.headers[0]["x-team"] == f"{KEY}-too"


def test_a_call_of_a_tool_is_given_in_openai_s_form(deployment: Deployment) -> None:
    tool = {"type": "function", "function": {"name": "weigh"}}
    reply = deployment.chat(QUESTION, tools=[tool])
    assert reply.text == ""
    assert reply.finish_reason == "tool_calls"
    assert reply.tool_calls == (CALL,)


def test_a_stream_gives_the_pieces_as_they_come(deployment: Deployment, server: ChatServer) -> None:
    assert list(deployment.stream(QUESTION)) == list(PIECES)
    assert server.requests[0]["stream"] is True
    assert server.requests[0]["messages"][0]["content"] == SYSTEM


@pytest.mark.parametrize("role", ["system", "developer"])
def test_the_prompt_s_own_system_message_wins(
    deployment: Deployment, server: ChatServer, role: str
) -> None:
    messages = [{"role": role, "content": "Be short."}, {"role": "user", "content": QUESTION}]
    deployment.chat(messages)
    assert server.requests[0]["messages"] == messages


def test_a_model_without_a_system_prompt_gets_none() -> None:
    assert inference.to_messages("Hi", None) == [{"role": "user", "content": "Hi"}]


def test_making_messages_leaves_the_prompt_unchanged() -> None:
    prompt = [{"role": "user", "content": "Hi"}]
    made = inference.to_messages(prompt, SYSTEM)
    assert len(made) == 2
    assert prompt == [{"role": "user", "content": "Hi"}]


ERRORS = [
    (400, "", InvalidRequestError),
    (401, "", AuthenticationError),
    (403, "", PermissionDeniedError),
    (404, "", NotFoundError),
    (408, "", UnclearReplyError),
    (409, "", ConflictError),
    (422, "", InvalidRequestError),
    (429, "", RateLimitError),
    (429, "insufficient_quota", QuotaExceededError),
    (500, "", UnclearReplyError),
    (503, "", UnclearReplyError),
]


@pytest.mark.parametrize("how", ["chat", "stream"])
@pytest.mark.parametrize(("status", "code", "error"), ERRORS)
def test_an_http_error_becomes_ours_with_what_it_said(
    unretried: Deployment,
    server: ChatServer,
    status: int,
    code: str,
    error: type[ProviderError],
    how: str,
) -> None:
    server.fail(status, code=code)
    with pytest.raises(error) as caught:
        unretried.chat(QUESTION) if how == "chat" else list(unretried.stream(QUESTION))
    raised = caught.value
    assert type(raised) is error
    assert f"Deployment {unretried.name!r} answered HTTP {status}" in str(raised)
    assert "not this time" in str(raised)
    assert (raised.status_code, raised.provider, raised.request_id) == (status, "fake", "req-1")
    assert raised.code == (code or None)
    assert str(pickle.loads(pickle.dumps(raised))) == str(raised)  # noqa: S301 - our own bytes


@pytest.mark.parametrize(("header", "seconds"), [("7", 7.0), ("0.5", 0.5), ("tomorrow", None)])
def test_the_pause_that_a_server_asks_for_is_kept(
    unretried: Deployment, server: ChatServer, header: str, seconds: float | None
) -> None:
    server.fail(429, retry_after=header)
    with pytest.raises(RateLimitError) as caught:
        unretried.chat(QUESTION)
    assert caught.value.retry_after == seconds


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_an_endpoint_that_nobody_serves_is_an_unclear_reply(
    unretried: Deployment, served: Served
) -> None:
    served.base_url = f"http://127.0.0.1:{free_port()}/v1"
    del unretried.__dict__["endpoint"]
    unretried.__dict__["client"].close()
    unretried.__dict__["client"] = inference.openai_client(unretried.endpoint, max_retries=0)
    with pytest.raises(UnclearReplyError, match="could not be reached.*`tunekit deployments`"):
        unretried.chat(QUESTION)


@pytest.mark.parametrize("pieces", [1, 3])
def test_a_stream_that_breaks_off_is_an_unclear_reply(
    unretried: Deployment, server: ChatServer, pieces: int
) -> None:
    server.break_stream = pieces
    got: list[str] = []
    with pytest.raises(UnclearReplyError, match="could not be reached"):
        got.extend(unretried.stream(QUESTION))
    assert got == list(PIECES[: pieces - 1])


def test_a_base_url_that_leads_to_a_web_page_is_a_clear_error(
    deployment: Deployment, server: ChatServer
) -> None:
    server.page = "<html>Welcome</html>"
    with pytest.raises(ProviderError, match="no chat completion.*Welcome.*base URL"):
        deployment.chat(QUESTION)


@pytest.mark.parametrize("scheme", ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy"])
def test_a_proxy_is_never_asked_for_loopback(
    monkeypatch: pytest.MonkeyPatch, deployment: Deployment, scheme: str
) -> None:
    monkeypatch.setenv(scheme, f"http://127.0.0.1:{free_port()}")
    assert deployment.chat(QUESTION).text
    inference.probe(deployment.endpoint, provider="fake", deployment="d")


def test_a_proxy_is_asked_for_other_hosts(
    monkeypatch: pytest.MonkeyPatch, server: ChatServer
) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTP_PROXY", server.base_url.removesuffix("/v1"))
    endpoint = Endpoint(base_url="http://models.example/v1", model="m", api_key=SecretStr(KEY))
    inference.probe(endpoint, provider="fake", deployment="d")
    assert server.headers[0]["host"] == "models.example"


@pytest.mark.parametrize(
    ("url", "here"),
    [
        ("http://127.0.0.1:8000/v1", True),
        ("http://127.8.8.8/v1", True),
        ("http://localhost:1/v1", True),
        ("http://[::1]:8000/v1", True),
        ("https://api.openai.com/v1", False),
        ("http://127.0.0.1.example.org/v1", False),
        ("http://10.0.0.1/v1", False),
    ],
)
def test_loopback_is_told_by_the_host(url: str, here: bool) -> None:
    assert inference.is_loopback(url) is here


def test_a_probe_asks_for_one_token_and_does_not_try_again(
    deployment: Deployment, server: ChatServer
) -> None:
    server.fail(500, times=3)
    with pytest.raises(UnclearReplyError):
        inference.probe(deployment.endpoint, provider="fake", deployment="d")
    assert len(server.requests) == 1
    assert server.requests[0]["max_tokens"] == 1


def test_a_check_asks_something(deployment: Deployment, server: ChatServer) -> None:
    assert deployment.check().value == "ready"
    assert len(server.requests) == 1
    server.fail(401)
    with pytest.raises(AuthenticationError):
        deployment.check()


def test_the_clients_are_real_ones(deployment: Deployment, server: ChatServer) -> None:
    assert isinstance(deployment.client, openai.OpenAI)
    assert isinstance(deployment.async_client, openai.AsyncOpenAI)
    messages = [{"role": "user", "content": QUESTION}]
    answer = deployment.client.chat.completions.create(
        model=deployment.model_name,
        messages=messages,  # type: ignore[arg-type]
    )
    assert answer.choices[0].message.content == "Flour and salt."
    asyncio.run(deployment.async_client.close())


def test_the_key_is_in_no_text_form_no_log_and_no_error(
    unretried: Deployment, server: ChatServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for name in ("tunekit", "openai", "httpx2", "httpcore2"):
        logging.getLogger(name).setLevel(logging.DEBUG)
    reply = unretried.chat(QUESTION)
    server.fail(401)
    with pytest.raises(AuthenticationError) as caught:
        unretried.chat(QUESTION)
    session = unretried._session
    shown = [
        *map(repr, (unretried, unretried.endpoint, unretried.snapshot, reply, session)),
        *map(str, (unretried.endpoint, unretried.snapshot, reply, caught.value)),
        unretried.endpoint.model_dump_json(exclude={"headers"}),
        unretried.snapshot.model_dump_json(),
        repr(session.ledger.deployments()),
        "".join(traceback.format_exception(caught.value)),
    ]
    assert not [form for form in shown if KEY in form]
    assert KEY not in caplog.text
    assert KEY.encode() not in session.ledger.path.read_bytes()
    wal = session.ledger.path.with_name("ledger.sqlite3-wal")
    assert not wal.exists() or KEY.encode() not in wal.read_bytes()


def test_the_asynchronous_handle_chats_streams_and_translates(
    served: Served, server: ChatServer, config: Config, clock: VirtualClock
) -> None:
    async def talk() -> None:
        client = aio.connect(provider=served, config=config, clock=clock)
        model = client.model(ModelRef(id="tuned-1", provider="fake", system_prompt=SYSTEM))
        async with await model.deploy() as standing:
            reply = await standing.chat(QUESTION)
            assert reply.text == "Flour and salt."
            assert [piece async for piece in standing.stream(QUESTION)] == list(PIECES)
            assert server.requests[-1]["messages"][0] == {"role": "system", "content": SYSTEM}
            assert (await standing.check()).value == "ready"
            server.fail(401)
            with pytest.raises(AuthenticationError):
                await standing.chat(QUESTION)
            server.fail(404)
            with pytest.raises(NotFoundError):
                _ = [piece async for piece in standing.stream(QUESTION)]
        assert await client.deployments() == []

    asyncio.run(talk())

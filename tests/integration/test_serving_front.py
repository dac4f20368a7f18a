"""The HTTP front of the server over a model that says what the test wants; needs no torch."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import openai
import pytest
from serving_world import eventually

from tunekit.providers.local.server.api import Front
from tunekit.providers.local.server.host import bind
from tunekit.providers.local.server.request import ChatRequest

MESSAGES: Any = [{"role": "user", "content": "hi"}]
TOOLS: Any = [{"type": "function", "function": {"name": "find", "parameters": {}}}]
CALL = '<tool_call>{"name": "find", "arguments": {"q": "soup"}}</tool_call>'


@dataclass
class News:
    text: str = ""
    finish_reason: str | None = None
    fault: str | None = None

    @property
    def is_last(self) -> bool:
        return self.finish_reason is not None or self.fault is not None


@dataclass
class Run:
    prompt: tuple[int, ...] = (1, 2, 3)
    generated: int = 4
    cancelled: bool = False
    pieces: queue.SimpleQueue[News] = field(default_factory=queue.SimpleQueue)


class Model:
    """Says the same to everybody."""

    context = 64

    def __init__(self, *news: News) -> None:
        self.news = news
        self.runs: list[Run] = []

    def start(self, request: ChatRequest) -> list[Run]:
        run = Run()
        for piece in self.news:
            run.pieces.put(piece)
        self.runs.append(run)
        return [run]


@contextmanager
def front(model: Any) -> Iterator[openai.OpenAI]:
    bound = bind(0)
    server = Front(bound, name="m", key="open-sesame", model=model)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_address[1]}/v1"
        with openai.OpenAI(base_url=url, api_key="open-sesame", max_retries=0) as client:
            yield client
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_tool_call_comes_back_as_one() -> None:
    with front(Model(News("Look: "), News(CALL, finish_reason="stop"))) as client:
        reply = client.chat.completions.create(model="m", messages=MESSAGES, tools=TOOLS)
        choice = reply.choices[0]
        assert choice.finish_reason == "tool_calls"
        assert choice.message.content == "Look:"
        assert choice.message.tool_calls is not None
        (call,) = choice.message.tool_calls
        assert call.type == "function"
        assert (call.function.name, call.function.arguments) == ("find", '{"q": "soup"}')

        deltas = [
            chunk.choices[0]
            for chunk in client.chat.completions.create(
                model="m", messages=MESSAGES, tools=TOOLS, stream=True
            )
        ]
        assert "".join(d.delta.content or "" for d in deltas) == "Look:"
        (streamed,) = [d.delta.tool_calls for d in deltas if d.delta.tool_calls]
        assert streamed[0].function is not None
        assert streamed[0].function.arguments == '{"q": "soup"}'
        assert deltas[-1].finish_reason == "tool_calls"


def test_what_looks_like_a_call_is_text_when_no_tool_was_offered() -> None:
    with front(Model(News(CALL, finish_reason="stop"))) as client:
        choice = client.chat.completions.create(model="m", messages=MESSAGES).choices[0]
        assert (choice.message.content, choice.finish_reason) == (CALL, "stop")
        assert choice.message.tool_calls is None


def test_a_fault_while_generating_is_a_server_error_in_both_ways() -> None:
    with front(Model(News("So far"), News(fault="it broke"))) as client:
        with pytest.raises(openai.InternalServerError, match="it broke"):
            client.chat.completions.create(model="m", messages=MESSAGES)
        with (
            pytest.raises(openai.APIError, match="it broke"),
            client.chat.completions.create(model="m", messages=MESSAGES, stream=True) as stream,
        ):
            list(stream)


@pytest.mark.parametrize("stream", [True, False])
def test_a_caller_who_hangs_up_cancels_the_generation(stream: bool) -> None:
    model = Model()  # has nothing to say for as long as anybody waits
    with front(model) as client:
        with pytest.raises(openai.APITimeoutError):
            for _ in client.chat.completions.create(
                model="m", messages=MESSAGES, stream=stream, timeout=0.3
            ):
                pass
        assert eventually(lambda: bool(model.runs) and model.runs[0].cancelled)


def test_a_connection_serves_many_calls_and_faults() -> None:
    with front(Model(News("a", finish_reason="stop"))) as client:
        for _ in range(3):
            with pytest.raises(openai.BadRequestError):
                client.chat.completions.create(model="m", messages=MESSAGES, temperature=9)
            assert client.chat.completions.create(model="m", messages=MESSAGES).usage is not None
            with pytest.raises(openai.NotFoundError):
                client.embeddings.create(model="m", input="x")

"""A small OpenAI-compatible server on loopback that answers as it is told."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

from typing_extensions import override

KEY = "a-key-for-tests"
CALL = {"id": "call-1", "type": "function", "function": {"name": "weigh", "arguments": '{"g": 3}'}}


@dataclass
class ChatServer:
    """What was asked, and what to answer.

    Attributes:
        answers: HTTP errors to give first, each a status with a JSON error body and headers; then
            real answers follow.
        page: Answer with this HTML page instead of a completion.
        break_stream: Drop the connection after this many pieces of a streamed answer.
    """

    base_url: str = ""
    requests: list[dict[str, Any]] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    answers: list[tuple[int, dict[str, Any], dict[str, str]]] = field(default_factory=list)
    page: str = ""
    break_stream: int | None = None

    def fail(self, status: int, *, times: int = 1, code: str = "", **headers: str) -> None:
        """Let the next requests fail."""
        error = {"error": {"message": "not this time", "code": code or None, "type": "x"}}
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        self.answers += [(status, error, named)] * times


PIECES = ("Flour", " and", " salt.")


def completion(request: dict[str, Any]) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": "".join(PIECES)}
    if request.get("tools"):
        message = {"role": "assistant", "content": None, "tool_calls": [CALL]}
    return {
        "id": "chat-1",
        "object": "chat.completion",
        "created": 1,
        "model": request["model"],
        "choices": [
            {
                "index": 0,
                "message": message,
                "finish_reason": "tool_calls" if request.get("tools") else "stop",
            }
        ],
        "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10},
    }


def chunk(delta: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": "chat-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "delta": delta, "finish_reason": None}],
    }


class Handler(BaseHTTPRequestHandler):
    """Answers as `state` says."""

    protocol_version = "HTTP/1.1"
    state: ClassVar[ChatServer]

    @override
    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def send(self, status: int, body: bytes, kind: str, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in {"Content-Type": kind, "x-request-id": "req-1", **headers}.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.state.requests.append(request)
        self.state.headers.append({key.lower(): value for key, value in self.headers.items()})
        if self.state.answers:
            status, error, headers = self.state.answers.pop(0)
            self.send(status, json.dumps(error).encode(), "application/json", headers)
        elif self.state.page:
            self.send(200, self.state.page.encode(), "text/html", {})
        elif request.get("stream"):
            self.stream()
        else:
            body = json.dumps(completion(request)).encode()
            self.send(200, body, "application/json", {})

    def stream(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        # A first piece without text and a last one without choices, as real servers send.
        usage = {**chunk({}), "choices": []}
        deltas = [{"role": "assistant"}, *({"content": piece} for piece in PIECES)]
        lines = [json.dumps(line) for line in (*map(chunk, deltas), usage)]
        for number, line in enumerate([*lines, "[DONE]"]):
            if self.state.break_stream == number:
                self.close_connection = True
                return
            data = f"data: {line}\n\n".encode()
            self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.write(b"0\r\n\r\n")


@contextmanager
def chat_server() -> Iterator[ChatServer]:
    """Serve on a free port of loopback until the block ends."""
    state = ChatServer()
    handler = type("Bound", (Handler,), {"state": state})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    state.base_url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)

"""The OpenAI-compatible front of a local server, on loopback and behind a key.

The HTTP part comes from the standard library, so that any interpreter that can train can serve;
each call waits in a thread of its own while the batcher generates for all of them.
"""

from __future__ import annotations

import contextlib
import hmac
import json
import queue
import select
import socket
import sys
import time
import uuid
from collections.abc import Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from tunekit.providers.local.server.request import (
    BadRequestError,
    ChatRequest,
    check_model,
    read_chat,
    read_messages,
)
from tunekit.providers.local.server.tools import split_calls

if TYPE_CHECKING:
    from tunekit.providers.local.server.batch import Piece, SequenceRun
    from tunekit.providers.local.server.model import ServedModel

MAX_BODY = 32 * 1024 * 1024
IDLE_SECONDS = 120


class Front(ThreadingHTTPServer):
    """Answers on a socket that listens already."""

    daemon_threads = True

    def __init__(self, bound: socket.socket, *, name: str, key: str, model: ServedModel) -> None:
        super().__init__(bound.getsockname(), Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = bound
        self.name = name
        self.key = key
        self.model = model
        self.created = int(time.time())

    def handle_error(  # type: ignore[explicit-override]
        self, request: Any, client_address: Any
    ) -> None:
        """A caller that hung up is no fault of ours; anything else belongs in the log."""
        if not isinstance(sys.exc_info()[1], ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """Answers one connection."""

    protocol_version = "HTTP/1.1"
    server_version = "tunekit"
    sys_version = ""
    timeout = IDLE_SECONDS
    disable_nagle_algorithm = True
    server: Front

    def do_GET(self) -> None:
        """Health (open to all) and the list of models."""
        if self.path == "/health":
            self._send(HTTPStatus.OK, {"status": "ok"})
        elif not self._allowed():
            return
        elif self.path in ("/v1/models", f"/v1/models/{self.server.name}"):
            model = {
                "id": self.server.name,
                "object": "model",
                "created": self.server.created,
                "owned_by": "tunekit",
                "max_model_len": self.server.model.context,
            }
            one = self.path != "/v1/models"
            self._send(HTTPStatus.OK, model if one else {"object": "list", "data": [model]})
        else:
            self._unknown()

    def do_POST(self) -> None:
        """Chat, and the tokens that a chat would be turned into."""
        if not self._allowed():
            return
        try:
            if self.path == "/v1/chat/completions":
                self._chat(read_chat(self._body(), model=self.server.name))
            elif self.path == "/tokenize":
                self._tokenize(self._body())
            else:
                self.close_connection = True
                self._unknown()
        except BadRequestError as error:
            self._fault(error.status, str(error), param=error.param, code=error.code)

    def _allowed(self) -> bool:
        given = self.headers.get("Authorization", "").encode()
        if hmac.compare_digest(given, f"Bearer {self.server.key}".encode()):
            return True
        self.close_connection = True
        self._fault(
            HTTPStatus.UNAUTHORIZED,
            "The key is missing or wrong; use the one of the deployment's endpoint.",
            code="invalid_api_key",
        )
        return False

    def _body(self) -> Any:
        try:
            length = int(self.headers.get("Content-Length", ""))
        except ValueError:
            self.close_connection = True
            raise BadRequestError("The request needs a Content-Length.", status=411) from None
        if not 0 <= length <= MAX_BODY:
            self.close_connection = True
            raise BadRequestError(f"The body may have {MAX_BODY} bytes.", status=413)
        try:
            return json.loads(self.rfile.read(length))
        except ValueError as error:
            raise BadRequestError(f"The body is no JSON: {error}.") from None

    def _tokenize(self, body: Any) -> None:
        if not isinstance(body, dict):
            raise BadRequestError("The body must be a JSON object.")
        check_model(body.get("model"), self.server.name)
        if isinstance(body.get("prompt"), str):
            tokens = self.server.model.tokens(body["prompt"])
        else:
            tokens = self.server.model.render(
                read_messages(body.get("messages")),
                tools=body.get("tools"),
                add_generation_prompt=body.get("add_generation_prompt", True) is True,
                arguments=body.get("chat_template_kwargs"),
            )
        self._send(
            HTTPStatus.OK,
            {"tokens": tokens, "count": len(tokens), "max_model_len": self.server.model.context},
        )

    def _chat(self, request: ChatRequest) -> None:
        runs = self.server.model.start(request)
        try:
            if request.stream:
                self._stream(request, runs)
            else:
                self._answer(request, runs)
        except BaseException:
            for run in runs:
                run.cancelled = True
            raise

    def _answer(self, request: ChatRequest, runs: list[SequenceRun]) -> None:
        choices = []
        for index, run in enumerate(runs):
            text, last = "", None
            for piece in self._pieces(run):
                text, last = text + piece.text, piece
            if last is None or last.fault is not None:
                self._fault(500, f"Generation failed: {last and last.fault}", code="server_error")
                return
            content, calls = split_calls(text) if request.tools else (text, [])
            message: dict[str, Any] = {"role": "assistant", "content": content, "refusal": None}
            if calls:
                message["tool_calls"] = calls
            choices.append(
                {
                    "index": index,
                    "message": message,
                    "logprobs": None,
                    "finish_reason": "tool_calls" if calls else last.finish_reason,
                }
            )
        head = self._head("chat.completion")
        self._send(HTTPStatus.OK, {**head, "choices": choices, "usage": _usage(runs)})

    def _stream(self, request: ChatRequest, runs: list[SequenceRun]) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Cache-Control", "no-store")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        head = self._head("chat.completion.chunk")
        if request.include_usage:
            head["usage"] = None
        for index, run in enumerate(runs):
            self._event(head, index, {"role": "assistant", "content": ""})
            held = ""
            for piece in self._pieces(run):
                if piece.fault is not None:
                    fault = {"message": f"Generation failed: {piece.fault}", "type": "server_error"}
                    self._chunk({"error": {**fault, "param": None, "code": "server_error"}})
                    self._end_chunks()
                    return
                if request.tools:  # only the whole text shows whether it is a call
                    held += piece.text
                elif piece.text:
                    self._event(head, index, {"content": piece.text})
                if piece.is_last:
                    self._close(head, index, held, piece.finish_reason)
        if request.include_usage:
            self._chunk({**head, "choices": [], "usage": _usage(runs)})
        self._write_chunk(b"data: [DONE]\n\n")
        self._end_chunks()

    def _close(self, head: dict[str, Any], index: int, held: str, reason: str | None) -> None:
        """Send what was held back, and why the choice ended."""
        content, calls = split_calls(held)
        if content:
            self._event(head, index, {"content": content})
        if calls:
            delta = [{"index": place, **call} for place, call in enumerate(calls)]
            self._event(head, index, {"tool_calls": delta})
        self._event(head, index, {}, "tool_calls" if calls else reason)

    def _pieces(self, run: SequenceRun) -> Iterator[Piece]:
        """News of a sequence up to its last.

        Raises:
            ConnectionAbortedError: The caller has hung up.
        """
        while True:
            try:
                piece = run.pieces.get(timeout=0.5)
            except queue.Empty:
                if self._hung_up():
                    raise ConnectionAbortedError("the caller has hung up") from None
                continue
            yield piece
            if piece.is_last:
                return

    def _hung_up(self) -> bool:
        readable, _, _ = select.select([self.connection], [], [], 0)
        if not readable:
            return False
        with contextlib.suppress(BlockingIOError):
            return not self.connection.recv(1, socket.MSG_PEEK)
        return False

    def _head(self, kind: str) -> dict[str, Any]:
        return {
            "id": f"chatcmpl-{uuid.uuid4().hex}",
            "object": kind,
            "created": int(time.time()),
            "model": self.server.name,
        }

    def _event(
        self, head: dict[str, Any], index: int, delta: dict[str, Any], reason: str | None = None
    ) -> None:
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": reason}
        self._chunk({**head, "choices": [choice]})

    def _chunk(self, content: dict[str, Any]) -> None:
        self._write_chunk(b"data: " + json.dumps(content).encode() + b"\n\n")

    def _write_chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def _end_chunks(self) -> None:
        self.wfile.write(b"0\r\n\r\n")

    def _unknown(self) -> None:
        self._fault(404, f"There is no {self.command} {self.path}.", code="unknown_url")

    def _fault(
        self, status: int, message: str, *, param: str | None = None, code: str | None = None
    ) -> None:
        kind = "server_error" if status >= 500 else "invalid_request_error"
        self._send(
            status, {"error": {"message": message, "type": kind, "param": param, "code": code}}
        )

    def _send(self, status: int, content: dict[str, Any]) -> None:
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(data)

    def log_request(  # type: ignore[explicit-override]
        self, code: int | str = "-", size: int | str = "-"
    ) -> None:
        """Log only what went wrong: a server that runs for weeks must not fill the disk."""
        if isinstance(code, int) and code >= HTTPStatus.INTERNAL_SERVER_ERROR:
            super().log_request(code, size)


def _usage(runs: list[SequenceRun]) -> dict[str, int]:
    prompt = len(runs[0].prompt)
    said = sum(run.generated for run in runs)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": said,
        "total_tokens": prompt + said,
    }

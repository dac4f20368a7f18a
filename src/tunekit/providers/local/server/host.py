"""The host of one deployment: starts the server, says when it is ready, and ends it for good.

It runs as a detached process and needs only the standard library, so it stays alive and able to
act whatever happens to the server: a crash, a hang while the weights load, too little memory. It
is the only one that writes the deployment's last word. The server cannot outlive it: its standard
input is a pipe from the host, and on Linux the kernel also kills it when the host dies.
"""

from __future__ import annotations

import contextlib
import errno
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from tunekit.providers.local.process import ProcessIdentity
from tunekit.providers.local.server.record import Record, try_lock
from tunekit.providers.local.statefile import tail

TICK = 0.1
BACKLOG = 256
LOG_LINES = 20
UTC = timezone.utc  # noqa: UP017 - also runs under older interpreters


def say(message: str) -> None:
    """Write a line to the deployment's log."""
    print(f"{datetime.now(UTC):%H:%M:%S} host: {message}", file=sys.stderr, flush=True)  # noqa: T201


def bind(port: int) -> socket.socket:
    """Listen on the port on loopback; a caller waits until the server takes the socket over.

    Listening from the start keeps the port: two sockets that are merely bound may share it.

    Raises:
        OSError: The port is taken.
    """
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(("127.0.0.1", port))
        bound.listen(BACKLOG)
    except OSError:
        bound.close()
        raise
    return bound


class _End(Exception):
    """The deployment ends; carries its last word, and whether that says all there is to say."""

    def __init__(self, status: str, reason: str, message: str, *, explained: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message
        self.explained = explained


class _Probe:
    """One real chat call, made beside the watch so that the watch never waits for it."""

    def __init__(self, port: int, name: str, key: str) -> None:
        self.answer: tuple[int, str] | None = None
        self._port, self._name, self._key = port, name, key
        threading.Thread(target=self._ask, name="probe", daemon=True).start()

    def _ask(self) -> None:
        body = {
            "model": self._name,
            "messages": [{"role": "user", "content": "Hello"}],
            "max_tokens": 1,
            "temperature": 0,
        }
        headers = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=3600)
        while self.answer is None:
            try:
                connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
                response = connection.getresponse()
                self.answer = (response.status, response.read().decode(errors="replace"))
            except (OSError, http.client.HTTPException):  # the server ended; the watch sees it
                connection.close()
                time.sleep(TICK)
        connection.close()


class Host:
    """Looks after one deployment from its start to its last word."""

    def __init__(self, record: Record, asked: dict[str, Any]) -> None:
        self.record = record
        self.asked = asked
        self.terminated = threading.Event()
        self.server: subprocess.Popen[bytes] | None = None
        self.base_url: str | None = None
        self.expires_at: str | None = None

    def run(self) -> None:
        """Bring the server up, watch it, and write down how it ended."""
        signal.signal(signal.SIGTERM, lambda *_: self.terminated.set())
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            self._start()
            self._wait_until_ready()
            self._watch()
        except _End as end:
            self._finish(end)
        except Exception as error:
            say(f"unexpected: {error!r}")
            self._finish(_End("failed", "host-error", f"The host of the server broke: {error!r}."))
            raise

    def _start(self) -> None:
        options = self.asked["options"]
        try:
            bound = bind(int(options["port"]))
        except OSError as error:
            code = "port-in-use" if error.errno == errno.EADDRINUSE else "port-unusable"
            raise _End(
                "failed", code, f"Port {options['port']} cannot be used: {error.strerror}."
            ) from error
        key = self.record.key()
        if key is None:
            raise _End("failed", "host-error", "The key file is missing.")
        with bound:
            self._port = int(bound.getsockname()[1])
            self._key = key
            self.base_url = f"http://127.0.0.1:{self._port}/v1"
            self.record.write_status("creating", port=self._port)
            entry = Path(__file__).with_name("entry.py")
            self.server = subprocess.Popen(  # noqa: S603 - our own script
                [sys.executable, str(entry), "serve", str(self.record.path), str(bound.fileno())],
                stdin=subprocess.PIPE,
                env=self._environment(),
                pass_fds=[bound.fileno()],
            )
        pipe = self.server.stdin
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):
                pipe.write(key.encode() + b"\n")
                pipe.flush()
        say(f"server {self.server.pid} started on port {self._port}")

    def _environment(self) -> dict[str, str]:
        env = dict(os.environ)
        env["TOKENIZERS_PARALLELISM"] = "false"
        # Threads that spin while they wait for each other bring a small model to a standstill as
        # soon as another process wants the cores: measured 0.3 instead of 5 answers a second.
        env.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        env["HF_HUB_DISABLE_TELEMETRY"] = "1"
        if self.asked["offline"]:
            env["HF_HUB_OFFLINE"] = "1"
        threads = self.asked["options"]["threads"]
        if threads:
            env["OMP_NUM_THREADS"] = env["MKL_NUM_THREADS"] = str(threads)
        return env

    def _tick(self) -> None:
        if self.terminated.wait(TICK):
            asked_for = self.record.delete_requested
            raise _End(
                "deleted",
                "deleted" if asked_for else "terminated",
                "It was deleted." if asked_for else "Its host was told to end.",
            )
        if not self.record.path.is_dir():
            raise _End("deleted", "deleted", "Its directory was removed.")
        owner = self.record.owner()
        if owner is not None and not owner.alive:
            raise _End("deleted", "owner-gone", f"Its owner (process {owner.pid}) is gone.")
        code = None if self.server is None else self.server.poll()
        if code == -signal.SIGTERM and self.terminated.wait(0.5):
            return  # the signal went to the whole group; the next tick ends us
        if code is not None:
            self._server_ended(code)

    def _server_ended(self, code: int) -> None:
        fault = self.record.fault()
        if fault is not None:
            raise _End("failed", str(fault["code"]), str(fault["message"]), explained=True)
        how = f"exit code {code}"
        if code < 0:
            with contextlib.suppress(ValueError):
                how = signal.Signals(-code).name
        hint = " The machine may have run out of memory." if how == "SIGKILL" else ""
        said = f"The server process ended ({how}).{hint} Deploy it again."
        raise _End("failed", "server-exited", said)

    def _wait_until_ready(self) -> None:
        limit = float(self.asked["options"]["max_startup_seconds"])
        deadline = time.monotonic() + limit
        probe = _Probe(self._port, self.asked["name"], self._key)
        while probe.answer is None:
            self._tick()
            if time.monotonic() > deadline:
                raise _End(
                    "failed", "startup-timeout", f"No chat call was answered within {limit:g} s."
                )
        status, body = probe.answer
        if status != http.client.OK:
            raise _End(
                "failed", "chat-failed", f"The first chat call got HTTP {status}: {body[:500]}"
            )

    def _watch(self) -> None:
        ttl = self.asked["ttl"]
        deadline = None if ttl is None else time.monotonic() + float(ttl)
        if ttl is not None:
            self.expires_at = (datetime.now(UTC) + timedelta(seconds=float(ttl))).isoformat()
        self.record.write_status(
            "ready", port=self._port, base_url=self.base_url, expires_at=self.expires_at
        )
        say(f"ready at {self.base_url}")
        while True:
            self._tick()
            if deadline is not None and time.monotonic() >= deadline:
                raise _End("deleted", "ttl", f"Its time to live of {float(ttl):g} s is over.")

    def _finish(self, end: _End) -> None:
        self._stop_server()
        say(f"{end.status} ({end.reason}): {end.message}")
        self.record.forget_key()
        content: dict[str, Any] = {"reason": end.reason, "message": end.message}
        if end.status == "failed" and not end.explained:
            content["log_tail"] = tail(self.record.log, LOG_LINES)
        with contextlib.suppress(FileNotFoundError):  # somebody has removed the directory
            self.record.write_status(end.status, expires_at=self.expires_at, **content)

    def _stop_server(self) -> None:
        if self.server is None:
            return
        if self.server.stdin is not None:
            with contextlib.suppress(OSError):
                self.server.stdin.close()
        self.server.terminate()
        try:
            self.server.wait(timeout=2.0)
        except subprocess.TimeoutExpired:
            self.server.kill()
            self.server.wait()


def host(path: Path) -> int:
    """Run the host of the deployment in this directory; the exit code of the process."""
    record = Record(path)
    lock = try_lock(record.lock)
    if lock is None:
        say("another host has this deployment already")
        return 3
    with lock:
        record.write_host(ProcessIdentity.mine())
        asked = record.asked()
        if asked is None:
            say("there is no deployment.json")
            return 2
        Host(record, asked).run()
    return 0

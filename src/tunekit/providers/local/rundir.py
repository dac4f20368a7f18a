"""One local job as a directory; read and written by its launcher, its worker and whoever looks.

::

    <runs>/<tag>/            0700
      spec.json              what was asked for; never changes
      train.jsonl            the rows; validation.jsonl beside it where there are some
      launch.json            which attempt was started, as which process (written by launchers)
      status.json            where it stands (written by whoever holds `lock`)
      request.json           what a user asked the worker to do: cancel or pause
      exit.json              the worker's exit code, where its launcher lived to see it
      events.jsonl           what happened, one line each; only ever appended to
      worker.log             the worker's output
      lock                   held by the worker for as long as it lives
      checkpoints/           saved states; only those with a marker file are complete
      model/                 the result; appears by rename, so it is whole or not there
      merged/                the adapter merged into its base, on request

Standard library only: the worker may run under an interpreter in which nothing else is installed.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunekit.providers.local.process import ProcessIdentity
from tunekit.providers.local.statefile import PRIVATE_FILE, append_line, read_json, read_lines

TERMINAL = frozenset({"succeeded", "failed", "cancelled"})
"""The words after which a job never changes again."""

MODEL_MARKER = "tunekit.json"
"""The file in a model folder that says what the model is; written last, before the rename."""

FORMAT = 1
"""Version of this layout; written into `spec.json`."""


class RunDir:
    """The paths of one job, and reading from them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.spec_file = path / "spec.json"
        self.train_file = path / "train.jsonl"
        self.validation_file = path / "validation.jsonl"
        self.launch_file = path / "launch.json"
        self.status_file = path / "status.json"
        self.request_file = path / "request.json"
        self.exit_file = path / "exit.json"
        self.events_file = path / "events.jsonl"
        self.log_file = path / "worker.log"
        self.lock_file = path / "lock"
        self.supervision_file = path / "supervision.lock"
        self.checkpoints = path / "checkpoints"
        self.base = path / "base"
        self.model = path / "model"
        self.merged = path / "merged"

    @property
    def tag(self) -> str:
        """The name of the directory, which is also the id of the job."""
        return self.path.name

    @property
    def exists(self) -> bool:
        """Whether the directory has been put in place."""
        return self.spec_file.is_file()

    def spec(self) -> dict[str, Any]:
        """What was asked for."""
        return read_json(self.spec_file) or {}

    def status(self) -> dict[str, Any]:
        """What the worker last said; empty when it never said anything."""
        return _read(self.status_file)

    def launch(self) -> dict[str, Any]:
        """The last attempt at a worker; empty when there was none."""
        return _read(self.launch_file)

    def request(self) -> str | None:
        """`cancel`, `pause`, or None when nothing was asked for."""
        action = _read(self.request_file).get("action")
        return action if isinstance(action, str) else None

    def events(self, offset: int = 0) -> Iterator[tuple[int, dict[str, Any]]]:
        """Give `(offset after it, event)` for each event from byte `offset` on, oldest first."""
        return read_lines(self.events_file, offset)

    def identity(self) -> ProcessIdentity | None:
        """The process of the current attempt, as far as it is known."""
        launch, status = self.launch(), self.status()
        attempt = launch.get("attempt", 1)
        source = status if status.get("attempt") == attempt else launch
        return ProcessIdentity.from_json(source.get("worker"))


def _read(path: Path) -> dict[str, Any]:
    """Read a small file; empty when it is missing, or a power cut left it without its content."""
    try:
        return read_json(path) or {}
    except ValueError:
        return {}


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold an advisory lock that is only ever held for moments; wait for it.

    The kernel lets go of it when the holder ends, however it ends.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, PRIVATE_FILE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def take_lock(path: Path) -> int | None:
    """Take a lock without waiting.

    Returns:
        The descriptor to keep open for as long as the lock is to be held, or None when somebody
        else holds it.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, PRIVATE_FILE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


@dataclass(slots=True)
class EventLog:
    """Appends to `events.jsonl`. Only the holder of the run's `lock` may write."""

    path: Path
    next_id: int

    @classmethod
    def open(cls, path: Path) -> EventLog:
        """Go on after the last event; a line torn by a crash is closed off first."""
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return cls(path, 1)
        if content and not content.endswith(b"\n"):
            with path.open("ab") as file:
                file.write(b"\n")
        last = 0
        for _, event in read_lines(path):
            last = max(last, int(event.get("id", 0)))
        return cls(path, last + 1)

    def append(
        self,
        type_: str,
        message: str,
        *,
        level: str = "info",
        data: dict[str, Any] | None = None,
    ) -> None:
        """Write one event; its id is the next number of the run."""
        event = {
            "id": self.next_id,
            "at": time.time(),
            "level": level,
            "type": type_,
            "message": message,
            "data": data or {},
        }
        append_line(self.path, event)
        self.next_id += 1

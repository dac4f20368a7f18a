"""The worker's voice: status, heartbeat and events of a run directory.

Standard library only; see `rundir`.
"""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

from tunekit.providers.local.process import ProcessIdentity, peak_memory_bytes
from tunekit.providers.local.rundir import TERMINAL, EventLog, RunDir, take_lock
from tunekit.providers.local.statefile import write_json


def oom_kills() -> int | None:
    """How often the kernel has ended a process of this machine for want of memory (Linux)."""
    try:
        text = Path("/proc/vmstat").read_text(encoding="ascii")
    except OSError:
        return None
    for line in text.splitlines():
        name, _, count = line.partition(" ")
        if name == "oom_kill":
            return int(count)
    return None


class Reporter:
    """Holds the run's lock and writes what the worker has to say.

    Progress is kept in memory and written by a thread of its own at most once a second, without
    flushing the disk, so that a training step never waits for a file. A change of status is
    written at once and durably. A small file is kept in reserve and given up for the last word,
    so that a full disk can still be reported.
    """

    interval = 1.0
    heartbeat = 5.0
    reserve_bytes = 65536

    def __init__(self, run: RunDir, lock: int, *, attempt: int) -> None:
        self.run = run
        self.events = EventLog.open(run.events_file)
        self._lock = lock
        self._guard = threading.Lock()
        self._stop = threading.Event()
        self._dirty = False
        previous = run.status()
        self._status: dict[str, Any] = {
            **previous,
            "attempt": attempt,
            "worker": ProcessIdentity.mine().to_json(),
            "started_at": previous.get("started_at") or time.time(),
            "oom_kills": oom_kills(),
            "error": None,
            "finished_at": None,
        }
        self._reserve = run.path / ".reserve"
        self._reserve.write_bytes(bytes(self.reserve_bytes))
        self._thread = threading.Thread(target=self._beat, name="tunekit-heartbeat", daemon=True)

    @classmethod
    def begin(cls, run: RunDir, *, patience: float = 30.0) -> Reporter | None:
        """Become the run's one worker; None when there is nothing to do.

        That is so when the run has ended, is paused without having been resumed, or has a worker
        for this attempt already. The predecessor of a resumed run may take a moment to go, which
        is waited for up to `patience` seconds.
        """
        deadline = time.monotonic() + patience
        while (lock := take_lock(run.lock_file)) is None:
            busy_with = run.status().get("attempt")
            if busy_with == run.launch().get("attempt", 1) or time.monotonic() > deadline:
                return None
            time.sleep(0.05)
        attempt = int(run.launch().get("attempt", 1))
        status = run.status()
        done = status.get("attempt") == attempt and status.get("status") == "paused"
        if done or status.get("status") in TERMINAL:
            os.close(lock)
            return None
        reporter = cls(run, lock, attempt=attempt)
        resumed = bool(status)
        reporter.change("resuming" if resumed else "validating")
        reporter._thread.start()
        return reporter

    def note(self, **values: Any) -> None:
        """Remember progress; it is on disk within about a second."""
        with self._guard:
            self._status.update(values)
            self._dirty = True

    def change(self, status: str, message: str = "", **values: Any) -> None:
        """Change the status word: an event, and the file, at once and durably."""
        level = "error" if status == "failed" else "info"
        with self._guard:
            changed = self._status.get("status") != status
            self._status.update(values, status=status)
            if changed:
                text = message or f"The job is now {status}."
                data: dict[str, Any] = {"status": status}
                if values.get("error"):
                    data["code"] = values["error"]["code"]
                self.events.append("status", text, level=level, data=data)
            self._write(durable=True)

    def message(
        self, text: str, *, level: str = "info", data: dict[str, Any] | None = None
    ) -> None:
        """Add an event of type `message`."""
        self.event("message", text, level=level, data=data)

    def event(
        self, type_: str, text: str, *, level: str = "info", data: dict[str, Any] | None = None
    ) -> None:
        """Add an event."""
        with self._guard:
            self.events.append(type_, text, level=level, data=data)

    def finish(self, status: str, message: str = "", **values: Any) -> None:
        """Say the last word. The heartbeat ends; the lock goes with the process."""
        self._stop.set()
        self._thread.join(timeout=5)
        self._reserve.unlink(missing_ok=True)
        self.change(status, message, finished_at=time.time(), **values)

    def get(self, name: str) -> Any:
        """A value of the status as it stands, for example what an earlier attempt left."""
        with self._guard:
            return self._status.get(name)

    def _write(self, *, durable: bool) -> None:
        self._status["heartbeat_at"] = time.time()
        self._status["peak_memory_bytes"] = peak_memory_bytes()
        write_json(self.run.status_file, self._status, durable=durable)
        self._dirty = False

    def _beat(self) -> None:
        silent = 0.0
        while not self._stop.wait(self.interval):
            silent += self.interval
            with self._guard:
                if self._stop.is_set() or not (self._dirty or silent >= self.heartbeat):
                    continue
                try:
                    self._write(durable=False)
                except OSError:  # a full disk: the main thread will meet it too, and say so
                    continue
            silent = 0.0

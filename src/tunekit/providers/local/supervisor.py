"""Starting, settling and stopping the worker of a run directory, from any process.

Who may write what: `status.json` and `events.jsonl` belong to the holder of the run's `lock`, which
is the worker while it lives; `launch.json` and `request.json` belong to launchers, one at a time
under `supervision.lock`. A worker is declared dead only when its process is gone *and* the lock
could be taken, so a verdict never races a living worker.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tunekit.providers.local.checkpoints import complete_checkpoints
from tunekit.providers.local.process import ProcessIdentity, spawn_detached
from tunekit.providers.local.reporter import oom_kills
from tunekit.providers.local.rundir import (
    MODEL_MARKER,
    TERMINAL,
    EventLog,
    RunDir,
    exclusive,
    take_lock,
)
from tunekit.providers.local.statefile import read_json, tail, write_json

SILENCE = 120.0
"""Seconds that a fresh worker may take until its first word; it normally takes a tenth of one."""

GRACE = 30.0
"""Seconds that a worker may take to end after it was asked to, before it is killed."""


@dataclass(frozen=True)
class View:
    """A run as it is right now: its files, and what they add up to."""

    run: RunDir
    spec: dict[str, Any]
    launch: dict[str, Any]
    status: dict[str, Any]
    request: dict[str, Any]
    now: float = field(default_factory=time.time)

    @classmethod
    def of(cls, run: RunDir) -> View:
        """Read the files. Launch first: what the worker says later is never lost that way."""
        return cls(
            run,
            run.spec(),
            run.launch(),
            run.status(),
            read_json(run.request_file) or {},
        )

    @property
    def attempt(self) -> int:
        """Number of the current attempt; it grows with each resume."""
        return int(self.launch.get("attempt", 1))

    @property
    def heard(self) -> bool:
        """Whether the worker of the current attempt has said anything."""
        return self.status.get("attempt") == self.attempt

    @property
    def launched(self) -> bool:
        """Whether a worker was ever started."""
        return bool(self.status) or bool(self.launch.get("spawned"))

    @property
    def ended(self) -> bool:
        """Whether the last word has been said."""
        return self.status.get("status") in TERMINAL

    @property
    def resting(self) -> bool:
        """Whether it is paused, with no worker on its way."""
        if self.status.get("status") != "paused":
            return False
        return self.heard or not self.launch.get("spawned")

    @property
    def identity(self) -> ProcessIdentity | None:
        """The process of the current attempt."""
        source = self.status if self.heard else self.launch
        return ProcessIdentity.from_json(source.get("worker"))

    @property
    def worker_alive(self) -> bool:
        """Whether that process runs."""
        identity = self.identity
        return identity is not None and identity.alive

    @property
    def asked_for(self) -> str | None:
        """`cancel` or `pause`, while that has been asked for and not yet done."""
        action = self.request.get("action")
        return action if action in ("cancel", "pause") and not self.ended else None

    @property
    def word(self) -> str:
        """The status word that a user sees."""
        status = str(self.status.get("status", "queued"))
        if self.ended:
            return status
        if self.asked_for == "cancel":
            return "cancelling"
        if self.resting:
            return status
        if status == "paused" or (not self.heard and self.attempt > 1):
            return "resuming"
        if self.asked_for == "pause":
            return "pausing"
        return status if self.heard else "queued"


class Supervisor:
    """Everything that is done to a worker from outside. No method sleeps.

    Args:
        command: Gives the command line of the worker for a run directory.
        environment: Gives the environment of the worker.
    """

    def __init__(
        self,
        command: Callable[[RunDir], Sequence[str]],
        environment: Callable[[], Mapping[str, str]],
        *,
        silence: float = SILENCE,
        grace: float = GRACE,
    ) -> None:
        self.command = command
        self.environment = environment
        self.silence = silence
        self.grace = grace

    def start(self, run: RunDir) -> View:
        """Start the first worker, unless there has been one."""
        with exclusive(run.supervision_file):
            view = View.of(run)
            if not view.launched:
                self._spawn(run, attempt=1)
        return self.look(run)

    def look(self, run: RunDir) -> View:
        """Say where the run stands, and settle it if its worker is gone without a last word."""
        view = View.of(run)
        if _settled(view):
            return view
        if view.worker_alive:
            self._escalate(view)
            return view
        with exclusive(run.supervision_file):
            lock = take_lock(run.lock_file)
            if lock is None:
                return View.of(run)  # somebody works on it after all
            try:
                view = View.of(run)
                if not (_settled(view) or view.worker_alive):
                    self._write_verdict(view)
            finally:
                os.close(lock)
        return View.of(run)

    def cancel(self, run: RunDir) -> View:
        """Ask the worker to end; a run without a worker ends here and now."""
        with exclusive(run.supervision_file):
            view = View.of(run)
            if view.ended or not view.launched:
                return view
            if view.request.get("action") != "cancel":
                write_json(run.request_file, {"action": "cancel", "at": time.time()})
                identity = view.identity
                if identity is not None:
                    identity.signal_group(signal.SIGTERM)
        return self.look(run)

    def pause(self, run: RunDir) -> View:
        """Ask the worker to save a checkpoint and stop after the step that it is at."""
        with exclusive(run.supervision_file):
            view = View.of(run)
            if not (view.ended or view.resting or view.asked_for):
                write_json(run.request_file, {"action": "pause", "at": time.time()})
        return self.look(run)

    def resume(self, run: RunDir) -> View:
        """Start a worker that goes on from the newest checkpoint, if the run is paused."""
        with exclusive(run.supervision_file):
            view = View.of(run)
            if view.resting:
                run.request_file.unlink(missing_ok=True)
                self._spawn(run, attempt=int(view.status.get("attempt", 1)) + 1)
        return self.look(run)

    def _spawn(self, run: RunDir, *, attempt: int) -> None:
        launch: dict[str, Any] = {"attempt": attempt, "at": time.time(), "spawned": False}
        write_json(run.launch_file, launch)
        run.exit_file.unlink(missing_ok=True)

        def remember(code: int) -> None:
            # The run may have been deleted meanwhile, or the disk be full: then nobody will know.
            with contextlib.suppress(OSError):
                write_json(run.exit_file, {"attempt": attempt, "code": code}, durable=False)

        spawned = spawn_detached(
            self.command(run),
            log=run.log_file,
            cwd=run.path,
            env=self.environment(),
            on_exit=remember,
        )
        launch["spawned"] = True
        launch["pid"] = spawned.pid
        launch["worker"] = None if spawned.identity is None else spawned.identity.to_json()
        launch["oom_kills"] = oom_kills()
        write_json(run.launch_file, launch)

    def _escalate(self, view: View) -> None:
        """Kill a worker that was asked to end long ago, or that never said its first word."""
        identity = view.identity
        if identity is None:
            return
        asked = float(view.request.get("at", view.now))
        overdue = view.asked_for == "cancel" and view.now - asked > self.grace
        silent = not view.heard and view.now - float(view.launch.get("at", 0)) > self.silence
        if overdue or silent:
            identity.signal_group(signal.SIGKILL)

    def _write_verdict(self, view: View) -> None:
        """Write the last word for a worker that is gone. The caller holds the run's lock."""
        run = view.run
        if view.asked_for == "cancel":
            _last_word(view, "cancelled", "The job was cancelled.")
            return
        if (run.model / MODEL_MARKER).is_file():
            # The rename of the finished model makes a run succeed; only the word is missing.
            _last_word(view, "succeeded", "The job succeeded; its worker died right afterwards.")
            return
        why = _how_it_ended(view)
        log = tail(run.log_file, 15).strip()
        message = f"The worker of job {run.tag!r} is gone: {why}."
        log = f" The end of its log:\n{log}" if log else " Its log is empty."
        if view.status.get("status") == "paused":
            # A resumed worker that died before its first word has spoiled nothing.
            again = " The job is paused again; resume it once more."
            _last_word(view, "paused", f"{message}{again}{log}", level="error")
            return
        message += f" Launch it again under another run name.{_kept(run)}{log}"
        waited = view.now - float(view.launch.get("at", view.now))
        silent = not view.heard and waited > self.silence
        code = "worker-silent" if silent else "worker-died"
        _last_word(view, "failed", message, level="error", error={"code": code, "message": message})


def _settled(view: View) -> bool:
    """Whether there is nothing to settle: never begun, ended, or resting and to be left so."""
    return not view.launched or view.ended or (view.resting and view.asked_for != "cancel")


def _last_word(view: View, word: str, message: str, *, level: str = "info", **values: Any) -> None:
    status = {**view.status, "attempt": view.attempt, "status": word, "finished_at": time.time()}
    status.update(values)
    data: dict[str, Any] = {"status": word}
    if "error" in values:
        data["code"] = values["error"]["code"]
    events = EventLog.open(view.run.events_file)
    events.append("status", message, level=level, data=data)
    write_json(view.run.status_file, status)


def _how_it_ended(view: View) -> str:
    """Say how a worker that is gone came to its end, as far as anybody knows."""
    identity = view.identity
    ended = read_json(view.run.exit_file) or {}
    if identity is not None and identity.before_restart:
        return "the machine was restarted while it ran"
    before = (view.status if view.heard else view.launch).get("oom_kills")
    after = oom_kills()
    starved = before is not None and after is not None and after > int(before)
    memory = (
        "; the kernel has since ended a process for want of memory, so try a smaller batch, a"
        " shorter `max_length` or a smaller model"
    )
    code = ended.get("code") if ended.get("attempt") == view.attempt else None
    if code is None:
        return "it was killed, or the machine restarted" + (memory if starved else "")
    if code >= 0:
        return f"it ended with exit code {code} and without a last word"
    name = _signal_name(-code)
    if -code == signal.SIGKILL:
        return f"it was killed with {name}" + (
            memory if starved else ", which is also what the kernel does when memory runs out"
        )
    return f"it was ended by {name}"


def _kept(run: RunDir) -> str:
    states = complete_checkpoints(run.checkpoints)
    if not states:
        return ""
    return f" Its checkpoint of step {states[-1].step} is whole: {str(states[-1].path)!r}."


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def stale_builds(runs: Path, *, older_than: float) -> list[Path]:
    """Half-made run directories that a killed launcher left, older than so many seconds."""
    limit = time.time() - older_than
    found = []
    for path in runs.glob(".new-*"):
        with contextlib.suppress(FileNotFoundError):  # its launcher has just renamed it
            if path.stat().st_mtime < limit:
                found.append(path)
    return found

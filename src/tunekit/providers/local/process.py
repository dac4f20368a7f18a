"""Detached processes that are known by more than their number.

A process id is used again after a while, and after a reboot at once. So a process is identified by
its id *and* the moment it started: a recycled id is never mistaken for the process it once was.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

_ON_LINUX: bool = sys.platform == "linux"


def _start_of(pid: int) -> str | None:
    """A text that differs for two processes that ever had the same id; None when there is none."""
    if _ON_LINUX:
        try:
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
            boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        except OSError:
            return None
        # After the command name (which may hold spaces and brackets): state is the first field,
        # the start time in clock ticks since boot the twentieth; see proc_pid_stat(5).
        fields = stat.rpartition(")")[2].split()
        if fields[0] in ("Z", "X"):
            return None
        return f"{boot}:{fields[19]}"
    found = subprocess.run(  # noqa: S603 - fixed command, the id is an int
        ["/bin/ps", "-o", "lstart=,stat=", "-p", str(pid)],
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    if not found or found.split()[-1].startswith("Z"):
        return None
    return " ".join(found.split()[:-1])


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """A process of this machine: its id and a text that pins the moment of its start."""

    pid: int
    started: str

    @classmethod
    def of(cls, pid: int) -> ProcessIdentity | None:
        """Identify a live process; None when there is none (a zombie counts as gone)."""
        started = _start_of(pid)
        return None if started is None else cls(pid, started)

    @classmethod
    def mine(cls) -> ProcessIdentity:
        """Identify the calling process."""
        own = cls.of(os.getpid())
        if own is None:
            raise RuntimeError("this process cannot see itself: is /proc mounted?")
        return own

    @classmethod
    def from_json(cls, content: Mapping[str, Any] | None) -> ProcessIdentity | None:
        """Read back what `to_json` gave."""
        if not content:
            return None
        return cls(int(content["pid"]), str(content["started"]))

    def to_json(self) -> dict[str, Any]:
        """Give a JSON-able form."""
        return asdict(self)

    @property
    def before_restart(self) -> bool:
        """Whether the machine has been restarted since this process started (Linux only)."""
        now = boot_id()
        return now is not None and ":" in self.started and not self.started.startswith(now)

    @property
    def alive(self) -> bool:
        """Whether this very process still runs."""
        return _start_of(self.pid) == self.started

    def signal_group(self, number: signal.Signals) -> bool:
        """Signal the process group that this process leads; False when it is gone."""
        if not self.alive:
            return False
        try:
            os.killpg(self.pid, number)
        except (ProcessLookupError, PermissionError):
            return False
        return True

    def end_group(self, *, grace: float = 5.0) -> bool:
        """Ask the whole group to end, wait up to `grace` seconds, then kill it.

        Returns:
            True when the leader is gone afterwards.
        """
        if not self.signal_group(signal.SIGTERM):
            return not self.alive
        deadline = time.monotonic() + grace
        while self.alive and time.monotonic() < deadline:
            time.sleep(0.02)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        deadline = time.monotonic() + 2.0
        while self.alive and time.monotonic() < deadline:
            time.sleep(0.02)
        return not self.alive


@dataclass(frozen=True, slots=True)
class Spawned:
    """A process that we have just started.

    Attributes:
        pid: Its id, which is also the id of its group and session.
        identity: None when it was gone again before it could be looked at.
        child: The handle by which this process, and only this one, learns the exit code.
    """

    pid: int
    identity: ProcessIdentity | None
    child: subprocess.Popen[bytes]

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative for a signal."""
        return self.child.returncode


def boot_id() -> str | None:
    """A text that changes when the machine restarts; None where it cannot be told."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return None


def spawn_detached(
    command: Sequence[str],
    *,
    log: Path,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    on_exit: Callable[[int], None] | None = None,
) -> Spawned:
    """Start a process in a session of its own that outlives us; its output is appended to `log`.

    A daemon thread reaps it when it ends while we still live, so that it never stays a zombie, and
    then calls `on_exit` with the exit code (negative for a signal). Only the process that spawned
    it ever learns that code.
    """
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        child = subprocess.Popen(  # noqa: S603 - the command is ours, not a shell's
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=descriptor,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            env=None if env is None else dict(env),
            start_new_session=True,
            close_fds=True,
        )
    finally:
        os.close(descriptor)
    identity = ProcessIdentity.of(child.pid)

    def reap() -> None:
        code = child.wait()
        if on_exit is not None:
            on_exit(code)

    threading.Thread(target=reap, name=f"tunekit-reaper-{child.pid}", daemon=True).start()
    return Spawned(child.pid, identity, child)


def peak_memory_bytes() -> int | None:
    """The most memory that this process has held in RAM; None where the system does not say.

    Not `ru_maxrss`, which on Linux starts at the size of the process that launched this one.
    """
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return None
    found = re.search(r"^VmHWM:\s+(\d+) kB$", status, flags=re.M)
    return int(found[1]) * 1024 if found else None

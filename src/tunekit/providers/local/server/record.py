"""The directory of one local deployment: its files, its lock, and who may talk to it.

::

    <home>/deployments/<name>/      0700
        deployment.json             what was asked for; written once
        status.json                 where it stands; replaced atomically, last by the host
        host.json                   which process looks after it
        owner.json                  which process it is tied to, when it was adopted
        delete-requested            somebody asked for its end
        api-key                     the bearer key, 0600; gone when the deployment is
        fault.json                  why the server could not start, in its own words
        host.lock                   held for as long as the host lives
        server.log                  what the host and the server had to say

Needs only the standard library: the host and the server read it under the profile's interpreter.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, Any

from tunekit.providers.local.process import ProcessIdentity
from tunekit.providers.local.statefile import PRIVATE_FILE, read_json, write_json

VERSION = 1


def now() -> str:
    """The present moment as the files hold it: ISO 8601 in UTC."""
    return datetime.now(timezone.utc).isoformat()  # noqa: UP017 - also read by older interpreters


def try_lock(path: Path, *, shared: bool = False) -> IO[bytes] | None:
    """Lock the file, or give None when another process holds it against us.

    The lock lives as long as the returned file is open; the kernel frees it when its process ends.

    Args:
        path: The file; made when it is not there.
        shared: Allow others that ask for a shared lock too.
    """
    import fcntl  # POSIX only; this module can be imported anywhere

    file = path.open("ab")
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


def lock_name(root: Path, name: str, *, patience: float = 10.0) -> IO[bytes] | None:
    """Hold a name while its directory is made or removed.

    Returns:
        What holds it until it is closed; None when another process still had the name after
        `patience` seconds.
    """
    path = root / f".{name}.lock"
    deadline = time.monotonic() + patience
    while (held := try_lock(path)) is None and time.monotonic() < deadline:
        time.sleep(0.02)
    return held


def name_is_locked(root: Path, name: str) -> bool:
    """Whether some process makes or removes this deployment just now."""
    path = root / f".{name}.lock"
    if not path.exists():
        return False
    held = try_lock(path, shared=True)
    if held is None:
        return True
    held.close()
    return False


@dataclass(frozen=True, slots=True)
class Record:
    """One deployment's directory."""

    path: Path

    @property
    def log(self) -> Path:
        """What the host and the server had to say."""
        return self.path / "server.log"

    @property
    def lock(self) -> Path:
        """Held by the host for as long as it lives."""
        return self.path / "host.lock"

    def asked(self) -> dict[str, Any] | None:
        """What was asked for; None when there is no such deployment."""
        return read_json(self.path / "deployment.json")

    def status(self) -> dict[str, Any]:
        """Where it stands, as it was last written down."""
        return read_json(self.path / "status.json") or {}

    def write_status(self, status: str, **content: Any) -> None:
        """Replace the status by this one."""
        write_json(self.path / "status.json", {"status": status, "updated_at": now(), **content})

    def host(self) -> ProcessIdentity | None:
        """The process that looks after it; None before it was started."""
        return ProcessIdentity.from_json(read_json(self.path / "host.json"))

    def write_host(self, identity: ProcessIdentity) -> None:
        """Write down which process looks after it. Both the launcher and the host do."""
        write_json(self.path / "host.json", identity.to_json())

    def owner(self) -> ProcessIdentity | None:
        """The process with which it ends, when it was adopted."""
        return ProcessIdentity.from_json(read_json(self.path / "owner.json"))

    def write_owner(self, identity: ProcessIdentity) -> None:
        """Tie it to this process."""
        write_json(self.path / "owner.json", identity.to_json())

    def fault(self) -> dict[str, Any] | None:
        """Why the server could not start, in its own words."""
        return read_json(self.path / "fault.json")

    def write_fault(self, code: str, message: str) -> None:
        """Let the host know why the server cannot start."""
        write_json(self.path / "fault.json", {"code": code, "message": message})

    @property
    def delete_requested(self) -> bool:
        """Whether somebody asked for its end."""
        return (self.path / "delete-requested").exists()

    def request_delete(self) -> None:
        """Leave the mark by which the host knows why it is being ended."""
        (self.path / "delete-requested").touch(mode=PRIVATE_FILE)

    def write_key(self, key: str) -> None:
        """Keep the bearer key in a file of its own that only its owner can read."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        descriptor = os.open(self.path / "api-key", flags, PRIVATE_FILE)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(key)

    def key(self) -> str | None:
        """The bearer key; None once the deployment has ended."""
        try:
            return (self.path / "api-key").read_text(encoding="ascii")
        except FileNotFoundError:
            return None

    def forget_key(self) -> None:
        """Remove the bearer key: nothing answers to it any more."""
        (self.path / "api-key").unlink(missing_ok=True)


def ask_for(path: Path, content: Mapping[str, Any]) -> None:
    """Write `deployment.json` into a directory that is being made."""
    write_json(path / "deployment.json", {"version": VERSION, **content})

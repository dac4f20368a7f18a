"""Is a port free, and if not, who has it?"""

from __future__ import annotations

import contextlib
import errno
import sys
from pathlib import Path

from tunekit.errors import LocalRunError, PortInUseError
from tunekit.providers.local.server.host import bind

_LISTEN = "0A"  # state of a listening socket in /proc/net/tcp; see proc_pid_net(5)


def require_free(port: int) -> None:
    """Refuse a port that another process has.

    Raises:
        PortInUseError: It is taken; names the process that has it where that can be known.
        LocalRunError: It cannot be used for another reason, for example below 1024.
    """
    try:
        bind(port).close()
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise LocalRunError(
                f"Port {port} cannot be used: {error.strerror}.",
                next_step="Choose another `port`, or 0 for a free one.",
            ) from error
        holder = holder_of(port)
        by = f" by process {holder}" if holder else " by another process"
        raise PortInUseError(
            f"Port {port} is in use{by}.",
            next_step="Choose another `port`, 0 for a free one, or end that process.",
        ) from error


def holder_of(port: int) -> str | None:
    """`<pid> (<command>)` of the process that listens on the port, where this user may see it."""
    if sys.platform != "linux":
        return None
    links = {f"socket:[{inode}]" for inode in _inodes(port)}
    if not links:
        return None
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            for descriptor in (process / "fd").iterdir():
                with contextlib.suppress(OSError):
                    if str(descriptor.readlink()) in links:
                        command = (process / "comm").read_text(errors="replace").strip()
                        return f"{process.name} ({command})"
    return None


def _inodes(port: int) -> set[str]:
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(table).read_text(encoding="ascii").splitlines()[1:]:
                fields = line.split()
                if fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                    found.add(fields[9])
    return found

"""Small files that are whole at any moment: replaced atomically, or appended line by line."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

PRIVATE_DIR = 0o700
PRIVATE_FILE = 0o600


def make_private_dir(path: Path) -> Path:
    """Create the folder (and its parents) so that only its owner can look inside."""
    path.mkdir(mode=PRIVATE_DIR, parents=True, exist_ok=True)
    return path


def write_json(path: Path, content: Mapping[str, Any], *, durable: bool = True) -> None:
    """Replace the file by this object, so that a reader sees the old or the new one, never half.

    The bytes are on disk before the name points to them: a power cut leaves one of the two. With
    `durable=False` that last promise, which costs a flush of the disk, is left out.
    """
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(content, file, ensure_ascii=False, indent=1)
            file.write("\n")
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def read_json(path: Path) -> dict[str, Any] | None:
    """Read the object, or None when the file is not there."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return content if isinstance(content, dict) else None


def append_line(path: Path, content: Mapping[str, Any]) -> None:
    """Append one JSON line with a single write, or nothing.

    Raises:
        OSError: The disk is full; a part of the line that was written is taken back, so that the
            next line does not continue it.
    """
    line = (json.dumps(content, ensure_ascii=False) + "\n").encode()
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, PRIVATE_FILE)
    try:
        written = os.write(descriptor, line)
        if written < len(line):
            os.ftruncate(descriptor, os.fstat(descriptor).st_size - written)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
    finally:
        os.close(descriptor)


def read_lines(path: Path, offset: int = 0) -> Iterator[tuple[int, dict[str, Any]]]:
    """Give `(offset after the line, object)` for each whole line from byte `offset` on.

    A last line without its newline is still being written, and is left for the next call. A line
    that is no JSON object (a crash in the middle of a write) is passed over.
    """
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        file.seek(offset)
        for line in file:
            if not line.endswith(b"\n"):
                return
            offset += len(line)
            try:
                content = json.loads(line)
            except ValueError:
                continue
            if isinstance(content, dict):
                yield offset, content


def tail(path: Path, lines: int = 20, *, limit: int = 65536) -> str:
    """The last `lines` lines of a log, reading at most `limit` bytes."""
    try:
        with path.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - limit))
            text = file.read().decode("utf-8", errors="replace")
    except FileNotFoundError:
        return ""
    return "\n".join(text.splitlines()[-lines:])

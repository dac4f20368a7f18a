"""Data files of local jobs: rows as the worker reads them, kept once per content."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tunekit.errors import DiskSpaceError, LocalRunError, NotFoundError
from tunekit.providers.base import FileRef, PreparedFile, Progress, Stop
from tunekit.providers.local.statefile import PRIVATE_FILE, make_private_dir

if TYPE_CHECKING:
    from tunekit.data import Dataset

LINE_KEY = "_line"
"""Where a row came from, when that is not the line on which the worker finds it."""

CHUNK = 1 << 20

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""The error numbers by which a system says that no more can be written."""


def cannot_write(what: str, error: OSError) -> LocalRunError:
    """The error for a folder of runs that takes no more, or nothing at all.

    Args:
        what: What could not be done, without a full stop.
        error: What the system said.
    """
    said = f"{what}: {error.strerror or error}."
    if error.errno in FULL:
        return DiskSpaceError(
            said, next_step="Free some space, or set `runs_dir` in the profile to another disk."
        )
    return LocalRunError(
        said, next_step="Make that folder writable, or set `runs_dir` in the profile to another."
    )


def write_rows(dataset: Dataset, to: Path) -> PreparedFile:
    """Write a dataset as the JSONL that workers read; streams, and appears whole or not at all.

    A row keeps the number of its line in the user's file (as `_line`, where it differs from its
    place in this one), so that the worker's faults name lines that the user can find.
    """
    digest, size, rows = hashlib.sha256(), 0, 0
    handle, temporary = tempfile.mkstemp(prefix=f".{to.name}.", dir=to.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            for number, row in dataset.numbered():
                rows += 1
                numbered = row if number == rows else {**row, LINE_KEY: number}
                line = (json.dumps(numbered, ensure_ascii=False) + "\n").encode()
                digest.update(line)
                size += len(line)
                file.write(line)
        os.replace(temporary, to)
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        if isinstance(error, OSError) and error.errno in FULL:
            raise DiskSpaceError(
                f"{str(to)!r} could not be written: {error.strerror}.",
                next_step="Free some space, or set `TUNEKIT_HOME` to another disk.",
            ) from error
        raise
    return PreparedFile(path=to, rows=rows, bytes=size, sha256=digest.hexdigest())


class FileStore:
    """Files by the hash of their content, in `<runs>/.files`.

    A run shares the store's copy through a hard link, so that no row lies on the disk twice.
    """

    def __init__(self, runs: Path) -> None:
        self.folder = runs / ".files"

    def path(self, file_id: str) -> Path:
        """Where a stored file lies."""
        return self.folder / f"{file_id}.jsonl"

    def add(self, file: PreparedFile, *, progress: Progress, stop: Stop) -> FileRef:
        """Take a file in. Doing it twice is harmless, and so is dying in the middle."""
        ref = FileRef(id=file.sha256, sha256=file.sha256, bytes=file.bytes)
        target = self.path(file.sha256)
        try:
            make_private_dir(self.folder)
            if not (target.is_file() and target.stat().st_size == file.bytes):
                self._copy_in(file, target, progress=progress, stop=stop)
        except InterruptedError:
            raise  # the caller asked for it
        except OSError as error:
            raise cannot_write(
                f"The data file {str(file.path)!r} could not be stored in {str(self.folder)!r}",
                error,
            ) from error
        progress(file.bytes, file.bytes)
        return ref

    def _copy_in(self, file: PreparedFile, target: Path, *, progress: Progress, stop: Stop) -> None:
        handle, name = tempfile.mkstemp(prefix=".new-", dir=self.folder)
        os.close(handle)
        temporary = Path(name)
        try:
            _copy(file, temporary, progress=progress, stop=stop)
            os.replace(temporary, target)
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink()

    def place(self, ref: FileRef, at: Path) -> None:
        """Put a stored file into a run directory.

        Raises:
            NotFoundError: The store does not hold it.
        """
        source = self.path(ref.id)
        if not source.is_file():
            raise NotFoundError(
                f"The data file {ref.id!r} is not in {str(self.folder)!r}.",
                next_step="Hand it over again.",
            )
        try:
            os.link(source, at)
        except OSError:  # a file system without hard links
            shutil.copyfile(source, at)
            at.chmod(PRIVATE_FILE)


def _copy(file: PreparedFile, to: Path, *, progress: Progress, stop: Stop) -> None:
    done, digest = 0, hashlib.sha256()
    with file.path.open("rb") as source, to.open("wb") as target:
        while block := source.read(CHUNK):
            if stop():
                raise InterruptedError("the upload was stopped")
            digest.update(block)
            target.write(block)
            done += len(block)
            progress(done, file.bytes)
        target.flush()
        os.fsync(target.fileno())
    if digest.hexdigest() != file.sha256:
        raise LocalRunError(
            f"The data file {str(file.path)!r} has changed since it was prepared.",
            next_step="Launch again.",
        )

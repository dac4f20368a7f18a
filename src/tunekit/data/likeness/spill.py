"""Long columns of bytes that are kept in memory while short, and in a temporary file when not."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, TypeVar

from tunekit.errors import DataError

IN_MEMORY: Final = 256 * 1024
"""Bytes of a column that are kept in memory before it goes to disk."""

CHUNK_ROWS: Final = 32_768
"""Rows of a column that are read at a time."""

T = TypeVar("T")


class Column:
    """Cells of one fixed width, appended at the end and read from anywhere.

    The file has no name in its folder where the system allows that (all but Windows), so nothing
    is left behind, not even by a process that is killed.

    Attributes:
        width: Bytes of a cell.
        rows: How many cells there are.
    """

    def __init__(
        self, width: int, *, folder: Path | None = None, in_memory: int = IN_MEMORY
    ) -> None:
        self.width = width
        self.rows = 0
        self._folder = folder
        self._at_end = True
        self._file = tempfile.SpooledTemporaryFile(  # noqa: SIM115 - closed by `close`
            max_size=in_memory, dir=None if folder is None else str(folder)
        )

    def append(self, cells: bytes) -> None:
        """Add whole cells.

        Raises:
            DataError: The disk is full, or the folder cannot be written.
        """
        if len(cells) % self.width:
            raise ValueError(f"{len(cells)} bytes are no whole cells of {self.width}")
        self._guarded(lambda: self._write(cells))
        self.rows += len(cells) // self.width

    def _write(self, cells: bytes) -> None:
        if not self._at_end:
            self._file.seek(0, 2)
            self._at_end = True
        self._file.write(cells)

    def read(self, row: int, rows: int = 1) -> bytes:
        """Give the cells from this row on; fewer where the column ends."""
        return self._guarded(lambda: self._read(row, rows))

    def _read(self, row: int, rows: int) -> bytes:
        self._at_end = False
        self._file.seek(row * self.width)
        return self._file.read(rows * self.width)

    def chunks(self, rows: int = CHUNK_ROWS) -> Iterator[tuple[int, bytes]]:
        """Give `(first row, cells)` from the beginning to the end."""
        for row in range(0, self.rows, rows):
            yield row, self.read(row, rows)

    def close(self) -> None:
        """Give the memory and the disk space back."""
        with contextlib.suppress(OSError):  # what could not be written is not wanted any more
            self._file.close()

    def _guarded(self, action: Callable[[], T]) -> T:
        try:
            return action()
        except OSError as error:
            folder = str(self._folder or tempfile.gettempdir())
            raise DataError(
                f"The search for duplicates cannot keep its notes in {folder!r}: {error.strerror}.",
                next_step="Free some space there, or set the environment variable `TMPDIR` to a "
                "folder that has about 150 bytes for each row.",
            ) from error

"""Parquet files as a source of rows, read in batches."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final

from typing_extensions import override

from tunekit.data.encoding import RowError, json_value, plain, printable
from tunekit.data.sources import Entry, Source, fault
from tunekit.errors import DataError, missing_extra

_ERRORS: Final = (OSError, ValueError, NotImplementedError)  # what pyarrow's own derive from

BATCH: Final = 1024
"""Rows that are decoded at once."""

WINDOW: Final = 65_536
"""Positions that `pick` gathers before it goes through the file, so that a shuffled order of a
million rows costs some 16 passes and not a million seeks. Long rows make it smaller."""

WINDOW_BYTES: Final = 64 << 20
"""What the rows of a window may take, uncompressed."""


class ParquetSource(Source):
    """Rows of a Parquet file; at most a batch of them, or a window when picked, is in memory.

    Nested values become objects and lists. A null inside them counts as absent, because Arrow has
    one wherever another row has a key. Dates become ISO 8601 text and decimals text.

    Args:
        path: The file.
        columns: Which columns to read; all by default.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, columns: Sequence[str] | None = None
    ) -> None:
        self._path = Path(path)
        self.name = printable(str(self._path))
        if not os.path.isfile(self._path):
            what = "is no regular file" if os.path.exists(self._path) else "does not exist"
            raise DataError(
                f"The data file {self.name!r} {what}.",
                next_step=f"Paths start from {str(Path.cwd())!r}.",
            )
        self._columns = None if columns is None else list(columns)
        self._stamp: tuple[int, int] | None = None

    def _open(self) -> Any:
        try:
            import pyarrow.parquet as parquet
        except ImportError as error:
            raise missing_extra(
                "tables", "'pyarrow>=21'", needed_for="Reading a Parquet file"
            ) from error
        try:
            status = self._path.stat()
            file = parquet.ParquetFile(self._path, memory_map=False, pre_buffer=False)
        except _ERRORS as error:
            raise self._unreadable(error) from error
        stamp = (status.st_size, status.st_mtime_ns)
        if self._stamp not in (None, stamp):
            raise DataError(
                f"The data file {self.name!r} has changed since it was first read.",
                next_step="Load it again, so that every part comes from the same file.",
            )
        self._stamp = stamp
        return file

    def _unreadable(self, error: Exception) -> DataError:
        return DataError(
            f"The data file {self.name!r} is no Parquet file that can be read: "
            f"{printable(str(error))}",
            next_step="Write it anew, or choose the format with `format=`.",
        )

    def _wanted(self, file: Any) -> list[str] | None:
        """The columns to read; those that are not there are left for the mapping to name."""
        if self._columns is None:
            return None
        return [name for name in self._columns if name in file.schema_arrow.names]

    def _batches(self, file: Any, groups: list[int] | None = None) -> Iterator[Any]:
        try:
            yield from file.iter_batches(
                batch_size=BATCH, row_groups=groups, columns=self._wanted(file), use_threads=False
            )
        except _ERRORS as error:
            raise self._unreadable(error) from error

    def _entry(self, position: int, row: dict[str, Any]) -> Entry:
        try:
            return position + 1, plain({key: json_value(item) for key, item in row.items()})
        except RowError as error:
            return position + 1, fault(error, self.name, position + 1)

    @override
    def entries(self) -> Iterator[Entry]:
        position = 0
        with self._open() as file:
            for batch in self._batches(file):
                for row in batch.to_pylist():
                    yield self._entry(position, row)
                    position += 1

    @override
    def pick(self, positions: Iterable[int]) -> Iterator[Entry]:
        wanted = iter(positions)
        size = BATCH  # the first rows come soon; a long way is gone in big steps
        with self._open() as file:
            longest = max(BATCH, min(WINDOW, WINDOW_BYTES // _row_bytes(file.metadata)))
            while window := list(islice(wanted, size)):
                yield from self._gathered(file, window)
                size = min(size * 4, longest)

    def _gathered(self, file: Any, window: list[int]) -> Iterator[Entry]:
        """The rows at these positions, found in one pass over the row groups that hold them."""
        import pyarrow as pa

        pieces = []
        places: dict[int, int] = {}
        ordered = sorted(set(window))
        begin = at = 0
        for group in range(file.num_row_groups):
            end = begin + file.metadata.row_group(group).num_rows
            if at < len(ordered) and ordered[at] < end:
                for batch in self._batches(file, [group]):
                    here = []
                    while at < len(ordered) and ordered[at] < begin + len(batch):
                        places[ordered[at]] = len(places)
                        here.append(ordered[at] - begin)
                        at += 1
                    if here:
                        pieces.append(batch.take(pa.array(here)))
                    begin += len(batch)
            begin = end
        table = pa.Table.from_batches(pieces).combine_chunks()
        for start in range(0, len(window), BATCH):
            part = window[start : start + BATCH]
            rows = table.take(pa.array([places[position] for position in part])).to_pylist()
            for position, row in zip(part, rows, strict=True):
                yield self._entry(position, row)

    @override
    def count(self) -> int:
        with self._open() as file:
            return int(file.metadata.num_rows)


def _row_bytes(metadata: Any) -> int:
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    return 1 + int(sum(group.total_byte_size for group in groups)) // max(1, int(metadata.num_rows))

"""Where the rows of a format go: JSON Lines, a JSON array, CSV or Parquet."""

from __future__ import annotations

import csv
import io
from abc import ABC, abstractmethod
from typing import Any, BinaryIO, Final

from typing_extensions import override

from tunekit.data.encoding import BOM, RowError, encode
from tunekit.data.records import Row
from tunekit.errors import missing_extra

_GROUP: Final = 4096
"""Rows of a row group in Parquet files: so many are in memory at once."""


class Sink(ABC):
    """Where rows of a format go."""

    @abstractmethod
    def put(self, row: Row) -> None:
        """Write a row. Raises `RowError` when it does not fit those before it."""

    @abstractmethod
    def close(self) -> None:
        """Write what is left; the file itself stays open."""


class JsonSink(Sink):
    """JSON Lines, or one array with a row a line."""

    def __init__(self, file: BinaryIO, *, array: bool, bom: bool) -> None:
        self._file = file
        self._array = array
        self._rows = 0
        file.write(BOM if bom else b"")

    @override
    def put(self, row: Row) -> None:
        line = encode(row)
        if self._array:
            line = (b",\n" if self._rows else b"[\n") + line.removesuffix(b"\n")
        self._file.write(line)
        self._rows += 1

    @override
    def close(self) -> None:
        if self._array:
            self._file.write(b"\n]\n" if self._rows else b"[]\n")


class TableSink(Sink):
    """Rows of texts whose columns are those of the first one."""

    def __init__(self) -> None:
        self.columns: tuple[str, ...] | None = None

    @override
    def put(self, row: Row) -> None:
        if self.columns is None:
            self.columns = tuple(row)
            self.begin(self.columns)
        if tuple(row) != self.columns:
            raise RowError(
                "other-columns",
                f"The row has the columns {', '.join(row)}, the first {', '.join(self.columns)}.",
                "Write rows of one kind to a table.",
            )
        for column, text in row.items():
            try:
                text.encode()
            except UnicodeEncodeError:
                raise RowError(
                    "bad-utf8",
                    f"The text of {column!r} holds half of a surrogate pair, which has no UTF-8.",
                    "Remove it, or write JSON Lines.",
                ) from None
        self.put_texts(list(row.values()))

    @abstractmethod
    def begin(self, columns: tuple[str, ...]) -> None:
        """Write the header."""

    @abstractmethod
    def put_texts(self, texts: list[str]) -> None:
        """Write the values of a row."""


class CsvSink(TableSink):
    """CSV by RFC 4180: a header, and quotes only where they are needed."""

    def __init__(self, file: BinaryIO, delimiter: str) -> None:
        super().__init__()
        self._file = file
        self._text = io.StringIO(newline="")
        # RFC 4180 ends lines with CR and LF; with LF alone, Python 3.11 leaves a CR unquoted.
        self._writer: Any = csv.writer(self._text, delimiter=delimiter, lineterminator="\r\n")

    @override
    def begin(self, columns: tuple[str, ...]) -> None:
        self.put_texts(list(columns))

    @override
    def put_texts(self, texts: list[str]) -> None:
        self._writer.writerow(texts)
        self._file.write(self._text.getvalue().encode())
        self._text.seek(0)
        self._text.truncate()

    @override
    def close(self) -> None:
        pass


class ParquetSink(TableSink):
    """Parquet with columns of strings, in row groups of 4096 rows."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__()
        try:
            import pyarrow.parquet  # noqa: F401 - asked for before anything is read
        except ImportError as error:
            raise missing_extra(
                "tables", "'pyarrow>=21'", needed_for="Writing a Parquet file"
            ) from error
        self._file = file
        self._writer: Any = None
        self._rows: list[list[str]] = []

    @override
    def begin(self, columns: tuple[str, ...]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as parquet

        self._schema = pa.schema([(name, pa.string()) for name in columns])
        self._writer = parquet.ParquetWriter(self._file, self._schema, compression="zstd")

    @override
    def put_texts(self, texts: list[str]) -> None:
        self._rows.append(texts)
        if len(self._rows) >= _GROUP:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa

        values = zip(*self._rows, strict=True)
        arrays = [pa.array(column, pa.string()) for column in values]
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=self._schema))
        self._rows = []

    @override
    def close(self) -> None:
        if self.columns is None:
            self.begin(("text",))
        if self._rows:
            self._flush()
        self._writer.close()

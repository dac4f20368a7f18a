"""Writing rows in any format: whole or not at all, and never with something dropped quietly."""

from __future__ import annotations

import contextlib
import csv
import io
import os
import uuid
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from typing_extensions import override

from tunekit.data.encoding import BOM, RowError, encode, printable
from tunekit.data.formats.base import Loss
from tunekit.data.formats.columns import ColumnMapping, Columns
from tunekit.data.formats.reading import TABLES, format_named
from tunekit.data.formats.tabular import PARQUET, TSV
from tunekit.data.records import Row
from tunekit.data.sources import fault, passed_over
from tunekit.errors import ConfigError, DataError, missing_extra
from tunekit.problems import Problem, Severity

if TYPE_CHECKING:
    from tunekit.data.dataset import Dataset

LISTED: Final = 1000
"""How many problems with one code are listed one by one; the rest are counted."""

_GROUP: Final = 4096
"""Rows of a row group in Parquet files: so many are in memory at once."""


@dataclass(frozen=True, slots=True)
class WriteReport:
    """What was written.

    Attributes:
        format: Name of the format.
        rows: How many rows.
        bytes: The size of the file.
        losses: What was left behind, as warnings with the code `lost-<what>`; of each code at most
            1000, and then one more that counts the rest.
        counts: How many losses there are of each code.
    """

    format: str
    rows: int
    bytes: int
    losses: tuple[Problem, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)


def write(
    dataset: Dataset,
    path: str | os.PathLike[str],
    *,
    format: str = "openai",
    allow_loss: bool = False,
    columns: Columns | ColumnMapping | None = None,
) -> WriteReport:
    """Write rows in a format. The same rows give the same bytes.

    The rows stream; the file appears whole or not at all, and may be the one that the rows are read
    from. A path that ends in `.json` gets one JSON array, a row a line.

    Args:
        dataset: Rows in OpenAI's form.
        path: Where to.
        format: One of `FORMATS`.
        allow_loss: Write also when something cannot be carried over; the report says what. A row
            that the format cannot hold at all stops the writing all the same.
        columns: For tables, what goes into which column: the mapping that reads the file again.

    Raises:
        ConfigError: The format or the mapping is none, or the ending of the path is another's.
        DataError: A row cannot be read or held, or something would be lost; `problems` lists what,
            with lines. Or the file cannot be written.
    """
    target = Path(path)
    chosen = format_named(format)
    by_ending = TABLES.get(target.suffix.lower())
    is_table = chosen in TABLES.values()
    if by_ending is not None and by_ending is not chosen:
        raise ConfigError(
            f"A file that ends in {target.suffix!r} would not be read as {format!r} again.",
            next_step=f"Choose the format {by_ending.name!r}, or another ending.",
        )
    write_row = chosen.write_row
    if columns is not None:
        if not is_table:
            raise ConfigError(
                f"`columns` is for tables, and {format!r} is none.",
                next_step=f"Choose one of {', '.join(one.name for one in TABLES.values())}.",
            )
        mapping = columns if isinstance(columns, ColumnMapping) else ColumnMapping.parse(columns)
        mapping.check_invertible()
        write_row = mapping.write_row
    tally = _Tally(dataset.source, allow_loss)
    with atomic_file(target) as file:
        if chosen is PARQUET:
            sink: _Sink = _Parquet(file)
        elif is_table:
            sink = _Csv(file, "\t" if chosen is TSV else ",")
        else:
            array = target.suffix.lower() == ".json"
            sink = _Json(file, array=array, bom=chosen.begins_with_bom)
        rows = _write_rows(dataset, write_row, sink, tally)
        sink.close()
        tally.stop_on_fault(target, format)
        size = file.tell()
    return WriteReport(format, rows, size, tally.listed(), dict(tally.counts))


def _write_rows(
    dataset: Dataset,
    write_row: Callable[[Row], tuple[Row, list[Loss]]],
    sink: _Sink,
    tally: _Tally,
) -> int:
    rows = 0
    for line, content in dataset.entries():
        if isinstance(content, Problem):
            if not passed_over(content):
                tally.add(content)
            continue
        try:
            made, losses = write_row(content)
            tally.note(losses, line)
            if not tally.refused:
                sink.put(made)
        except RowError as error:
            tally.add(fault(error, dataset.source, line))
        rows += 1
    return rows


class _Tally:
    """Faults and losses in the order of lines; past a limit, those of one code are counted."""

    def __init__(self, source: str, allow_loss: bool) -> None:
        self._source = source
        self._allow_loss = allow_loss
        self._problems: list[Problem] = []
        self.counts: Counter[str] = Counter()
        self.refused = False

    def add(self, problem: Problem) -> None:
        self.counts[problem.code] += 1
        self.refused = self.refused or problem.severity is Severity.ERROR
        if self.counts[problem.code] <= LISTED:
            self._problems.append(problem)

    def note(self, losses: list[Loss], line: int) -> None:
        for loss in losses:
            self.add(
                Problem(
                    code=f"lost-{loss.what}",
                    severity=Severity.WARNING if self._allow_loss else Severity.ERROR,
                    message=loss.message,
                    file=self._source,
                    line=line,
                    path=loss.path,
                )
            )

    def listed(self) -> tuple[Problem, ...]:
        more = [
            Problem(
                code=code,
                severity=next(p.severity for p in self._problems if p.code == code),
                message=f"There are {count - LISTED:,} more of these.",
                file=self._source,
            )
            for code, count in self.counts.items()
            if count > LISTED
        ]
        return (*self._problems, *more)

    def stop_on_fault(self, target: Path, format: str) -> None:
        """Raise when something was found that keeps the file from being written."""
        if not self.refused:
            return
        problems = [p for p in self.listed() if p.severity is Severity.ERROR]
        counts = {p.code: self.counts[p.code] for p in problems}
        what = ", ".join(f"{code} ({count:,})" for code, count in counts.items())
        only_losses = all(code.startswith("lost-") for code in counts)
        raise DataError(
            f"{printable(str(target))!r} was not written: {self._source!r} does not fit the format "
            f"{format!r} without loss: {what}. The first: {problems[0]}",
            problems=problems,
            next_step="Choose another format, or accept the losses with `allow_loss=True` "
            "(`--allow-loss`)."
            if only_losses
            else "Mend these rows, or take them out with `.filter` first.",
        )


@contextmanager
def atomic_file(target: Path) -> Iterator[BinaryIO]:
    """Give a temporary file that takes the target's place when the block ends well.

    Raises:
        DataError: It cannot be written.
    """
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}.tmp")
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    except OSError as error:
        raise DataError(
            f"The data file {printable(str(target))!r} cannot be written: {error.strerror}."
        ) from error
    finally:
        with contextlib.suppress(OSError):  # as when the folder does not exist
            temporary.unlink(missing_ok=True)


class _Sink(ABC):
    """Where rows of a format go."""

    @abstractmethod
    def put(self, row: Row) -> None:
        """Write a row. Raises `RowError` when it does not fit those before it."""

    @abstractmethod
    def close(self) -> None:
        """Write what is left; the file itself stays open."""


class _Json(_Sink):
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


class _Table(_Sink):
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


class _Csv(_Table):
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


class _Parquet(_Table):
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

"""JSON Lines and CSV files, read a row at a time and found again by byte offset."""

from __future__ import annotations

import csv
import os
import uuid
from abc import abstractmethod
from array import array
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from typing_extensions import override

from tunekit.data.encoding import BOM, encode, printable
from tunekit.data.progress import BYTES_A_CALL, Progress
from tunekit.data.records import Row
from tunekit.data.sources import Entry, Source, parse_line, passed_over
from tunekit.errors import DataError
from tunekit.problems import Problem

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Span = tuple[int, int, Row | Problem | bytes]
"""Byte offset, 1-based line number, and what stands there; bytes are parsed when needed."""

_BLOCK: Final = 1 << 18
"""Bytes in which line ends are looked for at once."""

_UTF16: Final = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, slots=True)
class _Index:
    """Where the rows of a file begin: 16 bytes a row. `stamp` tells a changed file."""

    offsets: array[int]
    lines: array[int]
    stamp: tuple[int, int]


class FileSource(Source):
    """Rows of a file, which is read anew each time and never held in memory."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        self.name = printable(str(self._path))
        if not os.path.isfile(self._path):
            what = "is no regular file" if os.path.exists(self._path) else "does not exist"
            raise DataError(
                f"The data file {self.name!r} {what}.",
                next_step=f"Paths start from {str(Path.cwd())!r}.",
            )
        self._indexed: _Index | None = None

    @abstractmethod
    def _spans(self, file: BinaryIO) -> Iterator[Span]:
        """Read the file from its beginning."""

    @abstractmethod
    def _span_at(self, file: BinaryIO, line: int) -> Row | Problem | bytes:
        """Read what stands at the file's position, which is where line `line` begins."""

    def _parse(self, line: int, content: Row | Problem | bytes) -> Row | Problem:
        if not isinstance(content, bytes):
            return content
        parsed = parse_line(content)
        if isinstance(parsed, Problem):
            return parsed.model_copy(update={"file": self.name, "line": line})
        return parsed

    def _open(self) -> BinaryIO:
        try:
            return self._path.open("rb")
        except OSError as error:
            raise DataError(
                f"The data file {self.name!r} cannot be opened: {error.strerror}."
            ) from error

    @override
    def entries(self) -> Iterator[Entry]:
        with self._open() as file:
            if self._indexed is not None:
                self._index(file)  # refuses a file that has changed
            for _, line, content in self._spans(file):
                yield line, self._parse(line, content)

    @override
    def pick(self, positions: Iterable[int]) -> Iterator[Entry]:
        with self._open() as file:
            index = self._index(file)
            for position in positions:
                line = index.lines[position]
                file.seek(index.offsets[position])
                yield line, self._parse(line, self._span_at(file, line))

    @override
    def count(self) -> int:
        with self._open() as file:
            return len(self._index(file).offsets)

    @override
    def prepare(self, on_progress: Progress | None = None) -> None:
        with self._open() as file:
            self._index(file, on_progress)

    def _index(self, file: BinaryIO, on_progress: Progress | None = None) -> _Index:
        status = os.fstat(file.fileno())
        stamp = (status.st_size, status.st_mtime_ns)
        if self._indexed is None:
            offsets, lines = array("Q"), array("Q")
            due = status.st_size if on_progress is None else BYTES_A_CALL
            for found, at, done in self._places(file):
                offsets.extend(found)
                lines.extend(at)
                if done > due and on_progress is not None:
                    on_progress(done, status.st_size)
                    due = done + BYTES_A_CALL
            self._indexed = _Index(offsets, lines, stamp)
            if on_progress is not None:
                on_progress(status.st_size, status.st_size)
        elif self._indexed.stamp != stamp:
            raise DataError(
                f"The data file {self.name!r} has changed since it was first read.",
                next_step="Load it again, so that every part comes from the same file.",
            )
        return self._indexed

    def _places(self, file: BinaryIO) -> Iterator[tuple[array[int], array[int], int]]:
        """Find the rows from the beginning: where they begin, their lines, and the bytes done."""
        for offset, line, content in self._spans(file):
            if content.strip() if isinstance(content, bytes) else not passed_over(content):
                yield array("Q", [offset]), array("Q", [line]), offset

    def _not_utf8(self, line: int, message: str) -> Problem:
        return Problem(
            code="bad-utf8",
            message=message,
            fix="Save the file as UTF-8.",
            file=self.name,
            line=line,
        )

    def _utf16(self, file: BinaryIO) -> Problem | None:
        """Name the whole file's encoding once instead of blaming each line; rewinds the file."""
        start = file.read(2)
        file.seek(0)
        return self._not_utf8(1, "The file is UTF-16, not UTF-8.") if start in _UTF16 else None


def _array(numbers: NDArray[np.intp]) -> array[int]:
    found = array("Q")
    found.frombytes(numbers.astype("u8").tobytes())
    return found


class JsonlSource(FileSource):
    """JSON Lines: one JSON object on each line, UTF-8 with or without a byte-order mark."""

    @property
    @override
    def plain_file(self) -> Path | None:
        with self._open() as file:
            return None if self._utf16(file) else self._path

    @override
    def _spans(self, file: BinaryIO) -> Iterator[Span]:
        if problem := self._utf16(file):
            yield 0, 1, problem
            return
        offset, line = 0, 1
        while content := file.readline():
            yield offset, line, content.removeprefix(BOM) if line == 1 else content
            offset += len(content)
            line += 1

    @override
    def _places(self, file: BinaryIO) -> Iterator[tuple[array[int], array[int], int]]:
        if self._utf16(file):
            yield from super()._places(file)
            return
        import numpy as np

        blank = np.zeros(256, np.bool_)
        blank[list(b" \t\n\r\x0b\x0c")] = True  # what `bytes.strip` takes away
        done, line, begins = 0, 1, True
        while block := file.read(_BLOCK):
            letters = np.frombuffer(block, np.uint8)
            starts = np.flatnonzero(letters == ord("\n")) + 1
            starts = np.concatenate([np.arange(int(begins)), starts[starts < len(block)]])
            begins = block.endswith(b"\n")
            numbers = np.arange(line, line + len(starts))
            line += len(starts)
            doubtful = blank[letters[starts]]
            doubtful |= numbers == 1  # a byte-order mark may be all that the first line holds
            for place in np.flatnonzero(doubtful).tolist():
                file.seek(done + int(starts[place]))
                content = file.readline()
                doubtful[place] = not content.removeprefix(
                    BOM if numbers[place] == 1 else b""
                ).strip()
            rows = ~doubtful
            file.seek(done + len(block))
            yield _array(done + starts[rows]), _array(numbers[rows]), done + len(block)
            done += len(block)

    @override
    def _span_at(self, file: BinaryIO, line: int) -> Row | Problem | bytes:
        # Only the first line can be more than itself: a byte-order mark, or a whole-file fault.
        return next(self._spans(file))[2] if line == 1 else file.readline()


class CsvSource(FileSource):
    """CSV with a header line, by RFC 4180: fields in quotes may hold delimiters and line breaks.

    Each row is an object of strings by column name.
    """

    def __init__(self, path: str | os.PathLike[str], *, delimiter: str) -> None:
        super().__init__(path)
        if not isinstance(delimiter, str) or len(delimiter) != 1 or delimiter in '"\r\n':
            raise DataError(f"`delimiter` must be one character, not {delimiter!r}.")
        self._delimiter = delimiter
        self._header: list[str] | Problem = []

    @override
    def _spans(self, file: BinaryIO) -> Iterator[Span]:
        records = self._records(file, 0, 1)
        self._header = self._utf16(file) or self._named(next(records, (0, 1, []))[2])
        if isinstance(self._header, Problem):
            yield 0, 1, self._header
            return
        for offset, line, fields in records:
            yield offset, line, self._row(fields, line)

    @override
    def _span_at(self, file: BinaryIO, line: int) -> Row | Problem | bytes:
        # The header is known: positions come from an index, and that from `_spans`.
        return self._row(next(self._records(file, file.tell(), line))[2], line)

    def _records(
        self, file: BinaryIO, offset: int, line: int
    ) -> Iterator[tuple[int, int, list[str] | Problem]]:
        """Read records from the file's position on, each with where it begins."""
        # The reader's limit of 131,072 characters a field is the whole process's, and too low for
        # long documents; the largest C long of any platform takes it away.
        csv.field_size_limit(2**31 - 1)
        text = _Text(file, offset, line)
        reader = csv.reader(text, delimiter=self._delimiter, strict=True)
        while True:
            offset, line, text.bad_line = text.offset, text.line, 0
            try:
                fields: list[str] | Problem = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                fields = Problem(
                    code="bad-csv",
                    message=f"The record cannot be read: {error}.",
                    fix="Put fields with quotes or line breaks into quotes, and double the quotes.",
                    file=self.name,
                    line=line,
                )
            if text.bad_line:
                fields = self._not_utf8(text.bad_line, "The line is not UTF-8.")
            yield offset, line, fields

    def _row(self, fields: list[str] | Problem, line: int) -> Row | Problem | bytes:
        if isinstance(self._header, Problem):
            return self._header
        if isinstance(fields, Problem):
            return fields
        if not fields:
            return b""
        if len(fields) != len(self._header):
            return Problem(
                code="csv-field-count",
                message=f"The record has {len(fields)} fields, the header {len(self._header)}.",
                fix="Check the delimiter and the quotes.",
                file=self.name,
                line=line,
            )
        return dict(zip(self._header, fields, strict=True))

    def _named(self, header: list[str] | Problem) -> list[str] | Problem:
        """The header, or what is wrong with it."""
        if isinstance(header, Problem) or len(set(header)) == len(header):
            return header
        name = next(name for number, name in enumerate(header) if name in header[:number])
        return Problem(
            code="csv-header",
            message=f"The header names the column {name!r} twice.",
            fix="Give each column a name of its own.",
            file=self.name,
            line=1,
        )


class _Text:
    """The lines of a binary file as text, with the offset and number of the next one."""

    def __init__(self, file: BinaryIO, offset: int, line: int) -> None:
        self._file = file
        self.offset = offset
        self.line = line
        self.bad_line = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        content = self._file.readline()
        if not content:
            raise StopIteration
        first = self.offset == 0
        self.offset += len(content)
        self.line += 1
        try:
            return (content.removeprefix(BOM) if first else content).decode()
        except UnicodeDecodeError:
            self.bad_line = self.bad_line or self.line - 1
            return content.decode(errors="replace")


@contextmanager
def atomic_file(target: Path) -> Iterator[BinaryIO]:
    """Give a temporary file that takes the target's place when the block ends well.

    A link stays one: what it points to is replaced.

    Raises:
        DataError: It cannot be written, or there is something other than a file, such as a device.
    """
    shown = printable(str(target))
    target = Path(os.path.realpath(target))
    if os.path.exists(target) and not os.path.isfile(target):
        raise DataError(f"{shown!r} cannot be written: it is no regular file.")
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}.tmp")
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    except OSError as error:
        raise DataError(f"The data file {shown!r} cannot be written: {error.strerror}.") from error
    finally:
        with suppress(OSError):  # as when the folder does not exist
            temporary.unlink(missing_ok=True)


def write_lines(rows: Iterable[Row], target: Path) -> int:
    """Write rows as JSON Lines, whole or not at all, and give their number.

    Raises:
        DataError: A row cannot be read, or the file cannot be written.
    """
    count = 0
    with atomic_file(target) as file:
        for row in rows:
            file.write(encode(row))
            count += 1
    return count

"""Where rows come from: something that can be read again and again, in order or by position."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from typing_extensions import override

from tunekit.data.encoding import RowError, decode, encode, json_value, plain
from tunekit.data.progress import Progress
from tunekit.data.records import Row
from tunekit.errors import DataError, missing_extra
from tunekit.problems import Problem, Severity

Entry = tuple[int, Row | Problem]
"""A 1-based line (or record) number, and the row there or the problem that stands in its place."""

Located = tuple[str, int, Row | Problem]
"""The same with the name of the file in front."""


def passed_over(content: Row | Problem) -> bool:
    """Whether there is no row here at all (an empty line), rather than a faulty one."""
    return isinstance(content, Problem) and content.severity is Severity.WARNING


def fault(error: RowError, source: str, number: int) -> Problem:
    """Say where a value that is no row stands."""
    return Problem(code=error.code, message=str(error), fix=error.fix, file=source, line=number)


def parse_line(content: bytes) -> Row | Problem:
    """Read one line of JSON Lines, or say what is wrong with it; the caller knows where it stands.

    An empty line is a warning; see `passed_over`.
    """
    if not content.strip():
        return Problem(
            code="empty-line",
            severity=Severity.WARNING,
            message="The line is empty and is passed over.",
        )
    try:
        return decode(content.removesuffix(b"\n"))
    except RowError as error:
        return Problem(code=error.code, message=str(error), fix=error.fix)


class Source(ABC):
    """Rows that can be read again and again.

    Attributes:
        name: What problems call it.
    """

    name: str

    @abstractmethod
    def entries(self) -> Iterator[Entry]:
        """Read everything in order. Empty lines appear as warnings; see `passed_over`.

        Raises:
            DataError: It cannot be read at all.
        """

    @abstractmethod
    def pick(self, positions: Iterable[int]) -> Iterator[Entry]:
        """Read the rows at these 0-based positions, in this order.

        A position is taken when its row is asked for, or earlier where rows are found together.
        """

    @abstractmethod
    def count(self) -> int:
        """How many rows there are, faulty ones included, empty lines not."""

    def located(self, positions: Iterable[int] | None = None) -> Iterator[Located]:
        """Read everything in order, or the rows at these positions, each with its file's name.

        Args:
            positions: As `pick` takes them; None reads as `entries` does.
        """
        found = self.entries() if positions is None else self.pick(positions)
        return ((self.name, line, content) for line, content in found)

    @property
    def plain_file(self) -> Path | None:
        """The file of JSON Lines in UTF-8 that holds just these rows, if there is one."""
        return None

    def prepare(self, on_progress: Progress | None = None) -> None:  # noqa: B027 - most need none
        """Do now what counting and finding rows by position would do first, however long it takes.

        Args:
            on_progress: Called now and then; see `tunekit.data.progress`.
        """


class RecordSource(Source):
    """Rows that a program made.

    They are kept as JSON, so that nothing that happens to the given objects later changes them.
    """

    def __init__(self, rows: Iterable[Mapping[str, Any] | BaseModel], name: str) -> None:
        if isinstance(rows, Mapping | BaseModel | str | bytes):
            raise DataError(
                f"`from_records` takes a list of rows, not one {type(rows).__name__}.",
                next_step="Put the row into a list.",
            )
        self.name = name
        self._lines = [self._keep(row, number) for number, row in enumerate(rows, start=1)]

    def _keep(self, row: object, number: int) -> bytes | Problem:
        try:
            return encode(plain(row))
        except RowError as error:
            return fault(error, self.name, number)

    def _entry(self, position: int) -> Entry:
        line = self._lines[position]
        return position + 1, line if isinstance(line, Problem) else decode(line)

    @override
    def entries(self) -> Iterator[Entry]:
        return self.pick(range(len(self._lines)))

    @override
    def pick(self, positions: Iterable[int]) -> Iterator[Entry]:
        return map(self._entry, positions)

    @override
    def count(self) -> int:
        return len(self._lines)


class HubSource(Source):
    """One split of a dataset on the Hugging Face Hub, or in a local folder of that layout.

    It is loaded when it is first read, with the `datasets` package, which keeps it on disk.
    """

    def __init__(self, repo_id: str, *, split: str, name: str | None, revision: str | None) -> None:
        self.name = f"{repo_id}[{split}]"
        self._repo_id = repo_id
        self._split = split
        self._config = name
        self._revision = revision
        self._loaded: Any = None

    @override
    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_loaded": None}

    def _rows(self) -> Any:
        if self._loaded is None:
            try:
                import datasets
            except ImportError as error:
                raise missing_extra(
                    "trl", "'datasets>=5.2'", needed_for="`Dataset.from_hub`"
                ) from error
            try:
                self._loaded = datasets.load_dataset(
                    self._repo_id, name=self._config, split=self._split, revision=self._revision
                )
            except Exception as error:  # that package raises errors of a dozen libraries
                raise DataError(
                    f"The dataset {self._repo_id!r} (split {self._split!r}) cannot be loaded: "
                    f"{type(error).__name__}: {error}",
                    next_step="Check the name, the split, your access and the network.",
                ) from error
        return self._loaded

    def _entry(self, position: int, content: Any) -> Entry:
        try:
            return position + 1, plain(json_value(content))
        except RowError as error:
            return position + 1, fault(error, self.name, position + 1)

    @override
    def entries(self) -> Iterator[Entry]:
        for position, row in enumerate(self._rows()):
            yield self._entry(position, row)

    @override
    def pick(self, positions: Iterable[int]) -> Iterator[Entry]:
        rows = self._rows()
        for position in positions:
            yield self._entry(position, rows[position])

    @override
    def count(self) -> int:
        return len(self._rows())

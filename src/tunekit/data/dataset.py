"""`Dataset`: rows to train on, read lazily and as often as needed."""

from __future__ import annotations

import contextlib
import hashlib
import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from typing_extensions import override

from tunekit.data.checks import check_entries
from tunekit.data.encoding import RowError, canonical, encode, plain, printable
from tunekit.data.files import CsvSource, JsonlSource
from tunekit.data.records import DataKind, Row, known_kind
from tunekit.data.sources import (
    Entry,
    Head,
    HubSource,
    RecordSource,
    Selection,
    Source,
    fault,
    passed_over,
)
from tunekit.data.splitting import part_sizes, permutation
from tunekit.data.summary import SplitSummary, summarize_entries
from tunekit.errors import DataError
from tunekit.problems import Problem

Transform = Callable[[Row], Mapping[str, Any] | BaseModel | Sequence[Any]]
"""Makes a row from a row; a list is taken for the messages of one. Must be deterministic."""


class Dataset:
    """Rows to train on: lazy, and the same each time they are iterated.

    Make one with `from_jsonl`, `from_csv`, `from_records` or `from_hub`. Iterating gives plain JSON
    rows in OpenAI's form: `{"messages": [...]}`, `{"prompt": ..., "completion": ...}`,
    `{"input": {...}, "preferred_output": [...], "non_preferred_output": [...]}` or `{"text": ...}`.
    A row that cannot be read raises `DataError`; `check` lists all of them instead.

    Datasets pickle, as long as the functions given to `map` do.
    """

    def __init__(self, source: Source, transforms: tuple[Transform, ...] = ()) -> None:
        self._source = source
        self._transforms = transforms

    @classmethod
    def from_jsonl(cls, path: str | os.PathLike[str]) -> Dataset:
        """Read a file with one JSON object on each line, UTF-8 with or without byte-order mark.

        Raises:
            DataError: There is no such file.
        """
        return cls(JsonlSource(path))

    @classmethod
    def from_csv(cls, path: str | os.PathLike[str], *, delimiter: str = ",") -> Dataset:
        """Read a CSV file whose first line names the columns; every value is a string.

        Columns named `text`, or `prompt` and `completion`, need nothing more; others need `map`.

        Raises:
            DataError: There is no such file, or the delimiter is not one character.
        """
        return cls(CsvSource(path, delimiter=delimiter))

    @classmethod
    def from_records(
        cls, rows: Iterable[Mapping[str, Any] | BaseModel], *, source: str = "records"
    ) -> Dataset:
        """Take rows from memory; they are copied.

        Args:
            rows: Dictionaries, or records of `tunekit.data.records`.
            source: What problems call this data.
        """
        return cls(RecordSource(rows, source))

    @classmethod
    def from_hub(
        cls,
        repo_id: str,
        *,
        split: str = "train",
        name: str | None = None,
        revision: str | None = None,
    ) -> Dataset:
        """Read one split of a dataset on the Hugging Face Hub; it is loaded when first needed.

        Args:
            repo_id: Name of the dataset, or a local folder of the same layout.
            split: Which split.
            name: Which configuration, where there are several.
            revision: Branch, tag or commit; a commit keeps the data from changing.
        """
        return cls(HubSource(repo_id, split=split, name=name, revision=revision))

    @property
    def source(self) -> str:
        """What problems call this data: the path as it was given, or the name on the Hub."""
        return self._source.name

    @property
    def kind(self) -> DataKind:
        """The structure of the rows, by the keys of the first one.

        Raises:
            DataError: There is no row, or it is of no known kind; the message names its keys.
        """
        for _, content in self.entries():
            if not isinstance(content, Problem):
                return known_kind(content, self.source)
        raise DataError(f"{self.source!r} holds no row that can be read.")

    def entries(self) -> Iterator[Entry]:
        """Give `(line, row)`, or `(line, problem)` where a row cannot be read. Never stops early.

        Problems of severity `warning` stand for empty lines, which are no rows.
        """
        for number, content in self._source.entries():
            yield number, content if isinstance(content, Problem) else self._map(number, content)

    def _map(self, number: int, row: Row) -> Row | Problem:
        for transform in self._transforms:
            try:
                row = plain(transform(row))
            except RowError as error:
                return fault(error, self.source, number)
            except Exception as error:  # whatever the user's function raises belongs to this line
                return Problem(
                    code="map-failed",
                    message=printable(
                        f"The function given to `map` raised {type(error).__name__}: {error}."
                    ),
                    fix="Mend the function or the row.",
                    file=self.source,
                    line=number,
                )
        return row

    def numbered(self) -> Iterator[tuple[int, Row]]:
        """Give `(1-based line or record number, row)`.

        Raises:
            DataError: At the first row that cannot be read, or for which `map` failed.
        """
        for number, content in self.entries():
            if not isinstance(content, Problem):
                yield number, content
            elif not passed_over(content):
                raise DataError(str(content), problems=[content])

    def __iter__(self) -> Iterator[Row]:
        return (row for _, row in self.numbered())

    def __len__(self) -> int:
        return self._source.count()

    @override
    def __repr__(self) -> str:
        mapped = f", mapped {len(self._transforms)}x" if self._transforms else ""
        return f"Dataset({self.source!r}{mapped})"

    def map(self, fn: Transform) -> Dataset:
        """Make each row from a row, when it is read.

        Args:
            fn: Gets a row of its own to read or change, and returns a row, a record, or a list of
                messages. It must give the same for the same row each time.
        """
        return Dataset(self._source, (*self._transforms, fn))

    def split(self, *parts: float, seed: int = 0) -> tuple[Dataset, ...]:
        """Shuffle the rows and part them; the same seed gives the same parts, everywhere.

        Args:
            parts: Fractions such as `0.8, 0.1, 0.1`, or exact numbers of rows. What they leave over
                is in no part.
            seed: Any whole number.

        Returns:
            One dataset for each part. No row is in two of them. A file is not loaded: each part
            remembers positions, 8 bytes a row.

        Raises:
            DataError: The parts are no sizes or ask for more rows than there are.
        """
        count = len(self)
        sizes = part_sizes(count, parts)
        order = permutation(count, seed)
        ends = list(accumulate(sizes))
        return tuple(
            Dataset(Selection(self._source, order[end - size : end]), self._transforms)
            for size, end in zip(sizes, ends, strict=True)
        )

    def take(self, n: int) -> Dataset:
        """Keep the first `n` rows, or all where there are fewer."""
        if n < 0:
            raise DataError(f"`take` needs a number of rows, not {n}.")
        return Dataset(Head(self._source, n), self._transforms)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all rows in order, as 64 hex digits; the order of keys does not matter.

        Reads everything each time.
        """
        digest = hashlib.sha256()
        for row in self:
            digest.update(canonical(row) + b"\n")
        return digest.hexdigest()

    def write_jsonl(self, path: str | os.PathLike[str]) -> int:
        """Write the rows as JSON Lines: UTF-8, one object a line, keys in their order.

        The same rows give the same bytes. The file appears whole or not at all, and may be the one
        that the rows are read from.

        Returns:
            The number of rows.

        Raises:
            DataError: A row cannot be read, or the file cannot be written.
        """
        target = Path(path)
        temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}.tmp")
        rows = 0
        try:
            with temporary.open("xb") as file:
                for row in self:
                    file.write(encode(row))
                    rows += 1
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(target)
        except OSError as error:
            raise DataError(
                f"The data file {str(target)!r} cannot be written: {error.strerror}."
            ) from error
        finally:
            with contextlib.suppress(OSError):  # as when the folder does not exist
                temporary.unlink(missing_ok=True)
        return rows

    def check(self) -> list[Problem]:
        """Find every fault of all rows in one pass, in the order of the lines.

        Returns:
            Problems with line and path; empty when there is nothing to say. Of one rule at most
            10,000 errors and 100 warnings are listed, and one more that counts the rest.
        """
        return check_entries(self.entries(), self.source)

    def summary(self) -> SplitSummary:
        """Describe the rows in one pass. Rows that cannot be read are left to `check`.

        Raises:
            DataError: The kind cannot be told; see `kind`.
        """
        return summarize_entries(self.entries(), self.source)

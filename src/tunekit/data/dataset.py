"""`Dataset`: rows to train on, read lazily and as often as needed."""

from __future__ import annotations

import hashlib
import os
from array import array
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from tunekit.data.checks import CheckOptions, examine
from tunekit.data.encoding import canonical
from tunekit.data.files import CsvSource, JsonlSource, write_lines
from tunekit.data.progress import Progress
from tunekit.data.selecting import Rows
from tunekit.data.sources import HubSource, RecordSource
from tunekit.data.summary import SplitSummary, summarize_entries
from tunekit.problems import Problem

if TYPE_CHECKING:
    from tunekit.data.formats.columns import ColumnMapping, Columns
    from tunekit.data.formats.writing import WriteReport


class Dataset(Rows):
    """Rows to train on: lazy, and the same each time they are iterated.

    Make one with `from_jsonl`, `from_csv`, `from_records` or `from_hub`, or with `read`, which
    knows other formats. Iterating gives plain JSON rows in OpenAI's form: `{"messages": [...]}`,
    `{"prompt": ..., "completion": ...}`,
    `{"input": {...}, "preferred_output": [...], "non_preferred_output": [...]}` or `{"text": ...}`.
    A row that cannot be read raises `DataError`; `check` lists all of them instead.

    `len(data)`, `data[3]` and `data[10:20]` find rows by position. For a file that takes one pass
    over it, which keeps 16 bytes a row. Ask `data is not None`, never `if data`, which counts.

    Datasets pickle, as long as the functions given to `map` and `filter` do.
    """

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
    def read(
        cls,
        path: str | os.PathLike[str],
        *,
        format: str | None = None,
        columns: Columns | ColumnMapping | None = None,
        delimiter: str = ",",
    ) -> Dataset:
        """Read a file of any format as rows in OpenAI's form; see `tunekit.data.formats.read`.

        Args:
            path: JSON Lines, one JSON array, CSV, TSV or Parquet.
            format: One of `tunekit.data.formats.FORMATS`; told from the file by default.
            columns: How the columns of a table become rows, as in
                `{"user": "{question}", "assistant": "{answer}"}`.
            delimiter: What parts the fields of a CSV file.

        Raises:
            ConfigError: The format or the mapping is none.
            DataError: There is no such file, or its format cannot be told.
        """
        from tunekit.data import formats

        return formats.read(path, format=format, columns=columns, delimiter=delimiter)

    @classmethod
    def from_parquet(
        cls, path: str | os.PathLike[str], *, columns: Columns | ColumnMapping | None = None
    ) -> Dataset:
        """Read a Parquet file, as `read` does with `format="parquet"`."""
        return cls.read(path, format="parquet", columns=columns)

    @classmethod
    def from_huggingface(
        cls, rows: Any, *, source: str = "huggingface", format: str | None = None
    ) -> Dataset:
        """Take a `datasets.Dataset` of this process, which must not change any more.

        Args:
            rows: The dataset; it is not copied.
            source: What problems call this data.
            format: One of `tunekit.data.formats.FORMATS`; told from the columns by default.

        Raises:
            DataError: It is no such dataset, but for example a dictionary of splits.
            ConfigError: There is no such format.
        """
        from tunekit.data import formats

        return formats.from_huggingface(rows, source=source, format=format)

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

    def dedup(
        self,
        *,
        near: bool = False,
        threshold: float = 0.9,
        on_progress: Progress | None = None,
    ) -> Dataset:
        """Keep the first of rows that are equal, or nearly so; reads all rows at once.

        The order of keys does not matter. Which rows are kept is remembered, 8 bytes for each.
        Rows that cannot be read are kept.

        Args:
            near: Also leave out rows that are nearly equal to an earlier one.
            threshold: How alike nearly equal rows are at least, from 0.8 to 1.
            on_progress: Called now and then; see `tunekit.data.progress`.
        """
        from tunekit.data.likeness import duplicate_lines

        self._source.prepare(on_progress)
        left_out = bytearray(len(self))
        for position in duplicate_lines(self._watched(on_progress), near=near, threshold=threshold):
            left_out[position] = True
        return self._chosen(
            array("Q", (position for position, out in enumerate(left_out) if not out))
        )

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all rows in order, as 64 hex digits; the order of keys does not matter.

        Reads everything each time.
        """
        digest = hashlib.sha256()
        for row in self:
            digest.update(canonical(row) + b"\n")
        return digest.hexdigest()

    def write_jsonl(
        self, path: str | os.PathLike[str], *, on_progress: Progress | None = None
    ) -> int:
        """Write the rows as JSON Lines: UTF-8, one object a line, keys in their order.

        The same rows give the same bytes. The file appears whole or not at all, and may be the one
        that the rows are read from.

        Args:
            path: Where to.
            on_progress: Called now and then with rows; see `tunekit.data.progress`.

        Returns:
            The number of rows.

        Raises:
            DataError: A row cannot be read, or the file cannot be written.
        """
        return write_lines(self._watched(on_progress), Path(path))

    def write(
        self,
        path: str | os.PathLike[str],
        *,
        format: str = "openai",
        allow_loss: bool = False,
        columns: Columns | ColumnMapping | None = None,
        on_progress: Progress | None = None,
    ) -> WriteReport:
        """Write the rows in any format, whole or not at all; see `tunekit.data.formats.write`.

        Args:
            path: Where to.
            format: One of `tunekit.data.formats.FORMATS`.
            allow_loss: Write also what the format cannot carry over whole; the report says what.
            columns: For tables, what goes into which column.
            on_progress: Called now and then with rows; see `tunekit.data.progress`.

        Raises:
            ConfigError: The format or the mapping is none.
            DataError: A row cannot be read or held, something would be lost, or the file cannot be
                written.
        """
        from tunekit.data import formats

        return formats.write(
            self._watched(on_progress), path, format=format, allow_loss=allow_loss, columns=columns
        )

    def to_huggingface(self) -> Any:
        """Make a `datasets.Dataset`, in memory, with the same rows in the same order.

        Raises:
            DataError: A row cannot be read.
            MissingExtraError: `datasets` is not installed.
        """
        from tunekit.data import formats

        return formats.to_huggingface(self)

    def check(
        self, options: CheckOptions | None = None, *, on_progress: Progress | None = None
    ) -> list[Problem]:
        """Find every fault of all rows in one pass, in the order of the lines.

        Args:
            options: What the rows are held against: a method, a service's limits, a tokenizer.
            on_progress: Called now and then; see `tunekit.data.progress`.

        Returns:
            Problems with line and path; empty when there is nothing to say. Of one rule at most
            10,000 errors and 100 warnings are listed, and one more that counts the rest.
        """
        options = options or CheckOptions()
        with examine({options.role: self}, options, on_progress=on_progress) as found:
            return found.listed()

    def summary(self) -> SplitSummary:
        """Describe the rows in one pass. Rows that cannot be read are left to `check`.

        Raises:
            DataError: The kind cannot be told; see `kind`.
        """
        return summarize_entries(self.entries(), self.source)

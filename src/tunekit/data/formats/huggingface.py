"""Datasets of the package `datasets`, both ways."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, Final

from typing_extensions import override

from tunekit.data.dataset import Dataset
from tunekit.data.encoding import RowError, json_value, plain
from tunekit.data.formats.reading import SAMPLE, format_named
from tunekit.data.formats.tabular import BY_KEYS
from tunekit.data.records import Row
from tunekit.data.sources import Entry, Source, fault
from tunekit.errors import DataError, missing_extra
from tunekit.problems import Problem

_BATCH: Final = 1024


class HuggingFaceSource(Source):
    """Rows of a `datasets.Dataset` that a program holds; they are read when needed."""

    def __init__(self, rows: Any, name: str) -> None:
        self.name = name
        self._rows = rows
        self._json = frozenset(_json_columns(getattr(rows, "features", None) or {}))

    def _entry(self, position: int, row: dict[str, Any]) -> Entry:
        try:
            return position + 1, plain(
                {
                    key: _parsed(value) if key in self._json else json_value(value)
                    for key, value in row.items()
                    if value is not None
                }
            )
        except RowError as error:
            return position + 1, fault(error, self.name, position + 1)

    def _read(self, positions: Iterable[int]) -> Iterator[Entry]:
        # Arrow's values, and not those of `datasets`: it reads the JSON in them with a parser that
        # rounds long numbers (datasets 5.2 with pandas 3.1).
        rows = self._rows.with_format("arrow")
        wanted = iter(positions)
        while window := list(islice(wanted, _BATCH)):
            table = rows[window]
            for position, row in zip(window, table.to_pylist(), strict=True):
                yield self._entry(position, row)

    @override
    def entries(self) -> Iterator[Entry]:
        return self._read(range(self.count()))

    @override
    def pick(self, positions: Iterable[int]) -> Iterator[Entry]:
        return self._read(positions)

    @override
    def count(self) -> int:
        return len(self._rows)


def _json_columns(features: Any) -> Iterator[str]:
    """Columns of JSON, or of lists of it."""
    for name, feature in features.items():
        inner = getattr(feature, "feature", feature)
        if type(inner).__name__ == "Json":
            yield name


def _parsed(value: Any) -> Any:
    """What a column of JSON text holds; its nulls are meant, since nothing fills it up."""
    if isinstance(value, list):
        return [_parsed(item) for item in value]
    return json.loads(value) if isinstance(value, str) else value


def from_huggingface(
    rows: Any, *, source: str = "huggingface", format: str | None = None
) -> Dataset:
    """Take a `datasets.Dataset` as rows in OpenAI's form.

    Rows are read when they are needed. A null inside a struct counts as absent, because Arrow has
    one wherever another row has a key; a message's null content stays.

    Args:
        rows: The dataset; it is not copied and must not change.
        source: What problems call this data.
        format: One of `FORMATS`; by default that which the columns tell. Columns that tell none
            stay as they are, to be mapped with `Dataset.map`.

    Raises:
        DataError: It is a stream, or a dictionary of splits.
        ConfigError: There is no such format.
    """
    if not (hasattr(rows, "with_format") and hasattr(rows, "num_rows") and hasattr(rows, "map")):
        raise DataError(f"{type(rows).__name__} is no dataset of the package `datasets`.")
    if isinstance(rows, dict):
        raise DataError(
            f"There are several splits: {', '.join(map(repr, rows))}.",
            next_step="Take one of them, such as `rows['train']`.",
        )
    found = HuggingFaceSource(rows, source)
    chosen = None if format is None else format_named(format)
    if chosen is None:
        possible = list(BY_KEYS)
        for _, row in islice(found.entries(), SAMPLE):
            if not isinstance(row, Problem):
                possible = [one for one in possible if one.matches(row)]
        chosen = possible[0] if possible else None
    data = Dataset(found)
    return data if chosen is None or chosen.name == "openai" else data.map(chosen.read_row)


def to_huggingface(dataset: Dataset) -> Any:
    """Make a `datasets.Dataset`, in memory, with the same rows in the same order.

    A column whose values are all texts is one of strings. Every other is of the type `Json`, a list
    of messages a list of it: it gives each row just the keys that it has, while Arrow's structs
    would put a null wherever another row has a key, and refuse content that is text in one row
    and parts in the next. A key that a row lacks is a null column of it.

    Raises:
        DataError: A row cannot be read, or holds an integer of more than 64 bits, which `datasets`
            cannot read back.
        MissingExtraError: `datasets` is not installed.
    """
    try:
        import datasets
    except ImportError as error:
        raise missing_extra(
            "trl", "'datasets>=5.2'", needed_for="`Dataset.to_huggingface`"
        ) from error
    rows = [_storable(row, dataset.source, line) for line, row in dataset.numbered()]
    columns = dict.fromkeys(key for row in rows for key in row)
    values = {name: [row.get(name) for row in rows] for name in columns}
    features, arrays = {}, {}
    for name, column in values.items():
        there = [value for value in column if value is not None]
        if all(isinstance(value, str) and _has_utf8(value) for value in there):
            features[name], arrays[name] = datasets.Value("string"), column
        elif all(isinstance(value, list) for value in there):
            features[name] = datasets.List(datasets.Json())
            arrays[name] = [v if v is None else [_text(item) for item in v] for v in column]
        else:
            features[name] = datasets.Json()
            arrays[name] = [value if value is None else _text(value) for value in column]
    return datasets.Dataset.from_dict(arrays, features=datasets.Features(features))


_LONG: Final = re.compile(r"\d{19}")


def _storable(row: Row, source: str, line: int) -> Row:
    text = _text(row)
    if not _LONG.search(text):
        return row

    def checked(digits: str) -> int:
        if not -(2**63) <= int(digits) < 2**63:
            raise DataError(
                f"{source!r}, line {line}: the integer {digits:.40} has more than 64 bits, which "
                "`datasets` cannot hold.",
                next_step="Write it as text.",
            )
        return 0

    json.loads(text, parse_int=checked)
    return row


def _has_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _text(value: Any) -> str:
    # Escaped, so that half of a surrogate pair survives; a text is text also when it is JSON.
    return json.dumps(value, allow_nan=False)

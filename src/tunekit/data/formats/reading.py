"""Telling the format of a file, and reading a file of any format."""

from __future__ import annotations

import os
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Final

from tunekit._text import did_you_mean
from tunekit.data.dataset import Dataset
from tunekit.data.encoding import BOM, printable
from tunekit.data.files import CsvSource, JsonlSource
from tunekit.data.formats.arrays import JsonArraySource, is_array
from tunekit.data.formats.base import Format
from tunekit.data.formats.columns import ColumnMapping, Columns
from tunekit.data.formats.openai import AZURE
from tunekit.data.formats.tabular import BY_KEYS, CSV, PARQUET, TSV, UNMAPPED_FIX
from tunekit.data.records import Row, key_names
from tunekit.data.sources import Source
from tunekit.data.tables import ParquetSource
from tunekit.errors import ConfigError, DataError
from tunekit.problems import Problem

TABLES: Final = {".csv": CSV, ".tsv": TSV, ".parquet": PARQUET}
"""Endings of files that are tables."""

FORMATS: Final[Mapping[str, Format]] = MappingProxyType(
    {one.name: one for one in (BY_KEYS[0], AZURE, *BY_KEYS[1:], CSV, TSV, PARQUET)}
)
"""Every format by its name."""

SAMPLE: Final = 1000
"""Rows by which the format of a file is told: calls of tools may come late."""


def format_named(name: str) -> Format:
    """Look a format up.

    Raises:
        ConfigError: There is none of this name; the nearest one is named.
    """
    found = FORMATS.get(name)
    if found is None:
        raise ConfigError(f"Unknown format {name!r}.", next_step=did_you_mean(name, FORMATS))
    return found


def detect(path: str | os.PathLike[str]) -> str:
    """Name the format of a file.

    A file that ends in `.csv`, `.tsv` or `.parquet` is a table. Otherwise the first 1000 rows
    decide: the format is the first of openai, autotrain, sharegpt, alpaca and trl that all of them
    may be of. Rows that OpenAI and TRL write alike are therefore OpenAI's; calls without an id, or
    with arguments that are no string, make them TRL's. A file in OpenAI's form that begins with a
    byte-order mark is azure's.

    Raises:
        DataError: There is no such file, it holds no rows, or they are of no one format; the
            message says which keys were found where.
    """
    table = TABLES.get(Path(path).suffix.lower())
    source = _source(path, table, ",")
    return table.name if table else _told(source, path)


def _told(source: Source, path: str | os.PathLike[str]) -> str:
    possible = list(BY_KEYS)
    first: tuple[int, Row] | None = None
    rows = ((line, row) for line, row in source.entries() if not isinstance(row, Problem))
    for line, row in islice(rows, SAMPLE):
        left = [one for one in possible if one.matches(row)]
        if not left:
            raise _untold(source.name, line, row, first, possible)
        possible = left
        first = first or (line, row)
    if first is None:
        raise DataError(
            f"{source.name!r} holds no row that can be read, so its format cannot be told.",
            next_step="`tunekit check` says what is wrong with each line.",
        )
    name = possible[0].name
    with open(path, "rb") as file:
        marked = file.read(len(BOM)) == BOM
    return "azure" if marked and name == "openai" else name


def _untold(
    source: str, line: int, row: Row, first: tuple[int, Row] | None, possible: list[Format]
) -> DataError:
    keys = key_names(row)
    if first is None or not any(one.matches(row) for one in BY_KEYS):
        return DataError(
            f"The format of {source!r} cannot be told: line {line} has the keys {keys}.",
            next_step="Name it with `format=` (`--from`), or say what the keys mean: "
            + UNMAPPED_FIX,
        )
    names = " or ".join(one.name for one in possible)
    others = " or ".join(one.name for one in BY_KEYS if one.matches(row))
    return DataError(
        f"The format of {source!r} cannot be told: line {first[0]} looks like {names}, but line "
        f"{line} like {others}, with the keys {keys}.",
        next_step="Name it with `format=` (`--from`), or part the file.",
    )


def read(
    path: str | os.PathLike[str],
    *,
    format: str | None = None,
    columns: Columns | ColumnMapping | None = None,
    delimiter: str = ",",
) -> Dataset:
    """Open a file of any format as rows in OpenAI's form; rows are read and turned lazily.

    Problems name the lines of the file itself. A key that the format does not know stays in the
    row, where `check` sees it.

    Args:
        path: JSON Lines, one JSON array, CSV, TSV or Parquet.
        format: One of `FORMATS`; by default that which `detect` finds.
        columns: How the columns of a table, or the keys of JSON rows, become rows; see
            `ColumnMapping.parse`. A mapping stands in the place of a format of rows.
        delimiter: What parts the fields of a CSV file.

    Raises:
        ConfigError: The format or the mapping is none.
        DataError: There is no such file, or its format cannot be told.
    """
    table = TABLES.get(Path(path).suffix.lower())
    chosen = None if format is None else format_named(format)
    if chosen in TABLES.values():
        table = chosen
    if columns is not None:
        if chosen is not None and chosen is not table:
            raise ConfigError(
                f"`columns` says how rows are made, and so does the format {format!r}.",
                next_step="Give one of the two.",
            )
        mapping = columns if isinstance(columns, ColumnMapping) else ColumnMapping.parse(columns)
        return Dataset(_source(path, table, delimiter, mapping.columns)).map(mapping)
    source = _source(path, table, delimiter)
    if chosen is None:
        chosen = table or FORMATS[_told(source, path)]
    # OpenAI's rows are ours: nothing is put between the file and its reader.
    data = Dataset(source)
    return data if chosen.name in ("openai", "azure") else data.map(chosen.read_row)


def _source(
    path: str | os.PathLike[str],
    table: Format | None,
    delimiter: str,
    columns: tuple[str, ...] | None = None,
) -> Source:
    if table is PARQUET:
        return ParquetSource(path, columns=columns)
    if table is not None:
        return CsvSource(path, delimiter="\t" if table is TSV else delimiter)
    source = JsonlSource(path)  # says whether there is such a file
    try:
        with open(path, "rb") as file:
            start = file.read(4096)
    except OSError as error:
        raise DataError(
            f"The data file {printable(str(path))!r} cannot be opened: {error.strerror}."
        ) from error
    return JsonArraySource(path) if is_array(start) else source

"""CSV, TSV and Parquet: tables of one row a line.

Without a mapping, a table is read by the names of its columns: `user` and `assistant`, `prompt` and
`completion`, `prompt` with `chosen` and `rejected`, or `text`; conversations may have `system`. Or
they are those of another format, as Parquet files on the Hub often have them. Rows are written to
the same columns.
"""

from __future__ import annotations

from typing import Final

from tunekit.data.encoding import RowError
from tunekit.data.formats.alpaca import ALPACA
from tunekit.data.formats.autotrain import AUTOTRAIN
from tunekit.data.formats.base import Format, Loss, unheld
from tunekit.data.formats.columns import FORMS, ColumnMapping
from tunekit.data.formats.openai import OPENAI
from tunekit.data.formats.shapes import kind_to_write
from tunekit.data.formats.sharegpt import SHAREGPT
from tunekit.data.formats.trl import TRL
from tunekit.data.records import Row, key_names

BY_KEYS: Final = (OPENAI, AUTOTRAIN, SHAREGPT, ALPACA, TRL)
"""Formats that rows are told by, in the order in which they are tried."""

OWN: Final = {
    form: ColumnMapping.parse({key: f"{{{key}}}" for key in form.known}, setting="table")
    for form in FORMS
}
"""Columns that need no mapping."""


def read_row(row: Row) -> Row:
    """Read a row of a table by the names of its columns.

    Raises:
        RowError: The names say nothing.
    """
    there = {key: value for key, value in row.items() if value is not None}
    for form, mapping in OWN.items():
        is_text = all(isinstance(row[key], str | None) for key in form.known if key in row)
        if is_text and set(form.known) >= set(row) >= set(form.needed):
            return mapping({key: row.get(key) for key in form.known})
    for one in BY_KEYS:
        if one.matches(there):
            return one.read_row(there)
    raise RowError(
        "unmapped-columns",
        f"The columns {key_names(row)} say nothing about what is to be learnt.",
        UNMAPPED_FIX,
    )


UNMAPPED_FIX: Final = (
    'Say it with `columns={"user": "{...}", "assistant": "{...}"}`, with a column\'s name in each '
    "pair of braces; on the command line with `--column 'user={...}' --column 'assistant={...}'`."
)


def write_row(row: Row) -> tuple[Row, list[Loss]]:
    """Write a row as texts in the columns of its kind.

    Raises:
        RowError: It is more than one question and one answer.
    """
    kind = kind_to_write(row)
    for form, mapping in OWN.items():
        if form.kind is kind:
            return mapping.write_row(row)
    raise unheld("table", f"there are no columns for the kind {kind.value}")


def matches(row: Row) -> bool:
    """Whether the names of a row's columns say what is to be learnt."""
    return any(set(form.known) >= set(row) >= set(form.needed) for form in FORMS) or any(
        one.matches(row) for one in BY_KEYS
    )


CSV, TSV, PARQUET = (
    Format(name=name, about=about, read_row=read_row, write_row=write_row, matches=matches)
    for name, about in (
        ("csv", "A table with a header, by RFC 4180; columns are mapped with templates."),
        ("tsv", "The same with tabulators between the columns."),
        ("parquet", "A table of Apache Parquet; columns are mapped with templates."),
    )
)

"""OpenAI's and Azure's JSON Lines: our own form, as it is."""

from __future__ import annotations

from typing import Any

from tunekit.data.encoding import RowError
from tunekit.data.formats.autotrain import literal_messages
from tunekit.data.formats.base import Format, Loss
from tunekit.data.records import Row, key_names, kind_of, messages_of, unknown_structure


def read_row(row: Row) -> Row:
    """Give the row as it is; `Dataset.check` says what is wrong with it."""
    return row


def write_row(row: Row) -> tuple[Row, list[Loss]]:
    """Give the row as it is.

    Raises:
        RowError: It is of no known kind.
    """
    if kind_of(row) is None:
        raise RowError("unrecognised-structure", *unknown_structure(key_names(row)))
    return row, []


def matches(row: Row) -> bool:
    """Whether a row is of a known kind, and its calls have ids and arguments in a string."""
    if kind_of(row) is None or isinstance(row.get("tools"), str):
        return False
    if "messages" not in row and "text" in row and not _is_plain(row):
        return False
    if isinstance(row.get("label"), bool) and "prompt" in row and "messages" not in row:
        return False
    return all(
        "from" not in message and all(map(_is_whole, _list(message.get("tool_calls"))))
        for _, message in messages_of(row)
    )


def _is_plain(row: Row) -> bool:
    """Whether a `text` is one, and no conversation or half of a pair, as AutoTrain keeps them."""
    text = row["text"]
    return isinstance(text, str) and "rejected_text" not in row and literal_messages(text) is None


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _is_whole(call: Any) -> bool:
    function = call.get("function") if isinstance(call, dict) else None
    return (
        isinstance(function, dict)
        and isinstance(call.get("id"), str)
        and isinstance(function.get("arguments"), str)
    )


OPENAI = Format(
    name="openai",
    about="OpenAI's JSON Lines for chat, preferences and reinforcement, and plain rows of text.",
    read_row=read_row,
    write_row=write_row,
    matches=matches,
)

# Azure's how-to on fine-tuning asks for UTF-8 with a byte-order mark; its service reads both.
AZURE = Format(
    name="azure",
    about="The same for Azure OpenAI: the file begins with a byte-order mark.",
    read_row=read_row,
    write_row=write_row,
    matches=matches,
    begins_with_bom=True,
)

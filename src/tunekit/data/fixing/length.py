"""Rows with more tokens than the model takes: cut between messages, or left out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tunekit.data.checks.options import CheckOptions
from tunekit.data.records import DataKind, Row
from tunekit.data.tokens.counting import TokenCounter
from tunekit.problems import Problem

TOO_LONG: Final = "row-too-long"


def fit(
    rows: Sequence[Row], kind: DataKind, options: CheckOptions
) -> list[tuple[Row, str] | Problem | None]:
    """Say for each row what its length asks for.

    Args:
        rows: Rows of this kind without faults.
        kind: What they are.
        options: The counter, the limit on tokens, and what to do with longer rows.

    Returns:
        None for a row that fits; the row cut to fit and what was done to it; or why it must go.
    """
    counter, limit = options.counter, options.limits.max_row_tokens
    if counter is None or limit is None or not rows:
        return [None] * len(rows)
    found: list[tuple[Row, str] | Problem | None] = []
    for row, tokens in zip(rows, counter.count(rows), strict=True):
        if tokens is None or tokens.length <= limit:
            found.append(None)
            continue
        cut = _cut(row, counter, limit) if _may_cut(kind, options) else None
        message = f"The row has {tokens.length:,} tokens, {limit:,} are the most."
        found.append(cut or Problem(code=TOO_LONG, message=message, fix="Shorten it."))
    return found


def _may_cut(kind: DataKind, options: CheckOptions) -> bool:
    """Only a conversation has places to cut at; both answers of a preference are needed whole."""
    return kind is DataKind.CHAT and options.over_length == "truncate"


def _cut(row: Row, counter: TokenCounter, limit: int) -> tuple[Row, str] | None:
    """End the row with the last answer up to which it fits; None when not even the first does."""
    messages = row["messages"]
    ends = [n + 1 for n, message in enumerate(messages) if message["role"] == "assistant"]
    shorter = [{**row, "messages": messages[:end]} for end in ends[:-1]]
    for candidate, tokens in zip(reversed(shorter), reversed(counter.count(shorter)), strict=True):
        if tokens is not None and tokens.length <= limit:
            gone = len(messages) - len(candidate["messages"])
            what = "message was" if gone == 1 else "messages were"
            return (
                candidate,
                f"{gone} {what} cut from the end, so that {tokens.length:,} tokens stay.",
            )
    return None

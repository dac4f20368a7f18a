"""What counts tokens: one small protocol, kept by every way of counting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from tunekit.data.records import Row


@dataclass(frozen=True, slots=True)
class RowTokens:
    """The tokens of one row.

    Attributes:
        total: All of them, with what stands around messages.
        trained: Those that the model is trained to produce; what the published guide calls the
            assistant's tokens.
    """

    total: int
    trained: int


@runtime_checkable
class TokenCounter(Protocol):
    """Counts the tokens of rows.

    Attributes:
        name: What messages and reports call it, for example `o200k_base`.
        exact: Whether the count is what the model will see, or a documented estimate of it.
    """

    name: str
    exact: bool

    def count(self, rows: Sequence[Row]) -> list[RowTokens | None]:
        """Count a batch of rows on all cores, in order; None where a row cannot be counted."""

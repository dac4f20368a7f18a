"""What counts tokens: one small protocol, kept by every way of counting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol, runtime_checkable

from tunekit.data.records import Row

BATCH_ROWS: Final = 1000
"""Rows to count at once: enough to keep all cores busy, few enough to hold."""


@dataclass(frozen=True, slots=True)
class RowTokens:
    """The tokens of one row.

    Attributes:
        total: All of them, with what stands around messages.
        trained: Those that the model is trained to produce; what the published guide calls the
            assistant's tokens.
        longest: The longest text that the model gets to see of the row. None means `total`; less
            than that for a preference, which makes two texts.
        untrained_start: Tokens before the first trained one; None where that is not known, or
            nothing is trained.
    """

    total: int
    trained: int
    longest: int | None = None
    untrained_start: int | None = None

    @property
    def length(self) -> int:
        """What limits on the length of a row are held against."""
        return self.total if self.longest is None else self.longest


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

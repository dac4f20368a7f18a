"""What mending a file did, told line by line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from typing_extensions import override

from tunekit.problems import Problem

LISTED: Final = 100
"""How many changes of one kind are listed one by one; the rest are counted."""


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that was mended.

    Attributes:
        line: 1-based line in the file that was read.
        code: What kind of change it is; the code of the rule where one asks for it.
        what: What was done, in one sentence.
    """

    line: int
    code: str
    what: str

    @override
    def __str__(self) -> str:
        return f"line {self.line}: {self.what} [{self.code}]"


@dataclass(frozen=True, slots=True, kw_only=True)
class FixReport:
    """What mending a file did.

    Attributes:
        source: The file that was read, and is as it was.
        copy: The file that was written.
        rows_read: Rows of the source; a line that cannot be read counts as one.
        rows_written: Rows of the copy.
        changes: What was mended, by line; at most `LISTED` of one kind.
        counts: How often each kind of change was made, listed or not.
        rows_rejected: Rows that could not be mended.
        reasons: How many rows were rejected for which code; a row may have several.
        rejected: Where those rows stand with their lines and reasons; None when there are none.
        remaining: What `check` still says of the copy: warnings, and faults of the file as a whole.
    """

    source: Path
    copy: Path
    rows_read: int
    rows_written: int
    changes: tuple[Change, ...]
    counts: Mapping[str, int]
    rows_rejected: int
    reasons: Mapping[str, int]
    rejected: Path | None
    remaining: tuple[Problem, ...] = ()

    @property
    def changed(self) -> bool:
        """Whether the copy differs from the source in more than line ends."""
        return bool(self.counts) or bool(self.rows_rejected)

    @override
    def __str__(self) -> str:
        lines = [f"{self.copy}: {_rows(self.rows_written)} of {self.rows_read} written."]
        lines += [f"  {count} x {code}" for code, count in sorted(self.counts.items())]
        if self.rejected is not None:
            codes = ", ".join(f"{code} ({count})" for code, count in sorted(self.reasons.items()))
            lines.append(f"{self.rejected}: {_rows(self.rows_rejected)} left out: {codes}.")
        return "\n".join(lines)


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count} rows"


@dataclass(slots=True)
class Log:
    """Changes as they are made."""

    listed: list[Change] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, changes: Iterable[Change]) -> None:
        """Count these changes, and list them as long as there are few of their kind."""
        for change in changes:
            self.counts[change.code] += 1
            if self.counts[change.code] <= LISTED:
                self.listed.append(change)

    def in_order(self) -> tuple[Change, ...]:
        """The listed changes by line."""
        return tuple(sorted(self.listed, key=lambda change: change.line))

"""How times, figures and lists are written for people. 80 columns are enough for all of it."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from datetime import UTC, datetime

from rich.text import Text

STATUS_STYLES = {
    "succeeded": "green",
    "ready": "green",
    "submitted": "green",
    "failed": "red",
    "refused": "red",
    "cancelled": "yellow",
    "cancelling": "yellow",
    "pausing": "yellow",
    "paused": "yellow",
    "submitting": "yellow",
    "unknown": "magenta",
}

UNKNOWN = "-"


def status_text(status: str) -> Text:
    """A status word in its colour."""
    return Text(status, style=STATUS_STYLES.get(status, "cyan"))


def span(seconds: float) -> str:
    """A length of time in one unit, for narrow columns: `45 s`, `12 min`, `3 h`, `9 d`."""
    for unit, size, below in (("s", 1, 60), ("min", 60, 60), ("h", 3600, 48)):
        count = max(0, round(seconds / size))
        if count < below:
            return f"{count} {unit}"
    return f"{round(seconds / 86400)} d"


def ago(moment: datetime | None, now: datetime | None = None) -> str:
    """How long ago a moment was: `12 min ago`."""
    if moment is None:
        return UNKNOWN
    return f"{span(((now or datetime.now(UTC)) - moment).total_seconds())} ago"


def until(moment: datetime | None, now: datetime | None = None) -> str:
    """How long it is until a moment: `in 12 min`, or that it is past."""
    if moment is None:
        return "never"
    left = (moment - (now or datetime.now(UTC))).total_seconds()
    return f"in {span(left)}" if left > 0 else f"{span(-left)} ago"


def figure(value: float | None) -> str:
    """A loss or rate with four significant digits: `0.4123`, `2.000e-05`."""
    if value is None or not math.isfinite(value):
        return UNKNOWN if value is None else str(value)
    if value != 0 and not 1e-3 <= abs(value) < 1e5:
        return f"{value:.3e}"
    return f"{value:.4g}"


def money(usd: float | None, unit: str = "") -> str:
    """US dollars: `$0.42`, or `-` where nobody knows."""
    return UNKNOWN if usd is None else f"${usd:,.2f}{unit}"


def middle(text: str, width: int) -> str:
    """Shorten what is not meant to be copied, in the middle, where names differ least."""
    if len(text) <= width:
        return text
    head = (width - 1) // 2
    return f"{text[:head]}…{text[len(text) - (width - 1 - head) :]}"


def wrapped(text: str, width: int, *, first: int = 0, rest: int = 0) -> list[str]:
    """Wrap a text at spaces only, so that paths and ids stay whole.

    Args:
        text: What to wrap.
        width: Columns; a longer word stands over.
        first: Columns that the first line leaves free.
        rest: Columns by which further lines are indented.
    """
    made = textwrap.wrap(
        text,
        width,
        initial_indent=" " * first,
        subsequent_indent=" " * rest,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [line[first:] if i == 0 else line for i, line in enumerate(made)]


def paragraphs(text: str, width: int, *, indent: int) -> str:
    """Wrap each line of a text at spaces; all but the first begin at the column `indent`."""
    made = [
        piece.strip()
        for line in text.splitlines()
        for piece in wrapped(line.strip(), width, first=indent, rest=indent) or [""]
    ]
    return f"\n{' ' * indent}".join(made)


def columns(rows: Sequence[Sequence[str | Text]], *, gap: int = 2) -> list[Text]:
    """Align rows in columns, each as wide as its widest cell. Nothing is cut or wrapped."""
    cells = [[Text(cell) if isinstance(cell, str) else cell for cell in row] for row in rows]
    count = max((len(row) for row in cells), default=0)
    widths = [
        max((row[i].cell_len for row in cells if i < len(row)), default=0) for i in range(count)
    ]
    lines = []
    for row in cells:
        line = Text()
        for i, cell in enumerate(row):
            last = i == len(row) - 1
            line.append_text(cell)
            if not last:
                line.append(" " * (widths[i] - cell.cell_len + gap))
        lines.append(line)
    return lines


def pairs(rows: Sequence[tuple[str, str | Text]], *, indent: int = 2) -> list[Text]:
    """Lines of a dim label and a value, aligned."""
    lines = columns([(Text(label, style="dim"), value) for label, value in rows])
    return [Text(" " * indent) + line for line in lines]

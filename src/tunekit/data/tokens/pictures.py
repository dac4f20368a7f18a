"""Token statistics for people: a table and bars for a terminal, and a picture."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tunekit.data.tokens.statistics import Distribution, TokenStatistics
from tunekit.errors import ConfigError, missing_extra

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_EIGHTHS: Final = " ▏▎▍▌▋▊▉"
_TAIL: Final = 2
"""Where the largest value is so many times the 99th percentile, those above share the last bin."""

_BLUE, _ORANGE, _RED = "#5b86b5", "#dd9a4f", "#c0392b"


@dataclass(frozen=True, slots=True)
class Bin:
    """How many rows have a value from `low` to `high`, both included; None for no upper bound."""

    low: int
    high: int | None
    rows: int

    @property
    def label(self) -> str:
        """The bin's bounds: `100-199`, `7`, or `1,000+`."""
        if self.high is None:
            return f"{self.low:,}+"
        return f"{self.low:,}" if self.low == self.high else f"{self.low:,}-{self.high:,}"


def bins(distribution: Distribution, *, at_most: int = 12) -> list[Bin]:
    """Sort values into bins of one round width; a long tail shares the last one.

    Args:
        distribution: The values.
        at_most: The most bins.
    """
    low, high = distribution.min, distribution.max
    most_rows = math.ceil(distribution.quantile(0.99))
    tail = high > _TAIL * max(most_rows, 1)
    top = most_rows if tail else high
    width = _round_width((top - low + 1) / max(1, at_most - 1 - tail))
    first = low // width
    last = top // width + tail
    rows = [0] * (last - first + 1)
    for value, count in distribution.counts.items():
        rows[min(value // width, last) - first] += count
    return [
        Bin(
            position * width,
            None if tail and position == last else (position + 1) * width - 1,
            rows[position - first],
        )
        for position in range(first, last + 1)
    ]


def _round_width(least: float) -> int:
    """The smallest of 1, 2, 5, 10, 20, 50, ... that is no less."""
    power = int(10 ** max(0, math.floor(math.log10(max(least, 1)))))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= least)


def table(statistics: TokenStatistics) -> list[str]:
    """The figures as lines of at most 80 columns."""
    heads = ("", "total", "min", "p5", "median", "mean", "p95", "max")
    body = [
        (name, *_figures(found))
        for name, found in (
            ("all tokens", statistics.tokens),
            ("trained on", statistics.trained),
            ("messages", statistics.messages),
        )
    ]
    widths = [max(len(row[i]) for row in (heads, *body)) for i in range(len(heads))]
    lines = [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in (heads, *body)
    ]
    return [*lines, "", *_sentences(statistics)]


def _figures(found: Distribution) -> list[str]:
    values = (found.min, found.p5, found.median, found.mean, found.p95, found.max)
    return [f"{found.total:,}", *(_figure(value) for value in values)]


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) or value >= 1e5 else f"{value:,.1f}"


def _sentences(statistics: TokenStatistics) -> list[str]:
    how = "exactly" if statistics.exact else "by the published rule, an estimate"
    lines = [f"{statistics.rows:,} rows, counted with {statistics.counter}, {how}."]
    if statistics.uncounted:
        lines.append(f"{statistics.uncounted:,} more could not be counted.")
    if statistics.limit is not None:
        are = "row is" if statistics.over_limit == 1 else "rows are"
        lines.append(f"{statistics.over_limit:,} {are} longer than {statistics.limit:,} tokens.")
    epochs = statistics.n_epochs
    lines.append(
        f"{epochs} {'pass' if epochs == 1 else 'passes'} over {statistics.billed_tokens:,} tokens:"
        f" {statistics.job_tokens:,} tokens in all."
    )
    return lines


def bars(distribution: Distribution, *, width: int = 80, at_most: int = 12) -> list[str]:
    """The distribution as horizontal bars, a line for each bin.

    Args:
        distribution: What to draw.
        width: Columns in all.
        at_most: The most lines.
    """
    found = bins(distribution, at_most=at_most)
    most = max(one.rows for one in found)
    labels = max(len(one.label) for one in found)
    counts = max(len(f"{one.rows:,}") for one in found)
    room = max(8, width - labels - counts - 4)
    return [
        f"{one.label:>{labels}} │{_bar(one.rows / most * room if most else 0):<{room}} "
        f"{one.rows:>{counts},}".rstrip()
        for one in found
    ]


def _bar(length: float) -> str:
    """A bar of so many columns, to an eighth of one; the least that is not nothing is seen."""
    eighths = max(1, round(length * 8)) if length > 0 else 0
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()


def histogram(statistics: TokenStatistics, path: str | os.PathLike[str]) -> None:
    """Draw the lengths of the rows to a picture: all tokens above, those trained on below.

    Args:
        statistics: What to draw.
        path: A file that ends in .png, .svg or .pdf.

    Raises:
        MissingExtraError: matplotlib is not installed.
        ConfigError: The file cannot be written, or its ending names no known format.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise missing_extra(
            "plots", "'matplotlib>=3.10'", needed_for="Drawing a picture"
        ) from error
    figure = Figure(figsize=(8, 6), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(
        f"{statistics.source}: {statistics.rows:,} rows, counted with {statistics.counter}",
        fontsize=11,
    )
    upper, lower = figure.subplots(2, 1)
    _panel(upper, statistics.tokens, "all tokens of a row", _BLUE, statistics.limit)
    _panel(lower, statistics.trained, "tokens of a row that are trained on", _ORANGE, None)
    try:
        figure.savefig(path, dpi=150)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"The picture {os.fspath(path)!r} cannot be written: {error}.",
            next_step="Name a file that ends in .png, .svg or .pdf, in a folder that exists.",
        ) from error


def _panel(
    axis: Axes, distribution: Distribution, label: str, colour: str, limit: int | None
) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    found = bins(distribution, at_most=48)
    width = found[1].low - found[0].low if len(found) > 1 else 1
    start, end = found[0].low, found[-1].low + width
    body = [one for one in found if one.high is not None]
    axis.bar(
        [one.low for one in body], [one.rows for one in body], width, align="edge", color=colour
    )
    if found[-1].high is None:
        _tail(axis, found[-1], width, distribution.max, colour)
    _marks(axis, distribution, limit, start, end)
    axis.set_xlim(start, end)
    axis.set_xlabel(label)
    axis.set_ylabel("rows")
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(axis="y", alpha=0.3)
    axis.set_axisbelow(True)
    for scale in (axis.xaxis, axis.yaxis):
        scale.set_major_locator(MaxNLocator(integer=True))
        scale.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    # Above the panel, where it hides no bar.
    axis.legend(
        loc="lower right",
        bbox_to_anchor=(1, 1),
        frameon=False,
        ncols=5,
        fontsize=9,
        handlelength=1.6,
        columnspacing=1.4,
    )


def _tail(axis: Axes, last: Bin, width: int, most: int, colour: str) -> None:
    """The bin without an upper bound, drawn unlike the others: it is wider than it looks."""
    axis.bar(
        [last.low],
        [last.rows],
        width,
        align="edge",
        facecolor="none",
        edgecolor=colour,
        hatch="////",
        label=f"{last.low:,} to {most:,}",
    )


def _marks(
    axis: Axes, distribution: Distribution, limit: int | None, start: float, end: float
) -> None:
    """Lines at median, percentiles and limit; the legend names those outside the picture too."""
    marks: list[tuple[str, float, str, str]] = [
        ("p5", distribution.p5, ":", "black"),
        ("median", distribution.median, "-", "black"),
        ("p95", distribution.p95, "--", "black"),
    ]
    if limit is not None:
        marks.append(("limit", limit, "-", _RED))
    for name, value, style, colour in marks:
        axis.plot(
            [value if start <= value <= end else math.nan] * 2,
            [0, 1],
            color=colour,
            linestyle=style,
            linewidth=1.4,
            transform=axis.get_xaxis_transform(),
            label=f"{name} {_figure(value)}",
        )

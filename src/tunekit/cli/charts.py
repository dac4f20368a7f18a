"""Learning curves: on a terminal, and as a picture."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunekit.cli.words import figure
from tunekit.errors import ConfigError, missing_extra

_CURVES = (
    ("training loss", ("train_loss",)),
    ("validation loss", ("valid_loss", "full_valid_loss")),
    ("learning rate", ("learning_rate",)),
    ("token accuracy", ("train_mean_token_accuracy", "train_accuracy")),
    (
        "validation token accuracy",
        ("valid_mean_token_accuracy", "full_valid_mean_token_accuracy", "valid_accuracy"),
    ),
)
_AXES = {"rate": "learning rate", "accuracy": "token accuracy"}
# Dots of a braille cell, two columns of four, as bits of its code point.
_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))


@dataclass(frozen=True)
class Curve:
    """One figure over the steps of a training.

    Attributes:
        points: `(step, value)` in the order of the steps; finite values only.
    """

    label: str
    points: list[tuple[int, float]]


def curves(rows: Sequence[Mapping[str, Any]]) -> list[Curve]:
    """Gather the curves that a job's metrics hold; the later of two values of one step counts."""
    found = []
    for label, keys in _CURVES:
        points: dict[int, float] = {}
        for row in rows:
            value = next((row[key] for key in keys if row.get(key) is not None), None)
            step = row.get("step")
            if isinstance(step, int) and isinstance(value, int | float) and math.isfinite(value):
                points[step] = float(value)
        if points:
            found.append(Curve(label, sorted(points.items())))
    return found


def chart(curve: Curve, *, width: int = 80, height: int = 6) -> list[str]:
    """Draw a curve with braille dots.

    Args:
        curve: What to draw; at least one point.
        width: Columns in all, labels included.
        height: Rows of the plot, without title and axis.
    """
    steps, values = zip(*curve.points, strict=True)
    low, high = min(values), max(values)
    labels = [figure(high), figure(low)]
    margin = max(len(label) for label in labels)
    plot = _dots(curve.points, max(8, width - margin - 3), height)
    lines = [f"{curve.label}: {figure(values[0])} → {figure(values[-1])}, lowest {figure(low)}"]
    for i, row in enumerate(plot):
        label = labels[0] if i == 0 else labels[1] if i == height - 1 else ""
        lines.append(f"{label:>{margin}} ┤{row}")
    left, right = f"step {steps[0]:,}", f"{steps[-1]:,}"
    inner = max(8, width - margin - 3)
    lines.append(f"{'':>{margin}}  {left}{right:>{max(1, inner - len(left))}}")
    return lines


def _dots(points: Sequence[tuple[int, float]], width: int, height: int) -> list[str]:
    """Rasterise points and the lines between them; each cell is two dots wide and four high."""
    across, down = width * 2, height * 4
    first, last = points[0][0], points[-1][0]
    low, high = min(value for _, value in points), max(value for _, value in points)
    cells = [[0] * width for _ in range(height)]

    def place(step: int, value: float) -> tuple[int, int]:
        x = round((step - first) / (last - first) * (across - 1)) if last > first else 0
        share = (value - low) / (high - low) if high > low else 0.5
        return x, round((1 - share) * (down - 1))

    def dot(x: int, y: int) -> None:
        cells[y // 4][x // 2] |= _DOTS[x % 2][y % 4]

    before = place(*points[0])
    dot(*before)
    for point in points[1:]:
        after = place(*point)
        length = max(abs(after[0] - before[0]), abs(after[1] - before[1]))
        for i in range(1, length + 1):
            share = i / length
            dot(
                round(before[0] + (after[0] - before[0]) * share),
                round(before[1] + (after[1] - before[1]) * share),
            )
        before = after
    return ["".join(chr(0x2800 + cell) for cell in row).rstrip("\u2800") for row in cells]


def picture(found: Sequence[Curve], out: Path, *, title: str, model: str) -> None:
    """Draw the curves to a file: losses in one panel, each other kind of figure in its own.

    Raises:
        MissingExtraError: matplotlib is not installed.
        ConfigError: The file cannot be written, or its ending names no known format.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator
    except ImportError as error:
        raise missing_extra(
            "plots", "'matplotlib>=3.10'", needed_for="Drawing a picture"
        ) from error
    panels = _panels(found)
    figure_ = Figure(figsize=(8, 0.6 + 2.6 * len(panels)), layout="constrained")
    FigureCanvasAgg(figure_)
    figure_.suptitle(f"{title}\n{model}", fontsize=11)
    axes = figure_.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for axis, (label, members) in zip(axes, panels, strict=True):
        for curve in members:
            steps, values = zip(*curve.points, strict=True)
            few = "o" if len(steps) < 40 else ""
            axis.plot(steps, values, label=curve.label, linewidth=1.5, marker=few, markersize=3)
        axis.set_ylabel(label)
        axis.grid(alpha=0.3)
        if len(members) > 1:
            axis.legend()
    figure_.align_ylabels()
    axes[-1].set_xlabel("step")
    axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    try:
        figure_.savefig(out, dpi=150)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"The picture {str(out)!r} cannot be written: {error}.",
            next_step="Name a file that ends in .png, .svg or .pdf, in a folder that exists.",
        ) from error


def _panels(found: Sequence[Curve]) -> list[tuple[str, list[Curve]]]:
    kinds: dict[str, list[Curve]] = {}
    for curve in found:
        kind = next(word for word in ("loss", "rate", "accuracy") if word in curve.label)
        kinds.setdefault(_AXES.get(kind, kind), []).append(curve)
    return list(kinds.items())

"""Writing rows in any format: whole or not at all, and never with something dropped quietly."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tunekit.data.encoding import RowError, printable
from tunekit.data.files import atomic_file
from tunekit.data.formats.base import Loss
from tunekit.data.formats.columns import ColumnMapping, Columns
from tunekit.data.formats.reading import TABLES, format_named
from tunekit.data.formats.sinks import CsvSink, JsonSink, ParquetSink, Sink
from tunekit.data.formats.tabular import PARQUET, TSV
from tunekit.data.records import Row
from tunekit.data.sources import fault, passed_over
from tunekit.errors import ConfigError, DataError
from tunekit.problems import Problem, Severity

if TYPE_CHECKING:
    from tunekit.data.dataset import Dataset

LISTED: Final = 1000
"""How many problems with one code are listed one by one; the rest are counted."""


@dataclass(frozen=True, slots=True)
class WriteReport:
    """What was written.

    Attributes:
        format: Name of the format.
        rows: How many rows.
        bytes: The size of the file.
        losses: What was left behind, as warnings with the code `lost-<what>`; of each code at most
            1000, and then one more that counts the rest.
        counts: How many losses there are of each code.
    """

    format: str
    rows: int
    bytes: int
    losses: tuple[Problem, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)


def write(
    dataset: Dataset,
    path: str | os.PathLike[str],
    *,
    format: str = "openai",
    allow_loss: bool = False,
    columns: Columns | ColumnMapping | None = None,
) -> WriteReport:
    """Write rows in a format. The same rows give the same bytes.

    The rows stream; the file appears whole or not at all, and may be the one that the rows are read
    from. A path that ends in `.json` gets one JSON array, a row a line.

    Args:
        dataset: Rows in OpenAI's form.
        path: Where to.
        format: One of `FORMATS`.
        allow_loss: Write also when something cannot be carried over; the report says what. A row
            that the format cannot hold at all stops the writing all the same.
        columns: For tables, what goes into which column: the mapping that reads the file again.

    Raises:
        ConfigError: The format or the mapping is none, or the ending of the path is another's.
        DataError: A row cannot be read or held, or something would be lost; `problems` lists what,
            with lines. Or the file cannot be written.
    """
    target = Path(path)
    chosen = format_named(format)
    by_ending = TABLES.get(target.suffix.lower())
    is_table = chosen in TABLES.values()
    if by_ending is not None and by_ending is not chosen:
        raise ConfigError(
            f"A file that ends in {target.suffix!r} would not be read as {format!r} again.",
            next_step=f"Choose the format {by_ending.name!r}, or another ending.",
        )
    write_row = chosen.write_row
    if columns is not None:
        if not is_table:
            raise ConfigError(
                f"`columns` is for tables, and {format!r} is none.",
                next_step=f"Choose one of {', '.join(one.name for one in TABLES.values())}.",
            )
        mapping = columns if isinstance(columns, ColumnMapping) else ColumnMapping.parse(columns)
        mapping.check_invertible()
        write_row = mapping.write_row
    tally = _Tally(dataset.source, allow_loss)
    with atomic_file(target) as file:
        if chosen is PARQUET:
            sink: Sink = ParquetSink(file)
        elif is_table:
            sink = CsvSink(file, "\t" if chosen is TSV else ",")
        else:
            array = target.suffix.lower() == ".json"
            sink = JsonSink(file, array=array, bom=chosen.begins_with_bom)
        rows = _write_rows(dataset, write_row, sink, tally)
        sink.close()
        tally.stop_on_fault(target, format)
        size = file.tell()
    return WriteReport(format, rows, size, tally.listed(), dict(tally.counts))


def _write_rows(
    dataset: Dataset,
    write_row: Callable[[Row], tuple[Row, list[Loss]]],
    sink: Sink,
    tally: _Tally,
) -> int:
    rows = 0
    for file, line, content in dataset.located():
        if isinstance(content, Problem):
            if not passed_over(content):
                tally.add(content)
            continue
        try:
            made, losses = write_row(content)
            tally.note(losses, file, line)
            if not tally.refused:
                sink.put(made)
        except RowError as error:
            tally.add(fault(error, file, line))
        rows += 1
    return rows


class _Tally:
    """Faults and losses in the order of lines; past a limit, those of one code are counted."""

    def __init__(self, source: str, allow_loss: bool) -> None:
        self._source = source
        self._allow_loss = allow_loss
        self._problems: list[Problem] = []
        self.counts: Counter[str] = Counter()
        self.refused = False

    def add(self, problem: Problem) -> None:
        self.counts[problem.code] += 1
        self.refused = self.refused or problem.severity is Severity.ERROR
        if self.counts[problem.code] <= LISTED:
            self._problems.append(problem)

    def note(self, losses: list[Loss], file: str, line: int) -> None:
        for loss in losses:
            self.add(
                Problem(
                    code=f"lost-{loss.what}",
                    severity=Severity.WARNING if self._allow_loss else Severity.ERROR,
                    message=printable(loss.message),
                    file=file,
                    line=line,
                    path=printable(loss.path),
                )
            )

    def listed(self) -> tuple[Problem, ...]:
        more = [
            Problem(
                code=code,
                severity=next(p.severity for p in self._problems if p.code == code),
                message=f"There are {count - LISTED:,} more of these.",
                file=self._source,
            )
            for code, count in self.counts.items()
            if count > LISTED
        ]
        return (*self._problems, *more)

    def stop_on_fault(self, target: Path, format: str) -> None:
        """Raise when something was found that keeps the file from being written."""
        if not self.refused:
            return
        problems = [p for p in self.listed() if p.severity is Severity.ERROR]
        counts = {p.code: self.counts[p.code] for p in problems}
        what = ", ".join(f"{code} ({count:,})" for code, count in counts.items())
        only_losses = all(code.startswith("lost-") for code in counts)
        raise DataError(
            f"{printable(str(target))!r} was not written: {self._source!r} does not fit the format "
            f"{format!r} without loss: {what}. The first: {problems[0]}",
            problems=problems,
            next_step="Choose another format, or accept the losses with `allow_loss=True` "
            "(`--allow-loss`)."
            if only_losses
            else "Mend these rows, or take them out with `.filter` first.",
        )

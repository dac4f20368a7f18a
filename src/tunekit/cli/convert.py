"""`convert`: data from one format into another."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tunekit.cli.shell import Shell, command, parse_assignments

if TYPE_CHECKING:
    from tunekit.data.formats import WriteReport


@command
def convert(
    shell: Shell,
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="The file to read.")],
    target: Annotated[Path, typer.Argument(metavar="TARGET", help="The file to write.")],
    from_: Annotated[
        str | None,
        typer.Option("--from", metavar="FORMAT", help="Format of SOURCE; told by its rows."),
    ] = None,
    to: Annotated[
        str | None,
        typer.Option("--to", metavar="FORMAT", help="Format of TARGET; by its ending, or openai."),
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=TEMPLATE",
            help="What is made of a table's columns, as in user={question}; may be repeated.",
        ),
    ] = None,
    delimiter: Annotated[
        str, typer.Option(metavar="CHARACTER", help="What parts the fields of a CSV file.")
    ] = ",",
    allow_loss: Annotated[
        bool, typer.Option("--allow-loss", help="Write also what cannot be carried over whole.")
    ] = False,
) -> None:
    """Write data in another format.

    Formats: openai, azure, trl, sharegpt, alpaca, autotrain, csv, tsv, parquet. Whatever the new
    format has no place for is named with its lines, and nothing is written unless `--allow-loss`.

    Templates of `--column` make the row, with a column's name in braces: user and assistant
    (and system), prompt and completion, prompt, chosen and rejected, or text.
    """
    from tunekit.data.formats import detect, read, write
    from tunekit.data.formats.openai import OPENAI
    from tunekit.data.formats.reading import TABLES

    columns = parse_assignments(column, "--column", scalars=False)
    wanted = to or TABLES.get(target.suffix.lower(), OPENAI).name
    found = from_ or ("columns" if columns else detect(source))
    data = read(
        source,
        format=None if from_ is None and columns else found,
        columns=columns or None,
        delimiter=delimiter,
    )
    _say(shell, found, source, target, write(data, target, format=wanted, allow_loss=allow_loss))


def _say(shell: Shell, found: str, source: Path, target: Path, report: WriteReport) -> None:
    from tunekit._text import show_bytes
    from tunekit.cli.words import columns

    losses = _grouped(report)
    if shell.as_json:
        shell.emit(
            {
                "source": str(source),
                "from": found,
                "target": str(target),
                "to": report.format,
                "rows": report.rows,
                "bytes": report.bytes,
                "losses": losses,
            }
        )
        return
    rows = f"{report.rows:,} row" + ("" if report.rows == 1 else "s")
    shell.say(f"Wrote {rows} to {target}: {report.format}, {show_bytes(report.bytes)}")
    if losses:
        shell.say("", "Left behind:", style="yellow")
        table = [
            (f"  {one['code']}", f"{one['count']:,}", f"first at {one['first']}") for one in losses
        ]
        shell.say(*columns(table))


def _grouped(report: WriteReport) -> list[dict[str, Any]]:
    """Each kind of loss once: how often it occurs, what it means, and where it stands first."""
    made: dict[str, dict[str, Any]] = {}
    for problem in report.losses:
        one = made.setdefault(
            problem.code,
            {"code": problem.code, "count": 0, "message": problem.message, "first": ""},
        )
        one["first"] = one["first"] or f"line {problem.line} {problem.path or ''}".strip()
    for code, count in report.counts.items():
        made[code]["count"] = count
    return list(made.values())

"""`split`."""

from __future__ import annotations

import os
import re
import tempfile
from array import array
from collections import Counter
from collections.abc import Callable, Container, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tunekit.cli.progress_bar import progress_bar
from tunekit.cli.shell import Shell, command

if TYPE_CHECKING:
    from tunekit.data import Dataset
    from tunekit.data.records import Row
    from tunekit.problems import Problem

NAMES = ("train", "validation", "test")
SHOWN = 20
"""How many labels the table shows."""


@command
def split(
    shell: Shell,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A data file.", show_default=False)],
    parts: Annotated[
        list[str],
        typer.Argument(
            metavar="PART...",
            help="Fractions such as 0.8 0.1 0.1, or numbers of rows.",
            show_default=False,
        ),
    ],
    seed: Annotated[int, typer.Option(help="Another seed, another split.")] = 0,
    by: Annotated[
        str | None,
        typer.Option(
            metavar="KEY", help="Keep rows with the same value together, as in metadata.user."
        ),
    ] = None,
    stratify: Annotated[
        str | None, typer.Option(metavar="KEY", help="Give each part its share of every value.")
    ] = None,
    names: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,...", help="Names of the parts; train,validation,test by default."
        ),
    ] = None,
    to: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where to write; beside FILE by default.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite files.")] = False,
) -> None:
    """Part a data file at random; the same seed gives the same parts, everywhere.

    Writes FILE.train.jsonl and so on: all of them, or none. `--by` keeps groups whole, so that
    sizes may miss a little; `--stratify` gives each part the same mix.
    """
    from tunekit.cli.datafiles import open_file
    from tunekit.data.keys import key_function
    from tunekit.data.splitting import part_sizes

    sizes = [_size(part) for part in parts]
    called = _names(names, len(sizes))
    if by is not None and stratify is not None:
        raise typer.BadParameter("It does not go with `--stratify`.", param_hint="--by")
    key = by if by is not None else stratify
    value_of = None if key is None else key_function(key)
    data = open_file(file)
    folder = file.parent if to is None else to
    paths = [folder / f"{file.stem}.{name}.jsonl" for name in called]
    _refuse_existing(paths, force)
    with progress_bar(shell.err, f"Reading {file.name}") as on_progress:
        made = data.split(*sizes, seed=seed, by=by, stratify=stratify, on_progress=on_progress)
    rows = len(data)
    found = [
        _Part(name, path, part, asked)
        for name, path, part, asked in zip(
            called, paths, made, part_sizes(rows, sizes), strict=True
        )
    ]
    shared = _write(shell, found, folder, value_of, force)
    problems = [*_empty_parts(found), *_shared_rows(found, shared)]
    if shell.as_json:
        described = [_describe(part, by, stratify) for part in found]
        shell.emit(
            {
                "file": str(file),
                "rows": rows,
                "seed": seed,
                "by": by,
                "stratify": stratify,
                "parts": described,
                "problems": [problem.model_dump(mode="json") for problem in problems],
            }
        )
    else:
        shell.say(f"{file}: {rows:,} rows, seed {seed}")
        _show(shell, found, by, stratify)
    if problems:
        from tunekit.cli.failures import show_problems

        show_problems(shell, problems)


@dataclass
class _Part:
    """One part on its way to its file.

    Attributes:
        values: How many of its rows have each value of the key.
        digests: Of each row, to find equal ones in other parts; 8 bytes a row.
    """

    name: str
    path: Path
    data: Dataset
    asked: int
    values: Counter[Hashable] = field(default_factory=Counter)
    digests: array[int] = field(default_factory=lambda: array("Q"))

    @property
    def rows(self) -> int:
        return len(self.data)


def _size(text: str) -> float:
    try:
        return int(text) if re.fullmatch(r"\+?\d+", text) else float(text)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is no number; write fractions such as 0.8 0.2, or numbers of rows.",
            param_hint="PART",
        ) from None


def _names(given: str | None, count: int) -> list[str]:
    if given is None:
        usual = count <= len(NAMES)
        return list(NAMES[:count]) if usual else [f"part{n}" for n in range(1, count + 1)]
    names = [name.strip() for name in given.split(",")]
    if not all(re.fullmatch(r"[\w-][\w.-]*", name) for name in names):
        raise typer.BadParameter(
            "Names are letters, digits, dots and hyphens.", param_hint="--names"
        )
    if len(set(names)) != count or len(names) != count:
        raise typer.BadParameter(
            f"There must be {count} different names, one for each part.", param_hint="--names"
        )
    return names


def _refuse_existing(paths: Sequence[Path], force: bool) -> None:
    from tunekit.errors import DataError

    folders = [path for path in paths if path.is_dir()]
    if folders:
        raise DataError(f"{str(folders[0])!r} is a folder.", next_step="Nothing was written.")
    there = [str(path) for path in paths if os.path.lexists(path)]
    if there and not force:
        raise DataError(
            f"There {'is' if len(there) == 1 else 'are'} already {', '.join(map(repr, there))}.",
            next_step="Nothing was written. `--force` overwrites, `--to` writes elsewhere.",
        )


_Shared = dict[tuple[int, int], int]
"""For two parts, how many different rows are in both."""


def _write(
    shell: Shell,
    parts: Sequence[_Part],
    folder: Path,
    value_of: Callable[[Row], Hashable] | None,
    force: bool,
) -> _Shared:
    """Write all parts or none, and say which rows are in two of them."""
    from tunekit.data.files import write_lines
    from tunekit.data.progress import reported
    from tunekit.errors import DataError

    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".split-", dir=folder) as temporary:
            for part in parts:
                rows = _noticed(part, value_of)
                with progress_bar(shell.err, f"Writing {part.path.name}") as on_progress:
                    if on_progress is not None:
                        rows = reported(rows, on_progress, part.rows)
                    write_lines(rows, Path(temporary, part.path.name))
            _refuse_existing([part.path for part in parts], force)
            for part in parts:
                os.replace(Path(temporary, part.path.name), part.path)
    except OSError as error:
        raise DataError(
            f"The parts cannot be written to {str(folder)!r}: {error.strerror or error}."
        ) from error
    return _in_two([part.digests for part in parts])


def _noticed(part: _Part, value_of: Callable[[Row], Hashable] | None) -> Iterator[Row]:
    """Pass a part's rows on; count their values, and keep a digest of each."""
    from tunekit.data.encoding import digest

    for row in part.data:
        if value_of is not None:
            part.values[value_of(row)] += 1
        part.digests.append(int.from_bytes(digest(row)[:8], "big"))
        yield row


def _in_two(digests: Sequence[array[int]]) -> _Shared:
    import numpy

    rows = [numpy.unique(numpy.frombuffer(one, dtype=numpy.uint64)) for one in digests]
    shared = {
        (first, second): len(numpy.intersect1d(rows[first], rows[second], assume_unique=True))
        for first, second in combinations(range(len(rows)), 2)
    }
    return {pair: count for pair, count in shared.items() if count}


def _empty_parts(parts: Sequence[_Part]) -> list[Problem]:
    from tunekit.problems import Problem, Severity

    return [
        Problem(
            code="empty-part",
            severity=Severity.WARNING,
            message=f"The part {part.name!r} has no rows.",
            fix="There are too few rows or groups for the sizes asked for.",
            file=str(part.path),
        )
        for part in parts
        if part.rows == 0
    ]


def _shared_rows(parts: Sequence[_Part], shared: _Shared) -> list[Problem]:
    from tunekit.problems import Problem, Severity

    return [
        Problem(
            code="row-in-two-parts",
            severity=Severity.WARNING,
            message=f"{_counted(count, 'row')} of {parts[first].name!r} "
            f"{'stands' if count == 1 else 'stand'} in {parts[second].name!r}, too: the file "
            "has equal rows.",
            fix="Remove them before you split, with `Dataset.dedup()`.",
            file=str(parts[second].path),
        )
        for (first, second), count in sorted(shared.items())
    ]


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _describe(part: _Part, by: str | None, stratify: str | None) -> dict[str, Any]:
    described: dict[str, Any] = {
        "name": part.name,
        "path": str(part.path),
        "rows": part.rows,
        "asked": part.asked,
    }
    if by is not None:
        described["groups"] = len(part.values)
    if stratify is not None:
        described["labels"] = {
            _label(value, part.values): n for value, n in part.values.most_common()
        }
    return described


def _label(value: Hashable, among: Container[Hashable]) -> str:
    """A label as text; quoted where a number or the like is spelt alike."""
    if isinstance(value, bytes):
        return value.decode()
    return f'"{value}"' if str(value).encode("utf-8", "replace") in among else str(value)


def _show(shell: Shell, parts: Sequence[_Part], by: str | None, stratify: str | None) -> None:
    from tunekit.cli.words import columns

    total = sum(part.rows for part in parts)
    lines = [
        [
            f"  {part.name}",
            _counted(part.rows, "row"),
            f"{part.rows / total:.1%}" if total else "-",
            *([_counted(len(part.values), "group")] if by is not None else []),
            str(part.path),
        ]
        for part in parts
    ]
    shell.say(*columns(lines))
    missed = [f"{p.name} {p.rows - p.asked:+,}" for p in parts if p.rows != p.asked]
    if missed:
        shell.say(f"Whole groups miss the sizes asked for, in rows: {', '.join(missed)}")
    if stratify is not None:
        _show_labels(shell, parts, stratify)


def _show_labels(shell: Shell, parts: Sequence[_Part], stratify: str) -> None:
    from tunekit.cli.words import columns, middle

    totals: Counter[Hashable] = Counter()
    for part in parts:
        totals.update(part.values)
    head = [f"  {stratify}", *(part.name for part in parts)]
    lines = [
        [f"  {middle(_label(value, totals), 32)}", *(f"{part.values[value]:,}" for part in parts)]
        for value, _ in totals.most_common(SHOWN)
    ]
    shell.say("", *columns([head, *lines]))
    if len(totals) > SHOWN:
        shell.say(f"  … and {len(totals) - SHOWN:,} more; `--json` shows them.")

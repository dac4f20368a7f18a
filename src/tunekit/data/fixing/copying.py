"""`fix_file`: a mended copy of a data file, and a second file with what could not be mended."""

from __future__ import annotations

import os
import tempfile
from array import array
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import IO, Final, TypeVar

from tunekit.data.checks.options import CheckOptions
from tunekit.data.encoding import RowError, digest, printable
from tunekit.data.fixing.pieces import Piece, read_pieces
from tunekit.data.fixing.rejects import Rejects
from tunekit.data.fixing.report import Change, FixReport, Log
from tunekit.data.fixing.rows import Mended, Mender
from tunekit.data.likeness import LikenessIndex
from tunekit.data.likeness.keys import DIGEST_BYTES
from tunekit.errors import DataError
from tunekit.problems import Problem, Severity

T = TypeVar("T")

_BATCH: Final = 256
"""Rows whose tokens are counted at once."""


def fix_file(
    source: str | os.PathLike[str],
    to: str | os.PathLike[str],
    *,
    options: CheckOptions | None = None,
    rejected: str | os.PathLike[str] | None = None,
) -> FixReport:
    """Write a mended copy of a file of JSON rows, in which `check` finds no faulty row.

    Only what is safe is mended, and nothing is made up; `fixing.mends` lists what that is. Rows
    that stay faulty are left out of the copy and kept, with their lines, reasons and original
    bytes, in a file beside it. Fixing a fixed file changes nothing. Files appear whole or not at
    all, and memory is bounded: 16 bytes a row, and the longest row.

    Args:
        source: What to read: JSON Lines, or objects laid out in any other way; never changed.
        to: The copy; replaced where it exists.
        options: What the copy is to be held against. With a `counter` and a limit on the tokens of
            a row, longer rows are cut between messages (`truncate`) or rejected.
        rejected: Where rejected rows go; by default `NAME.rejected.jsonl` beside `NAME.jsonl`. It
            is written when there are such rows, or when an older file of the name exists.

    Raises:
        DataError: There is no such file, it would overwrite itself, or a file cannot be written.
    """
    read, written = Path(source), Path(to)
    beside = Path(rejected) if rejected else written.with_name(f"{written.stem}.rejected.jsonl")
    _refuse_unusable(read, written, beside)
    try:
        with (
            tempfile.TemporaryDirectory(prefix=f".{written.name}.", dir=written.parent) as folder,
            closing(Rejects(Path(folder) / "rejected.jsonl")) as rejects,
        ):
            copying = _Copying(Path(folder), rejects, options or CheckOptions())
            remaining = copying.make(read)
            kept = rejects.place(beside)
            _place(copying.copy, written)
    except OSError as error:
        raise DataError(
            f"{printable(str(read))!r} cannot be fixed into {printable(str(written))!r}: "
            f"{error.strerror or error}."
        ) from error
    return FixReport(
        source=read,
        copy=written,
        rows_read=copying.rows_read,
        rows_written=len(copying.lines),
        changes=copying.log.in_order(),
        counts=dict(copying.log.counts),
        rows_rejected=rejects.rows,
        reasons=dict(rejects.reasons),
        rejected=kept,
        remaining=tuple(
            problem.model_copy(update={"file": printable(str(written))}) for problem in remaining
        ),
    )


def _refuse_unusable(source: Path, to: Path, rejected: Path) -> None:
    name = printable(str(source))
    if not source.is_file():
        what = "is no regular file" if source.exists() else "does not exist"
        raise DataError(
            f"The data file {name!r} {what}.", next_step=f"Paths start from {str(Path.cwd())!r}."
        )
    if source.suffix.lower() in _OTHER_FORMATS:
        raise DataError(
            f"{name!r} is no JSON Lines file; only those can be fixed.",
            next_step="Write it as JSON Lines first, with `Dataset.write_jsonl`.",
        )
    if len({path.resolve() for path in (source, to, rejected)}) < 3:
        raise DataError(
            f"Fixing {name!r} needs other files to write to.",
            next_step="The file that is fixed is never changed; give the copy another name.",
        )


_OTHER_FORMATS: Final = (".csv", ".tsv", ".parquet", ".arrow")


def _place(temporary: Path, target: Path) -> None:
    with temporary.open("rb+") as file:
        os.fsync(file.fileno())
    temporary.replace(target)


class _Copying:
    """One copy in the making, in a folder of its own."""

    def __init__(self, folder: Path, rejects: Rejects, options: CheckOptions) -> None:
        self._folder = folder
        self._rejects = rejects
        # Likeness and personal data give warnings only; they are for the check of the copy.
        self._options = replace(options, near_duplicates=False, personal_data=False)
        self.copy = folder / "copy.jsonl"
        self.rows_read = 0
        self.log = Log()
        self.lines = array("Q")
        """The line in the source of each row of the copy."""
        self._places = array("Q")
        """Where each row's original begins in `_originals`; 0 where the copy has the same bytes."""
        self._originals = folder / "originals"

    def make(self, source: Path) -> list[Problem]:
        """Write the copy; what remains to be said of it comes back."""
        with LikenessIndex(near=False, folder=self._folder) as index:
            self._mend(source, index)
            self._leave_out(index.duplicates(), self._log_duplicate)
        return self._sift()

    def _mend(self, source: Path, index: LikenessIndex) -> None:
        """Read the source once and write all rows that have no fault of their own."""
        mender = Mender(self._options)
        with self.copy.open("wb") as copy, self._originals.open("wb") as originals:
            originals.write(b"\n")  # so that no original begins at 0
            pieces_left = self._pieces(source)
            while pieces := list(islice(pieces_left, _BATCH)):
                first = len(self.lines) + 1
                digests = [
                    digest
                    for mended in mender.mend(pieces)
                    if (digest := self._write(mended, copy, originals))
                ]
                numbers = range(first, first + len(digests))
                index.add(numbers, b"".join(digests), bytes(DIGEST_BYTES * len(digests)), b"")

    def _pieces(self, source: Path) -> Iterator[Piece]:
        for piece in read_pieces(source):
            if isinstance(piece, Change):
                self.log.add([piece])
            else:
                self.rows_read += 1
                yield piece

    def _write(self, mended: Mended, copy: IO[bytes], originals: IO[bytes]) -> bytes | None:
        """Write a row where it belongs; its digest if that is the copy."""
        piece = mended.piece
        if mended.problems or isinstance(piece.row, RowError):
            self._rejects.add(piece.line, mended.problems, piece.original)
            return None
        self.log.add(piece.changes)
        copy.write(mended.written)
        self.lines.append(piece.line)
        if mended.written.rstrip() == piece.original:
            self._places.append(0)
        else:
            self._places.append(originals.tell())
            originals.write(len(piece.original).to_bytes(8, "big") + piece.original)
        return digest(piece.row)

    def _log_duplicate(self, number: int, first: int, original: bytes) -> None:
        what = f"The row was left out: line {self.lines[first - 1]} is the same."
        self.log.add([Change(self.lines[number - 1], "duplicate-row", what)])

    def _sift(self) -> list[Problem]:
        """Hold the copy against every rule, take out the rows that stay at fault, and repeat."""
        from tunekit.data.dataset import Dataset

        while True:
            problems = Dataset.from_jsonl(self.copy).check(self._options)
            at_fault: dict[int, list[Problem]] = {}
            for problem in problems:
                if problem.severity is Severity.ERROR and problem.line is not None:
                    at_fault.setdefault(problem.line, []).append(problem)
            if not at_fault:
                return problems
            self._leave_out(iter(sorted(at_fault.items())), self._reject)

    def _reject(self, number: int, problems: list[Problem], original: bytes) -> None:
        self._rejects.add(self.lines[number - 1], problems, original)

    def _leave_out(
        self, gone: Iterator[tuple[int, T]], tell: Callable[[int, T, bytes], None]
    ) -> None:
        """Write the copy anew without some rows.

        Args:
            gone: Their numbers from 1 on, in order, and why.
            tell: Is told the number, why, and the bytes of the source.
        """
        if (next_gone := next(gone, None)) is None:
            return
        less = self._folder / "less.jsonl"
        lines, places = array("Q"), array("Q")
        with (
            self.copy.open("rb") as rows,
            self._originals.open("rb") as originals,
            less.open("wb") as file,
        ):
            for number, row in enumerate(rows, start=1):
                place = self._places[number - 1]
                if next_gone is None or number != next_gone[0]:
                    file.write(row)
                    lines.append(self.lines[number - 1])
                    places.append(place)
                    continue
                original = row.rstrip(b"\n")
                if place:
                    originals.seek(place)
                    original = originals.read(int.from_bytes(originals.read(8), "big"))
                tell(number, next_gone[1], original)
                next_gone = next(gone, None)
        less.replace(self.copy)
        self.lines, self._places = lines, places

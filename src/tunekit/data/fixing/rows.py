"""From a piece of a file to a row of the copy, or to the reasons why it has no place there."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Final

from tunekit.data.checks.options import CheckOptions
from tunekit.data.checks.quick import IS_CLEAN
from tunekit.data.checks.rows import check_content, check_row
from tunekit.data.encoding import RowError, canonical, encode
from tunekit.data.fixing.length import TOO_LONG, fit
from tunekit.data.fixing.mends import MENDS
from tunekit.data.fixing.pieces import Piece
from tunekit.data.fixing.report import Change
from tunekit.data.plain import as_plain
from tunekit.data.records import (
    REQUIRED_KEYS,
    DataKind,
    Row,
    key_names,
    kind_of,
    unknown_structure,
)
from tunekit.problems import Problem, Severity


@dataclass(slots=True)
class Mended:
    """A piece and what became of it.

    Attributes:
        piece: What stood in the file; its row is mended and its changes are complete.
        problems: Why it has no place in the copy; empty when it has one.
        written: Its line of the copy.
    """

    piece: Piece
    problems: list[Problem] = field(default_factory=list)
    written: bytes = b""


class Mender:
    """Mends row after row; the first whose kind can be told decides what kind the file is of."""

    def __init__(self, options: CheckOptions) -> None:
        self._options = options
        self._kind: DataKind | None = None

    def mend(self, pieces: Sequence[Piece]) -> list[Mended]:
        """Mend some rows, in order; what they lack in sense or length is in their problems."""
        done = [self._mend(piece) for piece in pieces]
        if self._kind is not None:
            self._fit([mended for mended in done if not mended.problems], self._kind)
        return done

    def _mend(self, piece: Piece) -> Mended:
        row = piece.row
        if isinstance(row, RowError):
            return Mended(piece, [Problem(code=row.code, message=str(row), fix=row.fix)])
        kind = self._kind_for(row)
        if isinstance(kind, Problem):
            return Mended(piece, [kind])
        if _is_plain(row, kind):
            return Mended(piece, [], f"{piece.text}\n".encode())
        try:
            changes = [
                Change(piece.line, code, what) for code, mend in MENDS for what in mend(row, kind)
            ]
            problems = self._faults(row, kind)
        except RecursionError:
            return Mended(piece, [Problem(code="too-deep", message="The row is nested too deep.")])
        if changes and (repeated := _repeated_key(piece.text)):
            return Mended(piece, [repeated])
        piece.changes += changes
        written = encode(row) if changes else f"{piece.text}\n".encode()
        return Mended(piece, problems, written)

    def _kind_for(self, row: Row) -> DataKind | Problem:
        """What a row is taken for, or why it is no row of this file."""
        kind = kind_of(row)
        if self._kind is None and kind is not None:
            self._kind = self._first_kind(row, kind)
        if kind is DataKind.CHAT and self._kind is DataKind.REINFORCEMENT:
            kind = self._kind
        if self._kind is None or (
            kind is None and not any(key in row for key in REQUIRED_KEYS[self._kind])
        ):
            message, fix = unknown_structure(key_names(row))
            return Problem(code="unrecognised-structure", message=message, fix=fix)
        if kind not in (None, self._kind):
            message = f"The row is of kind `{kind}`, the file's first of kind `{self._kind}`."
            fix = "Put rows of different kinds into different files."
            return Problem(code="mixed-kinds", message=message, fix=fix)
        return self._kind

    def _first_kind(self, row: Row, kind: DataKind) -> DataKind:
        if kind is DataKind.CHAT and self._options.method == "reinforcement":
            return DataKind.REINFORCEMENT
        return kind

    def _faults(self, row: Row, kind: DataKind) -> list[Problem]:
        found = chain(check_row(row, kind), check_content(row, self._options))
        return [problem for problem in found if problem.severity is Severity.ERROR]

    def _fit(self, good: list[Mended], kind: DataKind) -> None:
        rows = [mended.piece.row for mended in good if isinstance(mended.piece.row, dict)]
        for mended, verdict in zip(good, fit(rows, kind, self._options), strict=True):
            if isinstance(verdict, Problem):
                mended.problems.append(verdict)
            elif verdict is not None:
                row, what = verdict
                mended.piece.row = row
                mended.piece.changes.append(Change(mended.piece.line, TOO_LONG, what))
                mended.problems += self._faults(row, kind)
                mended.written = encode(row)


def _is_plain(row: Row, kind: DataKind) -> bool:
    """Whether a row is of a plain shape that has no fault and leaves nothing to mend."""
    try:
        canonical(row).decode()
    except UnicodeDecodeError:
        return False
    plain = as_plain(row, kind)
    return plain is not None and IS_CLEAN[type(plain)](plain)


class _RepeatedKeyError(Exception):
    """An object names one key twice."""


def _repeated_key(text: str) -> Problem | None:
    """Writing a row anew would lose all but the last value of a key that stands there twice."""
    try:
        json.loads(text, object_pairs_hook=_once)
    except _RepeatedKeyError as error:
        message = f"The key {str(error)!r:.80} stands twice in one object."
        return Problem(code=REPEATED, message=message, fix="Keep one of the two.")
    return None


def _once(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise _RepeatedKeyError(key)
        found[key] = value
    return found


REPEATED: Final = "repeated-key"

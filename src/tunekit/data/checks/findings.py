"""All problems of a check: the first of each rule at hand, every one on request."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import IO, Final, Self

from tunekit.data.encoding import printable
from tunekit.errors import DataError
from tunekit.problems import Problem, Severity

LISTED: Final = {Severity.ERROR: 10_000, Severity.WARNING: 100}
"""How many problems of one rule are listed one by one; the rest are counted."""

IN_MEMORY: Final = 2_000
"""How many problems are held before the rest goes to a temporary file."""


class Findings:
    """Problems in the order in which they were found, in bounded memory.

    Attributes:
        counts: How many there are of each severity and code.
    """

    def __init__(self) -> None:
        self.counts: Counter[tuple[Severity, str]] = Counter()
        self._first: list[Problem] = []
        self._listed: list[Problem] = []
        self._spilled: IO[bytes] | None = None

    @property
    def ok(self) -> bool:
        """Whether there is no error."""
        return not any(severity is Severity.ERROR for severity, _ in self.counts)

    def add(self, problem: Problem) -> None:
        """Note one problem, which knows its file and line.

        Raises:
            DataError: The disk is full.
        """
        problem = _writable(problem)
        rule = problem.severity, problem.code
        self.counts[rule] += 1
        if len(self._first) < IN_MEMORY:
            self._first.append(problem)
        else:
            self._spill(problem)
        if self.counts[rule] <= LISTED[problem.severity]:
            self._listed.append(problem)

    def _spill(self, problem: Problem) -> None:
        try:
            if self._spilled is None:
                self._spilled = tempfile.TemporaryFile()  # noqa: SIM115 - `close` closes it
            self._spilled.write(problem.model_dump_json(exclude_none=True).encode() + b"\n")
        except OSError as error:
            raise DataError(
                f"The problems cannot be kept in {tempfile.gettempdir()!r}: {error.strerror}.",
                next_step="Free some space there, or set the environment variable `TMPDIR`.",
            ) from error

    def extend(self, problems: Iterable[Problem]) -> None:
        """Note problems in this order."""
        for problem in problems:
            self.add(problem)

    def every(self) -> Iterator[Problem]:
        """Give all of them, also those beyond the limit of `listed`."""
        yield from self._first
        if self._spilled is not None:
            self._spilled.seek(0)
            for line in self._spilled:
                yield Problem.model_validate_json(line)
            self._spilled.seek(0, 2)

    def listed(self) -> list[Problem]:
        """The first of each rule, by file and line, then a count for each rule that has more."""
        order: dict[str | None, int] = {}
        for problem in self._listed:
            order.setdefault(problem.file, len(order))
        found = sorted(self._listed, key=lambda problem: _place(problem, order))
        for (severity, code), count in self.counts.items():
            if (more := count - LISTED[severity]) > 0:
                message = f"{more} more problems of this kind are not listed ({count} in all)."
                file = next(problem.file for problem in self._listed if problem.code == code)
                found.append(Problem(code=code, severity=severity, message=message, file=file))
        return found

    def close(self) -> None:
        """Let go of the temporary file."""
        if self._spilled is not None:
            with suppress(OSError):  # what could not be written is not wanted any more
                self._spilled.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _writable(problem: Problem) -> Problem:
    """The same problem; halves of surrogate pairs, which a row's keys may hold, are escaped."""
    texts = {"message": problem.message, "fix": problem.fix, "path": problem.path or ""}
    if "".join(texts.values()).isascii():
        return problem
    escaped = {name: printable(text) for name, text in texts.items()}
    return problem.model_copy(update={**escaped, "path": escaped["path"] or None})


def _place(problem: Problem, order: dict[str | None, int]) -> tuple[int, float]:
    line = float("inf") if problem.line is None else problem.line
    return order[problem.file], line

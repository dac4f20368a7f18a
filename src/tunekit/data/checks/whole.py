"""The one pass over a file that finds all its faults.

Rules for a single row are in `rows` and `conversation`; here are those that need the whole file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from tunekit.data.checks.rows import check_row
from tunekit.data.encoding import digest
from tunekit.data.records import (
    REQUIRED_KEYS,
    ROW_KEYS,
    DataKind,
    Row,
    key_names,
    kind_of,
    unknown_structure,
)
from tunekit.data.sources import Entry
from tunekit.problems import Problem, Severity

if TYPE_CHECKING:
    from tunekit.data.dataset import Dataset

LISTED: Final = {Severity.ERROR: 10_000, Severity.WARNING: 100}
"""How many problems of one rule are listed one by one; the rest are counted."""

STRANGE: Final = "unrecognised-structure"

FEW_ROWS: Final = 10
"""OpenAI and Azure OpenAI refuse training files with fewer rows (fine-tuning guides, 2026)."""


class _Tally:
    """Problems in the order of lines; past a limit, those of one rule are only counted."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._problems: list[Problem] = []
        self._counts: Counter[tuple[Severity, str]] = Counter()

    def add(self, problem: Problem, line: int | None = None) -> None:
        rule = problem.severity, problem.code
        self._counts[rule] += 1
        if self._counts[rule] <= LISTED[problem.severity]:
            place = {
                "file": self._source,
                "line": problem.line or line,
                "path": problem.path or None,
            }
            self._problems.append(problem.model_copy(update=place))

    def drop(self, code: str) -> int:
        """Forget the errors of one rule and say how many there were."""
        self._problems = [problem for problem in self._problems if problem.code != code]
        return self._counts.pop((Severity.ERROR, code), 0)

    def problems(self) -> list[Problem]:
        """What was added, by line, with the count of what is not listed at the end."""
        listed = sorted(self._problems, key=lambda p: float("inf") if p.line is None else p.line)
        for (severity, code), count in self._counts.items():
            if (more := count - LISTED[severity]) > 0:
                message = f"{more} more problems of this kind are not listed ({count} in all)."
                listed.append(
                    Problem(code=code, severity=severity, message=message, file=self._source)
                )
        return listed


class _Pass:
    """What has been seen of a file so far."""

    def __init__(self, source: str) -> None:
        self.tally = _Tally(source)
        self.rows = 0
        self.kind: DataKind | None = None
        self._strange: tuple[int, str] | None = None
        self._strange_alike = True
        self._seen: dict[bytes, int] = {}
        self._unknown_keys: dict[str, tuple[int, int]] = {}

    def see(self, line: int, content: Row | Problem) -> None:
        if isinstance(content, Problem):
            self.tally.add(content, line)
            self.rows += content.severity is Severity.ERROR
            return
        self.rows += 1
        self._structure(line, content)
        self._duplicate(line, content)

    def _structure(self, line: int, row: Row) -> None:
        kind = kind_of(row)
        self.kind = self.kind or kind
        if self.kind is None or (
            kind is None and not any(key in row for key in REQUIRED_KEYS[self.kind])
        ):
            self._unrecognised(line, key_names(row))
            return
        if kind not in (self.kind, None):
            self.tally.add(
                Problem(
                    code="mixed-kinds",
                    message=f"The row is of kind `{kind}`, the file's first of kind `{self.kind}`.",
                    fix="Put rows of different kinds into different files.",
                ),
                line,
            )
        for key in row:
            if key not in ROW_KEYS[kind or self.kind]:
                first, count = self._unknown_keys.get(key, (line, 0))
                self._unknown_keys[key] = first, count + 1
        for problem in check_row(row, kind or self.kind):
            self.tally.add(problem, line)

    def _duplicate(self, line: int, row: Row) -> None:
        first = self._seen.setdefault(digest(row), line)
        if first != line:
            self.tally.add(
                Problem(
                    code="duplicate-row",
                    severity=Severity.WARNING,
                    message=f"The row is the same as that of line {first}.",
                    fix="Remove it, unless it should count twice.",
                ),
                line,
            )

    def finish(self) -> list[Problem]:
        self._gather_unrecognised()
        self._report_unknown_keys()
        if self.rows == 0:
            self.tally.add(
                Problem(
                    code="no-rows", message="There are no rows.", fix="Check that it is this file."
                )
            )
        elif self.rows < FEW_ROWS:
            self.tally.add(
                Problem(
                    code="few-rows",
                    severity=Severity.WARNING,
                    message="There is only one row."
                    if self.rows == 1
                    else f"There are only {self.rows} rows.",
                    fix=f"Hosted services refuse training files with fewer than {FEW_ROWS} rows.",
                )
            )
        return self.tally.problems()

    def _unrecognised(self, line: int, keys: str) -> None:
        first, known_keys = self._strange or (line, keys)
        self._strange = min(first, line), known_keys
        self._strange_alike = self._strange_alike and keys == known_keys
        message, fix = unknown_structure(keys)
        self.tally.add(Problem(code=STRANGE, message=message, fix=fix), line)

    def _gather_unrecognised(self) -> None:
        """Where all rows are strange in the same way, nothing was mapped: say so once."""
        if self.kind is None and self._strange and self._strange_alike:
            count = self.tally.drop(STRANGE)
            line, keys = self._strange
            message, fix = unknown_structure(keys)
            message = f"{message} All {count} rows are like this." if count > 1 else message
            self.tally.add(Problem(code=STRANGE, message=message, fix=fix), line)

    def _report_unknown_keys(self) -> None:
        for key, (first, count) in self._unknown_keys.items():
            rows = "1 row has" if count == 1 else f"{count} rows have"
            self.tally.add(
                Problem(
                    code="unknown-row-key",
                    severity=Severity.WARNING,
                    message=f"{rows} a key {key!r:.80}, which trains nothing.",
                    fix="Remove it with `.map(fn)`, unless a grader reads it.",
                ),
                first,
            )


def check_entries(entries: Iterable[Entry], source: str) -> list[Problem]:
    """Find every fault of these rows in one pass; see `Dataset.check`."""
    seen = _Pass(source)
    for line, content in entries:
        seen.see(line, content)
    return seen.finish()


def check_leakage(train: Dataset, validation: Dataset) -> list[Problem]:
    """Find the validation rows that are also in the training data, exactly.

    They are warnings: the tuned model is as good, and nothing fails, but the validation loss looks
    better than it is, so that early stopping and comparisons mislead. Rows that cannot be read are
    left to `Dataset.check`.
    """
    lines: dict[bytes, int] = {}
    for line, content in train.entries():
        if not isinstance(content, Problem):
            lines.setdefault(digest(content), line)
    tally = _Tally(validation.source)
    for line, content in validation.entries():
        if isinstance(content, Problem) or (first := lines.get(digest(content))) is None:
            continue
        tally.add(
            Problem(
                code="validation-row-in-train",
                severity=Severity.WARNING,
                message=f"The row is also in the training data ({train.source}:{first}).",
                fix="Take it out of one of the two; `split` never puts a row into both.",
            ),
            line,
        )
    return tally.problems()

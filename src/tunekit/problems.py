"""What is wrong with a request, found before anything is sent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum

from pydantic import BaseModel, ConfigDict
from typing_extensions import override

from tunekit.errors import PreflightError


class Severity(StrEnum):
    """`error` stops a launch, `warning` is shown and recorded."""

    ERROR = "error"
    WARNING = "warning"


class Problem(BaseModel):
    """One fault: what it is, where it stands, and how to mend it.

    Attributes:
        code: Stable, kebab-case name of the rule, for example `no-assistant-message`.
        severity: Whether the launch is refused.
        message: What is wrong, in one sentence.
        fix: What to do about it, in one sentence; empty when the message says it.
        file: The data file, when the fault is in data.
        line: 1-based line (or record) number in `file`.
        path: Where in the line or in the spec, written like `messages[2].content`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: str
    message: str
    severity: Severity = Severity.ERROR
    fix: str = ""
    file: str | None = None
    line: int | None = None
    path: str | None = None

    @property
    def where(self) -> str:
        """`file:line path`, as far as it is known."""
        place = self.file or ""
        if self.line is not None:
            place += f":{self.line}" if place else f"line {self.line}"
        return " ".join(part for part in (place, self.path) if part)

    @override
    def __str__(self) -> str:
        where = f"{self.where}: " if self.where else ""
        fix = f" {self.fix}" if self.fix else ""
        return f"{where}{self.message}{fix} [{self.code}]"


class Report(BaseModel):
    """Every problem that was found in one pass.

    Iterating gives the problems, errors first; `bool(report)` says whether a launch may go on.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    problems: tuple[Problem, ...] = ()

    @classmethod
    def of(cls, *groups: Iterable[Problem]) -> Report:
        """Gather problems, errors first and otherwise in the order in which they were found."""
        found = [problem for group in groups for problem in group]
        return cls(problems=tuple(sorted(found, key=lambda p: p.severity is not Severity.ERROR)))

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The problems that stop a launch."""
        return tuple(p for p in self.problems if p.severity is Severity.ERROR)

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """The problems that are only shown and recorded."""
        return tuple(p for p in self.problems if p.severity is Severity.WARNING)

    @property
    def ok(self) -> bool:
        """True when nothing stops a launch."""
        return not self.errors

    def raise_on_error(self) -> Report:
        """Return this report, or raise when it holds an error.

        Raises:
            PreflightError: With every problem in `problems`.
        """
        if not self.ok:
            raise PreflightError.of(self.problems)
        return self

    @override
    def __iter__(self) -> Iterator[Problem]:  # type: ignore[override]
        return iter(self.problems)

    def __len__(self) -> int:
        return len(self.problems)

    def __bool__(self) -> bool:
        return self.ok

    @override
    def __str__(self) -> str:
        if not self.problems:
            return "No problem found."
        return "\n".join(f"{p.severity.value}: {p}" for p in self.problems)

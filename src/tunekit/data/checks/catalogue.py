"""The register of rules, from which the documentation's table is made.

A rule is one function with the decorator `rule`, which names the codes that it may give. The first
sentence of its docstring is what the table says about it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final, TypeVar

from tunekit.problems import Problem, Severity


@dataclass(frozen=True, slots=True)
class Rule:
    """What the documentation says of a rule.

    Attributes:
        group: Under which heading the rule stands; one of `GROUPS`.
        about: What must hold, in one sentence.
        errors: Codes of faults that stop a launch.
        warnings: Codes of faults that are only shown.
    """

    group: str
    about: str
    errors: tuple[str, ...]
    warnings: tuple[str, ...]


GROUPS: Final = (
    "file",
    "structure",
    "messages",
    "tools",
    "images",
    "learning",
    "content",
    "limits",
    "likeness",
)
"""Headings of the table, in its order."""

RULES: Final[list[Rule]] = []

F = TypeVar("F", bound=Callable[..., Any] | type)


def rule(
    group: str, *, errors: tuple[str, ...] = (), warnings: tuple[str, ...] = ()
) -> Callable[[F], F]:
    """Register a function as a rule that gives these codes."""
    if group not in GROUPS:
        raise ValueError(f"{group!r} is no group of rules")

    def register(function: F) -> F:
        about = (function.__doc__ or "").strip().split("\n\n")[0]
        RULES.append(Rule(group, " ".join(about.split()), errors, warnings))
        return function

    return register


def all_rules() -> list[Rule]:
    """Every rule, in the order of the groups."""
    import_module("tunekit.data.checks")  # and with it all modules with rules
    return sorted(RULES, key=lambda one: GROUPS.index(one.group))


def error(code: str, path: str, message: str, fix: str) -> Problem:
    """A fault that stops a launch; its path is within the row."""
    return Problem(code=code, path=path, message=message, fix=fix)


def warning(code: str, path: str, message: str, fix: str) -> Problem:
    """A fault that is only shown; its path is within the row."""
    return Problem(code=code, path=path, message=message, fix=fix, severity=Severity.WARNING)

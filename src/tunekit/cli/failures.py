"""Errors and problems, written for people or for programs."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from tunekit.cli.exits import exit_code
from tunekit.cli.words import paragraphs, wrapped

if TYPE_CHECKING:
    from tunekit.cli.shell import Shell
    from tunekit.errors import TunekitError
    from tunekit.problems import Problem

SHOWN = 20
"""How many problems are shown when nobody asked for all of them."""


def show_failure(shell: Shell, error: TunekitError) -> int:
    """Say what happened and what to do next, on stderr; with `--json` also as a document.

    Returns:
        The exit code.
    """
    code = exit_code(error)
    if shell.shared.debug:
        shell.err.file.write("".join(traceback.format_exception(error)))
    problems: Sequence[Problem] = getattr(error, "problems", ())
    if shell.as_json:
        shell.emit({"error": _document(error, int(code), problems)})
    if problems:
        headline = error.message.splitlines()[0]
        show_problems(shell, problems, headline=headline, to_stderr=True)
    else:
        first, *rest = error.message.splitlines() or [""]
        _print_labelled(shell.err, "error: ", "bold red", first)
        for line in rest:  # lists keep their own indent, which stands below the first line
            indent = len("error: ") + len(line) - len(line.lstrip())
            said = paragraphs(line, shell.err.width, indent=indent)
            _print_lines(shell.err, [" " * indent + said])
    if error.next_step:
        _print_labelled(shell.err, "next:  ", "bold", error.next_step)
    return int(code)


def _print_labelled(console: Console, label: str, style: str, text: str) -> None:
    first, *rest = wrapped(text, console.width, first=len(label), rest=len(label)) or [""]
    console.print(Text.assemble((label, style), first), soft_wrap=True)
    _print_lines(console, rest)


def _print_lines(console: Console, lines: Sequence[str]) -> None:
    for line in lines:
        console.print(Text(line), soft_wrap=True)


def _document(error: TunekitError, code: int, problems: Sequence[Problem]) -> dict[str, Any]:
    document: dict[str, Any] = {
        "type": type(error).__name__,
        "message": error.message,
        "next_step": error.next_step,
        "exit_code": code,
    }
    if problems:
        document["problems"] = [problem.model_dump(mode="json") for problem in problems]
    snapshot = getattr(error, "snapshot", None)
    if snapshot is not None:
        document["snapshot"] = snapshot.model_dump(mode="json", exclude={"raw"})
    return document


def show_problems(
    shell: Shell,
    problems: Sequence[Problem],
    *,
    headline: str = "",
    limit: int | None = SHOWN,
    to_stderr: bool = False,
) -> None:
    """List problems, each with its place, what is wrong, how to mend it and the rule's name."""
    console = shell.err if to_stderr else shell.tell
    if headline:
        _print_labelled(console, "error: ", "bold red", headline)
    shown = problems if limit is None else problems[:limit]
    for problem in shown:
        show_problem(console, problem)
    left = len(problems) - len(shown)
    if left:
        console.print(Text(f"… and {left} more; `tunekit check --all` or `--json` shows them."))


def show_problem(console: Console, problem: Problem) -> None:
    """Print one problem: its place, what is wrong, how to mend it and the rule's name."""
    mark, style = ("✗", "red") if problem.severity.value == "error" else ("!", "yellow")
    where = problem.where or problem.severity.value
    console.print(
        Text.assemble((f"{mark} ", style), (where, "bold"), (f"  [{problem.code}]", "dim")),
        soft_wrap=True,
    )
    said = f"    {problem.message} {problem.fix}".rstrip()
    _print_lines(console, wrapped(said, console.width, rest=4))

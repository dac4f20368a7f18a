"""`check`: every fault, before anything is sent."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from tunekit.cli.exits import Exit
from tunekit.cli.request import RequestFlags, read_request
from tunekit.cli.shell import Shell, command, option_group

if TYPE_CHECKING:
    from tunekit.data.checks import CheckOptions
    from tunekit.data.fixing import FixReport
    from tunekit.data.tokens.counting import TokenCounter
    from tunekit.problems import Problem

SHOWN = 60
"""How many problems are shown when nobody asked for all of them; of each rule at least one."""

SHOWN_OF_A_RULE = 3
SHOWN_LINES = 8
SHOWN_CHANGES = 10

_DATA = "Data"


@option_group
@dataclass(frozen=True)
class DataFlags:
    """The options that say how closely data files are looked at."""

    over_length: Annotated[
        str,
        typer.Option(
            metavar="error|truncate|drop",
            help="What is to happen to rows that are longer than the model takes.",
            rich_help_panel=_DATA,
        ),
    ] = "error"
    near: Annotated[
        bool,
        typer.Option("--near/--no-near", help="Look for nearly equal rows.", rich_help_panel=_DATA),
    ] = True
    personal: Annotated[
        bool,
        typer.Option(
            "--personal/--no-personal",
            help="Look for secrets and personal data.",
            rich_help_panel=_DATA,
        ),
    ] = True
    processes: Annotated[
        int | None,
        typer.Option(min=1, help="How many processes read a big file.", rich_help_panel=_DATA),
    ] = None


@command
def check(
    shell: Shell,
    request: RequestFlags,
    data: DataFlags,
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="FILE",
            help="A job file; or training data and, after it, validation and test data.",
            show_default=False,
        ),
    ] = None,
    fix: Annotated[
        bool, typer.Option("--fix", help="Write a mended copy of each data file and check that.")
    ] = False,
    sarif: Annotated[
        bool, typer.Option("--sarif", help="One SARIF result a line on stdout, for CI.")
    ] = False,
    every: Annotated[bool, typer.Option("--all", help="Show every problem.")] = False,
) -> None:
    """Find every fault before anything is sent.

    With a job file or `--model` the whole request is checked: data, provider, dates and budget.
    With data files alone the data is checked, and no provider is needed; a hosted service's
    `--provider`, `--model` and `--method` then add what it is known to accept.
    """
    if sarif and shell.as_json:
        raise typer.BadParameter("It does not go with `--json`.", param_hint="--sarif")
    if sarif:
        shell.tell = shell.err
    paths = files or []
    job_file = _job_file(paths)
    if job_file is not None or not paths or _asks_provider(shell, request):
        if fix:
            raise typer.BadParameter("It mends data files, not requests.", param_hint="--fix")
        if data != DataFlags():
            raise typer.BadParameter(
                "They go with data files alone; a whole request is looked at in full, and what "
                "happens to long rows is an option of the provider.",
                param_hint="--over-length, --no-near, --no-personal, --processes",
            )
        outcome = _check_request(shell, request, job_file, paths)
        _say(shell, outcome, sarif=sarif, every=every)
    else:
        options, problems = _options(shell, request, data)
        reports = []
        if fix:
            reports = _fix(shell, paths, options)
            paths = [report.copy for report in reports]
        outcome = _check_files(shell, paths, options, problems)
        with closing(outcome):
            _say(shell, outcome, sarif=sarif, every=every, fixed=reports)
    if not outcome.ok:
        raise typer.Exit(Exit.REFUSED)


def _job_file(files: list[Path]) -> Path | None:
    job_files = [file for file in files if file.suffix.lower() == ".toml"]
    if not job_files:
        return None
    if len(files) > 1:
        raise typer.BadParameter("A job file stands alone.", param_hint="FILE")
    return job_files[0]


@dataclass(frozen=True)
class _Outcome:
    """What a check found.

    Attributes:
        ok: Whether there is no error.
        files: What the data is, a line each.
        listed: The problems that stand for all, in the order of the lines.
        every: Gives all of them.
        counts: How many there are of each severity and code.
        close: Lets go of what is kept on disk.
    """

    ok: bool
    files: list[dict[str, Any]]
    listed: Sequence[Problem]
    every: Callable[[], Iterable[Problem]]
    counts: Counter[tuple[str, str]]
    close: Callable[[], None] = lambda: None


def _asks_provider(shell: Shell, request: RequestFlags) -> bool:
    """Whether a provider can be asked about the request, and not only published figures."""
    from tunekit.data.limits import published_limits
    from tunekit.providers import registry

    name = shell.shared.provider
    if name is not None and name not in registry.available():
        if published_limits(name) is not None:
            return False
        _ = shell.client  # refuses a name that nobody knows
    named = shell.shared.profile or (None if published_limits(name or "") else name)
    if named is not None and request.model is None:
        raise typer.BadParameter(
            f"What {named!r} has to say of the data depends on the model.", param_hint="--model"
        )
    return request.model is not None


def _check_request(
    shell: Shell, request: RequestFlags, job_file: Path | None, files: list[Path]
) -> _Outcome:
    if job_file is None and files:
        if request.train is not None or len(files) > 2:
            raise typer.BadParameter(
                "Give training data and, after it, validation data, in one way.", param_hint="FILE"
            )
        validation = files[1] if len(files) == 2 else request.validation
        request = replace(request, train=files[0], validation=validation)
    asked = read_request(job_file, request)
    report = shell.client.check(asked.spec, asked.train, asked.validation)
    parts = [asked.train] if asked.validation is None else [asked.train, asked.validation]
    described = [{"source": part.source, "rows": len(part)} for part in parts]
    counts = Counter((problem.severity.value, problem.code) for problem in report)
    return _Outcome(report.ok, described, report.problems, lambda: report.problems, counts)


def _options(
    shell: Shell, request: RequestFlags, data: DataFlags
) -> tuple[CheckOptions, list[Problem]]:
    """What data files are held against when no provider is asked, and what that leaves out."""
    from tunekit.data.checks import CheckOptions, MethodName, OverLength
    from tunekit.data.limits import DataLimits, published_limits

    for option, value, allowed in (
        ("--method", request.method, get_args(MethodName)),
        ("--over-length", data.over_length, get_args(OverLength)),
    ):
        if value is not None and value not in allowed:
            message = f"{value!r} is none of {', '.join(allowed)}."
            raise typer.BadParameter(message, param_hint=option)
    if replace(request, model=None, method=None, epochs=None).given:
        raise typer.BadParameter(
            "Beside data files only `--model`, `--method` and `--epochs` say how they will be "
            "used. A whole request has a provider and a model.",
            param_hint="FILE",
        )
    epochs = request.epochs
    if epochs not in (None, "auto") and not re.fullmatch("[1-9][0-9]{0,8}", epochs):
        raise typer.BadParameter(f"{epochs!r} is no number and not `auto`.", param_hint="--epochs")
    service, model = shell.shared.provider, request.model
    limits = published_limits(service, model=model, method=request.method) if service else None
    counter, problems = _counter(model, request.method) if model else (None, [])
    options: dict[str, Any] = {"method": request.method, "over_length": data.over_length}
    return CheckOptions(
        **options,
        limits=limits or DataLimits(),
        counter=counter,
        n_epochs=None if epochs in (None, "auto") else int(epochs),
        near_duplicates=data.near,
        personal_data=data.personal,
        processes=data.processes,
    ), problems


def _counter(model: str, method: str | None) -> tuple[TokenCounter | None, list[Problem]]:
    """What counts the model's tokens, or the warning that nothing does."""
    from tunekit.data.tokens.hosted import hosted_counter
    from tunekit.errors import TunekitError
    from tunekit.problems import Problem, Severity

    try:
        return hosted_counter(model, method=method), []
    except TunekitError as error:
        return None, [
            Problem(
                code="tokens-not-counted",
                severity=Severity.WARNING,
                message=f"The rows' lengths were not checked: {error.message}",
                fix=error.next_step,
            )
        ]


def _check_files(
    shell: Shell, files: list[Path], options: CheckOptions, problems: list[Problem]
) -> _Outcome:
    from tunekit.cli.datafiles import open_file
    from tunekit.cli.progress_bar import progress_bar
    from tunekit.data.checks import Role, examine

    roles: tuple[Role, ...] = get_args(Role)
    if len(files) > len(roles):
        raise typer.BadParameter(
            "At most three files go together: training, validation and test data.",
            param_hint="FILE",
        )
    parts = {role: open_file(file) for role, file in zip(roles, files, strict=False)}
    with progress_bar(shell.err, "Checking") as on_progress:
        found = examine(parts, options, on_progress=on_progress)
    found.extend(problems)
    counts = Counter({(severity.value, code): n for (severity, code), n in found.counts.items()})
    described = [part.describe() for part in found.parts]
    return _Outcome(found.ok, described, found.listed(), found.every, counts, found.close)


def _fix(shell: Shell, files: list[Path], options: CheckOptions) -> list[FixReport]:
    """Write a mended copy of each file."""
    from tunekit.data.fixing import fix_file

    copies = {file.with_suffix(".fixed.jsonl"): file for file in files}
    if len(copies) < len(files):
        raise typer.BadParameter(
            "Two of the files would be written to the same copy.", param_hint="--fix"
        )
    reports = [fix_file(file, copy, options=options) for copy, file in copies.items()]
    for report in reports if not shell.as_json else []:
        shell.say(f"{report.source}: mended copy")
        shell.say(*(f"  {line}" for line in str(report).splitlines()))
        for change in report.changes[:SHOWN_CHANGES]:
            shell.say(f"    {change}")
        if (more := sum(report.counts.values()) - SHOWN_CHANGES) > 0:
            shell.say(f"    … and {more:,} more changes; `--json` lists them.")
    return reports


def _say(
    shell: Shell,
    outcome: _Outcome,
    *,
    sarif: bool,
    every: bool,
    fixed: Sequence[FixReport] = (),
) -> None:
    if shell.as_json:
        _emit_document(shell, outcome, fixed)
        return
    if sarif:
        _emit_sarif(shell, outcome.every())
    _show(shell, outcome, every=every)


def _emit_sarif(shell: Shell, problems: Iterable[Problem]) -> None:
    from tunekit.data.checks.sarif import lines

    for line in lines(problems):
        shell.out.file.write(line + "\n")


def _emit_document(shell: Shell, outcome: _Outcome, fixed: Sequence[FixReport]) -> None:
    """Write the document piece by piece: it may hold a problem for each of a million rows."""
    head: dict[str, Any] = {"ok": outcome.ok, "files": outcome.files}
    if fixed:
        head["fixed"] = [_described(report) for report in fixed]
    out = shell.out.file
    out.write(json.dumps(head, default=str)[:-1] + ', "problems": [')
    for number, problem in enumerate(outcome.every()):
        out.write((", " if number else "") + json.dumps(problem.model_dump(mode="json")))
    out.write("]}\n")


def _described(report: FixReport) -> dict[str, Any]:
    return {
        "source": report.source,
        "copy": report.copy,
        "rows_read": report.rows_read,
        "rows_written": report.rows_written,
        "rejected": report.rejected,
        "rows_rejected": report.rows_rejected,
        "reasons": dict(report.reasons),
        "counts": dict(report.counts),
        "changes": [asdict(change) for change in report.changes],
    }


def _show(shell: Shell, outcome: _Outcome, *, every: bool) -> None:
    from rich.text import Text

    for file in outcome.files:
        shell.say(_line_of(file))
    if outcome.listed:
        shell.say("")
        _show_problems(shell, outcome, every=every)
        shell.say("")
    total: Counter[str] = Counter()
    for (severity, _), number in outcome.counts.items():
        total[severity] += number
    words = ", ".join(f"{n:,} {word}{'' if n == 1 else 's'}" for word, n in sorted(total.items()))
    if outcome.ok:
        shell.say(Text(f"Ready to go{f', with {words}' if words else ''}.", style="green"))
    else:
        shell.say(Text(f"Not ready: {words}. Nothing was sent.", style="red"))


def _show_problems(shell: Shell, outcome: _Outcome, *, every: bool) -> None:
    """Show the problems rule by rule, errors first, and of each rule the first few."""
    from tunekit.cli.failures import show_problem

    if every:
        for problem in outcome.every():
            show_problem(shell.tell, problem)
        return
    by_rule: dict[tuple[str, str], list[Problem]] = {}
    for problem in outcome.listed:
        by_rule.setdefault((problem.severity.value, problem.code), []).append(problem)
    shown, hidden = SHOWN, False
    for rule in sorted(by_rule, key=lambda rule: rule[0] != "error"):
        problems, count = by_rule[rule], outcome.counts[rule]
        first = problems[: max(1, min(SHOWN_OF_A_RULE, shown))]
        for problem in first:
            show_problem(shell.tell, problem)
        shown -= len(first)
        if more := count - len(first):
            hidden = True
            lines = [str(one.line) for one in problems[len(first) :] if one.line is not None]
            where = f", on lines {', '.join(lines[:SHOWN_LINES])}" if lines else ""
            where += " …" if len(lines) > SHOWN_LINES else ""
            shell.say(f"    … and {more:,} more of this kind{where}")
    if hidden:
        shell.say("    `--all` shows every one, `--json` and `--sarif` are for programs.")


def _line_of(file: dict[str, Any]) -> str:
    from tunekit._text import show_bytes

    words = [f"{file['rows']:,} rows"]
    if file.get("kind"):
        words.append(file["kind"].replace("_", " "))
    if file.get("bytes") is not None:
        words.append(show_bytes(file["bytes"]))
    return f"{file['source']}: {', '.join(words)}"

"""`jobs`, `events`, `plot`, `cancel`, `pause` and `resume`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tunekit.cli.shell import Shell, command

if TYPE_CHECKING:
    from rich.text import Text

    from tunekit.jobs import Job
    from tunekit.ledger import Run
    from tunekit.providers.base import JobEvent

JobName = Annotated[str, typer.Argument(metavar="JOB", help="Run name or job id.")]


@command
def jobs(
    shell: Shell,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="Jobs at most.")] = 20,
    every: Annotated[
        bool, typer.Option("--all", help="The runs of every profile and account, as written down.")
    ] = False,
    recover: Annotated[
        bool, typer.Option("--recover", help="First settle runs that were interrupted.")
    ] = False,
) -> None:
    """List jobs, newest first.

    `--all` lists what the ledger knows of every account, and asks no provider.
    """
    settled = shell.client.recover() if recover else []
    for line in settled:
        found = f"its job is {line.job_id}" if line.job_id else "it has no job; run it again"
        shell.warn(f"Run {line.name} is settled: {found}.")
    if every:
        _list_runs(shell, limit)
    else:
        _list_jobs(shell, limit)


def _list_jobs(shell: Shell, limit: int) -> None:
    from tunekit.cli.launch import describe

    found = list(shell.client.jobs(limit=limit))
    losses = [_loss_of(shell, job) for job in found]
    if shell.as_json:
        shell.emit(
            {
                "jobs": [
                    {**describe(job), "last_loss": loss}
                    for job, loss in zip(found, losses, strict=True)
                ]
            }
        )
    elif not found:
        shell.say("There are no jobs yet.")
    else:
        shell.say(*_job_lines(found, losses, width=shell.out.width))


def _loss_of(shell: Shell, job: Job) -> float | None:
    """The last training loss; None, with a word on stderr, where it cannot be had."""
    from tunekit.capabilities import Capability
    from tunekit.errors import ProviderError

    if not shell.client.provider.capabilities[Capability.METRICS]:
        return None
    try:
        rows = job.metrics()
    except ProviderError as error:
        shell.warn(f"The figures of job {job.id} could not be read: {error}")
        return None
    losses = [row["train_loss"] for row in rows if isinstance(row.get("train_loss"), int | float)]
    return float(losses[-1]) if losses else None


def _job_lines(found: list[Job], losses: list[float | None], *, width: int) -> list[Text]:
    """Two lines a job, so that both of its names stand whole; only the model gives way."""
    from rich.text import Text

    from tunekit.cli.words import UNKNOWN, ago, columns, figure, middle, status_text

    room = max(12, width - 28 - max(len(job.id) for job in found))
    first: list[list[str | Text]] = []
    second: list[list[str | Text]] = []
    for job, loss in zip(found, losses, strict=True):
        snapshot = job.snapshot
        first.append(
            [
                Text(job.run or "(not started from here)", style="bold"),
                status_text(snapshot.status.value),
                ago(snapshot.created_at),
            ]
        )
        step = UNKNOWN
        if snapshot.progress is not None:
            total = snapshot.progress.total_steps
            step = f"{snapshot.progress.step}/{'?' if total is None else total}"
        second.append(["  " + snapshot.id, middle(snapshot.model, room), step, figure(loss)])
    heads: list[str | Text] = [Text(word, style="dim") for word in ("RUN", "STATUS", "CREATED")]
    heads_below: list[str | Text] = [
        Text(word, style="dim") for word in ("  JOB", "MODEL", "STEP", "LOSS")
    ]
    above, below = columns([heads, *first]), columns([heads_below, *second])
    return [line for pair in zip(above, below, strict=True) for line in pair]


def _list_runs(shell: Shell, limit: int) -> None:
    from tunekit.ledger import Ledger

    ledger = Ledger(shell.config.home.value / "ledger.sqlite3")
    runs = ledger.runs()[:limit] if ledger.path.exists() else []
    if shell.as_json:
        keep = {"name", "account", "provider", "profile", "state", "job_id", "detail"}
        keep |= {"created_at", "updated_at", "tag"}
        shell.emit({"runs": [line.model_dump(mode="json", include=keep) for line in runs]})
    elif not runs:
        shell.say(f"The ledger {str(ledger.path)!r} holds no run yet.")
    else:
        shell.say(*_run_lines(runs))


def _run_lines(runs: list[Run]) -> list[Text]:
    from rich.text import Text

    from tunekit.cli.words import UNKNOWN, ago, columns, status_text

    above = columns(
        [
            [Text(run.name, style="bold"), status_text(run.state.value), ago(run.created_at)]
            for run in runs
        ]
    )
    lines = []
    for run, line in zip(runs, above, strict=True):
        where = f"profile {run.profile}" if run.profile else f"provider {run.provider}"
        lines += [line, Text(f"  job {run.job_id or UNKNOWN}  {where}")]
        lines.append(Text(f"  {run.account}", style="dim"))
        if run.detail:
            lines.append(Text(f"  {run.detail}", style="red"))
    return lines


@command
def events(
    shell: Shell,
    job: JobName,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on until the job is over or paused.")
    ] = False,
    tail: Annotated[
        int | None, typer.Option("--tail", min=1, help="Only the last N of what is there.")
    ] = None,
) -> None:
    """Show what happened in a job, oldest first.

    `--json` gives one event a line. With `--follow` the exit code says how the job ended.
    """
    from tunekit.cli.launch import ways_back
    from tunekit.engine.waiting import job_is_over

    if follow and tail is not None:
        raise typer.BadParameter("It does not go with `--follow`.", param_hint="--tail")
    handle = shell.client.job(job)
    shell.way_back = lambda: ["The job goes on.", *ways_back(shell, job)] if follow else []
    stream = handle.events(follow=follow)
    found = list(stream)[-tail:] if tail is not None else stream
    for event in found:
        if shell.as_json:
            shell.emit(event.model_dump(mode="json"))
        else:
            shell.say(_event_line(event, shell.out.width if shell.out.is_terminal else None))
    if follow:
        job_is_over(handle.refresh().snapshot)


def _event_line(event: JobEvent, width: int | None) -> Text:
    """One event; wrapped where a width is given, on a line of its own for programs."""
    from rich.text import Text

    from tunekit.cli.words import paragraphs

    style = {"warning": "yellow", "error": "red"}.get(event.level, "")
    mark = "" if event.level == "info" else f"{event.level}: "
    moment = f"{event.created_at.astimezone():%H:%M:%S}"
    text = mark + event.message
    if width is not None:
        text = paragraphs(text, width, indent=len(moment) + 2)
    return Text.assemble((moment, "dim"), "  ", (text, style))


@command
def plot(
    shell: Shell,
    job: JobName,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="A picture file (.png, .svg, .pdf); needs matplotlib."),
    ] = None,
) -> None:
    """Draw loss, validation loss, learning rate and accuracy by step."""
    from tunekit.cli.charts import chart, curves, picture
    from tunekit.errors import JobError

    handle = shell.client.job(job)
    found = curves(handle.metrics())
    if not found:
        raise JobError(
            f"Job {job!r} has no figures to draw; it is {handle.status.value}.",
            snapshot=handle.snapshot,
            next_step="" if handle.status.is_terminal else "Try again once it trains.",
        )
    title = handle.run or handle.id
    if out is not None:
        picture(found, out, title=title, model=handle.snapshot.model)
    if shell.as_json:
        shell.emit(
            {
                "job": handle.id,
                "picture": None if out is None else str(out),
                "curves": {curve.label: curve.points for curve in found},
            }
        )
    elif out is not None:
        shell.say(f"Drawn to {out}")
    else:
        shell.say(title)
        for curve in found:
            shell.say(*chart(curve, width=min(80, shell.out.width)))


def _asked(shell: Shell, job: Job, called: str) -> None:
    from tunekit.cli.launch import describe

    if shell.as_json:
        shell.emit(describe(job))
    else:
        if job.snapshot.is_terminal:
            shell.say(f"Job {job.id} is over: {job.status.value}.")
        else:
            shell.say(f"Job {job.id} is {job.status.value}.")
            shell.say(f"Watch it:  {shell.command_line('events', called, '--follow')}")


@command
def cancel(shell: Shell, job: JobName) -> None:
    """Ask for a job to be cancelled; harmless when it is over."""
    _asked(shell, shell.client.job(job).cancel(), job)


@command
def pause(shell: Shell, job: JobName) -> None:
    """Ask a job to save a checkpoint and stop, where the provider can do that."""
    _asked(shell, shell.client.job(job).pause(), job)


@command
def resume(shell: Shell, job: JobName) -> None:
    """Let a paused job go on from its checkpoint."""
    _asked(shell, shell.client.job(job).resume(), job)

"""`estimate` and `run`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tunekit.cli.request import RequestFlags, read_request
from tunekit.cli.shell import Shell, command, public

if TYPE_CHECKING:
    from tunekit.jobs import Job
    from tunekit.providers.base import Estimate

JobFile = Annotated[
    Path | None,
    typer.Argument(metavar="JOB.toml", help="A job file.", show_default=False),
]


@command
def estimate(shell: Shell, request: RequestFlags, job_file: JobFile = None) -> None:
    """Say what a job would take: tokens, steps, time, memory, money."""
    asked = read_request(job_file, request)
    found = shell.client.estimate(asked.spec, asked.train, asked.validation)
    if shell.as_json:
        shell.emit(found.model_dump(mode="json"))
    else:
        _show_estimate(shell, found)


def _show_estimate(shell: Shell, found: Estimate) -> None:
    from tunekit._text import show_bytes, show_duration
    from tunekit.cli.words import money, pairs, wrapped

    def shown(value: Any, form: Any = "{:,}".format) -> str:
        return "not known" if value is None else str(form(value))

    def time_range(seconds: tuple[float, float]) -> str:
        return " to ".join(dict.fromkeys(show_duration(value) for value in seconds))

    shell.say(
        *pairs(
            [
                ("tokens in the file", shown(found.tokens)),
                ("tokens trained on", shown(found.trained_tokens)),
                ("steps", shown(found.steps)),
                ("time", shown(found.seconds, time_range)),
                ("memory", shown(found.memory_bytes, show_bytes)),
                ("disk", shown(found.disk_bytes, show_bytes)),
                ("price", shown(found.usd, money)),
            ]
        )
    )
    for note in found.notes:
        shell.say(*wrapped(f"  - {note}", shell.tell.width, rest=4), style="dim")


@command
def run(
    shell: Shell,
    request: RequestFlags,
    job_file: JobFile = None,
    name: Annotated[
        str | None,
        typer.Option("--run", help="Name of the run; one name is at most one job."),
    ] = None,
    follow: Annotated[
        bool,
        typer.Option("--follow/--detach", help="Watch the job to its end, or return at once."),
    ] = True,
    timeout: Annotated[
        str | None, typer.Option(metavar="15m|2h", help="Stop watching after this long.")
    ] = None,
) -> None:
    """Start a fine-tune, or come back to it.

    The same request, or the same `--run` name, is at most one job, however often it is run.

    A job file is TOML with the fields of a spec: `model`, `suffix`, `seed`, and the tables
    `method`, `adapter`, `metadata` and `options.<provider>`. Its table `data` names `train` and
    either `validation` or a `split` such as 0.9, 0.1; paths start from the file's folder. A table
    `data.columns` makes messages of columns, as in `user = "{question}"`. Options given here win
    over the file.
    """
    from tunekit._text import parse_duration
    from tunekit.cli.failures import show_problems

    seconds = parse_duration(timeout)
    asked = read_request(job_file, request)
    shell.way_back = lambda: [
        "If the job was being sent, run the same command again: it finds the job that exists.",
    ]
    job = shell.client.fine_tune(
        asked.spec,
        asked.train,
        asked.validation,
        run=name,
        on_report=lambda report: show_problems(shell, report.warnings if report.ok else ()),
    )
    called = job.run or job.id
    shell.say(f"Run {called}", f"Job {job.id} on {shell.client.provider.name}, {job.status.value}")
    if follow:
        watch(shell, job, called, timeout=seconds)
    else:
        shell.say("", *ways_back(shell, called))
    if shell.as_json:
        shell.emit(describe(job))


def watch(shell: Shell, job: Job, called: str, *, timeout: float | None = None) -> None:
    """Follow a job to its end and say what to do with the result."""
    from tunekit.cli.progress import follow

    shell.way_back = lambda: ["The job goes on.", *ways_back(shell, called)]
    follow(shell.client, job, shell.tell, name=called, timeout=timeout)
    shell.way_back = None
    model = job.snapshot.fine_tuned_model
    if model is not None:
        shell.say(
            f"Model {model.id}",
            f"Deploy it:  {shell.command_line('deploy', called)}",
        )


def ways_back(shell: Shell, called: str) -> list[str]:
    """How to come back to a job, as commands."""
    return [
        f"Come back:  {shell.command_line('events', called, '--follow')}",
        f"End it:     {shell.command_line('cancel', called)}",
    ]


def describe(job: Job) -> dict[str, Any]:
    """A job as JSON: its snapshot and its run name."""
    return {"run": job.run, **public(job.snapshot)}

"""`tunekit quickstart`: the story told on a terminal, or as one JSON document."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from tunekit.cli.shell import Shell, command
from tunekit.cli.words import columns, pairs, wrapped
from tunekit.quickstart import settings

if TYPE_CHECKING:
    from tunekit.problems import Report
    from tunekit.providers.base import Estimate
    from tunekit.quickstart.scoring import Score
    from tunekit.quickstart.story import Story

STEPS = 6


@command
def quickstart(
    shell: Shell,
    model: Annotated[
        str | None,
        typer.Option(help="Any local folder or Hub model id; by default the base that ships."),
    ] = None,
    folder: Annotated[Path, typer.Option(help="Where the data files are written.")] = Path(
        "tunekit-quickstart"
    ),
    rows: Annotated[
        int, typer.Option(min=20, max=2000, help="Held-out rows to score on.")
    ] = settings.TEST_ROWS,
    run: Annotated[
        str | None, typer.Option(help="Run name; by default a fresh one, so it trains anew.")
    ] = None,
) -> None:
    """Tune a real model here and now, deploy it, and measure what the tuning changed."""
    from tunekit.quickstart import story as telling

    started = time.monotonic()
    shell.default_provider = "trl"
    _title(shell, 1, "Data", "recipe text -> JSON list of its generic ingredients")
    data = telling.make_data(folder.absolute(), test_rows=rows)
    story = telling.Story(
        shell.client, telling.make_spec(model), data, run or telling.new_run_name()
    )
    example = data.test[0]["messages"]
    shell.say(
        f"  {len(data.train):,} rows to train on, {len(data.validation)} to validate, "
        f"{len(data.test)} held out; the held-out",
        "  rows share no sentence with the others. One of them:",
        "",
        *_quoted(example[-2]["content"]),
        *_quoted("-> " + example[-1]["content"], style="green"),
    )
    _title(shell, 2, "Check", "every fault of data and settings, before anything starts")
    _show_report(shell, story.check())
    _title(shell, 3, "Estimate", "what it will take")
    _show_estimate(shell, story.estimate())

    _title(shell, 4, "Train", "a LoRA adapter, in a process that outlives this one")
    launched = time.monotonic()
    job = story.launch()
    shell.way_back = lambda: _way_back(shell, story.run)
    from tunekit.cli.progress import follow

    follow(shell.client, job, shell.tell, name=story.run)
    tuned = job.result()
    trained = time.monotonic()
    memory = job.snapshot.raw.get("status", {}).get("peak_memory_bytes")

    _title(shell, 5, "Deploy and score", "base and tuned behind the same OpenAI-compatible API")
    before = _score(shell, story, "base", story.base())
    after = _score(shell, story, "tuned", tuned)
    ended = time.monotonic()
    seconds = {
        "training": trained - launched,
        "scoring": ended - trained,
        "from_training_start": ended - launched,
        "in_all": ended - started,
    }
    _title(shell, 6, "What the tuning changed", f"exact match on {rows} held-out rows")
    _show_result(shell, before, after)
    _show_places(shell, story, job.id, tuned.id, seconds)
    if shell.as_json:
        shell.emit(
            {
                "model": story.spec.model,
                "run": story.run,
                "job": job.id,
                "tuned_model": tuned.id,
                "data": str(data.folder),
                "train_rows": len(data.train),
                "validation_rows": len(data.validation),
                "test_rows": len(data.test),
                "base": _figures(before),
                "tuned": _figures(after),
                "points": round((after.accuracy - before.accuracy) * 100, 1),
                "seconds": {name: round(value, 1) for name, value in seconds.items()},
                "peak_memory_bytes": memory,
                "hyperparameters": job.snapshot.hyperparameters,
                "train_loss": [row["train_loss"] for row in job.metrics() if "train_loss" in row],
            }
        )


def _title(shell: Shell, number: int, name: str, about: str) -> None:
    shell.say("", Text.assemble((f"{number}/{STEPS} {name}", "bold"), (f"  {about}", "dim")))


def _quoted(text: str, *, style: str = "cyan") -> list[Text]:
    lines = [wrapped(line, 80, first=4, rest=7) or [""] for line in text.splitlines()]
    return [Text(line, style=style) for piece in lines for line in piece]


def _show_report(shell: Shell, report: Report) -> None:
    for problem in report:
        shell.say(*wrapped(f"  {problem.severity.value}: {problem}", 80, rest=4))
    report.raise_on_error()
    if not report.warnings:
        shell.say(Text("  No problem found.", style="green"))


def _show_estimate(shell: Shell, found: Estimate) -> None:
    from tunekit._text import show_bytes, show_duration

    rows: list[tuple[str, str | Text]] = []
    if found.trained_tokens is not None:
        rows.append(("tokens", f"{found.trained_tokens:,} trained on"))
    if found.steps is not None:
        rows.append(("steps", f"{found.steps:,} weight updates"))
    if found.seconds is not None:
        low, high = found.seconds
        rows.append(("time", f"{show_duration(low)} to {show_duration(high)}"))
    if found.memory_bytes is not None:
        rows.append(("memory", f"about {show_bytes(found.memory_bytes)}"))
    if found.disk_bytes is not None:
        rows.append(("disk", f"about {show_bytes(found.disk_bytes)}"))
    rows.append(("money", "none, it is your own machine"))
    shell.say(*pairs(rows))


def _score(shell: Shell, story: Story, name: str, model: Any) -> Score:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    bar = Progress(
        TextColumn(f"  {name:<6}"),
        BarColumn(bar_width=40),
        MofNCompleteColumn(),
        TextColumn("{task.description}"),
        console=shell.tell,
        disable=not shell.tell.is_terminal,
    )
    with bar:
        task = bar.add_task("starting the server", total=len(story.data.test))
        result = story.score(
            model,
            lambda done, of: bar.update(task, completed=done, total=of, description="rows asked"),
        )
        bar.update(task, description=f"rows asked in {result.seconds:.0f} s")
    if not shell.tell.is_terminal:
        shell.say(f"  {name}: {len(result.answers)} rows asked in {result.seconds:.0f} s")
    return result


def _figures(result: Score) -> dict[str, Any]:
    low, high = result.interval
    return {
        "exact_match": round(result.accuracy, 4),
        "interval_95": [round(low, 4), round(high, 4)],
        "right": result.right,
        "of": len(result.answers),
        "seconds": round(result.seconds, 1),
    }


def _show_result(shell: Shell, before: Score, after: Score) -> None:
    width = 30
    table: list[tuple[Text, Text, Text]] = []
    for name, result, style in (("base", before, "yellow"), ("tuned", after, "green")):
        low, high = result.interval
        bar = Text("█" * round(result.accuracy * width), style=style)
        bar.append("░" * (width - round(result.accuracy * width)), style="dim")
        share = Text(f"{result.accuracy:6.1%}", style=f"bold {style}")
        share.append(f"  (95 % interval {low:.1%} to {high:.1%})", style="dim")
        table.append((Text(f"  {name}"), bar, share))
    shell.say(*columns(table))
    row = _telling_row(before, after)
    old, new = before.answers[row], after.answers[row]
    shell.say("", Text("  One held-out row, and what each of them made of it:", style="dim"), "")
    shell.say(*_quoted(old.question))
    for name, text, style in (
        ("base", old.text, "yellow"),
        ("tuned", new.text, "green"),
        ("right", new.expected, "default"),
    ):
        first, *rest = wrapped(" ".join(text.split())[:300] or "(nothing)", 80, first=11, rest=11)
        shell.say(Text(f"    {name:<7}", style="dim") + Text(first.strip(), style=style))
        shell.say(*(Text(line, style=style) for line in rest))


def _telling_row(before: Score, after: Score) -> int:
    """A row that the tuning changed from wrong to right, if there is one."""
    pairs_of_answers = zip(before.answers, after.answers, strict=True)
    changed = (i for i, (old, new) in enumerate(pairs_of_answers) if new.right and not old.right)
    return next(changed, 0)


def _show_places(
    shell: Shell, story: Story, job_id: str, model: str, seconds: dict[str, float]
) -> None:
    from tunekit._text import show_duration

    shell.say("", Text("Where everything lies", style="bold"))
    shell.say(
        *pairs(
            [
                ("data", str(story.data.folder)),
                ("run", story.run),
                ("job", job_id),
                ("model", model),
                (
                    "time",
                    f"{show_duration(seconds['training'])} training, "
                    f"{show_duration(seconds['scoring'])} deploying and scoring",
                ),
            ]
        )
    )
    shell.say(
        "",
        Text("Next", style="bold"),
        f"  {shell.command_line('deploy', story.run, '--ttl', '1h')}",
        f"  {shell.command_line('plot', story.run)}",
        *_other_provider(),
    )


def _other_provider() -> list[str | Text]:
    """The one word by which the same script runs on Azure, and whether it does already."""
    from tunekit.providers.registry import available

    lines: list[str | Text] = [
        "  On Azure OpenAI the same script differs in one word, the profile:",
        Text('  tunekit.connect("laptop")  ->  tunekit.connect("prod")', style="cyan"),
    ]
    if "azure" not in available():
        lines.append(Text("  (no provider for Azure is installed here yet)", style="dim"))
    return lines


def _way_back(shell: Shell, run: str) -> list[str]:
    return [
        "The training goes on. To come back to it:",
        f"  {shell.command_line('events', run, '--follow')}",
        f"  {shell.command_line('cancel', run)}",
    ]

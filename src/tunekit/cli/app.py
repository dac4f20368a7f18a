"""The commands, put together. This module and what it imports decide how fast `--help` is."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from tunekit.cli import checking, convert, doctor, endpoints, exits, jobs, launch, preview, split
from tunekit.quickstart.command import quickstart

HELP_NAMES = {"help_option_names": ["-h", "--help"]}

app = typer.Typer(
    name="tunekit",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings=HELP_NAMES,
    epilog=exits.epilog(),
)

TUNE, SERVE, MORE = "Fine-tune", "Serve", "More"

for body, panel in (
    (checking.check, TUNE),
    (launch.estimate, TUNE),
    (launch.run, TUNE),
    (jobs.jobs, TUNE),
    (jobs.events, TUNE),
    (jobs.plot, TUNE),
    (jobs.cancel, TUNE),
    (jobs.pause, TUNE),
    (jobs.resume, TUNE),
    (convert.convert, "Data"),
    (split.split, "Data"),
    (preview.preview, "Data"),
    (endpoints.deploy, SERVE),
    (endpoints.deployments, SERVE),
    (endpoints.chat, SERVE),
    (endpoints.delete, SERVE),
    (quickstart, MORE),
    (doctor.doctor, MORE),
):
    app.command(rich_help_panel=panel)(body)


def _show_version(wanted: bool) -> None:
    if wanted:
        from tunekit._version import __version__

        sys.stdout.write(f"tunekit {__version__}\n")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and end."
        ),
    ] = False,
) -> None:
    """Write a fine-tune once; run it on OpenAI, Azure OpenAI, your own machines, or AutoTrain."""


def start() -> None:
    """Run the command line of this process."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a poor terminal gets `?`, not a crash
            stream.reconfigure(errors="replace")
    app()

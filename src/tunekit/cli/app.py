"""The commands, put together. This module and what it imports decide how fast `--help` is."""

from __future__ import annotations

import importlib
import sys
from typing import Annotated

import typer

from tunekit.cli import doctor, endpoints, exits, jobs, launch

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
    (launch.check, TUNE),
    (launch.estimate, TUNE),
    (launch.run, TUNE),
    (jobs.jobs, TUNE),
    (jobs.events, TUNE),
    (jobs.plot, TUNE),
    (jobs.cancel, TUNE),
    (jobs.pause, TUNE),
    (jobs.resume, TUNE),
    (endpoints.deploy, SERVE),
    (endpoints.deployments, SERVE),
    (endpoints.chat, SERVE),
    (endpoints.delete, SERVE),
    (doctor.doctor, MORE),
):
    app.command(rich_help_panel=panel)(body)

_LATER = {
    "quickstart": (
        "tunekit.quickstart.command:quickstart",
        "Train, deploy and talk to a small model, here and now.",
    ),
}
"""Commands that live elsewhere, made with `shell.command`, and their line in `--help`."""


def _register_later(name: str, target: str, summary: str) -> None:
    """Register a command whose module is imported when it runs, even for its own `--help`."""

    def stub(ctx: typer.Context) -> None:
        module, _, attribute = target.partition(":")
        inner = typer.Typer(
            add_completion=False, pretty_exceptions_enable=False, context_settings=HELP_NAMES
        )
        inner.command(name)(getattr(importlib.import_module(module), attribute))
        run = typer.main.get_command(inner)
        run.main(args=ctx.args, prog_name=f"tunekit {name}", standalone_mode=True)

    app.command(
        name,
        help=summary,
        rich_help_panel=MORE,
        add_help_option=False,
        context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    )(stub)


for _name, (_target, _summary) in _LATER.items():
    _register_later(_name, _target, _summary)


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

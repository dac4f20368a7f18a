"""The command line, `tunekit`. Nothing but typer and rich is loaded until a command runs."""

from __future__ import annotations


def main() -> None:
    """Run the command line; the exit status says how it went (see `tunekit.cli.exits`)."""
    from tunekit.cli.app import start

    start()

"""Exit codes: the one table that says which error ends in which."""

from __future__ import annotations

from enum import IntEnum

from tunekit import errors


class Exit(IntEnum):
    """How a command ended."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    REFUSED = 3
    PROVIDER = 4
    NOT_FOUND = 5
    TIMEOUT = 6
    MACHINE = 7
    INTERRUPTED = 130


MEANING = {
    Exit.DONE: "done",
    Exit.FAILED: "the job or deployment failed, was cancelled, or waits paused",
    Exit.USAGE: "the command was written wrongly",
    Exit.REFUSED: "refused before anything was sent: configuration, data, request or budget",
    Exit.PROVIDER: "the provider refused, or could not be reached",
    Exit.NOT_FOUND: "there is no such job, model or deployment",
    Exit.TIMEOUT: "a wait ran out of time; what was waited for goes on",
    Exit.MACHINE: "this machine cannot do it: disk, memory, ledger, or a missing package",
    Exit.INTERRUPTED: "interrupted; jobs and deployments go on",
}

# The first line that fits counts, so a subclass stands before its base.
_OF_ERROR: tuple[tuple[type[errors.TunekitError], Exit], ...] = (
    (errors.NotFoundError, Exit.NOT_FOUND),
    (errors.ProviderError, Exit.PROVIDER),
    (errors.WaitTimeoutError, Exit.TIMEOUT),
    (errors.MissingExtraError, Exit.MACHINE),
    (errors.LocalRunError, Exit.MACHINE),
    (errors.LedgerError, Exit.MACHINE),
    (errors.ConfigError, Exit.REFUSED),
    (errors.DataError, Exit.REFUSED),
    (errors.PreflightError, Exit.REFUSED),
    (errors.UnsupportedError, Exit.REFUSED),
    (errors.RunConflictError, Exit.REFUSED),
    (errors.JobError, Exit.FAILED),
    (errors.DeploymentError, Exit.FAILED),
    (errors.TunekitError, Exit.FAILED),
)


def exit_code(error: errors.TunekitError) -> Exit:
    """The exit code of an error."""
    return next(code for kind, code in _OF_ERROR if isinstance(error, kind))


def epilog() -> str:
    """The exit codes as a paragraph for `--help`, one per line."""
    lines = "\n".join(f"  {code.value:>3}  {meaning}" for code, meaning in MEANING.items())
    return f"Exit codes\n{lines}"

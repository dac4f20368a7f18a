"""A process that scans stretches of one file for another; see `stretches`."""

from __future__ import annotations

import pickle
import signal
import sys

from tunekit.data.checks.scan import Scanner
from tunekit.data.checks.stretches import scan_at_once, send


def serve() -> None:
    """Be a worker: answer stretches until there are no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that started us decides
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    try:
        path, kind, options = pickle.load(requests)  # noqa: S301 - from our own parent
        scanner = Scanner(kind, options)
        with path.open("rb") as file:
            send(answers, True)
            while True:
                send(answers, scan_at_once(file, scanner, pickle.load(requests)))  # noqa: S301
    except (EOFError, BrokenPipeError):
        return


if __name__ == "__main__":
    serve()

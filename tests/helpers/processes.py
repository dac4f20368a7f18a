"""Real processes that do the same thing at the same moment."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]


def child_environment() -> dict[str, str]:
    """Our environment, with the tests on the path so that a child can import `helpers`."""
    path = os.pathsep.join([str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": path}


def child(module: str, *arguments: object, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    """Run a module in a process of its own and wait for it, whatever becomes of it."""
    return subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        env=child_environment(),
    )


def together(commands: Sequence[Sequence[str]], *, timeout: float = 60) -> list[str]:
    """Run Python with each list of arguments, all at once, and return what they printed.

    Each prints `ready` when it is set up and starts when it gets a line on its standard input.
    """
    with ExitStack() as stack:
        running = []
        for command in commands:
            process = subprocess.Popen(
                [sys.executable, *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=child_environment(),
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            running.append(process)
        for process in running:
            assert process.stdout is not None
            assert process.stderr is not None
            if process.stdout.readline() != "ready\n":
                raise AssertionError(process.stderr.read())
        for process in running:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        printed = []
        for process in running:
            out, err = process.communicate(timeout=timeout)
            assert process.returncode == 0, err
            printed.append(out)
    return printed

"""Starts a deployment's host or server under the profile's interpreter: a plain script.

    python entry.py host <directory>
    python entry.py serve <directory> <descriptor of the listening socket>

tunekit need not be installed in that interpreter, and its dependencies need not either. So this
file makes the four packages above it known as bare folders, without running their `__init__`, and
takes its own folder off the module path, where its neighbours would hide modules of other packages.
"""

from __future__ import annotations

import sys
import types
from pathlib import Path


def _know_tunekit() -> None:
    here = Path(__file__).resolve().parent
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != here]
    for name, folder in (
        ("tunekit", here.parents[2]),
        ("tunekit.providers", here.parents[1]),
        ("tunekit.providers.local", here.parent),
        ("tunekit.providers.local.server", here),
    ):
        package = types.ModuleType(name)
        package.__path__ = [str(folder)]
        sys.modules[name] = package


def main(arguments: list[str]) -> int:
    """Run what the first argument names; the exit code of the process."""
    if arguments[0] == "host":
        from tunekit.providers.local.server.host import host

        return host(Path(arguments[1]))
    from tunekit.providers.local.server.main import serve

    return serve(Path(arguments[1]), int(arguments[2]))


if __name__ == "__main__":
    _know_tunekit()
    sys.exit(main(sys.argv[1:]))

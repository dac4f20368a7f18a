"""Launches a run when it is told to: `python -m helpers.racing HOME`. Prints the job's id."""

from __future__ import annotations

import sys
from pathlib import Path

from helpers.shared import SPEC, TRAIN, VALIDATION, shared
from tunekit.client import connect
from tunekit.config import Config


def main(home: Path) -> None:
    provider = shared(home)
    provider.delay = 0.3
    client = connect(provider=provider, config=Config(environ={}))
    print("ready", flush=True)  # noqa: T201 - read by the test
    sys.stdin.readline()
    print(client.fine_tune(SPEC, TRAIN, VALIDATION, run="r1").id)  # noqa: T201 - read by the test


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""Submits, and dies without a word before or after its n-th operation.

Usage: `python -m helpers.dying HOME NUMBER before|after`. Prints the job's id when it lives.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import cast

from helpers.points import Points, When, watch_both
from helpers.shared import SPEC, TRAIN, VALIDATION, shared
from tunekit.engine.plans import SystemClock, run
from tunekit.engine.submission import Submission, submit
from tunekit.ledger import Ledger


def main(home: Path, number: int, when: When) -> None:
    points = Points(number, when, lambda: os._exit(9))
    provider, ledger = watch_both(shared(home), Ledger(home / "ledger.sqlite3"), points)
    submission = Submission(SPEC, TRAIN, VALIDATION, run="r1")
    plan = submit(submission, provider, ledger, SystemClock(), preflight=lambda: None)
    print(run(plan, SystemClock()).id)  # noqa: T201 - read by the test


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), cast("When", sys.argv[3]))

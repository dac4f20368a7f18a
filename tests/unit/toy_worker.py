"""Counts steps the way a training would: one line of `steps.txt` per step, checkpoints, requests.

Told by `toy` in the run's spec: `steps`, `seconds` per step, `mute` (never says a word), `deaf`
(ignores SIGTERM), `die_at` (a step), `fail_at` (a step).
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from tunekit.providers.local.checkpoints import complete_checkpoints, mark_complete
from tunekit.providers.local.reporter import Reporter
from tunekit.providers.local.rundir import MODEL_MARKER, RunDir
from tunekit.providers.local.statefile import write_json


class Stopped(BaseException):
    pass


def stop(number: int, frame: FrameType | None) -> None:
    raise Stopped


def work(run: RunDir, reporter: Reporter) -> None:
    toy = run.spec()["toy"]
    total = toy.get("steps", 3)
    states = complete_checkpoints(run.checkpoints)
    first = states[-1].step if states else 0
    reporter.change("running", total_steps=total)
    for step in range(first + 1, total + 1):
        time.sleep(toy.get("seconds", 0.01))
        if step == toy.get("die_at"):
            sys.stderr.write("about to die\n")
            sys.stderr.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        if step == toy.get("fail_at"):
            reporter.finish("failed", "no", error={"code": "toy-fault", "message": "no"})
            return
        with (run.path / "steps.txt").open("a", encoding="utf-8") as file:
            file.write(f"{step} {os.getpid()}\n")
        reporter.note(step=step)
        reporter.event("metrics", f"step {step}", data={"step": step})
        if run.request() == "pause":
            folder = run.checkpoints / f"checkpoint-{step}"
            folder.mkdir()
            (folder / "state.bin").write_bytes(bytes(10))
            mark_complete(folder, {"at": time.time(), "metrics": {"train_loss": 1.5}})
            reporter.finish("paused")
            return
    run.model.mkdir()
    write_json(run.model / MODEL_MARKER, {"files": {}})
    reporter.finish("succeeded")


def main() -> None:
    run = RunDir(Path(sys.argv[1]))
    toy = run.spec()["toy"]
    if toy.get("deaf"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    else:
        signal.signal(signal.SIGTERM, stop)
    if toy.get("mute"):
        time.sleep(60)
    reporter = Reporter.begin(run)
    if reporter is None:
        return
    try:
        work(run, reporter)
    except Stopped:
        reporter.finish("cancelled")


if __name__ == "__main__":
    main()

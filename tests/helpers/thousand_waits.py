"""A thousand waits: `python -m helpers.thousand_waits HOME` prints what they took."""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from pathlib import Path

from typing_extensions import override

from tunekit.aio import connect
from tunekit.config import Config
from tunekit.providers.base import FileRef, JobSnapshot, JobStatus
from tunekit.spec import FineTuneSpec
from tunekit.testing import FakeProvider

WAITS = 1000


class Busy(FakeProvider):
    """The fake, with jobs that never end and answers that take two milliseconds."""

    @override
    def fetch(self, job_id: str) -> JobSnapshot:
        time.sleep(0.002)
        return super().fetch(job_id)


async def measure(home: Path) -> dict[str, float]:
    provider = Busy(home=home)
    provider.script = [JobStatus.RUNNING]
    file = FileRef(id="file-1", sha256="s", bytes=1)
    for number in range(WAITS):
        provider.submit(FineTuneSpec(model="m"), file, None, tag=f"t{number}")
    client = connect(provider=provider, config=Config(environ={}))
    jobs = [job async for job in client.jobs()]
    provider.calls.clear()
    waits = [asyncio.create_task(job.wait()) for job in jobs]
    await asyncio.sleep(3)
    asked = provider.calls["fetch"]
    alive = sum(not wait.done() for wait in waits)
    before = time.monotonic()
    for wait in waits:
        wait.cancel()
    results = await asyncio.gather(*waits, return_exceptions=True)
    return {
        "cancel_seconds": time.monotonic() - before,
        "cancelled": sum(isinstance(result, asyncio.CancelledError) for result in results),
        "alive": alive,
        "asked": asked,
    }


def peak_megabytes() -> float:
    """Largest resident memory of this process.

    On Linux `ru_maxrss` of a new program begins at the size of the process that started it, here
    the whole test run, so the kernel's own figure for this program is read there.
    """
    status = Path("/proc/self/status")
    if status.exists():
        (line,) = (row for row in status.read_text().splitlines() if row.startswith("VmHWM:"))
        return int(line.split()[1]) / 1000
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if sys.platform == "darwin" else 1e3)


def main() -> None:
    report = asyncio.run(measure(Path(sys.argv[1])))
    report["peak_mb"] = peak_megabytes()
    print(json.dumps(report))  # noqa: T201 - read by the test


if __name__ == "__main__":
    main()

"""A thousand concurrent waits in one process, beside one wait.

Prints peak memory, the time to cancel them all, and the requests made. Run: python bench/waits.py
"""

from __future__ import annotations

import json
import subprocess
import sys
import time

CHILD = """
import asyncio, json, sys, tempfile, time
from pathlib import Path
from tunekit.aio import connect
from tunekit.providers.base import FileRef, JobStatus
from tunekit.testing import FakeProvider
from tunekit.spec import FineTuneSpec

count, seconds = int(sys.argv[1]), float(sys.argv[2])
home = Path(tempfile.mkdtemp())
provider = FakeProvider(home=home)
provider.script = [JobStatus.RUNNING]

async def main():
    client = connect(provider=provider)
    for number in range(count):
        provider.submit(FineTuneSpec(model="m"), FileRef(id="f", sha256="0", bytes=0), None,
                        tag=f"t{number}")
    jobs = [job async for job in client.jobs()]
    tasks = [asyncio.create_task(job.wait()) for job in jobs]
    await asyncio.sleep(seconds)
    started = time.perf_counter()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    cancelled = time.perf_counter() - started
    # Not ru_maxrss: that starts at the size of the process which launched this one.
    status = Path("/proc/self/status").read_text()
    peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    print(json.dumps({"peak_mb": peak / 1024, "cancel_s": cancelled,
                      "fetches": provider.calls["fetch"]}))

asyncio.run(main())
"""

SECONDS = 20.0


def measure(count: int) -> dict[str, float]:
    """Wait `count` times at once for `SECONDS`, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(count), str(SECONDS)],
        check=True,
        capture_output=True,
        text=True,
    )
    measured: dict[str, float] = json.loads(done.stdout)
    return measured


def main() -> None:
    """Measure and print."""
    started = time.perf_counter()
    one, many = measure(1), measure(1000)
    print(f"Waiting {SECONDS:.0f} s on one provider (bounds: 200 MB, 1 s to cancel):")
    print(f"{'waits':>8} {'peak MB':>9} {'cancel s':>9} {'requests':>9} {'per wait':>9}")
    for count, row in ((1, one), (1000, many)):
        print(
            f"{count:>8} {row['peak_mb']:>9.0f} {row['cancel_s']:>9.3f} {row['fetches']:>9.0f} "
            f"{row['fetches'] / count:>9.2f}"
        )
    print(f"A thousand waits take {many['peak_mb'] / one['peak_mb']:.2f} times the memory of one.")
    print(f"Measured in {time.perf_counter() - started:.0f} s.")


if __name__ == "__main__":
    main()

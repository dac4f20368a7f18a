"""How much `import tunekit` adds to a bare Python start.

Prints the median milliseconds of both, side by side in alternating runs, and their difference.
Run: python bench/import_time.py
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

RUNS = 15
BUDGET_MS = 150
CASES = {
    "bare Python": "pass",
    "import tunekit": "import tunekit",
    "from tunekit import FineTuneSpec, Dataset": "from tunekit import FineTuneSpec, Dataset",
}


def start_ms(code: str) -> float:
    """Milliseconds of one fresh interpreter that runs `code`."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return (time.perf_counter() - started) * 1000


def main() -> None:
    """Measure and print."""
    times: dict[str, list[float]] = {name: [] for name in CASES}
    for _ in range(RUNS):
        for name, code in CASES.items():
            times[name].append(start_ms(code))
    bare = statistics.median(times["bare Python"])
    print(f"Start of an interpreter, median of {RUNS} alternating runs:")
    for name, measured in times.items():
        median = statistics.median(measured)
        print(f"  {name:<44} {median:7.1f} ms  (+{median - bare:.1f} ms)")
    added = statistics.median(times["import tunekit"]) - bare
    print(f"import tunekit adds {added:.1f} ms; the budget is {BUDGET_MS} ms")


if __name__ == "__main__":
    main()

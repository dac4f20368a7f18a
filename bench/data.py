"""How fast and how small a check of training data is, beside simpler readings of the same file.

Generates files of chat rows, reads each in turn by all ways, several times, and prints ratios of
the best times: the machine's noise hits all ways alike. Peak memory is that of the process tree.

Run: python bench/data.py                       10,000 and 200,000 rows, half a minute
     python bench/data.py --rows 1000000        a million rows, about two minutes
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

from tunekit.data import Dataset
from tunekit.data.checks import CheckOptions

SAID = (
    "simmer whisk butter flour garlic onion slowly until golden then add stock and season with "
    "salt pepper thyme serve warm over rice or bread for four people about twenty minutes"
)
WORDS = SAID.split()
ROLES = {"system", "user", "assistant", "function"}
KEYS = {"role", "content", "name", "function_call", "weight"}
MIB = 1 << 20

BARE = "bare orjson.loads loop"
STRUCTURE = "structure and semantics"
COMPARED = "  + equal rows, conflicts"
PRIVATE = "  + secrets, personal data"
BOTH = "structure, two processes"
TWO = "  all that, two processes"
NEAR = "  + near duplicates"
GUIDE = "the guide's script"


def write_rows(path: Path, rows: int) -> None:
    """Write chat rows of some 450 bytes; of a thousand rows one is repeated and one nearly so."""
    draw = random.Random(rows)
    kept = "", ""
    with path.open("w", encoding="utf-8") as file:
        for number in range(rows):
            question = f"Dish {number}: " + " ".join(draw.choices(WORDS, k=draw.randint(10, 40)))
            answer = " ".join(draw.choices(WORDS, k=draw.randint(10, 60)))
            if number % 1000 == 1:
                kept = question, answer
            if number % 1000 == 501:
                question, answer = kept[0], f"{kept[1]} today"
            messages = [
                {"role": "system", "content": "You are a cook who answers in one sentence."},
                {"role": "user", "content": question},
                {"role": "assistant", "content": answer},
            ]
            line = json.dumps({"messages": messages})
            file.write(f"{line}\n" * (2 if number % 1000 == 7 else 1))


def bare(path: Path) -> None:
    """Parse every line with orjson, and nothing else."""
    with path.open("rb") as file:
        for line in file:
            orjson.loads(line)


def guide(path: Path) -> None:
    """Do what the published data-preparation guide does: load, look at the format, count tokens."""
    import numpy as np
    import tiktoken

    with path.open(encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    faults: Counter[str] = Counter()
    for row in rows:
        messages = row.get("messages")
        if not messages:
            faults["no messages"] += 1
            continue
        for message in messages:
            content = message.get("content")
            faults["key missing"] += "role" not in message or "content" not in message
            faults["key unknown"] += any(key not in KEYS for key in message)
            faults["role unknown"] += message.get("role") not in ROLES
            faults["no content"] += not content or not isinstance(content, str)
        faults["no answer"] += all(message.get("role") != "assistant" for message in messages)
    encoding = tiktoken.get_encoding("cl100k_base")
    totals, answers = [], []
    for row in rows:
        total, answer = 3, 0
        for message in row["messages"]:
            total += 3
            for key, value in message.items():
                total += len(encoding.encode(value)) + (key == "name")
            if message["role"] == "assistant":
                answer += len(encoding.encode(message["content"]))
        totals.append(total)
        answers.append(answer)
    for values in (totals, answers):
        for share in (0.1, 0.5, 0.9):
            np.quantile(values, share)


def check(path: Path, **options: Any) -> None:
    """Check the file as `tunekit check` does; by default in one process and without near ones."""
    given = {"processes": 1, "near_duplicates": False, **options}
    Dataset.from_jsonl(path).check(CheckOptions(**given))


def part(path: Path) -> None:
    """Write nine tenths of the rows to one file; the rest, and some of these, to another."""
    train_path, other_path = path.with_suffix(".train"), path.with_suffix(".other")
    with path.open("rb") as file, train_path.open("wb") as train, other_path.open("wb") as other:
        for number, line in enumerate(file):
            (other if number % 10 == 0 else train).write(line)
            if number % 1000 == 3:
                other.write(line)


def with_leakage(path: Path) -> None:
    """Check both parts, with near duplicates in each, and what leaks from one into the other."""
    from tunekit.data.checks import examine

    train, other = (Dataset.from_jsonl(path.with_suffix(end)) for end in (".train", ".other"))
    with examine({"train": train, "validation": other}, CheckOptions()) as found:
        assert any(code == "validation-row-in-train" for _, code in found.counts)


def best_of(ways: dict[str, Callable[[], None]], rounds: int) -> dict[str, float]:
    """The best seconds of each way; they take turns."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            started = time.perf_counter()
            way()
            times[name].append(time.perf_counter() - started)
    return {name: min(taken) for name, taken in times.items()}


def peak_mib(call: str, path: Path) -> float:
    """The most memory, in MiB, that a fresh process tree holds while it makes this call.

    Counts shared pages once (proportional set size), every 50 ms.
    """
    code = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
    code += f"import data; from pathlib import Path\ndata.{call}"
    process = subprocess.Popen([sys.executable, "-c", code, str(path)])
    peak = 0
    while process.poll() is None:
        peak = max(peak, sum(map(_pss, _tree(process.pid))))
        time.sleep(0.05)
    assert process.returncode == 0
    return peak / MIB


def _tree(pid: int) -> list[int]:
    found = [pid]
    for one in found:
        for task in Path(f"/proc/{one}/task").glob("*/children"):
            try:
                found += [int(child) for child in task.read_text().split()]
            except OSError:
                continue
    return found


def _pss(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    except OSError:  # it has just ended
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def measure(path: Path, rows: int, rounds: int) -> None:
    """Print the figures of one file."""
    print(f"\n{rows:,} rows, {path.stat().st_size / 1e6:.0f} MB")
    times = best_of(
        {
            BARE: lambda: bare(path),
            STRUCTURE: lambda: check(path, duplicates=False, personal_data=False),
            COMPARED: lambda: check(path, personal_data=False),
            PRIVATE: lambda: check(path),
            BOTH: lambda: check(path, duplicates=False, personal_data=False, processes=2),
            TWO: lambda: check(path, processes=2),
        },
        rounds,
    )
    slow: dict[str, Callable[[], None]] = {GUIDE: lambda: guide(path)}
    times |= best_of(slow | {NEAR: lambda: check(path, near_duplicates=True)}, 1)
    loop = times[BARE]
    for name, seconds in times.items():
        print(
            f"  {name:<28} {seconds:8.3f} s  {seconds / rows * 1e6:7.2f} us a row"
            f"  {loop / seconds:5.2f} of the loop's speed"
        )
    for name in (STRUCTURE, PRIVATE):
        print(f"  the guide's time / {name.strip(' +')}: {times[GUIDE] / times[name]:.1f}")
    for one, two in ((STRUCTURE, BOTH), (PRIVATE, TWO)):
        gain = times[one] / times[two]
        print(f"  one process' time / two processes', {one.strip(' +')}: {gain:.2f}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="*", default=[10_000, 200_000])
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    vocabularies = Path(sys.prefix) / "vocabularies"
    if vocabularies.is_dir():
        os.environ.setdefault("TIKTOKEN_CACHE_DIR", str(vocabularies))
    print(f"{os.cpu_count()} cores; best times of {asked.rounds} rounds")
    memory: list[tuple[int, float, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        for rows in asked.rows:
            path = Path(folder) / f"{rows}.jsonl"
            write_rows(path, rows)
            part(path)
            measure(path, rows, asked.rounds if rows < 500_000 else 2)
            alone = peak_mib("check(Path(sys.argv[1]), processes=None)", path)
            memory.append((rows, alone, peak_mib("with_leakage(Path(sys.argv[1]))", path)))
    print("\nPeak memory of the process tree, in MiB")
    print("       rows   one file   split 9 to 1, near duplicates and leakage")
    for rows, alone, near in memory:
        print(f"  {rows:>9,}   {alone:8.0f}   {near:8.0f}")


if __name__ == "__main__":
    main()

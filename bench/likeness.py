"""How fast rows that are the same, or nearly, are found, in how much memory, and how surely.

Generates chat rows of some 450 bytes, of which a few are planted copies of earlier ones, and reads
them from a file as `Dataset.dedup` does. Each run has a process of its own; its peak resident
memory is given beside what it was before the search. Times are the processor's, so that other work
on the machine does not count.

Run: python bench/likeness.py                   10,000 and 200,000 rows, and the alternatives
     python bench/likeness.py --rows 1000000    a million rows, about a minute
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

from tunekit.data import Dataset
from tunekit.data.likeness import LikenessIndex, RowReader
from tunekit.data.likeness.keys import DIGEST_BYTES, row_keys
from tunekit.data.likeness.signatures import signatures

SYLLABLES = ("ka", "ro", "mi", "ten", "sol", "va", "ber", "lin", "do", "pre", "sta", "nor", "el")
BATCH = 512
NEAR = ("form", "word", "added")
FAR = ("number", "name", "sentence")


class Writer:
    """Writes rows of one kind of data.

    Args:
        templates: How many templates the rows are made from; 0 for rows that share nothing.
    """

    def __init__(self, templates: int) -> None:
        draw = random.Random(0)
        self._words = sorted(
            {"".join(draw.choices(SYLLABLES, k=draw.randint(1, 4))) for _ in range(5000)}
        )
        self._weights = list(accumulate(1 / (place + 20) for place in range(len(self._words))))
        self._draw = draw
        self._templates = [self.prose(20) for _ in range(templates)]

    def prose(self, words: int) -> str:
        """Words as unevenly frequent as in a language."""
        return " ".join(self._draw.choices(self._words, cum_weights=self._weights, k=words))

    def row(self) -> tuple[str, str]:
        """A question and an answer."""
        if self._templates:
            return self._draw.choice(self._templates), f"{self.prose(15)}."
        return f"{self.prose(10)}?", f"{self.prose(25)}."

    def copy(self, change: str, question: str, answer: str) -> tuple[str, str]:
        """A row that differs in one thing from another."""
        words = answer.split()
        place = self._draw.randrange(len(words) // 4, len(words) // 2)
        if change == "form":
            return question.upper(), answer.replace(" ", "  ").rstrip(".") + "!"
        if change == "word":
            words[place] = self._draw.choice(self._words)
        elif change == "added":
            words.insert(place, self.prose(2))
        elif change == "number":
            words[place] = str(self._draw.randrange(10_000))
        elif change == "name":
            words[place : place + 4] = [self.prose(4).title()]
        elif change == "sentence":
            words.insert(place, f"{self.prose(9)}.")
        return question, " ".join(words)

    def write(self, path: Path, rows: int) -> list[str]:
        """Write rows, one in fifty a copy; give what each row is: `new` or its change."""
        kinds, kept = [], ("", "")
        changes = ("same", *NEAR, *FAR)
        with path.open("w", encoding="utf-8") as file:
            for number in range(rows):
                kind = changes[number // 50 % len(changes)] if number % 50 == 49 else "new"
                question, answer = self.row() if kind == "new" else self.copy(kind, *kept)
                if number % 50 == 20:
                    kept = question, answer
                kinds.append(kind)
                messages = [
                    {"role": "system", "content": "You are a cook who answers shortly."},
                    {"role": "user", "content": question},
                    {"role": "assistant", "content": answer},
                ]
                file.write(json.dumps({"messages": messages}) + "\n")
        return kinds


def batches(data: Dataset) -> Iterator[tuple[int, list[Any]]]:
    """Rows in batches, each with the position of its first."""
    batch: list[Any] = []
    position = 0
    for row in data:
        batch.append(row)
        if len(batch) == BATCH:
            yield position, batch
            position += BATCH
            batch = []
    yield position, batch


class Clock:
    """Adds up seconds of processor time by name."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._last = time.process_time()

    def lap(self, name: str) -> None:
        """Count the time since the last call under this name."""
        now = time.process_time()
        self.seconds[name] += now - self._last
        self._last = now


def search(path: Path) -> dict[str, Any]:
    """Find all duplicates; give seconds by step, peak memory, and the positions found."""
    data = Dataset.from_jsonl(path)
    len(data)
    signatures(["warm up"])
    imported = _peak_mib()
    clock = Clock()
    with LikenessIndex() as index:
        clock.lap("begin")
        for position, batch in batches(data):
            clock.lap("read")
            keys = [row_keys(row) for row in batch]
            digests = b"".join(key.row for key in keys)
            prompts = b"".join(key.prompt or bytes(DIGEST_BYTES) for key in keys)
            clock.lap("keys")
            signed = signatures([key.text for key in keys])
            clock.lap("signatures")
            index.add(range(position, position + len(batch)), digests, prompts, signed)
            clock.lap("add")
        same = [position for position, _ in index.duplicates()]
        clock.lap("exact")
        near = [position for position, _, _ in index.near_duplicates(RowReader(data))]
        clock.lap("near")
    return {
        "seconds": clock.seconds,
        "imported": imported,
        "peak": _peak_mib(),
        "same": same,
        "near": near,
    }


def _peak_mib() -> float:
    """Of this program alone: `ru_maxrss` begins with what the process held that started it."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise SystemExit("peak memory can only be read on Linux")


def measure(rows: int, templates: int, folder: Path) -> None:
    """Generate, search and print."""
    path = folder / "rows.jsonl"
    kinds = Writer(templates).write(path, rows)
    asked = [sys.executable, __file__, "--search", str(path)]
    done = subprocess.run(asked, check=True, capture_output=True, text=True)
    found = json.loads(done.stdout)
    what = f"{templates} templates" if templates else "no templates"
    size = path.stat().st_size / rows
    print(f"\n{rows:,} rows of {size:.0f} bytes, {what}")
    steps = {name: found["seconds"].get(name, 0) for name in ("read", "keys", "signatures")}
    steps |= {name: found["seconds"].get(name, 0) for name in ("add", "exact", "near")}
    for name, seconds in steps.items():
        print(f"  {name:<11} {seconds:7.2f} s  {seconds / rows * 1e6:6.2f} us a row")
    print(f"  peak memory {found['peak']:.0f} MiB, of which imports {found['imported']:.0f} MiB")
    same, near = set(found["same"]), set(found["near"])
    planted = Counter(kinds)
    for kind in ("same", *NEAR, *FAR, "new"):
        if planted[kind]:
            hits = [
                number for number in (same if kind == "same" else near) if kinds[number] == kind
            ]
            share = len(hits) / planted[kind]
            print(f"  {kind:<9} {planted[kind]:>8,} rows, {share:8.3%} found")


def alternatives() -> None:
    """Time the ways to make signatures that are at hand, over the same texts."""
    import numpy as np

    from tunekit.data.likeness.shingles import shingles

    writer = Writer(0)
    texts = ["\n".join(writer.row()) for _ in range(2560)]

    def permutations(block: Sequence[str]) -> object:
        """MinHash with 128 multiplications of each shingle."""
        hashes, counts, _ = shingles(block)
        starts = np.cumsum(counts) - counts
        factors = np.arange(1, 257, 2, dtype=np.uint32) * np.uint32(0x9E3779B1)
        return [np.minimum.reduceat(hashes * factor, starts) for factor in factors]

    ways: dict[str, Callable[[Sequence[str]], object]] = {
        "shingles alone": shingles,
        "ours: one permutation, 128 bins": signatures,
        "numpy, 128 permutations": permutations,
    }
    try:
        import rensa
    except ImportError:
        print("rensa is not installed and left out")
    else:

        def over_our_shingles(block: Sequence[str]) -> object:
            hashes, counts, _ = shingles(block)
            ends = np.concatenate([[0], np.cumsum(counts)]).astype(np.uint64)
            make = rensa.RMinHash.digest_matrix_from_flat_token_hashes
            return make(hashes.astype(np.uint64), ends, 128, 1)

        def over_strings(block: Sequence[str]) -> object:
            runs = [[text[place : place + 5] for place in range(len(text) - 4)] for text in block]
            return rensa.RMinHash.digest_matrix_from_token_sets(runs, 128, 1)

        ways["rensa over our shingles, 128 permutations"] = over_our_shingles
        ways["rensa over strings, 128 permutations"] = over_strings
    try:
        from datasketch import MinHash
    except ImportError:
        print("datasketch is not installed and left out")
    else:
        ways["datasketch, 128 permutations"] = lambda block: MinHash.bulk(
            [
                [text[place : place + 5].encode() for place in range(len(text) - 4)]
                for text in block
            ],
            num_perm=128,
        )
    print(f"Signatures of texts of {sum(map(len, texts)) / len(texts):.0f} characters, best of 3:")
    for name, way in ways.items():
        best = min(_seconds(way, texts) for _ in range(3))
        print(f"  {name:<42} {best / len(texts) * 1e6:7.2f} us a text")


def _seconds(way: Callable[[Sequence[str]], object], texts: list[str]) -> float:
    started = time.process_time()
    for start in range(0, len(texts), 256):
        way(texts[start : start + 256])
    return time.process_time() - started


def determinism() -> None:
    """Print a digest of some signatures, to compare machines by."""
    writer = Writer(0)
    found = signatures(["\n".join(writer.row()) for _ in range(1000)])
    print(f"\nSHA-256 of 1,000 signatures: {hashlib.sha256(found).hexdigest()[:16]}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 200_000])
    parser.add_argument("--search", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.search:
        print(json.dumps(search(given.search)))
        return
    alternatives()
    for rows in given.rows:
        for templates in (0, 100):
            with tempfile.TemporaryDirectory() as folder:
                measure(rows, templates, Path(folder))
    determinism()


if __name__ == "__main__":
    main()

"""Work on a file takes the documented bytes a row and no more, whatever the rows hold."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tunekit.data import Dataset

FEW, MANY = 5_000, 20_000
SLACK = 1 << 20
"""Bytes that any work may take, whatever the number of rows."""


def write(path: Path, rows: int) -> Path:
    with path.open("w", encoding="utf-8") as file:
        for n in range(rows):
            row = {"text": f"{n} " + "x" * 150, "user": n // 50, "lang": n % 5}
            file.write(json.dumps(row) + "\n")
    return path


def peak(work: Callable[[], Any]) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def changed(row: dict[str, Any]) -> dict[str, Any]:
    return {"text": row["text"] + "!"}


def halved(row: dict[str, Any]) -> bool:
    return bool(row["lang"] % 2)


def consume(data: Dataset) -> None:
    for _ in data:
        pass


@pytest.mark.parametrize(
    "work",
    [
        lambda data, out: consume(data),
        lambda data, out: consume(data.map(changed).filter(lambda row: "7" in row["text"])),
        lambda data, out: consume(data + data),
        lambda data, out: consume(data[:4000:3]),
        lambda data, out: data.map(changed).write_jsonl(out),
    ],
    ids=["iterate", "map and filter", "concat", "slice", "write"],
)
def test_reading_in_order_takes_the_same_memory_for_any_number_of_rows(
    work: Callable[[Dataset, Path], Any], tmp_path: Path
) -> None:
    few, many = (write(tmp_path / f"{n}.jsonl", n) for n in (FEW, MANY))
    for path in (few, many):
        data = Dataset.from_jsonl(path)
        assert peak(lambda: work(data, tmp_path / "out.jsonl")) < SLACK  # noqa: B023


@pytest.mark.parametrize(
    ("work", "bytes_a_row"),
    [
        (lambda data: len(data), 16),
        (lambda data: data[-1], 16),
        (lambda data: len(data.filter(halved)), 16 + 8),
        (lambda data: data.shuffle(), 16 + 8),
        (lambda data: data.split(0.8, 0.1, 0.1), 16 + 2 * 8),
        (lambda data: data.split(0.8, 0.1, 0.1, by="user"), 16 + 2 * 8 + 4),
        (lambda data: data.split(0.8, 0.1, 0.1, stratify="lang"), 16 + 2 * 8 + 4),
    ],
    ids=["len", "position", "filter", "shuffle", "split", "by", "stratify"],
)
def test_finding_rows_takes_a_few_bytes_for_each(
    work: Callable[[Dataset], Any], bytes_a_row: int, tmp_path: Path
) -> None:
    few, many = (write(tmp_path / f"{n}.jsonl", n) for n in (FEW, MANY))
    work(Dataset.from_jsonl(few))
    grown = [peak(lambda: work(Dataset.from_jsonl(path))) for path in (few, many)]  # noqa: B023
    # Arrays grow in steps of an eighth; each group of 50 rows may take 200 bytes, 4 a row.
    assert grown[1] - grown[0] < (MANY - FEW) * (bytes_a_row * 1.3 + 4)

"""Splits are exact, disjoint, the same everywhere, and do not load the file."""

from __future__ import annotations

import json
import math
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunekit.data import Dataset
from tunekit.data.splitting import part_sizes, permutation
from tunekit.errors import DataError


def numbers(count: int) -> Dataset:
    return Dataset.from_records([{"text": str(n)} for n in range(count)])


def texts(dataset: Dataset) -> list[int]:
    return [int(row["text"]) for row in dataset]


@settings(deadline=None)
@given(
    count=st.integers(0, 200),
    weights=st.lists(st.integers(1, 100), min_size=1, max_size=5),
    spare=st.integers(0, 50),
    seed=st.integers(-5, 2**70),
)
def test_fractions_give_disjoint_parts_of_the_nearest_sizes(
    count: int, weights: list[int], spare: int, seed: int
) -> None:
    total = sum(weights) + spare
    fractions = [weight / total for weight in weights]
    parts = numbers(count).split(*fractions, seed=seed)
    rows = [row for part in parts for row in texts(part)]
    assert len(rows) == len(set(rows))
    assert set(rows) <= set(range(count))
    for part, fraction in zip(parts, fractions, strict=True):
        assert abs(len(part) - fraction * count) < 1
        assert len(part) == len(texts(part))
    if not spare:
        assert len(rows) == count


@settings(deadline=None)
@given(count=st.integers(1, 120), data=st.data(), seed=st.integers(0, 2**32))
def test_whole_numbers_give_exactly_these_sizes(count: int, data: st.DataObject, seed: int) -> None:
    first = data.draw(st.integers(1, count))
    parts = numbers(count).split(*([first, count - first] if first < count else [first]), seed=seed)
    assert len(parts[0]) == first
    assert sorted(row for part in parts for row in texts(part)) == list(range(count))


@settings(deadline=None)
@given(count=st.integers(0, 300), seed=st.integers())
def test_the_shuffle_is_a_permutation_and_repeats_itself(count: int, seed: int) -> None:
    order = permutation(count, seed)
    assert sorted(order) == list(range(count))
    assert order == permutation(count, seed)


def test_the_shuffle_never_changes_between_versions_and_platforms() -> None:
    # Written down once; a change of these values breaks every split that anyone has made.
    assert list(permutation(12, 0)) == [10, 8, 3, 2, 7, 9, 6, 1, 5, 11, 4, 0]
    assert list(permutation(12, 7)) == [5, 0, 8, 1, 6, 11, 9, 7, 4, 10, 2, 3]


def test_the_shuffle_puts_every_row_everywhere_equally_often() -> None:
    seeds = 2000
    firsts = [permutation(8, seed)[0] for seed in range(seeds)]
    expected = seeds / 8
    # Chi-square with 7 degrees of freedom: above 24.3 once in a thousand for a fair shuffle.
    assert sum((firsts.count(n) - expected) ** 2 / expected for n in range(8)) < 24.3


def test_another_seed_gives_another_split() -> None:
    assert texts(numbers(50).split(0.5)[0]) != texts(numbers(50).split(0.5, seed=1)[0])


@pytest.mark.parametrize(
    ("count", "parts", "sizes"),
    [
        (10, (0.8, 0.1, 0.1), [8, 1, 1]),
        (10, (0.7, 0.2, 0.1), [7, 2, 1]),
        (10, (0.8, 0.1, 0.1000000001), [8, 1, 1]),
        (300, (1 / 3, 1 / 3, 1 / 3), [100, 100, 100]),
        (100, (1 / 3, 1 / 3, 1 / 3), [34, 33, 33]),
        (3, (0.5, 0.5), [2, 1]),
        (10, (0.1, 0.2), [1, 2]),
        (10, (0.25,), [2]),
        (183, (46 / 61,), [138]),
        (10, (0.35, 0.25, 0.4), [4, 2, 4]),  # a tie in decimals, though not in floats
        (0, (0.9, 0.1), [0, 0]),
        (7, (1.0,), [7]),
        (12_500, (0.8, 0.2), [10_000, 2_500]),
        (301, (101, 100, 100), [101, 100, 100]),
    ],
)
def test_sizes_are_shared_out_by_largest_remainder(
    count: int, parts: tuple[float, ...], sizes: list[int]
) -> None:
    assert part_sizes(count, parts) == sizes


@pytest.mark.parametrize(
    "parts",
    [
        (),
        (0.8, 0.3),
        (-0.1, 0.5),
        (0.0, 1.0),
        (math.nan,),
        (math.inf,),
        (0.5, 3),
        (11,),
        (5, 6),
        (0,),
        (-1,),
        (True,),
        ("0.5",),
    ],
)
def test_parts_that_make_no_sense_are_refused(parts: tuple[float, ...]) -> None:
    with pytest.raises(DataError):
        numbers(10).split(*parts)


def test_asking_for_too_many_rows_says_how_many_there_are() -> None:
    with pytest.raises(DataError, match=r"need 101 rows, but there are 100\."):
        numbers(100).split(100, 1)


def test_parts_split_again_and_keep_what_was_mapped() -> None:
    data = numbers(30).map(lambda row: {"text": str(int(row["text"]) + 100)})
    train, rest = data.split(0.5, 0.5, seed=3)
    validation, test = rest.split(5, 5, seed=4)
    parts = [texts(train), texts(validation), texts(test)]
    rows = [row for part in parts for row in part]
    assert [len(part) for part in parts] == [15, 5, 5]
    assert len(set(rows)) == 25
    assert set(rows) <= set(range(100, 130))


def test_rows_of_a_part_keep_the_line_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + b"".join(b'{"text": "%d"}\n\n' % n for n in range(1, 40, 2)))
    (part,) = Dataset.from_jsonl(path).split(1.0)
    assert all(int(row["text"]) == line for line, row in part.numbered())
    assert len(part) == 20


def test_rows_of_a_csv_part_keep_their_line_even_behind_line_breaks_in_quotes(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.csv"
    body = b"".join(b'"%d\n(second line, \xc3\xa6)"\r\n' % (2 + 2 * n) for n in range(20))
    path.write_bytes(b"\xef\xbb\xbftext\r\n" + body)
    (part,) = Dataset.from_csv(path).split(1.0, seed=1)
    rows = list(part.numbered())
    assert [line for line, _ in rows] != sorted(line for line, _ in rows)
    assert all(row == {"text": f"{line}\n(second line, æ)"} for line, row in rows)


def test_a_file_that_changed_after_the_split_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "a"}\n{"text": "b"}\n', encoding="utf-8")
    part, _ = Dataset.from_jsonl(path).split(1, 1)
    path.write_text('{"text": "a"}\n{"text": "other"}\n', encoding="utf-8")
    with pytest.raises(DataError, match="has changed"):
        list(part)


def test_splitting_a_large_file_does_not_load_it(tmp_path: Path) -> None:
    path = tmp_path / "large.jsonl"
    row = json.dumps({"text": "x" * 2000}) + "\n"
    path.write_text(row * 10_000, encoding="utf-8")
    tracemalloc.start()
    try:
        train, _ = Dataset.from_jsonl(path).split(0.9, 0.1)
        assert sum(1 for _ in train) == 9000
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert path.stat().st_size > 20_000_000
    assert peak < 1_000_000

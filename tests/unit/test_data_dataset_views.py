"""Slices, filters, samples, joined and deduplicated data: lazy, exact, and true to their lines."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typing_extensions import override

from tunekit.data import Dataset
from tunekit.data.sources import Entry, RecordSource, passed_over
from tunekit.data.splitting import permutation
from tunekit.errors import DataError

BOUND = st.none() | st.integers(-25, 25)


def numbers(count: int, *, source: str = "records") -> Dataset:
    return Dataset.from_records([{"text": str(n)} for n in range(count)], source=source)


def texts(dataset: Dataset) -> list[int]:
    return [int(row["text"]) for row in dataset]


def file_of(path: Path, *texts: str) -> Dataset:
    lines = [json.dumps({"text": text}) if text else "" for text in texts]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return Dataset.from_jsonl(path)


def odd(row: dict[str, Any]) -> bool:
    return int(row["text"]) % 2 == 1


def plus_hundred(row: dict[str, Any]) -> dict[str, Any]:
    return {"text": str(int(row["text"]) + 100)}


@settings(deadline=None)
@given(
    count=st.integers(0, 20),
    start=BOUND,
    stop=BOUND,
    step=st.none() | st.integers(-4, 4).filter(bool),
)
def test_slices_are_those_of_a_list(
    count: int, start: int | None, stop: int | None, step: int | None
) -> None:
    cut = slice(start, stop, step)
    expected = list(range(count))[cut]
    data = numbers(count)[cut]
    assert texts(data) == expected
    assert len(data) == len(expected)
    assert [int(data[i]["text"]) for i in range(-len(expected), len(expected))] == 2 * expected
    assert texts(data[1:][::2]) == expected[1:][::2]


@pytest.mark.parametrize("index", [5, -6])
def test_a_position_outside_is_an_index_error(index: int) -> None:
    with pytest.raises(IndexError, match=r"'records' has 5 rows; there is none at"):
        numbers(5)[index]


def test_a_slice_needs_whole_numbers_and_a_step_other_than_zero() -> None:
    with pytest.raises(DataError, match="step 0"):
        numbers(5)[::0]
    with pytest.raises(TypeError):
        numbers(5)["a":]
    with pytest.raises(TypeError):
        numbers(5)["a"]  # type: ignore[call-overload]


def test_rows_found_by_position_keep_their_line_and_empty_lines_have_none(tmp_path: Path) -> None:
    data = file_of(tmp_path / "a.jsonl", "0", "", "1", "", "", "2", "3")
    assert [data[i]["text"] for i in (0, 1, -1)] == ["0", "1", "3"]
    assert list(data[1:].numbered()) == [(3, {"text": "1"}), (6, {"text": "2"}), (7, {"text": "3"})]
    assert [line for line, _ in data[::-1].numbered()] == [7, 6, 3, 1]


def test_a_slice_from_the_beginning_reads_no_further(tmp_path: Path) -> None:
    read: list[int] = []

    def seen(row: dict[str, Any]) -> dict[str, Any]:
        read.append(int(row["text"]))
        return row

    data = file_of(tmp_path / "a.jsonl", *map(str, range(50))).map(seen)
    assert texts(data[:6:2]) == [0, 2, 4]
    assert max(read) < 6


def test_a_faulty_row_has_a_position_and_raises_when_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "0"}\nbroken\n{"text": "2"}\n', encoding="utf-8")
    data = Dataset.from_jsonl(path)
    assert (len(data), data[2]) == (3, {"text": "2"})
    with pytest.raises(DataError, match=r"a\.jsonl:2: .*list every such row"):
        data[1]


@settings(deadline=None)
@given(count=st.integers(0, 30), cut=st.integers(0, 30), seed=st.integers(0, 99))
def test_filters_and_maps_go_with_everything_else(count: int, cut: int, seed: int) -> None:
    expected = [n + 100 for n in range(count) if n % 2]
    data = numbers(count).filter(odd).map(plus_hundred)
    assert texts(data) == expected
    assert len(data) == len(expected)
    assert texts(data[cut:]) == expected[cut:]
    assert sorted(texts(data.shuffle(seed))) == expected
    assert texts(data.filter(lambda row: int(row["text"]) > 110)) == [
        n for n in expected if n > 110
    ]
    assert texts(numbers(count).map(plus_hundred).filter(odd)) == expected


def test_a_filter_is_lazy_and_keeps_lines(tmp_path: Path) -> None:
    calls: list[str] = []

    def fourth(row: dict[str, Any]) -> bool:
        calls.append(row["text"])
        return bool(row["text"] == "3")

    data = file_of(tmp_path / "a.jsonl", "0", "1", "", "2", "3", "4").filter(fourth)
    assert calls == []
    assert next(data.numbered()) == (5, {"text": "3"})
    assert calls == ["0", "1", "2", "3"]


def test_a_filter_that_raises_is_a_problem_of_its_line(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "0"}\n{"txt": "1"}\nbroken\n{"text": "3"}\n', encoding="utf-8")
    data = Dataset.from_jsonl(path).filter(lambda row: int(row["text"]) > 0)
    faulty = [(line, row.code) for line, row in data.entries() if not isinstance(row, dict)]
    assert faulty == [(2, "filter-failed"), (3, "invalid-json")]
    assert len(data) == 3
    with pytest.raises(DataError, match=r"a\.jsonl:2: .*`filter` raised KeyError: 'text'"):
        list(data)
    with pytest.raises(DataError, match=r"a\.jsonl:2: .*`filter` raised"):
        data[0]
    assert data[2] == {"text": "3"}


@settings(deadline=None)
@given(count=st.integers(1, 60), data=st.data(), seed=st.integers(0, 2**40))
def test_a_sample_is_exact_in_the_order_of_the_data_and_the_first_part_of_a_split(
    count: int, data: st.DataObject, seed: int
) -> None:
    size = data.draw(st.integers(1, count) | st.floats(0.01, 1.0))
    rows = texts(numbers(count).sample(size, seed=seed))
    assert rows == sorted(set(rows)) == sorted(texts(numbers(count).split(size, seed=seed)[0]))
    assert len(rows) == size if isinstance(size, int) else abs(len(rows) - size * count) < 1


@pytest.mark.parametrize("size", [0, -1, 11, 1.5, True, "0.5"])
def test_a_sample_of_no_sensible_size_is_refused(size: Any) -> None:
    with pytest.raises(DataError):
        numbers(10).sample(size)
    with pytest.raises(DataError, match="`sample` takes numbers"):
        numbers(10).sample("1")  # type: ignore[arg-type]


@settings(deadline=None)
@given(sizes=st.lists(st.integers(0, 8), min_size=1, max_size=5), seed=st.integers(0, 99))
def test_joined_data_is_one_after_the_other(sizes: list[int], seed: int) -> None:
    starts = [sum(sizes[:i]) for i in range(len(sizes))]
    parts = [numbers(sum(sizes))[a : a + n] for a, n in zip(starts, sizes, strict=True)]
    joined = Dataset.concat(*parts)
    assert texts(joined) == list(range(sum(sizes)))
    assert len(joined) == sum(sizes)
    assert sorted(texts(joined.shuffle(seed))) == list(range(sum(sizes)))
    assert texts(joined[::-1]) == list(range(sum(sizes)))[::-1]
    assert texts(pickle.loads(pickle.dumps(joined))) == texts(joined)  # noqa: S301


class Hasty(RecordSource):
    """Takes three positions before it gives the first of their rows, as columnar files do."""

    @override
    def pick(self, positions: Iterable[int]) -> Iterator[Entry]:
        wanted = iter(positions)
        while window := list(islice(wanted, 3)):
            yield from super().pick(window)


@settings(deadline=None)
@given(sizes=st.lists(st.integers(0, 8), min_size=1, max_size=5), seed=st.integers(0, 99))
def test_joined_data_may_read_ahead(sizes: list[int], seed: int) -> None:
    kinds = (RecordSource, Hasty)
    parts = [
        Dataset(kinds[i % 2]([{"text": f"{i}{n}"} for n in range(size)], f"source {i}"))
        for i, size in enumerate(sizes)
    ]
    joined = Dataset.concat(*parts)
    order = permutation(sum(sizes), seed)
    rows = list(joined)
    assert list(joined.shuffle(seed)) == [rows[position] for position in order]


def test_rows_of_joined_files_keep_their_file_and_line(tmp_path: Path) -> None:
    names = [tmp_path / "a.jsonl", tmp_path / "b.jsonl"]
    joined = file_of(names[0], "0", "", "1") + file_of(names[1], "", "2", "x", "4")
    failing = joined.map(plus_hundred)
    places = [(names[0], 1), (names[0], 3), (names[1], 2), (names[1], 3), (names[1], 4)]
    for view in (
        joined,
        failing,
        failing.filter(bool),
        failing.shuffle(3).shuffle(4),
        failing[::-1],
    ):
        found = [place for place in view.located() if not passed_over(place[2])]
        assert sorted((file, line) for file, line, _ in found) == [(str(f), n) for f, n in places]
    faults = [row for *_, row in failing.located() if not isinstance(row, dict)]
    assert [(p.file, p.line, p.code) for p in faults if p.severity.value == "error"] == [
        (str(names[1]), 3, "map-failed")
    ]
    for view in (failing, failing.shuffle(1)):
        with pytest.raises(DataError, match=r"b\.jsonl:3: "):
            list(view)


def test_joined_data_names_its_files_and_only_the_first_of_many() -> None:
    parts = [numbers(1, source=name) for name in "abcde"]
    assert (parts[0] + parts[1]).source == "a + b"
    assert (parts[0] + parts[0]).source == "a"
    assert Dataset.concat(*parts).source == "a + b + c and 2 more"


def test_only_datasets_are_joined() -> None:
    with pytest.raises(DataError, match="at least one"):
        Dataset.concat()
    with pytest.raises(DataError, match="joins datasets, not list"):
        Dataset.concat(numbers(1), [])  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        numbers(1) + 1


def test_a_file_that_changed_is_refused_by_each_view_that_looks_rows_up(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    data = file_of(path, *map(str, range(10)))
    views = [data.filter(odd), data[4:], data.shuffle(), data.sample(3), data + data]
    assert [len(view) for view in views] == [5, 6, 10, 3, 20]
    file_of(path, *map(str, range(11)))
    for view in views:
        with pytest.raises(DataError, match="has changed"):
            view[0]
    with pytest.raises(DataError, match="has changed"):
        list(views[0])


@settings(deadline=None)
@given(rows=st.lists(st.integers(0, 6), max_size=30))
def test_of_equal_rows_the_first_is_kept(rows: list[int]) -> None:
    data = Dataset.from_records([{"text": str(n), "more": n} for n in rows])
    kept = data.dedup()
    assert texts(kept) == list(dict.fromkeys(rows))
    assert len(kept) == len(set(rows))


def test_of_nearly_equal_rows_the_first_is_kept_when_it_is_asked_for() -> None:
    long = " ".join(f"word{n}" for n in range(200))
    data = Dataset.from_records([{"text": text} for text in (long, "short", long + " more", long)])
    assert [row["text"] for row in data.dedup()] == [long, "short", long + " more"]
    assert [row["text"] for row in data.dedup(near=True)] == [long, "short"]


def test_deduplicated_rows_keep_their_line_and_faulty_ones_stay(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(
        '{"a": 1, "b": 2}\n\nbroken\n{"b": 2, "a": 1}\nbroken\n{"a": 2}\n', encoding="utf-8"
    )
    for on_progress in (None, lambda done, total: None):
        kept = Dataset.from_jsonl(path).dedup(on_progress=on_progress)
        assert [line for line, _ in kept.entries()] == [1, 3, 5, 6]


def test_long_work_says_how_far_it_is(tmp_path: Path) -> None:
    data = file_of(tmp_path / "a.jsonl", *map(str, range(2500)))
    size = (tmp_path / "a.jsonl").stat().st_size
    calls: list[tuple[int, int | None]] = []

    def note(done: int, total: int | None) -> None:
        calls.append((done, total))

    rows = [(1000, 2500), (2000, 2500), (2500, 2500)]
    part, _ = data.split(0.8, 0.2, by="text", on_progress=note)
    assert calls == [(size, size), *rows]
    calls.clear()
    part.write_jsonl(tmp_path / "b.jsonl", on_progress=note)
    assert calls == [(1000, 2000), (2000, 2000)]
    calls.clear()
    data.filter(odd).split(0.5, 0.5, on_progress=note)
    assert calls == rows
    calls.clear()
    (data + data[:10]).split(5, on_progress=note)
    assert calls == []


def test_finding_the_rows_of_a_large_file_reports_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text((json.dumps({"text": "x" * 99_000}) + "\n") * 100, encoding="utf-8")
    calls: list[tuple[int, int | None]] = []
    Dataset.from_jsonl(path).split(1.0, on_progress=lambda *call: calls.append(call))
    size = path.stat().st_size
    assert len(calls) > 2
    assert calls[-1] == (size, size)
    assert calls == sorted(calls)


def test_formats_are_read_and_written_by_name(tmp_path: Path) -> None:
    rows = [
        {"prompt": f"What is {n}?", "completion": "A number." if n else "Nothing."}
        for n in range(3)
    ]
    data = Dataset.from_records(rows)
    for name in ("rows.jsonl", "rows.csv", "rows.tsv"):
        calls: list[tuple[int, int | None]] = []
        format = {"rows.jsonl": "openai"}.get(name, name[5:])
        report = data.write(
            tmp_path / name, format=format, on_progress=lambda *call, said=calls: said.append(call)
        )
        assert (report.rows, report.bytes) == (3, (tmp_path / name).stat().st_size)
        assert calls == [(3, 3)]
        assert list(Dataset.read(tmp_path / name)) == rows
        assert list(Dataset.read(tmp_path / name, format=format)) == rows


def test_columns_and_delimiter_reach_the_reader(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("q;a\n2+2?;4\n", encoding="utf-8")
    columns = {"user": "{q}", "assistant": "{a}"}
    (row,) = Dataset.read(path, format="csv", columns=columns, delimiter=";")
    assert [message["content"] for message in row["messages"]] == ["2+2?", "4"]


def test_parquet_and_hugging_face_datasets_come_and_go(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    datasets = pytest.importorskip("datasets")
    rows = [{"text": str(n)} for n in range(10)]
    data = Dataset.from_records(rows)
    data.write(tmp_path / "a.parquet", format="parquet")
    table = Dataset.from_parquet(tmp_path / "a.parquet")
    assert list(table) == rows
    arrow = data.to_huggingface()
    assert isinstance(arrow, datasets.Dataset)
    back = Dataset.from_huggingface(arrow, source="mine")
    assert (back.source, list(back)) == ("mine", rows)
    joined = table + data + back
    order = permutation(30, 5)
    assert list(joined.shuffle(5)) == [(rows * 3)[position] for position in order]

"""Files of every format: told apart, read with their own line numbers, written whole or not."""

from __future__ import annotations

import json
import os
import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.blocks import ROOT, blocks
from tunekit.data import Dataset
from tunekit.data.formats import FORMATS, ColumnMapping, detect, read, write
from tunekit.data.formats.arrays import JsonArraySource
from tunekit.data.formats.writing import LISTED
from tunekit.data.tables import ParquetSource
from tunekit.errors import ConfigError, DataError, MissingExtraError

Row = dict[str, Any]


def chat(asked: str, said: str, **more: Any) -> Row:
    answer = {"role": "assistant", "content": said, **more}
    return {"messages": [{"role": "user", "content": asked}, answer]}


CHAT = [chat("2+2?", "4"), chat("3+3?", "6")]
PAIR = {
    "input": {"messages": [{"role": "user", "content": "2+2?"}]},
    "preferred_output": [{"role": "assistant", "content": "4"}],
    "non_preferred_output": [{"role": "assistant", "content": "5"}],
}


def jsonl(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


TURNS = {"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]}


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("openai", [chat("a", "b")]),
        ("openai", [PAIR]),
        ("openai", [{"text": "a"}]),
        ("openai", [{"text": "[1, 2]"}]),
        ("openai", [{"prompt": "a", "completion": "b"}]),
        ("sharegpt", [TURNS]),
        ("sharegpt", [{"messages": TURNS["conversations"]}]),
        ("alpaca", [{"instruction": "a", "input": "", "output": "b"}]),
        ("alpaca", [{"instruction": "a", "input": "", "chosen": "b", "rejected": "c"}]),
        ("autotrain", [{"text": [{"role": "user", "content": "a"}]}]),
        ("autotrain", [{"text": "[{'role': 'user', 'content': 'a'}]"}]),
        ("autotrain", [{"prompt": "a", "text": "b", "rejected_text": "c"}]),
        ("trl", [{"prompt": "a", "chosen": "b", "rejected": "c"}]),
        ("trl", [{"prompt": "a"}]),
        ("trl", [{"prompt": [{"role": "user", "content": "a"}], "answer": "b"}]),
        ("trl", [{"prompt": "a", "completion": "b", "label": True}]),
        ("trl", [chat("a", "b"), chat("a", "", tool_calls=[{"function": {"name": "f"}}])]),
    ],
)
def test_a_format_is_told_by_the_rows(tmp_path: Path, name: str, rows: list[Row]) -> None:
    assert detect(jsonl(tmp_path / "a.jsonl", *rows)) == name


def test_empty_and_broken_lines_do_not_keep_a_format_from_being_told(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('\n{"broken\n' + json.dumps(TURNS) + "\n", encoding="utf-8")
    assert detect(path) == "sharegpt"
    assert [line for line, row in read(path).entries() if isinstance(row, dict)] == [3]


def test_a_table_is_told_by_its_ending(tmp_path: Path) -> None:
    for name in ("csv", "tsv", "parquet"):
        path = tmp_path / f"a.{name.upper()}"
        path.write_bytes(b"anything")
        assert detect(path) == name


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"question": "a", "reply": "b"}], r"line 1 has the keys 'question', 'reply'"),
        ([{"prompt": "a", "response": "b"}], r"line 1 has the keys 'prompt', 'response'"),
        ([TURNS, chat("a", "b")], r"line 1 looks like sharegpt, but line 2 like openai or trl"),
        ([], "no row that can be read"),
    ],
)
def test_a_format_that_cannot_be_told_is_an_error_with_the_keys(
    tmp_path: Path, rows: list[Row], said: str
) -> None:
    with pytest.raises(DataError, match=said) as caught:
        detect(jsonl(tmp_path / "a.jsonl", *rows))
    assert caught.value.next_step


def test_a_missing_file_is_refused_at_once(tmp_path: Path) -> None:
    for name in ("a.jsonl", "a.csv", "a.parquet"):
        with pytest.raises(DataError, match="does not exist"):
            read(tmp_path / name)
    with pytest.raises(DataError, match="is no regular file"):
        ParquetSource(tmp_path)


def test_an_unknown_format_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'sharegtp'.*'sharegpt'"):
        read(jsonl(tmp_path / "a.jsonl", TURNS), format="sharegtp")
    with pytest.raises(ConfigError, match="'opena'"):
        write(Dataset.from_records(CHAT), tmp_path / "b.jsonl", format="opena")


def test_faults_of_foreign_rows_have_the_lines_of_the_file(tmp_path: Path) -> None:
    cat = {"conversations": [{"from": "cat", "value": "miaow"}]}
    path = tmp_path / "a.jsonl"
    path.write_text(f"{json.dumps(TURNS)}\n\n{json.dumps(cat)}\n", encoding="utf-8")
    found = [(p.line, p.code) for p in read(path).check() if p.severity.value == "error"]
    assert (3, "unknown-speaker") in found


def test_what_is_read_pickles_and_splits(tmp_path: Path) -> None:
    data = read(jsonl(tmp_path / "a.jsonl", *[TURNS] * 4))
    again = pickle.loads(pickle.dumps(data))  # noqa: S301 - our own bytes
    assert list(again) == list(data) == [chat("a", "b")] * 4
    assert [len(part) for part in data.split(0.5, 0.5)] == [2, 2]


def test_openai_rows_are_not_touched(tmp_path: Path) -> None:
    row = {"messages": "broken", "weight": None}
    assert list(read(jsonl(tmp_path / "a.jsonl", row), format="openai")) == [row]


def test_azure_files_begin_with_a_byte_order_mark_and_are_read_like_openais(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.jsonl"
    report = write(Dataset.from_records(CHAT), path, format="azure")
    content = path.read_bytes()
    assert content.startswith(b"\xef\xbb\xbf{")
    assert content.count(b"\xef\xbb\xbf") == 1
    assert (report.format, report.rows, report.bytes) == ("azure", 2, len(content))
    assert detect(path) == "azure"
    assert list(read(path)) == CHAT


@pytest.mark.parametrize("name", [*FORMATS])
def test_each_format_is_written_with_the_same_bytes_and_read_again(
    tmp_path: Path, name: str
) -> None:
    ending = name if name in ("csv", "tsv", "parquet") else "jsonl"
    one, two = tmp_path / f"1.{ending}", tmp_path / f"2.{ending}"
    data = Dataset.from_records(CHAT)
    report = write(data, one, format=name)
    write(data, two, format=name)
    assert one.read_bytes() == two.read_bytes()
    assert (report.rows, report.bytes, report.losses) == (2, one.stat().st_size, ())
    assert list(read(one)) == CHAT
    assert sorted(os.listdir(tmp_path)) == [one.name, two.name]


@pytest.mark.parametrize("name", ["csv", "tsv", "parquet"])
@pytest.mark.parametrize(
    "rows", [[PAIR], [{"text": "a"}, {"text": ""}], [{"prompt": "007", "completion": ""}], []]
)
def test_tables_hold_every_kind_of_one_round(tmp_path: Path, name: str, rows: list[Row]) -> None:
    path = tmp_path / f"a.{name}"
    assert write(Dataset.from_records(rows), path, format=name).rows == len(rows)
    assert list(read(path)) == rows


def test_a_table_holds_rows_of_one_kind(tmp_path: Path) -> None:
    data = Dataset.from_records([{"text": "a"}, chat("a", "b")])
    with pytest.raises(DataError, match=r"other-columns \(1\)") as caught:
        write(data, tmp_path / "a.csv", format="csv")
    assert [problem.line for problem in caught.value.problems] == [2]


@given(rows=st.lists(st.tuples(st.text(), st.text()), min_size=1, max_size=5))
def test_every_text_survives_a_table(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]
) -> None:
    folder = tmp_path_factory.mktemp("tables")
    made = [{"prompt": one, "completion": two} for one, two in rows]
    for name in ("csv", "tsv", "parquet"):
        path = folder / f"a.{name}"
        write(Dataset.from_records(made), path, format=name)
        assert list(read(path)) == made


def test_half_of_a_surrogate_pair_has_no_place_in_a_table(tmp_path: Path) -> None:
    data = Dataset.from_records([{"text": "\ud83e"}])
    for name in ("csv", "parquet"):
        with pytest.raises(DataError, match="surrogate"):
            write(data, tmp_path / f"a.{name}", format=name)


def test_a_loss_keeps_everything_from_being_written(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "old.jsonl", {"text": "before"})
    data = Dataset.from_records([chat("a", "b"), chat("a", "b", weight=0)])
    with pytest.raises(DataError, match=r"lost-weight \(1\)") as caught:
        write(data, path, format="trl")
    (problem,) = caught.value.problems
    assert (problem.code, problem.line, problem.path, problem.severity.value) == (
        "lost-weight",
        2,
        "messages[1].weight",
        "error",
    )
    assert "allow_loss=True" in caught.value.next_step
    assert list(read(path)) == [{"text": "before"}]
    assert os.listdir(tmp_path) == ["old.jsonl"]


def test_an_accepted_loss_is_a_warning_of_the_report(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    report = write(
        Dataset.from_records([chat("a", "b", weight=0)]), path, format="trl", allow_loss=True
    )
    assert [(p.code, p.line, p.severity.value) for p in report.losses] == [
        ("lost-weight", 1, "warning")
    ]
    assert report.counts == {"lost-weight": 1}
    assert list(read(path)) == [chat("a", "b")]


def test_many_losses_are_counted_and_not_all_listed(tmp_path: Path) -> None:
    data = Dataset.from_records([chat("a", "b", weight=0)] * (LISTED + 5))
    report = write(data, tmp_path / "a.jsonl", format="trl", allow_loss=True)
    assert len(report.losses) == LISTED + 1
    assert report.losses[-1].message == "There are 5 more of these."
    assert report.counts == {"lost-weight": LISTED + 5}


def test_a_row_that_cannot_be_held_stops_the_writing_whatever_is_allowed(tmp_path: Path) -> None:
    data = Dataset.from_records([chat("a", "b"), {"text": "c"}])
    with pytest.raises(DataError, match=r"unheld-row \(1\)") as caught:
        write(data, tmp_path / "a.jsonl", format="sharegpt", allow_loss=True)
    assert [problem.line for problem in caught.value.problems] == [2]
    assert "filter" in caught.value.next_step
    assert os.listdir(tmp_path) == []


def test_every_unreadable_row_is_named_at_once(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "a"}\n{\n\n[]\n', encoding="utf-8")
    with pytest.raises(DataError) as caught:
        write(read(path), tmp_path / "b.jsonl")
    assert [(p.line, p.code) for p in caught.value.problems] == [
        (2, "invalid-json"),
        (4, "not-an-object"),
    ]


def test_a_file_may_be_converted_in_its_place(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", TURNS)
    write(read(path), path)
    assert list(read(path, format="openai")) == [chat("a", "b")]


def test_a_folder_that_is_not_there_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be written"):
        write(Dataset.from_records(CHAT), tmp_path / "no" / "a.jsonl")


def test_an_ending_and_a_format_must_not_contradict_each_other(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'\.csv'"):
        write(Dataset.from_records(CHAT), tmp_path / "a.csv", format="openai")


# JSON arrays


def test_json_arrays_are_written_and_read(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write(Dataset.from_records(CHAT), path, format="alpaca")
    assert [row["output"] for row in json.loads(path.read_bytes())] == ["4", "6"]
    assert detect(path) == "alpaca"
    assert list(read(path)) == CHAT
    write(Dataset.from_records([]), path)
    assert json.loads(path.read_bytes()) == []


@given(
    rows=st.lists(
        st.dictionaries(st.text(max_size=5), st.text(max_size=5) | st.lists(st.integers())),
        max_size=5,
    ),
    indent=st.sampled_from([None, 0, 2]),
    bom=st.booleans(),
    ascii_only=st.booleans(),
    chunk=st.sampled_from([1, 2, 7, 65536]),
)
def test_elements_of_an_array_are_found_however_it_is_laid_out(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[Row],
    indent: int | None,
    bom: bool,
    ascii_only: bool,
    chunk: int,
) -> None:
    path = tmp_path_factory.mktemp("arrays") / "a.json"
    text = json.dumps(rows, indent=indent, ensure_ascii=ascii_only)
    path.write_text(text, encoding="utf-8-sig" if bom else "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tunekit.data.formats.arrays._CHUNK", chunk)
        source = JsonArraySource(path)
        found = list(source.entries())
        assert [row for _, row in found] == rows
        order = list(range(len(rows)))[::-1]
        assert list(source.pick(order)) == [found[position] for position in order]
    assert source.count() == len(rows)
    lines = text.split("\n")
    assert all("{" in lines[number - 1] for number, _ in found)


@pytest.mark.parametrize(
    ("content", "faults"),
    [
        ('[{"text": "a"}', [(1, "invalid-json")]),
        ('[{"text": "a"},]', [(1, "invalid-json")]),
        ('[{"text": "a"}] x', [(1, "invalid-json")]),
        ('[{"text": "a"},\n{"text": \n}]', [(2, "invalid-json")]),
        ('[{"text": "a"},\n3, , {"text": "b"}]', [(2, "not-an-object"), (2, "not-an-object")]),
        ('[{"text": "a"}\n{"text": "b"}]', [(1, "invalid-json")]),
        ('[{"text": "a"},}]', [(1, "invalid-json")]),
        ('[{"text": "a"},"\\', [(1, "invalid-json"), (1, "invalid-json")]),
    ],
)
def test_faults_of_an_array_are_named(
    tmp_path: Path, content: str, faults: list[tuple[int, str]]
) -> None:
    path = tmp_path / "a.json"
    path.write_text(content, encoding="utf-8")
    data = read(path, format="openai")
    found = [(p.line, p.code) for p in data.check() if p.severity.value == "error"]
    assert found == faults
    (shuffled,) = data.split(1.0, seed=1)
    assert sorted((p.line, p.code) for p in shuffled.check() if p.line) == sorted(faults)


@given(content=st.binary(max_size=60).map(lambda tail: b"[" + tail))
def test_any_bytes_after_a_bracket_end_in_a_report(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.mktemp("bytes") / "a.json"
    path.write_bytes(content)
    read(path, format="openai").check()


# Parquet


def parquet(path: Path, columns: Mapping[str, Any], **options: Any) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table(columns), path, **options)
    return path


def test_parquet_is_read_in_order_and_by_position_across_row_groups(tmp_path: Path) -> None:
    numbers = list(range(5000))
    path = parquet(tmp_path / "a.parquet", {"text": [f"n{n}" for n in numbers]}, row_group_size=700)
    source = ParquetSource(path)
    assert source.count() == 5000
    assert list(source.entries()) == [(n + 1, {"text": f"n{n}"}) for n in numbers]
    order = [4999, 0, 700, 699, 0, *range(4000, 100, -3)]
    assert [line for line, _ in source.pick(order)] == [n + 1 for n in order]
    assert [row for _, row in source.pick(order)] == [{"text": f"n{n}"} for n in order]
    parts = read(path).split(0.5, 0.5, seed=3)
    assert sorted(row["text"] for part in parts for row in part) == sorted(f"n{n}" for n in numbers)


def test_long_rows_make_the_window_of_a_parquet_file_smaller(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tunekit.data.tables.BATCH", 2)
    monkeypatch.setattr("tunekit.data.tables.WINDOW_BYTES", 1)
    path = parquet(tmp_path / "a.parquet", {"text": list("abcdefgh")}, row_group_size=3)
    order = [7, 0, 3, 3, 6, 1]
    found = [row for _, row in ParquetSource(path).pick(order)]
    assert found == [{"text": "abcdefgh"[n]} for n in order]


def test_nested_parquet_of_another_format_is_read_without_fillers(tmp_path: Path) -> None:
    import datetime
    import decimal

    turns = [
        [{"role": "user", "content": "a", "name": "Ann"}, {"role": "assistant", "content": "b"}],
        [{"role": "user", "content": "c"}, {"role": "assistant", "content": None}],
    ]
    day = datetime.date(2026, 1, 2)
    columns = {"messages": turns, "day": [day, None], "price": [decimal.Decimal("1.50"), None]}
    data = read(parquet(tmp_path / "a.parquet", columns))
    assert list(data) == [
        {"messages": turns[0], "day": "2026-01-02", "price": "1.50"},
        {"messages": turns[1]},
    ]


def test_a_column_of_bytes_is_in_the_way_only_where_it_is_read(tmp_path: Path) -> None:
    columns = {"q": ["a"], "a": [4], "image": [b"\xff"]}
    path = parquet(tmp_path / "a.parquet", columns)
    assert list(read(path, columns={"user": "{q}", "assistant": "{a}"})) == [chat("a", "4")]
    (problem,) = [p for p in read(path).check() if p.code == "not-json"]
    assert problem.line == 1


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + b"x" * 100 + b"PAR1"])
def test_a_broken_parquet_file_is_a_clear_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(content)
    with pytest.raises(DataError, match="no Parquet file"):
        list(read(path))


def test_a_parquet_file_that_changes_is_noticed(tmp_path: Path) -> None:
    path = parquet(tmp_path / "a.parquet", {"text": ["a", "b"]})
    (data,) = read(path).split(1.0)
    parquet(path, {"text": ["a", "b", "and more"]})
    with pytest.raises(DataError, match="has changed"):
        list(data)


def test_without_pyarrow_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = parquet(tmp_path / "a.parquet", {"text": ["a"]})
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    with pytest.raises(MissingExtraError, match=r"'\.\[tables\]'"):
        list(read(path))
    with pytest.raises(MissingExtraError, match="Writing a Parquet file"):
        write(Dataset.from_records(CHAT), path, format="parquet")
    assert path.exists()


# Mappings


def test_a_mapping_reads_any_table_and_json_rows(tmp_path: Path) -> None:
    columns = {"system": "Add.", "user": "{q}?", "assistant": "{a}"}
    row = {"q": "2+2", "a": "4", "note": ""}
    wanted = [{"messages": [{"role": "system", "content": "Add."}, *CHAT[0]["messages"]]}]
    table = "q{0}a{0}note\n2+2{0}4{0}\n"
    (tmp_path / "a.csv").write_text(table.format(";"))
    (tmp_path / "a.tsv").write_text(table.format("\t"))
    (tmp_path / "table.txt").write_text(table.format(","))
    parquet(tmp_path / "a.parquet", {key: [value] for key, value in row.items()})
    jsonl(tmp_path / "a.jsonl", row)
    assert list(read(tmp_path / "a.csv", columns=columns, delimiter=";")) == wanted
    assert list(read(tmp_path / "a.tsv", columns=columns)) == wanted
    assert list(read(tmp_path / "table.txt", format="csv", columns=columns)) == wanted
    assert list(read(tmp_path / "a.parquet", columns=columns)) == wanted
    assert list(read(tmp_path / "a.jsonl", columns=columns)) == wanted
    with pytest.raises(ConfigError, match="'trl'"):
        read(tmp_path / "a.jsonl", format="trl", columns=columns)


@pytest.mark.parametrize("name", ["csv", "parquet"])
def test_a_table_is_written_with_the_mapping_that_reads_it(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"a.{name}"
    mapping = ColumnMapping.parse({"system": "Add.", "user": "Q: {q}?", "assistant": "{a}"})
    rows = [
        {"messages": [{"role": "system", "content": "Add."}, *chat("Q: 2+2?", "4")["messages"]]}
    ]
    write(Dataset.from_records(rows), path, format=name, columns=mapping)
    assert list(read(path, columns=mapping)) == rows
    assert list(read(path, columns={"text": "{q}"})) == [{"text": "2+2"}]


def test_a_mapping_writes_tables_only(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is for tables"):
        write(
            Dataset.from_records(CHAT),
            tmp_path / "a.jsonl",
            columns={"user": "{q}", "assistant": "{a}"},
        )


def test_a_column_that_is_not_there_is_named_with_the_nearest(tmp_path: Path) -> None:
    parquet(tmp_path / "a.parquet", {"question": ["a"], "answer": ["b"]})
    data = read(tmp_path / "a.parquet", columns={"user": "{question}", "assistant": "{answr}"})
    with pytest.raises(DataError, match="'answr'"):
        list(data)


def test_blocks_of_the_formats_page_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("datasets")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in blocks("docs/data-formats.md", "python"):
        exec(compile(block, "docs/data-formats.md", "exec"), names)  # noqa: S102 - our own page
    assert detect("train.jsonl") == "openai"


def test_the_formats_page_has_a_line_for_each_format() -> None:
    page = (ROOT / "docs" / "data-formats.md").read_text(encoding="utf-8")
    table = page.partition("## The formats")[2].partition("What of a row")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, flags=re.MULTILINE) == FORMATS_IN_ORDER


FORMATS_IN_ORDER = "openai azure trl sharegpt alpaca autotrain csv tsv parquet".split()  # noqa: SIM905


def test_the_help_of_convert_names_every_format() -> None:
    from tunekit.cli.convert import convert

    assert set(FORMATS) == set(FORMATS_IN_ORDER)
    assert f"Formats: {', '.join(FORMATS_IN_ORDER)}." in (convert.__doc__ or "")


def test_what_follows_an_array_is_no_row_by_position_either(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('[{"text": "a"}] {"text": "b"}', encoding="utf-8")
    data = Dataset(JsonArraySource(path))
    assert len(data) == 2
    assert data[0] == {"text": "a"}
    with pytest.raises(DataError, match="something follows its end"):
        _ = data[1]
    copy = pickle.loads(pickle.dumps(data))  # noqa: S301
    with pytest.raises(DataError, match="something follows its end"):
        _ = copy[1]


def test_losses_of_joined_files_name_the_file_that_they_are_in(tmp_path: Path) -> None:
    rows = [{"text": "a"}, {"messages": [{"role": "user", "content": "q", "weight": 0}]}, {"no": 1}]
    joined = Dataset.concat(
        *(Dataset.from_jsonl(jsonl(tmp_path / f"{n}.jsonl", row)) for n, row in enumerate(rows))
    )
    with pytest.raises(DataError) as caught:
        write(joined, tmp_path / "out.jsonl", format="trl")
    assert [(p.code, p.file, p.line) for p in caught.value.problems] == [
        ("lost-weight", str(tmp_path / "1.jsonl"), 1),
        ("unrecognised-structure", str(tmp_path / "2.jsonl"), 1),
    ]


def test_a_lost_key_without_utf8_can_still_be_printed(tmp_path: Path) -> None:
    messages = [{"role": "user", "content": "q", "\ud800": 1}]
    data = Dataset.from_records([{"messages": messages}])
    report = write(data, tmp_path / "a.jsonl", format="trl", allow_loss=True)
    assert str(report.losses[0]).encode()


@pytest.mark.parametrize("name", ["trl", "sharegpt"])
@pytest.mark.parametrize(
    "arguments",
    ['{"x": 1e999}', '{"x": NaN}', *('{"x": %s}' % ("[" * n + "]" * n) for n in (195, 250))],
)
def test_arguments_that_a_file_could_not_hold_as_json_stay_text(
    tmp_path: Path, name: str, arguments: str
) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": arguments}}
    said = {"role": "assistant", "content": None, "tool_calls": [call]}
    row = {"messages": [{"role": "user", "content": "q"}, said]}
    write(Dataset.from_records([row]), tmp_path / "a.jsonl", format=name)
    assert list(read(tmp_path / "a.jsonl", format=name)) == [row]


def test_rows_go_to_a_parquet_file_in_groups(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    data = Dataset.from_records([{"text": str(n)} for n in range(5000)])
    write(data, tmp_path / "a.parquet", format="parquet")
    assert pq.ParquetFile(tmp_path / "a.parquet").num_row_groups == 2

"""Datasets read, map, take, pickle, write and describe their rows."""

from __future__ import annotations

import datetime
import hashlib
import importlib
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunekit.data import (
    ChatRecord,
    DataKind,
    Dataset,
    FunctionCall,
    FunctionDefinition,
    Message,
    TextRecord,
    Tool,
    ToolCall,
    files,
    summarize,
)
from tunekit.data.files import JsonlSource
from tunekit.data.sources import passed_over
from tunekit.errors import DataError, MissingExtraError

CHAT = {"messages": [{"role": "user", "content": "æ?"}, {"role": "assistant", "content": "ø 🦊"}]}


def jsonl(path: Path, *rows: Any, bom: bool = False) -> Path:
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_text(text, encoding="utf-8-sig" if bom else "utf-8")
    return path


@pytest.mark.parametrize("bom", [False, True])
def test_json_lines_are_read_again_and_again(tmp_path: Path, bom: bool) -> None:
    path = jsonl(tmp_path / "a.jsonl", CHAT, {"text": "b"}, bom=bom)
    data = Dataset.from_jsonl(path)
    assert list(data) == list(data) == [CHAT, {"text": "b"}]
    assert list(data.numbered()) == [(1, CHAT), (2, {"text": "b"})]
    assert len(data) == 2
    assert data.source == str(path)
    assert data.kind is DataKind.CHAT


def test_a_last_line_without_newline_and_windows_line_ends_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"text": "a"}\r\n\r\n{"text": "b\xe2\x80\xa8c"}')
    data = Dataset.from_jsonl(path)
    assert list(data.numbered()) == [(1, {"text": "a"}), (3, {"text": "b\u2028c"})]
    assert len(data) == 2


def test_csv_rows_are_objects_by_column(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('prompt;completion\n"a;""b""";c\n\nd;\n', encoding="utf-8-sig")
    data = Dataset.from_csv(path, delimiter=";")
    assert list(data.numbered()) == [
        (2, {"prompt": 'a;"b"', "completion": "c"}),
        (4, {"prompt": "d", "completion": ""}),
    ]
    assert data.kind is DataKind.PROMPT_COMPLETION
    assert len(data) == 2


def test_csv_fields_may_be_longer_than_the_reader_allows_by_default(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text\n" + "x" * 200_000 + "\n", encoding="utf-8")
    assert len(next(iter(Dataset.from_csv(path)))["text"]) == 200_000


def test_each_broken_csv_record_is_found_where_it_begins(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b'a,text\n1,x\n1\n1,2,3\n1,"x"y\n1,\xff\n"1\n2",x\n1,"never closed\n1,x\n')
    problems = Dataset.from_csv(path).check()
    assert [(p.line, p.code) for p in problems if p.severity.value == "error"] == [
        (3, "csv-field-count"),
        (4, "csv-field-count"),
        (5, "bad-csv"),
        (6, "bad-utf8"),
        (9, "bad-csv"),
    ]


def test_a_csv_header_with_a_name_twice_is_one_problem(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text,text\na,b\nc,d\n", encoding="utf-8")
    assert [p.code for p in Dataset.from_csv(path).check()] == ["csv-header", "few-rows"]
    (whole,) = Dataset.from_csv(path).split(1.0)
    with pytest.raises(DataError, match="'text' twice"):
        list(whole)


@pytest.mark.parametrize("delimiter", ["", ",,", '"', "\n", 5, None, [","]])
def test_a_delimiter_is_one_character(tmp_path: Path, delimiter: Any) -> None:
    path = jsonl(tmp_path / "a.csv", {})
    with pytest.raises(DataError, match="`delimiter`"):
        Dataset.from_csv(path, delimiter=delimiter)


def test_a_missing_file_is_refused_at_once_with_the_folder_that_was_searched() -> None:
    with pytest.raises(DataError, match=r"'nowhere\.jsonl' does not exist.*Paths start from"):
        Dataset.from_jsonl("nowhere.jsonl")


def test_a_folder_is_no_data_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is no regular file"):
        Dataset.from_csv(tmp_path)


def test_columns_of_unknown_structure_are_an_error_only_when_the_kind_is_asked_for(
    tmp_path: Path,
) -> None:
    path = tmp_path / "recipes.csv"
    path.write_text("title,NER\nsoup,water\n", encoding="utf-8")
    data = Dataset.from_csv(path)
    assert list(data) == [{"title": "soup", "NER": "water"}]
    with pytest.raises(DataError, match=r"recipes\.csv.*'title', 'NER'.*\.map\(fn\)"):
        _ = data.kind
    mapped = data.map(
        lambda row: [
            {"role": "user", "content": row["title"]},
            {"role": "assistant", "content": row["NER"]},
        ]
    )
    assert mapped.kind is DataKind.CHAT


def test_a_row_that_cannot_be_read_stops_iteration_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "a"}\n{"text": \n', encoding="utf-8")
    rows = iter(Dataset.from_jsonl(path))
    assert next(rows) == {"text": "a"}
    with pytest.raises(DataError, match=r"a\.jsonl:2: .*invalid-json") as caught:
        next(rows)
    assert [p.line for p in caught.value.problems] == [2]


def test_records_are_copied_and_generators_kept() -> None:
    rows = [{"text": "a", "more": [1]}]
    data = Dataset.from_records(row for row in rows)
    rows[0]["text"] = "changed"
    next(iter(data))["more"].append(2)
    assert list(data) == list(data) == [{"text": "a", "more": [1]}]


def test_one_row_is_not_taken_for_a_list_of_rows() -> None:
    with pytest.raises(DataError, match="a list of rows"):
        Dataset.from_records({"text": "a"})  # type: ignore[dict-item]


def test_typed_records_are_rows() -> None:
    parameters = {"type": "object", "properties": {"x": {"default": None}}}
    record = ChatRecord(
        messages=[
            Message(role="user", content="?"),
            Message(
                role="assistant",
                tool_calls=[ToolCall(id="c", function=FunctionCall(name="f", arguments="{}"))],
            ),
        ],
        tools=[Tool(function=FunctionDefinition(name="f", parameters=parameters))],
    )
    expected = {
        "messages": [
            {"role": "user", "content": "?"},
            {
                "role": "assistant",
                "tool_calls": [
                    {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
                ],
            },
        ],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": parameters}}],
    }
    assert list(Dataset.from_records([record])) == [expected]
    texts = Dataset.from_records([{"text": "a"}])
    assert list(texts.map(lambda row: TextRecord(text=row["text"] * 2))) == [{"text": "aa"}]
    assert next(iter(texts.map(lambda _: list(record.messages)))) == {
        "messages": expected["messages"]
    }


def test_map_is_lazy_chained_and_given_rows_of_its_own() -> None:
    calls: list[str] = []

    def shout(row: dict[str, Any]) -> dict[str, Any]:
        calls.append(row["text"])
        row["text"] += "!"
        return row

    data = Dataset.from_records([{"text": "a"}, {"text": "b"}]).map(shout).map(shout)
    assert calls == []
    assert list(data) == list(data) == [{"text": "a!!"}, {"text": "b!!"}]
    assert next(iter(data.map(double).map(shout)))["text"] == "a!!a!!!"


def test_a_mapping_that_raises_is_an_error_of_its_line(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", {"text": "a"}, {"txt": "b"})
    data = Dataset.from_jsonl(path).map(lambda row: {"text": row["text"]})
    with pytest.raises(DataError, match=r"a\.jsonl:2: .*raised KeyError: 'text'"):
        list(data)
    assert [(p.code, p.line) for p in data.check() if p.code != "few-rows"] == [("map-failed", 2)]


@pytest.mark.parametrize(("result", "code"), [(None, "not-an-object"), ({"text": {1}}, "not-json")])
def test_a_mapping_must_give_a_row(result: Any, code: str) -> None:
    data = Dataset.from_records([{"text": "a"}]).map(lambda _: result)
    assert [p.code for p in data.check() if p.code != "few-rows"] == [code]


def test_take_keeps_the_first_rows_and_reads_no_further(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "a"}\n\n{"text": "b"}\nbroken\n', encoding="utf-8")
    data = Dataset.from_jsonl(path)
    assert list(data.take(2)) == [{"text": "a"}, {"text": "b"}]
    assert [len(data.take(n)) for n in (0, 2, 9)] == [0, 2, 3]
    first, second = data.take(2).split(1, 1)
    assert sorted(row["text"] for part in (first, second) for row in part) == ["a", "b"]
    with pytest.raises(DataError):
        data.take(-1)


def double(row: dict[str, Any]) -> dict[str, Any]:
    return {"text": row["text"] * 2}


def test_datasets_pickle(tmp_path: Path) -> None:
    text = jsonl(tmp_path / "a.jsonl", *({"text": str(n)} for n in range(9)))
    table = tmp_path / "a.csv"
    table.write_text("text\n" + "\n".join(map(str, range(9))), encoding="utf-8")
    for data in (
        Dataset.from_jsonl(text),
        Dataset.from_csv(table),
        Dataset.from_records([{"text": str(n)} for n in range(9)]),
    ):
        part = data.map(double).split(0.5, 0.5, seed=2)[1].take(3)
        copy = pickle.loads(pickle.dumps(part))  # noqa: S301
        assert list(copy) == list(part)
        assert len(copy) == 3


def test_written_files_are_one_object_a_line_and_the_same_each_time(tmp_path: Path) -> None:
    data = Dataset.from_records([CHAT, {"text": "a\nb", "n": 1.0}])
    target = tmp_path / "out.jsonl"
    assert data.write_jsonl(target) == 2
    assert target.read_text(encoding="utf-8") == (
        '{"messages":[{"role":"user","content":"æ?"},{"role":"assistant","content":"ø 🦊"}]}\n'
        '{"text":"a\\nb","n":1.0}\n'
    )
    assert os.listdir(tmp_path) == ["out.jsonl"]


def test_a_file_may_be_rewritten_from_itself(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", {"text": "a"}, {"text": "b"})
    Dataset.from_jsonl(path).map(double).write_jsonl(path)
    assert list(Dataset.from_jsonl(path)) == [{"text": "aa"}, {"text": "bb"}]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = jsonl(tmp_path / "out.jsonl", {"text": "old"})
    broken = tmp_path / "broken"
    broken.mkdir()
    source = broken / "a.jsonl"
    source.write_text('{"text": "a"}\n{"text"', encoding="utf-8")
    with pytest.raises(DataError, match="invalid-json"):
        Dataset.from_jsonl(source).write_jsonl(target)
    assert list(Dataset.from_jsonl(target)) == [{"text": "old"}]
    assert sorted(os.listdir(tmp_path)) == ["broken", "out.jsonl"]


@pytest.mark.parametrize("target", ["no/such/folder.jsonl", ".", "file/x.jsonl"])
def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, target: str) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(DataError, match="cannot be written"):
        Dataset.from_records([{"text": "a"}]).write_jsonl(tmp_path / target)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters())
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)  # fmt: skip


@settings(deadline=None)
@given(rows=st.lists(st.dictionaries(st.text(st.characters()), JSON, max_size=4), max_size=6))
def test_what_is_written_reads_back_the_same(
    rows: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("trip") / "a.jsonl"
    data = Dataset.from_records(rows)
    assert data.write_jsonl(path) == len(rows)
    back = Dataset.from_jsonl(path)
    assert list(back) == rows
    assert [list(row) for row in back] == [list(row) for row in rows]
    assert back.fingerprint == data.fingerprint
    again = path.with_name("b.jsonl")
    back.write_jsonl(again)
    assert again.read_bytes() == path.read_bytes()


def test_the_fingerprint_depends_on_content_and_order_of_rows_alone(tmp_path: Path) -> None:
    a, b = {"text": "a", "n": 1}, {"text": "b"}
    data = Dataset.from_records([a, b])
    expected = hashlib.sha256(b'{"n":1,"text":"a"}\n{"text":"b"}\n').hexdigest()
    assert data.fingerprint == data.summary().fingerprint == expected
    path = jsonl(tmp_path / "x.jsonl", {"n": 1, "text": "a"}, b, bom=True)
    assert Dataset.from_jsonl(path).fingerprint == expected
    assert Dataset.from_records([b, a]).fingerprint != expected


SYSTEM = {"role": "system", "content": "Be brief."}


def test_a_summary_gives_the_figures_of_the_file(tmp_path: Path) -> None:
    rows = [
        {"messages": [SYSTEM, *CHAT["messages"]]},
        {"messages": [SYSTEM, {"role": "user", "content": "12345"}, {**CHAT["messages"][1]}]},
    ]
    path = tmp_path / "a.jsonl"
    data = Dataset.from_records(rows, source="memory")
    data.write_jsonl(path)
    summary = data.summary()
    assert (summary.source, summary.kind, summary.rows) == ("memory", DataKind.CHAT, 2)
    assert summary.bytes == path.stat().st_size
    assert summary.longest_chars == len("Be brief.") + 5 + 3
    assert summary.system_prompt == "Be brief."
    assert (summary.has_tools, summary.has_images, summary.has_weights) == (False, False, False)
    assert type(summary).model_validate_json(summary.model_dump_json()) == summary


def test_a_summary_notices_tools_images_and_weights() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    picture = {"type": "image_url", "image_url": {"url": "https://x/y.png"}}

    def flags(*messages: dict[str, Any], **more: Any) -> tuple[bool, bool, bool]:
        rows = [CHAT, {"messages": list(messages), **more}]
        summary = Dataset.from_records(rows).summary()
        return summary.has_tools, summary.has_images, summary.has_weights

    assert flags({"role": "assistant", "tool_calls": [call]}) == (True, False, False)
    assert flags(SYSTEM, tools=[{"type": "function"}]) == (True, False, False)
    assert flags({"role": "user", "content": [picture]}) == (False, True, False)
    assert flags({"role": "assistant", "content": "a", "weight": 0}) == (False, False, True)
    assert flags({"role": "assistant", "content": "a", "weight": None}) == (False, False, False)


def test_there_is_a_common_system_prompt_only_when_all_rows_share_it() -> None:
    with_it = {"messages": [SYSTEM, *CHAT["messages"]]}
    assert Dataset.from_records([with_it, CHAT]).summary().system_prompt is None
    assert Dataset.from_records([with_it, with_it]).summary().system_prompt == "Be brief."
    other = {"messages": [{"role": "developer", "content": "Be long."}, *CHAT["messages"]]}
    for rows in ([with_it, other], [other, with_it], [with_it, with_it, CHAT, other]):
        assert Dataset.from_records(rows).summary().system_prompt is None
    pair = {"input": with_it, "preferred_output": [], "non_preferred_output": []}
    assert Dataset.from_records([pair]).summary().system_prompt == "Be brief."
    prompt = {"prompt": [SYSTEM], "completion": CHAT["messages"][1:]}
    assert Dataset.from_records([prompt]).summary().system_prompt == "Be brief."


def test_a_summary_of_faulty_data_differs_from_that_of_its_good_rows(tmp_path: Path) -> None:
    good = jsonl(tmp_path / "a.jsonl", CHAT)
    bad = tmp_path / "b.jsonl"
    bad.write_bytes(good.read_bytes() + b"broken\n")
    one, other = Dataset.from_jsonl(good).summary(), Dataset.from_jsonl(bad).summary()
    assert one.rows == other.rows == 1
    assert one.fingerprint != other.fingerprint


def test_validation_is_described_beside_training() -> None:
    data = Dataset.from_records([CHAT])
    assert summarize(data).validation is None
    assert summarize(data, data).validation == data.summary()


def test_empty_data_has_no_kind() -> None:
    with pytest.raises(DataError, match="no row that can be read"):
        _ = Dataset.from_records([]).kind
    with pytest.raises(DataError, match="no row that can be read"):
        Dataset.from_records([]).summary()


def test_importing_the_package_stays_light() -> None:
    heavy = ("torch", "datasets", "pandas", "numpy", "pyarrow", "transformers", "openai")
    code = f"import sys, tunekit.data; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_hub_needs_a_package_and_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    data = Dataset.from_hub("someone/recipes", split="test")
    assert data.source == "someone/recipes[test]"
    with pytest.raises(MissingExtraError, match="pip install 'datasets>=5.2'"):
        list(data)


@pytest.mark.torch
def test_a_hub_dataset_is_read_split_and_pickled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    folder = tmp_path / "recipes"
    folder.mkdir()
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    rows = [
        {"messages": [{"role": "user", "content": str(n)}, {"role": "assistant", "content": "a"}]}
        for n in range(10)
    ]
    rows[3]["messages"][1] = {"role": "assistant", "content": None, "tool_calls": [call]}  # type: ignore[dict-item]
    # Parquet has columns: it gives every message the keys of all, filled with nulls.
    parquet = importlib.import_module("pyarrow.parquet")
    table = importlib.import_module("pyarrow").Table.from_pylist(
        [{**row, "day": datetime.date(2026, 1, 2)} for row in rows]
    )
    parquet.write_table(table, folder / "train.parquet")
    assert "tool_calls" in table.to_pylist()[0]["messages"][0]
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    data = Dataset.from_hub(str(folder))
    assert list(data) == [{**row, "day": "2026-01-02"} for row in rows]
    part, rest = data.split(7, 3, seed=1)
    copy = pickle.loads(pickle.dumps(part))  # noqa: S301
    assert list(copy) == list(part)
    assert sorted(line for half in (copy, rest) for line, _ in half.numbered()) == list(
        range(1, 11)
    )
    with pytest.raises(DataError, match=r"'nosplit'.*cannot be loaded"):
        len(Dataset.from_hub(str(folder), split="nosplit"))


@pytest.mark.parametrize("kind", ["device", "link"])
def test_only_files_are_replaced_and_links_stay(tmp_path: Path, kind: str) -> None:
    data = Dataset.from_records([{"text": "a"}])
    target = tmp_path / "target"
    if kind == "device":
        os.mkfifo(target)
        with pytest.raises(DataError, match="cannot be written: it is no regular file"):
            data.write_jsonl(target)
        assert target.is_fifo()
        return
    (tmp_path / "folder").mkdir()
    target.symlink_to(tmp_path / "folder" / "file.jsonl")
    data.write_jsonl(target)
    assert target.is_symlink()
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["file.jsonl"]
    assert list(Dataset.from_jsonl(target)) == [{"text": "a"}]


@pytest.mark.parametrize("number", [10**20, 2**63])
def test_a_slice_may_end_anywhere(number: int) -> None:
    data = Dataset.from_records([{"text": "a"}, {"text": "b"}])
    assert list(data[:number]) == list(data.take(number)) == list(data)
    assert list(data[::number]) == list(data[:1])
    assert len(data[:number]) == 2


@settings(max_examples=300, deadline=None)
@given(
    pieces=st.lists(
        st.sampled_from(
            [
                b'{"text":"a"}',
                b"\n",
                b"\n\n",
                b"\r\n",
                b" ",
                b"\t\n",
                b"\x0b",
                b"\xef\xbb\xbf",
                b"\xff",
            ]
        ),
        max_size=14,
    ),
    block=st.integers(1, 9),
)
def test_rows_found_by_position_are_those_found_in_order(pieces: list[bytes], block: int) -> None:
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        path = Path(folder) / "rows.jsonl"
        path.write_bytes(b"".join(pieces))
        patch.setattr(files, "_BLOCK", block)
        source = JsonlSource(path)
        in_order = [one for one in source.entries() if not passed_over(one[1])]
        assert source.count() == len(in_order)
        assert list(source.pick(range(len(in_order)))) == in_order

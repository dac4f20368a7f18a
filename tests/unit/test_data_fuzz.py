"""Whatever the bytes, reading, checking and fixing end in a report and never in a traceback."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.planted_rows import WordCounter, call, calling, chat, data_url, part, png, tool, user
from tunekit.data import Dataset
from tunekit.data.checks import sarif
from tunekit.data.checks.options import CheckOptions
from tunekit.data.fixing import fix_file
from tunekit.data.limits import DataLimits
from tunekit.errors import DataError
from tunekit.problems import Problem

ANSWER = {"role": "assistant", "content": "Rain.", "weight": 1, "name": "bot"}
PICTURE = user([{"type": "text", "text": "?"}, part(url="https://x.org/y.png", detail="low")])
PIXEL = data_url(png())

VALID: list[dict[str, Any]] = [
    chat(user("Weather?"), ANSWER),
    chat({"role": "system", "content": "Be short."}, PICTURE, ANSWER),
    chat(user([part(url=PIXEL)]), ANSWER),
    chat(
        user("Weather?"),
        calling(call(), call(id="c2")),
        {"role": "tool", "tool_call_id": "c1", "content": "12 mm"},
        {"role": "tool", "tool_call_id": "c2", "content": [{"type": "text", "text": "8 mm"}]},
        {"role": "assistant", "refusal": "No."},
        tools=[tool(description="Tells.", strict=True)],
        parallel_tool_calls=True,
    ),
    chat(
        user("Weather?"),
        {"role": "assistant", "function_call": {"name": "f", "arguments": '{"a": [1, {}]}'}},
        {"role": "function", "name": "f", "content": "12"},
        ANSWER,
        functions=[{"name": "f", "parameters": {"type": "object", "properties": {"a": {}}}}],
    ),
    {
        "input": {"messages": [user("Weather?")], "tools": [tool()]},
        "preferred_output": [ANSWER],
        "non_preferred_output": [calling(call())],
    },
    chat(user("Weather?"), reference={"answer": "Rain."}, difficulty=3),
    {"prompt": "2+2=", "completion": "4"},
    {"prompt": [user("Weather?")], "completion": [ANSWER]},
    {"text": "Once upon a time <|endoftext|> someone@example.com"},
]
LINES = [json.dumps(row).encode() for row in VALID]

LIMITS = DataLimits(
    service="some service",
    min_rows=2,
    max_rows=3,
    max_validation_rows=1,
    validation_required=True,
    max_bytes=400,
    max_row_tokens=5,
    max_job_tokens=9,
    images=False,
    max_row_images=0,
    max_image_bytes=20,
    max_image_rows=0,
)
OPTIONS = [
    CheckOptions(),
    CheckOptions(method="supervised", limits=LIMITS, n_epochs=3, counter=WordCounter()),
    CheckOptions(
        method="dpo", role="validation", limits=LIMITS, over_length="drop", counter=WordCounter()
    ),
    CheckOptions(limits=LIMITS, over_length="truncate", counter=WordCounter()),
    CheckOptions(method="reinforcement", limits=LIMITS),
]


def survives(content: bytes, folder: Path, options: CheckOptions) -> None:
    """Hold every way of reading a file against these bytes."""
    for suffix, read in READERS:
        path = folder / f"any{suffix}"
        path.write_bytes(content)
        problems = checked(path, read, options)
        assert all(isinstance(problem, Problem) for problem in problems)
        # What is said can be sent on, and stands on a line of its own in CI.
        assert all(Problem.model_validate_json(p.model_dump_json()) == p for p in problems)
        assert all(json.loads(line)["ruleId"] for line in sarif.lines(problems))
        # A training file this small is never without a remark: too few rows, or a fault.
        assert problems or options.role != "train"
    path = folder / "any.jsonl"
    report = fix_file(path, folder / "fixed.jsonl", options=options)
    assert path.read_bytes() == content
    assert [p for p in report.remaining if p.line is not None and p.severity == "error"] == []
    assert not fix_file(report.copy, folder / "again.jsonl", options=options).changed


def checked(path: Path, read: Callable[[Path], Dataset], options: CheckOptions) -> list[Problem]:
    """Check a file; where it cannot be used at all, the error says so and is the problem."""
    try:
        return read(path).check(options)
    except DataError as error:
        return [Problem(code="unusable", message=str(error), file=str(path))]


READERS: list[tuple[str, Callable[[Path], Dataset]]] = [
    (".csv", Dataset.from_csv),
    (".tsv", Dataset.read),
    (".parquet", Dataset.read),
    (".json", Dataset.read),
    (".jsonl", Dataset.from_jsonl),
]


BYTES = st.one_of(
    st.binary(max_size=80),
    st.binary(max_size=40).map(b"\xff\xfe".__add__),
    st.binary(max_size=40).map(b"\xef\xbb\xbf".__add__),
    st.text("[]{}\",:\\u0d8 \n\tntrue1e-.'", max_size=60).map(str.encode),
)


@settings(deadline=None, max_examples=200)
@given(content=BYTES, options=st.sampled_from(OPTIONS))
def test_any_bytes_end_in_a_report(
    content: bytes, options: CheckOptions, tmp_path_factory: pytest.TempPathFactory
) -> None:
    survives(content, tmp_path_factory.mktemp("fuzz"), options)


SPLICES = st.one_of(
    st.binary(min_size=1, max_size=3),
    st.sampled_from(
        [
            b"\x00", b"\t", b"\x1b", b"\r", b"\n", b"\r\n", b"\xe2\x80\xa8", b"\xef\xbb\xbf",
            b"\xff", b"\xed\xa0\x80", b"\\ud800", b"\\udc00\\ud800", b"\\u0000", b"\\", b'"',
            b"{", b"}", b"[", b"]", b",", b":", b"null", b"NaN", b"-Infinity", b"1e400", b"-0.0",
            b"9" * 30, b"9" * 5000, b"1." + b"0" * 400, b"[" * 150, b"[" * 250 + b"]" * 250,
            b'{"a":' * 1500, b"data:image/png;base64,AAAA", b"<|im_end|>", b"<|endoftext|>",
        ]
    ),
)  # fmt: skip


@st.composite
def broken_files(draw: st.DrawFn) -> bytes:
    """Good lines with a few bytes flipped, cut out or put in."""
    content = bytearray(b"\n".join(draw(st.lists(st.sampled_from(LINES), min_size=1, max_size=3))))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(content)))
        match draw(st.sampled_from(["flip", "cut", "put", "repeat", "end"])):
            case "flip" if at < len(content):
                content[at] ^= draw(st.integers(1, 255))
            case "cut":
                del content[at : at + draw(st.integers(1, 30))]
            case "put":
                content[at:at] = draw(SPLICES)
            case "repeat":
                content[at:at] = content[at : at + draw(st.integers(1, 200))]
            case _:
                del content[max(at, 1) :]
    return bytes(content)


@settings(deadline=None, max_examples=250)
@given(content=broken_files(), options=st.sampled_from(OPTIONS))
def test_good_files_that_were_damaged_end_in_a_report(
    content: bytes, options: CheckOptions, tmp_path_factory: pytest.TempPathFactory
) -> None:
    survives(content, tmp_path_factory.mktemp("fuzz"), options)


WRONG: list[Any] = [
    None, True, False, 0, 1, -1, 0.5, 1e308, 10**30, "", " ", "x", "\ud800", "a\x00b", "data:,",
    "data:image/png;base64,%%%", "http://[", "{}", "[]", '{"a": 1, "a": 2}', '{"a": NaN}',
    "[" * 3000, "user", "assistant", "tool", "function", [], [[]], [None], ["x"], [{}], {},
    {"": None},     {"type": "text"}, {"type": "image_url"}, {"type": "function"}, {"$ref": "#"},
    {"$ref": "https://example.com/schema"}, {"type": "no such type"}, {"pattern": "(("},
    {"properties": {"city": {"pattern": "(a+)+$"}}}, {"minimum": "x"}, {"type": []}, {"enum": 1},
]  # fmt: skip


def places(value: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place within a row, the row itself left out."""
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    found = []
    for key, item in inner:
        found.append((*place, key))
        if isinstance(item, dict | list):
            found += places(item, (*place, key))
    return found


def changed(row: Any, place: tuple[Any, ...], value: Any) -> Any:
    """A copy of a row with another value at this place."""
    if not place:
        return value
    copy = row.copy()
    copy[place[0]] = changed(row[place[0]], place[1:], value)
    return copy


EVERYWHERE = [(row, place) for row in VALID for place in places(row)]


@settings(deadline=None, max_examples=60)
@given(
    picks=st.lists(
        st.tuples(st.sampled_from(EVERYWHERE), st.sampled_from(WRONG)), min_size=8, max_size=8
    ),
    options=st.sampled_from(OPTIONS),
)
def test_values_of_wrong_types_at_every_place_end_in_a_report(
    picks: list[Any], options: CheckOptions, tmp_path_factory: pytest.TempPathFactory
) -> None:
    rows = [changed(row, place, value) for (row, place), value in picks]
    content = b"\n".join(json.dumps(row).encode() for row in rows)
    survives(content, tmp_path_factory.mktemp("fuzz"), options)


@pytest.mark.parametrize("value", WRONG, ids=range(len(WRONG)))
def test_each_wrong_value_at_every_place_of_every_kind_of_row(value: Any, tmp_path: Path) -> None:
    for number, kind in enumerate(VALID):
        rows = [changed(kind, place, value) for place in places(kind)]
        path = tmp_path / f"{number}.jsonl"
        path.write_bytes(b"\n".join(json.dumps(row).encode() for row in rows))
        problems = Dataset.from_jsonl(path).check()
        assert all(problem.file == str(path) for problem in problems)


@settings(deadline=None, max_examples=100)
@given(rows=st.lists(st.sampled_from(VALID), min_size=1, max_size=3), data=st.data())
def test_any_key_at_any_place_ends_in_a_report(
    rows: list[dict[str, Any]], data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    keys = st.sampled_from([*VALID[3], *VALID[5], *ANSWER, "tool_calls", "$ref"]) | st.text(
        st.characters(), max_size=4
    )
    for number, row in enumerate(rows):
        holders = [()] + [place for place in places(row) if isinstance(_at(row, place), dict)]
        place = data.draw(st.sampled_from(holders))
        holder = {**_at(row, place), data.draw(keys): data.draw(st.sampled_from(WRONG))}
        rows[number] = changed(row, place, holder)
    content = b"\n".join(json.dumps(row).encode() for row in rows)
    survives(content, tmp_path_factory.mktemp("fuzz"), data.draw(st.sampled_from(OPTIONS)))


def _at(row: Any, place: tuple[Any, ...]) -> Any:
    for key in place:
        row = row[key]
    return row

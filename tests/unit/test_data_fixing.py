"""`fix_file` writes a mended copy, says what it changed, and loses nothing."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.planted_rows import WordCounter
from tunekit.data import Dataset
from tunekit.data.checks.options import CheckOptions
from tunekit.data.fixing import FixReport, fix_file
from tunekit.data.fixing.mends import MENDS
from tunekit.data.fixing.report import LISTED
from tunekit.data.limits import DataLimits
from tunekit.data.records import Row
from tunekit.errors import DataError
from tunekit.problems import Severity

USER = {"role": "user", "content": "Weather in Oslo?"}
ANSWER = {"role": "assistant", "content": "Rain."}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}


def chat(*messages: Any, **more: Any) -> dict[str, Any]:
    return {"messages": list(messages), **more}


def row(number: int) -> dict[str, Any]:
    return chat({"role": "user", "content": f"Question {number}?"}, ANSWER)


def jsonl(*rows: Any) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


class Fixed:
    """A file, its mended copy and what was said of it."""

    def __init__(self, folder: Path, content: bytes, **more: Any) -> None:
        self.source = folder / "source.jsonl"
        self.source.write_bytes(content)
        self.copy = folder / "copy.jsonl"
        self.report = fix_file(self.source, self.copy, **more)
        assert self.source.read_bytes() == content

    @property
    def rows(self) -> list[Row]:
        return [json.loads(line) for line in self.copy.read_text("utf-8").splitlines()]

    @property
    def codes(self) -> list[tuple[int, str]]:
        return [(change.line, change.code) for change in self.report.changes]

    @property
    def rejected(self) -> list[dict[str, Any]]:
        if self.report.rejected is None:
            return []
        return [json.loads(line) for line in self.report.rejected.read_bytes().splitlines()]

    @property
    def reasons(self) -> list[tuple[int, list[str]]]:
        return [(one["line"], [why["code"] for why in one["reasons"]]) for one in self.rejected]


def test_good_rows_are_copied_byte_for_byte(tmp_path: Path) -> None:
    content = b'{"text":  "a\\u00e9"}\n{ "text" : "1.10" }\n'
    fixed = Fixed(tmp_path, content)
    assert fixed.copy.read_bytes() == content
    assert not fixed.report.changed
    assert (fixed.report.rows_read, fixed.report.rows_written) == (2, 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy.jsonl", "source.jsonl"]


MENDED: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("unknown-role", chat({**USER, "role": "human"}, {**ANSWER, "role": "gpt"}),
     chat(USER, ANSWER)),
    ("unknown-role", chat({**USER, "role": " User"}, {**ANSWER, "role": "MODEL"}),
     chat(USER, ANSWER)),
    ("unknown-role", chat(USER, {**ANSWER, "role": "bot"}), chat(USER, ANSWER)),
    ("unknown-row-key", chat(USER, ANSWER, topic="x"), chat(USER, ANSWER)),
    ("unknown-message-key", chat({**USER, "id": 5}, ANSWER), chat(USER, ANSWER)),
    ("null-key", chat(USER, ANSWER, tools=None, parallel_tool_calls=None), chat(USER, ANSWER)),
    ("bad-weight", chat(USER, {**ANSWER, "weight": True}), chat(USER, {**ANSWER, "weight": 1})),
    ("bad-weight", chat(USER, {**ANSWER, "weight": 0.0}, USER, {**ANSWER, "weight": 1.0}),
     chat(USER, {**ANSWER, "weight": 0}, USER, {**ANSWER, "weight": 1})),
    ("bad-content", chat({**USER, "content": 7}, {**ANSWER, "content": True}),
     chat({**USER, "content": "7"}, {**ANSWER, "content": "true"})),
    ("bad-content", {"prompt": 2, "completion": 1.5}, {"prompt": "2", "completion": "1.5"}),
    ("bad-content", {"text": False}, {"text": "false"}),
    ("bad-unicode", chat(USER, {**ANSWER, "content": "Hi \ud83d there"}),
     chat(USER, {**ANSWER, "content": "Hi  there"})),
    ("last-message-not-assistant", chat(USER, ANSWER, USER, {**USER, "content": "?"}),
     chat(USER, ANSWER)),
    ("bad-tool-arguments",
     chat(USER, {"role": "assistant", "content": None, "tool_calls": [
         {"id": "c", "type": "function", "function": {"name": "f", "arguments": {"a": "é"}}}]},
          tools=[TOOL]),
     chat(USER, {"role": "assistant", "content": None, "tool_calls": [
         {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a": "é"}'}}]},
          tools=[TOOL])),
]  # fmt: skip


@pytest.mark.parametrize(("code", "bad", "good"), MENDED)
def test_what_is_safe_is_mended_and_told(
    code: str, bad: dict[str, Any], good: dict[str, Any], tmp_path: Path
) -> None:
    fixed = Fixed(tmp_path, jsonl(bad))
    assert fixed.rows == [good]
    assert {change.code for change in fixed.report.changes} == {code}
    assert {change.line for change in fixed.report.changes} == {1}
    assert fixed.rejected == []


def test_every_mend_is_held_by_a_test_and_says_what_it_does() -> None:
    assert {code for code, _ in MENDS} == {code for code, _, _ in MENDED}
    assert all((function.__doc__ or "").strip().endswith(".") for _, function in MENDS)


REJECTED: list[tuple[dict[str, Any], str]] = [
    # Taking a misspelt key out would lose what it says.
    (chat(USER, {**ANSWER, "wieght": 0}), "unknown-message-key"),
    # Who speaks is not guessed.
    (chat(USER, {**ANSWER, "role": "narrator"}), "unknown-role"),
    (chat(USER, {"content": "Rain."}), "missing-role"),
    # There is nothing to learn, and nothing is made up.
    (chat(USER), "no-assistant-message"),
    (chat(USER, {**ANSWER, "weight": 0}), "nothing-learnt"),
    (chat(USER, {**ANSWER, "content": " "}), "empty-answer"),
    (chat(USER, {**ANSWER, "weight": 0.5}), "bad-weight"),
    (chat(USER, {**ANSWER, "content": {"a": 1}}), "bad-content"),
    ({"messages": "hello"}, "messages-not-a-list"),
    ({"question": "a", "answer": "b"}, "unrecognised-structure"),
    ({"prompt": "", "completion": "x"}, "empty-prompt"),
    ({"input": {"messages": [USER]}, "preferred_output": [ANSWER],
      "non_preferred_output": [ANSWER]}, "equal-pair"),
]  # fmt: skip


@pytest.mark.parametrize(("bad", "code"), REJECTED)
def test_what_could_mean_two_things_is_kept_aside_with_its_reasons(
    bad: dict[str, Any], code: str, tmp_path: Path
) -> None:
    fixed = Fixed(tmp_path, jsonl(bad))
    assert fixed.rows == []
    (kept,) = fixed.rejected
    assert code in {why["code"] for why in kept["reasons"]}
    assert all(why["message"] for why in kept["reasons"])
    assert json.loads(kept["original"]) == bad
    assert fixed.report.rejected == tmp_path / "copy.rejected.jsonl"
    assert fixed.report.reasons[code] == 1


def test_a_message_that_may_be_the_answer_is_not_cut(tmp_path: Path) -> None:
    bad = chat(USER, ANSWER, USER, {"role": "narrator", "content": "x"})
    assert Fixed(tmp_path, jsonl(bad)).rows == []


def test_reference_fields_of_reinforcement_prompts_stay(tmp_path: Path) -> None:
    prompt = chat(USER, reference="Rain.", score=None)
    options = CheckOptions(method="reinforcement")
    fixed = Fixed(tmp_path, jsonl(prompt), options=options)
    assert fixed.rows == [prompt]
    assert not fixed.report.changed


@pytest.mark.parametrize("space", [b" ", b"\n"])
def test_a_row_that_names_a_key_twice_is_never_written_anew(space: bytes, tmp_path: Path) -> None:
    content = b'{"text": "a",' + space + b'"text": "b", "topic": 1}\n'
    fixed = Fixed(tmp_path, content)
    assert fixed.rows == []
    assert [one["original"] for one in fixed.rejected] == [content.decode().strip()]


# Files.

ROWS = [row(number) for number in range(4)]

LAYOUTS: dict[str, tuple[bytes, set[str]]] = {
    "a byte-order mark": (b"\xef\xbb\xbf" + jsonl(*ROWS), {"byte-order-mark"}),
    "a mark in the middle": (jsonl(*ROWS[:2]) + b"\xef\xbb\xbf" + jsonl(*ROWS[2:]),
                             {"byte-order-mark"}),
    "Windows line ends": (jsonl(*ROWS).replace(b"\n", b"\r\n"), set()),
    "no line end": (jsonl(*ROWS).rstrip(), set()),
    "empty lines": (b"\n" + jsonl(*ROWS).replace(b"\n", b"\n \n"), {"empty-line"}),
    "an array": (json.dumps(ROWS).encode(), {"json-array"}),
    "an indented array": (json.dumps(ROWS, indent=2).encode(), {"json-array", "pretty-printed"}),
    "an array with a row on each line": (b"[\n" + jsonl(*ROWS).replace(b"\n", b",\n") + b"]",
                                         {"json-array"}),
    "an array that ends in a comma": (json.dumps(ROWS).encode()[:-1] + b",]", {"json-array"}),
    "an array that is not closed": (json.dumps(ROWS).encode()[:-1], {"json-array"}),
    "indented objects": (b"\n".join(json.dumps(row, indent=2).encode() for row in ROWS),
                         {"pretty-printed"}),
    "commas at the ends": (jsonl(*ROWS).replace(b"}\n", b"},\n"), {"trailing-comma"}),
    "all on one line": (jsonl(*ROWS).replace(b"\n", b""), {"several-objects"}),
    "NUL bytes between": (jsonl(*ROWS).replace(b"\n", b"\0\n"), {"nul-bytes"}),
    "NUL bytes within": (jsonl(*ROWS).replace(b"Quest", b"Que\0st"), {"nul-bytes"}),
    "UTF-16": ("".join(json.dumps(row) + "\n" for row in ROWS).encode("utf-16"),
               {"bad-utf8", "byte-order-mark"}),
    "UTF-16 without a mark": (jsonl(*ROWS).decode().encode("utf-16-le"), {"bad-utf8"}),
    "UTF-16, the other way round": (b"\xfe\xff" + jsonl(*ROWS).decode().encode("utf-16-be"),
                                    {"bad-utf8", "byte-order-mark"}),
    "UTF-32": (jsonl(*ROWS).decode().encode("utf-32"), {"bad-utf8", "byte-order-mark"}),
}  # fmt: skip


@pytest.mark.parametrize(("content", "codes"), LAYOUTS.values(), ids=LAYOUTS)
def test_rows_are_found_however_the_file_is_laid_out(
    content: bytes, codes: set[str], tmp_path: Path
) -> None:
    fixed = Fixed(tmp_path, content)
    assert fixed.rows == ROWS
    assert set(fixed.report.counts) == codes
    assert fixed.rejected == []


@pytest.mark.parametrize("size", [1, 2, 3, 7, 20, 64])
@pytest.mark.parametrize(("content", "codes"), LAYOUTS.values(), ids=LAYOUTS)
def test_where_a_read_ends_makes_no_difference(
    content: bytes, codes: set[str], size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Fixed(tmp_path, content).report
    monkeypatch.setattr("tunekit.data.fixing.pieces._CHUNK", size)
    parts = Fixed(tmp_path, content)
    assert parts.rows == ROWS
    assert parts.report == whole


def test_lines_are_those_of_the_source(tmp_path: Path) -> None:
    bad = {"text": 5}
    content = b"\n" + json.dumps([{"text": "a"}, bad], indent=1).encode() + b"\n\n" + jsonl(bad)
    fixed = Fixed(tmp_path, content)
    assert (6, "bad-content") in fixed.codes
    assert (11, "duplicate-row") in fixed.codes
    assert "line 6" in fixed.report.changes[-1].what


WESTERN = ["Crème brûlée à la façon du chef", "Käsespätzle für Größe", "“Señor” • 5 €"]


@pytest.mark.parametrize("texts", [WESTERN, WESTERN[:2]])
def test_latin_1_and_windows_1252_are_read_where_that_is_certain(
    texts: list[str], tmp_path: Path
) -> None:
    lines = "".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts)
    fixed = Fixed(tmp_path, lines.encode("cp1252"))
    assert [row["text"] for row in fixed.rows] == texts
    (change,) = fixed.report.changes
    assert ("Windows-1252" if "€" in lines else "Latin-1") in change.what


@pytest.mark.parametrize(
    ("text", "codec"),
    [
        ("Привет, мир", "cp1251"),
        ("Żółta łódka płynie", "iso8859-2"),
        ("Příliš žluťoučký kůň", "iso8859-2"),
        ("A hűvös, őszi erdő", "iso8859-2"),
        ("Doğru bir şey değil", "iso8859-9"),
        ("Καλημέρα κόσμε", "iso8859-7"),
        ("天気はどうですか", "shift-jis"),
    ],
)
def test_an_encoding_that_is_not_certain_is_never_guessed(
    text: str, codec: str, tmp_path: Path
) -> None:
    bad = f'{{"text": "{text}"}}'.encode(codec)
    fixed = Fixed(tmp_path, b'{"text": "plain"}\n' + bad + b"\n")
    assert fixed.rows == [{"text": "plain"}]
    assert fixed.reasons == [(2, ["bad-utf8"])]
    assert base64.b64decode(fixed.rejected[0]["original_base64"]) == bad


def test_one_bad_byte_among_utf8_costs_one_line(tmp_path: Path) -> None:
    content = '{"text": "é"}\n'.encode() + b'{"text": "\xe9"}\n{"text": "b"}\n'
    fixed = Fixed(tmp_path, content)
    assert [row["text"] for row in fixed.rows] == ["é", "b"]
    assert fixed.reasons == [(2, ["bad-utf8"])]


def test_broken_lines_cost_no_others(tmp_path: Path) -> None:
    half = jsonl(row(9))[:-9]
    content = half.join(jsonl(one) for one in ROWS)
    assert Fixed(tmp_path, content).report.rows_written >= 1
    content = (half + b"\n").join(jsonl(one) for one in ROWS) + b'{"text": "a"} and more\n]\n'
    fixed = Fixed(tmp_path, content)
    assert fixed.rows == ROWS
    assert [line for line, _ in fixed.reasons] == [2, 4, 6, 8, 9]


def test_exact_duplicates_are_left_out_once_they_are_mended(tmp_path: Path) -> None:
    first = chat(USER, ANSWER)
    same = {"messages": [{"content": "Weather in Oslo?", "role": "human"}, ANSWER]}
    fixed = Fixed(tmp_path, jsonl(first, row(1), same))
    assert fixed.rows == [first, row(1)]
    assert fixed.codes == [(3, "unknown-role"), (3, "duplicate-row")]
    assert "line 1" in fixed.report.changes[-1].what


def test_changes_are_listed_up_to_a_limit_and_all_counted(tmp_path: Path) -> None:
    rows = [{"text": str(number), "topic": 1} for number in range(LISTED + 20)]
    report = Fixed(tmp_path, jsonl(*rows)).report
    assert len(report.changes) == LISTED
    assert report.counts == {"unknown-row-key": LISTED + 20}


def test_a_report_reads_as_text(tmp_path: Path) -> None:
    fixed = Fixed(tmp_path, jsonl(*ROWS, {**row(5), "topic": 1}, chat(USER)))
    assert str(fixed.report) == (
        f"{fixed.copy}: 5 rows of 6 written.\n"
        "  1 x unknown-row-key\n"
        f"{tmp_path / 'copy.rejected.jsonl'}: 1 row left out: no-assistant-message (1)."
    )
    assert str(fixed.report.changes[0]) == (
        "line 5: The unknown key 'topic' was taken out of row. [unknown-row-key]"
    )


# Length.


def options(limit: int, over_length: Any) -> CheckOptions:
    limits = DataLimits(max_row_tokens=limit)
    return CheckOptions(counter=WordCounter(), limits=limits, over_length=over_length)


LONG = chat(USER, ANSWER, USER, {**ANSWER, "content": "And then " + "snow " * 40})


def test_long_rows_are_cut_between_messages_when_that_is_asked_for(tmp_path: Path) -> None:
    fixed = Fixed(tmp_path, jsonl(row(1), LONG), options=options(25, "truncate"))
    assert fixed.rows == [row(1), chat(USER, ANSWER)]
    assert fixed.codes == [(2, "row-too-long")]
    assert "2 messages were cut" in fixed.report.changes[0].what


@pytest.mark.parametrize("policy", ["drop", "error"])
def test_long_rows_are_kept_aside_otherwise(policy: str, tmp_path: Path) -> None:
    fixed = Fixed(tmp_path, jsonl(row(1), LONG), options=options(25, policy))
    assert fixed.rows == [row(1)]
    assert fixed.reasons == [(2, ["row-too-long"])]


def test_a_row_whose_first_answer_is_too_long_is_kept_aside(tmp_path: Path) -> None:
    long = chat(USER, {**ANSWER, "content": "snow " * 40}, USER, ANSWER)
    text = {"text": "snow " * 40}
    for bad in (long, text):
        fixed = Fixed(tmp_path, jsonl(bad), options=options(25, "truncate"))
        assert fixed.rows == []
        assert fixed.reasons == [(1, ["row-too-long"])]


# Files that cannot be.


def test_files_that_cannot_be_fixed_are_refused(tmp_path: Path) -> None:
    source = tmp_path / "a.jsonl"
    source.write_bytes(jsonl(*ROWS))
    copy = tmp_path / "b.jsonl"
    with pytest.raises(DataError, match="does not exist"):
        fix_file(tmp_path / "none.jsonl", copy)
    with pytest.raises(DataError, match="no regular file"):
        fix_file(tmp_path, copy)
    for to, rejected in ((source, None), (copy, source), (copy, copy)):
        with pytest.raises(DataError, match="other files"):
            fix_file(source, to, rejected=rejected)
    with pytest.raises(DataError, match="cannot be fixed into"):
        fix_file(source, tmp_path / "no folder" / "b.jsonl")
    table = tmp_path / "a.csv"
    table.write_text("text\na\n")
    with pytest.raises(DataError, match="no JSON Lines file"):
        fix_file(table, copy)
    assert not copy.exists()
    assert source.read_bytes() == jsonl(*ROWS)


def test_an_older_file_of_rejects_is_not_taken_for_this_ones(tmp_path: Path) -> None:
    assert Fixed(tmp_path, jsonl(row(1), chat(USER))).reasons
    assert Fixed(tmp_path, jsonl(row(1))).report.rejected is None
    assert (tmp_path / "copy.rejected.jsonl").read_bytes() == b""


# What holds for any file.


def fixed_twice(folder: Path, content: bytes) -> tuple[FixReport, FixReport]:
    first = Fixed(folder, content)
    again = folder / "again.jsonl"
    second = fix_file(first.copy, again)
    assert again.read_bytes() == first.copy.read_bytes()
    return first.report, second


CONTENT: st.SearchStrategy[Any] = st.sampled_from(
    ["hi", "", " ", None, 3, True, 1.5, [], [{"type": "text", "text": "x"}], [{}], "\ud83d", {}]
)
MESSAGE = st.fixed_dictionaries(
    {"role": st.sampled_from(["system", "user", "assistant", "tool", "human", "gpt", "x", None])},
    optional={
        "content": CONTENT,
        "weight": st.sampled_from([0, 1, True, 0.0, 0.5, None]),
        "name": st.sampled_from(["ann", 1]),
        "tool_call_id": st.sampled_from(["c", 4]),
        "tool_calls": st.sampled_from(
            [
                None,
                [],
                "x",
                [{"id": "c", "type": "function", "function": {"name": "f", "arguments": {}}}],
                [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
            ]
        ),
        "extra": st.none(),
    },
)
TURNS = st.lists(MESSAGE | st.none(), max_size=4)
ANY_ROW = st.one_of(
    st.fixed_dictionaries(
        {"messages": TURNS | st.none()},
        optional={"tools": st.sampled_from([None, [TOOL], {}]), "id": st.integers()},
    ),
    st.fixed_dictionaries({"text": CONTENT}, optional={"id": st.integers()}),
    st.fixed_dictionaries({"prompt": CONTENT | TURNS, "completion": CONTENT | TURNS}),
    st.fixed_dictionaries(
        {
            "input": st.fixed_dictionaries({"messages": TURNS}),
            "preferred_output": TURNS,
            "non_preferred_output": TURNS,
        }
    ),
    st.dictionaries(st.sampled_from(["text", "prompt", "x"]), st.integers()),
)


@settings(deadline=None, max_examples=150)
@given(rows=st.lists(ANY_ROW, max_size=8))
def test_a_fixed_file_has_no_faulty_row_and_stays_as_it_is(
    rows: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("fix")
    report, second = fixed_twice(folder, jsonl(*rows))
    assert not second.changed
    problems = Dataset.from_jsonl(report.copy).check()
    assert [p for p in problems if p.severity is Severity.ERROR and p.code != "no-rows"] == []
    assert report.rows_read == len(rows)
    left_out = report.rows_rejected + report.counts.get("duplicate-row", 0)
    assert report.rows_read == report.rows_written + left_out


@settings(deadline=None, max_examples=150)
@given(rows=st.lists(ANY_ROW, max_size=5), data=st.data())
def test_every_row_is_in_the_copy_or_beside_it_byte_for_byte(
    rows: list[dict[str, Any]], data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    lines = jsonl(*rows).splitlines()
    for number in range(len(lines)):
        if data.draw(st.booleans()):
            lines[number] = lines[number][: data.draw(st.integers(1, len(lines[number])))]
    fixed = Fixed(tmp_path_factory.mktemp("fix"), b"\n".join(lines))
    kept = [one["original"].encode() for one in fixed.rejected]
    assert set(kept) <= set(lines)
    listed = {change.line for change in fixed.report.changes}
    copied = fixed.copy.read_bytes().splitlines()
    rejected = {one["line"] for one in fixed.rejected}
    for number, line in enumerate(lines, start=1):
        assert number in listed or number in rejected or line in copied

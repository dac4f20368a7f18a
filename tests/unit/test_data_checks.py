"""`Dataset.check` finds every fault, says where it is, and lets good data pass."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunekit.data import DataKind, Dataset, check_leakage, parse_record
from tunekit.data.checks import FEW_ROWS
from tunekit.data.checks.catalogue import all_rules
from tunekit.data.checks.rows import check_row
from tunekit.data.files import CsvSource, JsonlSource
from tunekit.data.records import kind_of
from tunekit.data.sources import passed_over
from tunekit.problems import Problem, Severity

USER = {"role": "user", "content": "Weather in Oslo?"}
ANSWER = {"role": "assistant", "content": "Rain."}
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]


def call(
    name: str = "weather", arguments: Any = '{"city": "Oslo"}', id: str = "c1"
) -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    return {"id": id, "type": "function", "function": function}


def calling(*calls: dict[str, Any]) -> dict[str, Any]:
    return {"role": "assistant", "content": None, "tool_calls": list(calls)}


def chat(*messages: Any, **more: Any) -> dict[str, Any]:
    return {"messages": list(messages), **more}


def image(**url: Any) -> dict[str, Any]:
    return {"type": "image_url", "image_url": url}


def assistant(content: Any, **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content, **more}


def preference(better: Any, worse: Any, *messages: Any) -> dict[str, Any]:
    return {
        "input": {"messages": list(messages or [USER])},
        "preferred_output": better,
        "non_preferred_output": worse,
    }


def check(*rows: Any) -> list[Problem]:
    return Dataset.from_records(rows, source="x").check()


def found(*rows: Any) -> list[tuple[str, str | None]]:
    """Codes and paths, without the remark that the data is small."""
    return [(p.code, p.path) for p in check(*rows) if p.code != "few-rows"]


TOOL_ANSWER = {"role": "tool", "tool_call_id": "c1", "content": "12 mm"}

GOOD = {
    "chat": chat(USER, ANSWER),
    "chat with system and developer": chat(
        {"role": "system", "content": "s"}, {"role": "developer", "content": "d"}, USER, ANSWER
    ),
    "several turns with weights": chat(
        USER, {**ANSWER, "weight": 0}, USER, {**ANSWER, "weight": 1, "name": "bot"}
    ),
    "tool call at the end": chat(USER, calling(call()), tools=TOOLS),
    "tool call without content": chat(
        USER, {"role": "assistant", "tool_calls": [call()]}, tools=TOOLS, parallel_tool_calls=False
    ),
    "tool call, answer, reply": chat(USER, calling(call()), TOOL_ANSWER, ANSWER, tools=TOOLS),
    "parallel calls answered out of order": chat(
        USER,
        calling(call(), call(id="c2", arguments="{}")),
        {**TOOL_ANSWER, "tool_call_id": "c2"},
        TOOL_ANSWER,
        ANSWER,
        tools=TOOLS,
    ),
    "older function call": chat(
        USER,
        {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
        {"role": "function", "name": "f", "content": "12"},
        ANSWER,
        functions=[{"name": "f"}],
    ),
    "a reply that was dumped with its nulls": chat(
        USER, {**ANSWER, "refusal": None, "audio": None, "tool_calls": None, "function_call": None}
    ),
    "refusal": chat(USER, {"role": "assistant", "refusal": "No."}),
    "text and image parts": chat(
        {"role": "user", "content": [{"type": "text", "text": "?"}, image(url="https://x/y.png")]},
        assistant([{"type": "text", "text": "A cat."}]),
    ),
    "preference": preference([ANSWER], [assistant("Sun.")]),
    "preference with tools": {
        "input": {"messages": [USER], "tools": TOOLS, "parallel_tool_calls": True},
        "preferred_output": [calling(call())],
        "non_preferred_output": [ANSWER],
    },
    "preference for the answer to a tool": preference(
        [ANSWER], [assistant("Sun.")], USER, {**calling(), "tool_calls": [call()]}, TOOL_ANSWER
    )
    | {"input": {"messages": [USER, calling(call()), TOOL_ANSWER], "tools": TOOLS}},
    "prompt and completion": {"prompt": "2+2=", "completion": "4"},
    "prompt and completion as messages": {"prompt": [USER], "completion": [ANSWER]},
    "text": {"text": "Once upon a time"},
}


@pytest.mark.parametrize("row", GOOD.values(), ids=GOOD)
def test_good_rows_pass_and_have_a_typed_view(row: dict[str, Any]) -> None:
    assert found(row) == []
    parse_record(row)


BAD: list[tuple[dict[str, Any], list[tuple[str, str | None]]]] = [
    (chat(USER, calling(call()), ANSWER, USER, ANSWER, tools=TOOLS),
     [("unanswered-tool-call", "messages[1].tool_calls[0]")]),
    ({"messages": None}, [("missing-messages", "messages")]),
    ({"messages": []}, [("empty-messages", "messages")]),
    ({"messages": "hello"}, [("messages-not-a-list", "messages")]),
    (chat(USER, "Rain."), [("message-not-an-object", "messages[1]")]),
    (chat({"content": "?"}, ANSWER), [("missing-role", "messages[0]")]),
    (chat({"role": "bot", "content": "?"}, ANSWER), [("unknown-role", "messages[0].role")]),
    (chat({"role": ["user"], "content": "?"}, ANSWER), [("unknown-role", "messages[0].role")]),
    (chat({**USER, "contnet": 1}, ANSWER), [("unknown-message-key", "messages[0]")]),
    (chat({"role": "user"}, ANSWER), [("missing-content", "messages[0]")]),
    (chat(USER, assistant(None)), [("missing-content", "messages[1]")]),
    (chat(USER, calling(call()), {**TOOL_ANSWER, "content": None}, ANSWER, tools=TOOLS),
     [("missing-content", "messages[2]")]),
    (chat(USER, assistant(7)), [("bad-content", "messages[1].content")]),
    (chat(USER, assistant([])), [("bad-content", "messages[1].content")]),
    (chat(USER, assistant("")), [("empty-answer", "messages[1].content")]),
    (chat(USER, assistant(" \n\t")), [("empty-answer", "messages[1].content")]),
    (chat(USER, assistant([{"type": "text", "text": " "}])),
     [("empty-answer", "messages[1].content")]),
    (chat({"role": "user", "content": " "}, ANSWER), [("empty-content", "messages[0].content")]),
    (chat({"role": "user", "content": [{"type": "text"}]}, ANSWER),
     [("bad-content-part", "messages[0].content[0]")]),
    (chat({"role": "user", "content": [image()]}, ANSWER),
     [("bad-content-part", "messages[0].content[0]")]),
    (chat({"role": "user", "content": [{"type": "image_url", "image_url": "u"}]}, ANSWER),
     [("bad-content-part", "messages[0].content[0]")]),
    (chat({"role": "user", "content": [image(url="https://x", detail="max")]}, ANSWER),
     [("bad-content-part", "messages[0].content[0]")]),
    (chat({"role": "user", "content": ["hi", {"type": "video"}]}, ANSWER),
     [("unknown-content-part", "messages[0].content[0]"),
      ("unknown-content-part", "messages[0].content[1]")]),
    (chat(USER, assistant([image(url="https://x")])),
     [("misplaced-image", "messages[1].content[0]")]),
    (chat(USER), [("no-assistant-message", "messages")]),
    (chat(USER, ANSWER, USER), [("last-message-not-assistant", "messages[2]")]),
    (chat(USER, {"role": "system", "content": "s"}, ANSWER),
     [("system-not-first", "messages[1]")]),
    (chat(USER, USER, ANSWER), [("consecutive-user-messages", "messages[1]")]),
    (chat(USER, calling(call()), {"role": "tool", "content": "1"}, ANSWER, tools=TOOLS),
     [("missing-tool-call-id", "messages[2]"),
      ("unanswered-tool-call", "messages[1].tool_calls[0]")]),
    (chat(USER, calling(call()), {**TOOL_ANSWER, "tool_call_id": "c9"}, ANSWER, tools=TOOLS),
     [("unanswered-tool-call", "messages[1].tool_calls[0]"),
      ("unknown-tool-call-id", "messages[2].tool_call_id")]),
    (chat(USER, TOOL_ANSWER, calling(call()), tools=TOOLS),
     [("unknown-tool-call-id", "messages[1].tool_call_id")]),
    (chat(USER, calling(call()), ANSWER, tools=TOOLS),
     [("unanswered-tool-call", "messages[1].tool_calls[0]")]),
    (chat(USER, calling(call("cook")), tools=TOOLS),
     [("undefined-tool", "messages[1].tool_calls[0].function.name")]),
    (chat(USER, calling(call())), [("undefined-tool", "messages[1].tool_calls[0].function.name")]),
    (chat(USER, calling(call(arguments={"city": "Oslo"})), tools=TOOLS),
     [("bad-tool-arguments", "messages[1].tool_calls[0].function.arguments")]),
    (chat(USER, calling(call(arguments="{city: Oslo}")), tools=TOOLS),
     [("bad-tool-arguments", "messages[1].tool_calls[0].function.arguments")]),
    (chat(USER, calling(call(arguments='"Oslo"')), tools=TOOLS),
     [("bad-tool-arguments", "messages[1].tool_calls[0].function.arguments")]),
    (chat(USER, calling(call(), {"id": "c2", "function": call()["function"]}), tools=TOOLS),
     [("bad-tool-call", "messages[1].tool_calls[1]")]),
    (chat(USER, assistant("x", tool_calls=[])), [("bad-tool-call", "messages[1].tool_calls")]),
    (chat(USER, assistant("x", tool_calls="f")), [("bad-tool-call", "messages[1].tool_calls")]),
    (chat(USER, assistant(None, function_call="f")),
     [("bad-tool-call", "messages[1].function_call")]),
    (chat(USER, {"role": "function", "content": "1"}, ANSWER),
     [("missing-function-name", "messages[1]")]),
    (chat({**USER, "tool_calls": [call()]}, ANSWER, tools=TOOLS),
     [("misplaced-message-key", "messages[0].tool_calls")]),
    (chat({**USER, "name": 3}, ANSWER), [("bad-message-value", "messages[0].name")]),
    (chat(USER, ANSWER, tools={}), [("bad-tools", "tools")]),
    (chat(USER, ANSWER, tools=[{"name": "f"}]), [("bad-tools", "tools[0]")]),
    (chat(USER, ANSWER, tools=TOOLS * 2), [("duplicate-tool", "tools[1]")]),
    (chat(USER, {**ANSWER, "weight": 0.5}), [("bad-weight", "messages[1].weight")]),
    (chat(USER, {**ANSWER, "weight": True}), [("bad-weight", "messages[1].weight")]),
    (chat({**USER, "weight": 1}, ANSWER), [("misplaced-weight", "messages[0].weight")]),
    (chat(USER, {**ANSWER, "weight": 0}), [("nothing-learnt", "messages")]),
    (chat(USER, {**ANSWER, "content": "\ud83d"}), [("bad-unicode", None)]),
    ({"prompt": "", "completion": " "}, [("empty-prompt", "prompt"),
                                         ("empty-completion", "completion")]),
    ({"prompt": [], "completion": []}, [("empty-prompt", "prompt"),
                                        ("empty-completion", "completion")]),
    ({"prompt": None, "completion": 3}, [("missing-prompt", "prompt"),
                                         ("bad-completion", "completion")]),
    ({"prompt": [USER], "completion": "x"}, [("unlike-prompt-and-completion", "completion")]),
    ({"prompt": [USER], "completion": [USER]},
     [("consecutive-user-messages", "completion[0]"), ("no-assistant-message", "completion")]),
    (preference([ANSWER], [ANSWER]), [("equal-pair", "non_preferred_output")]),
    (preference([ANSWER], None), [("missing-non-preferred-output", "non_preferred_output")]),
    (preference([ANSWER], [assistant(" ")]),
     [("empty-answer", "non_preferred_output[0].content")]),
    (preference("Rain.", [ANSWER]), [("messages-not-a-list", "preferred_output")]),
    ({**preference([ANSWER], [assistant("x")]), "input": [USER]}, [("missing-messages", "input")]),
    (preference([ANSWER], [assistant("x")], {"role": "user"}),
     [("missing-content", "input.messages[0]")]),
    (preference([ANSWER], [assistant("Rain. \n")]), [("equal-pair", "non_preferred_output")]),
    (preference([ANSWER], [ANSWER, assistant("Sun.")]),
     [("several-output-messages", "non_preferred_output")]),
    (chat(USER, assistant([{"type": "refusal"}])),
     [("bad-content-part", "messages[1].content[0]")]),
    (chat({"role": "user", "content": [{"type": "refusal", "refusal": "No."}]}, ANSWER),
     [("misplaced-refusal", "messages[0].content[0]")]),
    (chat(USER, calling(call(), call()), tools=TOOLS),
     [("duplicate-tool-call-id", "messages[1].tool_calls[1].id")]),
    (chat(USER, ANSWER, tools=TOOLS, parallel_tool_calls=1),
     [("bad-parallel-tool-calls", "parallel_tool_calls")]),
    ({"text": " \n"}, [("empty-text", "text")]),
    ({"text": ["a"]}, [("bad-text", "text")]),
    ({"instruction": "a", "output": "b"}, [("unrecognised-structure", None)]),
    ({"messages": [USER, ANSWER], "tool": []}, [("unknown-row-key", None)]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("row", "faults"), BAD, ids=[f"{n}-{f[0][0]}" for n, (_, f) in enumerate(BAD)]
)
def test_each_fault_is_found_at_its_place(
    row: dict[str, Any], faults: list[tuple[str, str | None]]
) -> None:
    assert sorted(found(row), key=str) == sorted(faults, key=str)


WARNINGS = {
    "consecutive-user-messages",
    "duplicate-row",
    "empty-content",
    "empty-line",
    "few-rows",
    "several-output-messages",
    "system-not-first",
    "unanswered-tool-call",
    "unknown-row-key",
}


def test_only_what_cannot_hurt_a_launch_is_a_warning() -> None:
    # A pair that differs in white space only is a warning under a code that is also an error.
    rows = [row for row, faults in BAD if faults[0][0] != "equal-pair"]
    problems = [p for row in rows for p in check(row, row, {"text": "another"})]
    assert {p.code for p in problems if p.severity is Severity.WARNING} == WARNINGS - {"empty-line"}
    assert all(p.severity is Severity.ERROR for p in problems if p.code not in WARNINGS)


PROMPTS: list[tuple[dict[str, Any], list[tuple[str, str | None]]]] = [
    (chat(USER, answer="Rain."), []),
    (chat(USER, ANSWER, USER, tools=TOOLS, answer={"any": ["thing"]}), []),
    (chat(USER), [("no-reference-field", "")]),
    (chat(USER, ANSWER, answer=1), [("last-message-not-user", "messages[1]")]),
    (
        chat({"role": "system", "content": "s"}, answer=1),
        [("last-message-not-user", "messages[0]")],
    ),
    (chat("Rain?", answer=1), [("message-not-an-object", "messages[0]")]),
    ({"messages": None, "answer": 1}, [("missing-messages", "messages")]),
]


@pytest.mark.parametrize(("row", "faults"), PROMPTS)
def test_reinforcement_prompts_end_with_the_user_and_have_something_to_grade_by(
    row: dict[str, Any], faults: list[tuple[str, str | None]]
) -> None:
    problems = list(check_row(row, DataKind.REINFORCEMENT))
    assert [(p.code, p.path) for p in problems] == faults
    assert all(
        (p.severity is Severity.WARNING) == (p.code == "no-reference-field") for p in problems
    )


def test_pairs_that_differ_in_white_space_only_are_a_warning() -> None:
    (problem,) = check_row(preference([ANSWER], [assistant(" Rain.")]), DataKind.PREFERENCE)
    assert (problem.code, problem.severity) == ("equal-pair", Severity.WARNING)
    (problem,) = check_row(preference([ANSWER], [ANSWER]), DataKind.PREFERENCE)
    assert (problem.code, problem.severity) == ("equal-pair", Severity.ERROR)


def test_every_rule_that_gives_a_problem_is_registered_with_its_code_and_severity() -> None:
    known = {
        (severity, code)
        for one in all_rules()
        for severity, codes in ((Severity.ERROR, one.errors), (Severity.WARNING, one.warnings))
        for code in codes
    }
    cases = [(row, kind) for row, _ in BAD if (kind := kind_of(row))]
    cases += [(row, DataKind.REINFORCEMENT) for row, _ in PROMPTS]
    given = {(p.severity, p.code) for row, kind in cases for p in check_row(row, kind)}
    assert given <= known


def test_the_table_of_rules_says_a_whole_sentence_of_each() -> None:
    for one in all_rules():
        assert one.about.endswith("."), one
        assert one.about[0].isupper() or one.about[0] == "`", one
        assert len(one.about) > 25, one


def test_every_problem_says_how_to_mend_it() -> None:
    problems = [p for row, _ in BAD for p in check(row)]
    assert [p for p in problems if not p.fix] == []
    assert {p.code for p in problems} == {p.code.lower().replace("_", "-") for p in problems}


def write(path: Path, *lines: bytes) -> Path:
    path.write_bytes(b"\n".join(lines))
    return path


def as_line(row: Any) -> bytes:
    return json.dumps(row).encode()


def test_all_faults_of_a_file_are_found_in_one_pass(tmp_path: Path) -> None:
    path = write(
        tmp_path / "bad.jsonl",
        as_line(chat(USER, ANSWER)),
        b'{"messages": [',
        b"[1, 2]",
        b'{"text": "\xff"}',
        b"",
        as_line(chat({"role": "bot", "content": "?"}, assistant(""))),
        as_line({"prompt": "a", "completion": "b"}),
        as_line({"foo": 1}),
        as_line(chat(USER, ANSWER)),
        b'{"text": NaN}',
        b"[" * 100_000,
        as_line({"messages": json.loads("[" * 300 + "]" * 300)}),
    )
    problems = Dataset.from_jsonl(path).check()
    assert {p.file for p in problems} == {str(path)}
    assert [(p.line, p.code, p.path) for p in problems] == [
        (2, "invalid-json", None),
        (3, "not-an-object", None),
        (4, "bad-utf8", None),
        (5, "empty-line", None),
        (6, "unknown-role", "messages[0].role"),
        (6, "empty-answer", "messages[1].content"),
        (7, "mixed-kinds", None),
        (8, "unrecognised-structure", None),
        (9, "duplicate-row", None),
        (10, "invalid-json", None),
        (11, "too-deep", None),
        (12, "too-deep", None),
    ]
    assert "line 1" in next(p.message for p in problems if p.code == "duplicate-row")


def test_no_rows_is_an_error_and_few_rows_a_warning(tmp_path: Path) -> None:
    empty = write(tmp_path / "empty.jsonl", b"")
    assert [(p.code, p.severity) for p in Dataset.from_jsonl(empty).check()] == [
        ("no-rows", Severity.ERROR)
    ]
    rows = [{"text": f"row {n}"} for n in range(FEW_ROWS)]
    assert [p.code for p in check(*rows[1:])] == ["few-rows"]
    assert check(*rows) == []


def test_utf16_is_named_once(tmp_path: Path) -> None:
    path = tmp_path / "wide.jsonl"
    path.write_text("\n".join([json.dumps({"text": "x"})] * 20), encoding="utf-16")
    assert [(p.code, p.line) for p in Dataset.from_jsonl(path).check()] == [
        ("bad-utf8", 1),
        ("few-rows", None),
    ]


def test_unmapped_columns_are_reported_once_with_the_way_out(tmp_path: Path) -> None:
    path = tmp_path / "recipes.csv"
    path.write_text("title,directions\n" + "soup,boil\n" * 30, encoding="utf-8")
    (problem,) = [p for p in Dataset.from_csv(path).check() if p.severity is Severity.ERROR]
    assert problem.code == "unrecognised-structure"
    assert "'title', 'directions'" in problem.message
    assert "30 rows" in problem.message
    assert ".map(" in problem.fix
    assert problem.line == 2
    (part,) = Dataset.from_csv(path).split(1.0, seed=1)
    assert next(part.numbered())[0] != 2
    assert part.check()[0].line == 2


def test_many_problems_of_one_rule_are_listed_up_to_a_limit_and_all_counted() -> None:
    problems = check(*[{"text": "same"}] * 501)
    assert len(problems) == 101
    assert {p.code for p in problems} == {"duplicate-row"}
    assert "400 more" in problems[-1].message
    assert "500 in all" in problems[-1].message


def test_errors_are_all_listed_even_when_there_are_thousands() -> None:
    problems = check(*[{"text": ""} for _ in range(3000)])
    assert sum(p.code == "empty-text" for p in problems) == 3000


def test_values_that_json_does_not_have_are_problems_of_their_record() -> None:
    rows: list[Any] = [{"text": "a"}, {"text": {1, 2}}, {"text": float("nan")}, 5, {"text": b"x"}]
    assert found(*rows) == [
        ("not-json", None),
        ("not-json", None),
        ("not-an-object", None),
        ("not-json", None),
    ]


def test_rows_of_validation_that_are_in_train_are_warned_of() -> None:
    train = Dataset.from_records([{"text": "a"}, {"text": "b"}], source="train")
    rows: list[Any] = [{"text": "c"}, {"text": "b"}, {"text": ""}, 3]
    validation = Dataset.from_records(rows, source="val")
    (problem,) = check_leakage(train, validation)
    assert (problem.code, problem.severity) == ("validation-row-in-train", Severity.WARNING)
    assert (problem.file, problem.line) == ("val", 2)
    assert "train:2" in problem.message


def test_parts_of_one_split_do_not_leak() -> None:
    data = Dataset.from_records([{"text": str(n)} for n in range(50)])
    train, validation = data.split(0.8, 0.2)
    assert check_leakage(train, validation) == []


KEYS = [
    "messages",
    "role",
    "content",
    "tools",
    "tool_calls",
    "function",
    "id",
    "type",
    "weight",
    "tool_call_id",
    "input",
    "preferred_output",
    "non_preferred_output",
    "prompt",
    "completion",
    "text",
    "arguments",
    "name",
    "function_call",
    "image_url",
    "url",
    "functions",
    "refusal",
]
VALUES = [
    "system",
    "user",
    "assistant",
    "tool",
    "function",
    "text",
    "image_url",
    "{}",
    "",
    "\ud800",
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(VALUES) | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.sampled_from(KEYS) | st.text(st.characters()), inner, max_size=5),
    max_leaves=25,
)  # fmt: skip
ROWS = st.lists(JSON, max_size=6).map(lambda rows: b"\n".join(map(as_line, rows)))
FUZZ = (
    st.binary()
    | st.binary().map(b"\xff\xfe".__add__)
    | ROWS
    | st.tuples(ROWS, st.binary(max_size=4), ROWS).map(b"".join)
)


@settings(max_examples=300, deadline=None)
@given(content=FUZZ)
def test_any_bytes_end_in_a_list_of_problems(
    content: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("fuzz") / "any"
    path.write_bytes(content)
    for source in (JsonlSource(path), CsvSource(path, delimiter=",")):
        problems = Dataset(source).check()
        # A file this small is never without a remark: too few rows, or a fault.
        assert problems
        # What is said must be sayable: it crosses processes and ends in a terminal.
        assert all(Problem.model_validate_json(p.model_dump_json()) == p for p in problems)
        # Reading by position finds the same rows and faults as reading in order.
        in_order = [entry for entry in source.entries() if not passed_over(entry[1])]
        assert list(source.pick(range(source.count()))) == in_order


MESSAGE = st.fixed_dictionaries(
    {"role": st.sampled_from(["system", "user", "assistant", "tool", "bot"])},
    optional={
        "content": st.sampled_from(["hi", "", None, [], [{"type": "text", "text": "x"}], 3]),
        "weight": st.sampled_from([0, 1, 2, None]),
        "tool_calls": st.sampled_from([[call()], [call(arguments=1)], None, [{}]]),
        "tool_call_id": st.sampled_from(["c1", None, 4]),
        "name": st.sampled_from(["ann", 1]),
    },
)


@settings(deadline=None)
@given(messages=st.lists(MESSAGE, max_size=4), tools=st.sampled_from([TOOLS, None, [{}]]))
def test_a_row_without_errors_always_has_a_typed_view(
    messages: list[dict[str, Any]], tools: Any
) -> None:
    row = chat(*messages, tools=tools)
    if all(p.severity is Severity.WARNING for p in check(row)):
        parse_record(row)

"""The typed view of rows is strict, and refuses nothing that `check_row` lets pass."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunekit.data import DataKind, parse_record
from tunekit.data.checks.rows import check_row
from tunekit.problems import Severity

TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Looks outside.",
        "strict": True,
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}
CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
USER = {"role": "user", "content": "Weather in Oslo?", "name": "ann"}
LOOKING = {
    "role": "user",
    "content": [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "https://x.org/y.png", "detail": "low"}},
    ],
}
ANSWER = {"role": "assistant", "content": "Rain.", "weight": 1, "refusal": None, "audio": None}
REFUSING = {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}
CALLING = {"role": "assistant", "content": None, "tool_calls": [CALL]}
TOOL_ANSWER = {"role": "tool", "tool_call_id": "c1", "content": "12 mm"}
OLD_CALL = {"role": "assistant", "function_call": {"name": "weather", "arguments": "{}"}}
OLD_ANSWER = {"role": "function", "name": "weather", "content": "12"}

ROWS: list[tuple[DataKind, dict[str, Any]]] = [
    (
        DataKind.CHAT,
        {
            "messages": [{"role": "system", "content": "s"}, USER, CALLING, TOOL_ANSWER, ANSWER],
            "tools": [TOOL],
            "parallel_tool_calls": False,
        },
    ),
    (
        DataKind.CHAT,
        {"messages": [USER, OLD_CALL, OLD_ANSWER, ANSWER], "functions": [TOOL["function"]]},
    ),
    (DataKind.CHAT, {"messages": [{"role": "developer", "content": "d"}, LOOKING, REFUSING]}),
    (
        DataKind.PREFERENCE,
        {
            "input": {"messages": [USER], "tools": [TOOL], "parallel_tool_calls": True},
            "preferred_output": [{"role": "assistant", "content": "Rain."}],
            "non_preferred_output": [CALLING],
        },
    ),
    (DataKind.REINFORCEMENT, {"messages": [LOOKING, ANSWER, USER], "tools": [TOOL], "answer": 4}),
    (DataKind.PROMPT_COMPLETION, {"prompt": "2+2=", "completion": "4"}),
    (DataKind.PROMPT_COMPLETION, {"prompt": [USER], "completion": [CALLING], "tools": [TOOL]}),
    (DataKind.TEXT, {"text": "Once upon a time"}),
]
VALUES: list[Any] = [
    *(None, True, False, 0, 1, 2, 1.0, 0.5, 10**30, "", " ", "x", "1", "\ud83d", [], {}, [[]]),
    *([None], [""], {"type": "text"}, {"role": "user"}, "assistant", "function", "refusal", "tool"),
    *({"type": "text", "text": 1}, {"type": "refusal", "refusal": 1}, [USER], [ANSWER], [CALL]),
]
KEYS = [
    *(
        "role",
        "content",
        "weight",
        "tool_calls",
        "tool_call_id",
        "function_call",
        "refusal",
        "name",
    ),
    *("audio", "type", "text", "tools", "parallel_tool_calls", "functions", "strict", "detail"),
    *("id", "function", "arguments", "parameters", "description", "url", "messages", "extra"),
]


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container and key inside a value."""
    keys = (
        value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    )
    for key in keys:
        yield value, key
        yield from places(value[key])


@st.composite
def nearly_valid(draw: st.DrawFn) -> tuple[DataKind, dict[str, Any]]:
    kind, row = copy.deepcopy(draw(st.sampled_from(ROWS)))
    for _ in range(draw(st.integers(0, 3))):
        found = list(places(row))
        if not found:
            break
        container, key = draw(st.sampled_from(found))
        change = draw(st.sampled_from(["set", "remove", "add", "repeat"]))
        value = copy.deepcopy(draw(st.sampled_from(VALUES)))
        if change == "set":
            container[key] = value
        elif change == "remove":
            del container[key]
        elif isinstance(container, dict):
            container[draw(st.sampled_from(KEYS))] = value
        else:
            container.append(copy.deepcopy(container[key]) if change == "repeat" else value)
    return kind, row


def single_changes(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The row with one thing removed, replaced or added, in every way at every place."""
    for number, (container, _) in enumerate(places(row)):
        for value in (REMOVED, *VALUES):
            changed = copy.deepcopy(row)
            inside, key = list(places(changed))[number]
            if value is REMOVED:
                del inside[key]
            else:
                inside[key] = copy.deepcopy(value)
            yield changed
        for key in KEYS if isinstance(container, dict) else ():
            changed = copy.deepcopy(row)
            inside, _ = list(places(changed))[number]
            inside.setdefault(key, 7)
            yield changed


REMOVED = object()


@pytest.mark.parametrize(("kind", "row"), ROWS)
def test_no_single_change_is_refused_by_the_typed_view_alone(
    kind: DataKind, row: dict[str, Any]
) -> None:
    for changed in single_changes(row):
        if all(problem.severity is Severity.WARNING for problem in check_row(changed, kind)):
            parse_record(changed, kind)


@settings(max_examples=500, deadline=None)
@given(nearly_valid())
def test_what_the_typed_view_refuses_has_an_error(case: tuple[DataKind, dict[str, Any]]) -> None:
    kind, row = case
    if all(problem.severity is Severity.WARNING for problem in check_row(row, kind)):
        parse_record(row, kind)


@pytest.mark.parametrize(("kind", "row"), ROWS)
def test_rows_of_every_kind_have_a_typed_view(kind: DataKind, row: dict[str, Any]) -> None:
    assert parse_record(row, kind).model_dump(mode="json", exclude_unset=True) == row


@pytest.mark.parametrize(
    "change",
    [
        lambda row: row["messages"][4].update(weight="1"),
        lambda row: row["messages"][4].update(weight=1.5),
        lambda row: row.update(parallel_tool_calls="false"),
        lambda row: row.update(parallel_tool_calls=0),
        lambda row: row["messages"][1].update(content=b"bytes"),
        lambda row: row["messages"][1].update(name=3),
        lambda row: row["tools"][0]["function"].update(strict="yes"),
        lambda row: row.update(messages=tuple(row["messages"])),
    ],
)
def test_nothing_is_converted_on_the_way(change: Callable[[dict[str, Any]], None]) -> None:
    kind, row = copy.deepcopy(ROWS[0])
    change(row)
    with pytest.raises(ValueError, match="validation error"):
        parse_record(row, kind)

"""Rows as they are found in the wild, and what becomes of them."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tunekit.data.encoding import RowError
from tunekit.data.formats import FORMATS
from tunekit.data.formats.sharegpt import SPEAKERS

Row = dict[str, Any]


def user(text: Any, **more: Any) -> Row:
    return {"role": "user", "content": text, **more}


def assistant(text: Any, **more: Any) -> Row:
    return {"role": "assistant", "content": text, **more}


def system(text: str) -> Row:
    return {"role": "system", "content": text}


def calls(*named: tuple[str, str, str]) -> Row:
    made = [
        {"id": one, "type": "function", "function": {"name": name, "arguments": arguments}}
        for one, name, arguments in named
    ]
    return {"tool_calls": made}


def answered(one: str, text: str) -> Row:
    return {"role": "tool", "content": text, "tool_call_id": one}


WEATHER = {"name": "weather", "parameters": {"type": "object", "properties": {"city": {}}}}
TOOL = {"type": "function", "function": WEATHER}

READ: list[tuple[str, str, Row, Row]] = [
    (
        "trl",
        "a conversation with nulls that an export has left",
        {"messages": [user("a", tool_calls=None, name=None), assistant("b")], "tools": None},
        {"messages": [user("a"), assistant("b")]},
    ),
    (
        "trl",
        "a call with arguments as an object and without id",
        {
            "messages": [
                user("Oslo?"),
                {
                    "role": "assistant",
                    "tool_calls": [
                        {"type": "function", "function": {"name": "weather", "arguments": {"c": 1}}}
                    ],
                },
                {"role": "tool", "name": "weather", "content": "rain"},
                assistant("Rain."),
            ],
            "tools": [TOOL],
        },
        {
            "messages": [
                user("Oslo?"),
                {"role": "assistant", **calls(("call_1", "weather", '{"c": 1}'))},
                {**answered("call_1", "rain"), "name": "weather"},
                assistant("Rain."),
            ],
            "tools": [TOOL],
        },
    ),
    (
        "trl",
        "tools as text, and calls without the wrapping",
        {
            "messages": [user("a"), assistant("", tool_calls=[{"name": "f", "arguments": None}])],
            "tools": json.dumps([WEATHER]),
        },
        {
            "messages": [user("a"), assistant("", **calls(("call_1", "f", "{}")))],
            "tools": [TOOL],
        },
    ),
    ("trl", "text", {"text": "a"}, {"text": "a"}),
    (
        "trl",
        "prompt and completion",
        {"prompt": "a", "completion": "b", "source": 3},
        {"prompt": "a", "completion": "b", "source": 3},
    ),
    (
        "trl",
        "prompt and completion as messages",
        {"prompt": [user("a")], "completion": [assistant("b")]},
        {"prompt": [user("a")], "completion": [assistant("b")]},
    ),
    (
        "trl",
        "a preference of texts",
        {"prompt": "a", "chosen": "b", "rejected": "c"},
        {
            "input": {"messages": [user("a")]},
            "preferred_output": [assistant("b")],
            "non_preferred_output": [assistant("c")],
        },
    ),
    (
        "trl",
        "a preference whose prompt both answers begin with",
        {"chosen": [user("a"), assistant("b")], "rejected": [user("a"), assistant("c")]},
        {
            "input": {"messages": [user("a")]},
            "preferred_output": [assistant("b")],
            "non_preferred_output": [assistant("c")],
        },
    ),
    (
        "trl",
        "the same with texts: the space goes to the answers, as TRL parts them",
        {"chosen": "The sky is blue.", "rejected": "The sky is green."},
        {
            "input": {"messages": [user("The sky is")]},
            "preferred_output": [assistant(" blue.")],
            "non_preferred_output": [assistant(" green.")],
        },
    ),
    (
        "trl",
        "a prompt alone, with what a reward function reads",
        {"prompt": [user("2+2?")], "solution": "4"},
        {"messages": [user("2+2?")], "solution": "4"},
    ),
    (
        "sharegpt",
        "human and gpt, with the fields of the old dumps",
        {
            "id": "x1",
            "conversations": [
                {"from": "system", "value": "Be brief."},
                {"from": "human", "value": "Hi"},
                {"from": "gpt", "value": "Hello", "weight": 0},
            ],
        },
        {"id": "x1", "messages": [system("Be brief."), user("Hi"), assistant("Hello", weight=0)]},
    ),
    (
        "sharegpt",
        "LLaMA-Factory's calls, tools and system",
        {
            "conversations": [
                {"from": "human", "value": "Oslo and Bergen?"},
                {
                    "from": "function_call",
                    "value": '[{"name": "weather", "arguments": {"city": "Oslo"}},'
                    ' {"name": "weather", "arguments": {"city": "Bergen"}}]',
                },
                {"from": "observation", "value": "rain"},
                {"from": "observation", "value": "sun"},
                {"from": "gpt", "value": "Rain, and sun."},
            ],
            "system": "You are kind.",
            "tools": json.dumps([WEATHER]),
        },
        {
            "messages": [
                system("You are kind."),
                user("Oslo and Bergen?"),
                assistant(
                    None,
                    **calls(
                        ("call_1", "weather", '{"city": "Oslo"}'),
                        ("call_2", "weather", '{"city": "Bergen"}'),
                    ),
                ),
                answered("call_1", "rain"),
                answered("call_2", "sun"),
                assistant("Rain, and sun."),
            ],
            "tools": [TOOL],
        },
    ),
    (
        "sharegpt",
        "a preference with turns",
        {
            "conversations": [{"from": "human", "value": "Hi"}],
            "chosen": {"from": "gpt", "value": "Hello"},
            "rejected": {"from": "gpt", "value": "What?"},
            "system": "",
        },
        {
            "input": {"messages": [user("Hi")]},
            "preferred_output": [assistant("Hello")],
            "non_preferred_output": [assistant("What?")],
        },
    ),
    (
        "alpaca",
        "an instruction with an input",
        {"instruction": "Translate.", "input": "god morgen", "output": "good morning"},
        {"messages": [user("Translate.\ngod morgen"), assistant("good morning")]},
    ),
    (
        "alpaca",
        "rounds before it",
        {
            "instruction": "And Norway's?",
            "input": "",
            "output": "Oslo",
            "system": "Be brief.",
            "history": [["Capital of Sweden?", "Stockholm"]],
        },
        {
            "messages": [
                system("Be brief."),
                user("Capital of Sweden?"),
                assistant("Stockholm"),
                user("And Norway's?"),
                assistant("Oslo"),
            ]
        },
    ),
    (
        "alpaca",
        "a better and a worse answer",
        {"instruction": "Hi", "chosen": "Hello", "rejected": "What?"},
        {
            "input": {"messages": [user("Hi")]},
            "preferred_output": [assistant("Hello")],
            "non_preferred_output": [assistant("What?")],
        },
    ),
    ("autotrain", "plain text", {"text": "42"}, {"text": "42"}),
    (
        "autotrain",
        "messages",
        {"text": [user("a"), assistant("b")]},
        {"messages": [user("a"), assistant("b")]},
    ),
    (
        "autotrain",
        "messages as the text of a Python list, in the column of a project's copy",
        {"autotrain_text": "[{'role': 'user', 'content': 'a'}]"},
        {"messages": [user("a")]},
    ),
    (
        "autotrain",
        "a pair of conversations",
        {
            "prompt": "a",
            "text": [user("a"), assistant("1")],
            "rejected_text": [user("a"), assistant("2")],
        },
        {
            "input": {"messages": [user("a")]},
            "preferred_output": [assistant("1")],
            "non_preferred_output": [assistant("2")],
        },
    ),
    (
        "autotrain",
        "a pair of texts",
        {"prompt": "a", "text": "1", "rejected_text": "2"},
        {
            "input": {"messages": [user("a")]},
            "preferred_output": [assistant("1")],
            "non_preferred_output": [assistant("2")],
        },
    ),
    (
        "parquet",
        "the columns of another format",
        {"conversations": [{"from": "human", "value": "a"}], "messages": None},
        {"messages": [user("a")]},
    ),
    (
        "csv",
        "columns that need no mapping",
        {"system": "", "user": "a", "assistant": "42"},
        {"messages": [user("a"), assistant("42")]},
    ),
]


@pytest.mark.parametrize(
    ("name", "foreign", "ours"),
    [(name, foreign, ours) for name, _, foreign, ours in READ],
    ids=[f"{name}: {what}" for name, what, _, _ in READ],
)
def test_rows_of_the_wild_are_read(name: str, foreign: Row, ours: Row) -> None:
    assert FORMATS[name].matches(foreign)
    assert FORMATS[name].read_row(foreign) == ours


@pytest.mark.parametrize("speaker", sorted(SPEAKERS))
def test_every_name_of_a_speaker_is_known_in_any_case(speaker: str) -> None:
    value = '{"name": "f"}' if SPEAKERS[speaker] == "call" else "x"
    asked = {"from": "function_call", "value": '{"name": "f", "arguments": {}}'}
    row = {"conversations": [asked, {"from": speaker.upper(), "value": value}]}
    (_, message) = FORMATS["sharegpt"].read_row(row)["messages"]
    assert message["role"] == {"call": "assistant"}.get(SPEAKERS[speaker], SPEAKERS[speaker])


UNREADABLE: list[tuple[str, Row, str, str]] = [
    ("trl", {"question": "a"}, "unlike-format", "'question'"),
    ("trl", {"messages": []}, "bad-format-value", "messages"),
    ("trl", {"messages": ["a"]}, "bad-format-value", r"messages\[0\]"),
    ("trl", {"messages": [assistant("", tool_calls=[1])]}, "bad-format-value", "tool_calls"),
    ("trl", {"messages": [assistant("", tool_calls=1)]}, "bad-format-value", "tool_calls"),
    ("trl", {"messages": [user("a")], "tools": "[{"}, "bad-format-value", "tools"),
    ("trl", {"messages": [user("a")], "tools": 3}, "bad-format-value", "tools"),
    ("trl", {"messages": [user("a")], "images": ["a.png"]}, "bad-format-value", "images"),
    ("trl", {"messages": [{"role": "tool", "content": "a"}]}, "answer-without-call", "1"),
    ("trl", {"prompt": "a", "completion": "b", "label": False}, "unpaired-preference", "good"),
    ("trl", {"prompt": "a", "completions": ["b"], "labels": [True]}, "stepwise-supervision", ""),
    ("trl", {"chosen": "abc", "rejected": "xyz"}, "no-common-prompt", "alike"),
    ("trl", {"chosen": [], "rejected": []}, "no-common-prompt", "alike"),
    ("trl", {"chosen": "a", "rejected": [user("a")]}, "no-common-prompt", "alike"),
    ("sharegpt", {"messages": "a"}, "unlike-format", "'messages'"),
    ("sharegpt", {"conversations": [3]}, "bad-format-value", r"conversations\[0\]"),
    ("sharegpt", {"conversations": [{"from": "gpt"}]}, "bad-format-value", "speaker"),
    (
        "sharegpt",
        {"conversations": [{"from": "cat", "value": "miaow"}]},
        "unknown-speaker",
        "'cat'",
    ),
    (
        "sharegpt",
        {"conversations": [{"from": "function_call", "value": "f()"}]},
        "bad-format-value",
        "not JSON",
    ),
    (
        "sharegpt",
        {"conversations": [{"from": "function_call", "value": "NaN"}]},
        "bad-format-value",
        "NaN",
    ),
    (
        "sharegpt",
        {"conversations": [{"from": "function_call", "value": "[" * 100_000}]},
        "bad-format-value",
        "deep",
    ),
    (
        "sharegpt",
        {"conversations": [{"from": "observation", "value": "1"}]},
        "answer-without-call",
        "no call",
    ),
    (
        "sharegpt",
        {"conversations": [{"from": "system", "value": "a"}], "system": "b"},
        "two-systems",
        "differ",
    ),
    (
        "sharegpt",
        {"conversations": [{"from": "human", "value": "<image>"}], "images": ["a.png"]},
        "bad-format-value",
        "images",
    ),
    ("alpaca", {"instruction": "a"}, "unlike-format", "'instruction'"),
    ("alpaca", {"instruction": 1, "output": "b"}, "bad-format-value", "instruction"),
    ("alpaca", {"instruction": "a", "output": "b", "history": ["c"]}, "bad-format-value", "pair"),
    ("alpaca", {"instruction": "a", "output": "b", "history": "c"}, "bad-format-value", "list"),
    ("autotrain", {"prompt": "a"}, "unlike-format", "'prompt'"),
    ("autotrain", {"text": 42}, "bad-format-value", "text"),
    ("autotrain", {"text": "a", "rejected_text": "b"}, "bad-format-value", "prompt"),
    (
        "autotrain",
        {"text": [user("a"), assistant("1")], "rejected_text": [user("b"), assistant("2")]},
        "unlike-pair",
        "one conversation",
    ),
    ("csv", {"question": "a", "reply": "b"}, "unmapped-columns", "'question', 'reply'"),
]


@pytest.mark.parametrize(("name", "row", "code", "said"), UNREADABLE)
def test_a_row_that_cannot_be_read_says_why(name: str, row: Row, code: str, said: str) -> None:
    with pytest.raises(RowError) as caught:
        FORMATS[name].read_row(row)
    assert caught.value.code == code
    assert re.search(said, str(caught.value))
    assert caught.value.fix


TOOLS_ROW = {
    "messages": [
        user("Oslo?"),
        assistant(None, **calls(("a", "weather", '{"city": "Oslo"}'))),
        answered("a", "rain"),
        assistant("Rain."),
    ],
    "tools": [TOOL],
}


def test_trl_gets_arguments_as_objects_and_keeps_ids() -> None:
    made, losses = FORMATS["trl"].write_row(TOOLS_ROW)
    assert losses == []
    (call,) = made["messages"][1]["tool_calls"]
    assert call == {
        "id": "a",
        "type": "function",
        "function": {"name": "weather", "arguments": {"city": "Oslo"}},
    }
    assert made["tools"] == [TOOL]


@pytest.mark.parametrize("text", ["", "not json", "[1]", '{"a": 1, "a": 2}', '{"a": NaN}'])
def test_arguments_that_are_no_plain_object_stay_text(text: str) -> None:
    row = {"messages": [user("a"), assistant(None, **calls(("x", "f", text)))]}
    made, losses = FORMATS["trl"].write_row(row)
    assert losses == []
    assert made["messages"][1]["tool_calls"][0]["function"]["arguments"] == text
    assert FORMATS["trl"].read_row(made) == row


def test_sharegpt_gets_calls_as_turns_and_bare_tools() -> None:
    made, losses = FORMATS["sharegpt"].write_row(TOOLS_ROW)
    assert losses == []
    assert made == {
        "conversations": [
            {"from": "human", "value": "Oslo?"},
            {
                "from": "function_call",
                "value": '{"name": "weather", "arguments": {"city": "Oslo"}}',
            },
            {"from": "observation", "value": "rain"},
            {"from": "gpt", "value": "Rain."},
        ],
        "tools": json.dumps([WEATHER]),
    }


def test_autotrain_pairs_are_whole_conversations() -> None:
    row = {
        "input": {"messages": [user("a")]},
        "preferred_output": [assistant("1")],
        "non_preferred_output": [assistant("2")],
    }
    made, losses = FORMATS["autotrain"].write_row(row)
    assert losses == []
    assert made == {
        "prompt": [user("a")],
        "text": [user("a"), assistant("1")],
        "rejected_text": [user("a"), assistant("2")],
    }


RICH = {
    "messages": [
        system("s"),
        user([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], name="Ann"),
        assistant("x", weight=0),
        system("again"),
        user([{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]),
        assistant("y", weight=1),
    ],
    "tools": [TOOL],
    "parallel_tool_calls": False,
    "instruction": 1,
}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "trl",
            {
                "lost-content-parts": "messages[1].content",
                "lost-weight": "messages[2].weight",
                "lost-image": "messages[4].content[0]",
                "lost-parallel-tool-calls": "parallel_tool_calls",
            },
        ),
        (
            "sharegpt",
            {
                "lost-content-parts": "messages[1].content",
                "lost-name": "messages[1].name",
                "lost-weight": "messages[2].weight",
                "lost-system-position": "messages[3]",
                "lost-image": "messages[4].content[0]",
                "lost-parallel-tool-calls": "parallel_tool_calls",
            },
        ),
        (
            "alpaca",
            {
                "lost-content-parts": "messages[1].content",
                "lost-name": "messages[1].name",
                "lost-weight": "messages[2].weight",
                "lost-system-position": "messages[3]",
                "lost-image": "messages[4].content[0]",
                "lost-parallel-tool-calls": "parallel_tool_calls",
                "lost-tool": "tools[0]",
                "lost-field": "instruction",
            },
        ),
    ],
)
def test_each_loss_is_named_with_its_place(name: str, expected: dict[str, str]) -> None:
    _, losses = FORMATS[name].write_row(RICH)
    assert {f"lost-{loss.what}": loss.path for loss in losses} == expected
    assert all(loss.message.endswith(".") for loss in losses)


def test_the_older_form_of_calls_is_written_in_todays_and_said_so() -> None:
    row = {
        "messages": [
            user("Oslo?"),
            assistant(None, function_call={"name": "weather", "arguments": '{"city": "Oslo"}'}),
            {"role": "function", "name": "weather", "content": "rain"},
            assistant("Rain."),
        ],
        "functions": [WEATHER],
    }
    for name in ("trl", "sharegpt"):
        made, losses = FORMATS[name].write_row(row)
        assert {loss.what for loss in losses} >= {"function-call"}
        back = FORMATS[name].read_row(made)
        assert [m["role"] for m in back["messages"]] == ["user", "assistant", "tool", "assistant"]
        (call,) = back["messages"][1]["tool_calls"]
        assert call["id"] == back["messages"][2]["tool_call_id"]
        assert back["tools"] == [TOOL]


def test_answers_in_another_order_than_their_calls_are_a_loss_without_ids() -> None:
    row = {
        "messages": [
            user("a"),
            assistant(None, **calls(("x", "f", "{}"), ("y", "g", "{}"))),
            answered("y", "1"),
            answered("x", "2"),
            assistant("b"),
        ]
    }
    assert FORMATS["trl"].write_row(row)[1] == []
    lost = FORMATS["sharegpt"].write_row(row)[1]
    assert [(loss.what, loss.path) for loss in lost] == [
        ("tool-call-id", "messages[2].tool_call_id"),
        ("tool-call-id", "messages[3].tool_call_id"),
    ]


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("alpaca", TOOLS_ROW),
        ("alpaca", {"messages": [user("a"), user("b"), assistant("c")]}),
        ("alpaca", {"messages": [assistant("c")]}),
        ("alpaca", {"messages": [user("a")]}),
        ("alpaca", {"text": "a"}),
        ("autotrain", TOOLS_ROW),
        ("autotrain", {"prompt": "a", "completion": "b"}),
        ("autotrain", {"messages": [user("a")]}),
        ("sharegpt", {"text": "a"}),
        ("sharegpt", {"prompt": "a", "completion": "b"}),
        ("sharegpt", {"messages": [answered("x", "a"), assistant("b")]}),
        ("csv", TOOLS_ROW),
        ("csv", {"messages": [user("a"), assistant("b"), user("c"), assistant("d")]}),
        ("csv", {"messages": [user("a")]}),
    ],
)
def test_rows_that_a_format_cannot_hold_are_refused(name: str, row: Row) -> None:
    with pytest.raises(RowError) as caught:
        FORMATS[name].write_row(row)
    assert caught.value.code == "unheld-row"


@pytest.mark.parametrize("name", [name for name in FORMATS if name not in ("openai", "azure")])
@pytest.mark.parametrize(
    "row",
    [
        {"messages": None},
        {"messages": [3]},
        {"messages": [{"content": "a"}]},
        {"messages": [user(3)]},
        {"messages": [user(["a"])]},
        {"messages": [assistant(None, tool_calls=[{"id": "a"}])]},
        {"messages": [assistant(None, function_call="f")]},
        {"messages": [user("a"), assistant("b")], "tools": {"a": 1}},
        {"input": 3, "preferred_output": [], "non_preferred_output": []},
        {"input": {}, "preferred_output": [], "non_preferred_output": []},
        {"prompt": "a", "completion": 3},
        {"text": None},
        {"question": "a"},
        {},
    ],
)
def test_broken_rows_are_refused_and_never_a_traceback(name: str, row: Row) -> None:
    with pytest.raises(RowError) as caught:
        FORMATS[name].write_row(row)
    assert caught.value.code in ("unconvertible-row", "unrecognised-structure")


def test_a_weight_of_one_is_no_loss() -> None:
    row = {"messages": [user("a"), assistant("b", weight=1)]}
    for name in ("trl", "sharegpt", "alpaca", "autotrain", "csv"):
        assert FORMATS[name].write_row(row)[1] == []


@pytest.mark.parametrize(
    ("chosen", "rejected", "parted"),
    [
        ("2+2? 4", "2+2? 5", ("2+2?", " 4", " 5")),
        ("2+2?4", "2+2?5", ("2+2?", "4", "5")),
        # One is all that the other begins with: no space goes over to the answers.
        ("2+2? 4", "2+2? 42", ("2+2? ", "4", "42")),
        ("2+2? 4", "2+2? 4", ("2+2? ", "4", "4")),
        ("aba bb", "aba b", ("aba ", "bb", "b")),
    ],
)
def test_an_implicit_prompt_is_parted_as_trl_does_it(
    chosen: str, rejected: str, parted: tuple[str, str, str]
) -> None:
    row = FORMATS["trl"].read_row({"chosen": chosen, "rejected": rejected})
    made = row["input"]["messages"], row["preferred_output"], row["non_preferred_output"]
    assert tuple(messages[0]["content"] for messages in made) == parted


@pytest.mark.parametrize(
    ("chosen", "rejected"),
    [
        ("a", "b"),
        (" a ", "b a"),
        ("a", "ab"),
        ("", "a"),
        (" ab", " ba"),
        ([user("a")], [user("b")]),
    ],
)
def test_answers_without_a_common_beginning_have_no_implicit_prompt(
    chosen: Any, rejected: Any
) -> None:
    with pytest.raises(RowError, match="do not begin alike"):
        FORMATS["trl"].read_row({"chosen": chosen, "rejected": rejected})


def test_a_prompt_that_the_answers_repeat_stands_once() -> None:
    asked = [system("s"), user("2+2?")]
    row = {
        "prompt": " 2+2?",
        "chosen": [*asked, assistant("4")],
        "rejected": [*asked, assistant("5")],
    }
    assert FORMATS["trl"].read_row(row) == {
        "input": {"messages": asked},
        "preferred_output": [assistant("4")],
        "non_preferred_output": [assistant("5")],
    }
    with pytest.raises(RowError, match="is not in what"):
        FORMATS["trl"].read_row({**row, "prompt": "3+3?"})
    short = {"prompt": "2+2?", "chosen": [assistant("4")], "rejected": [assistant("5")]}
    assert FORMATS["trl"].read_row(short)["input"] == {"messages": [user("2+2?")]}


@pytest.mark.parametrize(
    ("name", "row", "key"),
    [
        ("alpaca", {"instruction": "q", "output": "a", "messages": "x"}, "messages"),
        (
            "alpaca",
            {"instruction": "q", "chosen": "a", "rejected": "b", "messages": []},
            "messages",
        ),
        (
            "sharegpt",
            {"conversations": [{"from": "human", "value": "q"}], "messages": [user("x")]},
            "messages",
        ),
        ("autotrain", {"text": "a", "prompt": "q", "completion": "b"}, "prompt"),
        ("autotrain", {"text": "a", "autotrain_text": "b"}, "autotrain_text"),
    ],
)
def test_a_key_that_would_take_the_place_of_what_was_read_is_refused(
    name: str, row: Row, key: str
) -> None:
    with pytest.raises(RowError, match=f"^`{key}`"):
        FORMATS[name].read_row(row)


def test_other_columns_beside_a_foreign_row_stay() -> None:
    row = {"instruction": "q", "output": "a", "text": "q a", "id": 1}
    assert FORMATS["alpaca"].read_row(row) == {
        "messages": [user("q"), assistant("a")],
        "text": "q a",
        "id": 1,
    }


@pytest.mark.parametrize("calls", [5, ["x"], "x", [None]])
def test_calls_that_are_none_stay_for_the_check(calls: Any) -> None:
    turn = {"from": "gpt", "value": "a", "tool_calls": calls}
    (message,) = FORMATS["sharegpt"].read_row({"conversations": [turn]})["messages"]
    assert message["tool_calls"] == calls


def test_numbers_too_large_for_json_are_no_calls() -> None:
    value = '{"name": "f", "arguments": {"x": 1e999}}'
    row = {"conversations": [{"from": "function_call", "value": value}]}
    with pytest.raises(RowError, match="1e999 is too large"):
        FORMATS["sharegpt"].read_row(row)


def test_a_backslash_in_python_messages_is_no_warning() -> None:
    row = {"text": "[{'role': 'user', 'content': 'a\\d'}]"}
    assert FORMATS["autotrain"].read_row(row) == {"messages": [user("a\\d")]}

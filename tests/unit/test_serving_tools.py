"""Tool calls in what a model said; nothing here needs torch."""

from __future__ import annotations

import json

import pytest

from tunekit.providers.local.server.tools import split_calls


def test_a_call_is_taken_out_of_the_text() -> None:
    said = 'One moment.\n<tool_call>\n{"name": "find", "arguments": {"ä": 1}}\n</tool_call>'
    text, (call,) = split_calls(said)
    assert text == "One moment."
    assert call["type"] == "function"
    assert call["function"]["name"] == "find"
    assert json.loads(call["function"]["arguments"]) == {"ä": 1}


def test_calls_alone_leave_no_text_and_have_their_own_ids() -> None:
    one = '<tool_call>{"name": "f", "arguments": "{}"}</tool_call>'
    text, calls = split_calls(f"{one}\n{one}")
    assert text is None
    assert len({call["id"] for call in calls}) == 2
    assert [call["function"]["arguments"] for call in calls] == ["{}", "{}"]


@pytest.mark.parametrize(
    "said",
    [
        "",
        "no call",
        '{"name": "f"}',
        "<tool_call>{</tool_call>",
        "<tool_call>[]</tool_call>",
        '<tool_call>{"name": 1}</tool_call>',
        '<tool_call>{"name": "f"}',
    ],
)
def test_whatever_is_no_whole_call_stays_text(said: str) -> None:
    assert split_calls(said) == (said, [])

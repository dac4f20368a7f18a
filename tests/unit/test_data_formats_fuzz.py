"""Any JSON object, read or written in any format, ends in a row or in a reason why not."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tunekit.data.encoding import RowError, plain
from tunekit.data.formats import FORMATS, meaning

Row = dict[str, Any]

KEYS = [
    *("messages", "tools", "functions", "parallel_tool_calls", "input", "preferred_output"),
    *("non_preferred_output", "prompt", "completion", "chosen", "rejected", "label", "text"),
    *("conversations", "conversation", "system", "images", "instruction", "output", "history"),
    *("rejected_text", "autotrain_text", "autotrain_prompt", "completions", "labels", "user"),
    *("assistant", "question"),
]
INNER_KEYS = [
    *("role", "content", "from", "value", "name", "weight", "tool_calls", "tool_call_id", "id"),
    *("type", "function", "arguments", "function_call", "refusal", "messages", "tools", "text"),
]
WORDS = [
    *("user", "assistant", "system", "developer", "tool", "function", "human", "gpt", "text"),
    *("function_call", "observation", "image_url", "[{}]", "[{", "{}", "[]", '{"name": "f"}', "a"),
    "[{'role': 'user', 'content': 'a'}]",
]

values = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 2) | st.sampled_from(WORDS),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(INNER_KEYS), inner, max_size=5)
    ),
    max_leaves=12,
)
messages = st.lists(
    st.fixed_dictionaries({}, optional={key: values for key in INNER_KEYS})
    | st.fixed_dictionaries(
        {"role": st.sampled_from(WORDS), "content": values},
        optional={"tool_calls": values, "function_call": values},
    )
    | st.fixed_dictionaries({"from": st.sampled_from(WORDS), "value": st.sampled_from(WORDS)}),
    max_size=4,
)
rows = st.dictionaries(st.sampled_from(KEYS), values | messages, max_size=6)


@given(row=rows)
def test_reading_and_telling_any_row_is_safe(row: Row) -> None:
    for one in FORMATS.values():
        assert one.matches(row) in (True, False)
        assert _outcome(one.read_row, row)


@given(row=rows)
def test_writing_any_row_is_safe(row: Row) -> None:
    for one in FORMATS.values():
        assert _outcome(lambda row, one=one: one.write_row(row)[0], row)


@given(row=rows)
def test_the_meaning_of_any_row_is_a_row(row: Row) -> None:
    assert _outcome(meaning, row)


def _outcome(function: Any, row: Row) -> bool:
    """Whether a function gives a plain row, or says with a code, a message and a fix why not."""
    try:
        return isinstance(plain(function(row)), dict)
    except RowError as error:
        return bool(error.code and str(error) and error.fix)

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunekit.data.likeness.keys import marks_of, prompt_and_answer, row_keys, text_of

SYSTEM = {"role": "system", "content": "You are a cook."}
ASKS = {"role": "user", "content": "How long does an egg take?"}
ANSWERS = {"role": "assistant", "content": "Eight minutes."}
TOOLS = [{"type": "function", "function": {"name": "boil", "parameters": {}}}]

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["role", "content", "messages", "tool_calls", "function", "text"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
rows = st.dictionaries(
    st.sampled_from(
        (
            "messages",
            "prompt",
            "completion",
            "text",
            "input",
            "preferred_output",
            "non_preferred_output",
            "tools",
        )
    ),
    json_values,
)


@given(rows)
def test_any_row_has_keys(row: dict[str, Any]) -> None:
    keys = row_keys(row)
    assert len(keys.row) == 16
    assert keys.prompt is None or len(keys.prompt) == 16
    assert keys == row_keys(dict(reversed(row.items())))
    marks_of(row, keys.text)


def test_the_prompt_of_a_chat_is_what_comes_before_the_last_answer() -> None:
    again = {"role": "user", "content": "And a hard one?"}
    row = {"messages": [SYSTEM, ASKS, ANSWERS, again, ANSWERS], "tools": TOOLS}
    prompt, answer = prompt_and_answer(row)
    assert prompt == {"messages": [SYSTEM, ASKS, ANSWERS, again], "tools": TOOLS}
    assert answer == [ANSWERS]


def test_the_prompt_of_a_preference_is_its_input_and_the_answer_the_better_one() -> None:
    row = {
        "input": {"messages": [ASKS]},
        "preferred_output": [ANSWERS],
        "non_preferred_output": [SYSTEM],
    }
    assert prompt_and_answer(row) == ({"messages": [ASKS]}, [ANSWERS])


def test_the_prompt_of_a_completion_is_the_prompt() -> None:
    assert prompt_and_answer({"prompt": "1, 2,", "completion": " 3"}) == ({"prompt": "1, 2,"}, " 3")
    row = {"prompt": [ASKS], "completion": [ANSWERS], "tools": TOOLS}
    assert prompt_and_answer(row) == ({"prompt": [ASKS], "tools": TOOLS}, [ANSWERS])


@pytest.mark.parametrize(
    "row",
    [
        {"text": "Plain."},
        {"messages": [ASKS]},
        {"messages": [SYSTEM, ANSWERS]},
        {"messages": [ANSWERS]},
        {"messages": "none"},
        {"prompt": " ", "completion": "Once upon a time"},
        {"prompt": [SYSTEM], "completion": [ANSWERS]},
        {"prompt": 3, "completion": 4},
        {"input": [], "preferred_output": [], "non_preferred_output": []},
        {},
    ],
)
def test_a_row_that_asks_nothing_or_answers_nothing_has_no_prompt(row: dict[str, Any]) -> None:
    assert row_keys(row).prompt is None


def test_the_order_of_keys_does_not_change_the_prompt_and_the_answer_does_not_either() -> None:
    turned = {"content": ASKS["content"], "role": "user"}
    other = {"role": "assistant", "content": "Nine."}
    one = row_keys({"messages": [SYSTEM, ASKS, ANSWERS]})
    two = row_keys({"messages": [SYSTEM, turned, other]})
    assert one.prompt == two.prompt
    assert one.row != two.row
    assert row_keys({"messages": [ASKS, ANSWERS]}).prompt != one.prompt
    assert row_keys({"messages": [SYSTEM, ASKS, ANSWERS], "tools": TOOLS}).prompt != one.prompt


def test_the_text_is_all_that_is_said_but_the_instructions() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "boil", "arguments": '{"n": 8}'}}
    row = {
        "messages": [
            SYSTEM,
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "Boil it."}, {"type": "x"}]},
            {"role": "assistant", "content": None, "tool_calls": [call, None]},
            {"role": "tool", "tool_call_id": "1", "content": "Done."},
            {"role": "assistant", "content": "It is done.", "refusal": "No."},
        ]
    }
    assert text_of(row) == 'Boil it.\nboil\n{"n": 8}\nDone.\nIt is done.\nNo.'
    assert text_of({"prompt": "a", "completion": [ANSWERS]}) == "a\nEight minutes."
    assert text_of({"text": "b"}) == "b"


def test_marks_are_numbers_whatever_their_order_and_images() -> None:
    def row(text: str, url: str) -> dict[str, Any]:
        image = {"type": "image_url", "image_url": {"url": url}}
        content = [{"type": "text", "text": text}, image]
        return {"messages": [{"role": "user", "content": content}]}

    def marks(text: str, url: str = "a.png") -> object:
        return marks_of(row(text, url), text)

    assert marks("17 eggs and 2 pans") == marks("2 pans and 17 eggs")
    assert marks("17 eggs") != marks("71 eggs")
    assert marks("17 eggs") != marks("17 eggs", "b.png")

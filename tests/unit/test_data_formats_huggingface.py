"""Datasets of the package `datasets`, both ways."""

from __future__ import annotations

import json
import pickle
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunekit.data import Dataset
from tunekit.data.formats import from_huggingface, to_huggingface
from tunekit.errors import DataError, MissingExtraError

datasets = pytest.importorskip("datasets")

Row = dict[str, Any]


def said(role: str, content: Any, **more: Any) -> Row:
    return {"role": role, "content": content, **more}


CALL = {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}
ROWS: list[Row] = [
    {
        "messages": [said("user", "Hi"), said("assistant", None, tool_calls=[CALL])],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"x": None}}}],
    },
    {
        "messages": [
            said("user", [{"type": "text", "text": "42"}]),
            said("assistant", "42", weight=0),
        ],
        "id": 2**63 - 1,
        "rate": 0.1 + 0.2,
    },
    {"messages": [said("user", "[]"), said("assistant", "\ud83e")], "parallel_tool_calls": False},
]


def test_no_row_and_no_key_is_lost_on_the_way_there_and_back() -> None:
    made = to_huggingface(Dataset.from_records(ROWS))
    assert isinstance(made, datasets.Dataset)
    assert made.num_rows == 3
    assert list(from_huggingface(made)) == ROWS


def test_calls_keep_just_their_own_keys_for_those_who_read_the_dataset_itself() -> None:
    made = to_huggingface(Dataset.from_records(ROWS[:2]))
    assert made[0]["messages"] == ROWS[0]["messages"]
    assert made[1]["messages"] == ROWS[1]["messages"]
    assert made[0]["tools"] == ROWS[0]["tools"]
    assert made[1]["tools"] is None


def test_texts_are_columns_of_strings_also_when_they_look_like_numbers() -> None:
    made = to_huggingface(Dataset.from_records([{"text": "42"}, {"text": "null"}]))
    assert made.features["text"] == datasets.Value("string")
    assert list(from_huggingface(made)) == [{"text": "42"}, {"text": "null"}]


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.text(max_size=5)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2)
    ),
    max_leaves=4,
)
some_rows = st.lists(
    st.fixed_dictionaries(
        {"messages": st.lists(st.fixed_dictionaries({"role": st.text(max_size=3), "x": values}))},
        optional={
            "id": values.filter(lambda value: value is not None),
            "text": st.text(max_size=5),
        },
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=40)
@given(rows=some_rows)
def test_any_json_survives(rows: list[Row]) -> None:
    made = to_huggingface(Dataset.from_records(rows))
    assert list(from_huggingface(made, format="openai")) == rows


def test_an_integer_that_datasets_cannot_hold_is_named_with_its_line() -> None:
    rows: list[Row] = [{"text": "1" * 30}, {"text": "a", "nested": [{"id": -(2**63) - 1}]}]
    assert to_huggingface(Dataset.from_records(rows[:1]))[0] == rows[0]
    with pytest.raises(DataError, match=r"'mine', line 2: the integer -9223372036854775809"):
        to_huggingface(Dataset.from_records(rows, source="mine"))


def test_no_rows_are_an_empty_dataset() -> None:
    assert to_huggingface(Dataset.from_records([])).num_rows == 0
    assert list(from_huggingface(datasets.Dataset.from_list([]))) == []


def test_the_nulls_that_fill_structs_are_left_out_and_a_null_content_stays() -> None:
    rows = [
        {"messages": [said("user", "a", name="Ann"), said("assistant", "b")]},
        {"messages": [said("user", "a"), said("assistant", None, tool_calls=[CALL])]},
    ]
    data = from_huggingface(datasets.Dataset.from_list(rows), source="mine")
    assert list(data) == rows
    assert data.source == "mine"


def test_a_selection_is_read_in_its_order_by_position_and_after_pickling() -> None:
    rows = datasets.Dataset.from_list([{"text": str(n)} for n in range(2000)])
    chosen = from_huggingface(rows.select([1999, 5, 7]))
    assert [row["text"] for row in chosen] == ["1999", "5", "7"]
    assert len(from_huggingface(rows)) == 2000
    parts = from_huggingface(rows).split(0.5, 0.5, seed=1)
    again = pickle.loads(pickle.dumps(parts[0]))  # noqa: S301 - our own bytes
    assert list(again) == list(parts[0])
    assert sorted(int(row["text"]) for part in parts for row in part) == list(range(2000))


def test_rows_of_another_format_are_turned() -> None:
    turns = [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]
    rows = datasets.Dataset.from_list([{"conversations": turns}])
    assert list(from_huggingface(rows)) == [
        {"messages": [said("user", "a"), said("assistant", "b")]}
    ]
    tool = {"type": "function", "function": {"name": "f", "arguments": {"x": 1}}}
    features = datasets.Features({"messages": datasets.List(datasets.Json())})
    called = [said("user", "a"), said("assistant", "", tool_calls=[tool])]
    rows = datasets.Dataset.from_list([{"messages": called}], features=features)
    (row,) = from_huggingface(rows)
    assert json.loads(row["messages"][1]["tool_calls"][0]["function"]["arguments"]) == {"x": 1}


def test_columns_that_tell_nothing_stay_to_be_mapped() -> None:
    rows = datasets.Dataset.from_list([{"q": "a", "n": 1}, {"q": "b", "n": None}])
    assert list(from_huggingface(rows)) == [{"q": "a", "n": 1}, {"q": "b"}]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (datasets.DatasetDict({"train": datasets.Dataset.from_list([])}), "splits: 'train'"),
        ([{"text": "a"}], "list is no dataset"),
        (datasets.Dataset.from_list([{"a": 1}]).to_iterable_dataset(), "IterableDataset"),
    ],
)
def test_what_is_no_dataset_is_refused(rows: Any, said: str) -> None:
    with pytest.raises(DataError, match=said):
        from_huggingface(rows)


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtraError, match="to_huggingface"):
        to_huggingface(Dataset.from_records([]))

"""Templates that make rows of columns, and columns of rows."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunekit.data.encoding import RowError
from tunekit.data.formats import ColumnMapping
from tunekit.errors import ConfigError

Row = dict[str, Any]


def said(role: str, text: str) -> Row:
    return {"role": role, "content": text}


@pytest.mark.parametrize(
    ("columns", "row", "made"),
    [
        (
            {"assistant": "{a}", "user": "{q}"},
            {"q": "2+2?", "a": "4"},
            {"messages": [said("user", "2+2?"), said("assistant", "4")]},
        ),
        (
            {"system": "{s}", "user": "{q}", "assistant": "{a}"},
            {"s": None, "q": True, "a": {"x": [1.5]}},
            {"messages": [said("user", "true"), said("assistant", '{"x": [1.5]}')]},
        ),
        (
            {
                "messages": [
                    ("user", "Hi"[:0] + "{q}"),
                    ("assistant", "{a}"),
                    ("user", "Sure, {q}?"),
                    ("assistant", "{{{b}}}"),
                ]
            },
            {"q": "x", "a": "y", "b": "z"},
            {
                "messages": [
                    said("user", "x"),
                    said("assistant", "y"),
                    said("user", "Sure, x?"),
                    said("assistant", "{z}"),
                ]
            },
        ),
        (
            {"prompt": "{q}\n", "completion": " {a}"},
            {"q": "x", "a": 4},
            {"prompt": "x\n", "completion": " 4"},
        ),
        ({"text": "{a} {b}"}, {"a": "x", "b": "y"}, {"text": "x y"}),
        (
            {"system": "Be kind.", "prompt": "{q}", "chosen": "{a}", "rejected": "{b}"},
            {"q": "x", "a": "y", "b": "z"},
            {
                "input": {"messages": [said("system", "Be kind."), said("user", "x")]},
                "preferred_output": [said("assistant", "y")],
                "non_preferred_output": [said("assistant", "z")],
            },
        ),
    ],
)
def test_columns_become_rows(columns: Any, row: Row, made: Row) -> None:
    assert ColumnMapping.parse(columns)(row) == made


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ("user", "must be a table"),
        ({"usr": "{q}"}, r"`columns\.usr` in x\.toml.*'user'"),
        ({"user": "{q}"}, "lacks `assistant`"),
        ({"system": "a"}, "lacks `user`"),
        ({}, "lacks"),
        ({"prompt": "{q}"}, "lacks `completion`"),
        ({"prompt": "{q}", "chosen": "{a}"}, "lacks `rejected`"),
        ({"user": "{q}", "completion": "{a}"}, "contradict"),
        ({"user": "question", "assistant": "{a}"}, r'names no column.*`user = "\{question\}"`'),
        ({"text": 3}, "must be text"),
        ({"messages": "{q}"}, "a list"),
        ({"messages": []}, "a list"),
        ({"messages": [("user", "{q}")], "text": "{a}"}, "alone"),
        ({"messages": ["{q}"]}, r"messages\[0\]` in x\.toml is no pair"),
        ({"messages": [("cat", "{q}")]}, "role 'cat'"),
        ({"messages": [("user", "q")]}, "names no column"),
    ],
)
def test_a_mapping_that_means_nothing_is_refused(columns: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        ColumnMapping.parse(columns, origin="x.toml")


def test_a_missing_column_is_named_with_the_nearest() -> None:
    mapping = ColumnMapping.parse({"text": "{titel}"}, setting="data.columns")
    with pytest.raises(RowError, match=r"'titel', which `data\.columns`") as caught:
        mapping({"title": "x"})
    assert (caught.value.code, caught.value.fix) == ("missing-column", "Did you mean 'title'?")


def test_the_columns_of_a_mapping_are_named_once() -> None:
    mapping = ColumnMapping.parse({"user": "{b} {{c}} {a}", "assistant": "{a}{d}"})
    assert mapping.columns == ("b", "a", "d")


@given(values=st.lists(st.text(), min_size=3, max_size=3), before=st.text(), behind=st.text())
def test_what_a_mapping_made_gives_its_columns_back(
    values: list[str], before: str, behind: str
) -> None:
    fixed = [text.replace("{", "{{").replace("}", "}}") for text in (before, behind)]
    mapping = ColumnMapping.parse(
        {"system": "{s}", "user": f"{fixed[0]}{{q}}{fixed[1]}", "assistant": "{a}"}
    )
    columns = dict(zip(("s", "q", "a"), values, strict=True))
    assert mapping.write_row(mapping(columns)) == (columns, [])


@pytest.mark.parametrize(
    ("columns", "row"),
    [
        ({"text": "{a}"}, {"prompt": "a", "completion": "b"}),
        ({"text": "a{a}"}, {"text": "b"}),
        ({"text": "ab{a}bc"}, {"text": "abc"}),
        ({"prompt": "{a}", "completion": "{a}"}, {"prompt": "a", "completion": "b"}),
        (
            {"system": "Add.", "user": "{q}", "assistant": "{a}"},
            {"messages": [said("user", "a"), said("assistant", "b")]},
        ),
        (
            {"user": "{q}", "assistant": "{a}"},
            {"messages": [said("system", "s"), said("user", "a"), said("assistant", "b")]},
        ),
        (
            {"user": "{q}", "assistant": "{a}"},
            {"messages": [said("user", "a"), said("assistant", "b"), said("assistant", "c")]},
        ),
        (
            {"prompt": "{q}", "chosen": "{a}", "rejected": "{b}"},
            {
                "input": {"messages": [said("assistant", "a")]},
                "preferred_output": [said("assistant", "y")],
                "non_preferred_output": [said("assistant", "z")],
            },
        ),
        (
            {"prompt": "{q}", "chosen": "{a}", "rejected": "{b}"},
            {
                "input": {"messages": [said("user", "a")]},
                "preferred_output": [said("assistant", "y")] * 2,
                "non_preferred_output": [said("assistant", "z")],
            },
        ),
        (
            {"prompt": "{q}", "completion": "{a}"},
            {"prompt": [said("user", "a")], "completion": [said("assistant", "b")]},
        ),
    ],
)
def test_a_row_that_the_templates_cannot_have_made_is_refused(columns: Any, row: Row) -> None:
    with pytest.raises(RowError) as caught:
        ColumnMapping.parse(columns).write_row(row)
    assert caught.value.code == "unheld-row"


def test_templates_with_several_columns_read_but_do_not_write() -> None:
    mapping = ColumnMapping.parse({"text": "{a} {b}"})
    with pytest.raises(ConfigError, match=r"`columns\.text` names several columns"):
        mapping.check_invertible()


def test_a_field_that_the_table_has_no_column_for_is_a_loss() -> None:
    _, losses = ColumnMapping.parse({"text": "{a}"}).write_row({"text": "x", "id": 1, "no": None})
    assert [(loss.what, loss.path) for loss in losses] == [("field", "id")]

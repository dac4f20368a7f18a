"""What a format holds comes back; what it cannot hold is exactly what it names."""

from __future__ import annotations

import copy
import json
import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tunekit.data.encoding import RowError, plain
from tunekit.data.formats import FORMATS, Loss, meaning

Row = dict[str, Any]

texts = st.text(max_size=12) | st.sampled_from(
    ["42", "007", "null", "[]", " ", "a\r\nb", '"', "{x}"]
)
words = st.text(min_size=1, max_size=8).filter(lambda text: text.strip() != "")
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2)
    ),
    max_leaves=4,
)
fields = st.dictionaries(
    st.sampled_from(["id", "source", "text", "prompt", "chosen", "history", "system", "reference"]),
    json_values,
    max_size=2,
)
tools = st.lists(
    st.fixed_dictionaries(
        {
            "type": st.just("function"),
            "function": st.fixed_dictionaries(
                {"name": words}, optional={"parameters": json_values, "strict": st.booleans()}
            ),
        }
    ),
    max_size=2,
)
parts = st.lists(
    st.fixed_dictionaries({"type": st.just("text"), "text": texts})
    | st.just({"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}),
    min_size=1,
    max_size=3,
)


refusals = parts | st.builds(lambda: [{"type": "refusal", "refusal": "no"}])


def said(role: str, **more: Any) -> st.SearchStrategy[Row]:
    content = {"user": texts | parts, "assistant": texts | refusals}.get(role, texts)
    return st.fixed_dictionaries({"role": st.just(role), "content": content}, optional=more)


simple_answer = st.fixed_dictionaries({"role": st.just("assistant"), "content": texts})
answer = said("assistant", weight=st.sampled_from([0, 1]), name=words, refusal=words)
question = said("user", name=words)


@st.composite
def tool_rounds(draw: st.DrawFn) -> list[Row]:
    """A message with calls, and their answers in order."""
    ids = draw(st.lists(st.uuids().map(str), min_size=1, max_size=3, unique=True))
    arguments = st.dictionaries(st.text(max_size=4), json_values, max_size=2).map(json.dumps)
    calls = [
        {
            "id": one,
            "type": "function",
            "function": {"name": draw(words), "arguments": draw(arguments)},
        }
        for one in ids
    ]
    content = draw(st.none() | texts)
    answers = [{"role": "tool", "tool_call_id": one, "content": draw(texts)} for one in ids]
    return [{"role": "assistant", "content": content, "tool_calls": calls}, *answers]


@st.composite
def conversations(draw: st.DrawFn, *, rich: bool) -> list[Row]:
    """What comes before an answer: it ends with a question, or with the answers of tools."""
    made = draw(
        st.lists(said("system") | said("developer") if rich else said("system"), max_size=1)
    )
    for _ in range(draw(st.integers(0, 2))):
        made += [draw(question if rich else said("user")), draw(answer if rich else simple_answer)]
        if rich and draw(st.booleans()):
            made.append(draw(said("system")))
    made.append(draw(question if rich else said("user")))
    if rich and draw(st.booleans()):
        made += draw(tool_rounds())
    return made


options: dict[str, st.SearchStrategy[Any]] = {"tools": tools, "parallel_tool_calls": st.booleans()}


@st.composite
def rows(draw: st.DrawFn, *, rich: bool = True, kinds: str = "cprdt") -> Row:
    kind = draw(st.sampled_from(kinds))
    more = {**draw(fields)} if rich else {}
    last = answer if rich else simple_answer
    setting = draw(st.fixed_dictionaries({}, optional=options)) if rich else {}
    if kind == "t":
        return {"text": draw(texts)}
    if kind == "d" and draw(st.booleans()):
        return {"prompt": draw(texts), "completion": draw(texts)}
    before = draw(conversations(rich=rich))
    if kind == "d":
        return {"prompt": before, "completion": [draw(last)]}
    if kind == "r" and before[-1]["role"] == "user":
        return {"messages": before, **setting, **more}
    if kind == "p":
        return {
            "input": {"messages": before, **setting},
            "preferred_output": [draw(last)],
            "non_preferred_output": [draw(last)],
            **more,
        }
    return {"messages": [*before, draw(last)], **setting, **more}


def steps(path: str) -> list[str | int]:
    found = re.findall(r"\[(\d+)\]|([^.\[\]]+)", path)
    return [int(number) if number else key for number, key in found]


def without_losses(row: Row, losses: list[Loss]) -> Row:
    """The row after just the changes that the losses name."""
    row = copy.deepcopy(row)
    # From behind, so that numbers in paths stay true; the whole of a content after its parts.
    for loss in sorted(losses, key=lambda loss: steps_key(loss.path), reverse=True):
        *way, last = steps(loss.path)
        holder: Any = row
        for step in way:
            holder = holder[step]
        if loss.what == "developer-role":
            holder[last] = "system"
        elif loss.what == "content-parts":
            holder[last] = "".join(part["text"] for part in holder[last])
        else:
            del holder[last]
            if last == "content" or (way and way[-1] == "content" and not holder):
                leave_empty(row, way, last)
    return row


def steps_key(path: str) -> list[tuple[bool, Any]]:
    return [(isinstance(step, int), step) for step in steps(path)]


def leave_empty(row: Row, way: list[str | int], last: str | int) -> None:
    holder: Any = row
    for step in way if last == "content" else way[:-1]:
        holder = holder[step]
    holder["content"] = ""


def survives(name: str, row: Row, *, held: bool) -> None:
    before = copy.deepcopy(row)
    written = write_row(name, row)
    assert row == before, "a row is not changed by being written"
    if isinstance(written, RowError):
        assert (held, written.code) == (False, "unheld-row")
        return
    foreign, losses = written
    back = plain(FORMATS[name].read_row(plain(foreign)))
    assert meaning(back) == meaning(without_losses(row, losses))


def write_row(name: str, row: Row) -> tuple[Row, list[Loss]] | RowError:
    try:
        return FORMATS[name].write_row(row)
    except RowError as error:
        return error


HELD = {
    "openai": "cprdt",
    "azure": "cprdt",
    "trl": "cprdt",
    "sharegpt": "cpr",
    "alpaca": "cp",
    "autotrain": "cpt",
}


@pytest.mark.parametrize("name", HELD)
@given(data=st.data())
def test_what_a_format_is_for_comes_back(name: str, data: st.DataObject) -> None:
    survives(name, data.draw(rows(rich=False, kinds=HELD[name])), held=True)


@pytest.mark.parametrize("name", [*HELD, "csv", "parquet"])
@given(data=st.data())
def test_only_what_is_named_differs_in_what_comes_back(name: str, data: st.DataObject) -> None:
    survives(name, data.draw(rows()), held=name in ("openai", "azure", "trl"))


one_round = st.tuples(st.lists(said("system"), max_size=1), st.tuples(texts, texts, texts)).map(
    lambda pair: (pair[0], *pair[1])
)


@given(drawn=one_round, kind=st.sampled_from("cpdt"))
@example(drawn=([{"role": "system", "content": ""}], "a", "b", "c"), kind="c")
def test_a_question_with_its_answer_fits_a_table(drawn: Any, kind: str) -> None:
    system, asked, good, bad = drawn
    question = {"role": "user", "content": asked}
    answers = [{"role": "assistant", "content": text} for text in (good, bad)]
    rows_of: dict[str, Row] = {
        "c": {"messages": [*system, question, answers[0]]},
        "p": {
            "input": {"messages": [*system, question]},
            "preferred_output": [answers[0]],
            "non_preferred_output": [answers[1]],
        },
        "d": {"prompt": asked, "completion": good},
        "t": {"text": asked},
    }
    survives("csv", rows_of[kind], held=True)


@given(row=rows())
def test_meaning_is_settled_after_one_step(row: Row) -> None:
    assert meaning(meaning(row)) == meaning(row)

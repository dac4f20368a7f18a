"""The picture of a row by a hosted service's published rules."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.vocabularies import vocabularies
from tunekit.data.preview import BEYOND_THE_GUIDE, BY_THE_GUIDE, PreviewRow, preview_hosted
from tunekit.data.tokens.hosted import HostedCounter
from tunekit.errors import DataError

pytestmark = pytest.mark.usefixtures(vocabularies.__name__)

COUNTER = HostedCounter("o200k_base")
CALL = {"id": "c1", "type": "function", "function": {"name": "rain", "arguments": '{"in": 1}'}}
IMAGE = {"type": "image_url", "image_url": {"url": "https://example.org/a.png", "detail": "low"}}
TOOLS = [{"type": "function", "function": {"name": "rain", "parameters": {}}}]
CHAT = {
    "messages": [
        {"role": "system", "content": "Be brief.", "name": "ada"},
        {"role": "user", "content": [{"type": "text", "text": "Rain?"}, IMAGE]},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "c1", "content": "no"},
        {"role": "assistant", "content": "A first try.", "weight": 0},
        {"role": "assistant", "content": "No rain, ☂ stays at home."},
    ],
    "tools": TOOLS,
}
PREFERENCE = {
    "input": {"messages": [{"role": "user", "content": "Hi"}]},
    "preferred_output": [{"role": "assistant", "content": "Hello there!"}],
    "non_preferred_output": [{"role": "assistant", "content": "What is it now?"}],
}
ROWS: list[dict[str, Any]] = [
    CHAT,
    PREFERENCE,
    {"prompt": "Once upon", "completion": " a time"},
    {"text": "Once upon a time"},
    {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]},
]


def trained_text(found: PreviewRow) -> str:
    return "|".join(piece.text for piece in found.pieces if piece.trained and not piece.cut)


def test_pieces_say_who_speaks_and_what_is_trained_on() -> None:
    found = preview_hosted(CHAT, COUNTER, line=7)
    assert found.line == 7
    assert trained_text(found) == 'rain|{"in": 1}|No rain, ☂ stays at home.'
    said = [(piece.role, piece.text) for piece in found.pieces if piece.part == "content"]
    assert said[0] == ("system", "Be brief.")
    assert said[-1] == ("assistant", "No rain, ☂ stays at home.")
    assert [piece.text for piece in found.pieces if piece.part == "image"] == ["[image]"]


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("method", [None, "reinforcement"])
def test_the_picture_adds_up_to_the_count(row: dict[str, Any], method: str | None) -> None:
    counter = HostedCounter("o200k_base", method=method)
    found = preview_hosted(row, counter)
    (counted,) = counter.count([row])
    assert counted is not None
    assert (found.tokens, found.trained) == (counted.total, counted.trained)
    assert found.truncated_after is None


def test_a_preference_shows_both_of_its_texts() -> None:
    found = preview_hosted(PREFERENCE, COUNTER)
    texts = ["".join(p.text for p in found.pieces if p.text_of == number) for number in (0, 1)]
    assert texts == ["userHiassistantHello there!", "userHiassistantWhat is it now?"]


@given(st.integers(1, 140), st.sampled_from(ROWS))
@settings(max_examples=150, deadline=None)
def test_what_is_not_cut_is_as_long_as_the_limit_allows(limit: int, row: dict[str, Any]) -> None:
    whole = preview_hosted(row, COUNTER)
    found = preview_hosted(row, COUNTER, limit=limit)
    assert found.tokens == whole.tokens
    for number in (0, 1):
        pieces = [piece for piece in found.pieces if piece.text_of == number]
        kept = sum(piece.count for piece in pieces if not piece.cut)
        total = sum(piece.count for piece in pieces)
        assert kept <= limit
        # What a rule counts at once, such as the frame of a message, is kept or cut as one.
        assert kept == total or kept > limit - 85
        cut = [piece.cut for piece in pieces if piece.count]
        assert cut == sorted(cut)
    assert (found.truncated_after == limit) is any(piece.cut for piece in found.pieces)


def test_a_text_is_cut_between_two_tokens() -> None:
    row = {"text": "Once upon a time there was a row"}
    found = preview_hosted(row, COUNTER, limit=4)
    assert [(piece.text, piece.cut, piece.count) for piece in found.pieces] == [
        ("Once upon a time", False, 4),
        (" there was a row", True, 4),
    ]
    assert (found.trained, found.truncated_after) == (4, 4)


def test_tokens_are_given_where_they_are_asked_for() -> None:
    (piece,) = preview_hosted({"text": "Once upon a time"}, COUNTER, tokens=True).pieces
    assert piece.tokens == ("Once", " upon", " a", " time")
    (piece,) = preview_hosted({"text": "Once"}, COUNTER).pieces
    assert piece.tokens is None


def test_half_a_character_shows_as_a_replacement() -> None:
    (piece,) = preview_hosted({"text": "🦒"}, COUNTER, tokens=True).pieces
    assert piece.text == "🦒"
    assert piece.tokens is not None
    assert any("�" in word for word in piece.tokens)


def test_a_text_of_nothing_but_blanks_is_shown_however_long_it_is() -> None:
    (piece,) = preview_hosted({"text": " " * 1_200_000 + "end"}, COUNTER).pieces
    (counted,) = COUNTER.count([{"text": " " * 1_200_000 + "end"}])
    assert counted is not None
    assert piece.count == counted.total


def test_the_note_says_what_the_picture_rests_on() -> None:
    assert preview_hosted(ROWS[-1], COUNTER).note == BY_THE_GUIDE
    assert preview_hosted(CHAT, COUNTER).note == BEYOND_THE_GUIDE


def test_the_picture_survives_json() -> None:
    found = preview_hosted(CHAT, COUNTER, limit=50, tokens=True)
    assert PreviewRow.model_validate_json(found.model_dump_json()) == found


def test_a_row_without_shape_is_refused_with_its_line() -> None:
    with pytest.raises(DataError, match="line 12"):
        preview_hosted({"messages": 1}, COUNTER, line=12)

"""Text that comes token by token; nothing here needs torch."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tunekit.providers.local.server.text import TextStream


def as_bytes(ids: list[int]) -> str:
    return bytes(ids).decode("utf-8", errors="replace")


def stream(text: str, *stops: str) -> tuple[list[str], bool]:
    """Pieces of the text when each of its bytes is one token, and whether a stop was met."""
    made = TextStream(as_bytes, stops)
    pieces = []
    for token in text.encode():
        pieces.append(made.feed(token))
        if made.stopped:
            return pieces, True
    return [*pieces, made.flush()], made.stopped


@given(st.text())
def test_the_pieces_are_the_text(text: str) -> None:
    assert "".join(stream(text)[0]) == text


@given(st.text())
def test_no_piece_holds_half_a_character(text: str) -> None:
    assert all(piece in text for piece in stream(text)[0])


@given(st.text(alphabet="abc", max_size=30), st.lists(st.text("abc", min_size=1, max_size=4)))
def test_nothing_of_a_stop_is_given_and_nothing_before_it_is_lost(
    text: str, stops: list[str]
) -> None:
    places = [text.find(stop) for stop in stops if stop in text]
    pieces, stopped = stream(text, *stops)
    assert stopped == bool(places)
    if not places:
        assert "".join(pieces) == text
        return
    # The stop that is complete first ends the text, as it would for a reader.
    end = min(text.find(stop) + len(stop) for stop in stops if stop in text)
    first = min(p for s in stops if (p := text[:end].find(s)) >= 0)
    assert "".join(pieces) == text[:first]


def test_text_is_given_as_soon_as_it_is_certain() -> None:
    assert stream("abXc", "XY")[0] == ["a", "b", "", "Xc", ""]
    assert stream("aé")[0] == ["a", "", "é", ""]


def test_bytes_that_are_no_character_do_not_hold_the_rest_back_for_ever() -> None:
    made = TextStream(as_bytes)
    given = [made.feed(0xFF) for _ in range(20)]
    assert "".join(given).count("\ufffd") >= 15

"""What a format is: how its rows become ours, how ours become its, and what that loses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tunekit.data.encoding import RowError
from tunekit.data.records import REQUIRED_KEYS, Row, key_names, kind_of

MEDIA_FIX = "Write images as `image_url` parts of user messages, in the form of OpenAI."


@dataclass(frozen=True, slots=True)
class Loss:
    """Something of a row that another format has no place for.

    Attributes:
        what: In kebab-case, for example `weight`; the problem's code is `lost-weight`.
        path: Where it stands in our row, written like `messages[2].weight`.
        message: What happens to it, in one sentence.
    """

    what: str
    path: str
    message: str


@dataclass(frozen=True, slots=True)
class Format:
    """One shape in which training data is kept.

    Attributes:
        name: What it is called in `format=` and in `--from` and `--to`.
        about: One sentence on who uses it and how a row looks.
        read_row: Makes a row in OpenAI's form from a row of this format. It raises `RowError` for a
            row that it cannot take, and for nothing else.
        write_row: Makes a row of this format and says what it could not carry over. It raises
            `RowError` for a row that the format cannot hold at all.
        matches: Whether a row may be of this format, by its keys and the types of its values.
        begins_with_bom: Whether a file starts with a byte-order mark when it is written.
    """

    name: str
    about: str
    read_row: Callable[[Row], Row]
    write_row: Callable[[Row], tuple[Row, list[Loss]]]
    matches: Callable[[Row], bool]
    begins_with_bom: bool = False


def unlike(name: str, row: Row, fix: str) -> RowError:
    """Say that a row is not of a format, with the keys that it has."""
    return RowError("unlike-format", f"No {name} row has the keys {key_names(row)}.", fix)


def bad_value(path: str, message: str, fix: str) -> RowError:
    """Say that a value of a foreign row has the wrong shape."""
    return RowError("bad-format-value", f"`{path}` {message}.", fix)


def with_other_keys(made: Row, others: Row) -> Row:
    """Add to a row the keys of the foreign one that its format does not know.

    Raises:
        RowError: One of them would take the place of what was read, or change the row's kind.
    """
    whole = {**others, **made}
    for key in others:
        if key in made or (key in _STRUCTURE and kind_of(whole) is not kind_of(made)):
            raise bad_value(
                key,
                f"would take the place of {key_names(made)}, which the rest of the row stands for",
                "Remove it or give it another name, so that it is clear what is to be learnt.",
            )
    return {**made, **others}


_STRUCTURE = frozenset(key for keys in REQUIRED_KEYS.values() for key in keys)


def unheld(name: str, why: str) -> RowError:
    """Say that a format has no place for a row at all."""
    return RowError(
        "unheld-row",
        f"The format {name!r} cannot hold this row: {why}.",
        "Choose another format, or take such rows out with `.filter` first.",
    )

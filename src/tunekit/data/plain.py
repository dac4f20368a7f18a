"""Rows of plain shape: conversations of text, pairs of them, strings.

Most rows of most files are of these shapes. They are decoded straight into the structures below,
which refuse everything unusual, so that a row can be looked at and compared in about the time that
it takes to parse it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from functools import cache
from types import GenericAlias
from typing import TYPE_CHECKING, Final, Literal, TypeVar

import msgspec
import xxhash
from msgspec import UNSET, UnsetType

from tunekit.data.encoding import DIGEST_SIZE, canonical, digest
from tunekit.data.records import DataKind, Row

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


T = TypeVar("T")


class _Plain(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """Has the keys named here and no others."""


class _Message(_Plain, tag_field="role"):
    content: str


class System(_Message, tag="system"):
    """An instruction."""


class Developer(_Message, tag="developer"):
    """An instruction, in the newer word."""


class User(_Message, tag="user"):
    """A question."""


class Assistant(_Message, tag="assistant"):
    """An answer."""

    weight: Literal[0, 1] | UnsetType = UNSET


Message = System | Developer | User | Assistant
INSTRUCTIONS: Final = (System, Developer)


class Chat(_Plain):
    """A conversation of text, without tools."""

    messages: list[Message]


class Input(_Plain):
    """What both answers of a pair continue."""

    messages: list[Message]


# A tag is asked for only where it tells several structures apart. Where one alone may stand, a
# message without a role would pass for it, so there the role is a field like any other.


class OnlySystem(_Plain):
    """An instruction where nothing else may stand."""

    role: Literal["system"]
    content: str


class OnlyDeveloper(_Plain):
    """An instruction, in the newer word, where nothing else may stand."""

    role: Literal["developer"]
    content: str


class OnlyUser(_Plain):
    """A question where nothing else may stand."""

    role: Literal["user"]
    content: str


class OnlyAssistant(_Plain):
    """An answer without a weight where nothing else may stand."""

    role: Literal["assistant"]
    content: str


class Preference(_Plain):
    """A conversation of text with two answers."""

    input: Input
    preferred_output: list[OnlyAssistant]
    non_preferred_output: list[OnlyAssistant]


class PromptCompletion(_Plain):
    """Two strings."""

    prompt: str
    completion: str


class Text(_Plain):
    """One string."""

    text: str


PlainRow = Chat | Preference | PromptCompletion | Text

SHAPES: Final[Mapping[DataKind, type[PlainRow]]] = {
    DataKind.CHAT: Chat,
    DataKind.PREFERENCE: Preference,
    DataKind.PROMPT_COMPLETION: PromptCompletion,
    DataKind.TEXT: Text,
}
"""The plain shape of each kind that has one."""


def as_plain(row: Row, kind: DataKind | None) -> PlainRow | None:
    """The row in the plain shape of its kind; None where it is of another."""
    shape = None if kind is None else SHAPES.get(kind)
    if shape is None:
        return None
    try:
        return msgspec.convert(row, shape)
    except (ValueError, RecursionError):  # another shape, or half of a surrogate pair in a key
        return None


class Order:
    """What the speakers of a conversation alone say of it.

    Attributes:
        letters: One for each message, after its role.
        before: The same without the last message.
        answers: Where the assistant speaks.
        answered: Whether the assistant speaks last.
        instructions: How many messages at the beginning are instructions.
        tidy: Whether instructions come first and no two questions follow each other.
        clean: Whether it is both tidy and answered.
        asks: Whether anybody speaks before the last message, besides instructions.
    """

    __slots__ = (
        "answered",
        "answers",
        "asks",
        "before",
        "clean",
        "instructions",
        "letters",
        "tidy",
    )

    def __init__(self, speakers: tuple[type[Message], ...]) -> None:
        self.letters = "".join(_LETTERS[speaker] for speaker in speakers)
        self.before = self.letters[:-1]
        self.answers = [place for place, letter in enumerate(self.letters) if letter == "a"]
        self.answered = self.letters.endswith("a")
        talk = self.letters.lstrip("sd")
        self.instructions = len(self.letters) - len(talk)
        self.tidy = "uu" not in talk and not {"s", "d"} & set(talk)
        self.clean = self.tidy and self.answered
        self.asks = bool(self.before.lstrip("sd"))


_LETTERS: Final[Mapping[type[Message], str]] = {
    System: "s",
    Developer: "d",
    User: "u",
    Assistant: "a",
}
_ORDERS_KEPT: Final = 10_000
_orders: Final[dict[tuple[type[Message], ...], Order]] = {}


def order_of(messages: list[Message]) -> Order:
    """The order in which messages speak; a file has few different ones."""
    speakers = tuple(map(type, messages))
    found = _orders.get(speakers)
    if found is None:
        found = Order(speakers)
        if len(_orders) < _ORDERS_KEPT:
            _orders[speakers] = found
    return found


# What is compared of a row: digests of 16 bytes, the same for the same content. Those of plain
# conversations are made from their texts, because writing rows as canonical JSON first would take
# as long as reading them. Where texts alone do not tell messages apart, that is still done.

NUL: Final = "\0"
NO_PROMPT: Final = bytes(DIGEST_SIZE)
_hash: Final = xxhash.xxh3_128_digest


def chat_digests(messages: list[Message]) -> tuple[bytes, bytes] | None:
    """Digests of a plain conversation and of its prompt, which is `NO_PROMPT` if nobody asks.

    None for one that does not end with an answer, has weights, or holds the character NUL, which
    parts the texts here.
    """
    order = order_of(messages)
    if not order.answered or any(_weighted(messages[place]) for place in order.answers):
        return None
    contents = [message.content for message in messages]
    if any(NUL in content for content in contents):
        return None
    answer = contents.pop()
    try:
        prompt = texts_digest(order.before, contents)
        return answer_digest(prompt, answer), prompt if order.asks else NO_PROMPT
    except UnicodeEncodeError:  # half of a surrogate pair
        return None


def texts_digest(letters: str, contents: list[str]) -> bytes:
    """The digest of plain messages without NUL, given the letters of their roles."""
    return _hash(f"{letters}\0{NUL.join(contents)}".encode())


def answer_digest(prompt: bytes, answer: str) -> bytes:
    """The digest of a prompt's digest and an answer."""
    return _hash(prompt + answer.encode())


def row_digest(row: Row) -> bytes:
    """The digest of any row; two rows of equal content have the same."""
    plain = as_plain(row, DataKind.CHAT)
    found = chat_digests(plain.messages) if isinstance(plain, Chat) else None
    return digest(row) if found is None else found[0]


def prompt_digest(prompt: Row) -> bytes:
    """The digest of what `tunekit.data.likeness.keys.prompt_and_answer` calls a prompt."""
    plain = as_plain(prompt, DataKind.CHAT)
    if isinstance(plain, Chat):
        order = order_of(plain.messages)
        contents = [message.content for message in plain.messages]
        weighted = any(_weighted(plain.messages[place]) for place in order.answers)
        if not weighted and not any(NUL in content for content in contents):
            with contextlib.suppress(UnicodeEncodeError):
                return texts_digest(order.letters, contents)
    return _hash(canonical(prompt))


def _weighted(message: Message) -> bool:
    return isinstance(message, Assistant) and message.weight is not UNSET


def digests_of(row: PlainRow) -> tuple[bytes, bytes]:
    """The digests of a plain row and of its prompt, `NO_PROMPT` where it has none.

    They are `row_digest` and `prompt_digest` of the same row as a dictionary.
    """
    found = chat_digests(row.messages) if isinstance(row, Chat) else None
    if found is not None:
        return found
    from tunekit.data.likeness.keys import row_keys

    keys = row_keys(msgspec.to_builtins(row))
    return keys.row, keys.prompt or NO_PROMPT


_FORM: Final[Mapping[str, type[_Plain]]] = {
    "s": OnlySystem,
    "d": OnlyDeveloper,
    "u": OnlyUser,
    "a": OnlyAssistant,
}


@cache
def form_decoder(letters: str) -> msgspec.json.Decoder[Chat]:
    """A decoder of conversations, without weights, of just these speakers.

    The rows of most files all have the same speakers. A decoder that knows them checks their order
    while it parses, and so costs less than finding it out afterwards.
    """
    speakers = tuple(_FORM[letter] for letter in letters)
    form = msgspec.defstruct(
        "Form", [("messages", GenericAlias(tuple, speakers))], bases=(_Plain,), gc=False
    )
    return msgspec.json.Decoder(form)


def decode_lines(
    decoder: msgspec.json.Decoder[T], block: bytes
) -> tuple[list[T], NDArray[np.intp]] | None:
    """Decode whole lines at once; None unless each line is one plain row and nothing else.

    Returns:
        The rows, and where in the block each of their lines ends.

    The decoder takes any white space between rows for a line's end, and a row may have white space
    within. But a line break between `}` and `{` cannot stand within a row, so where all are of that
    kind and there are as many rows as lines, each line is one row.
    """
    import numpy as np

    if block[:1] != b"{" or block[-2:] != b"}\n":
        return None
    letters = np.frombuffer(block, np.uint8)
    ends = np.flatnonzero(letters == ord("\n"))
    if (letters[ends - 1] != ord("}")).any() or (letters[ends[:-1] + 1] != ord("{")).any():
        return None
    try:
        rows = decoder.decode_lines(block)
    except (ValueError, RecursionError):
        return None
    return (rows, ends) if len(rows) == len(ends) else None

"""What of a row is compared: all of it, its prompt, and its text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from tunekit.data.encoding import canonical
from tunekit.data.plain import prompt_digest, row_digest
from tunekit.data.records import DataKind, Row, kind_of, messages_of

DIGEST_BYTES: Final = 16

INSTRUCTIONS: Final = ("system", "developer")
"""Roles whose messages many rows share, so that they say nothing about how alike rows are."""


@dataclass(frozen=True, slots=True)
class RowKeys:
    """What is kept of a row to find others like it.

    Attributes:
        row: 16 bytes, the same for rows with the same content whatever the order of keys.
        prompt: 16 bytes, the same for rows with the same prompt; None where there is no prompt.
        text: What is said in the row, without its instructions; see `text_of`.
    """

    row: bytes
    prompt: bytes | None
    text: str


def row_keys(row: Row) -> RowKeys:
    """Give what is compared of a row of any kind, however broken."""
    prompt, _ = prompt_and_answer(row)
    return RowKeys(
        row=row_digest(row),
        prompt=None if prompt is None else prompt_digest(prompt),
        text=text_of(row),
    )


def prompt_and_answer(row: Row) -> tuple[Row | None, Any]:
    """Part a row into what is given and what is learnt from it.

    Returns:
        The prompt as an object: `{"messages": [...]}` with what stands before the last assistant
        message of a conversation, `{"prompt": ...}`, or the `input` of a preference; with `tools`
        and `functions` where the row has them. And the answer: the last assistant message and what
        follows it, the completion, or the preferred output. The prompt is None in plain text, in
        conversations without an answer, and where nothing but instructions comes before it.
    """
    kind = kind_of(row)
    if kind is DataKind.PREFERENCE:
        source = row["input"]
        return (source if isinstance(source, dict) else None), row["preferred_output"]
    if kind is DataKind.PROMPT_COMPLETION:
        prompt = row["prompt"]
        asked = bool(prompt.strip()) if isinstance(prompt, str) else _asks(prompt)
        return ({"prompt": prompt, **_tools(row)} if asked else None), row["completion"]
    if kind is DataKind.CHAT and isinstance(row["messages"], list):
        messages = row["messages"]
        for place in range(len(messages) - 1, -1, -1):
            if _role(messages[place]) == "assistant":
                before = messages[:place]
                prompt = {"messages": before, **_tools(row)}
                return (prompt if _asks(before) else None), messages[place:]
    return None, None


def _tools(row: Row) -> Row:
    return {key: row[key] for key in ("tools", "functions") if key in row}


def _role(message: Any) -> Any:
    return message.get("role") if isinstance(message, dict) else None


def _asks(messages: Any) -> bool:
    return isinstance(messages, list) and any(
        _role(message) not in INSTRUCTIONS for message in messages
    )


def text_of(row: Row) -> str:
    """What is said in a row, a line for each piece.

    Messages of all roles but system and developer, with the names and arguments of calls; or
    prompt and completion; or the text. Images and other keys are left out.
    """
    return "\n".join(_pieces(row))


def _pieces(row: Row) -> Iterator[str]:
    yield from _strings(row, "prompt", "completion", "text")
    for _, message in messages_of(row):
        if message.get("role") in INSTRUCTIONS:
            continue
        yield from _strings(message, "content")
        for part in _objects(message.get("content")):
            yield from _strings(part, "text")
        yield from _strings(message, "refusal")
        for call in _objects(message.get("tool_calls")):
            yield from _strings(call.get("function"), "name", "arguments")
        yield from _strings(message.get("function_call"), "name", "arguments")


def _strings(value: Any, *keys: str) -> Iterator[str]:
    if isinstance(value, dict):
        yield from (value[key] for key in keys if isinstance(value.get(key), str))


def _objects(value: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, list):
        yield from (item for item in value if isinstance(item, dict))


_NUMBER: Final = re.compile(r"\d+")


def marks_of(row: Row, text: str) -> tuple[list[str], list[bytes]]:
    """What must be equal in rows that are nearly the same: their numbers, and their images.

    Rows made from one template differ in little else: "What is 17 + 25?" and "What is 17 + 52?" are
    two rows to learn from, and so is one question about two pictures.
    """
    images = [
        canonical(dict(part))
        for _, message in messages_of(row)
        for part in _objects(message.get("content"))
        if "image_url" in part
    ]
    return sorted(_NUMBER.findall(text)), images

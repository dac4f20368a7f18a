"""What a provider must know of the data before it is sent."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from tunekit.data.encoding import canonical, encode, printable
from tunekit.data.records import DataKind, Row, known_kind, message_lists, messages_of
from tunekit.data.sources import Entry, passed_over
from tunekit.errors import DataError
from tunekit.problems import Problem

if TYPE_CHECKING:
    from tunekit.data.dataset import Dataset


class SplitSummary(BaseModel):
    """One dataset in figures.

    Attributes:
        source: Where the rows come from.
        kind: The structure of the rows.
        rows: How many there are.
        bytes: The size as JSON Lines, as `Dataset.write_jsonl` writes it.
        fingerprint: SHA-256 of the rows in order; that of `Dataset.fingerprint`.
        has_tools: Whether a row defines or calls tools.
        has_images: Whether a message holds an image.
        has_weights: Whether a message has a `weight`.
        longest_chars: Characters of text in the longest row: contents, tool calls and definitions,
            without JSON punctuation around messages and without image data.
        system_prompt: The one that every row begins with, if they all do.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    kind: DataKind
    rows: int
    bytes: int
    fingerprint: str
    has_tools: bool = False
    has_images: bool = False
    has_weights: bool = False
    longest_chars: int = 0
    system_prompt: str | None = None


class DataSummary(BaseModel):
    """Training data and, where there is any, validation data in figures."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    train: SplitSummary
    validation: SplitSummary | None = None


def summarize(train: Dataset, validation: Dataset | None = None) -> DataSummary:
    """Describe training and validation data, with one pass over each.

    Raises:
        DataError: The kind of one of them cannot be told.
    """
    return DataSummary(
        train=train.summary(), validation=None if validation is None else validation.summary()
    )


def summarize_entries(entries: Iterable[Entry], source: str) -> SplitSummary:
    """Describe rows in one pass; see `Dataset.summary`.

    A row that cannot be read is in no figure but the fingerprint, where its problem stands for it:
    data with a fault never looks like the same data without the faulty row.
    """
    digest = hashlib.sha256()
    kind: DataKind | None = None
    rows = size = longest = 0
    tools = images = weights = False
    prompts: set[str | None] = set()
    for _, content in entries:
        if isinstance(content, Problem):
            if not passed_over(content):
                digest.update(f"unreadable: {content}\n".encode())
            continue
        kind = kind or known_kind(content, source)
        rows += 1
        size += len(encode(content))
        digest.update(canonical(content) + b"\n")
        longest = max(longest, text_length(content))
        tools = tools or _has_tools(content)
        images = images or any(_has_image(message) for _, message in messages_of(content))
        weights = weights or any(
            message.get("weight") is not None for _, message in messages_of(content)
        )
        if len(prompts) < 2:
            prompts.add(_system_prompt(content))
    if kind is None:
        raise DataError(f"{source!r} holds no row that can be read.")
    return SplitSummary(
        source=source,
        kind=kind,
        rows=rows,
        bytes=size,
        fingerprint=digest.hexdigest(),
        has_tools=tools,
        has_images=images,
        has_weights=weights,
        longest_chars=longest,
        system_prompt=prompts.pop() if len(prompts) == 1 else None,
    )


def text_length(row: Row) -> int:
    """Count the characters of a row that end up in front of the model."""
    total = sum(_message_length(message) for _, message in messages_of(row))
    for key in ("text", "prompt", "completion"):
        if isinstance(row.get(key), str):
            total += len(row[key])
    return total + sum(
        len(json.dumps(tools, ensure_ascii=False)) for tools in _definitions(row) if tools
    )


def _message_length(message: dict[str, Any]) -> int:
    total = len(_text_of(message.get("content")))
    for key in ("tool_calls", "function_call"):
        if message.get(key):
            total += len(json.dumps(message[key], ensure_ascii=False))
    return total


def _text_of(content: Any) -> str:
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else ()
    return "".join(
        part["text"]
        for part in parts
        if isinstance(part, dict) and isinstance(part.get("text"), str)
    )


def _definitions(row: Row) -> list[Any]:
    source = row.get("input")
    holders = [row, source] if isinstance(source, dict) else [row]
    return [holder.get(key) for holder in holders for key in ("tools", "functions")]


def _has_tools(row: Row) -> bool:
    return any(_definitions(row)) or any(
        message.get("tool_calls") or message.get("function_call") for _, message in messages_of(row)
    )


def _has_image(message: dict[str, Any]) -> bool:
    content = message.get("content")
    return isinstance(content, list) and any(
        isinstance(part, dict) and part.get("type") == "image_url" for part in content
    )


def _system_prompt(row: Row) -> str | None:
    for _, value in message_lists(row):
        first = value[0] if isinstance(value, list) and value else None
        if isinstance(first, dict) and first.get("role") in ("system", "developer"):
            return printable(_text_of(first.get("content")))
        return None
    return None

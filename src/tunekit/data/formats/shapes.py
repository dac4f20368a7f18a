"""Taking our own rows apart before they are written in another format."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from tunekit.data.encoding import RowError
from tunekit.data.formats.base import Loss, unheld
from tunekit.data.formats.meaning import is_default_weight
from tunekit.data.records import (
    MESSAGE_KEYS,
    ROW_KEYS,
    DataKind,
    Row,
    key_names,
    kind_of,
    unknown_structure,
)

Messages = list[dict[str, Any]]


def kind_to_write(row: Row) -> DataKind:
    """Tell a row's kind and make sure that its parts can be taken apart.

    A conversation that ends with the user's turn is a reinforcement prompt.

    Raises:
        RowError: The row has no known structure, or a part of it has the wrong shape.
    """
    kind = kind_of(row)
    if kind is None:
        raise RowError("unrecognised-structure", *unknown_structure(key_names(row)))
    for path, fault in _faults(row, kind):
        raise RowError(
            "unconvertible-row",
            f"`{path}` {fault}, so that the row cannot be converted.",
            "`tunekit check` lists everything that is wrong with the file.",
        )
    if kind is DataKind.CHAT and row["messages"][-1]["role"] == "user":
        return DataKind.REINFORCEMENT
    return kind


def _faults(row: Row, kind: DataKind) -> Iterator[tuple[str, str]]:
    if kind is DataKind.TEXT:
        if not isinstance(row["text"], str):
            yield "text", "is not a string"
    elif kind is DataKind.PROMPT_COMPLETION:
        if not (isinstance(row["prompt"], str) and isinstance(row["completion"], str)):
            yield from _message_faults(row["prompt"], "prompt")
            yield from _message_faults(row["completion"], "completion")
    elif kind is DataKind.PREFERENCE:
        if not isinstance(row["input"], dict):
            yield "input", "is not an object"
            return
        yield from _message_faults(row["input"].get("messages"), "input.messages")
        yield from _message_faults(row["preferred_output"], "preferred_output")
        yield from _message_faults(row["non_preferred_output"], "non_preferred_output")
    else:
        yield from _message_faults(row["messages"], "messages")
    for key in ("tools", "functions"):
        holder = row["input"] if kind is DataKind.PREFERENCE else row
        definitions = holder.get(key) or []
        if not (isinstance(definitions, list) and all(isinstance(d, dict) for d in definitions)):
            yield key, "is not a list of objects"


def _message_faults(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if not isinstance(value, list) or not value:
        yield path, "is not a list with messages in it"
        return
    for number, message in enumerate(value):
        where = f"{path}[{number}]"
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            yield where, "is not a message with a role"
            continue
        if not _is_content(message.get("content")):
            yield f"{where}.content", "is neither text nor a list of parts"
        calls = message.get("tool_calls")
        if calls is not None and not (isinstance(calls, list) and all(map(_is_call, calls))):
            yield f"{where}.tool_calls", "is not a list of calls with a function each"
        if message.get("function_call") is not None and not _is_call(
            {"function": message["function_call"]}
        ):
            yield f"{where}.function_call", "is not a call with a name"


def _is_content(content: Any) -> bool:
    if isinstance(content, list):
        return all(isinstance(part, dict) for part in content)
    return isinstance(content, str | None)


def _is_call(call: Any) -> bool:
    function = call.get("function") if isinstance(call, dict) else None
    return (
        isinstance(function, dict)
        and isinstance(function.get("name"), str)
        and isinstance(function.get("arguments"), str)
    )


def text_of(message: dict[str, Any], path: str, losses: list[Loss]) -> str | None:
    """Give a message's content as one text, and note what of it is none."""
    content = message.get("content")
    if not isinstance(content, list):
        return content
    texts = []
    for number, part in enumerate(content):
        if part.get("type") == "text" and isinstance(part.get("text"), str):
            texts.append(part["text"])
            continue
        what, named = _PARTS.get(str(part.get("type")), ("content-part", "a part that is no text"))
        where = f"{path}.content[{number}]"
        losses.append(Loss(what, where, f"The format has no place for {named}; it is left out."))
    if len(texts) > 1:
        said = "The text parts are joined to one text."
        losses.append(Loss("content-parts", f"{path}.content", said))
    return "".join(texts)


_PARTS: Final = {"image_url": ("image", "an image"), "refusal": ("refusal", "a refusal")}


def without(
    message: dict[str, Any], kept: frozenset[str], path: str, losses: list[Loss]
) -> dict[str, Any]:
    """Keep some keys of a message, and note those that are lost."""
    made = {}
    for key, value in message.items():
        if key in kept:
            made[key] = value
        elif value is None or (key == "weight" and is_default_weight(value)):
            continue
        else:
            what = key.replace("_", "-") if key in MESSAGE_KEYS else "message-key"
            said = f"The format has no place for `{key}`; it is left out."
            losses.append(Loss(what, f"{path}.{key}", said))
    return made


def note_parallel(holder: Row, path: str, losses: list[Loss]) -> None:
    """Note `parallel_tool_calls` unless it says what holds anyway."""
    if holder.get("parallel_tool_calls") not in (None, True):
        said = "The format has no place for `parallel_tool_calls`; it is left out."
        losses.append(Loss("parallel-tool-calls", f"{path}parallel_tool_calls", said))


def note_tools(holder: Row, path: str, losses: list[Loss]) -> None:
    """Note every tool definition, for formats that have none."""
    for key in ("tools", "functions"):
        for number, _ in enumerate(holder.get(key) or ()):
            said = "The format has no place for tools; the definition is left out."
            losses.append(Loss("tool", f"{path}{key}[{number}]", said))


def other_fields(row: Row, kind: DataKind, taken: frozenset[str], losses: list[Loss]) -> Row:
    """The keys of a row that mean nothing to its kind; those whose name is taken are lost."""
    made = {}
    for key, value in row.items():
        if key in ROW_KEYS[kind] or (key == "functions" and kind is DataKind.REINFORCEMENT):
            continue
        if key not in taken:
            made[key] = value
        elif value is not None:
            said = f"`{key}` has a meaning of its own in the format; the field is left out."
            losses.append(Loss("field", key, said))
    if kind is DataKind.PREFERENCE:
        for key in row["input"]:
            if key not in ("messages", "tools", "parallel_tool_calls", "functions"):
                said = "The format keeps no fields of its own inside `input`; it is left out."
                losses.append(Loss("field", f"input.{key}", said))
    return made


Turn = tuple[str, str, str]
"""Role, text, and the path of the message that they are from."""


def plain_turns(name: str, messages: Messages, path: str, losses: list[Loss]) -> list[Turn]:
    """Messages as roles and texts, for formats that know nothing else.

    Raises:
        RowError: A message calls a tool or answers a call: without it the rest has no sense.
    """
    made = []
    for number, message in enumerate(messages):
        where = f"{path}[{number}]"
        if message.get("tool_calls") or message.get("function_call"):
            raise unheld(name, f"`{where}` calls a tool")
        if message["role"] not in ("system", "developer", "user", "assistant"):
            raise unheld(name, f"`{where}` has the role {message['role']!r:.80}")
        without(message, _PLAIN, where, losses)
        made.append((message["role"], text_of(message, where, losses) or "", where))
    return made


_PLAIN: Final = frozenset({"role", "content", "tool_calls", "function_call"})


def with_one_system(turns: list[Turn], losses: list[Loss], *, first: bool = True) -> list[Turn]:
    """Leave out each system turn but one at the beginning, and note those and other changes.

    Args:
        turns: What `plain_turns` gives.
        losses: Where to note them.
        first: Whether the turns begin a conversation.
    """
    made = []
    for number, (role, text, where) in enumerate(turns):
        if role not in ("system", "developer"):
            made.append((role, text, where))
            continue
        if number or not first:
            said = "The format has one system text, at the beginning; this one is left out."
            losses.append(Loss("system-position", where, said))
            continue
        if not text:
            said = "An empty system text means none in the format."
            losses.append(Loss("empty-system", where, said))
            continue
        if role == "developer":
            losses.append(Loss("developer-role", f"{where}.role", "It is written as system."))
        made.append(("system", text, where))
    return made

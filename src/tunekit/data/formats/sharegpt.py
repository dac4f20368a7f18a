"""ShareGPT: turns of `from` and `value`, as LLaMA-Factory, Axolotl, FastChat and Hermes keep them.

Calls are turns of their own, `function_call`, whose value is JSON; their answers are turns of
`observation` and belong to the calls in order, since nothing has an id.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from tunekit.data.encoding import RowError
from tunekit.data.formats.base import (
    MEDIA_FIX,
    Format,
    Loss,
    bad_value,
    unheld,
    unlike,
    with_other_keys,
)
from tunekit.data.formats.shapes import (
    Messages,
    kind_to_write,
    note_parallel,
    other_fields,
    text_of,
    without,
)
from tunekit.data.formats.tools import (
    answers_in_order,
    arguments_as_object,
    arguments_as_text,
    functions_as_tools,
    in_todays_form,
    json_of,
    name_calls,
    read_tools,
)
from tunekit.data.records import DataKind, Row

SPEAKERS: Final[Mapping[str, str]] = {
    "human": "user",
    "user": "user",
    "prompter": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "model": "assistant",
    "bot": "assistant",
    "chatgpt": "assistant",
    "bing": "assistant",
    "bard": "assistant",
    "system": "system",
    "developer": "system",
    "function_call": "call",
    "tool_call": "call",
    "observation": "tool",
    "tool": "tool",
    "tool_response": "tool",
    "function_response": "tool",
    "function": "tool",
}
"""Names in `from`, and the role that each stands for; a call is an assistant message with calls."""

_WRITTEN: Final = {"user": "human", "assistant": "gpt", "tool": "observation"}
_LISTS: Final = ("conversations", "conversation", "messages")
_MEDIA: Final = ("image", "images", "videos", "audios")
_TAKEN: Final = frozenset({*_LISTS, *_MEDIA, "system", "tools", "functions", "chosen", "rejected"})
_KEPT: Final = frozenset({"role", "content", "tool_calls", "tool_call_id"})
_TURN_FIX: Final = 'Write turns as {"from": "human", "value": ...}.'
_CALL_FIX: Final = 'Write the value as {"name": ..., "arguments": {...}}, or a list of these.'


def read_row(row: Row) -> Row:
    """Read a conversation, or one with the turns `chosen` and `rejected`.

    Raises:
        RowError: The row has no turns, a speaker is unknown, or a call is no JSON.
    """
    row = {key: value for key, value in row.items() if value is not None}
    name = next((key for key in _LISTS if isinstance(row.get(key), list)), None)
    if name is None:
        raise unlike("ShareGPT", row, 'Give `conversations`, a list of {"from", "value"}.')
    for key in _MEDIA:
        if row.get(key):
            raise bad_value(key, "holds what cannot be placed in the turns", MEDIA_FIX)
    messages = _turns(row[name], name)
    if row.get("system"):
        messages = _with_system(row["system"], messages)
    tools = {"tools": read_tools(row["tools"])} if row.get("tools") else {}
    rest = {k: v for k, v in row.items() if k not in (name, "system", "tools")}
    if "chosen" not in row or "rejected" not in row:
        name_calls(messages)
        return with_other_keys({"messages": messages, **tools}, rest)
    preferred, other = (_answer(rest.pop(key), key) for key in ("chosen", "rejected"))
    name_calls(messages, preferred)
    name_calls(messages, other)
    made = {
        "input": {"messages": messages, **tools},
        "preferred_output": preferred,
        "non_preferred_output": other,
    }
    return with_other_keys(made, rest)


def _with_system(system: Any, messages: Messages) -> Messages:
    if not isinstance(system, str):
        raise bad_value("system", "is not text", "Give a string.")
    if messages and messages[0]["role"] == "system":
        if messages[0]["content"] == system:
            return messages
        raise RowError(
            "two-systems",
            "The row has a `system` and a system turn, and they differ.",
            "Keep one of them.",
        )
    return [{"role": "system", "content": system}, *messages]


def _answer(value: Any, path: str) -> Messages:
    return _turns(value if isinstance(value, list) else [value], path)


def _turns(value: list[Any], path: str) -> Messages:
    made: Messages = []
    for number, turn in enumerate(value):
        where = f"{path}[{number}]"
        if not isinstance(turn, dict):
            raise bad_value(where, "is no turn", _TURN_FIX)
        speaker = turn.get("from", turn.get("role"))
        content = turn.get("value", turn.get("content"))
        if not isinstance(speaker, str) or not isinstance(content, str):
            raise bad_value(where, "has no speaker and text", _TURN_FIX)
        role = SPEAKERS.get(speaker.strip().lower())
        if role is None:
            raise RowError(
                "unknown-speaker",
                f"`{where}` is said by {speaker!r:.80}, who is unknown.",
                f"Use one of {', '.join(sorted(SPEAKERS))}.",
            )
        # What a format has no word for stays, so that `check` can name it.
        rest = {
            key: item
            for key, item in turn.items()
            if key not in ("from", "value", "role", "content") and item is not None
        }
        if role == "call":
            calls = _calls(content, where)
            made.append({"role": "assistant", "content": None, "tool_calls": calls, **rest})
        else:
            made.append({"role": role, "content": content, **rest})
    return made


def _calls(text: str, path: str) -> list[dict[str, Any]]:
    found = json_of(text, f"{path}.value", _CALL_FIX)
    calls = found if isinstance(found, list) else [found]
    if not calls or not all(
        isinstance(call, dict) and isinstance(call.get("name"), str) for call in calls
    ):
        raise bad_value(f"{path}.value", "is no call of a function", _CALL_FIX)
    return [
        {"type": "function", "function": {**c, "arguments": arguments_as_text(c.get("arguments"))}}
        for c in calls
    ]


def write_row(row: Row) -> tuple[Row, list[Loss]]:
    """Write `conversations`, `tools` as JSON text, and `chosen` and `rejected` for a preference.

    Raises:
        RowError: The row is no conversation, or an answer of a preference is more than one turn.
    """
    kind = kind_to_write(row)
    if kind in (DataKind.TEXT, DataKind.PROMPT_COMPLETION):
        raise unheld("sharegpt", "it is no conversation")
    losses: list[Loss] = []
    if kind is DataKind.PREFERENCE:
        holder, path = row["input"], "input."
        if max(len(row["preferred_output"]), len(row["non_preferred_output"])) > 1:
            raise unheld("sharegpt", "one of its answers is more than one message")
    else:
        holder, path = row, ""
    before = _said(holder["messages"], f"{path}messages", losses)
    made: Row = {
        "conversations": [
            turn for message, where in before for turn in _written(message, where, losses)
        ]
    }
    if kind is DataKind.PREFERENCE:
        for ours, theirs in (("preferred_output", "chosen"), ("non_preferred_output", "rejected")):
            answer = _said(row[ours], ours, losses, first=False)
            turns = [turn for message, where in answer for turn in _written(message, where, losses)]
            if not turns:
                raise unheld("sharegpt", f"nothing of `{ours}` could be kept")
            made[theirs] = turns[0]
    losses += answers_in_order([message for message, _ in before], [where for _, where in before])
    note_parallel(holder, path, losses)
    if tools := functions_as_tools(holder, path, losses):
        made["tools"] = json.dumps([_bare(tool) for tool in tools], ensure_ascii=False)
    return {**made, **other_fields(row, kind, _TAKEN, losses)}, losses


def _bare(tool: dict[str, Any]) -> dict[str, Any]:
    """The function alone, as LLaMA-Factory's examples have it, where nothing is lost by it."""
    function = tool.get("function")
    bare = set(tool) == {"type", "function"} and tool["type"] == "function"
    if bare and isinstance(function, dict) and isinstance(function.get("name"), str):
        return tool if "function" in function else function
    return tool


def _said(
    messages: Messages, path: str, losses: list[Loss], *, first: bool = True
) -> list[tuple[dict[str, Any], str]]:
    """The messages that have a turn, each with its path; others are noted."""
    made = []
    for number, message in enumerate(in_todays_form(messages, path, losses)):
        where = f"{path}[{number}]"
        role = message["role"]
        if role in ("system", "developer"):
            if number or not first:
                said = "Readers of ShareGPT know a system turn at the beginning only; left out."
                losses.append(Loss("system-position", where, said))
                continue
            if role == "developer":
                losses.append(Loss("developer-role", f"{where}.role", "It is written as system."))
        elif role not in _WRITTEN:
            raise unheld("sharegpt", f"`{where}` has the role {role!r:.80}")
        made.append((message, where))
    return made


def _written(message: dict[str, Any], path: str, losses: list[Loss]) -> list[dict[str, Any]]:
    kept = without(message, _KEPT, path, losses)
    text = text_of(message, path, losses)
    if calls := kept.get("tool_calls"):
        if text:
            said = "A call is a turn of its own; the text beside it is left out."
            losses.append(Loss("content", f"{path}.content", said))
        values = [_call(call, f"{path}.tool_calls[{n}]", losses) for n, call in enumerate(calls)]
        value = values[0] if len(values) == 1 else values
        return [{"from": "function_call", "value": json.dumps(value, ensure_ascii=False)}]
    role = message["role"]
    return [{"from": _WRITTEN.get(role, "system"), "value": text or ""}]


def _call(call: dict[str, Any], path: str, losses: list[Loss]) -> dict[str, Any]:
    without(call, frozenset({"id", "type", "function"}), path, losses)
    function = call["function"]
    arguments = arguments_as_object(function["arguments"])
    return {**function, "arguments": arguments}


def matches(row: Row) -> bool:
    """Whether a row has a list of turns that say who they are `from`."""
    name = next((key for key in _LISTS if isinstance(row.get(key), list)), None)
    if name is None:
        return False
    if name != "messages":
        return True
    return all(isinstance(turn, dict) and "from" in turn for turn in row[name])


SHAREGPT = Format(
    name="sharegpt",
    about="Turns of `from` and `value`, as LLaMA-Factory, Axolotl, FastChat and Hermes keep them.",
    read_row=read_row,
    write_row=write_row,
    matches=matches,
)

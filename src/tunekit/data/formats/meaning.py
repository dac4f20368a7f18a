"""When two rows mean the same, although they are written differently.

Formats differ in details that change nothing: a null key, a weight of 1, the spaces in a call's
arguments. `meaning` takes them out, so that what is left can be compared.
"""

from __future__ import annotations

import json
from typing import Any

from tunekit.data.records import Row

_LISTS = ("messages", "preferred_output", "non_preferred_output", "prompt", "completion")


def meaning(row: Row) -> Row:
    """Bring a row of our own form into the shape that all its spellings share.

    - A key that is null, an empty list of tools, and `parallel_tool_calls` true count as absent;
      so does `weight` 1, which is what a message without one has.
    - One text part is the text; beside tool calls, an empty content is none.
    - The arguments of calls are compared as JSON, not as text.
    - The ids of calls are names without a meaning: they are numbered in order.
    """
    names: dict[str, str] = {}
    made = _holder(row, names)
    if isinstance(row.get("input"), dict):
        made["input"] = _holder(row["input"], names)
    for key in _LISTS:  # the order in which ids are met, whatever the order of keys
        if isinstance(row.get(key), list):
            made[key] = [_message(message, names) for message in row[key]]
    return made


def _holder(row: Row, names: dict[str, str]) -> Row:
    made = {key: value for key, value in row.items() if value is not None}
    for key in ("tools", "functions"):
        if made.get(key) == []:
            del made[key]
    if made.get("parallel_tool_calls") is True:
        del made["parallel_tool_calls"]
    if isinstance(made.get("messages"), list):
        made["messages"] = [_message(message, names) for message in made["messages"]]
    return made


def _message(message: Any, names: dict[str, str]) -> Any:
    if not isinstance(message, dict):
        return message
    made = {key: value for key, value in message.items() if value is not None}
    if is_default_weight(made.get("weight")):
        del made["weight"]
    content = made.get("content")
    if isinstance(content, list) and len(content) == 1 and _is_text_part(content[0]):
        made["content"] = content[0]["text"]
    if isinstance(made.get("tool_calls"), list) and made["tool_calls"]:
        made["tool_calls"] = [_call(call, names) for call in made["tool_calls"]]
        if made.get("content") == "":
            del made["content"]
    if isinstance(made.get("tool_call_id"), str):
        made["tool_call_id"] = names.get(made["tool_call_id"], made["tool_call_id"])
    return made


def _is_text_part(part: Any) -> bool:
    return isinstance(part, dict) and part.keys() == {"type", "text"} and part["type"] == "text"


def is_default_weight(weight: Any) -> bool:
    """Whether a message with this weight is learnt just as it would be without one."""
    return type(weight) is int and weight == 1


def _call(call: Any, names: dict[str, str]) -> Any:
    if not isinstance(call, dict):
        return call
    made = dict(call)
    if isinstance(made.get("id"), str):
        made["id"] = names.setdefault(made["id"], f"#{len(names)}")
    function = made.get("function")
    if isinstance(function, dict):
        made["function"] = {**function, "arguments": _as_json(function.get("arguments"))}
    return made


def _as_json(arguments: Any) -> Any:
    try:
        return json.loads(arguments)
    except (TypeError, ValueError, RecursionError):
        return arguments

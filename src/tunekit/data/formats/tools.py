"""Tool definitions and calls, in the spellings in which formats keep them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from tunekit.data.encoding import MAX_DEPTH, RowError, depth_of, strict_json
from tunekit.data.formats.base import Loss, bad_value, unheld
from tunekit.data.formats.shapes import Messages


def read_tools(value: Any) -> list[dict[str, Any]]:
    """Read tool definitions: a list or its JSON text, of wrapped or bare functions.

    Raises:
        RowError: They are none of these.
    """
    fix = "Give a list of function definitions, or its JSON text."
    if isinstance(value, str):
        value = json_of(value, "tools", fix) if value.strip() else []
    if not isinstance(value, list):
        raise bad_value("tools", "is no list of definitions", fix)
    made = []
    for number, tool in enumerate(value):
        tool = json_of(tool, f"tools[{number}]", fix) if isinstance(tool, str) else tool
        if not isinstance(tool, dict):
            raise bad_value(f"tools[{number}]", "is no definition", fix)
        bare = "function" not in tool and isinstance(tool.get("name"), str)
        made.append({"type": "function", "function": tool} if bare else tool)
    return made


def json_of(text: str, path: str, fix: str) -> Any:
    """Read JSON inside a string.

    Raises:
        RowError: It is not JSON.
    """
    try:
        return strict_json(text)
    except RecursionError:
        raise bad_value(path, "is nested too deep", fix) from None
    except ValueError as error:
        raise bad_value(path, f"is not JSON: {error}", fix) from None


def arguments_as_object(arguments: str) -> Any:
    """Arguments as an object; text that is no JSON object, or repeats a key, stays text.

    So does what would make the row too deep to be read again.
    """

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) != len(pairs):
            raise ValueError("a key stands twice")
        return made

    try:
        found = strict_json(arguments, object_pairs_hook=once)
    except (ValueError, RecursionError):
        return arguments
    fits = isinstance(found, dict) and depth_of(found) <= MAX_DEPTH - _ROUND_ARGUMENTS
    return found if fits else arguments


_ROUND_ARGUMENTS: Final = 8
"""Row, messages, message, calls, call and function stand around arguments, with two to spare."""


def arguments_as_text(arguments: Any) -> str:
    """Arguments as OpenAI keeps them: a JSON object written as a string."""
    if isinstance(arguments, str):
        return arguments
    return json.dumps({} if arguments is None else arguments, ensure_ascii=False)


def name_calls(*lists: Messages) -> None:
    """Give an id to each call that has none, and to each answer the id of the oldest open call.

    The lists are read as one conversation. Messages are changed in place.

    Raises:
        RowError: A tool message answers no call.
    """
    messages = [message for one in lists for message in one]
    calls = [call for message in messages for call in _calls(message)]
    taken = {call["id"] for call in calls if isinstance(call.get("id"), str)}
    waiting: list[str] = []
    made = 0
    for number, message in enumerate(messages):
        for call in _calls(message):
            while not isinstance(call.get("id"), str):
                made += 1
                if f"call_{made}" not in taken:
                    call["id"] = f"call_{made}"
            waiting.append(call["id"])
        if message.get("role") != "tool":
            continue
        if message.get("tool_call_id") is None:
            if not waiting:
                raise RowError(
                    "answer-without-call",
                    f"Message {number + 1} is a tool's answer, but no call before it waits.",
                    "Add the call that it answers.",
                )
            message["tool_call_id"] = waiting[0]
        if message["tool_call_id"] in waiting:
            waiting.remove(message["tool_call_id"])


def _calls(message: dict[str, Any]) -> list[dict[str, Any]]:
    """A message's calls; what is none stays in the message, where `check` sees it."""
    calls = message.get("tool_calls")
    return [call for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []


def answers_in_order(messages: Sequence[dict[str, Any]], paths: Sequence[str]) -> list[Loss]:
    """The answers that a format without ids would give to another call.

    Raises:
        RowError: A tool message answers no call, so that it could not be read back.
    """
    losses = []
    waiting: list[Any] = []
    for message, path in zip(messages, paths, strict=True):
        waiting += [call.get("id") for call in message.get("tool_calls") or ()]
        if message.get("role") != "tool":
            continue
        if not waiting:
            raise unheld("sharegpt", f"`{path}` answers no call")
        if waiting.pop(0) != message.get("tool_call_id"):
            said = "The format pairs answers with calls by their order, and this one is not its."
            losses.append(Loss("tool-call-id", f"{path}.tool_call_id", said))
    return losses


def in_todays_form(messages: Messages, path: str, losses: list[Loss]) -> Messages:
    """Write `function_call` and the role `function` as tool calls and their answers."""
    made = []
    last: str | None = None
    for number, message in enumerate(messages):
        call = message.get("function_call")
        if call is None and message["role"] != "function":
            made.append(message)
            continue
        turned = {key: value for key, value in message.items() if key != "function_call"}
        if call is not None:
            last = f"{path}_{number}"
            turned["tool_calls"] = [
                *(message.get("tool_calls") or ()),
                {"id": last, "type": "function", "function": call},
            ]
            turned.setdefault("content", None)
        else:
            turned["role"] = "tool"
            turned["tool_call_id"] = last
        said = "The older form of tool calls is written in today's form."
        losses.append(Loss("function-call", f"{path}[{number}]", said))
        made.append(turned)
    return made


def functions_as_tools(holder: dict[str, Any], path: str, losses: list[Loss]) -> list[Any]:
    """The tools of a row, with those of the older key `functions`."""
    tools = list(holder.get("tools") or ())
    for number, function in enumerate(holder.get("functions") or ()):
        tools.append({"type": "function", "function": function})
        said = "The older `functions` are written as `tools`."
        losses.append(Loss("function-call", f"{path}functions[{number}]", said))
    return tools

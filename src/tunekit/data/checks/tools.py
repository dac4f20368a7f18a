"""The rules about tools: their definitions, the calls, and the answers to calls.

Sources: the schemas of tools, functions and tool calls of OpenAI's OpenAPI document of 2026-08-21.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final, NoReturn

from tunekit.data.checks.catalogue import error, rule, warning
from tunekit.data.checks.conversation import Conversation, Faults, Turn
from tunekit.data.checks.schemas import schema_of
from tunekit.problems import Problem

_DEFINITION: Final = 'Write {"type": "function", "function": {"name": ..., "parameters": ...}}.'


def read_tools(
    row: Mapping[str, Any], prefix: str = ""
) -> tuple[dict[str, dict[str, Any] | None], list[Problem]]:
    """Take the definitions of a row apart.

    Args:
        row: What holds `tools`, `functions` and `parallel_tool_calls`.
        prefix: The path of that object within the row, with a full stop at its end.

    Returns:
        The `parameters` of each tool by its name, None where it has none, and the problems.
    """
    tools: dict[str, dict[str, Any] | None] = {}
    problems: list[Problem] = []
    for key in ("tools", "functions"):
        definitions = row.get(key)
        if definitions is None:
            continue
        path = f"{prefix}{key}"
        if not isinstance(definitions, list):
            fix = "Give a list of definitions, or remove the key."
            problems.append(error("bad-tools", path, f"`{key}` is not a list.", fix))
            continue
        for number, definition in enumerate(definitions):
            where = f"{path}[{number}]"
            function = _function(definition) if key == "tools" else definition
            inside = f"{where}.function" if key == "tools" and function is not None else where
            problems += definition_is_whole(function, inside)
            if not isinstance(function, dict) or not isinstance(function.get("name"), str):
                continue
            name, parameters = function["name"], function.get("parameters")
            if name in tools:
                message = f"The tool {name!r:.80} is defined twice."
                problems.append(error("duplicate-tool", where, message, "Remove one."))
                continue
            tools[name] = parameters if isinstance(parameters, dict) else None
    problems += parallel_is_boolean(row.get("parallel_tool_calls"), prefix)
    return tools, problems


def _function(definition: Any) -> Any:
    if isinstance(definition, dict) and definition.get("type") == "function":
        return definition.get("function")
    return None


@rule("tools", errors=("bad-tools", "bad-tool-name", "duplicate-tool"))
def definition_is_whole(function: Any, path: str) -> Faults:
    """A tool is a function with a name of its own, of up to 64 letters, digits, `_` and `-`."""
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        yield error("bad-tools", path, "The definition is not a function's.", _DEFINITION)
        return
    if not _NAME.fullmatch(function["name"]):
        message = f"The tool has the name {function['name']!r:.80}."
        fix = "Use 1 to 64 of the letters a to z and A to Z, digits, underscores and dashes."
        yield error("bad-tool-name", path, message, fix)
    for key, kind, wanted in _OPTIONAL:
        if not isinstance(function.get(key), kind | None):
            message = f"The tool's `{key}` is not {wanted}."
            yield error("bad-tools", f"{path}.{key}", message, f"Give {wanted}.")
    yield from parameters_are_a_schema(function.get("parameters"), path)


_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_OPTIONAL: Final = (
    ("description", str, "a string"),
    ("parameters", dict, "a JSON Schema object"),
    ("strict", bool, "true or false"),
)


@rule("tools", errors=("bad-tool-schema",))
def parameters_are_a_schema(parameters: Any, path: str) -> Faults:
    """A tool's `parameters` are a valid JSON Schema that refers to nothing outside itself."""
    if isinstance(parameters, dict) and (fault := schema_of(parameters).fault):
        message = f"The tool's `parameters` are no valid JSON Schema. {fault}"
        fix = 'Write a schema such as {"type": "object", "properties": {...}, "required": [...]}.'
        yield error("bad-tool-schema", f"{path}.parameters", message, fix)


@rule("tools", errors=("bad-parallel-tool-calls",))
def parallel_is_boolean(value: Any, prefix: str) -> Faults:
    """`parallel_tool_calls` is true or false."""
    if not isinstance(value, bool | None):
        message = f"`parallel_tool_calls` is {value!r:.80}."
        path = f"{prefix}parallel_tool_calls"
        yield error("bad-parallel-tool-calls", path, message, "Use true or false.")


@rule("tools", errors=("bad-tool-call",))
def calls_are_whole(turn: Turn) -> Faults:
    """A tool call has an id, the type `function`, and a function with a name."""
    calls = turn.message.get("tool_calls")
    path = f"{turn.path}.tool_calls"
    fix = 'Write {"id": ..., "type": "function", "function": {"name": ..., "arguments": ...}}.'
    if calls is not None and (not isinstance(calls, list) or not calls):
        message = "`tool_calls` is not a list with calls in it."
        yield error("bad-tool-call", path, message, "Give a list of calls, or remove the key.")
    for number, call in enumerate(calls if isinstance(calls, list) else ()):
        if not (
            isinstance(call, dict)
            and isinstance(call.get("id"), str)
            and call.get("type") == "function"
            and isinstance(call.get("function"), dict)
        ):
            message = "The call lacks an `id`, the type `function`, or its `function`."
            yield error("bad-tool-call", f"{path}[{number}]", message, fix)
    legacy = turn.message.get("function_call")
    if legacy is not None and not isinstance(legacy, dict):
        message = "`function_call` is not an object."
        yield error("bad-tool-call", f"{turn.path}.function_call", message, fix)
    for where, function in turn.functions:
        if not isinstance(function.get("name"), str):
            yield error("bad-tool-call", where, "The called function has no name.", fix)


@rule("tools", errors=("bad-tool-arguments",))
def arguments_are_json(turn: Turn) -> Faults:
    """A call's arguments are a JSON object written as a string, as the model has to write it."""
    for path, function in turn.functions:
        arguments = function.get("arguments")
        if not isinstance(arguments, str):
            message = "The arguments are not a string."
        elif (value := _parsed(arguments)) is None:
            message = "The arguments are not JSON."
        elif not isinstance(value, dict):
            message = "The arguments are not a JSON object."
        else:
            continue
        fix = 'Write them as a string, for example "{\\"city\\": \\"Oslo\\"}", or "{}" for none.'
        yield error("bad-tool-arguments", f"{path}.arguments", message, fix)


def _parsed(arguments: str) -> Any:
    """What a string of JSON stands for; None where it is none, and for `null`."""
    try:
        return json.loads(arguments, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None


def _refuse(name: str) -> NoReturn:
    raise ValueError(name)


@rule("tools", errors=("missing-function-name",))
def function_result_has_name(turn: Turn) -> Faults:
    """A message of the older role `function` names the function that it comes from."""
    if turn.role == "function" and turn.message.get("name") is None:
        fix = "Add `name`."
        yield error("missing-function-name", turn.path, "The function message has no name.", fix)


@rule("tools", errors=("undefined-tool",))
def called_tools_are_defined(talk: Conversation) -> Faults:
    """A call is to a tool that the row defines in its `tools` or `functions`."""
    for turn in talk.turns:
        for path, function in turn.functions:
            name = function.get("name")
            if isinstance(name, str) and name not in talk.tools:
                message = f"The tool {name!r:.80} is not defined in the row's `tools`."
                yield error(
                    "undefined-tool", f"{path}.name", message, "Add its definition to `tools`."
                )


@rule("tools", errors=("tool-arguments-do-not-fit",))
def arguments_fit_the_tool(talk: Conversation) -> Faults:
    """A call's arguments fit the JSON Schema of the tool: the model would learn to call it wrongly.

    Regular expressions in the schema are not applied; see `schemas`.
    """
    for turn in talk.turns:
        for path, function in turn.functions:
            name, arguments = function.get("name"), function.get("arguments")
            parameters = talk.tools.get(name) if isinstance(name, str) else None
            value = _parsed(arguments) if parameters and isinstance(arguments, str) else None
            if parameters is None or not isinstance(value, dict):
                continue
            for place, fault in schema_of(parameters).misfits(value):
                message = f"The arguments do not fit the tool {name!r:.80}: at `{place}`, {fault}."
                fix = "Mend the arguments, or the tool's `parameters`."
                yield error("tool-arguments-do-not-fit", f"{path}.arguments", message, fix)


@rule("tools", errors=("duplicate-tool-call-id",))
def call_ids_are_unique(talk: Conversation) -> Faults:
    """No two calls of a conversation have the same id: an answer would belong to both."""
    seen: set[str] = set()
    for turn in talk.turns:
        for path, call in turn.tool_calls:
            name = call.get("id")
            if isinstance(name, str) and name in seen:
                message = f"An earlier call has the id {name!r:.80} already."
                fix = "Give each call an id of its own, and its answer the same one."
                yield error("duplicate-tool-call-id", f"{path}.id", message, fix)
            elif isinstance(name, str):
                seen.add(name)


@rule("tools", errors=("parallel-calls-forbidden",))
def parallel_calls_are_allowed(talk: Conversation) -> Faults:
    """Where `parallel_tool_calls` is false, an assistant message makes one call at most."""
    if talk.parallel:
        return
    for turn in talk.turns:
        if len(turn.tool_calls) > 1:
            message = "The message makes several calls, but `parallel_tool_calls` is false."
            fix = "Make one call in each message, or set `parallel_tool_calls` to true."
            yield error("parallel-calls-forbidden", f"{turn.path}.tool_calls", message, fix)


@rule(
    "tools",
    errors=("missing-tool-call-id", "unknown-tool-call-id"),
    warnings=("unanswered-tool-call",),
)
def answers_match_calls(talk: Conversation) -> Faults:
    """Each tool message answers a call made before it; each call is answered before talk goes on.

    Calls at the very end stay open: they are what the model learns to make.
    """
    made: set[str] = set()
    open_calls: dict[str, str] = {}
    for turn in talk.turns:
        if turn.role == "tool":
            answered = turn.message.get("tool_call_id")
            if not isinstance(answered, str):
                message = "The tool message does not say which call it answers."
                yield error("missing-tool-call-id", turn.path, message, "Add `tool_call_id`.")
            elif answered not in made:
                path = f"{turn.path}.tool_call_id"
                message = f"No message before calls {answered!r:.80}."
                yield error("unknown-tool-call-id", path, message, "Use the `id` of a tool call.")
            else:
                open_calls.pop(answered, None)
            continue
        for path in open_calls.values():
            message = "The call is never answered, but the conversation goes on."
            fix = "Add the tool message that answers it."
            yield warning("unanswered-tool-call", path, message, fix)
        open_calls.clear()
        for path, call in turn.tool_calls if turn.is_assistant else ():
            name = call.get("id")
            if isinstance(name, str):
                made.add(name)
                open_calls[name] = path


MESSAGE_RULES: Final = (calls_are_whole, arguments_are_json, function_result_has_name)
CONVERSATION_RULES: Final = (
    called_tools_are_defined,
    arguments_fit_the_tool,
    call_ids_are_unique,
    parallel_calls_are_allowed,
    answers_match_calls,
)

"""The rules that messages must keep, one function each.

A rule yields problems that know their path within the row; the caller adds file and line. Rules for
shape run on anything; rules for sense look only at what has the right shape, so that one broken
message hides no fault of another. Sources: the request schemas of OpenAI's OpenAPI document of
2026-08-21, and its fine-tuning guide for `weight` and for which messages a row must have.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, get_args

from tunekit.data.checks.catalogue import error, rule, warning
from tunekit.data.records import MESSAGE_KEYS, Role
from tunekit.problems import Problem

ROLES: Final = get_args(Role)

Faults = Iterator[Problem]


class Turn:
    """One message and where it stands.

    Attributes:
        path: Its place in the row.
        message: The message itself.
        role: Who speaks; any value, or None.
        is_assistant: Whether the assistant speaks.
    """

    __slots__ = ("is_assistant", "message", "path", "role")

    def __init__(self, path: str, message: dict[str, Any]) -> None:
        self.path = path
        self.message = message
        self.role: Any = message.get("role")
        self.is_assistant: bool = self.role == "assistant"

    @property
    def calls(self) -> bool:
        """Whether the message calls a tool, in today's form or the older one."""
        return bool(self.message.get("tool_calls")) or bool(self.message.get("function_call"))

    def functions(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Give `(path, function)` for each call that has an object as its function."""
        calls = self.message.get("tool_calls")
        for number, call in enumerate(calls if isinstance(calls, list) else ()):
            if isinstance(call, dict) and isinstance(call.get("function"), dict):
                yield f"{self.path}.tool_calls[{number}].function", call["function"]
        if isinstance(self.message.get("function_call"), dict):
            yield f"{self.path}.function_call", self.message["function_call"]


@dataclass(frozen=True, slots=True)
class Conversation:
    """Messages in order.

    Attributes:
        path: Where the list stands in the row.
        turns: The messages; what is no object is reported and left out.
        tools: Names of the tools that the row defines.
    """

    path: str
    turns: Sequence[Turn]
    tools: frozenset[str] = field(default_factory=frozenset)


@rule("structure", errors=("messages-not-a-list", "empty-messages", "message-not-an-object"))
def read_turns(value: Any, path: str) -> tuple[list[Turn], list[Problem]]:
    """Take a list of messages apart; the problems say what is no message."""
    if not isinstance(value, list):
        return [], [error("messages-not-a-list", path, "The messages are not a list.", _LIST)]
    if not value:
        return [], [error("empty-messages", path, "The list of messages is empty.", _LIST)]
    turns, problems = [], []
    for number, message in enumerate(value):
        where = f"{path}[{number}]"
        if isinstance(message, dict):
            turns.append(Turn(where, message))
        else:
            problems.append(
                error("message-not-an-object", where, "The message is not an object.", _MESSAGE)
            )
    return turns, problems


_MESSAGE: Final = 'Write it as {"role": ..., "content": ...}.'
_LIST: Final = 'Give a list of {"role": ..., "content": ...} objects.'


# Rules for one message.


@rule("messages", errors=("missing-role", "unknown-role"))
def known_role(turn: Turn) -> Faults:
    """Every message has one of the six roles."""
    if turn.role is None:
        yield error("missing-role", turn.path, "The message has no role.", "Add `role`.")
    elif turn.role not in ROLES:
        fix = f"Use one of {', '.join(ROLES)}."
        yield error("unknown-role", f"{turn.path}.role", f"The role is {turn.role!r:.80}.", fix)


@rule("messages", errors=("unknown-message-key",))
def known_keys(turn: Turn) -> Faults:
    """A message has no keys but those of the format; a service may refuse or ignore others."""
    for key in turn.message:
        if key not in MESSAGE_KEYS:
            yield error(
                "unknown-message-key",
                turn.path,
                f"A message has no key {key!r:.80}.",
                f"Remove it, or correct its spelling: {', '.join(sorted(MESSAGE_KEYS))}.",
            )


_OWNERS: Final = {
    "tool_calls": ("assistant",),
    "function_call": ("assistant",),
    "refusal": ("assistant",),
    "tool_call_id": ("tool",),
    "audio": (),
}


@rule("messages", errors=("misplaced-message-key",))
def keys_fit_role(turn: Turn) -> Faults:
    """Only the assistant calls tools, only a tool answers a call, and nobody learns to speak."""
    for key in turn.message:
        if key not in _OWNERS:
            continue
        owned = turn.role in _OWNERS[key] or turn.role not in ROLES
        if not owned and turn.message[key] is not None:
            yield error(
                "misplaced-message-key",
                f"{turn.path}.{key}",
                f"A message of role {turn.role!r} has no `{key}`.",
                "Remove the key, or correct the role.",
            )


@rule("messages", errors=("missing-content",))
def has_content(turn: Turn) -> Faults:
    """There is content, unless the assistant calls a tool or refuses instead."""
    if turn.message.get("content") is not None or turn.role == "function":
        return
    if not (turn.is_assistant and (turn.calls or turn.message.get("refusal"))):
        fix = "Add `content`; only an assistant message with `tool_calls` may go without."
        yield error("missing-content", turn.path, "The message has no content.", fix)


@rule(
    "messages",
    errors=("bad-content", "bad-content-part", "unknown-content-part", "misplaced-image"),
)
def content_is_text_or_parts(turn: Turn) -> Faults:
    """Content is a string, or a list of parts that are each whole and known."""
    content = turn.message.get("content")
    path = f"{turn.path}.content"
    if content is None or isinstance(content, str):
        return
    if not isinstance(content, list) or not content:
        fix = "Give a string, or a list of parts that is not empty."
        yield error("bad-content", path, "The content is neither text nor parts.", fix)
        return
    for number, part in enumerate(content):
        if fault := _part_fault(part, turn.role):
            yield error(fault[0], f"{path}[{number}]", *fault[1:])


def _part_fault(part: Any, role: Any) -> tuple[str, str, str] | None:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind == "text":
        if isinstance(part.get("text"), str):
            return None
        return "bad-content-part", "The text part has no `text`.", "Add it as a string."
    if kind == "image_url":
        image = part.get("image_url")
        if not isinstance(image, dict) or not isinstance(image.get("url"), str):
            fix = 'Write it as {"type": "image_url", "image_url": {"url": "..."}}.'
            return "bad-content-part", "The image part has no `image_url.url`.", fix
        if image.get("detail") not in (None, "auto", "low", "high"):
            return "bad-content-part", "The image's `detail` is unknown.", "Use auto, low or high."
        if role in ROLES and role != "user":
            fix = "Move it to a user message."
            return "misplaced-image", f"A message of role {role!r} holds an image.", fix
        return None
    fix = "Use parts of type `text` or `image_url`."
    return "unknown-content-part", f"The part has the type {kind!r:.80}.", fix


@rule("learning", errors=("empty-answer",))
def assistant_says_something(turn: Turn) -> Faults:
    """An assistant message that is blank and calls no tool teaches the model to say nothing."""
    content = turn.message.get("content")
    if not turn.is_assistant or content is None or turn.calls or turn.message.get("refusal"):
        return
    if is_blank(content):
        fix = "Give the answer, or remove the row."
        yield error("empty-answer", f"{turn.path}.content", "The assistant says nothing.", fix)


@rule("content", warnings=("empty-content",))
def others_say_something(turn: Turn) -> Faults:
    """A blank system, developer or user message is most often a column that was not filled."""
    if turn.role in ("system", "developer", "user") and is_blank(turn.message.get("content")):
        message = f"The {turn.role} message is empty."
        path = f"{turn.path}.content"
        yield warning("empty-content", path, message, "Fill it in, or remove the message.")


def is_blank(content: Any) -> bool:
    """Whether content holds only white space; content of a wrong shape is not called blank."""
    if isinstance(content, str):
        return not content.strip()
    if isinstance(content, list) and content:
        return all(
            isinstance(part, dict) and part.get("type") == "text" and is_blank(part.get("text"))
            for part in content
        )
    return False


@rule("learning", errors=("bad-weight", "misplaced-weight"))
def weight_is_zero_or_one(turn: Turn) -> Faults:
    """`weight` switches the loss of an assistant message on or off, and nothing else."""
    weight = turn.message.get("weight")
    if weight is None:
        return
    path = f"{turn.path}.weight"
    if type(weight) is not int or weight not in (0, 1):
        yield error("bad-weight", path, f"The weight is {weight!r:.80}.", "Use 0 or 1.")
    if turn.role in ROLES and not turn.is_assistant:
        message = f"A message of role {turn.role!r} has a weight."
        yield error("misplaced-weight", path, message, "Only assistant messages are learnt.")


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
    for where, function in turn.functions():
        if not isinstance(function.get("name"), str):
            yield error("bad-tool-call", where, "The called function has no name.", fix)


@rule("tools", errors=("bad-tool-arguments",))
def arguments_are_json(turn: Turn) -> Faults:
    """Arguments are a JSON object *written as a string*, as the model will have to write it."""
    for path, function in turn.functions():
        arguments = function.get("arguments")
        if not isinstance(arguments, str):
            message = "The arguments are not a string."
        else:
            try:
                if isinstance(json.loads(arguments), dict):
                    continue
                message = "The arguments are not a JSON object."
            except (ValueError, RecursionError):
                message = "The arguments are not JSON."
        fix = 'Write them as a string, for example "{\\"city\\": \\"Oslo\\"}", or "{}" for none.'
        yield error("bad-tool-arguments", f"{path}.arguments", message, fix)


@rule("tools", errors=("missing-function-name",))
def function_result_has_name(turn: Turn) -> Faults:
    """A message of the older role `function` names the function that it comes from."""
    if turn.role == "function" and not isinstance(turn.message.get("name"), str):
        fix = "Add `name`."
        yield error("missing-function-name", turn.path, "The function message has no name.", fix)


@rule("messages", errors=("bad-message-value",))
def strings_are_strings(turn: Turn) -> Faults:
    """`name` and `refusal` are text."""
    for key in ("name", "refusal"):
        if not isinstance(turn.message.get(key), str | None):
            path = f"{turn.path}.{key}"
            yield error("bad-message-value", path, f"`{key}` is not a string.", "Use a string.")


# Rules for a conversation.


@rule("messages", warnings=("system-not-first",))
def system_comes_first(talk: Conversation) -> Faults:
    """Most chat templates know a system message at the beginning only."""
    begun = False
    for turn in talk.turns:
        if turn.role not in ("system", "developer"):
            begun = True
        elif begun:
            message = f"A {turn.role} message stands after the beginning."
            yield warning("system-not-first", turn.path, message, "Move it to the front.")


@rule("messages", warnings=("consecutive-user-messages",))
def users_take_turns(talk: Conversation) -> Faults:
    """Two user turns in a row are allowed, but some open models' chat templates refuse them."""
    for before, turn in zip(talk.turns, talk.turns[1:], strict=False):
        if before.role == turn.role == "user":
            message = "Two user messages follow each other; some models' templates refuse that."
            yield warning("consecutive-user-messages", turn.path, message, "Join them into one.")


@rule("tools", errors=("undefined-tool",))
def called_tools_are_defined(talk: Conversation) -> Faults:
    """A call is to a tool that the row's `tools` define."""
    for turn in talk.turns:
        for path, function in turn.functions():
            name = function.get("name")
            if isinstance(name, str) and name not in talk.tools:
                message = f"The tool {name!r:.80} is not defined in the row's `tools`."
                yield error(
                    "undefined-tool", f"{path}.name", message, "Add its definition to `tools`."
                )


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
        calls = turn.message.get("tool_calls") if turn.is_assistant else None
        for number, call in enumerate(calls if isinstance(calls, list) else ()):
            name = call.get("id") if isinstance(call, dict) else None
            if isinstance(name, str):
                made.add(name)
                open_calls[name] = f"{turn.path}.tool_calls[{number}]"


# Rules for what a row of chat must give to learn from.


@rule("learning", errors=("no-assistant-message", "last-message-not-assistant"))
def ends_with_an_answer(talk: Conversation) -> Faults:
    """Supervised training learns assistant messages: there is one, and one comes last."""
    if not any(turn.is_assistant for turn in talk.turns):
        message = "No message is from the assistant: there is nothing to learn."
        fix = "Add the answer that the model should learn."
        yield error("no-assistant-message", talk.path, message, fix)
    elif not talk.turns[-1].is_assistant:
        message = "The last message is not from the assistant."
        fix = "Add the answer, or remove what follows the last one."
        yield error("last-message-not-assistant", talk.turns[-1].path, message, fix)


@rule("learning", errors=("nothing-learnt",))
def something_is_learnt(talk: Conversation) -> Faults:
    """Not every assistant message has weight 0."""
    weights = [turn.message.get("weight") for turn in talk.turns if turn.is_assistant]
    if weights and all(weight == 0 and weight is not None for weight in weights):
        message = "Every assistant message has weight 0: the row trains on nothing."
        yield error("nothing-learnt", talk.path, message, "Give one weight 1, or remove the row.")


MESSAGE_RULES: Final = (
    known_role,
    known_keys,
    keys_fit_role,
    has_content,
    content_is_text_or_parts,
    assistant_says_something,
    others_say_something,
    weight_is_zero_or_one,
    calls_are_whole,
    arguments_are_json,
    function_result_has_name,
    strings_are_strings,
)
CONVERSATION_RULES: Final = (
    system_comes_first,
    users_take_turns,
    called_tools_are_defined,
    answers_match_calls,
)
ANSWER_RULES: Final = (ends_with_an_answer, something_is_learnt)

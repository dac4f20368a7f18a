"""The rules that messages must keep, one function each; those about tools are in `tools`.

A rule yields problems that know their path within the row; the caller adds file and line. Rules for
shape run on anything; rules for sense look only at what has the right shape, so that one broken
message hides no fault of another. Sources: the request schemas of OpenAI's OpenAPI document of
2026-08-21, and its fine-tuning guide for `weight` and for which messages a row must have.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
        uses_tools: Whether the message calls a tool or answers a call, however brokenly.
        tool_calls: `(path, call)` for each entry of `tool_calls` that is an object.
        functions: `(path, function)` for each call, in today's form or the older one, that has an
            object as its function.
    """

    __slots__ = (
        "functions",
        "is_assistant",
        "message",
        "path",
        "role",
        "tool_calls",
        "uses_tools",
    )

    def __init__(self, path: str, message: dict[str, Any]) -> None:
        self.path = path
        self.message = message
        self.role: Any = message.get("role")
        self.is_assistant: bool = self.role == "assistant"
        self.tool_calls: list[tuple[str, dict[str, Any]]] = []
        self.functions: list[tuple[str, dict[str, Any]]] = []
        calls, old = message.get("tool_calls"), message.get("function_call")
        self.uses_tools: bool = (
            calls is not None or old is not None or self.role in ("tool", "function")
        )
        if isinstance(calls, list):
            for number, call in enumerate(calls):
                if isinstance(call, dict):
                    where = f"{path}.tool_calls[{number}]"
                    self.tool_calls.append((where, call))
                    if isinstance(call.get("function"), dict):
                        self.functions.append((f"{where}.function", call["function"]))
        if isinstance(old, dict):
            self.functions.append((f"{path}.function_call", old))

    @property
    def calls(self) -> bool:
        """Whether the message calls a tool, in today's form or the older one."""
        return bool(self.message.get("tool_calls")) or bool(self.message.get("function_call"))


@dataclass(frozen=True, slots=True)
class Conversation:
    """Messages in order.

    Attributes:
        path: Where the list stands in the row.
        turns: The messages; what is no object is reported and left out.
        tools: The tools that the row defines: the `parameters` of each name, or None.
        parallel: Whether an assistant message may make several calls at once.
    """

    path: str
    turns: Sequence[Turn]
    tools: Mapping[str, Any] = field(default_factory=dict)
    parallel: bool = True


@rule("structure", errors=("messages-not-a-list", "empty-messages", "message-not-an-object"))
def read_turns(value: Any, path: str) -> tuple[list[Turn], list[Problem]]:
    """Messages are a list with at least one object in it.

    Returns:
        What are messages, each with its place, and the problems of what are none.
    """
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
    """A message has content, unless the assistant calls a tool or refuses instead."""
    if turn.message.get("content") is not None or turn.role == "function":
        return
    if not (turn.is_assistant and (turn.calls or turn.message.get("refusal"))):
        fix = "Add `content`; only an assistant message with `tool_calls` may go without."
        yield error("missing-content", turn.path, "The message has no content.", fix)


@rule(
    "messages",
    errors=(
        "bad-content",
        "bad-content-part",
        "unknown-content-part",
        "misplaced-image",
        "misplaced-refusal",
    ),
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
    if kind == "refusal":
        if not isinstance(part.get("refusal"), str):
            return "bad-content-part", "The refusal part has no `refusal`.", "Add it as a string."
        if role in ROLES and role != "assistant":
            fix = "Only the assistant refuses; use a part of type `text`."
            return "misplaced-refusal", f"A message of role {role!r} holds a refusal.", fix
        return None
    fix = "Use parts of type `text` or `image_url`."
    return "unknown-content-part", f"The part has the type {kind!r:.80}.", fix


@rule("learning", errors=("empty-answer",))
def assistant_says_something(turn: Turn) -> Faults:
    """An assistant message says something or calls a tool; a blank one would teach silence."""
    content = turn.message.get("content")
    if not turn.is_assistant or content is None or turn.calls or turn.message.get("refusal"):
        return
    if is_blank(content):
        fix = "Give the answer, or remove the row."
        yield error("empty-answer", f"{turn.path}.content", "The assistant says nothing.", fix)


@rule("content", warnings=("empty-content",))
def others_say_something(turn: Turn) -> Faults:
    """System, developer and user messages are not blank, as columns that nobody filled are."""
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
    """System messages come first; most chat templates know them nowhere else."""
    begun = False
    for turn in talk.turns:
        if turn.role not in ("system", "developer"):
            begun = True
        elif begun:
            message = f"A {turn.role} message stands after the beginning."
            yield warning("system-not-first", turn.path, message, "Move it to the front.")


@rule("messages", warnings=("consecutive-user-messages",))
def users_take_turns(talk: Conversation) -> Faults:
    """No two user messages follow each other; some open models' templates refuse that."""
    for before, turn in zip(talk.turns, talk.turns[1:], strict=False):
        if before.role == turn.role == "user":
            message = "Two user messages follow each other; some models' templates refuse that."
            yield warning("consecutive-user-messages", turn.path, message, "Join them into one.")


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


@rule("learning", errors=("last-message-not-user",))
def ends_with_a_question(talk: Conversation) -> Faults:
    """A reinforcement prompt ends with a user message: the answers are sampled, not given."""
    last = talk.turns[-1]
    if last.role != "user" and last.role in ROLES:
        fix = "Remove what follows the last user message."
        if last.is_assistant:
            fix = "Remove the answer; keep what a grader needs of it as another key of the row."
        message = f"The last message is from the {last.role}, not from the user."
        yield error("last-message-not-user", last.path, message, fix)


@rule("learning", errors=("nothing-learnt",))
def something_is_learnt(talk: Conversation) -> Faults:
    """Not every assistant message has weight 0, or the row would train on nothing."""
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
    strings_are_strings,
)
CONVERSATION_RULES: Final = (system_comes_first, users_take_turns)
PROMPT_RULES: Final = (ends_with_a_question,)
ANSWER_RULES: Final = (ends_with_an_answer, something_is_learnt)

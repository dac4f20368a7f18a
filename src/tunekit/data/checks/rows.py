"""The rules that a row of each kind must keep.

As in `conversation`, problems know their path within the row; the caller adds file and line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from tunekit.data.checks.catalogue import error, rule
from tunekit.data.checks.conversation import (
    ANSWER_RULES,
    CONVERSATION_RULES,
    MESSAGE_RULES,
    Conversation,
    Faults,
    Turn,
    is_blank,
    read_turns,
)
from tunekit.data.encoding import canonical
from tunekit.data.records import DataKind, Row
from tunekit.problems import Problem


def check_row(row: Row, kind: DataKind) -> Iterator[Problem]:
    """Find every fault of one row that is taken for a row of this kind."""
    yield from _RULES[kind](row)
    yield from text_is_unicode(row)


@rule("content", errors=("bad-unicode",))
def text_is_unicode(row: Row) -> Faults:
    """No string holds half of a surrogate pair: it is no character, and no tokenizer takes it."""
    try:
        str(canonical(row), "utf-8")
    except UnicodeDecodeError:
        message = "A text holds half of a surrogate pair, such as \\ud83d without its other half."
        fix = "The text was cut inside an emoji or decoded wrongly; mend or remove it."
        yield error("bad-unicode", "", message, fix)


@rule("structure", errors=("missing-messages",))
def chat(row: Row) -> Faults:
    """A conversation whose assistant messages are learnt."""
    tools, problems = _tools(row)
    yield from problems
    if row.get("messages") is None:
        fix = "Add a list of messages."
        yield error("missing-messages", "messages", "The row has no messages.", fix)
        return
    turns, problems = read_turns(row["messages"], "messages")
    yield from problems
    talk = Conversation("messages", turns, tools)
    yield from _talk(talk)
    # A broken message may well be the answer that seems to be missing.
    if turns and not problems:
        for answer_rule in ANSWER_RULES:
            yield from answer_rule(talk)


@rule(
    "structure",
    errors=(
        "missing-messages",
        "equal-pair",
        "missing-preferred-output",
        "missing-non-preferred-output",
    ),
)
def preference(row: Row) -> Faults:
    """A conversation with a better and a worse answer."""
    source = row.get("input")
    turns: list[Turn] = []
    tools: frozenset[str] = frozenset()
    if not isinstance(source, dict) or source.get("messages") is None:
        fix = 'Write it as {"messages": [...]}.'
        yield error("missing-messages", "input", "The row's `input` has no messages.", fix)
    else:
        tools, problems = _tools(source, "input.")
        yield from problems
        turns, problems = read_turns(source["messages"], "input.messages")
        yield from problems
        yield from _talk(Conversation("input.messages", turns, tools))
    for key in ("preferred_output", "non_preferred_output"):
        if row.get(key) is None:
            yield error(f"missing-{key.replace('_', '-')}", key, f"The row has no `{key}`.", _PAIR)
        else:
            yield from _answer(row[key], key, turns, tools)
    better = row.get("preferred_output")
    if better is not None and better == row.get("non_preferred_output"):
        message = "The preferred and the other output are the same: there is nothing to prefer."
        yield error("equal-pair", "non_preferred_output", message, "Change one, or remove the row.")


_PAIR: Final = "Give both outputs as lists of assistant messages."


@rule("structure", errors=("unlike-prompt-and-completion",))
def prompt_completion(row: Row) -> Faults:
    """A prompt and what follows it: both text, or both lists of messages."""
    tools, problems = _tools(row)
    yield from problems
    prompt, completion = row.get("prompt"), row.get("completion")
    for key, value in (("prompt", prompt), ("completion", completion)):
        if value is None:
            yield error(f"missing-{key}", key, f"The row has no {key}.", f"Add `{key}`.")
        elif not isinstance(value, str | list):
            message = f"The {key} is neither text nor a list of messages."
            yield error(f"bad-{key}", key, message, "Give a string or a list of messages.")
        elif not value or is_blank(value):
            fix = "Fill it in, or remove the row."
            yield error(f"empty-{key}", key, f"The {key} is empty.", fix)
    if {type(prompt), type(completion)} == {str, list}:
        message = "One of prompt and completion is text, the other a list of messages."
        yield error("unlike-prompt-and-completion", "completion", message, "Use one form.")
    turns: list[Turn] = []
    if isinstance(prompt, list) and prompt:
        turns, problems = read_turns(prompt, "prompt")
        yield from problems
        yield from _talk(Conversation("prompt", turns, tools))
    if isinstance(completion, list) and completion:
        yield from _answer(completion, "completion", turns, tools)


@rule("structure", errors=("missing-messages",))
def reinforcement(row: Row) -> Faults:
    """A prompt whose sampled answers a grader scores."""
    tools, problems = _tools(row)
    yield from problems
    if row.get("messages") is None:
        fix = "Add a list of messages."
        yield error("missing-messages", "messages", "The row has no messages.", fix)
        return
    turns, problems = read_turns(row["messages"], "messages")
    yield from problems
    yield from _talk(Conversation("messages", turns, tools))


@rule("structure", errors=("bad-text", "empty-text"))
def text(row: Row) -> Faults:
    """Plain text."""
    value = row.get("text")
    if not isinstance(value, str):
        yield error("bad-text", "text", "The `text` is not a string.", "Give a string.")
    elif not value.strip():
        yield error("empty-text", "text", "The text is empty.", "Fill it in, or remove the row.")


def _talk(talk: Conversation) -> Faults:
    for turn in talk.turns:
        for message_rule in MESSAGE_RULES:
            yield from message_rule(turn)
    for conversation_rule in CONVERSATION_RULES:
        yield from conversation_rule(talk)


def _answer(value: Any, path: str, before: list[Turn], tools: frozenset[str]) -> Faults:
    """What follows a conversation: messages that end with, or are, the assistant's."""
    turns, problems = read_turns(value, path)
    yield from problems
    # Judged with what went before, for tool answers; faults of that are reported already.
    for problem in _talk(Conversation(path, [*before, *turns], tools)):
        if problem.path is not None and problem.path.startswith(path):
            yield problem
    if turns and not problems:
        for answer_rule in ANSWER_RULES:
            yield from answer_rule(Conversation(path, turns, tools))


@rule("tools", errors=("bad-tools", "duplicate-tool"))
def _tools(row: Mapping[str, Any], prefix: str = "") -> tuple[frozenset[str], list[Problem]]:
    """The names of the tools that a row defines, and what is wrong with the definitions."""
    names: list[str] = []
    problems = []
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
            name = _tool_name(definition, wrapped=key == "tools")
            where = f"{path}[{number}]"
            if name is None:
                fix = 'Write {"type": "function", "function": {"name": ..., "parameters": ...}}.'
                problems.append(
                    error("bad-tools", where, "The definition is not a function's.", fix)
                )
            elif name in names:
                message = f"The tool {name!r:.80} is defined twice."
                problems.append(error("duplicate-tool", where, message, "Remove one."))
            else:
                names.append(name)
    return frozenset(names), problems


def _tool_name(definition: Any, *, wrapped: bool) -> str | None:
    if wrapped:
        if not isinstance(definition, dict) or definition.get("type") != "function":
            return None
        definition = definition.get("function")
    name = definition.get("name") if isinstance(definition, dict) else None
    parameters = definition.get("parameters") if isinstance(definition, dict) else None
    return name if isinstance(name, str) and isinstance(parameters, dict | None) else None


_RULES: Final[Mapping[DataKind, Callable[[Row], Faults]]] = {
    DataKind.CHAT: chat,
    DataKind.PREFERENCE: preference,
    DataKind.REINFORCEMENT: reinforcement,
    DataKind.PROMPT_COMPLETION: prompt_completion,
    DataKind.TEXT: text,
}

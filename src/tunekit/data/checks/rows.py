"""The rules that a row of each kind must keep.

As in `conversation`, problems know their path within the row; the caller adds file and line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import msgspec

from tunekit.data.checks import conversation, images, privacy, special_tokens
from tunekit.data.checks import tools as tool_rules
from tunekit.data.checks.catalogue import error, rule, warning
from tunekit.data.checks.conversation import (
    ANSWER_RULES,
    PROMPT_RULES,
    Conversation,
    Faults,
    Turn,
    is_blank,
    read_turns,
)
from tunekit.data.checks.options import CheckOptions
from tunekit.data.checks.texts import all_text, escapes_ascii
from tunekit.data.checks.tools import read_tools
from tunekit.data.encoding import canonical
from tunekit.data.records import ROW_KEYS, DataKind, Row, messages_of
from tunekit.problems import Problem


def check_row(row: Row, kind: DataKind) -> Iterator[Problem]:
    """Find every fault in how one row is built, whoever will train on it.

    Args:
        row: A row of any shape.
        kind: What it is taken for.
    """
    yield from _RULES[kind](row)
    yield from text_is_unicode(row)


def check_content(row: Row, options: CheckOptions) -> Iterator[Problem]:
    """Find what a row holds that it should not, and what the service does not accept.

    Together with `check_row` this is all there is to say of one row. It may be left out for a row
    whose messages are plain text and of whose bytes `maybe_content` says no.
    """
    yield from images.check_images(row, options.limits)
    yield from system_is_accepted(row, options)
    text = all_text(row)
    if special_tokens.is_suspect(text):
        yield from special_tokens.tokens_stay_out(row, options.limits.service)
    if options.personal_data and privacy.is_suspect(text):
        yield from privacy.check_privacy(row)


def maybe_content(lines: bytes, options: CheckOptions) -> bool:
    """Whether some text in these lines of JSON may give `check_content` something to say.

    Lines that may hold images, or that are reinforcement prompts, have to be checked anyway.
    """
    return (
        special_tokens.may_spell(lines)
        or (options.personal_data and privacy.may_hold(lines))
        or escapes_ascii(lines)
    )


@rule("limits", errors=("system-message-not-accepted",))
def system_is_accepted(row: Row, options: CheckOptions) -> Faults:
    """There is no system or developer message where the service accepts none."""
    if options.limits.system_messages:
        return
    for path, message in messages_of(row):
        if message.get("role") in ("system", "developer"):
            text = f"{options.limits.service or 'The service'} accepts no {message['role']} message"
            fix = "Write the instruction into the user message."
            yield error("system-message-not-accepted", path, f"{text} for this method.", fix)


@rule("content", errors=("bad-unicode",))
def text_is_unicode(row: Row) -> Faults:
    """No text holds half of a surrogate pair, which is no character and no tokenizer takes."""
    try:
        msgspec.json.encode(row)
        return
    except (ValueError, OverflowError, RecursionError):
        # It refuses giant numbers and some depths as well; the slower way tells which it is.
        pass
    try:
        str(canonical(row), "utf-8")
    except UnicodeDecodeError:
        message = "A text holds half of a surrogate pair, such as \\ud83d without its other half."
        fix = "The text was cut inside an emoji or decoded wrongly; mend or remove it."
        yield error("bad-unicode", "", message, fix)


@rule("structure", errors=("missing-messages",))
def chat(row: Row) -> Faults:
    """A row for supervised training has `messages`, a conversation that ends with an answer."""
    yield from _conversation(row, ANSWER_RULES)


@rule(
    "structure",
    errors=(
        "missing-messages",
        "equal-pair",
        "missing-preferred-output",
        "missing-non-preferred-output",
    ),
    warnings=("equal-pair", "several-output-messages"),
)
def preference(row: Row) -> Faults:
    """A preference has `input` messages and two different answers, of one message each."""
    source = row.get("input")
    before = Conversation("input.messages", [])
    if not isinstance(source, dict) or source.get("messages") is None:
        fix = 'Write it as {"messages": [...]}.'
        yield error("missing-messages", "input", "The row's `input` has no messages.", fix)
    else:
        tools, problems = read_tools(source, "input.")
        yield from problems
        turns, problems = read_turns(source["messages"], "input.messages")
        yield from problems
        before = Conversation("input.messages", turns, tools, _parallel(source))
        yield from _talk(before)
    for key in ("preferred_output", "non_preferred_output"):
        if row.get(key) is None:
            yield error(f"missing-{key.replace('_', '-')}", key, f"The row has no `{key}`.", _PAIR)
        else:
            yield from _answer(row[key], key, before)
            if isinstance(row[key], list) and len(row[key]) > 1:
                message = "The output has several messages; hosted services compare one answer."
                fix = "Move what both outputs share to the end of `input.messages`."
                yield warning("several-output-messages", key, message, fix)
    better, worse = row.get("preferred_output"), row.get("non_preferred_output")
    if better is None or worse is None:
        return
    fix = "Change one, or remove the row."
    if better == worse:
        message = "The preferred and the other output are the same: there is nothing to prefer."
        yield error("equal-pair", "non_preferred_output", message, fix)
    elif _squeezed(better) == _squeezed(worse):
        message = "The two outputs differ in white space only."
        yield warning("equal-pair", "non_preferred_output", message, fix)


def _squeezed(value: Any) -> Any:
    """The same value with each stretch of white space in its texts written as one space."""
    if isinstance(value, str):
        return " ".join(value.split())
    if isinstance(value, list):
        return [_squeezed(item) for item in value]
    if isinstance(value, dict):
        return {key: _squeezed(item) for key, item in value.items()}
    return value


_PAIR: Final = "Give both outputs as lists of assistant messages."


@rule(
    "structure",
    errors=(
        "missing-prompt",
        "missing-completion",
        "bad-prompt",
        "bad-completion",
        "empty-prompt",
        "empty-completion",
        "unlike-prompt-and-completion",
    ),
)
def prompt_completion(row: Row) -> Faults:
    """A prompt and its completion are both text, or both lists of messages, and say something."""
    tools, problems = read_tools(row)
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
    before = Conversation("prompt", [], tools)
    if isinstance(prompt, list) and prompt:
        turns, problems = read_turns(prompt, "prompt")
        yield from problems
        before = Conversation("prompt", turns, tools)
        yield from _talk(before)
    if isinstance(completion, list) and completion:
        yield from _answer(completion, "completion", before)


@rule("structure", errors=("missing-messages",), warnings=("no-reference-field",))
def reinforcement(row: Row) -> Faults:
    """A reinforcement prompt has `messages`, and further keys that its grader reads."""
    yield from _conversation(row, PROMPT_RULES)
    if all(key in ROW_KEYS[DataKind.REINFORCEMENT] for key in row):
        message = "The row has no key beside its messages for a grader to compare answers with."
        fix = "Add one, such as `reference_answer`, unless the grader needs none."
        yield warning("no-reference-field", "", message, fix)


@rule("structure", errors=("bad-text", "empty-text"))
def text(row: Row) -> Faults:
    """A `text` is a string and not blank."""
    value = row.get("text")
    if not isinstance(value, str):
        yield error("bad-text", "text", "The `text` is not a string.", "Give a string.")
    elif not value.strip():
        yield error("empty-text", "text", "The text is empty.", "Fill it in, or remove the row.")


def _parallel(row: Mapping[str, Any]) -> bool:
    return row.get("parallel_tool_calls") is not False


_MESSAGE_RULES: Final = (*conversation.MESSAGE_RULES, *tool_rules.MESSAGE_RULES)
_CONVERSATION_RULES: Final = (*conversation.CONVERSATION_RULES, *tool_rules.CONVERSATION_RULES)


def _conversation(row: Row, last: Sequence[Callable[[Conversation], Faults]]) -> Faults:
    """A row of messages, and what must hold for the last of them."""
    tools, problems = read_tools(row)
    yield from problems
    if row.get("messages") is None:
        fix = "Add a list of messages."
        yield error("missing-messages", "messages", "The row has no messages.", fix)
        return
    turns, problems = read_turns(row["messages"], "messages")
    yield from problems
    talk = Conversation("messages", turns, tools, _parallel(row))
    yield from _talk(talk)
    # A broken message may well be the one that seems to be missing.
    if turns and not problems:
        for last_rule in last:
            yield from last_rule(talk)


def _talk(talk: Conversation) -> Faults:
    yield from _each(talk.turns)
    for conversation_rule in _rules_for(talk):
        yield from conversation_rule(talk)


def _each(turns: Iterable[Turn]) -> Faults:
    for turn in turns:
        for message_rule in _MESSAGE_RULES if turn.uses_tools else conversation.MESSAGE_RULES:
            yield from message_rule(turn)


def _rules_for(talk: Conversation) -> tuple[Callable[[Conversation], Faults], ...]:
    uses_tools = any(turn.uses_tools for turn in talk.turns)
    return _CONVERSATION_RULES if uses_tools else conversation.CONVERSATION_RULES


def _answer(value: Any, path: str, before: Conversation) -> Faults:
    """What follows a conversation: messages that end with, or are, the assistant's."""
    turns, problems = read_turns(value, path)
    yield from problems
    yield from _each(turns)
    # Judged with what went before, for tool answers; faults of that are reported already.
    whole = replace(before, path=path, turns=[*before.turns, *turns])
    for conversation_rule in _rules_for(whole):
        for problem in conversation_rule(whole):
            if problem.path is not None and problem.path.startswith(path):
                yield problem
    if turns and not problems:
        for answer_rule in ANSWER_RULES:
            yield from answer_rule(replace(whole, turns=turns))


_RULES: Final[Mapping[DataKind, Callable[[Row], Faults]]] = {
    DataKind.CHAT: chat,
    DataKind.PREFERENCE: preference,
    DataKind.REINFORCEMENT: reinforcement,
    DataKind.PROMPT_COMPLETION: prompt_completion,
    DataKind.TEXT: text,
}

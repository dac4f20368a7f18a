"""What a hosted model is charged for in a row: the guide's rule, and what it leaves open.

OpenAI's data-preparation guide (`Chat_finetuning_data_prep.ipynb` in openai/openai-cookbook) counts
3 tokens for each message, the tokens of every string in it, 1 more for a name, and 3 for the reply;
the assistant's tokens are those of the contents of its messages. It says of itself that it is not
exact. It knows text only; everything else here is this library's own estimate:

- A message part of type text counts as text. An image counts 85 tokens with `detail: low`, which
  is published, and otherwise the 765 of a square picture at full detail: its size is not looked at.
- A call of a tool counts 3 tokens, its name and its arguments, all of them the assistant's.
- A definition of a tool counts the tokens of its JSON without blanks.
- An assistant message of weight 0 is read and not trained on; the guide's script breaks on it.
- A preference is two conversations, one with each output, and the outputs are trained on.
- A reinforcement prompt trains on none of its own tokens.
- Prompt and completion, and plain text, count as they are, with nothing around them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from tunekit.data.records import DataKind, Row, kind_of

PER_MESSAGE: Final = 3
PER_NAME: Final = 1
PER_REPLY: Final = 3
PER_CALL: Final = 3
LOW_DETAIL_IMAGE: Final = 85
FULL_DETAIL_IMAGE: Final = 765


class Span(NamedTuple):
    """A stretch of what the model reads.

    Attributes:
        role: Whose message it belongs to; `prompt`, `completion`, `text` or `tools` outside one.
        part: The key of the message that it comes from, or `image`.
        text: The text whose tokens count.
        fixed: Tokens that count besides, by rule.
        trained: Whether the model learns to produce it.
    """

    role: str
    part: str
    text: str
    fixed: int = 0
    trained: bool = False


class UncountableError(ValueError):
    """A row has not the shape that can be counted; checks of structure say what is wrong."""


def sequences(row: Row, *, method: str | None = None) -> tuple[list[Span], ...]:
    """Take a row apart into the texts that the model reads: one, or two for a preference.

    Args:
        row: A row of any kind.
        method: `supervised`, `dpo` or `reinforcement`, or None.

    Raises:
        UncountableError: The row has not the shape of its kind.
    """
    kind = kind_of(row)
    if kind is DataKind.CHAT:
        learnt = method != "reinforcement"
        return ([*_tools(row), *_messages(row["messages"], learnt=learnt), _REPLY],)
    if kind is DataKind.PREFERENCE:
        return _preference(row)
    if kind is DataKind.PROMPT_COMPLETION:
        return (_prompt_completion(row),)
    if kind is DataKind.TEXT and isinstance(row["text"], str):
        return ([Span("text", "text", row["text"], 0, True)],)
    raise UncountableError("the row is of no known kind")


def follows_guide(row: Row) -> bool:
    """Whether the published guide's own script would count the row the same way."""
    messages = row.get("messages")
    return (
        kind_of(row) is DataKind.CHAT
        and isinstance(messages, list)
        and not (row.get("tools") or row.get("functions"))
        and all(
            isinstance(message, dict) and all(isinstance(value, str) for value in message.values())
            for message in messages
        )
    )


_REPLY: Final = Span("", "reply", "", PER_REPLY)


def _preference(row: Row) -> tuple[list[Span], ...]:
    source = row["input"]
    if not isinstance(source, dict):
        raise UncountableError("`input` is no object")
    before = [*_tools(source), *_messages(source.get("messages"), learnt=False)]
    return tuple(
        [*before, *_messages(row[key], learnt=True), _REPLY]
        for key in ("preferred_output", "non_preferred_output")
    )


def _prompt_completion(row: Row) -> list[Span]:
    prompt, completion = row["prompt"], row["completion"]
    if isinstance(prompt, str) and isinstance(completion, str):
        return [
            Span("prompt", "prompt", prompt),
            Span("completion", "completion", completion, 0, True),
        ]
    before = _messages(prompt, learnt=False)
    return [*_tools(row), *before, *_messages(completion, learnt=True), _REPLY]


def _messages(messages: Any, *, learnt: bool) -> Iterator[Span]:
    if not isinstance(messages, list):
        raise UncountableError("the messages are no list")
    for message in messages:
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise UncountableError("a message has no role")
        yield from _message(message, learnt=learnt)


def _message(message: Mapping[str, Any], *, learnt: bool) -> Iterator[Span]:
    role = message["role"]
    said = learnt and role == "assistant" and message.get("weight") != 0
    yield Span(role, "role", role, PER_MESSAGE)
    for key, value in message.items():
        if isinstance(value, str) and key not in _CALLS:
            if key != "role":
                fixed = PER_NAME if key == "name" else 0
                yield Span(role, key, value, fixed, said and key in _SAID)
        elif key == "content" and isinstance(value, list):
            yield from _parts(role, value, said)
        elif key == "tool_calls" and isinstance(value, list):
            for call in value:
                yield from _call(
                    role, call.get("function") if isinstance(call, dict) else None, said
                )
        elif key == "function_call" and value is not None:
            yield from _call(role, value, said)
        elif value is not None and key != "weight":
            raise UncountableError(f"{key!r} is no text")


_SAID: Final = frozenset(("content", "refusal"))
_CALLS: Final = frozenset(("tool_calls", "function_call"))


def _parts(role: str, parts: list[Any], said: bool) -> Iterator[Span]:
    for part in parts:
        if not isinstance(part, dict):
            raise UncountableError("a part is no object")
        image = part.get("image_url")
        if part.get("type") == "image_url" and isinstance(image, dict):
            low = image.get("detail") == "low"
            yield Span(role, "image", "", LOW_DETAIL_IMAGE if low else FULL_DETAIL_IMAGE)
            continue
        text = part.get("text", part.get("refusal"))
        if not isinstance(text, str):
            raise UncountableError("a part is neither text nor an image")
        yield Span(role, "content", text, 0, said)


def _call(role: str, function: Any, said: bool) -> Iterator[Span]:
    name = function.get("name") if isinstance(function, dict) else None
    arguments = function.get("arguments") if isinstance(function, dict) else None
    if not isinstance(name, str) or not isinstance(arguments, str):
        raise UncountableError("a call has no name or no arguments")
    yield Span(role, "tool_calls", name, PER_CALL, said)
    yield Span(role, "tool_calls", arguments, 0, said)


def _tools(row: Mapping[str, Any]) -> Iterator[Span]:
    for key in ("tools", "functions"):
        definitions = row.get(key)
        if definitions:
            text = json.dumps(definitions, ensure_ascii=False, separators=(",", ":"))
            yield Span("tools", key, text)

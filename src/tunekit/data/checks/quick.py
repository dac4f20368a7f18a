"""A quick look at plain rows, which only ever says "nothing to report" or "look closer".

What is not certainly clean goes through the rules in full, so that this module can make a check
faster but never change what it says; a property test holds that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import xxhash

from tunekit.data.plain import (
    INSTRUCTIONS,
    NO_PROMPT,
    NUL,
    Chat,
    Message,
    OnlyAssistant,
    Order,
    PlainRow,
    Preference,
    PromptCompletion,
    Text,
    order_of,
)


def _says(text: str) -> bool:
    return bool(text) and not text.isspace()


def _all_say(messages: list[Message]) -> bool:
    for message in messages:
        content = message.content
        if not content or content.isspace():
            return False
    return True


def _chat(row: Chat) -> bool:
    messages = row.messages
    order = order_of(messages)
    if not (order.clean and _all_say(messages)):
        return False
    return any(messages[place].weight != 0 for place in order.answers)  # type: ignore[union-attr]


def _preference(row: Preference) -> bool:
    messages = row.input.messages
    better, worse = row.preferred_output, row.non_preferred_output
    order = order_of(messages)
    return (
        order.tidy
        and order.letters.endswith("u")
        and not order.answers
        and _all_say(messages)
        and len(better) == len(worse) == 1
        and _says(better[0].content)
        and _says(worse[0].content)
        and better[0].content.split() != worse[0].content.split()
    )


def _prompt_completion(row: PromptCompletion) -> bool:
    return _says(row.prompt) and _says(row.completion)


def _text(row: Text) -> bool:
    return _says(row.text)


IS_CLEAN: Final[Mapping[type[PlainRow], Callable[[Any], bool]]] = {
    Chat: _chat,
    Preference: _preference,
    PromptCompletion: _prompt_completion,
    Text: _text,
}
"""Whether a row of plain shape is certainly clean, as far as its structure goes."""


def look_at_form(
    rows: Sequence[Chat],
    order: Order,
    digests: bytearray | None,
    prompts: bytearray,
    texts: list[str] | None,
) -> int:
    """Note what conversations of the same speakers are compared by, as long as they are clean.

    The loop that a check of a big file spends its time in: `_chat` and `chat_digests` in one.

    Args:
        rows: Conversations without weights, which hold no NUL.
        order: Who speaks in each; a clean order.
        digests: Takes the digest of each row; None when rows are not compared at all.
        prompts: Takes the digest of each row's prompt.
        texts: Takes what is said in each row, if that is wanted.

    Returns:
        How many rows were noted: the place of the first that must be looked at closer.
    """
    digest, join = xxhash.xxh3_128_digest, NUL.join
    before, instructions, asks = f"{order.before}\0", order.instructions, order.asks
    for place, row in enumerate(rows):
        contents = [message.content for message in row.messages]
        for content in contents:
            if not content or content.isspace():
                return place
        if digests is None:
            continue
        if texts is not None:
            texts.append("\n".join(contents[instructions:]))
        last = contents.pop()
        prompt = digest((before + join(contents)).encode())
        digests += digest(prompt + last.encode())
        prompts += prompt if asks else NO_PROMPT
    return len(rows)


def text_of(row: PlainRow) -> str:
    """What `tunekit.data.likeness.keys.text_of` gives for the row."""
    if isinstance(row, Text):
        return row.text
    if isinstance(row, PromptCompletion):
        return f"{row.prompt}\n{row.completion}"
    if isinstance(row, Preference):
        answers = (*row.preferred_output, *row.non_preferred_output)
        return _said((*row.input.messages, *answers))
    return _said(row.messages)


def _said(messages: Iterable[Message | OnlyAssistant]) -> str:
    return "\n".join([one.content for one in messages if not isinstance(one, INSTRUCTIONS)])

"""What may be mended in a row without inventing anything, one function each.

A mend changes the row that it is given and yields a sentence for each thing that it changed. None
adds content, and none guesses: what could mean two things is left to the rules, which then reject
the row.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, Final, TypeVar

from tunekit.data.checks.conversation import ROLES
from tunekit.data.encoding import canonical
from tunekit.data.records import MESSAGE_KEYS, ROW_KEYS, DataKind, Row, messages_of

Mend = Callable[[Row, DataKind], Iterator[str]]

MENDS: Final[list[tuple[str, Mend]]] = []
"""Every mend with the code that its changes have, in the order in which they are made."""

F = TypeVar("F", bound=Mend)


def mend(code: str) -> Callable[[F], F]:
    """Register a function as a mend whose changes have this code."""

    def register(function: F) -> F:
        MENDS.append((code, function))
        return function

    return register


@mend("bad-unicode")
def drop_half_characters(row: Row, kind: DataKind) -> Iterator[str]:
    """Half of a surrogate pair is taken out: it is no character and carries nothing."""
    try:
        canonical(row).decode()
    except UnicodeDecodeError:
        whole = {_whole(key): _whole(value) for key, value in row.items()}
        if len(whole) == len(row):
            row.clear()
            row.update(whole)
            yield "Halves of surrogate pairs were taken out of the text."


def _whole(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "ignore").decode()
    if isinstance(value, list):
        return [_whole(item) for item in value]
    if isinstance(value, dict):
        return {_whole(key): _whole(item) for key, item in value.items()}
    return value


@mend("null-key")
def drop_null_keys(row: Row, kind: DataKind) -> Iterator[str]:
    """A key that may be left out is left out where it is null, as in `"tools": null`."""
    for holder, path in ((row, ""), (row.get("input"), "input.")):
        for key in _OPTIONAL:
            if isinstance(holder, dict) and key in holder and holder[key] is None:
                del holder[key]
                yield f"The null `{path}{key}` was taken out."


_OPTIONAL: Final = ("tools", "functions", "parallel_tool_calls")


@mend("unknown-row-key")
def drop_unknown_row_keys(row: Row, kind: DataKind) -> Iterator[str]:
    """Keys that mean nothing are taken out; a reinforcement row's are kept for its grader."""
    if kind is not DataKind.REINFORCEMENT:
        yield from _keep_only(row, frozenset(ROW_KEYS[kind]), "row")


@mend("unknown-message-key")
def drop_unknown_message_keys(row: Row, kind: DataKind) -> Iterator[str]:
    """Keys that no message has are taken out."""
    for path, message in messages_of(row):
        yield from _keep_only(message, MESSAGE_KEYS, path)


def _keep_only(holder: dict[str, Any], known: frozenset[str], where: str) -> Iterator[str]:
    for key in [key for key in holder if key not in known]:
        # A slip of the pen, such as `wieght`, must not lose what it was to say.
        if not _is_misspelt(key, known):
            del holder[key]
            yield f"The unknown key {key!r:.80} was taken out of {where}."


@lru_cache(maxsize=1000)
def _is_misspelt(key: str, known: frozenset[str]) -> bool:
    plain = key.lower().strip().replace("-", "_")
    return bool(difflib.get_close_matches(plain[:40], known, n=1, cutoff=0.75))


@mend("unknown-role")
def name_roles(row: Row, kind: DataKind) -> Iterator[str]:
    """Other words for the roles become OpenAI's: `human` is the user, `gpt` the assistant."""
    for path, message in messages_of(row):
        role = message.get("role")
        if not isinstance(role, str) or role in ROLES:
            continue
        word = role.strip().lower()
        name = _SYNONYMS.get(word, word)
        if name in ROLES:
            message["role"] = name
            yield f"The role {role!r:.80} of {path} became {name!r}."


_SYNONYMS: Final = {
    "human": "user",
    "ai": "assistant",
    "bot": "assistant",
    "chatgpt": "assistant",
    "gpt": "assistant",
    "model": "assistant",
}


@mend("bad-weight")
def weigh_in_whole_numbers(row: Row, kind: DataKind) -> Iterator[str]:
    """`weight` is the number 0 or 1 where it was written `false`, `true`, 0.0 or 1.0."""
    for path, message in messages_of(row):
        weight = message.get("weight")
        if isinstance(weight, bool | float) and weight in (0, 1):
            message["weight"] = int(weight)
            yield f"The weight of {path} became {int(weight)}."


@mend("bad-content")
def write_numbers_as_text(row: Row, kind: DataKind) -> Iterator[str]:
    """Content that is a number or a truth value is written as text, as JSON spells it."""
    for path, message in messages_of(row):
        if isinstance(message.get("content"), bool | int | float):
            message["content"] = json.dumps(message["content"])
            yield f"The content of {path} became text."
    for key in ("prompt", "completion", "text"):
        if key in ROW_KEYS[kind] and isinstance(row.get(key), bool | int | float):
            row[key] = json.dumps(row[key])
            yield f"The {key} became text."


@mend("bad-tool-arguments")
def write_arguments_as_text(row: Row, kind: DataKind) -> Iterator[str]:
    """Arguments given as an object are written as the string that the model has to write."""
    for path, message in messages_of(row):
        calls = message.get("tool_calls")
        functions = [
            (f"{path}.tool_calls[{number}].function", call.get("function"))
            for number, call in enumerate(calls if isinstance(calls, list) else ())
            if isinstance(call, dict)
        ]
        functions.append((f"{path}.function_call", message.get("function_call")))
        for where, function in functions:
            if isinstance(function, dict) and isinstance(function.get("arguments"), dict):
                function["arguments"] = json.dumps(function["arguments"], ensure_ascii=False)
                yield f"The arguments of {where} became a string."


@mend("last-message-not-assistant")
def end_with_the_answer(row: Row, kind: DataKind) -> Iterator[str]:
    """What follows the last answer is cut: nothing would learn from it."""
    messages = row.get("messages")
    if kind is not DataKind.CHAT or not isinstance(messages, list):
        return
    roles = [message.get("role") if isinstance(message, dict) else None for message in messages]
    # A message whose role is not known may be the answer that seems to be missing.
    if "assistant" not in roles or not all(role in ROLES for role in roles):
        return
    if after := roles[::-1].index("assistant"):
        del messages[-after:]
        what = "message was" if after == 1 else "messages were"
        yield f"{after} {what} cut after the last answer."

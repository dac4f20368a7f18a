"""TRL's dataset types (1.16), standard and conversational.

Calls keep their `arguments` as an object, because chat templates write them with `tojson`.
"""

from __future__ import annotations

from typing import Any, Final

from tunekit.data.encoding import RowError
from tunekit.data.formats.base import MEDIA_FIX, Format, Loss, bad_value, unlike, with_other_keys
from tunekit.data.formats.shapes import (
    Messages,
    kind_to_write,
    note_parallel,
    other_fields,
    text_of,
    without,
)
from tunekit.data.formats.tools import (
    arguments_as_object,
    arguments_as_text,
    functions_as_tools,
    in_todays_form,
    name_calls,
    read_tools,
)
from tunekit.data.records import REQUIRED_KEYS, DataKind, Row

_MEDIA: Final = ("image", "images", "video", "videos", "audio", "audios")
_TAKEN: Final = frozenset(
    {"messages", "prompt", "completion", "completions", "chosen", "rejected", "text"}
    | {"tools", "functions", *_MEDIA}
)
_KEPT: Final = frozenset({"role", "content", "name", "tool_calls", "tool_call_id"})
_ROW_FIX: Final = (
    "TRL knows `messages`, `prompt` with `completion`, `chosen` and `rejected` with or without "
    "`prompt`, `prompt` alone, and `text`."
)
_MESSAGE_FIX: Final = 'Write messages as {"role": ..., "content": ...}.'


def read_row(row: Row) -> Row:
    """Read a row of any TRL type.

    A `prompt`, `chosen` or `rejected` that is a string becomes the user's or the assistant's
    message, since preferences and prompts are conversations in our form.

    Raises:
        RowError: The row is of no TRL type, or of one that has no counterpart here.
    """
    row = {key: value for key, value in row.items() if value is not None}
    _refuse_unpaired(row)
    for key in _MEDIA:
        if row.get(key):
            raise bad_value(key, "holds what cannot be placed in the messages", MEDIA_FIX)
    if "messages" in row:
        made: Row = {"messages": _messages(row["messages"], "messages")}
        name_calls(made["messages"])
        used = {"messages"}
    elif "chosen" in row and "rejected" in row:
        made, used = _preference(row), {"prompt", "chosen", "rejected", "tools"}
    elif "prompt" in row and "completion" in row:
        made, used = _prompt_completion(row), {"prompt", "completion"}
    elif "text" in row:
        return row
    elif "prompt" in row:
        made, used = {"messages": _turns(row["prompt"], "prompt", "user")}, {"prompt"}
        name_calls(made["messages"])
    else:
        raise unlike("TRL", row, _ROW_FIX)
    if "tools" not in used:
        made.update(_tools(row))
    return with_other_keys(made, {k: v for k, v in row.items() if k not in used | {"tools"}})


def _refuse_unpaired(row: Row) -> None:
    if isinstance(row.get("label"), bool) and "prompt" in row and "completion" in row:
        raise RowError(
            "unpaired-preference",
            "The row is an answer marked good or bad by itself, which has no counterpart here.",
            "Pair a good and a bad answer to the same prompt, or keep the good ones only and "
            "remove `label`.",
        )
    if "completions" in row and "labels" in row:
        raise RowError(
            "stepwise-supervision",
            "The row marks each step of an answer, which has no counterpart here.",
            "Join the steps into one completion.",
        )


def _tools(row: Row) -> Row:
    return {"tools": read_tools(row["tools"])} if "tools" in row else {}


def _messages(value: Any, path: str) -> Messages:
    if not isinstance(value, list) or not value:
        raise bad_value(path, "is not a list with messages in it", _MESSAGE_FIX)
    made = []
    for number, message in enumerate(value):
        where = f"{path}[{number}]"
        if not isinstance(message, dict):
            raise bad_value(where, "is not a message", _MESSAGE_FIX)
        # What `datasets` exports has a null wherever another row has a key.
        kept = {k: v for k, v in message.items() if v is not None or k == "content"}
        calls = kept.get("tool_calls")
        if calls == []:
            del kept["tool_calls"]
        elif calls is not None:
            if not isinstance(calls, list):
                raise bad_value(f"{where}.tool_calls", "is not a list", _MESSAGE_FIX)
            kept["tool_calls"] = [
                _call(call, f"{where}.tool_calls[{n}]") for n, call in enumerate(calls)
            ]
        made.append(kept)
    return made


def _call(call: Any, path: str) -> dict[str, Any]:
    function = call.get("function", call) if isinstance(call, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        fix = 'Write {"type": "function", "function": {"name": ..., "arguments": {...}}}.'
        raise bad_value(path, "is no call of a function", fix)
    if function is call:
        call = {"id": call.get("id"), "function": {k: v for k, v in call.items() if k != "id"}}
        function = call["function"]
    turned = {**function, "arguments": arguments_as_text(function.get("arguments"))}
    head = {"id": call["id"]} if isinstance(call.get("id"), str) else {}
    rest = {k: v for k, v in call.items() if k not in ("id", "type", "function")}
    return {**head, "type": "function", "function": turned, **rest}


def _turns(value: Any, path: str, role: str) -> Messages:
    if isinstance(value, str):
        return [{"role": role, "content": value}]
    return _messages(value, path)


def _prompt_completion(row: Row) -> Row:
    prompt, completion = row["prompt"], row["completion"]
    if isinstance(prompt, str) and isinstance(completion, str):
        return {"prompt": prompt, "completion": completion}
    made = {
        "prompt": _messages(prompt, "prompt"),
        "completion": _messages(completion, "completion"),
    }
    name_calls(made["prompt"], made["completion"])
    return made


def _preference(row: Row) -> Row:
    prompt, chosen, rejected = row.get("prompt"), row["chosen"], row["rejected"]
    if prompt is None:
        prompt, chosen, rejected = _common(chosen, rejected)
    elif isinstance(prompt, str) and _is_whole(chosen) and _is_whole(rejected):
        # TRL's `maybe_extract_prompt` passes over a text that stands beside whole conversations.
        asked, chosen, rejected = _common(chosen, rejected)
        if prompt.strip() not in [str(message.get("content")).strip() for message in asked]:
            raise bad_value(
                "prompt", "is not in what `chosen` and `rejected` begin with", "Remove it."
            )
        prompt = asked
    source = _turns(prompt, "prompt", "user")
    preferred = _turns(chosen, "chosen", "assistant")
    other = _turns(rejected, "rejected", "assistant")
    name_calls(source, preferred)
    name_calls(source, other)
    return {
        "input": {"messages": source, **_tools(row)},
        "preferred_output": preferred,
        "non_preferred_output": other,
    }


def _is_whole(answer: Any) -> bool:
    """Whether an answer is a conversation with its prompt in it."""
    return (
        isinstance(answer, list)
        and bool(answer)
        and all(isinstance(message, dict) for message in answer)
        and answer[0].get("role") in ("system", "developer", "user")
    )


def _common(chosen: Any, rejected: Any) -> tuple[Any, Any, Any]:
    """Part an implicit prompt from two answers: what both begin with, as TRL does it.

    A space before the first difference goes to the answers. Where one answer is all that the other
    begins with, its last character or message is the answer. TRL gives an empty prompt where
    nothing is left; that is refused here.
    """
    for kind in (str, list):
        if isinstance(chosen, kind) and isinstance(rejected, kind):
            end = min(len(chosen), len(rejected))
            same = next((i for i in range(end) if chosen[i] != rejected[i]), end)
            if same == end or (same and chosen[same - 1] == " "):
                same -= 1
            if same > 0:
                return chosen[:same], chosen[same:], rejected[same:]
            break
    raise RowError(
        "no-common-prompt",
        "`chosen` and `rejected` do not begin alike, and there is no `prompt`.",
        "Add a `prompt`, or begin both answers with it.",
    )


def write_row(row: Row) -> tuple[Row, list[Loss]]:
    """Write a row as the TRL type of its kind.

    Raises:
        RowError: The row has no known structure.
    """
    kind = kind_to_write(row)
    losses: list[Loss] = []
    holder, path = (row["input"], "input.") if kind is DataKind.PREFERENCE else (row, "")
    made: Row
    if kind is DataKind.TEXT or (kind is DataKind.PROMPT_COMPLETION and _is_standard(row)):
        made = {key: row[key] for key in REQUIRED_KEYS[kind]}
    else:
        lists = _LISTS[kind]
        made = {ours: _written(_at(row, theirs), theirs, losses) for theirs, ours in lists.items()}
    if kind is not DataKind.TEXT:
        note_parallel(holder, path, losses)
        if tools := functions_as_tools(holder, path, losses):
            made["tools"] = tools
    # A `label` marks a prompt and completion as an unpaired preference, and nothing else.
    taken = _TAKEN | {"label"} if kind is DataKind.PROMPT_COMPLETION else _TAKEN
    return {**made, **other_fields(row, kind, taken, losses)}, losses


_LISTS: Final = {
    DataKind.CHAT: {"messages": "messages"},
    DataKind.REINFORCEMENT: {"messages": "prompt"},
    DataKind.PROMPT_COMPLETION: {"prompt": "prompt", "completion": "completion"},
    DataKind.PREFERENCE: {
        "input.messages": "prompt",
        "preferred_output": "chosen",
        "non_preferred_output": "rejected",
    },
}
"""Where our lists of messages stand, and TRL's name for them."""


def _is_standard(row: Row) -> bool:
    return isinstance(row["prompt"], str)


def _at(row: Row, path: str) -> Messages:
    for key in path.split("."):
        row = row[key]
    return row  # type: ignore[return-value]


def _written(messages: Messages, path: str, losses: list[Loss]) -> Messages:
    made = []
    for number, message in enumerate(in_todays_form(messages, path, losses)):
        where = f"{path}[{number}]"
        kept = without(message, _KEPT, where, losses)
        if "content" in kept:
            kept["content"] = text_of(message, where, losses)
        if kept.get("tool_calls"):
            kept["tool_calls"] = [
                {
                    **call,
                    "function": {
                        **call["function"],
                        "arguments": arguments_as_object(call["function"]["arguments"]),
                    },
                }
                for call in kept["tool_calls"]
            ]
        made.append(kept)
    return made


def matches(row: Row) -> bool:
    """Whether a row has the columns of a TRL type.

    A string `prompt` beside columns of other names is left open: it may be half of a pair.
    """
    keys = {key for key, value in row.items() if value is not None}
    if "messages" in keys:
        found = row["messages"]
        return isinstance(found, list) and all(
            isinstance(message, dict) and "role" in message for message in found
        )
    if {"chosen", "rejected"} <= keys or {"prompt", "completion"} <= keys:
        return True
    if "text" in keys:
        return isinstance(row["text"], str) and "rejected_text" not in keys
    return isinstance(row.get("prompt"), list) or keys == {"prompt"}


TRL = Format(
    name="trl",
    about="The dataset types of Hugging Face's TRL, standard and conversational.",
    read_row=read_row,
    write_row=write_row,
    matches=matches,
)

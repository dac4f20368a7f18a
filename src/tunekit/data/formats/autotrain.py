"""AutoTrain's columns for language models (0.8.36): `text`, `prompt` and `rejected_text`.

Rows are JSON Lines and never CSV: AutoTrain reads both with pandas, which turns a column of texts
that all look like numbers into integers and then fails to tokenise them. A list of messages is no
such column, so that conversations are safe, and a text stays one unless all rows are numbers.
"""

from __future__ import annotations

import ast
import json
import warnings
from typing import Any, Final

from tunekit.data.encoding import RowError
from tunekit.data.formats.base import Format, Loss, bad_value, unheld, unlike, with_other_keys
from tunekit.data.formats.shapes import (
    Messages,
    kind_to_write,
    note_parallel,
    note_tools,
    other_fields,
    plain_turns,
)
from tunekit.data.records import DataKind, Row

_OWN: Final = {
    "autotrain_text": "text",
    "autotrain_prompt": "prompt",
    "autotrain_rejected_text": "rejected_text",
}
"""What AutoTrain calls the columns in the copy of the data that it leaves in a project."""

_TAKEN: Final = frozenset(
    {*_OWN, *_OWN.values(), "chosen", "rejected", "messages", "completion", "tools", "functions"}
)
_FIX: Final = 'Give a text, or a list of {"role": ..., "content": ...}.'


def read_row(row: Row) -> Row:
    """Read the columns of the trainers sft, generic, dpo, orpo and reward.

    With a chat template AutoTrain takes the prompt of a pair from all but the last of its messages,
    and so does this.

    Raises:
        RowError: There is no `text`, or a column is neither text nor messages.
    """
    row = _with_usual_names(row)
    if "text" not in row:
        raise unlike("AutoTrain", row, "Give `text`, and for preferences `rejected_text`.")
    text = _value(row["text"], "text")
    rest = {key: v for key, v in row.items() if key not in ("text", "rejected_text")}
    if "rejected_text" not in row:
        return with_other_keys({"text" if isinstance(text, str) else "messages": text}, rest)
    rejected = _value(row["rejected_text"], "rejected_text")
    rest.pop("prompt", None)
    if isinstance(text, str) and isinstance(rejected, str):
        prompt = _value(row.get("prompt"), "prompt")
        asked = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
        return _pair(asked, _answer(text), _answer(rejected), rest)
    if isinstance(text, str) or isinstance(rejected, str) or text[:-1] != rejected[:-1]:
        raise RowError(
            "unlike-pair",
            "`text` and `rejected_text` are not two answers to one conversation.",
            "Let them differ in their last message only.",
        )
    return _pair(text[:-1], text[-1:], rejected[-1:], rest)


def _with_usual_names(row: Row) -> Row:
    there = {key: value for key, value in row.items() if value is not None}
    for own, usual in _OWN.items():
        if own in there and usual in there:
            raise bad_value(own, f"stands beside `{usual}`", "Keep one of the two.")
    return {_OWN.get(key, key): value for key, value in there.items()}


def _answer(text: str) -> Messages:
    return [{"role": "assistant", "content": text}]


def _pair(asked: Messages, preferred: Messages, other: Messages, rest: Row) -> Row:
    made = {
        "input": {"messages": asked},
        "preferred_output": preferred,
        "non_preferred_output": other,
    }
    return with_other_keys(made, rest)


def _value(value: Any, path: str) -> Any:
    """A text, or messages: as a list, or as the text of one, which AutoTrain takes for it, too."""
    if isinstance(value, str):
        return literal_messages(value) or value
    if isinstance(value, list) and value and all(map(_is_message, value)):
        return value
    raise bad_value(path, "is neither text nor messages", _FIX)


def literal_messages(text: str) -> Messages | None:
    """The messages that a text is the JSON or Python literal of, if it is."""
    if not text.lstrip().startswith("[{"):
        return None
    for read in (json.loads, ast.literal_eval):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Python's, about a backslash in foreign text
                found = read(text.strip())
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        if isinstance(found, list) and all(map(_is_message, found)):
            return found
    return None


def _is_message(value: Any) -> bool:
    return isinstance(value, dict) and "role" in value and "content" in value


def write_row(row: Row) -> tuple[Row, list[Loss]]:
    """Write messages or text as `text`; a pair also as `prompt` and `rejected_text`.

    Raises:
        RowError: The row calls tools, or its kind has no trainer: AutoTrain learns whole texts, so
            that a prompt and its completion cannot be told apart, and prompts alone teach nothing.
    """
    kind = kind_to_write(row)
    losses: list[Loss] = []
    if kind is DataKind.TEXT:
        if literal_messages(row["text"]):
            said = "AutoTrain takes this text for a list of messages."
            losses.append(Loss("text", "text", said))
        return {"text": row["text"], **other_fields(row, kind, _TAKEN, losses)}, losses
    if kind not in (DataKind.CHAT, DataKind.PREFERENCE):
        raise unheld("autotrain", f"no trainer learns rows of the kind {kind.value}")
    if kind is DataKind.CHAT:
        holder, path = row, ""
        made: Row = {"text": _written(row["messages"], "messages", losses)}
    else:
        holder, path = row["input"], "input."
        asked = _written(holder["messages"], "input.messages", losses)
        made = {"prompt": asked}
        for ours, theirs in (
            ("preferred_output", "text"),
            ("non_preferred_output", "rejected_text"),
        ):
            answer = _written(row[ours], ours, losses)
            if len(answer) != 1:
                raise unheld("autotrain", f"`{ours}` is more than one message")
            made[theirs] = [*asked, *answer]
    note_parallel(holder, path, losses)
    note_tools(holder, path, losses)
    return {**made, **other_fields(row, kind, _TAKEN, losses)}, losses


def _written(messages: Messages, path: str, losses: list[Loss]) -> Messages:
    turns = plain_turns("autotrain", messages, path, losses)
    return [{"role": role, "content": text} for role, text, _ in turns]


def matches(row: Row) -> bool:
    """Whether a row has AutoTrain's columns, with text or messages in them."""
    texts = [row[key] for key in ("text", "autotrain_text") if key in row]
    return bool(texts) and isinstance(texts[0], str | list)


AUTOTRAIN = Format(
    name="autotrain",
    about="The columns of Hugging Face AutoTrain's language trainers.",
    read_row=read_row,
    write_row=write_row,
    matches=matches,
)

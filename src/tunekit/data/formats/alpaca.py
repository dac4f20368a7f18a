"""Alpaca: an instruction, perhaps an input, and an output; earlier rounds stand in `history`."""

from __future__ import annotations

from typing import Any, Final

from tunekit.data.formats.base import (
    MEDIA_FIX,
    Format,
    Loss,
    bad_value,
    unheld,
    unlike,
    with_other_keys,
)
from tunekit.data.formats.shapes import (
    Messages,
    kind_to_write,
    note_parallel,
    note_tools,
    other_fields,
    plain_turns,
    with_one_system,
)
from tunekit.data.records import DataKind, Row

_KEYS: Final = ("instruction", "input", "output", "system", "history", "chosen", "rejected")
_MEDIA: Final = ("images", "videos", "audios")
_TAKEN: Final = frozenset({*_KEYS, *_MEDIA, "tools", "functions"})
_FIX: Final = "Give strings, and `history` as a list of [instruction, answer] pairs."


def read_row(row: Row) -> Row:
    """Read an instruction with its answer, or with a better and a worse one.

    Instruction and input become one user message, with a line break between them, as
    LLaMA-Factory joins them.

    Raises:
        RowError: The row has no instruction and answer, or one of them is no text.
    """
    row = {key: value for key, value in row.items() if value is not None}
    paired = "chosen" in row and "rejected" in row
    if "instruction" not in row or not (paired or "output" in row):
        raise unlike("Alpaca", row, "Give `instruction` and `output`, or `chosen` and `rejected`.")
    for key in _MEDIA:
        if row.get(key):
            raise bad_value(key, "holds what cannot be placed in the messages", MEDIA_FIX)
    for key in ("instruction", "input", "output", "system", "chosen", "rejected"):
        if not isinstance(row.get(key, ""), str):
            raise bad_value(key, "is not text", _FIX)
    if paired and row.get("output"):
        raise bad_value("output", "stands beside `chosen` and `rejected`", "Keep one of the two.")
    messages = [_said("system", row["system"])] if row.get("system") else []
    for number, pair in enumerate(_history(row)):
        if (
            not isinstance(pair, list)
            or len(pair) != 2
            or not all(isinstance(text, str) for text in pair)
        ):
            raise bad_value(f"history[{number}]", "is no pair of texts", _FIX)
        messages += [_said("user", pair[0]), _said("assistant", pair[1])]
    asked = [row[key] for key in ("instruction", "input") if row.get(key)]
    messages.append(_said("user", "\n".join(asked)))
    rest = {key: value for key, value in row.items() if key not in _KEYS}
    if not paired:
        return with_other_keys({"messages": [*messages, _said("assistant", row["output"])]}, rest)
    made = {
        "input": {"messages": messages},
        "preferred_output": [_said("assistant", row["chosen"])],
        "non_preferred_output": [_said("assistant", row["rejected"])],
    }
    return with_other_keys(made, rest)


def _history(row: Row) -> list[Any]:
    history = row.get("history", [])
    if not isinstance(history, list):
        raise bad_value("history", "is no list", _FIX)
    return history


def _said(role: str, text: str) -> dict[str, Any]:
    return {"role": role, "content": text}


def write_row(row: Row) -> tuple[Row, list[Loss]]:
    """Write a conversation whose user and assistant take turns.

    Raises:
        RowError: The row is no such conversation: it calls tools, has no answer, or two messages of
            one side follow each other.
    """
    kind = kind_to_write(row)
    if kind not in (DataKind.CHAT, DataKind.PREFERENCE):
        raise unheld("alpaca", "it is no conversation with an answer")
    losses: list[Loss] = []
    if kind is DataKind.PREFERENCE:
        holder, path = row["input"], "input."
        answers = {
            "chosen": _turns(row["preferred_output"], "preferred_output", losses, first=False),
            "rejected": _turns(
                row["non_preferred_output"], "non_preferred_output", losses, first=False
            ),
        }
        said = _turns(holder["messages"], "input.messages", losses)
    else:
        holder, path = row, ""
        *said, last = _turns(row["messages"], "messages", losses) or [("", "")]
        answers = {"output": [last]}
    note_parallel(holder, path, losses)
    note_tools(holder, path, losses)
    system = said.pop(0)[1] if said and said[0][0] == "system" else ""
    spoken = [role for role, _ in said]
    if spoken != [("user", "assistant")[i % 2] for i in range(len(said))] or len(said) % 2 == 0:
        raise unheld("alpaca", "user and assistant do not take turns")
    if any([role for role, _ in answer] != ["assistant"] for answer in answers.values()):
        raise unheld("alpaca", "it does not end with one answer of the assistant")
    made: Row = {"instruction": said[-1][1], "input": ""}
    made.update({key: answer[0][1] for key, answer in answers.items()})
    if system:
        made["system"] = system
    if len(said) > 1:
        made["history"] = [[said[i][1], said[i + 1][1]] for i in range(0, len(said) - 1, 2)]
    return {**made, **other_fields(row, kind, _TAKEN, losses)}, losses


def _turns(
    messages: Messages, path: str, losses: list[Loss], *, first: bool = True
) -> list[tuple[str, str]]:
    turns = plain_turns("alpaca", messages, path, losses)
    return [(role, text) for role, text, _ in with_one_system(turns, losses, first=first)]


def matches(row: Row) -> bool:
    """Whether a row has an `instruction` and an answer to it."""
    return isinstance(row.get("instruction"), str) and (
        "output" in row or ("chosen" in row and "rejected" in row)
    )


ALPACA = Format(
    name="alpaca",
    about="Stanford Alpaca's `instruction`, `input` and `output`, with LLaMA-Factory's additions.",
    read_row=read_row,
    write_row=write_row,
    matches=matches,
)

"""What one row of training data may look like.

Rows travel through tunekit as plain JSON objects in OpenAI's form. The records here are the typed
view of the same rows: write data with them, or read a checked row with `parse_record`. Field names
are those of OpenAI's chat completions and fine-tuning documents (OpenAPI document of 2026-08-21).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from tunekit.errors import DataError

Row = dict[str, Any]
"""One row as a plain JSON object."""

Role = Literal["system", "developer", "user", "assistant", "tool", "function"]


class DataKind(StrEnum):
    """The five structures that a row can have.

    A reinforcement prompt has the keys of a chat row, so it is told by what the data is for, or by
    whose turn comes last; see `kind_of`.
    """

    CHAT = "chat"
    PREFERENCE = "preference"
    REINFORCEMENT = "reinforcement"
    PROMPT_COMPLETION = "prompt_completion"
    TEXT = "text"


ROW_KEYS: Mapping[DataKind, tuple[str, ...]] = {
    DataKind.CHAT: ("messages", "tools", "functions", "parallel_tool_calls"),
    DataKind.PREFERENCE: ("input", "preferred_output", "non_preferred_output"),
    DataKind.REINFORCEMENT: ("messages", "tools", "parallel_tool_calls"),
    DataKind.PROMPT_COMPLETION: ("prompt", "completion", "tools"),
    DataKind.TEXT: ("text",),
}
"""The keys that mean something in a row of each kind. Other keys of a reinforcement prompt
are free: its grader reads them."""

REQUIRED_KEYS: Mapping[DataKind, tuple[str, ...]] = {
    DataKind.CHAT: ("messages",),
    DataKind.PREFERENCE: ("input", "preferred_output", "non_preferred_output"),
    DataKind.REINFORCEMENT: ("messages",),
    DataKind.PROMPT_COMPLETION: ("prompt", "completion"),
    DataKind.TEXT: ("text",),
}
"""The keys by which a kind is told; the first kind in this order whose keys are all there wins."""


class _Record(BaseModel):
    # Strict: a row is JSON already, so `1` for `true` or `"0"` for `0` is a fault and no spelling.
    model_config = ConfigDict(frozen=True, extra="allow", strict=True)


class TextPart(_Record):
    """A piece of text in a message's content."""

    type: Literal["text"] = "text"
    text: str


class ImageUrl(_Record):
    """Where an image is: a web address or a `data:` URL."""

    url: str
    detail: Literal["auto", "low", "high"] | None = None


class ImagePart(_Record):
    """An image in a user message's content."""

    type: Literal["image_url"] = "image_url"
    image_url: ImageUrl


class RefusalPart(_Record):
    """A refusal among the parts of an assistant message's content."""

    type: Literal["refusal"] = "refusal"
    refusal: str


Part = Annotated[TextPart | ImagePart | RefusalPart, Field(discriminator="type")]


class FunctionCall(_Record):
    """What a tool is called with; `arguments` is a JSON object written as a string."""

    name: str
    arguments: str


class ToolCall(_Record):
    """One call in an assistant message; the answer names its `id` as `tool_call_id`."""

    id: str
    type: Literal["function"] = "function"
    function: FunctionCall


class FunctionDefinition(_Record):
    """A function that the model may call; `parameters` is a JSON Schema."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(_Record):
    """An entry of `tools`."""

    type: Literal["function"] = "function"
    function: FunctionDefinition


class Message(_Record):
    """One message of a conversation.

    Attributes:
        role: Who speaks.
        content: Text, a list of parts, or None where the assistant only calls tools.
        name: Tells several speakers of one role apart.
        weight: 1 to learn this assistant message, 0 to leave it out of the loss.
        tool_calls: Calls that the assistant makes.
        tool_call_id: The call that a tool message answers.
        function_call: A call in the form that came before `tool_calls`.
        refusal: The assistant's refusal, where it refuses.
        audio: Null, as in replies that were kept for training; audio cannot be learnt.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    role: Role
    content: str | list[Part] | None = None
    name: str | None = None
    weight: Literal[0, 1] | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None
    function_call: FunctionCall | None = None
    refusal: str | None = None
    audio: None = None


MESSAGE_KEYS = frozenset(Message.model_fields)


class ChatRecord(_Record):
    """A conversation to learn from: `{"messages": [...], "tools": [...]}`."""

    messages: Annotated[list[Message], Field(min_length=1)]
    tools: list[Tool] | None = None
    functions: list[FunctionDefinition] | None = None
    parallel_tool_calls: bool | None = None


class ReinforcementRecord(_Record):
    """A prompt whose sampled answers a grader scores: the last turn is the user's.

    Every other key is a reference field, which graders read as `{{item.<key>}}`.
    """

    messages: Annotated[list[Message], Field(min_length=1)]
    tools: list[Tool] | None = None
    parallel_tool_calls: bool | None = None


class PreferenceInput(_Record):
    """The conversation that both answers of a preference continue."""

    messages: Annotated[list[Message], Field(min_length=1)]
    tools: list[Tool] | None = None
    parallel_tool_calls: bool | None = None


class PreferenceRecord(_Record):
    """One conversation with a better and a worse answer."""

    input: PreferenceInput
    preferred_output: Annotated[list[Message], Field(min_length=1)]
    non_preferred_output: Annotated[list[Message], Field(min_length=1)]


class PromptCompletionRecord(_Record):
    """A prompt and what should follow it: both strings, or both lists of messages."""

    prompt: str | list[Message]
    completion: str | list[Message]
    tools: list[Tool] | None = None


class TextRecord(_Record):
    """Plain text, learnt as a whole."""

    text: str


Record = ChatRecord | PreferenceRecord | ReinforcementRecord | PromptCompletionRecord | TextRecord

_RECORDS: Mapping[DataKind, type[Record]] = {
    DataKind.CHAT: ChatRecord,
    DataKind.PREFERENCE: PreferenceRecord,
    DataKind.REINFORCEMENT: ReinforcementRecord,
    DataKind.PROMPT_COMPLETION: PromptCompletionRecord,
    DataKind.TEXT: TextRecord,
}


def kind_of(row: Mapping[str, Any]) -> DataKind | None:
    """Tell a row's kind by its keys alone; None when no kind's keys are all there.

    Never `reinforcement`, which only the use of the data, or its last turn, tells from `chat`.
    """
    for kind, keys in REQUIRED_KEYS.items():
        if all(key in row for key in keys):
            return kind
    return None


def unknown_structure(keys: str) -> tuple[str, str]:
    """Say, in a message and a fix, that rows with these keys mean nothing here."""
    return (
        f"Rows with the keys {keys} have no known structure.",
        "Make such rows with `.map(fn)`: return a list of messages, or a row with `messages`, with "
        "`prompt` and `completion`, with `input`, `preferred_output` and `non_preferred_output`, "
        "or with `text`. Files of another known format are read by `Dataset.read` and made over by "
        "`tunekit convert`; `--column` names the columns of a table.",
    )


def key_names(row: Mapping[str, Any]) -> str:
    """A row's first keys, as they are quoted in messages."""
    shown = ", ".join(f"{key!r:.80}" for key in list(row)[:12])
    return f"{shown}, ..." if len(row) > 12 else shown or "(none)"


def known_kind(row: Mapping[str, Any], source: str) -> DataKind:
    """Tell a row's kind.

    Raises:
        DataError: It is of none; the message names its keys and how to map them.
    """
    kind = kind_of(row)
    if kind is None:
        message, fix = unknown_structure(key_names(row))
        raise DataError(f"{source!r}: {message}", next_step=fix)
    return kind


def parse_record(row: Mapping[str, Any], kind: DataKind | None = None) -> Record:
    """Give the typed view of a row.

    Args:
        row: A row of any kind.
        kind: What it is taken for; by default what its keys say.

    Raises:
        ValueError: The row is of no known kind, or does not fit its kind (a
            `pydantic.ValidationError`). `Dataset.check` explains such rows better.
    """
    kind = kind or kind_of(row)
    if kind is None:
        raise ValueError(f"a row with the keys {sorted(row)} is of no known kind")
    return _RECORDS[kind].model_validate(row)


def message_lists(row: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Give `(path, value)` for each place of a row where a list of messages may stand."""
    if "messages" in row:
        yield "messages", row["messages"]
    source = row.get("input")
    if isinstance(source, dict) and "messages" in source:
        yield "input.messages", source["messages"]
    for key in ("preferred_output", "non_preferred_output", "prompt", "completion"):
        if key in row:
            yield key, row[key]


def messages_of(row: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Give `(path, message)` for every message object of a row of any kind, however broken."""
    for path, value in message_lists(row):
        if isinstance(value, list):
            for number, message in enumerate(value):
                if isinstance(message, dict):
                    yield f"{path}[{number}]", message

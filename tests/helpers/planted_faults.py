"""Every kind of fault that is planted, with what a check must say of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from helpers.planted_rows import (
    GIF,
    answer,
    as_line,
    call,
    calling,
    chat,
    data_url,
    good_chat,
    part,
    picture,
    png,
    preference,
    result,
    tool,
    user,
    words,
)


@dataclass(frozen=True)
class Fault:
    """One planted fault.

    Attributes:
        name: What is wrong, for people.
        make: Makes the row, or the bytes of one or more lines.
        found: What a check must say: code and path, and for later lines the distance to the first.
    """

    name: str
    make: Callable[[], Any]
    found: Sequence[tuple[str, str | None] | tuple[str, str | None, int]]


def one(name: str, make: Callable[[], Any], code: str, path: str | None = None) -> Fault:
    return Fault(name, make, [(code, path)])


# Lines that are no row.

ENCODING = [
    one("a byte that is not UTF-8", lambda: b'{"messages": "\xff"}', "bad-utf8"),
    one("UTF-8 that stops within a character", lambda: b'{"messages": "\xe2\x82"}', "bad-utf8"),
    one("Latin-1 among UTF-8", lambda: '{"messages": "\xe9t\xe9"}'.encode("latin-1"), "bad-utf8"),
    one("a byte-order mark in the middle", lambda: b"\xef\xbb\xbf" + as_line(good_chat()),
        "invalid-json"),
    one("a NUL byte in a string", lambda: b'{"messages": "a\x00b"}', "invalid-json"),
    one("a line of NUL bytes", lambda: b"\x00" * 20, "invalid-json"),
    one("a raw tab in a string", lambda: b'{"messages": "a\tb"}', "invalid-json"),
    one("a row that stops half-way", lambda: as_line(good_chat())[:40], "invalid-json"),
    one("an array instead of an object", lambda: b"[1, 2]", "not-an-object"),
    one("a string instead of an object", lambda: b'"hello"', "not-an-object"),
    one("a number instead of an object", lambda: b"42", "not-an-object"),
    one("null instead of an object", lambda: b"null", "not-an-object"),
    one("NaN", lambda: b'{"messages": NaN}', "invalid-json"),
    one("Infinity", lambda: b'{"messages": -Infinity}', "invalid-json"),
    one("a number beyond all floats", lambda: b'{"messages": 1e400}', "invalid-json"),
    one("a number of 5,000 digits", lambda: b'{"messages": ' + b"9" * 5000 + b"}", "invalid-json"),
    one("100,000 open brackets", lambda: b"[" * 100_000, "too-deep"),
    one("300 levels", lambda: b'{"messages": ' + b"[" * 300 + b"]" * 300 + b"}", "too-deep"),
    one("a comma after the object", lambda: as_line(good_chat()) + b",", "invalid-json"),
    one("two objects on a line", lambda: as_line(good_chat()) * 2, "invalid-json"),
    one("single quotes", lambda: str(good_chat()).encode(), "invalid-json"),
    one("an unknown escape", lambda: b'{"messages": "\\x41"}', "invalid-json"),
    one("plain prose", lambda: words().encode(), "invalid-json"),
    one("an empty line", lambda: b"", "empty-line"),
    one("a line of blanks", lambda: b"  \t ", "empty-line"),
    Fault("an object over several lines", lambda: json.dumps(good_chat(), indent=1).encode(),
          [("invalid-json", None, n) for n in range(12)]),
]  # fmt: skip

STRUCTURE = [
    one("a row of another kind", lambda: {"prompt": words(), "completion": words()},
        "mixed-kinds"),
    one("a row of no kind", lambda: {"question": words(), "reply": words()},
        "unrecognised-structure"),
    one("an empty object", lambda: {}, "unrecognised-structure"),
    one("a key that trains nothing", lambda: {**good_chat(), "topic": "x"}, "unknown-row-key"),
    one("null messages", lambda: {"messages": None}, "missing-messages", "messages"),
    one("messages as text", lambda: {"messages": words()}, "messages-not-a-list", "messages"),
    one("no messages in the list", lambda: {"messages": []}, "empty-messages", "messages"),
    one("a message that is text", lambda: chat(user(), words()), "message-not-an-object",
        "messages[1]"),
]  # fmt: skip

MESSAGES = [
    one("no role", lambda: chat({"content": words()}, answer()), "missing-role", "messages[0]"),
    one("an unknown role", lambda: chat({**user(), "role": "human"}, answer()), "unknown-role",
        "messages[0].role"),
    one("a role that is a list", lambda: chat({**user(), "role": ["user"]}, answer()),
        "unknown-role", "messages[0].role"),
    one("a misspelt key", lambda: chat(user(contnet=1), answer()), "unknown-message-key",
        "messages[0]"),
    one("tool calls of the user", lambda: chat(user(tool_calls=[call()]), answer(), tools=[tool()]),
        "misplaced-message-key", "messages[0].tool_calls"),
    one("no content", lambda: chat({"role": "user"}, answer()), "missing-content", "messages[0]"),
    one("a null answer", lambda: chat(user(), {"role": "assistant", "content": None}),
        "missing-content", "messages[1]"),
    one("content that is a number", lambda: chat(user(7), answer()), "bad-content",
        "messages[0].content"),
    one("content without parts", lambda: chat(user(), answer([])), "bad-content",
        "messages[1].content"),
    one("a text part without text", lambda: chat(user([{"type": "text"}]), answer()),
        "bad-content-part", "messages[0].content[0]"),
    one("an unknown part", lambda: chat(user([{"type": "video"}]), answer()),
        "unknown-content-part", "messages[0].content[0]"),
    one("an image from the assistant", lambda: chat(user(), answer([part(url="https://x.org/y.png")])),
        "misplaced-image", "messages[1].content[0]"),
    one("a name that is a number", lambda: chat(user(name=3), answer()), "bad-message-value",
        "messages[0].name"),
    one("a late system message",
        lambda: chat(user(), {"role": "system", "content": words()}, answer()),
        "system-not-first", "messages[1]"),
    one("two user messages in a row", lambda: chat(user(), user(), answer()),
        "consecutive-user-messages", "messages[1]"),
]  # fmt: skip

LEARNING = [
    one("an answer of blanks", lambda: chat(user(), answer(" \n")), "empty-answer",
        "messages[1].content"),
    one("no answer", lambda: chat(user()), "no-assistant-message", "messages"),
    one("a question at the end", lambda: chat(user(), answer(), user()),
        "last-message-not-assistant", "messages[2]"),
    one("a weight of one half", lambda: chat(user(), answer(weight=0.5)), "bad-weight",
        "messages[1].weight"),
    one("a weight of true", lambda: chat(user(), answer(weight=True)), "bad-weight",
        "messages[1].weight"),
    one("a weight on a question", lambda: chat(user(weight=1), answer()), "misplaced-weight",
        "messages[0].weight"),
    one("all weights 0", lambda: chat(user(), answer(weight=0)), "nothing-learnt", "messages"),
    one("an empty question", lambda: chat(user(" "), answer()), "empty-content",
        "messages[0].content"),
    one("half of a surrogate pair", lambda: chat(user(), answer(words() + "\ud83d")),
        "bad-unicode"),
]  # fmt: skip

_FUNCTION = "messages[1].tool_calls[0].function"

TOOLS = [
    one("tools that are no list", lambda: {**good_chat(), "tools": {}}, "bad-tools", "tools"),
    one("a tool without its wrapper", lambda: {**good_chat(), "tools": [{"name": "f"}]},
        "bad-tools", "tools[0]"),
    one("a tool twice", lambda: {**good_chat(), "tools": [tool(), tool()]}, "duplicate-tool",
        "tools[1]"),
    one("a tool with blanks in its name", lambda: {**good_chat(), "tools": [tool("the weather")]},
        "bad-tool-name", "tools[0].function"),
    one("parameters that are no schema",
        lambda: {**good_chat(), "tools": [tool(parameters={"type": "text"})]},
        "bad-tool-schema", "tools[0].function.parameters"),
    one("parallel calls that are maybe", lambda: {**good_chat(), "parallel_tool_calls": "maybe"},
        "bad-parallel-tool-calls", "parallel_tool_calls"),
    one("arguments that the tool does not take",
        lambda: chat(user(), calling(call(arguments='{"city": 1}')), tools=[tool()]),
        "tool-arguments-do-not-fit", f"{_FUNCTION}.arguments"),
    one("two calls with one id", lambda: chat(user(), calling(call(), call()), tools=[tool()]),
        "duplicate-tool-call-id", "messages[1].tool_calls[1].id"),
    one("two calls where one is allowed",
        lambda: chat(user(), calling(call(), call(id="c2")), tools=[tool()],
                     parallel_tool_calls=False),
        "parallel-calls-forbidden", "messages[1].tool_calls"),
    one("a call that is text", lambda: chat(user(), answer(tool_calls="f")), "bad-tool-call",
        "messages[1].tool_calls"),
    one("a call without type",
        lambda: chat(user(), calling({"id": "c1", "function": call()["function"]}), tools=[tool()]),
        "bad-tool-call", "messages[1].tool_calls[0]"),
    one("arguments that are an object",
        lambda: chat(user(), calling(call(arguments={"city": "Oslo"})), tools=[tool()]),
        "bad-tool-arguments", f"{_FUNCTION}.arguments"),
    one("arguments that are no JSON",
        lambda: chat(user(), calling(call(arguments="{city: Oslo}")), tools=[tool()]),
        "bad-tool-arguments", f"{_FUNCTION}.arguments"),
    one("a tool that nobody defined",
        lambda: chat(user(), calling(call("cook")), tools=[tool()]),
        "undefined-tool", f"{_FUNCTION}.name"),
    one("a call without answer",
        lambda: chat(user(), calling(call()), answer(), tools=[tool()]),
        "unanswered-tool-call", "messages[1].tool_calls[0]"),
    Fault("an answer to no call",
          lambda: chat(user(), calling(call()), result("c9"), answer(), tools=[tool()]),
          [("unknown-tool-call-id", "messages[2].tool_call_id"),
           ("unanswered-tool-call", "messages[1].tool_calls[0]")]),
    Fault("an answer that names no call",
          lambda: chat(user(), calling(call()), {"role": "tool", "content": words()}, answer(),
                       tools=[tool()]),
          [("missing-tool-call-id", "messages[2]"),
           ("unanswered-tool-call", "messages[1].tool_calls[0]")]),
    one("a function result without name",
        lambda: chat(user(), {"role": "assistant", "content": None,
                              "function_call": {"name": "f", "arguments": "{}"}},
                     {"role": "function", "content": words()}, answer(), functions=[{"name": "f"}]),
        "missing-function-name", "messages[2]"),
]  # fmt: skip

_IMAGE = "messages[0].content[1].image_url.url"

IMAGES = [
    one("an image in a file", lambda: chat(picture("file:///tmp/a.png"), answer()),
        "bad-image-url", _IMAGE),
    one("an image without encryption", lambda: chat(picture("http://x.org/a.png"), answer()),
        "insecure-image-url", _IMAGE),
    one("an image that is not base64",
        lambda: chat(picture("data:image/png;base64,%%%"), answer()), "bad-image-data", _IMAGE),
    one("an image that stops half-way", lambda: chat(picture(data_url(png()[:20])), answer()),
        "bad-image-data", _IMAGE),
    one("a GIF", lambda: chat(picture(data_url(GIF, "image/gif")), answer()),
        "image-type-not-accepted", _IMAGE),
    one("a PNG in grey", lambda: chat(picture(data_url(png(0))), answer()),
        "image-mode-not-accepted", _IMAGE),
    one("a PNG that is called JPEG",
        lambda: chat(picture(data_url(png(), "image/jpeg")), answer()),
        "image-type-differs", _IMAGE),
    one("an image with unknown detail",
        lambda: chat(user([part(url="https://x.org/y.png", detail="max")]), answer()),
        "bad-content-part", "messages[0].content[0]"),
    one("an image without address", lambda: chat(user([part()]), answer()), "bad-content-part",
        "messages[0].content[0]"),
]  # fmt: skip

CONTENT = [
    one("a key of a service", lambda: chat(user(), answer("sk-" + "proj-" + "aB3dE5gH" * 5)),
        "suspected-secret", "messages[1].content"),
    one("an address of a person", lambda: chat(user("jan.kowalski" + "@" + "firma.pl"), answer()),
        "personal-data", "messages[0].content"),
    one("a control token", lambda: chat(user(), answer("Yes.<|im_end|>")),
        "special-token-in-text", "messages[1].content"),
    one("a refusal of the user",
        lambda: chat(user([{"type": "refusal", "refusal": words()}]), answer()),
        "misplaced-refusal", "messages[0].content[0]"),
]  # fmt: skip

CHAT = [*ENCODING, *STRUCTURE, *MESSAGES, *LEARNING, *TOOLS, *IMAGES, *CONTENT]
"""What can go wrong in a file of conversations, whoever will train on it."""

_same = [answer()]

PREFERENCE = [
    one("no conversation", lambda: {**preference(), "input": words()}, "missing-messages", "input"),
    one("no better answer", lambda: {**preference(), "preferred_output": None},
        "missing-preferred-output", "preferred_output"),
    one("no worse answer", lambda: {**preference(), "non_preferred_output": None},
        "missing-non-preferred-output", "non_preferred_output"),
    one("answers that are the same", lambda: preference(_same, _same), "equal-pair",
        "non_preferred_output"),
    one("answers that differ in blanks",
        lambda: preference([answer("Rain in  Oslo.")], [answer("Rain in Oslo. ")]), "equal-pair",
        "non_preferred_output"),
    one("an answer of two messages", lambda: preference([answer(), answer()]),
        "several-output-messages", "preferred_output"),
    one("an answer that is text", lambda: preference(words()), "messages-not-a-list",
        "preferred_output"),
    one("an answer of blanks", lambda: preference(None, [answer(" ")]), "empty-answer",
        "non_preferred_output[0].content"),
    Fault("an answer of the user", lambda: preference([user()]),
          [("no-assistant-message", "preferred_output"),
           ("consecutive-user-messages", "preferred_output[0]")]),
    one("a conversation without content", lambda: preference(None, None, {"role": "user"}),
        "missing-content", "input.messages[0]"),
    one("a tool of the conversation twice", lambda: preference(tools=[tool(), tool()]),
        "duplicate-tool", "input.tools[1]"),
]  # fmt: skip


def prompt(**more: Any) -> dict[str, Any]:
    return {**chat(user()), "reference": words(), **more}


REINFORCEMENT = [
    one("an answer where the model answers", lambda: {**chat(user(), answer()), "reference": "x"},
        "last-message-not-user", "messages[1]"),
    one("nothing to grade with", lambda: chat(user()), "no-reference-field"),
    one("null messages", lambda: prompt(messages=None), "missing-messages", "messages"),
    one("an empty question", lambda: prompt(messages=[user(" ")]), "empty-content",
        "messages[0].content"),
]  # fmt: skip


def pair(**more: Any) -> dict[str, Any]:
    return {"prompt": words(), "completion": words(), **more}


PROMPT_COMPLETION = [
    one("a null prompt", lambda: pair(prompt=None), "missing-prompt", "prompt"),
    one("a null completion", lambda: pair(completion=None), "missing-completion", "completion"),
    one("a prompt that is a number", lambda: pair(prompt=7), "bad-prompt", "prompt"),
    one("a completion that is an object", lambda: pair(completion={}), "bad-completion",
        "completion"),
    one("an empty prompt", lambda: pair(prompt=""), "empty-prompt", "prompt"),
    one("a completion of blanks", lambda: pair(completion=" \n"), "empty-completion", "completion"),
    one("messages and text", lambda: pair(prompt=[user()]), "unlike-prompt-and-completion",
        "completion"),
    one("a completion of the user", lambda: pair(prompt=[user(), answer()], completion=[user()]),
        "no-assistant-message", "completion"),
]  # fmt: skip

TEXT = [
    one("a text that is a list", lambda: {"text": [words()]}, "bad-text", "text"),
    one("a text of blanks", lambda: {"text": " \t"}, "empty-text", "text"),
]

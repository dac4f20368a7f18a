"""What a chat template is given for a row or a request in OpenAI's form.

Training and serving both go through here, so that a model meets at inference exactly what it was
trained on. Standard library only.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

_ROLES = {"developer": "system", "function": "tool"}


class ChatContentError(ValueError):
    """A message holds something that a text model cannot be given."""

    def __init__(self, message: str, *, path: str) -> None:
        super().__init__(message)
        self.path = path


def template_messages(messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Turn OpenAI messages into what chat templates expect.

    - Content parts of type `text` are joined to one string; other parts are refused.
    - `arguments` of tool calls, which OpenAI writes as JSON text, become an object, because
      templates write them with `tojson` themselves.
    - `developer`, OpenAI's newer word for `system`, becomes `system`, which templates know.
    - `function_call` and role `function`, which came before tool calls, become `tool_calls` and
      role `tool`.
    - A content that is null or missing becomes an empty text.
    - `weight`, which is meant for the trainer, and keys that are null are left out.

    Raises:
        ChatContentError: A part is not text, with its path such as `messages[1].content[0]`.
    """
    turned = []
    for index, message in enumerate(messages):
        made = {
            key: value for key, value in message.items() if key != "weight" and value is not None
        }
        made["role"] = _ROLES.get(made.get("role", ""), made.get("role"))
        content = made.setdefault("content", "")
        if isinstance(content, list):
            made["content"] = _joined(content, f"messages[{index}].content")
        if "function_call" in made:
            call = {"type": "function", "function": made.pop("function_call")}
            made["tool_calls"] = [*made.get("tool_calls", ()), call]
        if made.get("tool_calls"):
            made["tool_calls"] = [_tool_call(call) for call in made["tool_calls"]]
        turned.append(made)
    return turned


def template_tools(row: Mapping[str, Any]) -> list[Any] | None:
    """The tools of a row or request, also in the older form `functions`; None for none."""
    older = [{"type": "function", "function": function} for function in row.get("functions") or ()]
    return [*(row.get("tools") or ()), *older] or None


def _joined(parts: Sequence[Any], path: str) -> str:
    texts = []
    for index, part in enumerate(parts):
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, Mapping) and isinstance(part.get("text"), str):
            texts.append(part["text"])
        elif isinstance(part, Mapping) and isinstance(part.get("refusal"), str):
            texts.append(part["refusal"])
        else:
            kind = part.get("type") if isinstance(part, Mapping) else type(part).__name__
            raise ChatContentError(
                f"A content part of type {kind!r} cannot be given to a text model.",
                path=f"{path}[{index}]",
            )
    return "".join(texts)


def _tool_call(call: Mapping[str, Any]) -> dict[str, Any]:
    made = dict(call)
    function = made.get("function")
    if isinstance(function, Mapping) and isinstance(function.get("arguments"), str):
        try:
            arguments = json.loads(function["arguments"] or "{}")
        except ValueError:
            return made  # not JSON: left as the text that it is
        if isinstance(arguments, dict):
            made["function"] = {**function, "arguments": arguments}
    return made

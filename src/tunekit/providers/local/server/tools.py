"""Finds tool calls in what a model said.

Chat templates of the Hermes form (Qwen, SmolLM and many more) teach a model to write a call as
`<tool_call>{"name": ..., "arguments": {...}}</tool_call>`. Whatever has another form stays text,
so nothing that the model said is lost. Needs only the standard library.
"""

from __future__ import annotations

import json
import re
import uuid
from typing import Any

_CALL = re.compile(r"\s*<tool_call>(.*?)</tool_call>\s*", re.DOTALL)


def split_calls(text: str) -> tuple[str | None, list[dict[str, Any]]]:
    """Separate calls from text.

    Returns:
        The text that is left, None when there are calls and nothing beside them; and the calls in
        OpenAI's form. A text with a malformed call is given back whole, without calls.
    """
    calls = []
    for found in _CALL.finditer(text):
        call = _call(found[1])
        if call is None:
            return text, []
        calls.append(call)
    if not calls:
        return text, []
    return _CALL.sub("", text) or None, calls


def _call(text: str) -> dict[str, Any] | None:
    try:
        said = json.loads(text)
    except ValueError:
        return None
    if not isinstance(said, dict) or not isinstance(said.get("name"), str):
        return None
    arguments = said.get("arguments", {})
    if not isinstance(arguments, str):
        arguments = json.dumps(arguments, ensure_ascii=False)
    function = {"name": said["name"], "arguments": arguments}
    return {"id": f"call_{uuid.uuid4().hex[:24]}", "type": "function", "function": function}

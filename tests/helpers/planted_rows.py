"""Rows of every kind, in which no two texts are alike unless that is wanted."""

from __future__ import annotations

import base64
import json
import random
import struct
import zlib
from collections.abc import Sequence
from typing import Any

from tunekit.data.records import Row
from tunekit.data.tokens.counting import RowTokens

_SOUNDS = ["ba", "ko", "lim", "ter", "su", "no", "vi", "ra", "den", "mo", "pa", "shi", "gel", "tu"]


class Words:
    """Sentences that no two rows share."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self.restart()

    def restart(self) -> None:
        """Begin with the first sentence again."""
        self._random = random.Random(self._seed)

    def __call__(self, count: int = 9) -> str:
        return " ".join(
            "".join(self._random.choices(_SOUNDS, k=self._random.randint(2, 4)))
            for _ in range(count)
        )


words = Words(7)


def user(content: Any = None, **more: Any) -> dict[str, Any]:
    return {"role": "user", "content": words() if content is None else content, **more}


def answer(content: Any = None, **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": words() if content is None else content, **more}


def chat(*messages: Any, **more: Any) -> dict[str, Any]:
    return {"messages": list(messages), **more}


def preference(better: Any = None, worse: Any = None, *messages: Any, **more: Any) -> Row:
    return {
        "input": {"messages": list(messages or [user()]), **more},
        "preferred_output": [answer()] if better is None else better,
        "non_preferred_output": [answer()] if worse is None else worse,
    }


def good_chat() -> dict[str, Any]:
    return chat(user(), answer())


SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}


def tool(name: str = "weather", **more: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": SCHEMA, **more}}


def call(name: str = "weather", arguments: Any = '{"city": "Oslo"}', id: Any = "c1") -> Any:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def calling(*calls: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": None, "tool_calls": list(calls)}


def result(id: Any = "c1") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": id, "content": words()}


def part(**url: Any) -> dict[str, Any]:
    return {"type": "image_url", "image_url": url}


def as_line(row: Any) -> bytes:
    return row if isinstance(row, bytes) else json.dumps(row).encode()


def png(colour: int = 2, size: int = 1) -> bytes:
    """A PNG image of one colour: 0 is grey, 2 RGB, 3 a palette, 6 RGBA."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checked = kind + data
        return struct.pack(">I", len(data)) + checked + struct.pack(">I", zlib.crc32(checked))

    header = struct.pack(">IIBBBBB", size, size, 8, colour, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n"
    return start + chunk(b"IHDR", header) + chunk(b"IDAT", bytes(40)) + chunk(b"IEND", b"")


GIF = b"GIF89a" + bytes(40)


def data_url(content: bytes, kind: str = "image/png") -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def picture(*urls: str) -> dict[str, Any]:
    """A question with images."""
    return user([{"type": "text", "text": words()}, *(part(url=url) for url in urls)])


class WordCounter:
    """Counts words: one token each, and those of the assistant are trained."""

    name = "words"
    exact = True

    def count(self, rows: Sequence[Row]) -> list[RowTokens | None]:
        return [self._count(row) for row in rows]

    def _count(self, row: Row) -> RowTokens | None:
        messages = row.get("messages", [{"role": "assistant", "content": row.get("text")}])
        if not isinstance(messages, list) or not all(isinstance(m, dict) for m in messages):
            return None
        counts = [len(str(message.get("content")).split()) for message in messages]
        roles = [message.get("role") for message in messages]
        trained = [n for n, role in zip(counts, roles, strict=True) if role == "assistant"]
        start = sum(counts[: roles.index("assistant")]) if trained else None
        return RowTokens(total=sum(counts), trained=sum(trained), untrained_start=start)

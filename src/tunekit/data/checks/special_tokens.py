"""The rule about control tokens in texts.

A chat template puts tokens such as `<|im_end|>` around messages. Where a text spells one, the
tokenizers of open models take it for the token itself, so that a message can end early or speak for
somebody else. What hosted services do with such text is not documented.
"""

from __future__ import annotations

import re
from typing import Final

from tunekit.data.checks.catalogue import rule, warning
from tunekit.data.checks.conversation import Faults
from tunekit.data.checks.texts import SMALL, escapes_ascii, holds_pairs, texts_of
from tunekit.data.records import Row

_TOKENS: Final = (
    r"<\|[A-Za-z0-9_]{1,40}\|>"  # ChatML, OpenAI, Llama 3, Phi, Zephyr, GLM
    r"|<\uff5c[A-Za-z0-9_\u2581]{1,40}\uff5c>"  # DeepSeek, which writes it with wide bars
    r"|<(?:start|end)_of_turn>|<(?:bos|eos)>"  # Gemma
    r"|<</?SYS>>|\[/?INST\]|</s>"  # Llama 2, Mistral
)
_TOKEN: Final = re.compile(_TOKENS)
_STRIKE: Final = re.compile(r"<s>")
"""Where `<s>` stands before it, `</s>` is more likely the end of struck-out text in HTML."""


def is_suspect(text: str) -> bool:
    """Whether a text is worth a closer look."""
    return "<" in text or "INST]" in text


def tokens_in(text: str) -> list[str]:
    """The control tokens that a text spells, each once, in their order."""
    if not is_suspect(text):
        return []
    found: dict[str, None] = {}
    for match in _TOKEN.finditer(text):
        if match.group() != "</s>" or not _STRIKE.search(text, 0, match.start()):
            found[match.group()] = None
    return list(found)


@rule("content", warnings=("special-token-in-text",))
def tokens_stay_out(row: Row, service: str = "") -> Faults:
    """No text spells a control token of a chat template, such as `<|im_end|>` or `[INST]`."""
    for path, text in texts_of(row):
        if found := tokens_in(text):
            names = ", ".join(f"`{name}`" for name in found[:5])
            effect = (
                f"what {service} does with it is not documented"
                if service
                else "a tokenizer may take it for the token itself"
            )
            message = f"The text spells the control token {names}: {effect}."
            fix = "Remove it: the chat template is put around the messages in training."
            yield warning("special-token-in-text", path, message, fix)


def maybe(lines: bytes) -> bool:
    """Whether a text in these lines of JSON may spell a control token; never wrongly False."""
    return may_spell(lines) or escapes_ascii(lines)


def may_spell(lines: bytes) -> bool:
    """As `maybe`, for lines in which no ASCII character is escaped."""
    if b"<" in lines and _RAW.search(lines):
        return True
    # The pairs are rare in most texts, but no proof.
    likely = len(lines) < SMALL or holds_pairs(lines, b"NS", b"ST")
    return likely and b"INST]" in lines


_RAW: Final = re.compile(
    rb"<(?:\||\xef\xbd\x9c|\\u[fF]{2}5[cC]|start_of|end_of|bos>|eos>|<\\?/?SYS|\\?/s>)"
)

"""The lengths of many texts in tokens, on all cores.

tiktoken's own batch call takes one text at a time to a thread. For texts of the length of a chat
message that costs more than the encoding itself, because threads wait for each other between two
texts (`bench/tokens.py` measures it). Here many texts go to a thread as one, with a special token
between them: an encoding splits at special tokens before anything else, so no token spans two texts
and each text has the tokens that it would have alone.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import tiktoken

BATCH_CHARACTERS: Final = 50_000
"""Characters that a thread encodes at once; more or fewer are slower."""

LONGEST_BLANK: Final = 100_000
"""A run of blanks of more characters is encoded in pieces: tiktoken 0.14 ends with a panic at a
million. Each border between two pieces may add a token."""

_BORDER: Final = "<|endoftext|>"
_BLANK: Final = re.compile(rf"\s{{{LONGEST_BLANK}}}")


def token_lengths(
    encoding: tiktoken.Encoding, texts: Sequence[str], *, threads: int | None = None
) -> list[int]:
    """Count the tokens of each text, taken as ordinary text whatever it spells.

    Args:
        encoding: The encoding.
        texts: The texts, of any length.
        threads: How many threads; None for one per core.
    """
    batches = list(_batches(texts))
    threads = min(threads or os.cpu_count() or 1, len(batches))
    if threads <= 1:
        return [length for batch in batches for length in _count(encoding, batch)]
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(threads) as pool:
        counted = pool.map(lambda batch: _count(encoding, batch), batches)
        return [length for lengths in counted for length in lengths]


def _batches(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """Runs of neighbouring texts; one that is long, or holds the border itself, stands alone."""
    start = size = 0
    for position, text in enumerate(texts):
        alone = len(text) >= BATCH_CHARACTERS or _BORDER in text
        if position > start and (alone or size >= BATCH_CHARACTERS):
            yield texts[start:position]
            start, size = position, 0
        size += BATCH_CHARACTERS if alone else len(text)
    if start < len(texts):
        yield texts[start:]


def _count(encoding: tiktoken.Encoding, batch: Sequence[str]) -> list[int]:
    if len(batch) == 1:
        return [len(encode_text(encoding, batch[0]))]
    tokens = encoding.encode(_BORDER.join(batch), allowed_special={_BORDER}, disallowed_special=())
    border = encoding.eot_token
    lengths = []
    start = 0
    for _ in range(len(batch) - 1):
        end = tokens.index(border, start)
        lengths.append(end - start)
        start = end + 1
    return [*lengths, len(tokens) - start]


def encode_text(encoding: tiktoken.Encoding, text: str) -> list[int]:
    """Encode one text of any length, taken as ordinary text whatever it spells."""
    return [token for piece in _pieces(text) for token in encoding.encode_ordinary(piece)]


def _pieces(text: str) -> Iterator[str]:
    if len(text) <= LONGEST_BLANK:
        yield text
        return
    start = 0
    for run in _BLANK.finditer(text):
        yield text[start : run.end()]
        start = run.end()
    yield text[start:]

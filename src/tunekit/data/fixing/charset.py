"""Which encoding a file is in, said only where it is certain."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_CHUNK: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Charset:
    """How to read a file.

    Attributes:
        codec: Python's name of the encoding.
        errors: What to do with bytes that it does not have.
        said: What the report calls it; empty for UTF-8, which is as it should be.
    """

    codec: str
    errors: str = "strict"
    said: str = ""


UTF8: Final = Charset("utf-8", errors="surrogateescape")
"""UTF-8 with bad bytes kept apart, so that the lines that hold them can be told and kept whole."""

_MARKED: Final = (
    (codecs.BOM_UTF32_LE, Charset("utf-32-le", said="UTF-32")),
    (codecs.BOM_UTF32_BE, Charset("utf-32-be", said="UTF-32")),
    (codecs.BOM_UTF16_LE, Charset("utf-16-le", said="UTF-16")),
    (codecs.BOM_UTF16_BE, Charset("utf-16-be", said="UTF-16")),
    # Without a mark, the zero bytes around a row's first two characters tell the same.
    (b'{\0"\0', Charset("utf-16-le", said="UTF-16")),
    (b'\0{\0"', Charset("utf-16-be", said="UTF-16")),
)


def charset_of(path: Path) -> Charset:
    """Tell a file's encoding from its bytes; reads it up to twice, a piece at a time.

    UTF-16 and UTF-32 are told by their mark, and only if the whole file can be read so. A file that
    is not UTF-8 is Windows-1252 (Latin-1 with more punctuation) where no other reading is likely:
    see `_is_western`. Anything else is read as UTF-8 with bad bytes.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        start = file.read(4)
    for mark, charset in _MARKED:
        if start.startswith(mark) and _decodes(path, charset.codec):
            return charset
    if _decodes(path, "utf-8"):
        return UTF8
    return _is_western(path) or UTF8


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk


def _decodes(path: Path, codec: str) -> bool:
    decoder = codecs.getincrementaldecoder(codec)("strict")
    try:
        for chunk in _chunks(path):
            decoder.decode(chunk)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


# One of these anywhere and the file is left alone: a character of UTF-8 (then only some lines are
# bad), a byte that Windows-1252 does not have, three accented letters in a row (Cyrillic, Greek or
# Asian text read wrongly), a sign inside a word (a letter of the Polish or Czech encoding), and
# letters that the Turkish and Icelandic encodings read differently.
_FOREIGN: Final = re.compile(
    rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|\x81|\x8d|\x8f|\x90|\x9d"
    rb"|[\xc0-\xff]{3}"
    rb"|[a-z\xe0-\xff][\xa1-\xa9\xab-\xb9\xbb-\xbf][a-z\xe0-\xff]"
    rb"|[\xd0\xdd\xde\xf0\xfd\xfe]"
)
# The Hungarian encoding has letters of its own here; a file with them is Western only if it also
# has letters that Hungarian never uses.
_HUNGARIAN: Final = re.compile(rb"[\xd5\xdb\xf5\xfb]")
_NEVER_HUNGARIAN: Final = re.compile(rb"[\xc0\xc3\xc7\xc8\xca\xe0\xe3\xe7\xe8\xea]")
_WINDOWS: Final = re.compile(rb"[\x80-\x9f]")


def _is_western(path: Path) -> Charset | None:
    """Tell Windows-1252 by what no other single-byte encoding would give."""
    hungarian = western = windows = False
    tail = b""
    for chunk in _chunks(path):
        text = tail + chunk
        if _FOREIGN.search(text):
            return None
        hungarian = hungarian or _HUNGARIAN.search(text) is not None
        western = western or _NEVER_HUNGARIAN.search(text) is not None
        windows = windows or _WINDOWS.search(text) is not None
        tail = text[-2:]
    if hungarian and not western:
        return None
    return Charset("cp1252", said="Windows-1252" if windows else "Latin-1")

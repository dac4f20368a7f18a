"""A file taken apart into rows, however they are laid out, with nothing lost in between."""

from __future__ import annotations

import codecs
import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from json import JSONDecodeError
from pathlib import Path
from typing import Final, NoReturn

from tunekit.data.encoding import MAX_DEPTH, RowError, decode
from tunekit.data.fixing.charset import Charset, charset_of
from tunekit.data.fixing.report import Change
from tunekit.data.records import Row

_CHUNK: Final = 1 << 20
_LONGEST: Final = 1 << 24
"""Characters within which an object must end; a broken one would otherwise swallow the file."""

_MARK: Final = "\ufeff"


@dataclass(slots=True)
class Piece:
    """What stands at one place of a file.

    Attributes:
        line: 1-based line where it begins.
        original: Its bytes as they were, line end excluded.
        row: The row, or why there is none.
        text: The row as JSON on one line, as far as possible as in the source; empty without a row.
        changes: What had to be mended to read it.
    """

    line: int
    original: bytes
    row: Row | RowError
    text: str = ""
    changes: list[Change] = field(default_factory=list)


def read_pieces(path: Path) -> Iterator[Piece | Change]:
    """Give every row of a file, and every line that is none, in order.

    Rows may be laid out as JSON Lines, as one JSON array, or spread over several lines each. Memory
    is bounded by the longest line, or `_LONGEST` characters.

    Yields:
        Pieces, and changes that belong to no row, such as an empty line.

    Raises:
        OSError: The file cannot be read.
    """
    charset = charset_of(path)
    if charset.said:
        yield Change(1, "bad-utf8", f"The file was {charset.said}; the copy is UTF-8.")
    yield from _Scanner(path, charset).pieces()


class _Scanner:
    """Reads JSON objects one after the other from text that is held a window at a time."""

    def __init__(self, path: Path, charset: Charset) -> None:
        self._path = path
        self._charset = charset
        self._text = ""
        self._at = 0
        self._line = 1
        self._line_is_new = True
        self._in_array = False
        self._parts: Iterator[str] = iter(())
        self._ended = False

    def pieces(self) -> Iterator[Piece | Change]:
        self._parts = self._decoded()
        while self._at < len(self._text) or self._more():
            character = self._text[self._at]
            if character == "{":
                yield self._object() or self._broken_line()
            elif character in _BETWEEN or self._is_bracket_of_rows(character):
                if change := self._separator(character):
                    yield change
            else:
                yield self._broken_line()

    def _decoded(self) -> Iterator[str]:
        decoder = codecs.getincrementaldecoder(self._charset.codec)(self._charset.errors)
        with self._path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                yield decoder.decode(chunk)
        yield decoder.decode(b"", final=True)

    def _more(self) -> bool:
        """Read on, forgetting what is done with; False at the end of the file."""
        self._text = self._text[self._at :]
        self._at = 0
        while not self._ended:
            part = next(self._parts, None)
            if part is None:
                self._ended = True
            elif part:
                self._text += part
                return True
        return False

    def _is_bracket_of_rows(self, character: str) -> bool:
        if character == "]":
            return self._in_array
        return character == "[" and _ROWS.match(self._text, self._at) is not None

    def _separator(self, character: str) -> Change | None:
        """Pass over one character between rows, and say what was wrong with it, if anything."""
        line, new = self._line, self._line_is_new
        self._at += 1
        if character == "\n":
            self._line += 1
            self._line_is_new = True
            return Change(line, "empty-line", "An empty line was taken out.") if new else None
        if character in " \t\r":
            return None
        if character == _MARK:
            return Change(line, "byte-order-mark", "A byte-order mark was taken out.")
        self._line_is_new = False
        if character == ",":
            return None if self._in_array else Change(line, "trailing-comma", _COMMA)
        self._in_array = character == "["
        return Change(line, "json-array", _ARRAY) if self._in_array else None

    def _object(self) -> Piece | None:
        """The object that begins here, if it is whole and nothing but separators follow it."""
        while True:
            try:
                row, end = _DECODER.raw_decode(self._text, self._at)
            except JSONDecodeError as error:
                if self._may_go_on(error) and self._more():
                    continue
                return None
            except (ValueError, RecursionError):
                return None
            size = end - self._at
            if _AFTER.match(self._text, end):
                return self._taken(row, size)
            if not _BLANKS.fullmatch(self._text, end):
                return None
            # The line may go on behind what was read so far.
            if not self._more():
                return self._taken(row, size)

    def _may_go_on(self, error: JSONDecodeError) -> bool:
        """Whether the object may end in what is not read yet."""
        if len(self._text) - self._at > _LONGEST:
            return False
        if error.msg.startswith("Unterminated string"):
            return self._text.find("\n", error.pos) < 0
        return error.pos >= len(self._text) - _LONGEST_WORD

    def _taken(self, row: Row, size: int) -> Piece | None:
        text = self._text[self._at : self._at + size]
        try:
            original = text.encode(self._charset.codec, self._charset.errors)
            text.encode()
            if text.count("[") + text.count("{") > MAX_DEPTH:
                decode(text.encode())
        except (UnicodeEncodeError, RowError):
            return None
        changes = []
        breaks = text.count("\n")
        if breaks:
            what = f"An object over {breaks + 1} lines was written on one."
            changes.append(Change(self._line, "pretty-printed", what))
        elif not self._line_is_new and not self._in_array:
            changes.append(Change(self._line, "several-objects", _SEVERAL))
        # No string holds a line break, so breaks are only ever between values.
        on_one_line = _BREAK.sub(" ", text) if breaks else text
        piece = Piece(self._line, original, row, on_one_line, changes)
        self._at += size
        self._line += breaks
        self._line_is_new = False
        return piece

    def _broken_line(self) -> Piece:
        """The rest of the line, with a reading of it if a small mend gives one."""
        while (end := self._text.find("\n", self._at)) < 0 and self._more():
            pass
        text = self._text[self._at : end if end >= 0 else len(self._text)]
        original = text.encode(self._charset.codec, self._charset.errors)
        line = self._line
        self._at += len(text)
        self._line_is_new = False
        for code, what, mended in _readings(text.strip(" \t\r,")):
            try:
                row = decode(mended.encode())
            except (RowError, UnicodeEncodeError):
                continue
            return Piece(line, original, row, mended, [Change(line, code, what)])
        try:
            text = text.strip(" \t\r")
            return Piece(line, original, decode(text.encode("utf-8", "surrogateescape")), text)
        except RowError as error:
            return Piece(line, original, error)


_BETWEEN: Final = f" \t\r\n,{_MARK}"
_ROWS: Final = re.compile(r"\[\s*(?:[{\]]|\Z)")
_LONGEST_WORD: Final = len("-Infinity")
_AFTER: Final = re.compile(rf"[ \t\r,\]{_MARK}]*[\n{{\[]")
_BLANKS: Final = re.compile(rf"[ \t\r,\]{_MARK}]*")
_BREAK: Final = re.compile(r"\s*\n\s*")
_COMMA: Final = "A comma after the row was taken out."
_ARRAY: Final = "The rows of a JSON array were written on a line each."
_SEVERAL: Final = "A row that shared a line with another was put on a line of its own."


def _readings(text: str) -> Iterator[tuple[str, str, str]]:
    """Mends that make JSON of a line: `(code, what was done, the mended line)`."""
    if "\0" in text:
        text = text.replace("\0", "")
        yield "nul-bytes", "NUL bytes were taken out.", text
    if _CONTROLS.search(text):
        escaped = _CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
        yield "control-characters", "Control characters within text were escaped.", escaped


_CONTROLS: Final = re.compile(r"[\x01-\x1f]")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON value")


def _finite(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise ValueError(f"{digits:.40} is too large")
    return value


_DECODER: Final = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite)

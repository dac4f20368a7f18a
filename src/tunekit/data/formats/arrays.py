"""JSON files that are one array of rows, as ShareGPT and Alpaca data often is."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import BinaryIO, Final

from typing_extensions import override

from tunekit.data.encoding import BOM
from tunekit.data.files import FileSource, Span
from tunekit.data.records import Row
from tunekit.problems import Problem

_CHUNK: Final = 1 << 16
_MARK: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"|["\[\]{},]', re.DOTALL)
"""A whole text, a quotation mark whose text has no end yet, or a bracket or comma."""

_DEEPER: Final = {b"[": 1, b"{": 1, b"]": -1, b"}": -1}
_BLANK: Final = b" \t\r\n"
_SOLID: Final = re.compile(rb"[^ \t\r\n]")


def is_array(start: bytes) -> bool:
    """Whether a file that begins with these bytes is one JSON array."""
    return start.removeprefix(BOM).lstrip(_BLANK).startswith(b"[")


class JsonArraySource(FileSource):
    """The elements of a JSON array, one at a time; `line` is where an element begins."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(path)
        self._fault: tuple[int, Problem] | None = None  # where it is, and what

    @override
    def _spans(self, file: BinaryIO) -> Iterator[Span]:
        if problem := self._utf16(file):
            self._fault = 0, problem
            yield 0, 1, problem
            return
        scanner = _Scanner(file, 0, 1)
        scanner.enter()
        while found := scanner.element():
            yield found
        if scanner.fault:
            problem = Problem(
                code="invalid-json",
                message=f"The array is not JSON: {scanner.fault}.",
                fix="Mend the end of the file.",
                file=self.name,
                line=scanner.line,
            )
            self._fault = scanner.offset, problem
            yield scanner.offset, scanner.line, problem

    @override
    def _span_at(self, file: BinaryIO, line: int) -> Row | Problem | bytes:
        # The fault is known: positions come from an index, and that from `_spans`.
        if self._fault and file.tell() == self._fault[0]:
            return self._fault[1]
        found = _Scanner(file, file.tell(), line).element()
        return found[2] if found else b""


class _Scanner:
    """Finds where elements end by counting brackets; what is in them is not looked at.

    Attributes:
        offset: Of the next byte.
        line: On which the next byte stands.
        fault: What is wrong with the array itself.
    """

    def __init__(self, file: BinaryIO, offset: int, line: int) -> None:
        self._file = file
        self._buffer = b""
        self._at = 0  # where in the buffer the next byte is
        self.offset = offset
        self.line = line
        self.fault = ""

    def _more(self) -> bool:
        # Twice as much each time, so that a long element is not gone through again and again.
        chunk = self._file.read(max(_CHUNK, len(self._buffer) - self._at))
        self._buffer = self._buffer[self._at :] + chunk
        self._at = 0
        return bool(chunk)

    def _skip(self, count: int) -> bytes:
        taken = self._buffer[self._at : self._at + count]
        self._at += count
        self.offset += count
        self.line += taken.count(b"\n")
        return taken

    def _blank(self) -> bytes:
        """Pass over white space; give the next byte without taking it, or none at the end."""
        while True:
            found = _SOLID.search(self._buffer, self._at)
            self._skip((found.start() if found else len(self._buffer)) - self._at)
            if found:
                return found[0]
            if not self._more():
                return b""

    def enter(self) -> None:
        """Pass over the array's opening bracket."""
        while len(self._buffer) < len(BOM) and self._more():
            pass
        if self._buffer.startswith(BOM):
            self._skip(len(BOM))
        self._blank()
        self._skip(1)

    def element(self) -> Span | None:
        """Take the next element; None at the array's end, or at what is no end of one."""
        first = self._blank()
        if first == b"]":
            self._skip(1)
            if self._blank():
                self.fault = "something follows its end"
            return None
        if not first:
            self.fault = "its end is missing"
            return None
        offset, line = self.offset, self.line
        content = self._skip(self._end())
        if self._blank() == b",":
            self._skip(1)
            if self._blank() == b"]":
                self.fault = "a comma stands before its end"
        return offset, line, content.strip(_BLANK) or b"null"

    def _end(self) -> int:
        """How many bytes the element has, up to the comma or bracket behind it."""
        depth = behind = 0  # `behind` counts from the next byte, wherever the buffer begins
        while True:
            found = _MARK.search(self._buffer, self._at + behind)
            if found is None or found[0] == b'"':
                behind = (found.start() if found else len(self._buffer)) - self._at
                if not self._more():
                    return len(self._buffer) - self._at
                continue
            behind = found.end() - self._at
            if depth == 0 and found[0] in b",]":
                return behind - 1
            depth = max(0, depth + _DEEPER.get(found[0], 0))

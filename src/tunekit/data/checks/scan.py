"""What a stretch of rows holds: its problems, and what the whole file must know of it.

A scan judges rows one by one and depends on nothing but the rows themselves, so that stretches of a
file can be scanned by several processes and added up.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import msgspec

from tunekit.data.checks import quick
from tunekit.data.checks.catalogue import error, rule
from tunekit.data.checks.images import has_images
from tunekit.data.checks.options import CheckOptions
from tunekit.data.checks.rows import check_content, check_row, maybe_content
from tunekit.data.checks.texts import suspects
from tunekit.data.encoding import BOM
from tunekit.data.likeness.keys import row_keys
from tunekit.data.likeness.signatures import signatures
from tunekit.data.plain import (
    NO_PROMPT,
    SHAPES,
    Chat,
    Order,
    PlainRow,
    decode_lines,
    digests_of,
    form_decoder,
    order_of,
)
from tunekit.data.records import (
    REQUIRED_KEYS,
    ROW_KEYS,
    DataKind,
    Row,
    key_names,
    kind_of,
    unknown_structure,
)
from tunekit.data.sources import Located, parse_line, passed_over
from tunekit.problems import Problem

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BATCH: Final = 512
"""Rows whose texts are sketched at once."""


MANY_PROBLEMS: Final = 5_000
"""How much one stretch may have to report while it waits for those before it: 5 MB."""

GUESSES: Final = 20
"""How often a scanner expects all rows to have the same speakers before it gives that up."""

LONGEST_FORM: Final = 16
"""Messages of a conversation that others are expected to be like."""


First = tuple[str | None, int, int]
"""Where something was seen first (the file, unless it is the one that is scanned, and the line),
and how often in all."""


def _another(known: First | None, file: str | None, line: int) -> First:
    return (file, line, 1) if known is None else (*known[:2], known[2] + 1)


@dataclass
class Seen:
    """What a scan has seen.

    Attributes:
        lines: How many lines the stretch has, where it is a piece of a file; all lines of problems
            and keys count from its beginning then.
        rows: How many rows, faulty ones included.
        image_rows: How many of them hold an image.
        problems: In the order of the lines.
        strange: For rows of no known structure in a file that has no others: their keys.
        unknown_keys: Keys of rows that mean nothing.
        positions: The positions, among the stretch's rows, of those that can be read.
        digests: 16 bytes for each of these rows; equal for equal rows.
        prompts: 16 bytes for each; equal for equal prompts, and zero where there is none.
        sketches: The same number of bytes for each, from which alike rows are found; empty when
            they are not looked for.
    """

    lines: int = 0
    rows: int = 0
    image_rows: int = 0
    problems: list[Problem] = field(default_factory=list)
    strange: dict[str, First] = field(default_factory=dict)
    unknown_keys: dict[str, First] = field(default_factory=dict)
    positions: array[int] = field(default_factory=lambda: array("Q"))
    digests: bytearray = field(default_factory=bytearray)
    prompts: bytearray = field(default_factory=bytearray)
    sketches: bytearray = field(default_factory=bytearray)

    @property
    def is_large(self) -> bool:
        """Whether there is so much to report that it must not wait in memory."""
        return len(self.problems) + len(self.strange) + len(self.unknown_keys) > MANY_PROBLEMS


class Scanner:
    """Judges rows.

    Args:
        kind: What the rows are taken for; None when the file has no row of a known kind.
        options: What they are held against.
    """

    def __init__(self, kind: DataKind | None, options: CheckOptions) -> None:
        self._kind = kind
        self._options = options
        self._compares = options.duplicates
        self._near = options.duplicates and options.near_duplicates
        # Where no system message is accepted, rows of plain shape are not clean by that alone.
        look = options.limits.system_messages
        shape = SHAPES.get(kind) if look and kind is not None else None
        self._decoder = None if shape is None else msgspec.json.Decoder(shape)
        self._is_clean = None if shape is None else quick.IS_CLEAN[shape]
        self._form: Order | None = None
        self._guesses = GUESSES if kind is DataKind.CHAT else 0
        self._seen = Seen()
        self._texts: list[str] = []
        self._file: str | None = None

    @property
    def is_full(self) -> bool:
        """Whether what was seen should be taken before more is scanned."""
        return self._seen.is_large

    def take(self) -> Seen:
        """Hand over what was seen, and begin anew."""
        self._sketch()
        seen, self._seen = self._seen, Seen()
        return seen

    def located(self, rows: Iterable[Located]) -> None:
        """Scan rows that are at hand, with files and lines of their own."""
        for self._file, number, content in rows:
            self._entry(number, content)
            if len(self._texts) >= BATCH:
                self._sketch()

    def block(self, block: bytes, *, first: bool = False) -> None:
        """Scan whole lines of a file.

        Args:
            block: The lines; only the file's last may lack its line break.
            first: Whether this is the beginning of the file, where a byte-order mark may stand.
        """
        if first:
            block = block.removeprefix(BOM)
        suspicious = self._suspicious(block)
        if suspicious or not (self._of_form(block) or self._plain_block(block)):
            self._lines(block, suspicious)
        if len(self._texts) >= BATCH:
            self._sketch()

    def _suspicious(self, lines: bytes) -> bool:
        return maybe_content(lines, self._options)

    def _lines(self, block: bytes, suspicious: bool) -> None:
        """Scan a block line by line."""
        lines = block.split(b"\n")
        if len(lines) > 1 and not lines[-1]:
            lines.pop()
        before = self._seen.lines
        self._seen.lines += len(lines)
        marked = set(suspects(lines, self._suspicious)) if suspicious else ()
        for place, line in enumerate(lines):
            row = None if place in marked else self._plain(line)
            if row is None:
                self._entry(before + place + 1, parse_line(line))
            else:
                self._clean(row)

    def _plain(self, line: bytes) -> PlainRow | None:
        """The row of a line, if it is plain and certainly clean."""
        if self._decoder is None or self._is_clean is None:
            return None
        try:
            row = self._decoder.decode(line)
        except (ValueError, RecursionError):
            return None
        return row if self._is_clean(row) else None

    def _of_form(self, block: bytes) -> bool:
        """Scan a block of conversations of the speakers that are expected; False if it is none."""
        if self._form is None or b"\\u0000" in block:
            return False
        decoded = decode_lines(form_decoder(self._form.letters), block)
        if decoded is None:
            self._form = None
            return False
        rows, ends = decoded
        seen = self._seen
        before = seen.lines
        seen.lines += len(rows)
        texts = self._texts if self._near else None
        digests = seen.digests if self._compares else None
        place = 0
        while True:
            done = quick.look_at_form(
                rows[place:] if place else rows, self._form, digests, seen.prompts, texts
            )
            if self._compares:
                seen.positions.extend(range(seen.rows, seen.rows + done))
            seen.rows += done
            place += done
            if place == len(rows):
                return True
            self._entry(before + place + 1, parse_line(_line(block, ends, place)))
            place += 1

    def _plain_block(self, block: bytes) -> bool:
        """Scan a block whose lines all hold plain rows; False if it is none."""
        decoded = None if self._decoder is None else decode_lines(self._decoder, block)
        if decoded is None or self._is_clean is None:
            return False
        rows, ends = decoded
        before = self._seen.lines
        self._seen.lines += len(rows)
        for place, row in enumerate(rows):
            if self._is_clean(row):
                self._clean(row)
            else:
                self._entry(before + place + 1, parse_line(_line(block, ends, place)))
        self._guess(rows[-1])
        return True

    def _guess(self, row: PlainRow) -> None:
        """Expect rows of the same speakers from now on, unless that was wrong too often."""
        if self._guesses and isinstance(row, Chat):
            order = order_of(row.messages)
            if order.clean and len(order.letters) <= LONGEST_FORM:
                self._form = order
                self._guesses -= 1

    def _entry(self, number: int, content: Row | Problem) -> None:
        seen = self._seen
        if isinstance(content, Problem):
            self._note(number, content)
            seen.rows += not passed_over(content)
            return
        if self._compares:
            keys = row_keys(content)
            self._remember(keys.row, keys.prompt or NO_PROMPT, keys.text)
        seen.rows += 1
        seen.image_rows += has_images(content)
        self._judge(number, content)

    def _judge(self, number: int, row: Row) -> None:
        expected, kind = self._kind, kind_of(row)
        if expected is DataKind.REINFORCEMENT and kind is DataKind.CHAT:
            kind = expected
        if expected is None:
            keys = key_names(row)
            self._seen.strange[keys] = _another(self._seen.strange.get(keys), self._file, number)
            return
        if kind is None and not any(key in row for key in REQUIRED_KEYS[expected]):
            message, fix = unknown_structure(key_names(row))
            self._note(number, error("unrecognised-structure", "", message, fix))
            return
        for problem in kinds_are_not_mixed(kind, expected):
            self._note(number, problem)
        self._keys(number, row, kind or expected)
        for problem in check_row(row, kind or expected):
            self._note(number, problem)
        for problem in check_content(row, self._options):
            self._note(number, problem)

    def _keys(self, number: int, row: Row, kind: DataKind) -> None:
        if kind is DataKind.REINFORCEMENT:
            return  # graders read any key
        unknown = self._seen.unknown_keys
        for key in row:
            if key not in ROW_KEYS[kind]:
                unknown[key] = _another(unknown.get(key), self._file, number)

    def _note(self, number: int, problem: Problem) -> None:
        place = {
            "file": problem.file or self._file,
            "line": problem.line or number,
            "path": problem.path or None,
        }
        self._seen.problems.append(problem.model_copy(update=place))

    def _clean(self, row: PlainRow) -> None:
        if self._compares:
            digest, prompt = digests_of(row)
            self._remember(digest, prompt, quick.text_of(row) if self._near else "")
        self._seen.rows += 1

    def _remember(self, digest: bytes, prompt: bytes, text: str) -> None:
        """Note what the next row is compared by."""
        seen = self._seen
        seen.positions.append(seen.rows)
        seen.digests += digest
        seen.prompts += prompt
        if self._near:
            self._texts.append(text)

    def _sketch(self) -> None:
        if self._texts:
            self._seen.sketches += signatures(self._texts)
            self._texts = []


def _line(block: bytes, ends: NDArray[np.intp], place: int) -> bytes:
    return block[ends[place - 1] + 1 if place else 0 : ends[place]]


@rule("structure", errors=("mixed-kinds",))
def kinds_are_not_mixed(kind: DataKind | None, expected: DataKind) -> Iterator[Problem]:
    """All rows of a file are of the kind of the first."""
    if kind not in (expected, None):
        message = f"The row is of kind `{kind}`, the file's first of kind `{expected}`."
        fix = "Put rows of different kinds into different files."
        yield error("mixed-kinds", "", message, fix)

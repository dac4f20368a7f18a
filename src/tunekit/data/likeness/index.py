"""`LikenessIndex`: what is kept of a file's rows to find those that are the same, or nearly."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from tunekit.data.likeness.candidates import CANDIDATE_BYTES, Signed, candidates
from tunekit.data.likeness.groups import PAIR_BYTES, equal_pairs, in_order
from tunekit.data.likeness.keys import DIGEST_BYTES, prompt_and_answer
from tunekit.data.likeness.signatures import BANDS, KEY_BYTES, SIGNATURE_BYTES, SKETCH_BYTES
from tunekit.data.likeness.spill import IN_MEMORY, Column
from tunekit.data.likeness.verify import verified
from tunekit.data.records import Row

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

THRESHOLD: Final = 0.9
"""From which Jaccard similarity on two texts are nearly the same; `docs/decisions` says why."""

LOWEST_THRESHOLD: Final = 0.8
"""Below it, too many pairs share no key of their signatures and are missed."""

ReadLine = Callable[[int], Row]
"""Reads the row of a line again."""


class LikenessIndex:
    """Digests and signatures of rows, in memory while few and in temporary files when many.

    Fill it with `add`, then ask. Use it as a context manager, or call `close`.

    Args:
        near: Whether signatures are kept, so that rows can be found that are nearly the same.
        folder: Where temporary files go; by default where the system puts them.
        in_memory: Bytes of each of its columns that stay in memory.
    """

    def __init__(
        self, near: bool = True, folder: Path | None = None, *, in_memory: int = IN_MEMORY
    ) -> None:
        self.near = near
        self._folder = folder
        self._in_memory = in_memory
        self._lines = self.column(8)
        self._digests = self.column(DIGEST_BYTES)
        self._prompts = self.column(DIGEST_BYTES)
        self._bands = [self.column(KEY_BYTES) for _ in range(BANDS)]
        self._sketches = self.column(SKETCH_BYTES)

    def column(self, width: int) -> Column:
        """Make an empty column that is kept where this index keeps its own."""
        return Column(width, folder=self._folder, in_memory=self._in_memory)

    @property
    def rows(self) -> int:
        """How many rows were added."""
        return self._lines.rows

    @property
    def digests(self) -> Column:
        """The rows' digests."""
        return self._digests

    def add(
        self, lines: Sequence[int], row_digests: bytes, prompt_digests: bytes, signatures: bytes
    ) -> None:
        """Note some rows, after those that are there already.

        Args:
            lines: Where each row stands; what the results call it.
            row_digests: 16 bytes for each row.
            prompt_digests: 16 bytes for each row, zeros where it has no prompt.
            signatures: What `signatures` gives for their texts; empty without `near`.

        Raises:
            DataError: The disk is full.
        """
        sizes = {
            len(lines) * DIGEST_BYTES: (row_digests, prompt_digests),
            len(lines) * SIGNATURE_BYTES * self.near: (signatures,),
        }
        if any(len(cells) != size for size, given in sizes.items() for cells in given):
            raise ValueError(f"the keys are not those of {len(lines)} rows")
        if not lines:
            return
        self._lines.append(array("Q", lines).tobytes())
        self._digests.append(row_digests)
        self._prompts.append(prompt_digests)
        if self.near:
            self._add_signatures(signatures)

    def _add_signatures(self, signatures: bytes) -> None:
        import numpy as np

        cells = np.frombuffer(signatures, np.uint8).reshape(-1, SIGNATURE_BYTES)
        keys = cells[:, : BANDS * KEY_BYTES].reshape(-1, BANDS, KEY_BYTES)
        for number, column in enumerate(self._bands):
            column.append(keys[:, number].tobytes())
        self._sketches.append(cells[:, BANDS * KEY_BYTES :].tobytes())

    def line(self, ordinal: int) -> int:
        """Where the row stands that was added after `ordinal` others."""
        return int(array("Q", self._lines.read(ordinal))[0])

    def duplicates(self) -> Iterator[tuple[int, int]]:
        """Give `(line, first line)` for each row that is the same as an earlier one, in order."""
        for pairs in self._equal(self._digests):
            for later, first in pairs.tolist():
                yield self.line(later), self.line(first)

    def conflicts(self, read: ReadLine) -> Iterator[tuple[int, int]]:
        """Give `(line, first line)` for each row with an earlier row's prompt and another answer.

        Args:
            read: Reads the row of a line again; rows may also differ in keys beside the answer.
        """
        known = -1
        expected = None
        for pairs in self._equal(self._prompts, unlike=self._digests):
            for later, first in pairs.tolist():
                if first != known:
                    known, expected = first, _answer(read(self.line(first)))
                line = self.line(later)
                if _answer(read(line)) != expected:
                    yield line, self.line(first)

    def near_duplicates(
        self, read: ReadLine, threshold: float = THRESHOLD
    ) -> Iterator[tuple[int, int, float]]:
        """Give `(line, other line, similarity)` for each row nearly the same as an earlier one.

        In the order of the rows, each at most once, with the earlier row most like it of those it
        was compared with. Rows that are the same as an earlier one are left to `duplicates`.

        Args:
            read: Reads the row of a line again.
            threshold: The least similarity, `LOWEST_THRESHOLD` to 1.
        """
        signed = self.signed(marked(self.rows, self._equal(self._digests)))
        out = self.column(CANDIDATE_BYTES)
        try:
            candidates(signed, None, threshold, out)
            pairs = in_order(out, self.rows)

            def again(ordinal: int) -> Row:
                return read(self.line(ordinal))

            for later, earlier, similarity in verified(pairs, again, again, threshold):
                yield self.line(later), self.line(earlier), similarity
        finally:
            out.close()

    def signed(self, left_out: NDArray[np.uint8]) -> Signed:
        """The signatures of the rows whose bit is not set."""
        if not self.near:
            raise ValueError("this index keeps no signatures")
        return Signed(self._bands, self._sketches, left_out)

    def _equal(self, keys: Column, *, unlike: Column | None = None) -> Iterator[NDArray[np.uint64]]:
        out = self.column(PAIR_BYTES)
        try:
            equal_pairs([keys], out, unlike=None if unlike is None else [unlike])
            yield from in_order(out, self.rows)
        finally:
            out.close()

    def close(self) -> None:
        """Give memory and disk space back."""
        for column in (self._lines, self._digests, self._prompts, *self._bands, self._sketches):
            column.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _answer(row: Row) -> object:
    return prompt_and_answer(row)[1]


def marked(rows: int, pairs: Iterator[NDArray[np.uint64]]) -> NDArray[np.uint8]:
    """One bit for each row, the lowest first, that is set where it comes first in a pair."""
    import numpy as np

    bits = np.zeros(-(-rows // 8), np.uint8)
    for found in pairs:
        ordinals = found[:, 0]
        values = np.left_shift(1, ordinals % np.uint64(8)).astype(np.uint8)
        np.bitwise_or.at(bits, (ordinals // np.uint64(8)).astype(np.intp), values)
    return bits

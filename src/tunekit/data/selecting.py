"""What every dataset can do with its rows: read them, find them by position, choose among them."""

from __future__ import annotations

import operator
from array import array
from collections.abc import Iterator
from itertools import accumulate
from typing import Self, overload

from typing_extensions import override

from tunekit.data.groups import group_parts
from tunekit.data.keys import Key, classes
from tunekit.data.progress import Progress
from tunekit.data.records import DataKind, Row, known_kind
from tunekit.data.sources import Entry, Located, Source, passed_over
from tunekit.data.splitting import part_sizes, permutation
from tunekit.data.strata import stratified_parts
from tunekit.data.views import (
    Concatenation,
    Condition,
    Filtered,
    Mapped,
    Selection,
    Transform,
    Watched,
    Window,
)
from tunekit.errors import DataError
from tunekit.problems import Problem


class Rows:
    """Rows of a source; what is chosen from them is of the same class and reads the same source."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def _of(self, source: Source) -> Self:
        return type(self)(source)

    @property
    def source(self) -> str:
        """What problems call this data: the path as it was given, or the name on the Hub."""
        return self._source.name

    @property
    def kind(self) -> DataKind:
        """The structure of the rows, by the keys of the first one.

        Raises:
            DataError: There is no row, or it is of no known kind; the message names its keys.
        """
        for _, content in self.entries():
            if not isinstance(content, Problem):
                return known_kind(content, self.source)
        raise DataError(f"{self.source!r} holds no row that can be read.")

    def entries(self) -> Iterator[Entry]:
        """Give `(line, row)`, or `(line, problem)` where a row cannot be read. Never stops early.

        Problems of severity `warning` stand for empty lines, which are no rows.
        """
        return self._source.entries()

    def located(self) -> Iterator[Located]:
        """Give what `entries` gives, with the file in front: `(file, line, row or problem)`.

        The file is `source`, except in a dataset made by `concat`.
        """
        return self._source.located()

    def numbered(self) -> Iterator[tuple[int, Row]]:
        """Give `(1-based line or record number, row)`.

        Raises:
            DataError: At the first row that cannot be read, or for which `map` failed.
        """
        return (_readable(entry) for entry in self.entries() if not passed_over(entry[1]))

    def __iter__(self) -> Iterator[Row]:
        return (row for _, row in self.numbered())

    def __len__(self) -> int:
        return self._source.count()

    @overload
    def __getitem__(self, index: int) -> Row: ...

    @overload
    def __getitem__(self, index: slice) -> Self: ...

    def __getitem__(self, index: int | slice) -> Row | Self:
        """Give the row at a 0-based position, or a slice as a dataset that is read when needed.

        Empty lines have no position, faulty rows do. Negative positions count from the end.

        Raises:
            IndexError: There is no such row.
            DataError: The row cannot be read.
        """
        if isinstance(index, slice):
            return self._of(Window(self._source, index))
        count = len(self)
        position = operator.index(index)
        position += count if position < 0 else 0
        if not 0 <= position < count:
            raise IndexError(f"{self.source!r} has {count} rows; there is none at {index}.")
        (found,) = self._source.pick([position])
        return _readable(found)[1]

    def __add__(self, other: object) -> Self:
        return self.concat(self, other) if isinstance(other, Rows) else NotImplemented

    @override
    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.source!r})"

    def map(self, fn: Transform) -> Self:
        """Make each row from a row, when it is read.

        Args:
            fn: Gets a row of its own to read or change, and returns a row, a record, or a list of
                messages. It must give the same for the same row each time. Where it raises, the
                row is a problem `map-failed`.
        """
        return self._of(Mapped(self._source, fn))

    def filter(self, fn: Condition) -> Self:
        """Keep the rows for which a function says so, when they are read.

        Iterating needs no memory. To count the rows or to find one by position, all are read once,
        and 8 bytes for each kept one are remembered beside the 16 for each row of a file.

        Args:
            fn: Gets a row, which it must not change, and returns true or false; the same for the
                same row each time. Where it raises, the row is a problem `filter-failed`. Rows that
                cannot be read are kept as the problems that they are.
        """
        return self._of(Filtered(self._source, fn))

    def take(self, n: int) -> Self:
        """Keep the first `n` rows, or all where there are fewer; what follows is not read."""
        if n < 0:
            raise DataError(f"`take` needs a number of rows, not {n}.")
        return self[:n]

    def shuffle(self, seed: int = 0) -> Self:
        """Put the rows into a random order, the same for a seed everywhere; 8 bytes a row."""
        return self._chosen(permutation(len(self), seed))

    def sample(self, size: float, *, seed: int = 0) -> Self:
        """Draw rows at random, none twice; they stay in the order of the data.

        They are the rows of `split(size, seed=seed)[0]`; 8 bytes for each are kept.

        Args:
            size: How many rows, or with a decimal point which fraction of them.
            seed: Any whole number.

        Raises:
            DataError: That is no size, or more rows than there are.
        """
        count = len(self)
        (rows,) = part_sizes(count, (size,), method="sample")
        return self._chosen(array("Q", sorted(permutation(count, seed)[:rows])))

    @classmethod
    def concat(cls, *datasets: Rows) -> Self:
        """Join datasets, one after the other, as `a + b` does. Rows keep their files and lines.

        Raises:
            DataError: There is nothing to join, or something that is no dataset.
        """
        strange = [one for one in datasets if not isinstance(one, Rows)]
        if strange or not datasets:
            raise DataError(
                f"`concat` joins datasets, not {type(strange[0]).__name__}."
                if strange
                else "`concat` needs at least one dataset."
            )
        return cls(Concatenation([one._source for one in datasets]))

    def split(
        self,
        *parts: float,
        seed: int = 0,
        by: Key | None = None,
        stratify: Key | None = None,
        on_progress: Progress | None = None,
    ) -> tuple[Self, ...]:
        """Shuffle the rows and part them; the same seed gives the same parts, everywhere.

        A file is not loaded: each part remembers positions, 8 bytes a row. With `by` or `stratify`
        all rows are read once, and until the parts are made another 12 bytes a row are needed, and
        some 150 bytes for each group or label.

        Args:
            parts: Fractions such as `0.8, 0.1, 0.1`, or exact numbers of rows. What they leave over
                is in no part.
            seed: Any whole number.
            by: What keeps rows together, such as `"metadata.user"`, or a function of a row: rows
                with the same value land in one part. Sizes are then as near to what was asked as
                moving or swapping groups brings them, and miss it by less than the largest group
                has rows; `tunekit.data.groups` says how.
            stratify: What is to be spread evenly, such as `"metadata.language"`, or a function of a
                row: each part gets its share of each value, less than one row off, and exactly its
                size; `tunekit.data.strata` says how.
            on_progress: Called now and then; see `tunekit.data.progress`.

        Returns:
            One dataset for each part. No row is in two of them.

        Raises:
            DataError: The parts are no sizes or ask for more rows than there are, `by` and
                `stratify` are both given, or rows have no value there.
        """
        if by is not None and stratify is not None:
            raise DataError(
                "`split` cannot both keep groups whole (`by`) and spread labels (`stratify`).",
                next_step="Give one of them.",
            )
        self._source.prepare(on_progress)
        count = len(self)
        sizes = part_sizes(count, parts)
        rows = self._watched(on_progress)
        if by is not None:
            orders = group_parts(classes(rows.located(), by, "by"), sizes, seed)
        elif stratify is not None:
            labels = classes(rows.located(), stratify, "stratify")
            orders = stratified_parts(labels, sizes, seed)
        else:
            order = permutation(count, seed)
            ends = list(accumulate(sizes))
            orders = [order[end - size : end] for size, end in zip(sizes, ends, strict=True)]
        return tuple(self._chosen(order) for order in orders)

    def _chosen(self, order: array[int]) -> Self:
        return self._of(Selection(self._source, order))

    def _watched(self, on_progress: Progress | None) -> Self:
        return self if on_progress is None else self._of(Watched(self._source, on_progress))


def _readable(entry: Entry) -> tuple[int, Row]:
    """Raise for a row that cannot be read."""
    number, content = entry
    if isinstance(content, Problem):
        raise DataError(
            str(content),
            problems=[content],
            next_step="`Dataset.check` and `tunekit check` list every such row.",
        )
    return number, content

"""Rows of other sources: chosen, put into another order, changed, or joined. None holds rows."""

from __future__ import annotations

import sys
from abc import abstractmethod
from array import array
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, chain, islice
from typing import Any

from pydantic import BaseModel
from typing_extensions import override

from tunekit.data.encoding import RowError, plain, printable
from tunekit.data.progress import Progress, reported
from tunekit.data.records import Row
from tunekit.data.sources import Entry, Located, Source, fault, passed_over
from tunekit.errors import DataError
from tunekit.problems import Problem

Transform = Callable[[Row], Mapping[str, Any] | BaseModel | Sequence[Any]]
"""Makes a row from a row; a list is taken for the messages of one. Must be deterministic."""

Condition = Callable[[Row], object]
"""Says by a true or false value whether a row is kept. Must be deterministic, and change nothing.
"""


def _rows(source: Source) -> Iterator[Located]:
    """Everything that has a position."""
    return (found for found in source.located() if not passed_over(found[2]))


class View(Source):
    """A source made of other sources. `located` is all that it reads by."""

    @abstractmethod
    @override
    def located(self, positions: Iterable[int] | None = None) -> Iterator[Located]: ...

    @override
    def entries(self) -> Iterator[Entry]:
        return ((line, content) for _, line, content in self.located())

    @override
    def pick(self, positions: Iterable[int]) -> Iterator[Entry]:
        return ((line, content) for _, line, content in self.located(positions))


class _OneBase(View):
    """A view of one source, with as many rows in the same order unless it says otherwise."""

    def __init__(self, base: Source) -> None:
        self.name = base.name
        self._base = base

    @override
    def count(self) -> int:
        return self._base.count()

    @override
    def prepare(self, on_progress: Progress | None = None) -> None:
        self._base.prepare(on_progress)


class Selection(_OneBase):
    """Some rows of another source, in an order of its own."""

    def __init__(self, base: Source, order: Sequence[int]) -> None:
        super().__init__(base)
        self._order = order

    @override
    def located(self, positions: Iterable[int] | None = None) -> Iterator[Located]:
        if positions is None:
            return self._base.located(self._order)
        return self._base.located(self._order[position] for position in positions)

    @override
    def count(self) -> int:
        return len(self._order)


class Window(_OneBase):
    """A slice of another source.

    One from the beginning reads no further than its end. Any other finds its rows by position.
    """

    def __init__(self, base: Source, window: slice) -> None:
        super().__init__(base)
        if window.step == 0:
            raise DataError("A slice with step 0 has no rows.", next_step="Leave the step out.")
        window.indices(0)  # refuses what is no number
        self._window = window

    @property
    def _from_the_beginning(self) -> bool:
        window = self._window
        return (
            window.start in (None, 0)
            and (window.stop is None or window.stop >= 0)
            and (window.step is None or window.step > 0)
        )

    def _order(self) -> Sequence[int]:
        return range(*self._window.indices(self._base.count()))

    @override
    def located(self, positions: Iterable[int] | None = None) -> Iterator[Located]:
        if self._from_the_beginning:
            if positions is None:
                # `islice` takes no number above this one, and no file has as many rows.
                stop, step = (
                    limit if limit is None else min(limit, sys.maxsize)
                    for limit in (self._window.stop, self._window.step)
                )
                return islice(_rows(self._base), 0, stop, step)
            step = self._window.step or 1
            return self._base.located(position * step for position in positions)
        order = self._order()
        return self._base.located(
            order if positions is None else (order[position] for position in positions)
        )

    @override
    def count(self) -> int:
        if self._from_the_beginning and self._window.stop is not None:
            return sum(1 for _ in self.located())
        return len(self._order())


class Mapped(_OneBase):
    """Each row of another source, made into another row when it is read."""

    def __init__(self, base: Source, fn: Transform) -> None:
        super().__init__(base)
        self._fn = fn

    def _made(self, found: Located) -> Located:
        file, line, row = found
        if isinstance(row, Problem):
            return found
        try:
            return file, line, plain(self._fn(row))
        except RowError as error:
            return file, line, fault(error, file, line)
        except Exception as error:  # whatever the user's function raises belongs to this line
            return file, line, _raised("map", error, file, line)

    @override
    def located(self, positions: Iterable[int] | None = None) -> Iterator[Located]:
        return map(self._made, self._base.located(positions))


class Filtered(_OneBase):
    """The rows of another source that meet a condition.

    Faulty rows, and those for which the condition raises, are kept as problems: nothing vanishes
    because it could not be judged. Which rows are kept is found out when it is first needed to
    count them or to find one by position, with a pass over all of them; 8 bytes for each are kept.
    """

    def __init__(self, base: Source, fn: Condition) -> None:
        super().__init__(base)
        self._fn = fn
        self._kept: array[int] | None = None

    def _judged(self, found: Located) -> tuple[bool, Located]:
        file, line, row = found
        if isinstance(row, Problem):
            return True, found
        try:
            return bool(self._fn(row)), found
        except RowError as error:
            return True, (file, line, fault(error, file, line))
        except Exception as error:  # whatever the user's function raises belongs to this line
            return True, (file, line, _raised("filter", error, file, line))

    @override
    def located(self, positions: Iterable[int] | None = None) -> Iterator[Located]:
        if positions is None:
            judged = map(self._judged, self._base.located())
            return (found for kept, found in judged if kept)
        kept = self._found()
        chosen = self._base.located(kept[position] for position in positions)
        return (self._judged(found)[1] for found in chosen)

    def _found(self, on_progress: Progress | None = None) -> array[int]:
        if self._kept is None:
            self._base.prepare()  # from here on, a file that changes is noticed
            rows: Iterator[Located] = _rows(self._base)
            if on_progress is not None:
                rows = reported(rows, on_progress, self._base.count())
            judged = enumerate(map(self._judged, rows))
            self._kept = array("Q", (position for position, (kept, _) in judged if kept))
        return self._kept

    @override
    def count(self) -> int:
        return len(self._found())

    @override
    def prepare(self, on_progress: Progress | None = None) -> None:
        super().prepare(on_progress)
        self._found(on_progress)


def _raised(method: str, error: Exception, file: str, line: int) -> Problem:
    return Problem(
        code=f"{method}-failed",
        message=printable(
            f"The function given to `{method}` raised {type(error).__name__}: {error}."
        ),
        fix="Mend the function or the row.",
        file=file,
        line=line,
    )


class Concatenation(View):
    """The rows of several sources, one source after the other. Each row keeps its file and line."""

    def __init__(self, bases: Sequence[Source]) -> None:
        names = list(dict.fromkeys(base.name for base in bases))
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        self.name = " + ".join(names[:3]) + more
        self._bases = tuple(bases)

    @override
    def located(self, positions: Iterable[int] | None = None) -> Iterator[Located]:
        if positions is None:
            return chain.from_iterable(base.located() for base in self._bases)
        return self._picked(positions)

    def _picked(self, positions: Iterable[int]) -> Iterator[Located]:
        ends = list(accumulate(base.count() for base in self._bases))
        given = iter(positions)
        turns: deque[int] = deque()  # whose row comes next
        asked: list[deque[int]] = [deque() for _ in self._bases]

        def take() -> bool:
            """Hand the next position to the source that it lies in."""
            position = next(given, None)
            if position is None:
                return False
            number = bisect_right(ends, position)
            turns.append(number)
            asked[number].append(position - (ends[number - 1] if number else 0))
            return True

        def asked_of(number: int) -> Iterator[int]:
            while asked[number] or take():
                if asked[number]:
                    yield asked[number].popleft()

        # Each source is opened once, and reads as far ahead as it likes.
        readers = [base.located(asked_of(number)) for number, base in enumerate(self._bases)]
        while turns or take():
            yield next(readers[turns.popleft()])

    @override
    def count(self) -> int:
        return sum(base.count() for base in self._bases)

    @override
    def prepare(self, on_progress: Progress | None = None) -> None:
        for base in self._bases:
            base.prepare(on_progress)


class Watched(_OneBase):
    """The same rows; says how many have been read whenever they are read in order."""

    def __init__(self, base: Source, on_progress: Progress) -> None:
        super().__init__(base)
        self._on_progress = on_progress

    @override
    def located(self, positions: Iterable[int] | None = None) -> Iterator[Located]:
        if positions is not None:
            return self._base.located(positions)
        return reported(_rows(self._base), self._on_progress, self._base.count())

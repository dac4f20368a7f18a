"""The one pass over a file that finds all its faults.

Rules for a single row are in `rows` and its neighbours; here is what needs the whole file, and what
needs two files.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import combinations, islice
from typing import TYPE_CHECKING, Any, Final

from tunekit.data.checks.alike import Noted, alike_rows, leaked_rows
from tunekit.data.checks.bounds import Figures, check_bounds, validation_is_given
from tunekit.data.checks.catalogue import error, rule, warning
from tunekit.data.checks.findings import Findings
from tunekit.data.checks.lengths import LengthCheck
from tunekit.data.checks.options import CheckOptions, MethodName, Role
from tunekit.data.checks.scan import First, Scanner, Seen
from tunekit.data.checks.stretches import scan_file
from tunekit.data.likeness import LikenessIndex, RowReader
from tunekit.data.progress import Progress
from tunekit.data.records import DataKind, kind_of, unknown_structure
from tunekit.data.sources import Located, Source, passed_over
from tunekit.errors import DataError
from tunekit.problems import Problem

if TYPE_CHECKING:
    from tunekit.data.dataset import Dataset

KEY_SETS: Final = 100
"""How many different sets of keys are told apart in a file that has no row of a known kind."""

OTHER_KEYS: Final = "(others)"

BATCH: Final = 512
"""Rows that are held at once where they do not come straight from a file, or are counted."""

NEEDED: Final[Mapping[MethodName, tuple[DataKind, ...]]] = {
    "supervised": (DataKind.CHAT, DataKind.PROMPT_COMPLETION, DataKind.TEXT),
    "dpo": (DataKind.PREFERENCE,),
    "reinforcement": (DataKind.REINFORCEMENT,),
}
"""The kinds of rows that each method learns from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part of the data, in figures.

    Attributes:
        role: What it is for.
        source: Where its rows come from.
        kind: What the rows were taken for; None where none is of a known kind.
        figures: What was counted.
    """

    role: Role
    source: str
    kind: DataKind | None
    figures: Figures

    def describe(self) -> dict[str, Any]:
        """The same as JSON."""
        figures = self.figures
        described: dict[str, Any] = {"role": self.role, "source": self.source}
        described |= {"kind": None if self.kind is None else self.kind.value}
        described |= {"rows": figures.rows, "bytes": figures.bytes, "tokens": figures.tokens}
        return described


class Examination(Findings):
    """What was found in the parts of some data.

    Attributes:
        parts: The parts in figures.
    """

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[Part] = []


def examine(
    parts: Mapping[Role, Dataset],
    options: CheckOptions | None = None,
    *,
    on_progress: Progress | None = None,
) -> Examination:
    """Find every fault of all rows, and what they should not have in common.

    Args:
        parts: Training, validation and test data, as far as there are any.
        options: What they are held against; `role` is that of each part.
        on_progress: Called now and then; see `tunekit.data.progress`.

    Raises:
        DataError: A part cannot be read, or changed meanwhile, or the disk is full.
    """
    found = Examination()
    try:
        _examine(parts, options or CheckOptions(), found, on_progress)
    except BaseException as error:
        found.close()
        if isinstance(error, OSError):
            raise DataError(f"The data cannot be read to its end: {error.strerror}.") from error
        raise
    return found


def _examine(
    parts: Mapping[Role, Dataset],
    options: CheckOptions,
    found: Examination,
    on_progress: Progress | None,
) -> None:
    with ExitStack() as stack:
        noted: dict[Role, Noted] = {}
        passes: list[_Pass] = []
        for role, dataset in parts.items():
            index = stack.enter_context(
                LikenessIndex(options.duplicates and options.near_duplicates)
            )
            noted[role] = _noted(index, dataset)
            passes.append(_Pass(dataset, replace(options, role=role), noted[role], found))
            passes[-1].run(on_progress)
        for (base_role, base), (role, other) in combinations(noted.items(), 2):
            found.extend(leaked_rows(base, other, base_role=base_role, role=role))
        for one in passes:
            one.refuse_changes()
    if "train" in parts:
        found.extend(validation_is_given("validation" in parts, options))


def _noted(index: LikenessIndex, dataset: Dataset) -> Noted:
    reader = RowReader(dataset)
    return Noted(index, reader, lambda position: reader.at(position)[:2])


def expected_kind(dataset: Dataset, method: MethodName | None) -> DataKind | None:
    """What the rows are taken for: the kind of the first row that has one, None if none has."""
    for _, content in dataset.entries():
        kind = None if isinstance(content, Problem) else kind_of(content)
        if kind is not None:
            prompts = method == "reinforcement" and kind is DataKind.CHAT
            return DataKind.REINFORCEMENT if prompts else kind
    return None


class _Pass:
    """One pass over one part of the data."""

    def __init__(
        self, dataset: Dataset, options: CheckOptions, noted: Noted, found: Examination
    ) -> None:
        self._dataset = dataset
        self._source = dataset._source
        self._options = options
        self._noted = noted
        self._found = found
        self._stamp = _stamp(self._source)
        self._kind = expected_kind(dataset, options.method)
        self._lines = 0
        self._rows = 0
        self._image_rows = 0
        self._strange: dict[str, First] = {}
        self._unknown_keys: dict[str, First] = {}

    def run(self, on_progress: Progress | None) -> None:
        """Read everything and say all there is to say of this part alone."""
        for seen in self._stretches(on_progress):
            self._add(seen)
        self.refuse_changes()  # from here on, rows are found again by their positions
        self._report(right_kind(self._kind, self._options.method))
        self._report(rows_are_recognised(self._strange))
        self._report(keys_mean_something(self._unknown_keys))
        self._report(alike_rows(self._noted))
        tokens = self._lengths(on_progress)
        file = self._source.plain_file
        figures = Figures(
            rows=self._rows,
            bytes=None if file is None else file.stat().st_size,
            image_rows=self._image_rows,
            tokens=tokens,
        )
        self._report(check_bounds(figures, self._options))
        self._found.parts.append(
            Part(
                role=self._options.role,
                source=self._dataset.source,
                kind=self._kind,
                figures=figures,
            )
        )

    def refuse_changes(self) -> None:
        """Go on only if the file is still the one that was read.

        Raises:
            DataError: It is another one, or gone.
        """
        if _stamp(self._source) != self._stamp:
            raise DataError(
                f"The data file {self._dataset.source!r} changed while it was checked.",
                next_step="Check it again when nothing writes to it.",
            )

    def _stretches(self, on_progress: Progress | None) -> Iterator[Seen]:
        path = self._source.plain_file
        if path is not None:
            yield from scan_file(path, self._kind, self._options, on_progress)
            return
        scanner = Scanner(self._kind, self._options)
        for batch in _batches(self._source.located(), on_progress):
            scanner.located(batch)
            yield scanner.take()

    def _add(self, seen: Seen) -> None:
        """Add the next stretch. Its lines begin where the one before ended."""
        for problem in seen.problems:
            line = None if problem.line is None else self._lines + problem.line
            self._note(problem.model_copy(update={"line": line}))
        for known, new in (
            (self._strange, seen.strange),
            (self._unknown_keys, seen.unknown_keys),
        ):
            for key, (file, line, count) in new.items():
                if key not in known and len(known) >= KEY_SETS:
                    key = OTHER_KEYS
                first = known.get(key, (file, self._lines + line, 0))
                known[key] = *first[:2], first[2] + count
        positions = _moved(seen.positions, self._rows)
        sketches = bytes(seen.sketches)
        self._noted.index.add(positions, bytes(seen.digests), bytes(seen.prompts), sketches)
        self._lines += seen.lines
        self._rows += seen.rows
        self._image_rows += seen.image_rows

    def _lengths(self, on_progress: Progress | None) -> int | None:
        """Count tokens, and say how many there are."""
        if self._options.counter is None:
            return None
        check = LengthCheck(self._options)
        for batch in _batches(self._source.located(), on_progress):
            rows = [(file, line, row) for file, line, row in batch if isinstance(row, dict)]
            places = list(range(len(rows)))
            for place, problem in check.see(places, [row for _, _, row in rows]):
                file, line, _ = rows[place]
                self._note(problem.model_copy(update={"file": file, "line": line}))
        self._report(check.finish())
        return check.tokens

    def _report(self, problems: Iterable[Problem]) -> None:
        for problem in problems:
            self._note(problem)

    def _note(self, problem: Problem) -> None:
        place = {"file": problem.file or self._dataset.source, "path": problem.path or None}
        self._found.add(problem.model_copy(update=place))


def _stamp(source: Source) -> tuple[int, int] | None:
    """Size and time of the file that rows are read from, where there is just one."""
    path = source.plain_file
    if path is None:
        return None
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _moved(positions: array[int], by: int) -> array[int]:
    import numpy as np

    moved = array("Q")
    moved.frombytes((np.frombuffer(positions, np.uint64) + np.uint64(by)).tobytes())
    return moved


def _batches(rows: Iterable[Located], on_progress: Progress | None) -> Iterator[list[Located]]:
    rows, done = iter(rows), 0
    while batch := list(islice(rows, BATCH)):
        yield batch
        done += sum(not passed_over(content) for _, _, content in batch)
        if on_progress is not None:
            on_progress(done, None)
    if on_progress is not None:
        on_progress(done, done)


@rule("structure", errors=("wrong-kind-for-method",))
def right_kind(kind: DataKind | None, method: MethodName | None) -> Iterator[Problem]:
    """The rows are of a kind that the method learns from."""
    if method is None or kind is None or kind in NEEDED[method]:
        return
    needed = " or ".join(f"`{one}`" for one in NEEDED[method])
    message = f"The rows are of kind `{kind}`, and method `{method}` learns from {needed}."
    fix = "Name the method that fits the rows, or convert them with `tunekit convert`."
    yield error("wrong-kind-for-method", "", message, fix)


@rule("structure", errors=("unrecognised-structure",))
def rows_are_recognised(strange: Mapping[str, First]) -> Iterator[Problem]:
    """A row has the keys of one of the five kinds."""
    for keys, (file, line, count) in strange.items():
        message, fix = unknown_structure(keys)
        if count > 1:
            message += f" {'All' if len(strange) == 1 else 'In all,'} {count} rows are like this."
        problem = error("unrecognised-structure", "", message, fix)
        yield problem.model_copy(update={"file": file, "line": line})


@rule("structure", warnings=("unknown-row-key",))
def keys_mean_something(unknown: Mapping[str, First]) -> Iterator[Problem]:
    """A row has no other keys than those of its kind; only graders read others."""
    for key, (file, line, count) in unknown.items():
        rows = "1 row has" if count == 1 else f"{count} rows have"
        message = f"{rows} a key {key!r:.80}, which trains nothing."
        fix = "Remove it with `.map(fn)`, unless a grader reads it."
        problem = warning("unknown-row-key", "", message, fix)
        yield problem.model_copy(update={"file": file, "line": line})

"""What rows have in common: a user, a source, a language; said by a place in the row."""

from __future__ import annotations

import json
import re
from array import array
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from tunekit.data.encoding import RowError, printable
from tunekit.data.records import Row, key_names
from tunekit.data.sources import Located, fault, passed_over
from tunekit.errors import DataError
from tunekit.problems import Problem

Key = str | Callable[[Row], Hashable]
"""A place in a row, such as `user_id`, `metadata.user` or `messages[0].content`, or a function that
gives a row's value."""

LISTED: Final = 100
"""How many rows without a value are listed one by one."""

# Possessive: a long name before a mistake must not be tried in pieces, which takes for ever.
_STEP: Final = re.compile(r"\.?([^.\[\]]++)|\[(\d+)\]")


@dataclass(frozen=True)
class KeyPath:
    """Reads the value at a place of a row.

    The place is written like the `path` of a problem. A top-level key that is spelt like the whole
    path, as a column of a table may be, comes first.
    """

    path: str
    _steps: tuple[str | int, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not re.fullmatch(rf"(?:{_STEP.pattern})+", self.path) or self.path.startswith("."):
            raise DataError(
                f"{self.path!r} names no place in a row.",
                next_step="Write a key, or a path such as `metadata.user` or `messages[0].role`.",
            )
        steps = tuple(m[1] or int(m[2]) for m in _STEP.finditer(self.path))
        object.__setattr__(self, "_steps", steps)

    def __call__(self, row: Row) -> str | bytes:
        """Give a string as it is, and any other value as the bytes of its JSON.

        Raises:
            RowError: There is nothing, or null.
        """
        value: Any = row.get(self.path)
        if value is None:
            value = row
            for step in self._steps:
                value = _child(value, step)
        if value is None:
            raise RowError(
                "missing-key",
                f"The row has no value at `{self.path}`; its keys are {key_names(row)}.",
                "Give it one, leave such rows out with `.filter(fn)`, or pass a function.",
            )
        if isinstance(value, str):
            return value
        return json.dumps(value, sort_keys=True).encode()


def _child(value: Any, step: str | int) -> Any:
    if isinstance(step, int):
        return value[step] if isinstance(value, list) and step < len(value) else None
    return value.get(step) if isinstance(value, dict) else None


def key_function(key: Key) -> Callable[[Row], Hashable]:
    """Make a function of a key.

    Raises:
        DataError: It is a text that names no place, or no key at all.
    """
    if isinstance(key, str):
        return KeyPath(key)
    if not callable(key):
        raise DataError(f"A key is a place in a row or a function, not {key!r}.")
    return key


@dataclass(frozen=True, slots=True)
class Classes:
    """Rows with equal values, numbered by their first row. The values themselves play no part.

    Attributes:
        of_row: The class of each row; 4 bytes a row.
        rows: How many rows each class has; 8 bytes a class.
    """

    of_row: array[int]
    rows: array[int]


def classes(rows: Iterable[Located], key: Key, option: str) -> Classes:
    """Find which rows have equal values, in one pass.

    Args:
        rows: All rows in order.
        key: Where the value is.
        option: What the key was given as, for messages.

    Raises:
        DataError: Rows cannot be read or have no value; it lists the first hundred of them.
    """
    value_of = key_function(key)
    numbers: dict[Hashable, int] = {}
    of_row, counts = array("I"), array("Q")
    problems: list[Problem] = []
    faulty = 0
    for file, line, row in rows:
        if passed_over(row):
            continue
        found = row if isinstance(row, Problem) else _number(row, value_of, numbers)
        if isinstance(found, int):
            of_row.append(found)
            if found == len(counts):
                counts.append(0)
            counts[found] += 1
        else:
            faulty += 1
            if len(problems) < LISTED:
                problems.append(found if isinstance(found, Problem) else fault(found, file, line))
    if faulty:
        raise DataError(
            f"{faulty:,} row{' has' if faulty == 1 else 's have'} no value for `{option}`.\n"
            f"{problems[0]}",
            problems=problems,
        )
    return Classes(of_row, counts)


def _number(
    row: Row, value_of: Callable[[Row], Hashable], numbers: dict[Hashable, int]
) -> int | RowError:
    try:
        return numbers.setdefault(value_of(row), len(numbers))
    except RowError as error:
        return error
    except Exception as error:  # whatever the user's function raises belongs to this line
        return RowError(
            "key-failed",
            printable(f"The function that gives the key raised {type(error).__name__}: {error}."),
            "Mend the function or the row; the key must be hashable.",
        )

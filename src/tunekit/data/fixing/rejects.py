"""Rows that could not be mended, kept where they can be found again."""

from __future__ import annotations

import base64
import json
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tunekit.problems import Problem


class Rejects:
    """A file with a line for each rejected row: where it stood, why, and its bytes.

    `original` holds the bytes as text; `original_base64` stands in its place where they are not
    UTF-8. Rows whose faults show only once the copy is whole come last.

    Attributes:
        rows: How many there are.
        reasons: How many rows have a fault of each code.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.rows = 0
        self.reasons: Counter[str] = Counter()
        self._file = path.open("wb")

    def add(self, line: int, problems: Sequence[Problem], original: bytes) -> None:
        """Write down one row."""
        self.rows += 1
        self.reasons.update({problem.code for problem in problems})
        reasons = [
            {"code": problem.code, "message": problem.message, "path": problem.path}
            for problem in problems
        ]
        entry: dict[str, Any] = {"line": line, "reasons": reasons}
        try:
            entry["original"] = original.decode()
        except UnicodeDecodeError:
            entry["original_base64"] = base64.b64encode(original).decode()
        self._file.write(json.dumps(entry, ensure_ascii=False).encode() + b"\n")

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def place(self, target: Path) -> Path | None:
        """Put the file in its place; None when there was nothing to keep.

        An older file of the name is replaced in any case, so that it is not taken for this one's.
        """
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        if self.rows or target.exists():
            self._path.replace(target)
        return target if self.rows else None

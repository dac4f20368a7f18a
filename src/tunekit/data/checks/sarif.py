"""Problems as results of SARIF 2.1.0, one JSON object a line, for CI systems that read it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePath
from typing import Any
from urllib.parse import quote

from tunekit.problems import Problem


def result(problem: Problem) -> dict[str, Any]:
    """Write a problem as a `result` object of SARIF 2.1.0 (OASIS standard of 2020-03-27, 3.27).

    The rule's code is `ruleId`, the severity `level`. The file and line are the physical location,
    the place within the row is a logical one. Where nothing is known of the place, there is none.
    """
    text = f"{problem.message} {problem.fix}" if problem.fix else problem.message
    found: dict[str, Any] = {
        "ruleId": problem.code,
        "level": problem.severity.value,
        "message": {"text": text},
    }
    place: dict[str, Any] = {}
    if problem.file is not None:
        place["physicalLocation"] = {"artifactLocation": {"uri": _uri(problem.file)}}
        if problem.line is not None:
            place["physicalLocation"]["region"] = {"startLine": problem.line}
    if problem.path is not None:
        place["logicalLocations"] = [{"fullyQualifiedName": problem.path}]
    if place:
        found["locations"] = [place]
    return found


def _uri(file: str) -> str:
    """A relative path stays relative, so that CI finds it in the repository."""
    if Path(file).is_absolute():
        return Path(file).as_uri()
    return quote(PurePath(file).as_posix())


def lines(problems: Iterable[Problem]) -> Iterator[str]:
    """Write each problem as one line of JSON, without the line end."""
    for problem in problems:
        yield json.dumps(result(problem))

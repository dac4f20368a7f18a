"""The register's entries for faults that are found while a file is read, before any rule runs."""

from __future__ import annotations

from tunekit.data.checks.catalogue import RULES, Rule


def _found_while_reading(about: str, *errors: str, warnings: tuple[str, ...] = ()) -> None:
    RULES.append(Rule("file", about, errors, warnings))


_found_while_reading("A file is UTF-8, with or without a byte-order mark.", "bad-utf8")
_found_while_reading(
    "Each line is one JSON object by RFC 8259: no `NaN`, nothing after it, no array around it.",
    "invalid-json",
    "not-an-object",
)
_found_while_reading("A row is nested at most 200 levels deep.", "too-deep")
_found_while_reading("No line is empty; empty ones are passed over.", warnings=("empty-line",))
_found_while_reading(
    "A CSV file names each column once, and each record has as many fields as there are names.",
    "bad-csv",
    "csv-header",
    "csv-field-count",
)
_found_while_reading(
    "A row of another format has what that format asks for, in a shape that can be carried over.",
    "unlike-format",
    "bad-format-value",
    "unknown-speaker",
    "two-systems",
    "answer-without-call",
    "unpaired-preference",
    "stepwise-supervision",
    "no-common-prompt",
    "unlike-pair",
    "unmapped-columns",
    "missing-column",
)
_found_while_reading(
    "A function given to `map` or `filter` gives what it should, and raises nothing.",
    "map-failed",
    "filter-failed",
    "not-json",
)

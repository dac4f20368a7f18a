"""The register's entries for faults that are found while a file is read, before any rule runs."""

from __future__ import annotations

from tunekit.data.checks.catalogue import RULES, Rule

RULES += [
    Rule("file", "A file is UTF-8, with or without a byte-order mark.", ("bad-utf8",), ()),
    Rule(
        "file",
        "Each line is one JSON object by RFC 8259: no `NaN`, nothing after it, no array around it.",
        ("invalid-json", "not-an-object"),
        (),
    ),
    Rule("file", "A row is nested at most 200 levels deep.", ("too-deep",), ()),
    Rule("file", "No line is empty; empty ones are passed over.", (), ("empty-line",)),
    Rule(
        "file",
        "A CSV file names each column once, and each record has as many fields as there are names.",
        ("bad-csv", "csv-header", "csv-field-count"),
        (),
    ),
    Rule(
        "file",
        "A row of another format has what that format asks for, and all of it can be carried over.",
        (
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
            "unheld-row",
            "unconvertible-row",
            "other-columns",
        ),
        (),
    ),
    Rule(
        "file",
        "A function given to `map` or `filter` gives a row of JSON values and raises nothing.",
        ("map-failed", "filter-failed", "not-json"),
        (),
    ),
]

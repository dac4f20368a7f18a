"""One pass finds every planted fault at its line and place, and nothing on good lines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from helpers import planted_faults
from helpers.planted import FILES, Place, PlantedFile, planted_file
from helpers.planted_rows import answer, as_line, chat, user, words
from tunekit.data import Dataset
from tunekit.data.checks.alike import Role, check_leakage
from tunekit.data.checks.bounds import validation_is_given
from tunekit.data.checks.catalogue import all_rules
from tunekit.data.checks.options import CheckOptions
from tunekit.data.fixing import fix_file
from tunekit.data.limits import DataLimits
from tunekit.problems import Problem, Severity


def places(problems: list[Problem]) -> set[Place]:
    return {(problem.line, problem.code, problem.path) for problem in problems}


@pytest.mark.parametrize("name", FILES)
def test_every_planted_fault_is_found_at_its_place_and_nothing_else(
    name: str, tmp_path: Path
) -> None:
    planted = planted_file(name, tmp_path)
    problems = planted.check()
    assert places(problems) == planted.expected
    assert len(problems) == len(planted.expected)
    assert {problem.file for problem in problems} <= {str(planted.path)}


def test_the_file_of_conversations_has_more_than_fifty_kinds_of_fault(tmp_path: Path) -> None:
    planted = planted_file("chat.jsonl", tmp_path)
    assert len(set(planted.faults)) == len(planted.faults) > 50
    assert len({code for _, code, _ in planted.expected}) >= 50


def test_several_processes_find_the_same(tmp_path: Path) -> None:
    planted = planted_file("chat.jsonl", tmp_path, processes=2)
    assert places(planted.check()) == planted.expected


PARTS: list[tuple[Role, Role]] = [
    ("train", "validation"),
    ("train", "test"),
    ("validation", "test"),
]


def leaks(base_role: Role, role: Role, folder: Path) -> list[Problem]:
    """Check a part of the data whose third row is in the other part, and whose fifth nearly is."""
    words.restart()
    base = [chat(user(), answer(words(40))) for _ in range(8)]
    other = [chat(user(), answer(words(40))) for _ in range(8)]
    other[2] = base[6]
    near = base[1]["messages"][1]["content"]
    other[4] = chat(base[1]["messages"][0], answer(f"{near} ba"))
    files = folder / f"{base_role}.jsonl", folder / f"{role}.jsonl"
    for file, rows in zip(files, (base, other), strict=True):
        file.write_bytes(b"\n".join(map(as_line, rows)))
    parts = map(Dataset.from_jsonl, files)
    return check_leakage(*parts, train_role=base_role, role=role)


@pytest.mark.parametrize(("base_role", "role"), PARTS)
def test_rows_of_one_part_are_found_in_another(base_role: Role, role: Role, tmp_path: Path) -> None:
    assert places(leaks(base_role, role, tmp_path)) == {
        (3, f"{role}-row-in-{base_role}", None),
        (5, f"{role}-row-near-{base_role}", None),
    }


def test_every_rule_of_the_register_is_seen_at_work(tmp_path: Path) -> None:
    seen = {
        (problem.code, problem.severity)
        for name in FILES
        for problem in planted_file(name, tmp_path).check()
    }
    leaked = [problem for parts in PARTS for problem in leaks(*parts, tmp_path)]
    foreign = of_other_formats(tmp_path)
    seen |= {(one.code, one.severity) for one in (*without_a_file(), *leaked, *foreign)}
    registered = {
        (code, severity)
        for one in all_rules()
        for severity, codes in ((Severity.ERROR, one.errors), (Severity.WARNING, one.warnings))
        for code in codes
    }
    assert registered == seen


def without_a_file() -> list[Problem]:
    """Faults that no file has: of values, of functions, and of what is not there at all."""

    def fail(row: object) -> list[object]:
        raise ValueError(row)

    strange = Dataset.from_records([{"text": {1, 2}}])
    rows = Dataset.from_records([{"text": "a"}])
    return [
        *strange.check(),
        *rows.map(fail).check(),
        *rows.filter(fail).check(),
        *validation_is_given(False, CheckOptions(limits=DataLimits(validation_required=True))),
    ]


TALK = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}]
FOREIGN: list[tuple[str, dict[str, Any]]] = [
    ("sharegpt", {"turns": []}),
    ("sharegpt", {"conversations": [{"from": "human", "value": 3}]}),
    ("sharegpt", {"conversations": [{"from": "alien", "value": "Hi"}]}),
    ("sharegpt", {"system": "a", "conversations": [{"from": "system", "value": "b"}]}),
    ("sharegpt", {"conversations": [{"from": "observation", "value": "12"}]}),
    ("trl", {"prompt": "a", "completion": "b", "label": True}),
    ("trl", {"prompt": "a", "completions": ["b"], "labels": [True]}),
    ("trl", {"chosen": TALK, "rejected": [{"role": "user", "content": "No"}, TALK[1]]}),
    ("autotrain", {"text": TALK, "rejected_text": "Ho"}),
]
"""Rows that their own format, or ours, has no place for; each breaks another rule."""


def of_other_formats(folder: Path) -> list[Problem]:
    """Faults of rows in other formats and of tables."""
    found = []
    for number, (name, row) in enumerate(FOREIGN):
        path = folder / f"foreign-{number}.jsonl"
        path.write_text(json.dumps(row) + "\n", encoding="utf-8")
        found += Dataset.read(path, format=name).check()
    table = folder / "table.csv"
    table.write_text("question,answer\n2+2?,4\n", encoding="utf-8")
    found += Dataset.read(table, format="csv").check()
    found += Dataset.read(table, columns={"text": "{title}"}).check()
    return found


WHOLE = {
    "no-rows", "too-few-rows", "too-many-rows", "file-too-large", "too-many-image-rows",
    "job-too-large", "wrong-kind-for-method",
}  # fmt: skip


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith(".jsonl")])
def test_a_mended_copy_of_a_bad_file_has_no_faulty_row(name: str, tmp_path: Path) -> None:
    planted = planted_file(name, tmp_path)
    report = fix_file(planted.path, tmp_path / "fixed.jsonl", options=planted.options)
    copy = PlantedFile(report.copy, options=planted.options)
    errors = [one for one in copy.check() if one.severity is Severity.ERROR]
    # What is wrong with a file as a whole can be mended by nobody but its owner.
    assert {one.code for one in errors} <= WHOLE
    assert [one.line for one in errors if one.line is not None] == []
    again = fix_file(report.copy, tmp_path / "again.jsonl", options=planted.options)
    assert not again.changed
    assert again.copy.read_bytes() == report.copy.read_bytes()


def test_fixing_the_bad_file_keeps_every_good_row(tmp_path: Path) -> None:
    planted = planted_file("chat.jsonl", tmp_path)
    report = fix_file(planted.path, tmp_path / "fixed.jsonl")
    faulty = {line for line, _, _ in planted.expected}
    good = [
        line.rstrip(b"\r")
        for number, line in enumerate(planted.path.read_bytes().splitlines(), start=1)
        if number not in faulty
    ]
    copied = set(report.copy.read_bytes().splitlines())
    assert [line for line in good if line not in copied] == []
    assert len(good) < report.rows_written < len(good) + len(planted_faults.CHAT)

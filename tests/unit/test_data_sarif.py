"""Problems as lines that a CI system reads."""

from __future__ import annotations

import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tunekit.data import Dataset
from tunekit.data.checks import sarif
from tunekit.problems import Problem, Severity


def test_a_problem_of_a_row_has_rule_level_text_file_line_and_path() -> None:
    problem = Problem(
        code="unknown-role",
        message="The role is 'bot'.",
        fix="Use one of the six.",
        file="data/my rows.jsonl",
        line=7,
        path="messages[0].role",
    )
    assert sarif.result(problem) == {
        "ruleId": "unknown-role",
        "level": "error",
        "message": {"text": "The role is 'bot'. Use one of the six."},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": "data/my%20rows.jsonl"},
                    "region": {"startLine": 7},
                },
                "logicalLocations": [{"fullyQualifiedName": "messages[0].role"}],
            }
        ],
    }


def test_what_is_not_known_is_left_out() -> None:
    problem = Problem(code="few-rows", message="Few.", severity=Severity.WARNING)
    assert sarif.result(problem) == {
        "ruleId": "few-rows",
        "level": "warning",
        "message": {"text": "Few."},
    }
    (place,) = sarif.result(problem.model_copy(update={"file": "a.jsonl"}))["locations"]
    assert place == {"physicalLocation": {"artifactLocation": {"uri": "a.jsonl"}}}


def test_an_absolute_path_becomes_a_file_uri(tmp_path: Path) -> None:
    path = tmp_path / "rows with blanks.jsonl"
    path.write_text('{"text": ""}\n')
    uris = {
        place["physicalLocation"]["artifactLocation"]["uri"]
        for problem in Dataset.from_jsonl(path).check()
        for place in sarif.result(problem)["locations"]
    }
    assert uris == {path.as_uri()}


@given(
    st.lists(
        st.builds(
            Problem,
            code=st.sampled_from(["a-b", "c"]),
            message=st.text(st.characters(codec="utf-8")),
            severity=st.sampled_from(Severity),
            file=st.none() | st.text(st.characters(codec="utf-8", exclude_characters="\0")),
            line=st.none() | st.integers(1, 10**9),
            path=st.none() | st.text(st.characters(codec="utf-8")),
        )
    )
)
def test_every_problem_becomes_one_line_of_json(problems: list[Problem]) -> None:
    written = list(sarif.lines(problems))
    assert not any("\n" in line for line in written)
    assert [json.loads(line) for line in written] == [sarif.result(one) for one in problems]
    assert [json.loads(line)["ruleId"] for line in written] == [one.code for one in problems]

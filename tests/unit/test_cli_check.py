"""`tunekit check` shows every fault of data files: few for people, all for programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cli_support import ROWS, World, write_rows

from helpers.vocabularies import vocabularies
from tunekit.cli.exits import Exit

__all__ = ["vocabularies"]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


def errors(document: dict[str, Any]) -> list[tuple[str, int | None, str]]:
    return [
        (Path(problem["file"]).name, problem["line"], problem["code"])
        for problem in document["problems"]
        if problem["severity"] == "error"
    ]


def test_data_files_need_no_provider_and_every_fault_of_all_is_listed(world: World) -> None:
    bad = write_rows(world.folder / "bad.jsonl", [{"messages": []}, *ROWS[:3], {"x": 1}])
    done = world.call("check", str(world.data), str(bad), "--json")
    assert done.exit_code == Exit.REFUSED
    document = json.loads(done.stdout)
    assert errors(document) == [
        ("bad.jsonl", 1, "empty-messages"),
        ("bad.jsonl", 5, "unrecognised-structure"),
    ]
    assert [(file["role"], file["rows"]) for file in document["files"]] == [
        ("train", 40),
        ("validation", 5),
    ]


def test_rows_that_leak_from_one_file_into_another_are_named(world: World) -> None:
    write_rows(world.folder / "test.jsonl", [ROWS[7]])
    done = world.call("check", "data.jsonl", "data.jsonl", "test.jsonl", "--json")
    assert done.exit_code == Exit.DONE
    codes = {problem["code"] for problem in json.loads(done.stdout)["problems"]}
    assert {"validation-row-in-train", "test-row-in-train", "test-row-in-validation"} <= codes


def test_people_see_the_first_of_each_rule_and_the_lines_of_the_others(world: World) -> None:
    write_rows(world.folder / "bad.jsonl", [{"messages": []}] * 30)
    short = world.call("check", "bad.jsonl")
    assert short.stdout.count("✗") == 3
    assert "and 27 more of this kind, on lines 4, 5, 6, 7, 8, 9, 10, 11 …" in short.stdout
    assert world.call("check", "bad.jsonl", "--all").stdout.count("✗") == 30
    assert max(map(len, short.stdout.splitlines())) <= 80


def test_json_holds_every_problem_however_many(world: World) -> None:
    write_rows(world.folder / "bad.jsonl", [{"messages": [], "n": n} for n in range(10_050)])
    document = json.loads(world.call("check", "bad.jsonl", "--json").stdout)
    assert len(errors(document)) == 10_050


def test_sarif_is_one_result_a_line_and_nothing_else(world: World) -> None:
    write_rows(world.folder / "bad.jsonl", [{"messages": []}] * 12)
    done = world.call("check", "bad.jsonl", "--sarif")
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert [result["ruleId"] for result in results].count("empty-messages") == 12
    region = results[3]["locations"][0]["physicalLocation"]["region"]
    assert region == {"startLine": 4}
    assert "Not ready" in done.stderr


def test_json_and_sarif_do_not_go_together(world: World) -> None:
    assert world.call("check", "data.jsonl", "--sarif", "--json").exit_code == Exit.USAGE


def test_the_published_limits_of_a_service_need_no_account(
    world: World, vocabularies: Path
) -> None:
    write_rows(world.folder / "few.jsonl", ROWS[:9])
    words = ("check", "few.jsonl", "--provider", "openai", "--model", "gpt-4.1-mini-2025-04-14")
    document = json.loads(world.call(*words, "--json").stdout)
    assert "too-few-rows" in [code for _, _, code in errors(document)]
    assert document["files"][0]["tokens"] > 9


def test_a_method_that_learns_from_other_rows_is_refused(world: World) -> None:
    document = json.loads(
        world.call(
            "check", "data.jsonl", "--provider", "openai", "--method", "dpo", "--json"
        ).stdout
    )
    assert errors(document) == [("data.jsonl", None, "wrong-kind-for-method")]


def test_rows_that_are_too_long_are_refused_or_said_to_be_cut(
    world: World, vocabularies: Path
) -> None:
    long = {"messages": [ROWS[0]["messages"][0], {"role": "assistant", "content": "yes " * 70_000}]}
    write_rows(world.folder / "long.jsonl", [*ROWS, long])
    words = ("check", "long.jsonl", "--provider", "azure", "--model", "gpt-4o-mini-2024-07-18")
    refused = json.loads(world.call(*words, "--json").stdout)
    assert errors(refused) == [("long.jsonl", 41, "row-too-long")]
    accepted = json.loads(world.call(*words, "--over-length", "truncate", "--json").stdout)
    assert accepted["ok"]
    assert "row-too-long" in [problem["code"] for problem in accepted["problems"]]


def test_without_a_vocabulary_one_warning_says_that_lengths_were_not_checked(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TIKTOKEN_CACHE_DIR", "DATA_GYM_CACHE_DIR"):
        monkeypatch.setenv(name, str(world.folder / "empty"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(world.folder / "cache"))
    monkeypatch.setenv("TUNEKIT_OFFLINE", "1")
    words = ("check", "data.jsonl", "--provider", "openai", "--model", "gpt-4o-mini-2024-07-18")
    document = json.loads(world.call(*words, "--json").stdout)
    assert document["ok"]
    assert "tokens-not-counted" in [problem["code"] for problem in document["problems"]]


def test_a_wrong_word_for_a_policy_is_refused_with_the_right_ones(world: World) -> None:
    done = world.call("check", "data.jsonl", "--over-length", "cut")
    assert done.exit_code == Exit.USAGE
    assert "truncate" in done.stderr


def test_an_unknown_service_is_refused_by_name(world: World) -> None:
    done = world.call("check", "data.jsonl", "--provider", "opanai")
    assert done.exit_code == Exit.REFUSED
    assert "opanai" in done.stderr


def test_files_with_a_model_and_a_provider_are_a_whole_request(world: World) -> None:
    done = world.fake_call("check", "data.jsonl", "--model", "base", "--json")
    assert json.loads(done.stdout)["files"][0]["rows"] == 40


def test_fix_writes_a_mended_copy_and_checks_that(world: World) -> None:
    rows = [*ROWS, {"messages": [{"role": "Human", "content": "Hi"}, *ROWS[0]["messages"][1:]]}]
    path = write_rows(world.folder / "bad.jsonl", [*rows, {"x": 1}])
    before = path.read_bytes()
    done = world.call("check", "bad.jsonl", "--fix", "--json")
    assert done.exit_code == Exit.DONE
    document = json.loads(done.stdout)
    (fixed,) = document["fixed"]
    assert (fixed["rows_read"], fixed["rows_written"], fixed["rows_rejected"]) == (42, 41, 1)
    assert document["files"][0]["source"] == "bad.fixed.jsonl"
    assert path.read_bytes() == before
    assert (world.folder / "bad.fixed.rejected.jsonl").is_file()
    said = world.call("check", "bad.jsonl", "--fix").stdout
    assert "41 rows of 42 written" in said


def test_fix_is_for_data_files_only(world: World) -> None:
    done = world.call("check", "data.jsonl", "--model", "m", "--provider", "fake", "--fix")
    assert done.exit_code == Exit.USAGE


@pytest.mark.parametrize("flag", ["--no-near", "--over-length=drop", "--processes=2"])
def test_options_of_data_files_are_not_dropped_silently_for_a_request(
    world: World, flag: str
) -> None:
    words = ("check", "data.jsonl", "--model", "base", "--provider", "fake", flag)
    assert world.call(*words).exit_code == Exit.USAGE


@pytest.mark.parametrize(
    "words",
    [
        ("--validation", "data.jsonl"),
        ("--train", "data.jsonl"),
        ("--suffix", "x"),
        ("--epochs", "\u00b2"),
        ("--epochs", "many"),
    ],
)
def test_options_that_data_files_have_no_use_for_are_refused(
    world: World, words: tuple[str, str]
) -> None:
    assert world.call("check", "data.jsonl", *words).exit_code == Exit.USAGE


def test_more_than_three_files_are_refused(world: World) -> None:
    assert world.call("check", *["data.jsonl"] * 4).exit_code == Exit.USAGE


def test_a_provider_that_must_be_asked_needs_a_model(world: World) -> None:
    assert world.call("check", "data.jsonl", "--provider", "trl").exit_code == Exit.USAGE
    assert world.call("check", "data.jsonl", "--profile", "nowhere").exit_code == Exit.USAGE


def test_two_files_are_not_fixed_into_one(world: World) -> None:
    write_rows(world.folder / "data.json")
    assert world.call("check", "data.jsonl", "data.json", "--fix").exit_code == Exit.USAGE
    assert not (world.folder / "data.fixed.jsonl").exists()

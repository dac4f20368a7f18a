"""`tunekit convert`, run as people run it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cli_support import ROWS, World, write_rows
from typer.testing import CliRunner, Result

from tunekit.cli.app import app
from tunekit.cli.exits import Exit
from tunekit.data.formats import read


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


def call(*words: str, code: int = 0) -> Result:
    done = CliRunner().invoke(app, ["convert", *words], catch_exceptions=False)
    assert done.exit_code == code, (done.exit_code, done.stdout, done.stderr)
    return done


def test_rows_are_converted_and_counted(world: World) -> None:
    done = call("data.jsonl", "out.jsonl", "--to", "sharegpt")
    assert "Wrote 40 rows to out.jsonl: sharegpt," in done.stdout
    first = json.loads((world.folder / "out.jsonl").read_text().splitlines()[0])
    assert first["conversations"][0] == {"from": "human", "value": "What is 0 + 0?"}
    call("out.jsonl", "back.jsonl")
    assert (world.folder / "back.jsonl").read_bytes() == _compact(ROWS)


def _compact(rows: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows).encode()


@pytest.mark.parametrize("name", ["csv", "tsv", "parquet"])
def test_the_ending_of_the_target_chooses_a_table(world: World, name: str) -> None:
    done = call("data.jsonl", f"out.{name}")
    assert f"{name}, " in done.stdout
    assert list(read(world.folder / f"out.{name}")) == ROWS


def test_columns_become_messages(world: World) -> None:
    (world.folder / "a.csv").write_text("q;a\n2+2?;4\n")
    done = call(
        *("a.csv", "out.jsonl", "--delimiter", ";"),
        *("--column", "user={q}", "--column", "assistant={a}", "--column", "system=Add."),
    )
    assert "Wrote 1 row to out.jsonl: openai," in done.stdout
    (row,) = read(world.folder / "out.jsonl")
    assert [message["content"] for message in row["messages"]] == ["Add.", "2+2?", "4"]


def test_columns_that_say_nothing_ask_for_a_mapping(world: World) -> None:
    (world.folder / "a.csv").write_text("q,a\n2+2?,4\n")
    done = call("a.csv", "out.jsonl", code=Exit.REFUSED)
    assert "--column" in " ".join(done.stderr.split())
    assert not (world.folder / "out.jsonl").exists()


WEIGHTED: list[dict[str, Any]] = [
    {"messages": [*ROWS[0]["messages"][:1], {**ROWS[0]["messages"][1], "weight": 0}]},
    {"messages": [{"role": "developer", "content": "Be brief."}, *ROWS[1]["messages"]]},
    {"messages": [*ROWS[2]["messages"][:1], {**ROWS[2]["messages"][1], "weight": 0}]},
]


def test_what_would_be_lost_is_listed_and_nothing_is_written(world: World) -> None:
    write_rows(world.folder / "a.jsonl", WEIGHTED)
    done = call("a.jsonl", "out.jsonl", "--to", "sharegpt", code=Exit.REFUSED)
    assert "a.jsonl:1 messages[1].weight  [lost-weight]" in done.stderr
    assert "a.jsonl:3 messages[1].weight  [lost-weight]" in done.stderr
    assert "--allow-loss" in done.stderr
    assert not (world.folder / "out.jsonl").exists()


def test_accepted_losses_are_grouped(world: World) -> None:
    write_rows(world.folder / "a.jsonl", WEIGHTED)
    done = call("a.jsonl", "out.jsonl", "--to", "sharegpt", "--allow-loss")
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["lost-weight", "2", "first", "at", "line", "1", "messages[1].weight"] in lines
    assert ["lost-developer-role", "1", "first", "at", "line", "2", "messages[0].role"] in lines


def test_a_program_gets_a_document(world: World) -> None:
    write_rows(world.folder / "a.jsonl", WEIGHTED)
    done = call("a.jsonl", "out.jsonl", "--to", "sharegpt", "--allow-loss", "--json")
    said = json.loads(done.stdout)
    assert (said["from"], said["to"], said["rows"]) == ("openai", "sharegpt", 3)
    assert said["bytes"] == (world.folder / "out.jsonl").stat().st_size
    assert [(one["code"], one["count"]) for one in said["losses"]] == [
        ("lost-weight", 2),
        ("lost-developer-role", 1),
    ]
    refused = call("a.jsonl", "no.jsonl", "--to", "sharegpt", "--json", code=Exit.REFUSED)
    problems = json.loads(refused.stdout)["error"]["problems"]
    assert [problem["line"] for problem in problems] == [1, 2, 3]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["no.jsonl", "out.jsonl"], "does not exist"),
        (["data.jsonl", "out.jsonl", "--to", "tlr"], "Did you mean 'trl'"),
        (["data.jsonl", "out.jsonl", "--from", "cvs"], "Did you mean 'csv'"),
        (["data.jsonl", "out.csv", "--to", "trl"], "would not be read"),
        (["data.jsonl", "out.jsonl", "--column", "usr={a}"], "columns.usr"),
    ],
)
def test_wrong_words_are_refused_with_what_to_do(world: World, words: list[str], said: str) -> None:
    assert said in " ".join(call(*words, code=Exit.REFUSED).stderr.split())


def test_a_pair_without_equals_sign_is_wrong_usage(world: World) -> None:
    call("data.jsonl", "out.jsonl", "--column", "user", code=Exit.USAGE)

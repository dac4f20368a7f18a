from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from cli_support import ROWS, World, write_rows
from rich.console import Console

from tunekit.cli.exits import Exit
from tunekit.cli.progress_bar import progress_bar
from tunekit.data import Dataset


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


def read(path: Path) -> list[dict[str, Any]]:
    return list(Dataset.from_jsonl(path))


def files(world: World) -> list[str]:
    return sorted(path.name for path in world.folder.iterdir() if path.is_file())


def grouped(world: World, sizes: list[int], name: str = "users.jsonl") -> Path:
    rows = [
        {"text": f"{user}-{n}", "user": f"user {user}"}
        for user, size in enumerate(sizes)
        for n in range(size)
    ]
    return write_rows(world.folder / name, rows)


def test_the_parts_are_those_of_the_library_and_lie_beside_the_file(world: World) -> None:
    done = world.call("split", "data.jsonl", "0.8", "0.1", "0.1", "--seed", "3")
    assert done.exit_code == 0
    assert done.stderr == ""
    assert "data.jsonl: 40 rows, seed 3" in done.stdout
    assert "train       32 rows  80.0%  data.train.jsonl" in done.stdout
    parts = Dataset.from_jsonl("data.jsonl").split(0.8, 0.1, 0.1, seed=3)
    for name, part in zip(("train", "validation", "test"), parts, strict=True):
        assert read(world.folder / f"data.{name}.jsonl") == list(part)
    assert files(world) == [
        "data.jsonl",
        "data.test.jsonl",
        "data.train.jsonl",
        "data.validation.jsonl",
    ]


def test_parts_get_the_names_and_the_folder_that_are_asked_for(world: World) -> None:
    words = ["--names", "fit,hold-out", "--to", "new/parts"]
    done = world.call("split", "data.jsonl", "30", "10", *words)
    assert done.exit_code == 0
    sizes = {p.name: len(read(p)) for p in (world.folder / "new" / "parts").iterdir()}
    assert sizes == {"data.fit.jsonl": 30, "data.hold-out.jsonl": 10}


def test_more_than_three_parts_are_numbered(world: World) -> None:
    assert world.call("split", "data.jsonl", "10", "10", "10", "10").exit_code == 0
    assert files(world) == ["data.jsonl", *(f"data.part{n}.jsonl" for n in range(1, 5))]


def test_a_csv_file_is_split_into_json_lines(world: World) -> None:
    (world.folder / "t.csv").write_text("text\na\nb\n", encoding="utf-8")
    assert world.call("split", "t.csv", "1", "1").exit_code == 0
    both = read(world.folder / "t.train.jsonl") + read(world.folder / "t.validation.jsonl")
    assert sorted(row["text"] for row in both) == ["a", "b"]


def test_nothing_is_overwritten_unless_it_is_asked_for(world: World) -> None:
    old = world.folder / "data.validation.jsonl"
    old.write_text("mine\n")
    done = world.call("split", "data.jsonl", "0.5", "0.5")
    assert done.exit_code == Exit.REFUSED
    assert "There is already 'data.validation.jsonl'." in done.stderr
    assert "--force" in done.stderr
    assert (old.read_text(), files(world)) == ("mine\n", ["data.jsonl", old.name])
    assert world.call("split", "data.jsonl", "0.5", "0.5", "--force").exit_code == 0
    assert len(read(old)) == 20


def test_a_faulty_row_leaves_no_part_behind(world: World) -> None:
    path = write_rows(world.folder / "bad.jsonl")
    path.write_text(path.read_text() + "broken\n")
    done = world.call("split", "bad.jsonl", "0.9", "0.1")
    assert done.exit_code == Exit.REFUSED
    assert "bad.jsonl:41" in done.stderr
    assert "tunekit check" in done.stderr
    assert [
        path.name for path in world.folder.iterdir() if path.name.startswith((".", "bad."))
    ] == ["bad.jsonl"]


def test_a_folder_in_the_place_of_a_part_is_left_alone(world: World) -> None:
    (world.folder / "data.validation.jsonl").mkdir()
    done = world.call("split", "data.jsonl", "0.5", "0.5", "--force")
    assert done.exit_code == Exit.REFUSED
    assert "'data.validation.jsonl' is a folder" in done.stderr
    assert files(world) == ["data.jsonl"]


def test_an_interrupted_split_leaves_nothing_behind(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tunekit.data import files as data_files

    written = []

    def interrupted(rows: Any, target: Path) -> int:
        written.append(target)
        if len(written) == 2:
            raise KeyboardInterrupt
        return write_lines(rows, target)

    write_lines = data_files.write_lines
    monkeypatch.setattr(data_files, "write_lines", interrupted)
    done = world.call("split", "data.jsonl", "0.5", "0.5", "--to", "parts")
    assert done.exit_code == Exit.INTERRUPTED
    assert len(written) == 2
    assert list((world.folder / "parts").iterdir()) == []


def test_a_folder_that_cannot_be_written_is_an_error(world: World) -> None:
    done = world.call("split", "data.jsonl", "0.5", "0.5", "--to", "data.jsonl/x")
    assert done.exit_code == Exit.REFUSED
    assert "cannot be written to 'data.jsonl/x'" in " ".join(done.stderr.split())


def test_groups_stay_whole_and_a_missed_size_is_said(world: World) -> None:
    grouped(world, [6, 6, 6, 2])
    done = world.call("split", "users.jsonl", "0.5", "0.5", "--by", "user")
    assert done.exit_code == 0
    train, validation = (
        read(world.folder / f"users.{name}.jsonl") for name in ("train", "validation")
    )
    assert {row["user"] for row in train}.isdisjoint({row["user"] for row in validation})
    assert "2 groups" in done.stdout
    sizes = f"train {len(train) - 10:+}, validation {len(validation) - 10:+}"
    assert f"Whole groups miss the sizes asked for, in rows: {sizes}" in done.stdout


def test_sizes_that_groups_allow_are_not_called_missed(world: World) -> None:
    grouped(world, [5, 5, 5, 5])
    done = world.call("split", "users.jsonl", "0.5", "0.5", "--by", "user")
    assert "2 groups" in done.stdout
    assert "miss" not in done.stdout


def test_a_part_that_no_group_fits_into_is_a_warning(world: World) -> None:
    grouped(world, [10])
    done = world.call("split", "users.jsonl", "0.5", "0.5", "--by", "user", "--json")
    document = json.loads(done.stdout)
    assert sorted(part["rows"] for part in document["parts"]) == [0, 10]
    assert [p["code"] for p in document["problems"]] == ["empty-part"]
    assert "has no rows" in done.stderr


def test_labels_are_shared_out_and_shown(world: World) -> None:
    grouped(world, [20, 10, 10])
    done = world.call("split", "users.jsonl", "0.8", "0.2", "--stratify", "user")
    assert done.exit_code == 0
    table = [line.split() for line in done.stdout.splitlines() if line.startswith("  user")]
    assert table == [
        ["user", "train", "validation"],
        ["user", "0", "16", "4"],
        ["user", "1", "8", "2"],
        ["user", "2", "8", "2"],
    ]


def test_many_labels_are_cut_in_the_table_and_whole_in_json(world: World) -> None:
    grouped(world, [2] * 30)
    shown = world.call("split", "users.jsonl", "0.5", "0.5", "--stratify", "user").stdout
    assert "… and 10 more" in shown
    words = ["--stratify", "user", "--json", "--force"]
    document = json.loads(world.call("split", "users.jsonl", "0.5", "0.5", *words).stdout)
    assert document["parts"][0]["labels"] == {f"user {n}": 1 for n in range(30)}


def test_json_says_everything_in_one_document(world: World) -> None:
    done = world.call("split", "data.jsonl", "0.75", "0.25", "--json")
    assert json.loads(done.stdout) == {
        "file": "data.jsonl",
        "rows": 40,
        "seed": 0,
        "by": None,
        "stratify": None,
        "parts": [
            {"name": "train", "path": "data.train.jsonl", "rows": 30, "asked": 30},
            {"name": "validation", "path": "data.validation.jsonl", "rows": 10, "asked": 10},
        ],
        "problems": [],
    }
    assert done.stderr == ""


def test_equal_rows_in_two_parts_are_a_warning_that_points_to_the_remedy(world: World) -> None:
    write_rows(world.folder / "twice.jsonl", [*ROWS, *ROWS])
    done = world.call("split", "twice.jsonl", "0.5", "0.5", "--json")
    assert done.exit_code == 0
    (problem,) = json.loads(done.stdout)["problems"]
    train, validation = (
        {json.dumps(row) for row in read(world.folder / f"twice.{name}.jsonl")}
        for name in ("train", "validation")
    )
    both = len(train & validation)
    assert both > 1
    assert problem["code"] == "row-in-two-parts"
    assert f"{both} rows of 'train' stand in 'validation', too" in problem["message"]
    assert "dedup" in problem["fix"]
    assert "row-in-two-parts" in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["data.jsonl", "most"], "is no number"),
        (["data.jsonl"], "PART"),
        (["data.jsonl", "0.5", "0.5", "--by", "a", "--stratify", "b"], "--stratify"),
        (["data.jsonl", "0.5", "0.5", "--names", "a"], "2 different names"),
        (["data.jsonl", "0.5", "0.5", "--names", "a,a"], "2 different names"),
        (["data.jsonl", "0.5", "0.5", "--names", "a,../b"], "Names are"),
    ],
)
def test_a_command_that_makes_no_sense_is_a_usage_error(
    words: list[str], said: str, world: World
) -> None:
    done = world.call("split", *words)
    assert done.exit_code == Exit.USAGE
    assert said in done.stderr
    assert files(world) == ["data.jsonl"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere.jsonl", "0.5"], "does not exist"),
        (["data.jsonl", "0.9", "0.9"], "more than 1"),
        (["data.jsonl", "nan"], "fraction"),
        (["data.jsonl", "41"], "there are 40"),
        (["data.jsonl", "0.5", "--by", "nobody"], "40 rows have no value for `by`"),
        (["data.jsonl", "0.5", "--by", "a..b"], "names no place"),
    ],
)
def test_a_split_that_cannot_be_made_is_refused_and_writes_nothing(
    words: list[str], said: str, world: World
) -> None:
    done = world.call("split", *words)
    assert done.exit_code == Exit.REFUSED
    assert said in " ".join(done.stderr.split())
    assert files(world) == ["data.jsonl"]


def test_a_bar_is_drawn_on_a_terminal_only() -> None:
    quiet, loud = (
        Console(file=io.StringIO(), force_terminal=terminal, width=80) for terminal in (False, True)
    )
    with progress_bar(quiet, "Reading") as on_progress:
        assert on_progress is None
    with progress_bar(loud, "Reading") as on_progress:
        assert on_progress is not None
        on_progress(1, 4)
        on_progress(4, 4)
    assert isinstance(loud.file, io.StringIO)
    assert isinstance(quiet.file, io.StringIO)
    assert "Reading" in loud.file.getvalue()
    assert "100%" in loud.file.getvalue()
    assert quiet.file.getvalue() == ""


def test_equal_rows_are_found_in_any_two_parts(world: World) -> None:
    write_rows(world.folder / "same.jsonl", [{"text": "a"}] * 6)
    done = world.call("split", "same.jsonl", "1", "2", "3", "--json")
    assert [
        problem["message"].partition(" too")[0] for problem in json.loads(done.stdout)["problems"]
    ] == [
        "1 row of 'train' stands in 'validation',",
        "1 row of 'train' stands in 'test',",
        "1 row of 'validation' stands in 'test',",
    ]


def test_labels_that_are_spelt_alike_are_told_apart(world: World) -> None:
    rows = [{"text": str(n), "label": label} for n, label in enumerate([1, "1", "1", "2"])]
    write_rows(world.folder / "labels.jsonl", rows)
    done = world.call("split", "labels.jsonl", "1.0", "--stratify", "label", "--json")
    (part,) = json.loads(done.stdout)["parts"]
    assert part["labels"] == {'"1"': 2, "1": 1, "2": 1}

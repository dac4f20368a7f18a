"""`tunekit preview`: what people and programs get to see of a row."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli_support import World, write_rows
from rich.console import Console

from helpers.tiny_model import make_model
from helpers.vocabularies import vocabularies
from tunekit.cli import shell as shell_module
from tunekit.cli.preview import visible

pytestmark = pytest.mark.usefixtures(vocabularies.__name__)

ROW = {
    "messages": [
        {"role": "system", "content": "Be\tbrief. "},
        {"role": "user", "content": "Two  words?\x1b[31m"},
        {"role": "assistant", "content": "Yes,\nindeed."},
    ]
}


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    world = World(tmp_path, monkeypatch)
    monkeypatch.setenv("TUNEKIT_OFFLINE", "1")
    write_rows(tmp_path / "odd.jsonl", [ROW, {"text": "plain"}])
    return world


def test_the_first_rows_are_shown_with_what_is_trained_on(world: World) -> None:
    done = world.call("preview", "data.jsonl", "--model", "gpt-4o-mini")
    assert done.exit_code == 0
    assert done.stdout.count("Row ") == 3
    assert "  user      What is 0 + 0?\n" in done.stdout
    assert "  assistant ⟦It is 0.⟧\n" in done.stdout
    assert "published counting rule" in done.stdout
    assert "⟦trained on⟧" in done.stdout


def test_rows_are_chosen_by_number_and_named_by_line(world: World) -> None:
    done = world.call("preview", "data.jsonl", "-m", "gpt-4", "--rows", "40")
    assert "Row 40  line 40:" in done.stdout
    assert "Row 39" not in done.stdout
    done = world.call("preview", "data.jsonl", "-m", "gpt-4", "--rows", "41-50")
    assert "no row 41-50" in done.stdout


@pytest.mark.parametrize("rows", ["0", "3-2", "x", "-1"])
def test_a_range_that_is_none_is_a_usage_error(rows: str, world: World) -> None:
    done = world.call("preview", "data.jsonl", "-m", "gpt-4", f"--rows={rows}")
    assert done.exit_code == 2


def test_odd_blanks_are_seen_and_no_control_character_reaches_the_terminal(world: World) -> None:
    done = world.call("preview", "odd.jsonl", "-m", "gpt-4o")
    assert "Be⇥brief.·" in done.stdout
    assert "Two··words?⟨1b⟩[31m" in done.stdout
    assert "Yes,↵\n            indeed." in done.stdout
    assert "\x1b" not in done.stdout


def test_what_is_cut_off_is_marked(world: World) -> None:
    done = world.call("preview", "odd.jsonl", "-m", "gpt-4o", "--rows", "1", "--limit", "26")
    assert "cut after 26" in done.stdout
    assert "⟦Yes⟧✂,↵" in done.stdout


def test_colours_take_the_place_of_marks_on_a_terminal(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    def coloured() -> tuple[Console, Console]:
        make = {"force_terminal": True, "color_system": "standard", "width": 80, "highlight": False}
        return Console(file=sys.stdout, **make), Console(file=sys.stderr, **make)  # type: ignore[arg-type]

    monkeypatch.setattr(shell_module, "consoles", coloured)
    done = world.call("preview", "odd.jsonl", "-m", "gpt-4o", "--rows", "1", "--limit", "26")
    assert "\x1b[32mYes" in done.stdout
    assert "\x1b[9;31m" in done.stdout
    assert "\x1b[2m" in done.stdout
    assert "⟦" not in done.stdout


def test_tokens_are_parted_by_a_line(world: World) -> None:
    done = world.call("preview", "data.jsonl", "-m", "gpt-4o", "--rows", "1", "--tokens")
    assert "What│ ·is│ ·│ 0" in done.stdout


def test_json_holds_rows_pieces_and_figures(world: World) -> None:
    done = world.call("preview", "data.jsonl", "-m", "gpt-4o", "--rows", "2-3", "--stats", "--json")
    document = json.loads(done.stdout)
    assert [row["line"] for row in document["rows"]] == [2, 3]
    assert sum(p["count"] for p in document["rows"][0]["pieces"]) == document["rows"][0]["tokens"]
    assert document["statistics"]["rows"] == 40
    assert document["statistics"]["n_epochs"] == 3
    assert document["model"] == "gpt-4o"


def test_statistics_and_picture_cover_all_rows_in_80_columns(world: World) -> None:
    done = world.call(
        "preview", "data.jsonl", "-m", "gpt-4o", "--stats", "--histogram", "lengths.png"
    )
    assert done.exit_code == 0, done.stderr
    assert "40 rows, counted with o200k_base" in done.stdout
    assert "│█" in done.stdout
    assert max(len(line) for line in done.stdout.splitlines()) <= 80
    assert (world.folder / "lengths.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("data.jsonl",), "--model"),
        (("data.jsonl", "-m", "gtp-4o"), "gpt-4o"),
        (("nothing.jsonl", "-m", "gpt-4o"), "nothing.jsonl"),
    ],
)
def test_what_is_missing_is_refused_by_name(
    words: tuple[str, ...], says: str, world: World
) -> None:
    done = world.call("preview", *words)
    assert done.exit_code == 3
    assert says in done.stderr


def test_a_provider_without_a_renderer_leaves_it_to_the_published_rules(world: World) -> None:
    done = world.fake_call("preview", "data.jsonl", "-m", "gpt-4o", "--rows", "1")
    assert "published counting rule" in done.stdout


@pytest.mark.torch
def test_a_local_model_shows_the_text_of_its_own_template(world: World) -> None:
    make_model(world.folder / "model")
    done = world.call(
        "preview", "odd.jsonl", "-m", "model", "--provider", "trl", "--rows", "1", "--stats"
    )
    assert done.exit_code == 0, done.stderr
    assert "<|assistant|>" in done.stdout
    assert "⟦Yes,↵" in done.stdout
    assert "indeed.<|end|>⟧" in done.stdout
    assert "loss mask of the training itself" in done.stdout
    assert "exactly." in done.stdout


def test_blanks_and_codes_are_made_visible() -> None:
    assert visible("a b") == "a b"
    assert visible(" a  b ") == "·a··b·"
    assert visible("a\u00a0b\u200bc\r") == "a⍽b⟨200b⟩c␍"
    assert visible("a\n b") == "a↵\n·b"


def test_a_row_that_cannot_be_read_is_named_and_the_others_are_shown(
    world: World, vocabularies: Path
) -> None:
    lines = world.data.read_text(encoding="utf-8").splitlines()
    (world.folder / "odd.jsonl").write_text("\n".join([lines[0], "{", lines[1]]) + "\n")
    done = world.call("preview", "odd.jsonl", "--model", "gpt-4.1-mini", "--rows", "1-3")
    assert "invalid-json" in done.stderr
    assert "Row 1" in done.stdout
    assert "Row 3" in done.stdout

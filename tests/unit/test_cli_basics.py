from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from cli_support import COMMAND, World, clean_environment, install_plugin, write_rows

from tunekit import errors
from tunekit.cli.exits import MEANING, Exit, exit_code
from tunekit.errors import TunekitError


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


def _all_errors(kind: type[TunekitError] = TunekitError) -> list[type[TunekitError]]:
    return [kind, *(found for child in kind.__subclasses__() for found in _all_errors(child))]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.JobFailedError("x"), 1),
        (errors.JobCancelledError("x"), 1),
        (errors.DeploymentFailedError("x"), 1),
        (errors.PreflightError("x"), 3),
        (errors.BudgetExceededError("x"), 3),
        (errors.UnknownProfileError("x"), 3),
        (errors.DataError("x"), 3),
        (errors.RunConflictError("x"), 3),
        (errors.UnsupportedError("x"), 3),
        (errors.AuthenticationError("x"), 4),
        (errors.UnclearReplyError("x"), 4),
        (errors.NotFoundError("x"), 5),
        (errors.WaitTimeoutError("x"), 6),
        (errors.DiskSpaceError("x"), 7),
        (errors.MissingExtraError("x"), 7),
        (errors.LedgerUnavailableError("x"), 7),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_errors_end_in_their_documented_code(error: TunekitError, code: int) -> None:
    assert exit_code(error) == code


def test_every_error_has_a_code_and_every_code_a_meaning() -> None:
    assert {exit_code(kind("x")) for kind in _all_errors()} <= set(MEANING)
    assert set(MEANING) == set(Exit)


_COMPLETION = {"_TUNEKIT_COMPLETE": "complete_bash", "COMP_WORDS": "tunekit d", "COMP_CWORD": "1"}


@pytest.mark.parametrize(
    ("words", "environment", "said"),
    [
        (["--help"], {}, "deployments"),
        (["run", "--help"], {}, "--lora-r"),
        (["doctor", "--help"], {}, "--debug"),
        ([], _COMPLETION, "deployments"),
    ],
    ids=["help", "help of run", "help of doctor", "completion"],
)
def test_help_and_completion_load_nothing_heavy(
    words: list[str], environment: dict[str, str], said: str, tmp_path: Path
) -> None:
    # Typer itself reads typed options with pydantic, which is the one thing that may be there.
    script = (
        "import sys\nsys.argv[0] = 'tunekit'\nfrom tunekit.cli import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    code = end.code\n"
        "heavy = {'openai', 'torch', 'httpx2', 'sqlite3', 'matplotlib', 'datasets',"
        " 'tunekit.client', 'tunekit.data', 'tunekit.spec', 'tunekit.quickstart.story'}\n"
        "print(sorted(heavy & set(sys.modules)), code, file=sys.stderr)\n"
    )
    done = subprocess.run(
        [*COMMAND[:1], "-c", script, *words],
        capture_output=True,
        text=True,
        env=clean_environment(tmp_path, **environment),
        check=True,
    )
    assert done.stderr.splitlines()[-1] == "[] 0"
    assert said in done.stdout


def test_help_fits_80_columns_and_lists_the_exit_codes(world: World) -> None:
    done = world.call("--help")
    assert done.exit_code == 0
    assert max(len(line.rstrip()) for line in done.stdout.splitlines()) <= 80
    for code, meaning in MEANING.items():
        assert f"{code.value:>3}  {meaning}" in done.stdout


def test_python_dash_m_is_the_command_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [*COMMAND, "--version"], capture_output=True, text=True, env=clean_environment(tmp_path)
    )
    from tunekit import __version__

    assert (done.returncode, done.stdout) == (0, f"tunekit {__version__}\n")


def test_a_wrong_option_is_a_usage_error(world: World) -> None:
    assert world.call("jobs", "--no-such-option").exit_code == Exit.USAGE
    assert world.call("jobs", "--provider", "fake", "--set", "novalue").exit_code == Exit.USAGE


def test_an_error_says_what_happened_and_what_to_do_and_shows_no_traceback(world: World) -> None:
    done = world.call("jobs")
    assert done.exit_code == Exit.REFUSED
    assert done.stdout == ""
    assert done.stderr.startswith("error: No profile was named.\nnext:  ")
    assert "Traceback" not in done.stderr


def test_debug_shows_the_traceback_and_keeps_the_code(world: World) -> None:
    done = world.call("jobs", "--debug")
    assert done.exit_code == Exit.REFUSED
    assert "Traceback (most recent call last)" in done.stderr


def test_an_error_with_json_is_one_document_on_stdout(world: World) -> None:
    done = world.fake_call("events", "nobody", "--json", code=Exit.NOT_FOUND)
    document = json.loads(done.stdout)["error"]
    assert document["type"] == "NotFoundError"
    assert document["exit_code"] == 5
    assert "nobody" in done.stderr


def test_profile_and_provider_together_are_refused(world: World) -> None:
    done = world.fake_call("jobs", "-p", "laptop", code=Exit.REFUSED)
    assert "--profile" in done.stderr


def test_a_profile_of_a_named_file_is_used(world: World) -> None:
    config = world.folder / "other.toml"
    config.write_text('[profiles.lab]\nprovider = "fake"\n')
    done = world.call("jobs", "-p", "lab", "--config", str(config), "--json")
    assert (done.exit_code, json.loads(done.stdout)) == (0, {"jobs": []})


def test_settings_of_the_command_line_reach_a_third_partys_provider(tmp_path: Path) -> None:
    environment = install_plugin(tmp_path)
    words = ["--provider", "endless", "--set", "acount=7"]
    done = subprocess.run(
        [*COMMAND, "jobs", *words], capture_output=True, text=True, env=environment
    )
    assert done.returncode == Exit.REFUSED
    assert "`acount` (from argument)" in done.stderr
    assert "Did you mean 'account'?" in " ".join(done.stderr.split())


def test_ids_are_never_broken(world: World) -> None:
    long = "/" + "a-very-long-folder/" * 8 + "data.jsonl"
    done = world.call("check", long)
    assert done.exit_code == Exit.REFUSED
    assert long in done.stderr


def test_a_command_that_lives_elsewhere_has_its_own_options(world: World) -> None:
    assert "quickstart" in world.call("--help").stdout
    shown = world.call("quickstart", "--help")
    assert shown.exit_code == 0
    assert "--profile" in shown.stdout
    assert world.call("quickstart", "--no-such-option").exit_code == Exit.USAGE


def test_output_goes_on_where_the_terminal_knows_only_ascii(tmp_path: Path) -> None:
    write_rows(tmp_path / "bad.jsonl", [{"messages": []}])
    done = subprocess.run(
        [*COMMAND, "check", "bad.jsonl"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=clean_environment(tmp_path, PYTHONIOENCODING="ascii", PYTHONUTF8="0"),
    )
    assert done.returncode == Exit.REFUSED
    assert "Traceback" not in done.stderr
    assert "bad.jsonl:1" in done.stdout

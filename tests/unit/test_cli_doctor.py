from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cli_support import COMMAND, World, clean_environment, install_plugin

from tunekit.cli import examine
from tunekit.cli.exits import Exit
from tunekit.ledger import Ledger, RunState


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


def _doctor(world: World, code: int = 0, *words: str) -> dict[str, Any]:
    done = world.call("doctor", "--json", *words)
    assert done.exit_code == code, done.stdout
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def test_doctor_fits_80_columns_and_finds_nothing_wrong(world: World) -> None:
    done = world.call("doctor")
    assert done.exit_code == 0
    home = str(world.home)
    lines = [line for line in done.stdout.splitlines() if home not in line]
    assert max(len(line) for line in lines) <= 80
    assert "Nothing keeps tunekit from working." in lines[-1]


def test_doctor_makes_no_files(world: World) -> None:
    _doctor(world)
    assert not world.home.exists()


def test_doctor_knows_versions_without_importing(tmp_path: Path) -> None:
    script = (
        "import sys\nfrom tunekit.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print(sorted({'torch', 'transformers', 'openai'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [*COMMAND[:1], "-c", script, "doctor", "--json"],
        capture_output=True,
        text=True,
        env=clean_environment(tmp_path),
        check=True,
    )
    assert done.stderr.strip() == "[]"
    assert json.loads(done.stdout)["packages"]["openai"]


def test_every_setting_is_shown_with_its_source_and_no_secret_is(tmp_path: Path) -> None:
    environment = install_plugin(tmp_path)
    plugin = tmp_path / "site" / "endless.py"
    plugin.write_text(
        plugin.read_text()
        + "\nfrom pydantic import SecretStr\nfrom tunekit.testing import FakeSettings\n"
        + "class Mine(FakeSettings):\n    pass_phrase: SecretStr | None = None\n"
        + "    api_key: str = ''\nEndlessProvider.Settings = Mine\n"
    )
    config = tmp_path / "tunekit.toml"
    config.write_text(
        'default_profile = "lab"\n[profiles.lab]\nprovider = "endless"\naccount = "team"\n'
    )
    secrets = {"TUNEKIT_ENDLESS_API_KEY": "hush-1", "TUNEKIT_ENDLESS_PASS_PHRASE": "hush-2"}
    for words in (["--json"], []):
        done = subprocess.run(
            [*COMMAND, "doctor", *words],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={**environment, **secrets},
        )
        assert done.returncode == 0, done.stderr
        assert "hush" not in done.stdout + done.stderr
        if words:
            (profile,) = json.loads(done.stdout)["profiles"]
            assert profile["default"] is True
            found = {one["name"]: (one["value"], one["source"]) for one in profile["settings"]}
            assert found["account"] == ("team", f"file {config}")
            assert found["base_url"] == ("http://127.0.0.1:9/v1", "default")
            assert found["api_key"] == ("********", "environment TUNEKIT_ENDLESS_API_KEY")
            assert found["pass_phrase"] == ("********", "environment TUNEKIT_ENDLESS_PASS_PHRASE")


def test_a_configuration_that_cannot_be_read_is_a_finding_among_the_rest(world: World) -> None:
    (world.folder / "tunekit.toml").write_text("[profiles\n")
    found = _doctor(world, Exit.REFUSED)
    assert "not valid TOML" in found["problems"][0]["message"]
    assert found["packages"]["pydantic"]
    assert "not valid TOML" in world.call("doctor").stdout


def test_a_setting_that_is_wrong_is_a_finding(world: World) -> None:
    (world.folder / "tunekit.toml").write_text('[profiles.a]\nprovider = "nobodys"\n')
    found = _doctor(world, Exit.REFUSED)
    assert "'nobodys'" in found["problems"][0]["message"]


def test_a_ledger_that_cannot_be_read_is_a_finding(world: World) -> None:
    world.home.mkdir()
    (world.home / "ledger.sqlite3").write_bytes(b"this is no database" * 100)
    found = _doctor(world, Exit.MACHINE)
    assert found["ledger"]["runs"] is None


def test_a_home_that_is_no_folder_is_a_finding(world: World) -> None:
    world.home.write_text("in the way")
    found = _doctor(world, Exit.MACHINE)
    assert found["home"]["writable"] is False


def test_what_was_left_is_shown_with_the_way_to_it(world: World) -> None:
    world.run_job("first")
    ledger = Ledger(world.home / "ledger.sqlite3")
    run = ledger.run("fake:tests", "first")
    assert run is not None
    ledger.set_state(run.tag, RunState.SUBMITTING)
    world.fake_call("deploy", "some-model", "--name", "mine", "--detach")
    found = _doctor(world)
    assert [one["name"] for one in found["interrupted_runs"]] == ["first"]
    assert [(one["name"], one["ends"]) for one in found["deployments"]] == [("mine", "never")]
    shown = world.call("doctor").stdout
    assert "tunekit jobs --recover --provider fake --set account=tests" in shown


def test_a_provider_without_its_packages_names_them(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        examine, "version_of", lambda name: None if name in ("torch", "trl") else "1"
    )
    (trl,) = [one for one in _doctor(world)["providers"] if one["name"] == "trl"]
    assert [re.split("[<>]", spec)[0] for spec in trl["missing"]] == ["torch", "trl"]

"""The README's own lines, run as they stand."""

from __future__ import annotations

from pathlib import Path

import pytest

from helpers.blocks import blocks
from tunekit import Dataset
from tunekit.quickstart import BASE_MODEL, recipes

pytestmark = [pytest.mark.torch, pytest.mark.e2e]


def test_fifteen_lines_of_the_readme_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TUNEKIT_HOME", str(tmp_path / "home"))
    Dataset.from_records(recipes.generate(160, seed=2)).write_jsonl(tmp_path / "recipes.jsonl")
    (settings,) = blocks("README.md", "toml")
    # The one change: a model that is on this disk instead of one from the Hub.
    assert settings.count('"Qwen/Qwen3-0.6B"') == 1
    settings = settings.replace('"Qwen/Qwen3-0.6B"', f'"{BASE_MODEL}"')
    (tmp_path / "tunekit.toml").write_text(settings, encoding="utf-8")
    (code,) = blocks("README.md", "python")
    exec(compile(code, "README.md", "exec"), {})  # noqa: S102 - our own page
    assert "succeeded" in capsys.readouterr().out

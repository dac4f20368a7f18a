"""`tunekit quickstart`, as a user starts it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.torch, pytest.mark.e2e]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str, Path]:
    """The figures, what was shown to a person meanwhile, and the folder it was told in."""
    folder = tmp_path_factory.mktemp("quickstart")
    done = subprocess.run(
        [sys.executable, "-m", "tunekit", "quickstart", "--json"],
        cwd=folder,
        env={**os.environ, "TUNEKIT_HOME": str(folder / "home")},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures, done.stderr, folder


def test_tuning_reaches_what_the_quickstart_promises(
    told: tuple[dict[str, Any], str, Path],
) -> None:
    figures, _, _ = told
    assert figures["test_rows"] >= 200
    assert figures["tuned"]["exact_match"] >= 0.9
    assert figures["points"] >= 50
    assert figures["peak_memory_bytes"] < 3e9
    low, high = figures["tuned"]["interval_95"]
    assert low < figures["tuned"]["exact_match"] < high or figures["tuned"]["exact_match"] == 1


def test_everything_lies_where_it_says(told: tuple[dict[str, Any], str, Path]) -> None:
    figures, _, folder = told
    assert (Path(figures["tuned_model"]) / "adapter_model.safetensors").is_file()
    assert Path(figures["data"]) == folder / "tunekit-quickstart"
    for name, rows in (("train", "train_rows"), ("validation", "validation_rows")):
        lines = (Path(figures["data"]) / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
        assert len(lines) == figures[rows]


def test_story_tells_its_steps_and_leaves_no_server(
    told: tuple[dict[str, Any], str, Path],
) -> None:
    _, shown, folder = told
    for step in ("1/6 Data", "2/6 Check", "3/6 Estimate", "4/6 Train", "5/6 Deploy", "6/6 What"):
        assert step in shown
    listed = subprocess.run(
        [sys.executable, "-m", "tunekit", "deployments", "--provider", "trl", "--json"],
        cwd=folder,
        env={**os.environ, "TUNEKIT_HOME": str(folder / "home")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(listed.stdout) in ([], {"deployments": []})

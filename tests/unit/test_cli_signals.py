from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import time
from pathlib import Path

import pytest
from cli_support import COMMAND, install_plugin, write_rows

RUN = ["run", "--provider", "endless", "-m", "base", "--train", "data.jsonl", "--run", "mine"]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    write_rows(tmp_path / "data.jsonl")
    return install_plugin(tmp_path)


def _calls(folder: Path) -> list[str]:
    log = folder / "log"
    return log.read_text().split() if log.exists() else []


def _wait_for(folder: Path, method: str, times: int) -> None:
    deadline = time.monotonic() + 60
    while _calls(folder).count(method) < times:
        assert time.monotonic() < deadline, _calls(folder)
        time.sleep(0.02)


@pytest.mark.parametrize("words", [[], ["--json"]], ids=["people", "json"])
def test_an_interrupt_leaves_the_job_running_and_says_how_to_come_back(
    tmp_path: Path, environment: dict[str, str], words: list[str]
) -> None:
    process = subprocess.Popen(
        [*COMMAND, *RUN, *words],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    _wait_for(tmp_path, "fetch", 3)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "The job goes on." in err
    assert "tunekit events mine --follow --provider endless" in err
    assert "tunekit cancel mine --provider endless" in err
    assert "Traceback" not in err
    assert "cancel" not in _calls(tmp_path)
    if words:
        assert out == ""
    else:
        assert "Run mine" in out


def test_an_interrupt_while_events_are_followed_ends_in_130(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    script = (
        "import sys, tunekit\nfrom tunekit.providers import registry\n"
        "from tunekit.cli import main\nfrom tunekit import FineTuneSpec, Dataset\n"
        "from tunekit.testing import FakeSettings\nfrom endless import EndlessProvider\n"
        "from tunekit.config import Config\n"
        "made = EndlessProvider(FakeSettings(), home=Config().home.value)\n"
        "registry.create = lambda profile, home: made\n"
        "tunekit.connect(provider=made).fine_tune(FineTuneSpec(model='m'),"
        " Dataset.from_jsonl('data.jsonl'), run='mine')\n"
        "main()\n"
    )
    process = subprocess.Popen(
        [COMMAND[0], "-c", script, "events", "mine", "--follow", "--provider", "endless", "--json"],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    _wait_for(tmp_path, "list_events", 3)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "The job goes on." in err
    assert all(json.loads(line)["id"] for line in out.splitlines())
    assert out


def _on_a_terminal(words: list[str], folder: Path, environment: dict[str, str]) -> tuple[int, str]:
    """Run a command on a terminal of 80 columns; give its exit code and all that it showed."""
    controller, terminal = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, *words],
        cwd=folder,
        env={**environment, "TERM": "xterm-256color", "LINES": "24"},
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
    )
    os.close(terminal)
    shown = b""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if not select.select([controller], [], [], 0.2)[0]:
            continue
        try:
            piece = os.read(controller, 65536)
        except OSError:  # Linux: the last writer has closed the terminal
            break
        if not piece:
            break
        shown += piece
    os.close(controller)
    return process.wait(timeout=30), shown.decode()


def test_on_a_terminal_progress_renews_itself_in_place(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    code, shown = _on_a_terminal(RUN, tmp_path, {**environment, "STEPS": "40"})
    assert code == 0, shown
    assert "\x1b[2K" in shown
    assert "/40" in shown
    assert "5,120 tokens/s" in shown
    assert "█" in shown
    assert "Model tuned-job-0" in shown


def test_json_is_pure_on_a_pipe(tmp_path: Path, environment: dict[str, str]) -> None:
    done = subprocess.run(
        [*COMMAND, *RUN, "--json"],
        cwd=tmp_path,
        env={**environment, "STEPS": "5"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["status"] == "succeeded"
    assert "running" in done.stderr

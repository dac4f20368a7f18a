"""Processes that share a check: killed, interrupted, or started from where they should not be."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tunekit.data import Dataset
from tunekit.data.checks import CheckOptions, stretches
from tunekit.data.checks.stretches import _Worker
from tunekit.problems import Problem

LIMIT_SECONDS = 60


@pytest.fixture
def rows_file(tmp_path: Path) -> Path:
    """Rows in many stretches, with a fault in every hundredth."""
    lines = []
    for number in range(4000):
        messages = [
            {"role": "user", "content": f"Question {number}"},
            {"role": "assistant", "content": "" if number % 100 == 3 else "Yes."},
        ]
        lines.append(json.dumps({"messages": messages}))
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> list[_Worker]:
    """The workers that are started; stretches are small, and wait until one is up."""
    made: list[_Worker] = []
    begun = _Worker.__enter__

    def noted(self: _Worker) -> _Worker:
        made.append(self)
        entered = begun(self)
        assert self._ready.result(LIMIT_SECONDS) is True
        return entered

    monkeypatch.setattr(_Worker, "__enter__", noted)
    monkeypatch.setattr(stretches, "STRETCH", 2048)
    return made


def found(problems: list[Problem]) -> list[tuple[int | None, str]]:
    return [(problem.line, problem.code) for problem in problems]


def test_a_worker_that_is_killed_half_way_loses_no_line_and_tells_none_twice(
    rows_file: Path, workers: list[_Worker]
) -> None:
    data = Dataset.from_jsonl(rows_file)
    expected = found(data.check(CheckOptions(processes=1)))
    killed: list[int] = []

    def kill_all(done: int, total: int | None) -> None:
        if total is not None and done > total // 3 and not killed:
            for worker in workers:
                assert worker._process is not None
                worker._process.send_signal(signal.SIGKILL)
                killed.append(worker._process.pid)

    assert found(data.check(CheckOptions(processes=3), on_progress=kill_all)) == expected
    assert len(killed) == 2
    assert [line for line, code in expected if code == "empty-answer"] == list(range(4, 4001, 100))


def test_workers_answer_and_are_gone_afterwards(rows_file: Path, workers: list[_Worker]) -> None:
    asked = []
    ask = _Worker.ask

    def noted(self: _Worker, span: stretches.Span) -> object:
        asked.append(span)
        return ask(self, span)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_Worker, "ask", noted)
        Dataset.from_jsonl(rows_file).check(CheckOptions(processes=2))
    assert asked
    (worker,) = workers
    assert worker._process is not None
    assert worker._process.returncode is not None


@pytest.mark.usefixtures("workers")
def test_a_check_may_run_in_any_thread(rows_file: Path) -> None:
    data = Dataset.from_jsonl(rows_file)
    expected = found(data.check(CheckOptions(processes=1)))
    told: list[list[tuple[int | None, str]]] = []
    threads = [
        threading.Thread(target=lambda: told.append(found(data.check(CheckOptions(processes=2)))))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT_SECONDS)
    assert told == [expected, expected]


SCRIPT = """
import sys
print("started", flush=True)
from tunekit.data import Dataset
from tunekit.data.checks import CheckOptions, stretches
stretches.STRETCH = 2048
data = Dataset.from_jsonl(sys.argv[1])
print(len(data.check(CheckOptions(processes=2))), flush=True)
while len(sys.argv) > 2:
    data.check(CheckOptions(processes=2))
"""


def test_a_script_without_a_main_guard_runs_once(rows_file: Path, tmp_path: Path) -> None:
    script = tmp_path / "plain_script.py"
    script.write_text(SCRIPT, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(script), str(rows_file)],
        capture_output=True,
        text=True,
        check=True,
        timeout=LIMIT_SECONDS,
    )
    count = len(Dataset.from_jsonl(rows_file).check())
    assert done.stdout.split() == ["started", str(count)]
    assert done.stderr == ""


@pytest.mark.skipif(os.name == "nt", reason="process groups are POSIX")
def test_an_interrupt_leaves_no_process_behind(rows_file: Path, tmp_path: Path) -> None:
    script = tmp_path / "endless.py"
    script.write_text(SCRIPT, encoding="utf-8")
    process = subprocess.Popen(
        [sys.executable, str(script), str(rows_file), "for ever"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.readline()  # the first check is done, the next runs
    time.sleep(0.3)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    try:
        process.communicate(timeout=LIMIT_SECONDS)
    finally:
        process.kill()
    assert process.returncode != 0
    deadline = time.monotonic() + LIMIT_SECONDS
    while time.monotonic() < deadline:
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    pytest.fail("a worker outlived the process that started it")

"""The ledger: written down before it is sent, whole in every case, shared by processes."""

from __future__ import annotations

import resource
import sqlite3
import stat
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from helpers.processes import child_environment, together
from tunekit.errors import LedgerError, LedgerUnavailableError, LedgerVersionError
from tunekit.ledger import KnownDeployment, Ledger, Run, RunState
from tunekit.providers.base import FileRef, ModelRef

WHEN = datetime(2026, 1, 1, 12, tzinfo=UTC)


def line(name: str = "r1", *, account: str = "a", tag: str | None = None, age: int = 0) -> Run:
    when = WHEN - timedelta(seconds=age)
    return Run(
        account=account,
        name=name,
        tag=tag or f"tag-{account}-{name}",
        provider="fake",
        profile="p",
        settings={"region": "north"},
        fingerprint="f" * 64,
        request={"spec": {"seed": 7}, "train": "t", "validation": None},
        created_at=when,
        updated_at=when,
    )


def test_a_run_comes_back_as_it_was_written(ledger: Ledger) -> None:
    run = ledger.open_run(line())
    for found in (
        ledger.run("a", "r1"),
        ledger.run_of_tag("tag-a-r1"),
        Ledger(ledger.path).run("a", "r1"),
    ):
        assert found == run


def test_nothing_is_written_until_there_is_something_to_write(home: Path) -> None:
    Ledger(home / "ledger.sqlite3")
    assert not home.exists()


def test_opening_a_name_again_gives_the_first_run(ledger: Ledger) -> None:
    first = ledger.open_run(line())
    assert ledger.open_run(line(tag="another")) == first
    assert ledger.run_of_tag("another") is None


def test_the_same_name_in_another_account_is_another_run(ledger: Ledger) -> None:
    ledger.open_run(line(account="a"))
    ledger.open_run(line(account="b"))
    assert [run.account for run in ledger.runs("b")] == ["b"]
    assert len(ledger.runs()) == 2


def test_runs_are_listed_newest_first(ledger: Ledger) -> None:
    for name, age in (("old", 9), ("new", 0), ("middle", 5)):
        ledger.open_run(line(name, age=age))
    assert [run.name for run in ledger.runs("a")] == ["new", "middle", "old"]


@pytest.mark.parametrize("state", list(RunState))
def test_a_state_is_on_disk_when_it_was_set(ledger: Ledger, state: RunState) -> None:
    ledger.open_run(line())
    ledger.set_state("tag-a-r1", state, job_id="job-1", detail="why")
    found = Ledger(ledger.path).run_of_job("a", "job-1")
    assert found is not None
    assert (found.state, found.job_id, found.detail) == (state, "job-1", "why")
    assert found.updated_at > found.created_at


def test_a_known_job_is_not_forgotten_by_a_later_state(ledger: Ledger) -> None:
    ledger.open_run(line())
    ledger.set_state("tag-a-r1", RunState.SUBMITTED, job_id="job-1")
    assert ledger.set_state("tag-a-r1", RunState.SUBMITTED).job_id == "job-1"


def test_a_state_for_an_unknown_tag_is_an_error(ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match="no run with tag 'nobody'"):
        ledger.set_state("nobody", RunState.SUBMITTED)


def test_files_are_known_by_account_and_content(ledger: Ledger) -> None:
    ref = FileRef(id="file-1", sha256="s" * 64, bytes=10)
    ledger.add_file("a", ref)
    assert ledger.file("a", "s" * 64) == ref
    assert ledger.file("b", "s" * 64) is None
    newer = ref.model_copy(update={"id": "file-2"})
    ledger.add_file("a", newer)
    assert ledger.file("a", "s" * 64) == newer
    ledger.forget_file("a", "s" * 64)
    assert ledger.file("a", "s" * 64) is None


def test_deployments_are_known_until_they_are_forgotten(ledger: Ledger) -> None:
    known = KnownDeployment(
        account="a",
        name="d",
        provider="fake",
        settings={"region": "north"},
        model=ModelRef(id="m", provider="fake", base_model="b"),
        created_at=WHEN,
        expires_at=WHEN + timedelta(hours=1),
    )
    ledger.add_deployment(known)
    assert ledger.deployments("a") == [known]
    assert ledger.deployments("b") == []
    ledger.forget_deployment("a", "d")
    ledger.forget_deployment("a", "d")
    assert ledger.deployments() == []


def test_folder_and_file_are_for_the_owner_alone(ledger: Ledger, home: Path) -> None:
    ledger.open_run(line())
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    open_elsewhere = sqlite3.connect(ledger.path)  # keeps the write-ahead log alive
    try:
        open_elsewhere.execute("SELECT count(*) FROM runs").fetchone()
        ledger.open_run(line("r2"))
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in home.iterdir()}
    finally:
        open_elsewhere.close()
    assert set(modes) == {"ledger.sqlite3", "ledger.sqlite3-wal", "ledger.sqlite3-shm"}
    assert set(modes.values()) == {0o600}


def test_a_ledger_of_a_newer_version_is_refused_and_left_alone(ledger: Ledger) -> None:
    ledger.open_run(line())
    with sqlite3.connect(ledger.path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    for use in (ledger.runs, lambda: ledger.open_run(line("r2"))):
        with pytest.raises(LedgerVersionError, match=r"has version 99; this library knows 1\..*"):
            use()
    with sqlite3.connect(ledger.path) as connection:
        assert connection.execute("SELECT count(*) FROM runs").fetchone() == (1,)
    connection.close()


def test_a_file_that_is_no_database_is_a_clear_error_and_left_alone(
    ledger: Ledger, home: Path
) -> None:
    home.mkdir()
    ledger.path.write_bytes(b"this is no database at all, " * 100)
    before = ledger.path.read_bytes()
    with pytest.raises(LedgerError, match="cannot be read.*Move it away"):
        ledger.runs()
    assert ledger.path.read_bytes() == before


def test_a_damaged_database_is_a_clear_error(ledger: Ledger) -> None:
    for number in range(200):
        ledger.open_run(line(f"r{number}"))
    with ledger.path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 4096 * 10)
    with pytest.raises(LedgerError, match=str(ledger.path)):
        ledger.runs()


def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("")
    with pytest.raises(LedgerUnavailableError, match="cannot be opened or written.*TUNEKIT_HOME"):
        Ledger(blocker / "home" / "ledger.sqlite3").runs()


@pytest.mark.parametrize("path", ["/proc/tunekit/ledger.sqlite3", "/dev/full"])
def test_a_place_that_takes_no_files_is_a_clear_error(path: str) -> None:
    if not Path(path).parent.exists() and not Path("/proc/self").exists():
        pytest.skip("no such place on this system")
    with pytest.raises(LedgerUnavailableError, match="cannot be opened or written"):
        Ledger(Path(path)).open_run(line())


def test_a_folder_in_place_of_the_file_is_a_clear_error(ledger: Ledger) -> None:
    ledger.path.mkdir(parents=True)
    with pytest.raises(LedgerUnavailableError):
        ledger.runs()


FULL_DISK = """
import pathlib, resource, sys
from tunekit.errors import LedgerUnavailableError
from tunekit.ledger import Ledger
sys.path.insert(0, sys.argv[2])
from test_ledger import line

ledger = Ledger(pathlib.Path(sys.argv[1]))
ledger.open_run(line("before"))
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), resource.RLIM_INFINITY))
try:
    for number in range(1000):
        ledger.open_run(line(f"r{number}"))
except LedgerUnavailableError as error:
    print(number, error)
else:
    print("the disk was never full")
"""


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="needs a limit on file sizes")
def test_a_full_disk_is_a_clear_error_and_loses_no_line(ledger: Ledger) -> None:
    """A limit on the size of files stands in for the full disk."""
    here = str(Path(__file__).parent)
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(ledger.path), here, "60000"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env=child_environment(),
    )
    written, _, message = done.stdout.partition(" ")
    assert "cannot be opened or written" in message
    assert int(written) > 0
    names = {run.name for run in ledger.runs()}
    assert names == {"before", *(f"r{number}" for number in range(int(written)))}


WRITER = """
import pathlib, sys
sys.path.insert(0, sys.argv[2])
from tunekit.ledger import Ledger
from test_ledger import line

ledger = Ledger(pathlib.Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
for number in range(100):
    ledger.open_run(line(f"{sys.argv[3]}-{number}"))
"""


def test_a_new_file_that_another_process_is_setting_up_is_waited_for(
    ledger: Ledger, home: Path
) -> None:
    home.mkdir()
    other = sqlite3.connect(ledger.path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")  # SQLite refuses a change of journal at once while this stands
    timer = threading.Timer(0.2, other.execute, ["COMMIT"])
    timer.start()
    try:
        assert ledger.open_run(line()) == ledger.run("a", "r1")
    finally:
        timer.join()
        other.close()


def test_processes_that_write_at_once_lose_nothing(ledger: Ledger) -> None:
    here = str(Path(__file__).parent)
    together([["-c", WRITER, str(ledger.path), here, name] for name in "abc"])
    assert {run.name for run in ledger.runs()} == {f"{w}-{n}" for w in "abc" for n in range(100)}

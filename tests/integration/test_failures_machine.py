"""Disks, folders, ports and ledgers in the way of a launch: each named, and nothing half-made."""

from __future__ import annotations

import shutil
import socket
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from failure_world import (
    client_of,
    fill,
    mounted,
    nothing_was_launched,
    tunekit,
)
from trl_world import rows

from helpers.processes import together
from helpers.tiny_model import make_model
from tunekit import Client, Dataset, FineTuneSpec
from tunekit.errors import (
    CorruptModelError,
    DiskSpaceError,
    LedgerUnavailableError,
    LedgerVersionError,
    LocalRunError,
    PortInUseError,
    PreflightError,
    RunConflictError,
)

pytestmark = [pytest.mark.torch, pytest.mark.timeout(200)]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("base"))


@pytest.fixture
def train() -> Dataset:
    return Dataset.from_records(rows(12), source="sums")


@pytest.fixture
def client(home: Path) -> Client:
    return client_of(home)


def refused(client: Client, model: Path | str, train: Dataset, home: Path) -> dict[str, str]:
    """Launch, be refused, and give what each problem says by its code."""
    with pytest.raises(PreflightError) as caught:
        client.fine_tune(FineTuneSpec(model=str(model)), train, run="refused")
    assert nothing_was_launched(home)
    assert client.session.ledger.runs() == []
    return {problem.code: str(problem) for problem in caught.value.problems}


def cut_off(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])


# Disks and folders --------------------------------------------------------------------------------


def test_too_little_disk_space_is_refused_before_anything_is_written(
    home: Path, base: Path, train: Dataset
) -> None:
    client = client_of(home, min_free_bytes=1 << 60)
    found = refused(client, base, train, home)
    assert "`runs_dir`" in found["disk-full"]


def test_a_disk_that_is_full_at_launch_is_named_and_leaves_no_job(
    base: Path, tmp_path: Path
) -> None:
    with mounted(tmp_path / "small", size="1m") as small:
        client = client_of(tmp_path / "home", runs_dir=small / "runs", min_free_bytes=0)
        fill(small, leave=8192)
        many = Dataset.from_records(rows(2000))
        with pytest.raises(DiskSpaceError, match="Free some space, or set `runs_dir`"):
            client.fine_tune(FineTuneSpec(model=str(base)), many, run="full")
        assert list(client.jobs()) == []
        assert nothing_was_launched(small)
        assert list((small / "runs" / ".files").glob("*")) == []


def test_a_runs_folder_that_cannot_be_written_is_named(
    base: Path, train: Dataset, tmp_path: Path
) -> None:
    with mounted(tmp_path / "ro", size="1m", read_only=True) as fixed:
        client = client_of(tmp_path / "home", runs_dir=fixed / "runs", min_free_bytes=0)
        with pytest.raises(LocalRunError, match="Read-only .* `runs_dir`"):
            client.fine_tune(FineTuneSpec(model=str(base)), train, run="fixed")
        assert list(client.jobs()) == []


def test_a_runs_folder_that_became_unwritable_is_named(
    base: Path, train: Dataset, tmp_path: Path
) -> None:
    with mounted(tmp_path / "ro", size="1m") as fixed:
        (fixed / "runs").mkdir()
        subprocess.run(["mount", "-o", "remount,ro", str(fixed)], check=True)
        client = client_of(tmp_path / "home", runs_dir=fixed / "runs", min_free_bytes=0)
        with pytest.raises(LocalRunError, match="Read-only .* `runs_dir`"):
            client.fine_tune(FineTuneSpec(model=str(base)), train, run="fixed")


def test_a_home_that_cannot_be_written_is_named(base: Path, train: Dataset, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    client = client_of(tmp_path / "file")
    with pytest.raises(LedgerUnavailableError, match="`TUNEKIT_HOME`"):
        client.fine_tune(FineTuneSpec(model=str(base)), train, run="homeless")
    assert (tmp_path / "file").read_text(encoding="utf-8") == "in the way"


def test_a_read_only_home_is_named_by_the_command_line(
    base: Path, train: Dataset, tmp_path: Path
) -> None:
    train.write_jsonl(tmp_path / "sums.jsonl")
    with mounted(tmp_path / "ro", size="1m", read_only=True) as fixed:
        done = tunekit(
            *("run", "--provider", "trl", "--set", "min_free_bytes=0"),
            *("--model", str(base), "--train", str(tmp_path / "sums.jsonl")),
            TUNEKIT_HOME=str(fixed / "home"),
        )
    assert done.returncode == 7, done.stderr
    assert "TUNEKIT_HOME" in done.stderr
    assert "Traceback" not in done.stderr


APPEND = """
import resource, signal, sys
from pathlib import Path
from tunekit.providers.local.statefile import append_line, read_lines
path = Path(sys.argv[1])
append_line(path, {"number": 1})
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
room = path.stat().st_size + 10
resource.setrlimit(resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))
try:
    append_line(path, {"number": 2, "text": "too long for ten bytes"})
except OSError as error:
    print(error.strerror)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
append_line(path, {"number": 3})
print([line["number"] for _, line in read_lines(path)])
"""


def test_an_event_that_no_longer_fits_does_not_spoil_the_next_one(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", APPEND, str(tmp_path / "events.jsonl")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == ["No space left on device", "[1, 3]"]


# The ledger ---------------------------------------------------------------------------------------


def test_a_ledger_of_a_newer_version_stops_the_launch(
    client: Client, home: Path, base: Path, train: Dataset
) -> None:
    home.mkdir()
    newer = sqlite3.connect(home / "ledger.sqlite3")
    newer.execute("PRAGMA journal_mode = WAL")
    newer.execute("PRAGMA user_version = 99")
    newer.close()
    before = (home / "ledger.sqlite3").read_bytes()
    with pytest.raises(LedgerVersionError, match="newer version .* `TUNEKIT_HOME`"):
        client.fine_tune(FineTuneSpec(model=str(base)), train, run="newer")
    assert nothing_was_launched(home)
    assert (home / "ledger.sqlite3").read_bytes() == before


def test_a_deployment_that_cannot_be_started_is_not_on_any_list(
    client: Client, base: Path, tmp_path: Path
) -> None:
    broken = shutil.copytree(base, tmp_path / "broken")
    cut_off(broken)
    with pytest.raises(CorruptModelError, match="damaged"):
        client.model(str(broken)).deploy(name="broken", wait=False)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortInUseError, match=f"Port {port} is in use .* another `port`"):
            client.model(str(base)).deploy(name="taken", port=port, wait=False)
    assert client.deployments() == []
    assert client.session.ledger.deployments() == []


LAUNCH = """
import sys
from tunekit import SFT, Dataset, FineTuneSpec, connect
client = connect(provider="trl")
spec = FineTuneSpec(model=sys.argv[1], method=SFT(n_epochs=1, batch_size=4))
data = Dataset.from_jsonl(sys.argv[2])
client.check(spec, data)
print("ready", flush=True)
sys.stdin.readline()
print(client.fine_tune(spec, data, run="one").id)
"""


def test_two_processes_with_one_run_name_make_one_private_job(
    client: Client, home: Path, base: Path, train: Dataset, tmp_path: Path
) -> None:
    train.write_jsonl(tmp_path / "sums.jsonl")
    command = ["-c", LAUNCH, str(base), str(tmp_path / "sums.jsonl")]
    first, second = together([command, command], timeout=120)
    assert first == second
    jobs = list(client.jobs())
    assert [job.id for job in jobs] == [first.strip()]
    run = home / "runs" / jobs[0].id
    assert stat.S_IMODE(run.stat().st_mode) == 0o700
    assert stat.S_IMODE(run.parent.stat().st_mode) == 0o700
    with pytest.raises(RunConflictError, match="seed") as caught:
        client.fine_tune(FineTuneSpec(model=str(base), seed=9), train, run="one")
    assert caught.value.next_step
    assert len(list(client.jobs())) == 1
    jobs[0].cancel()

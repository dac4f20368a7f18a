"""Local jobs with a real, torch-free worker process."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from toy_provider import (
    ToyProvider,
    end_all,
    make,
    spec_of,
    submit,
    until,
    upload,
    wait_for,
)

from tunekit.errors import ConflictError, NotFoundError
from tunekit.providers.base import JobEvent, JobStatus
from tunekit.providers.local.process import ProcessIdentity
from tunekit.providers.local.rundir import RunDir, take_lock
from tunekit.providers.local.statefile import read_json, write_json


@pytest.fixture
def toy(tmp_path: Path) -> Iterator[ToyProvider]:
    provider = make(tmp_path / "home")
    yield provider
    end_all(provider)


def run_of(toy: ToyProvider, tag: str) -> RunDir:
    return RunDir(toy.runs / tag)


def steps_of(toy: ToyProvider, tag: str) -> list[tuple[int, int]]:
    path = run_of(toy, tag).path / "steps.txt"
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines()
    return [(int(line.split()[0]), int(line.split()[1])) for line in lines]


def kill(toy: ToyProvider, tag: str) -> ProcessIdentity:
    """Kill the worker the hard way, and wait until it is gone."""
    identity = run_of(toy, tag).identity()
    assert identity is not None
    os.kill(identity.pid, signal.SIGKILL)
    until(lambda: not identity.alive)
    return identity


def test_a_job_runs_in_its_own_process_and_succeeds(toy: ToyProvider) -> None:
    job = submit(toy, "job-1")
    assert job.id == job.tag == "job-1"
    done = wait_for(toy, "job-1", "succeeded")
    assert done.fine_tuned_model is not None
    assert done.fine_tuned_model.id == str(toy.runs / "job-1" / "model")
    assert {pid for _, pid in steps_of(toy, "job-1")} != {os.getpid()}


def test_nobody_else_can_look_into_a_run_directory(toy: ToyProvider) -> None:
    submit(toy, "job-1")
    wait_for(toy, "job-1", "succeeded")
    folder = run_of(toy, "job-1").path
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(toy.runs.stat().st_mode) == 0o700


def test_submitting_the_same_tag_again_gives_the_same_job_and_no_second_worker(
    toy: ToyProvider,
) -> None:
    for _ in range(3):
        submit(toy, "job-1", steps=5, seconds=0.05)
    wait_for(toy, "job-1", "succeeded")
    submit(toy, "job-1", steps=5, seconds=0.05)
    assert [step for step, _ in steps_of(toy, "job-1")] == [1, 2, 3, 4, 5]


def test_the_same_tag_for_another_request_is_refused(toy: ToyProvider) -> None:
    submit(toy, "job-1", steps=5)
    with pytest.raises(ConflictError, match="another request"):
        submit(toy, "job-1", steps=6)


def test_submits_from_many_threads_start_one_worker(toy: ToyProvider) -> None:
    ref = upload(toy)
    spec = spec_of(steps=4, seconds=0.05)
    with ThreadPoolExecutor(8) as pool:
        jobs = list(pool.map(lambda _: toy.submit(spec, ref, None, tag="job-1"), range(16)))
    assert {job.id for job in jobs} == {"job-1"}
    wait_for(toy, "job-1", "succeeded")
    assert [step for step, _ in steps_of(toy, "job-1")] == [1, 2, 3, 4]
    assert [path.name for path in toy.runs.glob(".new-*")] == []


def test_many_who_look_at_a_dead_worker_write_one_verdict(toy: ToyProvider) -> None:
    submit(toy, "job-1", steps=1000, seconds=0.05)
    until(lambda: steps_of(toy, "job-1"))
    kill(toy, "job-1")
    with ThreadPoolExecutor(8) as pool:
        jobs = list(pool.map(lambda _: make(toy.home).fetch("job-1"), range(24)))
    assert {job.status for job in jobs} <= {JobStatus.FAILED, JobStatus.RUNNING}
    wait_for(toy, "job-1", "failed")
    words = [event.data.get("status") for event in toy.list_events("job-1").data]
    assert words.count("failed") == 1


def test_many_who_resume_start_one_worker(toy: ToyProvider) -> None:
    submit(toy, "job-1", steps=12, seconds=0.05)
    toy.pause("job-1")
    wait_for(toy, "job-1", "paused")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: make(toy.home).resume("job-1"), range(16)))
    wait_for(toy, "job-1", "succeeded")
    assert [step for step, _ in steps_of(toy, "job-1")] == list(range(1, 13))


def test_a_second_worker_on_the_same_directory_goes_away_quietly(toy: ToyProvider) -> None:
    submit(toy, "job-1", steps=40, seconds=0.05)
    until(lambda: steps_of(toy, "job-1"))
    run = run_of(toy, "job-1")
    second = subprocess.run(
        list(toy.worker_command(run)),
        env=dict(toy.worker_environment()),
        capture_output=True,
        timeout=20,
        check=False,
    )
    assert second.returncode == 0
    assert second.stdout == second.stderr == b""
    assert toy.fetch("job-1").status is JobStatus.RUNNING
    assert len({pid for _, pid in steps_of(toy, "job-1")}) == 1


def test_a_second_worker_after_the_end_does_nothing(toy: ToyProvider) -> None:
    submit(toy, "job-1")
    wait_for(toy, "job-1", "succeeded")
    run = run_of(toy, "job-1")
    before = run.status_file.read_bytes()
    subprocess.run(
        list(toy.worker_command(run)), env=dict(toy.worker_environment()), timeout=20, check=True
    )
    assert run.status_file.read_bytes() == before
    assert len(steps_of(toy, "job-1")) == 3


def test_a_launcher_killed_before_the_rename_leaves_no_job(toy: ToyProvider) -> None:
    """Killed for real, by a signal, in a process of its own."""
    _launch_and_die(toy, "before-rename")
    assert toy.find("job-1") is None
    assert submit(toy, "job-1").id == "job-1"
    wait_for(toy, "job-1", "succeeded")


def test_a_launcher_killed_between_rename_and_spawn_leaves_a_directory_that_never_ran(
    toy: ToyProvider,
) -> None:
    _launch_and_die(toy, "before-spawn")
    assert run_of(toy, "job-1").exists
    assert toy.find("job-1") is None
    with pytest.raises(NotFoundError):
        toy.fetch("job-1")
    assert toy.list_jobs().data == ()
    submit(toy, "job-1")
    wait_for(toy, "job-1", "succeeded")
    assert [step for step, _ in steps_of(toy, "job-1")] == [1, 2, 3]


def test_a_launcher_killed_right_after_the_spawn_leaves_one_worker(toy: ToyProvider) -> None:
    _launch_and_die(toy, "after-spawn")
    submit(toy, "job-1", steps=6, seconds=0.05)
    wait_for(toy, "job-1", "succeeded")
    assert [step for step, _ in steps_of(toy, "job-1")] == [1, 2, 3, 4, 5, 6]


LAUNCHER = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
import toy_provider
from tunekit.providers.local import supervisor

def die(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGKILL)

where = {where!r}
if where == "before-rename":
    Path.rename = die
elif where == "before-spawn":
    supervisor.spawn_detached = die
else:
    spawn = supervisor.spawn_detached
    def spawn_and_die(*args, **kwargs):
        spawn(*args, **kwargs)
        die()
    supervisor.spawn_detached = spawn_and_die
toy = toy_provider.make(Path({home!r}))
extra = dict(steps=6, seconds=0.05) if where == "after-spawn" else dict()
toy_provider.submit(toy, "job-1", **extra)
"""


def _launch_and_die(toy: ToyProvider, where: str) -> None:
    script = LAUNCHER.format(tests=str(Path(__file__).parent), where=where, home=str(toy.home))
    died = subprocess.run(
        [sys.executable, "-c", script],
        env=dict(toy.worker_environment()),
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert died.returncode == -signal.SIGKILL, died.stderr


def test_a_worker_that_is_killed_is_reported_with_its_signal_and_its_log(
    toy: ToyProvider,
) -> None:
    submit(toy, "job-1", die_at=2)
    job = wait_for(toy, "job-1", "failed")
    assert job.error is not None
    assert job.error.code == "worker-died"
    assert "about to die" in job.error.message
    until(lambda: run_of(toy, "job-1").exit_file.exists())
    assert toy.fetch("job-1") == job, "the verdict is written down and does not change"


def test_the_signal_is_known_to_other_processes_once_the_launcher_has_seen_it(
    toy: ToyProvider,
) -> None:
    submit(toy, "job-1", die_at=2)
    until(lambda: run_of(toy, "job-1").exit_file.exists())
    job = make(toy.home).fetch("job-1")
    assert job.error is not None
    assert "SIGKILL" in job.error.message


def test_a_worker_killed_after_its_launcher_is_gone_is_still_settled(toy: ToyProvider) -> None:
    script = LAUNCHER.format(tests=str(Path(__file__).parent), where="none", home=str(toy.home))
    script = script.replace("supervisor.spawn_detached = spawn_and_die", "pass").replace(
        'dict(steps=6, seconds=0.05) if where == "after-spawn" else dict()',
        "dict(steps=1000, seconds=0.05)",
    )
    subprocess.run(
        [sys.executable, "-c", script],
        env=dict(toy.worker_environment()),
        timeout=30,
        check=True,
    )
    until(lambda: steps_of(toy, "job-1"))
    kill(toy, "job-1")
    job = wait_for(toy, "job-1", "failed")
    assert job.error is not None
    assert "was killed, or the machine restarted" in job.error.message


def test_a_recycled_process_id_is_not_mistaken_for_the_worker(toy: ToyProvider) -> None:
    submit(toy, "job-1", steps=1000, seconds=0.05)
    until(lambda: steps_of(toy, "job-1"))
    run = run_of(toy, "job-1")
    identity = kill(toy, "job-1")
    # The number now belongs to a process that lives, but did not start when the worker did.
    mine = ProcessIdentity.mine()
    for path in (run.launch_file, run.status_file):
        content = read_json(path) or {}
        write_json(path, {**content, "worker": {**identity.to_json(), "pid": mine.pid}})
    assert wait_for(toy, "job-1", "failed").error is not None


def test_a_restart_of_the_machine_is_told_from_a_kill(toy: ToyProvider) -> None:
    submit(toy, "job-1", steps=1000, seconds=0.05)
    until(lambda: steps_of(toy, "job-1"))
    run = run_of(toy, "job-1")
    identity = kill(toy, "job-1")
    status = read_json(run.status_file) or {}
    old = {"pid": identity.pid, "started": "another-boot:1"}
    write_json(run.status_file, {**status, "worker": old})
    job = wait_for(toy, "job-1", "failed")
    assert job.error is not None
    assert "machine was restarted" in job.error.message


def test_a_worker_that_never_says_a_word_is_found_out(toy: ToyProvider) -> None:
    toy.supervisor.silence = 0.3
    submit(toy, "job-1", mute=True)
    assert toy.fetch("job-1").status is JobStatus.QUEUED
    job = wait_for(toy, "job-1", "failed")
    assert job.error is not None
    assert job.error.code == "worker-silent"


def test_a_living_worker_is_never_declared_dead_while_it_holds_the_lock(toy: ToyProvider) -> None:
    submit(toy, "job-1", steps=1000, seconds=0.05)
    until(lambda: steps_of(toy, "job-1"))
    run = run_of(toy, "job-1")
    identity = run.identity()
    assert identity is not None
    gone = {"pid": identity.pid, "started": "not-the-real-start"}
    write_json(run.launch_file, {**run.launch(), "worker": gone})
    status = read_json(run.status_file) or {}
    write_json(run.status_file, {**status, "worker": gone})
    assert not toy.fetch("job-1").is_terminal
    identity.end_group(grace=0)


def test_cancel_ends_the_whole_group_and_may_be_asked_for_again(toy: ToyProvider) -> None:
    submit(toy, "job-1", steps=1000, seconds=0.05)
    until(lambda: steps_of(toy, "job-1"))
    identity = run_of(toy, "job-1").identity()
    assert identity is not None
    assert toy.cancel("job-1").status in (JobStatus.CANCELLING, JobStatus.CANCELLED)
    toy.cancel("job-1")
    job = wait_for(toy, "job-1", "cancelled")
    assert job.error is None
    assert toy.cancel("job-1") == job
    until(lambda: not identity.alive)


def test_cancelling_a_finished_job_changes_nothing(toy: ToyProvider) -> None:
    submit(toy, "job-1")
    job = wait_for(toy, "job-1", "succeeded")
    assert toy.cancel("job-1") == job


def test_a_worker_that_ignores_the_cancel_is_killed_by_whoever_looks_later(
    toy: ToyProvider,
) -> None:
    submit(toy, "job-1", steps=1000, seconds=0.05, deaf=True)
    until(lambda: steps_of(toy, "job-1"))
    began = time.monotonic()
    assert toy.cancel("job-1").status is JobStatus.CANCELLING
    assert time.monotonic() - began < 0.5, "the call does not wait"
    toy.supervisor.grace = 0.2
    assert wait_for(toy, "job-1", "cancelled").error is None


def test_pause_saves_a_checkpoint_and_resume_goes_on_from_it(toy: ToyProvider) -> None:
    submit(toy, "job-1", steps=20, seconds=0.05)
    until(lambda: len(steps_of(toy, "job-1")) >= 2)
    assert toy.pause("job-1").status in (JobStatus.PAUSING, JobStatus.PAUSED)
    paused = wait_for(toy, "job-1", "paused")
    assert toy.pause("job-1").status is JobStatus.PAUSED
    (checkpoint,) = toy.list_checkpoints("job-1")
    assert checkpoint.step == len(steps_of(toy, "job-1"))
    assert checkpoint.metrics == {"train_loss": 1.5}
    assert paused.finished_at is None

    toy.resume("job-1")
    toy.resume("job-1")
    wait_for(toy, "job-1", "succeeded")
    assert [step for step, _ in steps_of(toy, "job-1")] == list(range(1, 21))
    assert len({pid for _, pid in steps_of(toy, "job-1")}) == 2


def test_a_paused_job_can_be_cancelled(toy: ToyProvider) -> None:
    submit(toy, "job-1", steps=1000, seconds=0.02)
    toy.pause("job-1")
    wait_for(toy, "job-1", "paused")
    toy.cancel("job-1")
    assert wait_for(toy, "job-1", "cancelled").error is None
    with pytest.raises(ConflictError, match="cannot be resumed"):
        toy.resume("job-1")


def test_a_resumed_worker_that_dies_before_its_first_word_leaves_the_job_paused(
    toy: ToyProvider,
) -> None:
    submit(toy, "job-1", steps=1000, seconds=0.02)
    toy.pause("job-1")
    wait_for(toy, "job-1", "paused")
    run = run_of(toy, "job-1")
    until(lambda: not toy.supervisor.look(run).worker_alive)
    spec = run.spec()
    write_json(run.spec_file, {**spec, "toy": {"mute": True}})
    assert toy.resume("job-1").status is JobStatus.RESUMING
    kill(toy, "job-1")
    assert wait_for(toy, "job-1", "paused").error is None
    write_json(run.spec_file, {**spec, "toy": {"steps": 3}})
    toy.resume("job-1")
    wait_for(toy, "job-1", "succeeded")


def test_a_failed_job_can_neither_be_paused_nor_resumed(toy: ToyProvider) -> None:
    submit(toy, "job-1", fail_at=1)
    job = wait_for(toy, "job-1", "failed")
    assert job.error is not None
    assert job.error.code == "toy-fault"
    with pytest.raises(ConflictError):
        toy.pause("job-1")
    with pytest.raises(ConflictError):
        toy.resume("job-1")


def test_a_worker_that_dies_after_its_model_is_in_place_has_succeeded(toy: ToyProvider) -> None:
    submit(toy, "job-1", steps=1000, seconds=0.02)
    until(lambda: steps_of(toy, "job-1"))
    run = run_of(toy, "job-1")
    run.model.mkdir()
    write_json(run.model / "tunekit.json", {"files": {}})
    kill(toy, "job-1")
    job = wait_for(toy, "job-1", "succeeded", "failed")
    assert job.status is JobStatus.SUCCEEDED
    assert job.fine_tuned_model is not None


def test_events_go_on_after_the_cursor_with_stable_ids(toy: ToyProvider) -> None:
    submit(toy, "job-1", steps=30, seconds=0.02)
    until(lambda: len(steps_of(toy, "job-1")) >= 3)
    first = toy.list_events("job-1")
    assert first.cursor is not None
    wait_for(toy, "job-1", "succeeded")
    rest = toy.list_events("job-1", first.cursor)
    whole = toy.list_events("job-1")
    assert first.data + rest.data == whole.data
    assert [event.id for event in whole.data] == [str(n) for n in range(1, len(whole.data) + 1)]
    assert toy.list_events("job-1", whole.cursor).data == ()
    assert whole.data[-1].data == {"status": "succeeded"}


def test_events_come_in_pages(toy: ToyProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    submit(toy, "job-1", steps=10)
    wait_for(toy, "job-1", "succeeded")
    whole = toy.list_events("job-1").data
    monkeypatch.setattr(ToyProvider, "events_per_page", 4)
    seen: list[JobEvent] = []
    cursor, more = None, True
    while more:
        page = toy.list_events("job-1", cursor)
        assert len(page.data) <= 4
        seen += page.data
        cursor, more = page.cursor, page.has_more
    assert tuple(seen) == whole


def test_a_line_torn_by_a_crash_costs_no_other_event(toy: ToyProvider) -> None:
    submit(toy, "job-1", steps=1000, seconds=0.02)
    until(lambda: steps_of(toy, "job-1"))
    run = run_of(toy, "job-1")
    kill(toy, "job-1")
    before = toy.list_events("job-1").data if run.events_file.exists() else ()
    with run.events_file.open("ab") as file:
        file.write(b'{"id": 99, "half')
    wait_for(toy, "job-1", "failed")
    after = toy.list_events("job-1").data
    assert after[: len(before)] == before
    assert after[-1].level == "error"


def test_jobs_are_listed_newest_first_in_pages(toy: ToyProvider) -> None:
    for number in range(5):
        submit(toy, f"job-{number}", steps=1)
    seen: list[str] = []
    cursor, more = None, True
    while more:
        page = toy.list_jobs(cursor, limit=2)
        seen += [job.id for job in page.data]
        cursor, more = page.cursor, page.has_more
    assert seen == ["job-4", "job-3", "job-2", "job-1", "job-0"]
    for tag in seen:
        wait_for(toy, tag, "succeeded")


@pytest.mark.parametrize("name", ["../job", "", ".files", "a/b", "nothing"])
def test_an_unknown_or_crooked_id_is_not_found(toy: ToyProvider, name: str) -> None:
    submit(toy, "job-1", steps=1)
    with pytest.raises(NotFoundError):
        toy.fetch(name)
    assert toy.find(name) is None
    wait_for(toy, "job-1", "succeeded")


def test_an_incomplete_checkpoint_is_not_shown(toy: ToyProvider) -> None:
    submit(toy, "job-1", steps=1000, seconds=0.02)
    toy.pause("job-1")
    wait_for(toy, "job-1", "paused")
    (whole,) = toy.list_checkpoints("job-1")
    half = run_of(toy, "job-1").checkpoints / "checkpoint-9999"
    half.mkdir()
    (half / "state.bin").write_bytes(bytes(5))
    assert [checkpoint.id for checkpoint in toy.list_checkpoints("job-1")] == [whole.id]
    Path(whole.model.id, "state.bin").write_bytes(bytes(3))
    assert list(toy.list_checkpoints("job-1")) == []


def test_the_account_names_the_runs_folder_and_needs_no_file_system(tmp_path: Path) -> None:
    provider = make(tmp_path / "nowhere")
    assert provider.account == f"local:{tmp_path}/nowhere/runs"
    assert not (tmp_path / "nowhere").exists()


def test_the_lock_of_a_run_is_free_again_when_its_worker_is_gone(toy: ToyProvider) -> None:
    submit(toy, "job-1")
    wait_for(toy, "job-1", "succeeded")
    run = run_of(toy, "job-1")
    lock: int = until(lambda: take_lock(run.lock_file), lambda held: held is not None)
    assert take_lock(run.lock_file) is None
    os.close(lock)

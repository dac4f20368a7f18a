from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli_support import ROWS, World, write_rows

from tunekit.cli.exits import Exit
from tunekit.errors import ProviderError
from tunekit.ledger import Ledger, RunState
from tunekit.providers.base import JobStatus


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


def test_run_follows_the_job_to_its_model(world: World) -> None:
    done = world.run_job()
    assert "Run first" in done.stdout
    assert "first  running  step 1/2  50%  loss 1\n" in done.stdout
    assert "first  succeeded" in done.stdout
    assert "tunekit deploy first --provider fake" in done.stdout


def test_run_with_json_is_one_document_and_talks_to_people_on_stderr(world: World) -> None:
    done = world.run_job("first", "--json")
    document = json.loads(done.stdout)
    assert document["run"] == "first"
    assert document["status"] == "succeeded"
    assert document["fine_tuned_model"]["id"] == "tuned-job-0"
    assert "raw" not in document
    assert "Run first" in done.stderr


def test_run_twice_is_one_job(world: World) -> None:
    world.run_job()
    world.run_job()
    assert world.fake.calls["submit"] == 1


def test_run_detached_returns_at_once_and_says_how_to_come_back(world: World) -> None:
    done = world.run_job("first", "--detach")
    assert world.fake.jobs["job-0"].snapshot.status is JobStatus.QUEUED
    assert "tunekit events first --follow --provider fake" in done.stdout
    assert "tunekit cancel first --provider fake" in done.stdout


def test_the_way_back_leads_to_the_same_account_and_holds_no_secret(world: World) -> None:
    done = world.run_job("first", "--detach", "--set", "account=x y", "--set", "api_key=hush")
    assert "--provider fake --set 'account=x y'\n" in done.stdout
    assert "hush" not in done.stdout


def test_a_failed_job_ends_the_run_with_its_reason(world: World) -> None:
    world.fake.script = [JobStatus.RUNNING, JobStatus.FAILED]
    done = world.run_job("first", "--json", code=Exit.FAILED)
    document = json.loads(done.stdout)["error"]
    assert document["type"] == "JobFailedError"
    assert document["snapshot"]["error"]["code"] == "fake-failure"
    assert "it was told to fail" in done.stderr


def test_a_follow_that_runs_out_of_time_leaves_the_job(world: World) -> None:
    world.fake.script = [JobStatus.RUNNING]
    world.run_job("first", "--timeout", "30s", code=Exit.TIMEOUT)
    assert world.fake.calls["cancel"] == 0


def test_faulty_data_is_refused_before_anything_is_sent(world: World) -> None:
    write_rows(world.data, [*ROWS, {"messages": []}])
    done = world.run_job(code=Exit.REFUSED)
    assert "data.jsonl:41" in done.stderr
    assert world.fake.calls["upload"] == world.fake.calls["submit"] == 0


def test_warnings_are_shown_and_stop_nothing(world: World) -> None:
    write_rows(world.data, [ROWS[0], ROWS[0], *ROWS[1:]])
    checked = json.loads(
        world.fake_call("check", "-m", "m", "--train", "data.jsonl", "--json").stdout
    )
    codes = [problem["code"] for problem in checked["problems"]]
    assert codes
    done = world.run_job()
    assert f"[{codes[0]}]" in done.stdout


def test_a_name_that_belongs_to_another_request_is_refused(world: World) -> None:
    world.run_job()
    done = world.run_job("first", "--epochs", "4", code=Exit.REFUSED)
    assert "n_epochs" in done.stderr


def test_a_provider_that_refuses_ends_in_its_own_code(world: World) -> None:
    world.fake.faults["submit"] = [ProviderError("no more today", provider="fake")]
    assert "no more today" in world.run_job(code=Exit.PROVIDER).stderr


def test_jobs_lists_run_and_job_whole_in_80_columns(world: World) -> None:
    world.run_job("a-run-name-that-is-rather-long-0123456789-abcdefghij")
    world.run_job("second", "--detach")
    lines = world.fake_call("jobs").stdout.splitlines()
    assert max(len(line) for line in lines) <= 80
    assert lines[0].split() == ["RUN", "STATUS", "CREATED"]
    assert lines[2].startswith("second ")
    assert lines[3].split() == ["job-1", "base", "-", "-"]
    assert lines[4].startswith("a-run-name-that-is-rather-long-0123456789-abcdefghij  succeeded")
    assert lines[5].split() == ["job-0", "base", "1/2", "1"]


def test_jobs_with_a_limit_lists_the_newest(world: World) -> None:
    for name in ("one", "two", "three"):
        world.run_job(name, "--detach")
    found = json.loads(world.fake_call("jobs", "-n", "2", "--json").stdout)["jobs"]
    assert [job["run"] for job in found] == ["three", "two"]


def test_jobs_are_listed_when_figures_cannot_be_read(world: World) -> None:
    world.run_job()
    world.fake.faults["list_events"] = [ProviderError("out of order", provider="fake")]
    done = world.fake_call("jobs")
    assert "first" in done.stdout
    assert "out of order" in done.stderr


def test_jobs_of_all_accounts_come_from_the_ledger(world: World) -> None:
    world.run_job()
    calls = world.fake.calls.total()
    found = json.loads(world.call("jobs", "--all", "--json").stdout)["runs"]
    assert [(run["name"], run["state"], run["job_id"]) for run in found] == [
        ("first", "submitted", "job-0")
    ]
    assert "first" in world.call("jobs", "--all").stdout
    assert world.fake.calls.total() == calls


def test_recover_settles_a_run_that_was_interrupted(world: World) -> None:
    world.run_job("first", "--detach")
    ledger = Ledger(world.home / "ledger.sqlite3")
    run = ledger.run("fake:tests", "first")
    assert run is not None
    ledger.set_state(run.tag, RunState.SUBMITTING)
    done = world.fake_call("jobs", "--recover")
    assert "Run first is settled: its job is job-0." in done.stderr
    assert world.fake.calls["submit"] == 1


def test_events_are_given_by_run_name_and_by_job_id(world: World) -> None:
    world.run_job()
    by_name = world.fake_call("events", "first").stdout
    assert by_name == world.fake_call("events", "job-0").stdout
    assert next(line.split("  ")[1] for line in by_name.splitlines()) == "Created with file-0"


def test_events_with_json_are_one_document_a_line(world: World) -> None:
    world.run_job()
    lines = world.fake_call("events", "first", "--json").stdout.splitlines()
    events = [json.loads(line) for line in lines]
    assert [event["type"] for event in events][:2] == ["message", "metrics"]
    last = world.fake_call("events", "first", "--json", "--tail", "1").stdout
    assert json.loads(last) == events[-1]


def test_following_events_ends_with_the_job_and_in_its_code(world: World) -> None:
    world.run_job("good", "--detach")
    assert "Now succeeded" in world.fake_call("events", "good", "--follow").stdout
    world.fake.script = [JobStatus.RUNNING, JobStatus.FAILED]
    world.run_job("bad", "--detach")
    done = world.fake_call("events", "bad", "--follow", code=Exit.FAILED)
    assert "Now failed" in done.stdout
    assert "told to fail" in done.stderr


def test_cancel_pause_and_resume_say_how_the_job_stands(world: World) -> None:
    world.run_job("first", "--detach")
    world.run_job("second", "--detach")
    assert "is paused" in world.fake_call("pause", "first").stdout
    assert json.loads(world.fake_call("resume", "first", "--json").stdout)["status"] == "running"
    assert "is over: cancelled" in world.fake_call("cancel", "second").stdout
    world.fake_call("cancel", "nobody", code=Exit.NOT_FOUND)


def test_plot_draws_to_the_terminal_in_80_columns(world: World) -> None:
    world.run_job()
    lines = world.fake_call("plot", "first").stdout.splitlines()
    assert lines[0] == "first"
    assert lines[1].startswith("training loss: 1 → 1")
    assert max(len(line) for line in lines) <= 80


def test_plot_draws_a_picture(world: World) -> None:
    pytest.importorskip("matplotlib")
    world.run_job()
    done = world.fake_call("plot", "first", "--out", "curve.png")
    assert "curve.png" in done.stdout
    assert (world.folder / "curve.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", ["no-such-folder/curve.png", "curve.nonsense"])
def test_plot_refuses_a_picture_that_cannot_be_written(world: World, name: str) -> None:
    pytest.importorskip("matplotlib")
    world.run_job()
    done = world.fake_call("plot", "first", "--out", name, code=Exit.REFUSED)
    assert name in done.stderr


def test_plot_without_matplotlib_names_what_to_install(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    world.run_job()
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.setitem(sys.modules, "matplotlib.backends.backend_agg", None)
    done = world.fake_call("plot", "first", "--out", "curve.png", code=Exit.MACHINE)
    assert "pip install 'matplotlib>=3.10'" in done.stderr


def test_plot_of_a_job_without_figures_says_so(world: World) -> None:
    world.fake.script = [JobStatus.QUEUED, JobStatus.CANCELLED]
    world.run_job("first", "--detach")
    assert "no figures" in world.fake_call("plot", "first", code=Exit.FAILED).stderr

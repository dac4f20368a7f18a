"""The whole life of a fine-tune on this machine, with nothing mocked.

A real worker trains the small base that ships with the package, a real server answers, real
processes are killed, and other real processes find what they left.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import tunekit
from tunekit import SFT, Client, Dataset, FineTuneSpec, Job, JobStatus, LoRA
from tunekit.errors import JobCancelledError, JobFailedError, JobPausedError, NotFoundError
from tunekit.providers.base import DeploymentStatus
from tunekit.providers.local.process import ProcessIdentity
from tunekit.quickstart import BASE_MODEL, recipes

pytestmark = [pytest.mark.torch, pytest.mark.e2e]

ROWS = recipes.generate(400, seed=11)
# The usual rate is for large models; one of a million weights learns too little from it.
RATE = {"learning_rate": 5e-3}
EACH_STEP = {"trl": {**RATE, "logging_steps": 1}}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def client(home: Path) -> Iterator[Client]:
    patch = pytest.MonkeyPatch()
    patch.setenv("TUNEKIT_HOME", str(home))
    with tunekit.connect(provider="trl") as connected:
        yield connected
        # A test that failed half-way must leave nothing running.
        for deployment in connected.deployments():
            deployment.delete()
        for job in connected.jobs():
            if not job.status.is_terminal:
                job.cancel()
    patch.undo()


@pytest.fixture(scope="module")
def data() -> tuple[Dataset, Dataset]:
    train, validation = Dataset.from_records(ROWS).split(360, 40, seed=3)
    return train, validation


def spec(**changes: Any) -> FineTuneSpec:
    settings: dict[str, Any] = {
        "model": BASE_MODEL,
        "method": SFT(n_epochs=1, batch_size=8),
        "adapter": LoRA(r=8),
        "seed": 5,
        "options": {"trl": {**RATE, "logging_steps": 5}},
    }
    return FineTuneSpec(**{**settings, **changes})


@pytest.fixture(scope="module")
def tuned(client: Client, data: tuple[Dataset, Dataset]) -> Job:
    return client.fine_tune(spec(), *data, run="whole-life").wait(timeout=300)


def in_another_process(home: Path, code: str) -> Any:
    """Run code with a connected `client` in a fresh interpreter and return what it prints."""
    program = "import json, tunekit\nclient = tunekit.connect(provider='trl')\n"
    done = subprocess.run(
        [sys.executable, "-c", program + textwrap.dedent(code)],
        env={**os.environ, "TUNEKIT_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def until(look: Callable[[], bool], seconds: float = 180) -> None:
    deadline = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < deadline, f"not so after {seconds} s"
        time.sleep(0.05)


def wait_for_step(job: Job, step: int) -> None:
    """Wait until a metrics event, which is written at once, tells of this step."""

    def reached() -> bool:
        if any(row["step"] >= step for row in job.metrics()):
            return True
        assert not job.refresh().snapshot.is_terminal, f"it ended too early: {job.snapshot}"
        return False

    until(reached)


def endless(seed: int) -> FineTuneSpec:
    """More steps than any machine can do before a test has found the worker."""
    return spec(seed=seed, method=SFT(n_epochs=50, batch_size=4), options=EACH_STEP)


def worker_of(home: Path, job: Job) -> ProcessIdentity:
    status = json.loads((home / "runs" / job.id / "status.json").read_text(encoding="utf-8"))
    identity = ProcessIdentity.from_json(status["worker"])
    assert identity is not None
    return identity


def test_training_reports_figures_and_leaves_a_model(tuned: Job, home: Path) -> None:
    assert tuned.status is JobStatus.SUCCEEDED
    losses = [row["train_loss"] for row in tuned.metrics() if "train_loss" in row]
    assert len(losses) >= 5
    assert losses[-1] < losses[0] / 2
    model = Path(tuned.result().id)
    assert (model / "adapter_model.safetensors").stat().st_size > 0
    assert (home / "runs" / tuned.id).stat().st_mode & 0o077 == 0


def test_repeating_the_line_returns_the_same_job(
    client: Client, data: tuple[Dataset, Dataset], tuned: Job
) -> None:
    assert client.fine_tune(spec(), *data, run="whole-life").id == tuned.id


def test_another_process_finds_the_job_and_its_events(home: Path, tuned: Job) -> None:
    seen = in_another_process(
        home,
        """
        job = client.job("whole-life")
        print(json.dumps([job.id, job.status.value, sum(1 for _ in job.events())]))
        """,
    )
    assert seen[:2] == [tuned.id, "succeeded"]
    assert seen[2] == sum(1 for _ in tuned.events())


def test_tuned_model_is_deployed_and_answers_and_is_gone_after_the_block(
    client: Client, home: Path, tuned: Job
) -> None:
    question = ROWS[0]["messages"][1]["content"]
    with tuned.result().deploy(ttl="5m") as endpoint:
        text = endpoint.chat(question, temperature=0, max_tokens=80).text
        streamed = "".join(endpoint.stream(question, temperature=0, max_tokens=80))
        assert text == streamed
        assert text.strip()[:1] == ROWS[0]["messages"][-1]["content"][0]
        listed = in_another_process(
            home, "print(json.dumps([d.name for d in client.deployments()]))"
        )
        assert listed == [endpoint.name]
    assert client.deployments() == []
    with pytest.raises(NotFoundError):
        client.deployment(endpoint.name)


def test_another_process_deletes_a_deployment_left_standing(
    client: Client, home: Path, tuned: Job
) -> None:
    left = tuned.result().deploy(name="left-standing", ttl="5m")
    assert left.check() is DeploymentStatus.READY
    in_another_process(
        home, "client.deployment('left-standing').delete()\nprint(json.dumps('done'))"
    )
    assert client.deployments() == []


def test_killed_worker_is_reported_and_leaves_no_model(
    client: Client, home: Path, data: tuple[Dataset, Dataset]
) -> None:
    job = client.fine_tune(endless(seed=6), *data, run="killed")
    wait_for_step(job, 1)
    os.kill(worker_of(home, job).pid, signal.SIGKILL)
    with pytest.raises(JobFailedError) as caught:
        job.wait(timeout=60)
    assert caught.value.snapshot is not None
    assert caught.value.snapshot.error is not None
    assert caught.value.snapshot.error.code == "worker-died"
    assert not (home / "runs" / job.id / "model").exists()


def test_paused_job_goes_on_where_it_stopped(client: Client, data: tuple[Dataset, Dataset]) -> None:
    two_epochs = spec(seed=7, method=SFT(n_epochs=2, batch_size=8), options=EACH_STEP)
    job = client.fine_tune(two_epochs, *data, run="paused")
    wait_for_step(job, 3)
    job.pause()
    with pytest.raises(JobPausedError):
        job.wait(timeout=120)
    paused_at = job.refresh().snapshot.progress
    assert paused_at is not None
    assert job.checkpoints()[-1].step == paused_at.step
    job.resume()
    job.wait(timeout=300)
    steps = [row["step"] for row in job.metrics() if "train_loss" in row]
    assert steps == list(range(1, 91)), "no step was done twice or left out"
    assert job.snapshot.progress is not None
    assert job.snapshot.progress.step == 90


def test_cancelled_job_leaves_no_process(
    client: Client, home: Path, data: tuple[Dataset, Dataset]
) -> None:
    job = client.fine_tune(endless(seed=8), *data, run="cancelled")
    wait_for_step(job, 1)
    worker = worker_of(home, job)
    job.cancel()
    with pytest.raises(JobCancelledError):
        job.wait(timeout=60)
    until(lambda: not worker.alive, seconds=30)
    assert not (home / "runs" / job.id / "model").exists()


def test_launcher_killed_while_submitting_leads_to_exactly_one_job(
    client: Client, home: Path, tmp_path: Path
) -> None:
    Dataset.from_records(ROWS[:60]).write_jsonl(tmp_path / "rows.jsonl")
    launch = f"""
        import os, signal, sys
        from tunekit import Dataset, FineTuneSpec, SFT
        from tunekit.providers.trl import TrlProvider
        create = TrlProvider.submit
        def submit_then_die(self, *args, **kwargs):
            create(self, *args, **kwargs)
            os.kill(os.getpid(), signal.SIGKILL)
        if sys.argv[1:] == ["die"]:
            TrlProvider.submit = submit_then_die
        spec = FineTuneSpec(model={BASE_MODEL!r}, method=SFT(n_epochs=1, batch_size=8))
        client.fine_tune(spec, Dataset.from_jsonl({str(tmp_path / "rows.jsonl")!r}), run="orphan")
        """
    program = "import tunekit\nclient = tunekit.connect(provider='trl')\n" + textwrap.dedent(launch)
    environment = {**os.environ, "TUNEKIT_HOME": str(home)}
    before = {job.id for job in client.jobs()}
    died = subprocess.run(
        [sys.executable, "-c", program, "die"], env=environment, timeout=120, check=False
    )
    assert died.returncode == -signal.SIGKILL
    again = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert again.returncode == 0, again.stderr
    created = {job.id for job in client.jobs()} - before
    assert created == {client.job("orphan").id}
    assert client.job("orphan").wait(timeout=200).status is JobStatus.SUCCEEDED

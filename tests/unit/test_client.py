"""The client and the handles on jobs and models, over the fake."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import pytest
from pydantic import SecretStr

from conftest import chat_rows
from tunekit.capabilities import Capability, Support, no
from tunekit.client import Client, connect
from tunekit.config import Config
from tunekit.data import Dataset
from tunekit.engine.core import public_settings
from tunekit.errors import (
    ConfigError,
    JobCancelledError,
    JobFailedError,
    JobPausedError,
    NotFoundError,
    PreflightError,
    UnclearReplyError,
    UnknownModelError,
    UnknownProviderError,
    UnsupportedError,
)
from tunekit.problems import Report
from tunekit.providers.base import Estimate, JobStatus, ModelRef, ProviderSettings
from tunekit.spec import FineTuneSpec
from tunekit.testing import FakeProvider, VirtualClock

# -- connecting --------------------------------------------------------------------------------


def test_a_ready_provider_is_connected_to_with_its_own_home(
    client: Client, provider: FakeProvider, home: Path
) -> None:
    assert client.provider is provider
    assert client.session.ledger.path == home / "ledger.sqlite3"
    assert client.session.profile.name is None


def test_connecting_does_no_io(provider: FakeProvider, config: Config) -> None:
    connect(provider=provider, config=config)
    assert not provider.calls
    assert not provider.home.exists()


def test_a_profile_and_a_provider_together_are_refused(provider: FakeProvider) -> None:
    for named in ("trl", provider):
        with pytest.raises(ConfigError, match=r"Both a profile \('prod'\) and a provider"):
            connect("prod", provider=named)


def test_settings_for_a_ready_provider_are_refused_rather_than_dropped(
    provider: FakeProvider,
) -> None:
    with pytest.raises(ConfigError, match="takes no settings, but got `account`"):
        connect(provider=provider, account="other")


def test_an_unknown_provider_is_refused() -> None:
    with pytest.raises(UnknownProviderError, match="'tlr'. Did you mean 'trl'"):
        connect(provider="tlr")


def test_a_client_is_closed_at_the_end_of_its_block(
    provider: FakeProvider, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[bool] = []
    monkeypatch.setattr(provider, "close", lambda: closed.append(True))
    with connect(provider=provider, config=config) as client:
        assert not closed
        assert repr(client) == "<Client 'fake:tests'>"
    assert closed == [True]


# -- models ------------------------------------------------------------------------------------


def test_a_logical_model_reaches_the_provider_under_its_own_name(
    provider: FakeProvider, tmp_path: Path, spec: FineTuneSpec, train: Dataset
) -> None:
    path = tmp_path / "tunekit.toml"
    path.write_text('[models.small]\nfake = "fake-1b"\n[models.big]\nazure = "x"\n')
    client = connect(provider=provider, config=Config(path, environ={}))
    assert client.fine_tune(spec, train).snapshot.model == "fake-1b"
    assert client.model("small").id == "fake-1b"
    assert client.model("other").id == "other"
    with pytest.raises(UnknownModelError, match="'big'"):
        client.fine_tune(spec.with_model("big"), train)


def test_the_model_of_a_job_knows_where_it_comes_from(
    client: Client, spec: FineTuneSpec, train: Dataset
) -> None:
    job = client.fine_tune(spec, train)
    model = job.result()
    assert model.id == f"tuned-{job.id}"
    assert model.base_model == "small"
    assert model.ref.job_id == job.id
    assert repr(model) == f"<TunedModel 'tuned-{job.id}'>"
    assert client.model(model.ref).ref == model.ref


def test_what_the_provider_cannot_do_with_models_says_why(client: Client, tmp_path: Path) -> None:
    model = client.model("m")
    for verb in (
        model.artifacts,
        model.merge,
        lambda: model.download(tmp_path / "x"),
        lambda: model.push("me/x"),
    ):
        with pytest.raises(UnsupportedError, match="'fake' cannot do this .*there are no weights"):
            verb()


def test_deleting_a_model_asks_the_provider(client: Client, provider: FakeProvider) -> None:
    provider.faults["delete_model"] = [UnclearReplyError("503")]
    client.model("m").delete()
    assert provider.calls["delete_model"] == 2


# -- jobs --------------------------------------------------------------------------------------


def test_a_job_succeeds_and_says_so(client: Client, spec: FineTuneSpec, train: Dataset) -> None:
    job = client.fine_tune(spec, train, run="r")
    assert (job.status, job.run) == (JobStatus.QUEUED, "r")
    assert repr(job) == "<Job 'job-0' queued>"
    assert job.refresh() is job
    assert job.snapshot.status is JobStatus.RUNNING
    assert job.wait() is job
    assert job.snapshot.status.value == "succeeded"


def test_a_watch_gives_each_snapshot_and_keeps_the_last(
    client: Client, spec: FineTuneSpec, train: Dataset
) -> None:
    job = client.fine_tune(spec, train)
    seen = [snapshot.status.value for snapshot in job.watch()]
    assert seen == ["running", "running", "succeeded"]
    assert job.status is JobStatus.SUCCEEDED


def test_a_failed_job_says_why(
    client: Client, provider: FakeProvider, spec: FineTuneSpec, train: Dataset
) -> None:
    provider.script = [JobStatus.RUNNING, JobStatus.FAILED]
    job = client.fine_tune(spec, train)
    with pytest.raises(JobFailedError, match=r"it was told to fail \[fake-failure\]") as caught:
        job.result()
    assert caught.value.snapshot is not None
    assert caught.value.snapshot.id == job.id
    assert job.status is JobStatus.FAILED


def test_a_job_that_succeeded_without_a_model_is_no_success(
    client: Client, provider: FakeProvider, spec: FineTuneSpec, train: Dataset
) -> None:
    job = client.fine_tune(spec, train).wait()
    held = provider.jobs[job.id]
    held.snapshot = held.snapshot.model_copy(update={"fine_tuned_model": None})
    with pytest.raises(JobFailedError, match="names no tuned model"):
        job.result()


def test_cancelling_twice_or_at_the_end_is_harmless(
    client: Client, spec: FineTuneSpec, train: Dataset
) -> None:
    job = client.fine_tune(spec, train)
    assert job.cancel().cancel().status is JobStatus.CANCELLED
    with pytest.raises(JobCancelledError):
        job.wait()
    done = client.fine_tune(spec, train, run="other").wait()
    assert done.cancel().status is JobStatus.SUCCEEDED


def test_a_paused_job_raises_until_it_is_resumed(
    client: Client, spec: FineTuneSpec, train: Dataset
) -> None:
    job = client.fine_tune(spec, train)
    assert job.pause().status is JobStatus.PAUSED
    with pytest.raises(JobPausedError, match=r"`job.resume\(\)`"):
        job.wait()
    assert job.resume().wait().status is JobStatus.SUCCEEDED


def test_a_provider_that_cannot_pause_or_cancel_says_why(
    home: Path, config: Config, clock: VirtualClock, spec: FineTuneSpec, train: Dataset
) -> None:
    class Stubborn(FakeProvider):
        capabilities: ClassVar[Mapping[Capability, Support]] = {
            **FakeProvider.capabilities,
            Capability.PAUSE: no("it never rests"),
            Capability.CANCEL: no("it never stops"),
            Capability.CHECKPOINTS: no("it keeps none"),
        }

    job = connect(provider=Stubborn(home=home), config=config).fine_tune(spec, train)
    with pytest.raises(UnsupportedError, match=r"\(pause\): it never rests\."):
        job.pause()
    with pytest.raises(UnsupportedError, match=r"\(pause\): it never rests\."):
        job.resume()
    with pytest.raises(UnsupportedError, match=r"\(cancel\): it never stops\."):
        job.cancel()
    with pytest.raises(UnsupportedError, match="it keeps none"):
        job.checkpoints()


def test_events_and_metrics_and_checkpoints_of_a_job(
    client: Client, provider: FakeProvider, spec: FineTuneSpec, train: Dataset
) -> None:
    job = client.fine_tune(spec, train)
    assert job.checkpoints() == []
    messages = [event.message for event in job.events(follow=True)]
    assert messages[0].startswith("Created with file-")
    assert messages[-1] == "Now succeeded"
    assert [event.message for event in job.events()] == messages
    assert job.metrics() == [{"step": 1, "train_loss": 1.0}]
    (checkpoint,) = job.checkpoints()
    assert (checkpoint.step, checkpoint.model.step) == (1, 1)


def test_events_can_be_read_on_from_an_event(
    client: Client, spec: FineTuneSpec, train: Dataset
) -> None:
    job = client.fine_tune(spec, train).wait()
    first, second, *rest = job.events()
    assert [event.id for event in job.events(after=second.id)] == [event.id for event in rest]
    assert next(iter(job.events(after=first.id))).id == second.id


def test_launch_reports_warnings_and_a_repeated_launch_reports_nothing(
    client: Client, spec: FineTuneSpec
) -> None:
    few = Dataset.from_records(chat_rows(4))
    reports: list[Report] = []
    client.fine_tune(spec, few, run="r", on_report=reports.append)
    client.fine_tune(spec, few, run="r", on_report=reports.append)
    (report,) = reports
    assert [problem.code for problem in report.warnings] == ["few-rows"]


def test_upload_progress_reaches_the_end(
    client: Client, spec: FineTuneSpec, train: Dataset
) -> None:
    seen: list[tuple[int, int]] = []
    client.fine_tune(spec, train, on_upload=lambda done, of: seen.append((done, of)))
    assert seen[-1][0] == seen[-1][1] > 0


def test_estimating_with_an_unknown_option_is_refused_like_a_launch(
    client: Client, spec: FineTuneSpec, train: Dataset
) -> None:
    odd = spec.model_copy(update={"options": {"fake": {"frobnicate": 1}}})
    with pytest.raises(PreflightError, match="frobnicate"):
        client.estimate(odd, train)


def test_a_name_that_is_nearly_a_logical_model_is_suspected(
    provider: FakeProvider, spec: FineTuneSpec, train: Dataset, tmp_path: Path
) -> None:
    (tmp_path / "t.toml").write_text('[models.small]\nfake = "m"\n', encoding="utf-8")
    client = connect(provider=provider, config=tmp_path / "t.toml")
    (problem,) = client.check(spec.with_model("smal"), train).warnings
    assert problem.code == "nearly-a-logical-model"
    assert "'small'" in problem.fix
    assert not client.check(spec.with_model("small"), train).warnings


def test_a_budget_that_cannot_be_checked_is_said(
    provider: FakeProvider,
    spec: FineTuneSpec,
    train: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "t.toml").write_text("[budget]\nmax_usd_per_job = 5\n", encoding="utf-8")
    client = connect(provider=provider, config=tmp_path / "t.toml")
    monkeypatch.setattr(provider, "estimate", lambda *_: Estimate())
    report = client.check(spec, train)
    assert [problem.code for problem in report.warnings] == ["budget-unchecked"]
    assert report.ok


def test_a_job_is_found_by_run_name_and_by_id(
    client: Client, spec: FineTuneSpec, train: Dataset
) -> None:
    job = client.fine_tune(spec, train, run="r")
    assert client.job("r").id == client.job(job.id).id == job.id
    assert client.job(job.id).run == "r"
    with pytest.raises(NotFoundError, match="'nobody'"):
        client.job("nobody")


def test_a_job_that_was_not_started_from_here_has_no_run(
    client: Client, provider: FakeProvider, spec: FineTuneSpec, train: Dataset
) -> None:
    job = client.fine_tune(spec, train)
    client.session.ledger.path.unlink()
    assert client.job(job.id).run is None


def test_jobs_are_listed_newest_first_over_all_pages(
    client: Client, provider: FakeProvider, spec: FineTuneSpec, train: Dataset
) -> None:
    for number in range(45):
        client.fine_tune(spec, train, run=f"r{number}")
    assert [job.id for job in client.jobs()] == [f"job-{n}" for n in reversed(range(45))]
    assert provider.calls["list_jobs"] == 3
    assert [job.id for job in client.jobs(limit=2)] == ["job-44", "job-43"]
    assert list(client.jobs(limit=0)) == []


def test_an_estimate_comes_from_the_provider(
    client: Client, spec: FineTuneSpec, train: Dataset
) -> None:
    estimate = client.estimate(spec, train)
    assert estimate.tokens
    assert estimate.usd == pytest.approx(estimate.tokens / 1000)


def test_secrets_are_left_out_of_what_is_written_down(
    provider: FakeProvider, config: Config, spec: FineTuneSpec, train: Dataset
) -> None:
    class Settings(ProviderSettings):
        region: str = "north"
        api_key: SecretStr = SecretStr("hush-hush")
        tier: str | None = None

    assert public_settings(Settings()) == {"region": "north"}
    client = connect(provider=provider, config=config)
    client.fine_tune(spec, train, run="r")
    line = client.session.ledger.run("fake:tests", "r")
    assert line is not None
    assert json.loads(json.dumps(line.settings)) == {
        "account": "tests",
        "base_url": "http://127.0.0.1:9/v1",
    }


def test_a_model_reference_needs_no_job(client: Client) -> None:
    assert client.model(ModelRef(id="x", provider="fake")).base_model is None

"""Submission, case by case: how often the provider is asked, and what is said when it fails."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from typing_extensions import override

from tunekit.client import Client, connect
from tunekit.config import Config
from tunekit.data import Dataset
from tunekit.engine import submission
from tunekit.engine.plans import run
from tunekit.engine.submission import LOCK_PATIENCE, RATE_LIMIT_PATIENCE, recover
from tunekit.errors import (
    DataError,
    InvalidRequestError,
    NotFoundError,
    PreflightError,
    RateLimitError,
    RunConflictError,
    UnclearReplyError,
    WaitTimeoutError,
)
from tunekit.ledger import Ledger, Run, RunState
from tunekit.providers.base import FileRef, JobSnapshot
from tunekit.spec import SFT, FineTuneSpec
from tunekit.testing import FakeProvider, FakeSettings, VirtualClock


def again(provider: FakeProvider, config: Config, clock: VirtualClock) -> Client:
    """A client as another process would make it, on the same server and ledger."""
    fresh = FakeProvider(home=provider.home, clock=clock)
    fresh.jobs, fresh.files, fresh.faults = provider.jobs, provider.files, provider.faults
    return connect(provider=fresh, config=config, clock=clock)


def only_run(ledger: Ledger) -> Run:
    (line,) = ledger.runs()
    return line


def test_a_clear_answer_takes_one_create_call_and_no_look(
    client: Client, provider: FakeProvider, spec: FineTuneSpec, train: Dataset, clock: VirtualClock
) -> None:
    job = client.fine_tune(spec, train, run="r")
    assert provider.calls == {"upload": 1, "submit": 1}
    assert job.snapshot.tag == only_run(client.session.ledger).tag
    assert clock.sleeps == []


def test_a_create_call_that_never_arrived_is_made_again_once_the_provider_is_sure(
    client: Client, provider: FakeProvider, spec: FineTuneSpec, train: Dataset, clock: VirtualClock
) -> None:
    provider.faults["submit"] = ["drop-before"]
    job = client.fine_tune(spec, train)
    assert list(provider.jobs) == [job.id]
    assert provider.calls["submit"] == 2
    assert provider.calls["find"] == 1 + len(provider.settle_delays)
    assert clock.sleeps == list(provider.settle_delays)


def test_a_create_call_whose_answer_was_lost_is_not_made_again(
    client: Client, provider: FakeProvider, spec: FineTuneSpec, train: Dataset
) -> None:
    provider.faults["submit"] = ["drop-after"]
    job = client.fine_tune(spec, train)
    assert list(provider.jobs) == [job.id]
    assert provider.calls["submit"] == 1
    assert only_run(client.session.ledger).state is RunState.SUBMITTED


def test_looks_that_fail_for_a_while_are_waited_out(
    client: Client, provider: FakeProvider, spec: FineTuneSpec, train: Dataset, clock: VirtualClock
) -> None:
    provider.faults["submit"] = ["drop-after"]
    provider.faults["find"] = [UnclearReplyError("503")] * 4
    job = client.fine_tune(spec, train)
    assert list(provider.jobs) == [job.id]
    assert provider.calls["submit"] == 1
    assert clock.sleeps == [1, 2, 4, 8]


def test_looks_that_fail_for_too_long_leave_the_run_to_the_next_call(
    client: Client, provider: FakeProvider, spec: FineTuneSpec, train: Dataset, clock: VirtualClock
) -> None:
    provider.faults["submit"] = ["drop-after"]
    provider.faults["find"] = [UnclearReplyError("503")] * 50
    with pytest.raises(UnclearReplyError):
        client.fine_tune(spec, train)
    assert only_run(client.session.ledger).state is RunState.SUBMITTING
    assert sum(clock.sleeps) <= 300
    provider.faults.clear()
    job = client.fine_tune(spec, train)
    assert list(provider.jobs) == [job.id]
    assert provider.calls["submit"] == 1


@pytest.mark.parametrize("looks", range(7))
def test_a_list_that_shows_a_new_job_late_is_looked_at_with_patience(
    home: Path,
    config: Config,
    spec: FineTuneSpec,
    train: Dataset,
    clock: VirtualClock,
    looks: int,
) -> None:
    class Late(FakeProvider):
        hidden = looks

        @override
        def find(self, tag: str) -> JobSnapshot | None:
            found = super().find(tag)
            self.hidden -= 1
            return found if self.hidden < 0 else None

    provider = Late(home=home, clock=clock)
    provider.faults["submit"] = ["drop-after"]
    job = connect(provider=provider, config=config, clock=clock).fine_tune(spec, train)
    certain = 1 + len(provider.settle_delays)
    assert len(provider.jobs) == (1 if looks < certain else 2)  # "sure" is the provider's word
    assert job.id in provider.jobs


def test_a_create_call_is_given_up_after_three_lost_ones_that_came_to_nothing(
    client: Client, provider: FakeProvider, spec: FineTuneSpec, train: Dataset
) -> None:
    provider.faults["submit"] = ["drop-before"] * 3
    with pytest.raises(UnclearReplyError):
        client.fine_tune(spec, train)
    assert provider.calls["submit"] == submission.CREATE_ATTEMPTS == 3
    assert only_run(client.session.ledger).state is RunState.REFUSED
    assert client.fine_tune(spec, train).id in provider.jobs
    assert len(provider.jobs) == 1


def test_a_rate_limit_is_waited_out_as_long_as_the_provider_asks(
    client: Client, provider: FakeProvider, spec: FineTuneSpec, train: Dataset, clock: VirtualClock
) -> None:
    provider.faults["submit"] = [RateLimitError("a", retry_after=45), RateLimitError("b")]
    client.fine_tune(spec, train)
    assert clock.sleeps == [45, 10]
    assert len(provider.jobs) == 1
    assert provider.calls["find"] == 0


def test_a_rate_limit_that_asks_for_no_pause_is_not_hammered(
    client: Client, provider: FakeProvider, spec: FineTuneSpec, train: Dataset, clock: VirtualClock
) -> None:
    provider.faults["submit"] = [RateLimitError("a", retry_after=0)] * 5
    client.fine_tune(spec, train)
    assert clock.sleeps == [1] * 5


def test_a_rate_limit_without_end_is_reported_and_leaves_nothing_behind(
    client: Client, provider: FakeProvider, spec: FineTuneSpec, train: Dataset, clock: VirtualClock
) -> None:
    provider.faults["submit"] = [RateLimitError("a", retry_after=100)] * 50
    with pytest.raises(RateLimitError):
        client.fine_tune(spec, train)
    assert sum(clock.sleeps) <= RATE_LIMIT_PATIENCE
    assert not provider.jobs
    assert only_run(client.session.ledger).state is RunState.REFUSED


def test_a_refusal_is_written_down_and_the_next_call_creates_with_the_same_tag(
    client: Client, provider: FakeProvider, spec: FineTuneSpec, train: Dataset
) -> None:
    provider.faults["submit"] = [InvalidRequestError("no such model")]
    with pytest.raises(InvalidRequestError, match="no such model"):
        client.fine_tune(spec, train)
    refused = only_run(client.session.ledger)
    assert (refused.state, refused.detail) == (RunState.REFUSED, "no such model")
    with pytest.raises(NotFoundError, match="was never submitted: no such model"):
        client.job(refused.name)
    job = client.fine_tune(spec, train)
    assert job.snapshot.tag == refused.tag
    assert provider.calls == {"upload": 1, "submit": 2, "find": 1}


def test_files_that_the_provider_has_lost_are_sent_anew_by_the_next_call(
    client: Client, provider: FakeProvider, spec: FineTuneSpec, train: Dataset
) -> None:
    provider.faults["submit"] = [NotFoundError("no such file")]
    with pytest.raises(NotFoundError):
        client.fine_tune(spec, train)
    client.fine_tune(spec, train)
    assert provider.calls["upload"] == 2
    assert len(provider.jobs) == 1


def test_the_same_request_gets_its_job_without_preflight_and_without_upload(
    client: Client,
    provider: FakeProvider,
    config: Config,
    clock: VirtualClock,
    spec: FineTuneSpec,
    train: Dataset,
    validation: Dataset,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = client.fine_tune(spec, train, validation, run="r")
    other = again(provider, config, clock)
    monkeypatch.setattr("tunekit.engine.launching.preflight", None)  # calling it would raise
    second = other.fine_tune(spec, train, validation, run="r")
    assert second.id == first.id
    assert other.provider.calls == {"fetch": 1}  # type: ignore[attr-defined]


def test_the_same_content_is_sent_once_for_all_runs_of_an_account(
    client: Client, provider: FakeProvider, spec: FineTuneSpec, train: Dataset
) -> None:
    client.fine_tune(spec, train, run="a")
    client.fine_tune(spec, train, run="b")
    assert len(provider.jobs) == 2
    assert provider.calls["upload"] == 1


def test_another_request_under_the_same_name_is_refused_with_what_differs(
    client: Client, provider: FakeProvider, spec: FineTuneSpec, train: Dataset, validation: Dataset
) -> None:
    client.fine_tune(spec, train, validation, run="r")
    changed = spec.model_copy(update={"method": SFT(n_epochs=3), "seed": 8})
    with pytest.raises(RunConflictError, match="'r' already belongs to another request") as caught:
        client.fine_tune(changed, train, run="r")
    assert caught.value.run == "r"
    assert caught.value.differences == ("spec.method.n_epochs", "spec.seed", "validation")
    assert "`spec.method.n_epochs`" in str(caught.value)
    assert len(provider.jobs) == 1
    assert provider.calls["upload"] == 2


def test_a_conflict_is_found_before_preflight(
    client: Client, spec: FineTuneSpec, train: Dataset
) -> None:
    client.fine_tune(spec, train, run="r")
    bad_data = Dataset.from_records([{"messages": []}])
    with pytest.raises(RunConflictError, match="`train`"):
        client.fine_tune(spec, bad_data, run="r")


def test_a_corrected_request_takes_the_name_of_one_that_was_refused(
    client: Client, provider: FakeProvider, spec: FineTuneSpec, train: Dataset
) -> None:
    provider.faults["submit"] = [InvalidRequestError("no such model")]
    with pytest.raises(InvalidRequestError):
        client.fine_tune(spec, train, run="r")
    refused = only_run(client.session.ledger)
    job = client.fine_tune(spec.with_model("better"), train, run="r")
    line = only_run(client.session.ledger)
    assert (line.state, line.job_id) == (RunState.SUBMITTED, job.id)
    assert line.tag != refused.tag
    assert len(provider.jobs) == 1


def test_a_refused_name_is_kept_when_a_job_came_of_it_after_all(
    client: Client, provider: FakeProvider, spec: FineTuneSpec, train: Dataset
) -> None:
    provider.faults["submit"] = [InvalidRequestError("no")]
    with pytest.raises(InvalidRequestError):
        client.fine_tune(spec, train, run="r")
    tag = only_run(client.session.ledger).tag
    late = provider.submit(spec, FileRef(id="f", sha256="0", bytes=0), None, tag=tag)
    with pytest.raises(RunConflictError):
        client.fine_tune(spec.with_model("better"), train, run="r")
    assert list(provider.jobs) == [late.id]
    assert client.job("r").id == late.id


def test_a_request_cut_off_before_it_was_sent_does_not_hold_its_name(
    client: Client, provider: FakeProvider, spec: FineTuneSpec, train: Dataset
) -> None:
    provider.faults["upload"] = [InvalidRequestError("file refused")]
    with pytest.raises(InvalidRequestError):
        client.fine_tune(spec, train, run="r")
    assert only_run(client.session.ledger).state is RunState.PREPARED
    job = client.fine_tune(spec.with_model("better"), train, run="r")
    assert list(provider.jobs) == [job.id]


def test_a_field_with_its_default_value_makes_no_other_request(
    client: Client, spec: FineTuneSpec, train: Dataset
) -> None:
    first = client.fine_tune(spec, train, run="r")
    spelled_out = FineTuneSpec.model_validate(spec.model_dump())
    assert client.fine_tune(spelled_out, train, run="r").id == first.id
    (line,) = client.session.ledger.runs()
    assert "beta" not in str(line.request)
    assert line.request["spec"]["method"]["type"] == "supervised"


def test_the_default_name_comes_from_the_request(
    client: Client, provider: FakeProvider, spec: FineTuneSpec, train: Dataset
) -> None:
    first = client.fine_tune(spec, train)
    assert client.fine_tune(spec, train).id == first.id
    other = client.fine_tune(spec.model_copy(update={"seed": 8}), train)
    assert other.id != first.id
    assert first.run is not None
    assert first.run.startswith("recipes-")
    assert client.job(first.run).id == first.id


def test_options_of_other_providers_make_no_other_request(
    client: Client, spec: FineTuneSpec, train: Dataset
) -> None:
    first = client.fine_tune(spec, train, run="r")
    with_options = spec.model_copy(update={"options": {"azure": {"tier": "x"}}})
    assert client.fine_tune(with_options, train, run="r").id == first.id


def test_the_same_name_on_another_account_is_another_run(
    client: Client,
    provider: FakeProvider,
    config: Config,
    clock: VirtualClock,
    spec: FineTuneSpec,
    train: Dataset,
    validation: Dataset,
) -> None:
    client.fine_tune(spec, train, run="r")
    elsewhere = FakeProvider(FakeSettings(account="b"), home=provider.home, clock=clock)
    other = connect(provider=elsewhere, config=config, clock=clock)
    other.fine_tune(spec, validation, run="r")
    assert len(elsewhere.jobs) == 1
    assert elsewhere.calls["upload"] == 1
    assert len(client.session.ledger.runs()) == 2


def test_a_refused_launch_sends_nothing_and_burns_no_name(
    client: Client, provider: FakeProvider, spec: FineTuneSpec, train: Dataset
) -> None:
    with pytest.raises(PreflightError):
        client.fine_tune(spec, Dataset.from_records([{"messages": []}]), run="r")
    assert not provider.calls
    assert client.fine_tune(spec, train, run="r").id == "job-0"


def test_data_that_cannot_be_read_is_refused_with_every_fault_at_once(
    client: Client, provider: FakeProvider, spec: FineTuneSpec, tmp_path: Path
) -> None:
    path = tmp_path / "broken.jsonl"
    path.write_text('{"messages": [}\n{"messages": []}\nnonsense\n')
    with pytest.raises(PreflightError) as caught:
        client.fine_tune(spec, Dataset.from_jsonl(path))
    assert {problem.line for problem in caught.value.problems} >= {1, 2, 3}
    assert not provider.calls


def test_data_that_breaks_after_it_was_checked_is_still_a_typed_error(
    client: Client, provider: FakeProvider, spec: FineTuneSpec, train: Dataset
) -> None:
    seen = []

    def fails_at_last(row: dict[str, object]) -> dict[str, object]:
        seen.append(row)
        if len(seen) > 12:
            raise RuntimeError("gone")
        return row

    data = train.map(fails_at_last)
    with pytest.raises((DataError, PreflightError), match="gone"):
        client.fine_tune(spec, data)
    assert not provider.jobs


def test_prepared_files_are_removed_also_after_a_failure(
    client: Client, provider: FakeProvider, spec: FineTuneSpec, train: Dataset
) -> None:
    provider.faults["upload"] = [InvalidRequestError("too big")]
    with pytest.raises(InvalidRequestError):
        client.fine_tune(spec, train)
    assert list((provider.home / "prepared").iterdir()) == []


def test_an_upload_that_drops_is_tried_again(
    client: Client, provider: FakeProvider, spec: FineTuneSpec, train: Dataset, clock: VirtualClock
) -> None:
    provider.faults["upload"] = ["drop-before", "drop-before"]
    client.fine_tune(spec, train)
    assert provider.calls["upload"] == 3
    assert clock.sleeps == [1, 2]


def test_a_run_that_another_process_is_submitting_is_waited_for(
    client: Client,
    provider: FakeProvider,
    config: Config,
    clock: VirtualClock,
    spec: FineTuneSpec,
    train: Dataset,
) -> None:
    """Two threads with a client each stand for two processes."""
    inside, go_on = threading.Event(), threading.Event()
    create = provider.submit

    def slow(
        spec: FineTuneSpec, train: FileRef, validation: FileRef | None, *, tag: str
    ) -> JobSnapshot:
        inside.set()
        assert go_on.wait(20)
        return create(spec, train, validation, tag=tag)

    provider.submit = slow  # type: ignore[method-assign]
    results: list[str] = []
    thread = threading.Thread(target=lambda: results.append(client.fine_tune(spec, train).id))
    thread.start()
    try:
        assert inside.wait(20)
        waiting = again(provider, config, VirtualClock())
        with pytest.raises(WaitTimeoutError, match="Another process has been submitting run"):
            waiting.fine_tune(spec, train)
        assert waiting.session.clock.monotonic() == pytest.approx(LOCK_PATIENCE, abs=1)
    finally:
        go_on.set()
        thread.join(20)
    assert results == ["job-0"]
    assert again(provider, config, clock).fine_tune(spec, train).id == "job-0"
    assert len(provider.jobs) == 1


def test_recovery_finds_the_job_of_an_interrupted_run(
    client: Client, provider: FakeProvider, spec: FineTuneSpec, train: Dataset
) -> None:
    provider.faults["submit"] = ["drop-after"]
    provider.faults["find"] = [UnclearReplyError("503")] * 50
    with pytest.raises(UnclearReplyError):
        client.fine_tune(spec, train, run="r")
    provider.faults.clear()
    (settled,) = client.recover()
    assert (settled.state, settled.job_id) == (RunState.SUBMITTED, "job-0")
    assert client.recover() == []
    assert client.job("r").id == "job-0"


def test_recovery_creates_nothing(
    client: Client, provider: FakeProvider, spec: FineTuneSpec, train: Dataset
) -> None:
    provider.faults["submit"] = ["drop-before"]
    provider.faults["find"] = [UnclearReplyError("503")] * 50
    with pytest.raises(UnclearReplyError):
        client.fine_tune(spec, train, run="r")
    provider.faults.clear()
    with pytest.raises(NotFoundError, match="'r' was never submitted"):
        client.job("r")
    assert only_run(client.session.ledger).state is RunState.PREPARED
    assert not provider.jobs
    assert client.fine_tune(spec, train, run="r").id == "job-0"


def test_recovery_believes_whoever_settled_the_run_while_it_waited(
    client: Client, provider: FakeProvider, spec: FineTuneSpec, train: Dataset, clock: VirtualClock
) -> None:
    job = client.fine_tune(spec, train, run="r")
    settled = only_run(client.session.ledger)
    stale = settled.model_copy(update={"state": RunState.SUBMITTING, "job_id": None})
    provider.jobs.clear()  # a look would find nothing
    found = run(recover(stale, provider, client.session.ledger, clock), clock)
    assert (found.state, found.job_id) == (RunState.SUBMITTED, job.id)
    assert only_run(client.session.ledger) == settled


def test_progress_and_stop_reach_the_upload(
    provider: FakeProvider, ledger: Ledger, clock: VirtualClock, spec: FineTuneSpec, train: Dataset
) -> None:
    seen: list[tuple[int, int]] = []
    launch = submission.Submission(
        spec, train, progress=lambda done, total: seen.append((done, total))
    )
    run(submission.submit(launch, provider, ledger, clock, preflight=lambda: None), clock)
    assert seen
    assert seen[-1][0] == seen[-1][1] > 0

"""One deployment for a model: known in the ledger, ended with their block, up once they answer."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from tunekit.client import Client
from tunekit.data import Dataset
from tunekit.deployments import Deployment
from tunekit.engine.deploying import PROBE_PATIENCE
from tunekit.errors import (
    AuthenticationError,
    ConfigError,
    ConflictError,
    DeploymentError,
    DeploymentFailedError,
    InvalidRequestError,
    NotFoundError,
    ProviderError,
    UnclearReplyError,
    WaitTimeoutError,
)
from tunekit.models import TunedModel
from tunekit.providers.base import DeploymentStatus, Endpoint, JobFault, ModelRef
from tunekit.spec import FineTuneSpec
from tunekit.testing import FakeProvider, VirtualClock

Probes = Callable[..., list[float]]


@pytest.fixture
def model(client: Client) -> TunedModel:
    return client.model(ModelRef(id="org/tuned-1", provider="fake"))


@pytest.fixture
def probes(monkeypatch: pytest.MonkeyPatch, clock: VirtualClock) -> Probes:
    """Let the probe fail in these ways first; gives the moments at which it was made."""

    def answering(*errors: Exception) -> list[float]:
        waiting = list(errors)
        made: list[float] = []

        def probe(endpoint: Endpoint, *, provider: str, deployment: str) -> None:
            made.append(clock.monotonic())
            if waiting:
                raise waiting.pop(0)

        monkeypatch.setattr("tunekit.inference.probe", probe)
        return made

    return answering


def names(client: Client) -> list[str]:
    return [known.name for known in client.session.ledger.deployments()]


def test_a_deployment_is_up_once_it_has_answered(model: TunedModel, probes: Probes) -> None:
    made = probes()
    deployment = model.deploy()
    assert deployment.status is DeploymentStatus.READY
    assert deployment.model == model.ref
    assert deployment.model_name == "org/tuned-1"
    assert made == [0]


def test_the_same_model_deployed_twice_is_one_deployment(
    client: Client, provider: FakeProvider, model: TunedModel
) -> None:
    first, second = model.deploy(wait=False), model.deploy(wait=False)
    assert first.name == second.name
    assert len(provider.standing) == 1
    assert names(client) == [first.name]
    other = client.model("org/tuned-2").deploy(wait=False)
    assert other.name != first.name
    assert len(provider.standing) == 2


def test_the_model_of_a_run_is_deployed_under_the_name_of_the_run(
    client: Client, spec: FineTuneSpec, train: Dataset
) -> None:
    model = client.fine_tune(spec, train, run="recipes-v1").result()
    assert model.deploy(wait=False).name == "recipes-v1"


def test_a_name_that_serves_another_model_is_refused(client: Client, model: TunedModel) -> None:
    model.deploy(name="d", wait=False)
    with pytest.raises(ConflictError, match="'d' already serves another model, 'org/tuned-1'"):
        client.model("other").deploy(name="d", wait=False)
    (known,) = client.session.ledger.deployments()
    assert known.model == model.ref


def test_a_deployment_is_written_down_before_it_is_started(
    client: Client, provider: FakeProvider, model: TunedModel
) -> None:
    provider.faults["deploy"] = [RuntimeError("the process died here")]
    with pytest.raises(RuntimeError):
        model.deploy(name="d")
    assert names(client) == ["d"]


def test_an_unclear_answer_to_a_start_is_settled_by_asking_again(
    client: Client, provider: FakeProvider, model: TunedModel
) -> None:
    provider.faults["deploy"] = ["drop-after", "drop-before"]
    deployment = model.deploy(wait=False)
    assert list(provider.standing) == [deployment.name] == names(client)
    assert provider.calls["deploy"] == 3


def test_a_refused_start_leaves_nothing_in_the_ledger(
    client: Client, provider: FakeProvider, model: TunedModel
) -> None:
    provider.faults["deploy"] = [InvalidRequestError("no capacity")]
    with pytest.raises(InvalidRequestError):
        model.deploy(name="d")
    assert names(client) == []


def test_a_refused_second_start_does_not_forget_the_first(
    client: Client, provider: FakeProvider, model: TunedModel
) -> None:
    model.deploy(name="d", wait=False)
    with pytest.raises(ProviderError, match="Unknown option 'gpus'"):
        model.deploy(name="d", gpus=2, wait=False)
    assert names(client) == ["d"]


@pytest.mark.parametrize("ttl", ["1h", 3600, timedelta(hours=1)])
def test_the_time_to_live_reaches_provider_and_ledger(
    client: Client, model: TunedModel, clock: VirtualClock, ttl: str | float | timedelta
) -> None:
    deployment = model.deploy(ttl=ttl, wait=False)
    ends = clock.now() + timedelta(hours=1)
    assert deployment.expires_at == ends
    assert client.session.ledger.deployments()[0].expires_at == ends


def test_a_time_to_live_that_is_none_is_refused_before_anything_starts(
    provider: FakeProvider, model: TunedModel
) -> None:
    with pytest.raises(ConfigError, match="'soon' is not a duration"):
        model.deploy(ttl="soon")
    assert not provider.calls


# -- ending ------------------------------------------------------------------------------------


def test_a_block_ends_its_deployment_and_strikes_it_from_the_ledger(
    client: Client, provider: FakeProvider, model: TunedModel
) -> None:
    with model.deploy(wait=False) as deployment:
        assert names(client) == [deployment.name]
        assert [found.name for found in client.deployments()] == [deployment.name]
        assert client.deployment(deployment.name).model == model.ref
    assert not provider.standing
    assert names(client) == []
    assert client.deployments() == []
    with pytest.raises(NotFoundError):
        client.deployment(deployment.name)


def test_a_block_that_fails_ends_its_deployment_too(
    provider: FakeProvider, model: TunedModel
) -> None:
    with pytest.raises(ZeroDivisionError), model.deploy(wait=False):
        _ = 1 // 0
    assert not provider.standing


def test_a_block_adopts_its_deployment(
    provider: FakeProvider, model: TunedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    adopted: list[str] = []
    monkeypatch.setattr(provider, "adopt", adopted.append)
    deployment = model.deploy(name="d", wait=False)
    assert adopted == []
    with deployment:
        assert adopted == ["d"]


def test_deleting_twice_is_harmless(provider: FakeProvider, model: TunedModel) -> None:
    deployment = model.deploy(wait=False)
    deployment.delete()
    deployment.delete()
    assert not provider.standing


def test_a_deployment_that_cannot_be_deleted_is_named_and_stays_in_the_ledger(
    client: Client, provider: FakeProvider, model: TunedModel
) -> None:
    provider.faults["delete_deployment"] = [AuthenticationError("expired")]
    with (
        pytest.raises(DeploymentError, match="'d' could not be deleted: expired") as caught,
        model.deploy(name="d", wait=False),
    ):
        pass
    assert "It may still cost money" in str(caught.value)
    assert caught.value.snapshot is not None
    assert names(client) == ["d"]


def test_a_failing_block_and_a_failing_delete_are_both_seen(
    provider: FakeProvider, model: TunedModel
) -> None:
    provider.faults["delete_deployment"] = [AuthenticationError("expired")]
    with (
        pytest.raises(DeploymentError, match="'d' could not be deleted") as caught,
        model.deploy(name="d", wait=False),
    ):
        _ = 1 // 0
    assert isinstance(caught.value.__context__, AuthenticationError)
    assert isinstance(caught.value.__context__.__context__, ZeroDivisionError)


def test_an_interrupt_stays_one_when_the_delete_fails_too(
    provider: FakeProvider, model: TunedModel
) -> None:
    provider.faults["delete_deployment"] = [AuthenticationError("expired")]
    with pytest.raises(KeyboardInterrupt) as caught, model.deploy(name="d", wait=False):
        raise KeyboardInterrupt
    assert "'d' could not be deleted: expired It may still cost" in caught.value.__notes__[0]


def test_an_outage_while_deleting_is_waited_out(provider: FakeProvider, model: TunedModel) -> None:
    provider.faults["delete_deployment"] = [UnclearReplyError("503")] * 3
    model.deploy(wait=False).delete()
    assert not provider.standing


# -- waiting and probing -----------------------------------------------------------------------


def coming_up(provider: FakeProvider, deployment: Deployment, looks: int) -> None:
    """Let the deployment be `creating` for so many looks, and then what it is."""
    ready = provider.fetch_deployment
    left = looks

    def fetch(name: str) -> object:
        nonlocal left
        left -= 1
        found = ready(name)
        if left < 0:
            return found
        creating = {"status": DeploymentStatus.CREATING, "provider_status": "Creating"}
        return found.model_copy(update=creating)

    provider.fetch_deployment = fetch  # type: ignore[method-assign, assignment]


def test_a_deployment_that_does_not_answer_yet_is_probed_again(
    model: TunedModel, probes: Probes
) -> None:
    refused = [NotFoundError("not yet"), UnclearReplyError("503"), AuthenticationError("not yet")]
    made = probes(*refused)
    assert model.deploy().status is DeploymentStatus.READY
    assert made == pytest.approx([0, 2, 5, 9.5])


def test_a_deployment_that_came_up_slowly_still_gets_its_time_to_answer(
    provider: FakeProvider, model: TunedModel, probes: Probes, clock: VirtualClock
) -> None:
    made = probes(NotFoundError("not yet"), NotFoundError("not yet"))
    deployment = model.deploy(wait=False)
    coming_up(provider, deployment, looks=60)  # about half an hour
    assert deployment.wait(timeout=None).status is DeploymentStatus.READY
    assert made[0] > PROBE_PATIENCE
    assert len(made) == 3


def test_a_deployment_that_never_answers_is_a_failure(
    model: TunedModel, probes: Probes, clock: VirtualClock
) -> None:
    made = probes(*[NotFoundError("no such deployment")] * 1000)
    with pytest.raises(DeploymentFailedError, match="answers no chat call: no such") as caught:
        model.deploy(timeout=None)
    assert caught.value.snapshot is not None
    assert clock.monotonic() == pytest.approx(PROBE_PATIENCE)
    assert len(made) < 20


@pytest.mark.parametrize("timeout", [0, 1, 100])
def test_a_deadline_before_the_first_answer_is_a_timeout(
    provider: FakeProvider,
    model: TunedModel,
    probes: Probes,
    clock: VirtualClock,
    timeout: float,
) -> None:
    probes(*[NotFoundError("not yet")] * 1000)
    with pytest.raises(WaitTimeoutError, match="wait again, or delete it") as caught:
        model.deploy(timeout=timeout)
    assert clock.monotonic() == pytest.approx(timeout)
    assert caught.value.snapshot.name in provider.standing  # it is left as it is


def test_a_deadline_while_it_is_created_is_a_timeout(
    provider: FakeProvider, model: TunedModel, probes: Probes, clock: VirtualClock
) -> None:
    made = probes()
    deployment = model.deploy(wait=False)
    coming_up(provider, deployment, looks=1000)
    with pytest.raises(WaitTimeoutError, match="is still creating after 1 min 40 s"):
        deployment.wait(timeout=100)
    assert clock.monotonic() == pytest.approx(100)
    assert made == []


def test_a_deployment_that_failed_says_why(
    provider: FakeProvider, model: TunedModel, probes: Probes
) -> None:
    probes()
    deployment = model.deploy(wait=False)
    failed = {
        "status": DeploymentStatus.FAILED,
        "error": JobFault(code="no-room", message="no capacity in this region"),
    }
    provider.standing[deployment.name] = deployment.snapshot.model_copy(update=failed)
    with pytest.raises(DeploymentFailedError, match="failed: no capacity in this region"):
        deployment.wait()
    assert deployment.refresh().status is DeploymentStatus.FAILED
    assert deployment.check() is DeploymentStatus.FAILED

"""The asynchronous mirror: the same names, awaited, cheap, and cancelled without loss."""

from __future__ import annotations

import asyncio
import inspect
import json
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from typing_extensions import override

import tunekit
import tunekit.aio
from helpers.processes import child
from tunekit import aio
from tunekit.aio.running import THREADS
from tunekit.config import Config
from tunekit.data import Dataset
from tunekit.errors import (
    AuthenticationError,
    DeploymentError,
    JobFailedError,
    NotFoundError,
    WaitTimeoutError,
)
from tunekit.ledger import RunState
from tunekit.providers.base import FileRef, JobSnapshot, JobStatus
from tunekit.spec import FineTuneSpec
from tunekit.testing import FakeProvider, VirtualClock

PAIRS = [
    (tunekit.Client, aio.Client),
    (tunekit.Job, aio.Job),
    (tunekit.TunedModel, aio.TunedModel),
    (tunekit.Deployment, aio.Deployment),
]
CONTEXT = {"__enter__": "__aenter__", "__exit__": "__aexit__"}
WITHOUT_AWAIT = {"model"}
"""Methods that do no I/O, so that they are the same in both."""


def members(cls: type) -> dict[str, Any]:
    return {
        CONTEXT.get(name, name): member
        for name, member in vars(cls).items()
        if not name.startswith("_") or name in CONTEXT or name in CONTEXT.values()
    }


def parameters(function: Any) -> list[tuple[str, Any, Any]]:
    found = inspect.signature(function).parameters.values()
    return [(parameter.name, parameter.kind, parameter.default) for parameter in found]


@pytest.mark.parametrize(("sync", "mirror"), PAIRS, ids=lambda cls: cls.__name__)
def test_every_public_member_has_its_twin(sync: type, mirror: type) -> None:
    assert set(members(sync)) == set(members(mirror))


@pytest.mark.parametrize(("sync", "mirror"), PAIRS, ids=lambda cls: cls.__name__)
def test_the_twins_take_the_same_parameters_with_the_same_defaults(
    sync: type, mirror: type
) -> None:
    for name, ours in members(sync).items():
        theirs = members(mirror)[name]
        assert type(ours) is type(theirs), name
        if inspect.isfunction(ours):
            assert parameters(ours) == parameters(theirs), name


@pytest.mark.parametrize(("sync", "mirror"), PAIRS, ids=lambda cls: cls.__name__)
def test_every_verb_of_the_mirror_is_awaited_or_iterated(sync: type, mirror: type) -> None:
    for name, ours in members(sync).items():
        theirs = members(mirror)[name]
        if not inspect.isfunction(ours) or name in WITHOUT_AWAIT:
            continue
        returned = str(inspect.signature(ours).return_annotation)
        if returned.startswith("Iterator"):
            assert inspect.isasyncgenfunction(theirs), name
        else:
            assert inspect.iscoroutinefunction(theirs), name


def test_connecting_takes_the_same_in_both() -> None:
    assert parameters(tunekit.connect) == parameters(aio.connect)


def run(work: Callable[[], Awaitable[Any]]) -> Any:
    async def bounded() -> Any:
        return await asyncio.wait_for(work(), 30)

    return asyncio.run(bounded())


@pytest.fixture
def mirror(provider: FakeProvider, config: Config, clock: VirtualClock) -> aio.Client:
    return aio.connect(provider=provider, config=config, clock=clock)


def test_a_whole_life_can_be_awaited(
    mirror: aio.Client,
    provider: FakeProvider,
    spec: FineTuneSpec,
    train: Dataset,
    validation: Dataset,
) -> None:
    async def live() -> None:
        async with mirror as client:
            assert (await client.check(spec, train, validation)).ok
            assert (await client.estimate(spec, train)).tokens
            job = await client.fine_tune(spec, train, validation, run="r")
            assert (await client.fine_tune(spec, train, validation, run="r")).id == job.id
            assert job.run == "r"
            messages = [event.message async for event in job.events(follow=True)]
            assert messages[-1] == "Now succeeded"
            assert (await job.refresh()).status is JobStatus.SUCCEEDED
            assert await job.metrics() == [{"step": 1, "train_loss": 1.0}]
            assert len(await job.checkpoints()) == 1
            model = await job.result()
            assert model.id == f"tuned-{job.id}"
            deployment = await model.deploy(wait=False)
            assert [found.name for found in await client.deployments()] == [deployment.name]
            assert (await client.deployment(deployment.name)).model == model.ref
            await deployment.delete()
            await model.delete()
            assert (await client.job("r")).id == job.id
            assert await client.recover() == []

    run(live)
    assert len(provider.jobs) == 1


def test_a_watch_gives_each_snapshot_and_keeps_the_last(
    mirror: aio.Client, spec: FineTuneSpec, train: Dataset
) -> None:
    async def watch() -> None:
        job = await mirror.fine_tune(spec, train)
        seen = [snapshot.status.value async for snapshot in job.watch()]
        assert seen == ["running", "running", "succeeded"]
        assert job.status is JobStatus.SUCCEEDED

    run(watch)


def test_a_failed_wait_leaves_the_handle_with_what_it_saw(
    mirror: aio.Client, provider: FakeProvider, spec: FineTuneSpec, train: Dataset
) -> None:
    provider.script = [JobStatus.RUNNING, JobStatus.FAILED]

    async def wait() -> None:
        job = await mirror.fine_tune(spec, train)
        with pytest.raises(JobFailedError):
            await job.result()
        assert job.status is JobStatus.FAILED

    run(wait)


def test_pause_resume_and_cancel_can_be_awaited(
    mirror: aio.Client, spec: FineTuneSpec, train: Dataset
) -> None:
    async def steer() -> None:
        job = await mirror.fine_tune(spec, train)
        assert (await job.pause()).status is JobStatus.PAUSED
        assert (await job.resume()).status is JobStatus.RUNNING
        assert (await job.cancel()).status is JobStatus.CANCELLED

    run(steer)


def test_jobs_are_listed_newest_first_over_all_pages(
    mirror: aio.Client, spec: FineTuneSpec, train: Dataset
) -> None:
    async def listed() -> None:
        for number in range(23):
            await mirror.fine_tune(spec, train, run=f"r{number}")
        found = [job.id async for job in mirror.jobs()]
        assert found == [f"job-{n}" for n in reversed(range(23))]
        assert [job.id async for job in mirror.jobs(limit=2)] == ["job-22", "job-21"]

    run(listed)


def test_following_events_can_be_left_early(
    mirror: aio.Client, provider: FakeProvider, spec: FineTuneSpec, train: Dataset
) -> None:
    provider.script = [*[JobStatus.RUNNING] * 50, JobStatus.SUCCEEDED]

    async def leave() -> None:
        job = await mirror.fine_tune(spec, train)
        async for _ in job.events(follow=True):
            break
        async for _ in job.watch():
            break
        assert (await job.wait()).status is JobStatus.SUCCEEDED

    run(leave)


def test_a_timeout_of_a_wait_is_ours(
    mirror: aio.Client, provider: FakeProvider, spec: FineTuneSpec, train: Dataset
) -> None:
    provider.script = [JobStatus.RUNNING]

    async def wait() -> None:
        job = await mirror.fine_tune(spec, train)
        with pytest.raises(WaitTimeoutError):
            await job.wait(timeout=60)

    run(wait)


def test_a_deployment_that_cannot_be_deleted_is_named(
    mirror: aio.Client, provider: FakeProvider
) -> None:
    provider.faults["delete_deployment"] = [AuthenticationError("expired")]

    async def leave() -> None:
        with pytest.raises(DeploymentError, match="'d' could not be deleted: expired"):
            async with await mirror.model("m").deploy(name="d", wait=False):
                pass

    run(leave)


def test_a_cancelled_block_still_ends_its_deployment(
    mirror: aio.Client, provider: FakeProvider
) -> None:
    async def leave() -> None:
        async def stay() -> None:
            async with await mirror.model("m").deploy(name="d", wait=False):
                up.set()
                await asyncio.sleep(60)

        up = asyncio.Event()
        task = asyncio.create_task(stay())
        await up.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(leave)
    assert not provider.standing


def test_a_cancelled_block_stays_cancelled_when_the_delete_fails(
    mirror: aio.Client, provider: FakeProvider
) -> None:
    provider.faults["delete_deployment"] = [AuthenticationError("expired")]

    async def leave() -> None:
        with anyio.move_on_after(0.05) as scope:
            async with await mirror.model("m").deploy(name="d", wait=False):
                await anyio.sleep(60)
        assert scope.cancelled_caught

    run(leave)


# -- cancelling a launch -----------------------------------------------------------------------


class Slow(FakeProvider):
    """The fake, whose create call takes until it is told to go on."""

    def __init__(self, home: Path) -> None:
        super().__init__(home=home)
        self.inside = threading.Event()
        self.go_on = threading.Event()

    @override
    def submit(
        self, spec: FineTuneSpec, train: FileRef, validation: FileRef | None, *, tag: str
    ) -> JobSnapshot:
        self.inside.set()
        assert self.go_on.wait(20)
        return super().submit(spec, train, validation, tag=tag)


async def cancelled_by_task(client: aio.Client, *launch: Any, times: int = 1) -> None:
    provider = client.provider
    assert isinstance(provider, Slow)
    task = asyncio.create_task(client.fine_tune(*launch, run="r"))
    await asyncio.to_thread(provider.inside.wait, 20)
    for _ in range(times):
        task.cancel()
        await asyncio.sleep(0.05)
    assert not task.done()  # the answer of the create call must reach the ledger first
    provider.go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task


async def cancelled_three_times(client: aio.Client, *launch: Any) -> None:
    await cancelled_by_task(client, *launch, times=3)


async def cancelled_by_timeout(client: aio.Client, *launch: Any) -> None:
    provider = client.provider
    assert isinstance(provider, Slow)
    threading.Timer(0.4, provider.go_on.set).start()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await client.fine_tune(*launch, run="r")
    assert provider.go_on.is_set()


async def cancelled_by_scope(client: aio.Client, *launch: Any) -> None:
    provider = client.provider
    assert isinstance(provider, Slow)
    threading.Timer(0.4, provider.go_on.set).start()
    with anyio.move_on_after(0.2):
        await client.fine_tune(*launch, run="r")
    assert provider.go_on.is_set()


@pytest.mark.parametrize(
    "cancelled",
    [cancelled_by_task, cancelled_three_times, cancelled_by_timeout, cancelled_by_scope],
)
def test_a_launch_that_is_cancelled_during_the_create_call_keeps_its_job(
    home: Path,
    config: Config,
    spec: FineTuneSpec,
    train: Dataset,
    cancelled: Callable[..., Awaitable[None]],
) -> None:
    provider = Slow(home)
    client = aio.connect(provider=provider, config=config)

    async def launch() -> None:
        await cancelled(client, spec, train)
        line = client.session.ledger.run("fake:tests", "r")
        assert line is not None
        assert (line.state, line.job_id) == (RunState.SUBMITTED, "job-0")
        job = await client.fine_tune(spec, train, run="r")
        assert job.id == "job-0"

    run(launch)
    assert provider.calls["submit"] == 1
    assert provider.calls["find"] == 0


def test_a_launch_that_is_cancelled_before_its_turn_never_starts(
    home: Path, config: Config, spec: FineTuneSpec, train: Dataset
) -> None:
    provider = Slow(home)
    client = aio.connect(provider=provider, config=config)
    occupied = threading.Barrier(THREADS + 1)
    free = threading.Event()

    def occupy() -> None:
        occupied.wait(20)
        assert free.wait(20)

    async def launch() -> None:
        session = client._session
        busy = [asyncio.create_task(session.call(occupy)) for _ in range(THREADS)]
        await asyncio.to_thread(occupied.wait, 20)
        started: list[int] = []
        late = asyncio.create_task(session.call(lambda: started.append(1), atomic=True))
        await asyncio.sleep(0.05)
        late.cancel()
        with pytest.raises(asyncio.CancelledError):
            await late
        free.set()
        await asyncio.gather(*busy)
        assert started == []

    run(launch)


def test_two_launches_of_the_same_run_in_one_loop_get_the_same_job(
    home: Path, config: Config, spec: FineTuneSpec, train: Dataset
) -> None:
    provider = Slow(home)
    client = aio.connect(provider=provider, config=config)

    async def launch() -> None:
        threading.Timer(0.6, provider.go_on.set).start()
        jobs = await asyncio.gather(
            *(client.fine_tune(spec, train, run="r") for _ in range(THREADS // 2))
        )
        assert {job.id for job in jobs} == {"job-0"}

    run(launch)
    assert provider.calls["submit"] == 1


def test_a_cancelled_wait_leaves_the_job_alone_and_ends_at_once(
    home: Path, config: Config, spec: FineTuneSpec, train: Dataset
) -> None:
    provider = FakeProvider(home=home)
    provider.script = [JobStatus.RUNNING]

    async def wait() -> None:
        client = aio.connect(provider=provider, config=config)
        job = await client.fine_tune(spec, train)
        task = asyncio.create_task(job.wait())
        await asyncio.sleep(0.1)
        before = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert time.monotonic() - before < 1
        assert (await job.refresh()).status is JobStatus.RUNNING

    run(wait)


def test_a_client_can_be_used_from_one_loop_after_another(
    mirror: aio.Client, spec: FineTuneSpec, train: Dataset
) -> None:
    async def launch() -> str:
        return (await mirror.fine_tune(spec, train, run="r")).id

    assert run(launch) == run(launch) == "job-0"


def test_an_unknown_job_is_not_found(mirror: aio.Client) -> None:
    async def ask() -> None:
        with pytest.raises(NotFoundError):
            await mirror.job("nobody")

    run(ask)


def test_a_thousand_waits_are_cheap_and_end_as_soon_as_they_are_cancelled(home: Path) -> None:
    """The limits are the library's promise: under 200 MB, and under one second to cancel."""
    done = child("helpers.thousand_waits", home)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["alive"] == report["cancelled"] == 1000
    assert report["peak_mb"] < 200
    assert report["cancel_seconds"] < 1.0
    # Within three seconds a wait asks at 0 s and at 2 s, with the status that is new at 0 s.
    assert 1000 <= report["asked"] <= 2000

"""Every verb of the library as a plan; the synchronous and the asynchronous handles run these."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from pydantic import SecretStr

from tunekit._text import slug
from tunekit.capabilities import Capability
from tunekit.config import Config, Profile
from tunekit.data import Dataset
from tunekit.engine import submission, waiting
from tunekit.engine.plans import Call, Clock, Plan, Sleep, iterate, run
from tunekit.engine.preflight import preflight
from tunekit.engine.retrying import READS, WAITS, retried
from tunekit.errors import (
    BudgetExceededError,
    ConflictError,
    DeploymentFailedError,
    JobFailedError,
    NotFoundError,
    ProviderError,
    UnclearReplyError,
    UnsupportedError,
    WaitTimeoutError,
)
from tunekit.ledger import KnownDeployment, Ledger, Run, RunState
from tunekit.problems import Problem, Report
from tunekit.providers.base import (
    Artifact,
    Checkpoint,
    DeploymentSnapshot,
    Endpoint,
    Estimate,
    FineTuneProvider,
    JobEvent,
    JobSnapshot,
    JobStatus,
    ModelRef,
    Page,
    ProviderSettings,
    SupportsArtifacts,
    SupportsCheckpoints,
    SupportsDeployment,
    SupportsEstimate,
    SupportsModelDeletion,
    SupportsPause,
)
from tunekit.spec import FineTuneSpec

M = TypeVar("M")
T = TypeVar("T")

PROBE_PATIENCE = 300.0
"""Seconds for which a deployment that calls itself ready may still refuse to answer."""

Probe = Callable[[Endpoint], None]
"""Makes one real chat call; raises `ProviderError` when it is not answered."""


def public_settings(settings: ProviderSettings) -> dict[str, Any]:
    """The settings that may be written down: everything that is not a secret."""
    secret = {key for key, value in settings if isinstance(value, SecretStr) or callable(value)}
    return settings.model_dump(mode="json", exclude=secret, exclude_none=True)


@dataclass(frozen=True)
class Session:
    """A provider, the ledger, and the time: what every verb needs.

    Attributes:
        profile: What was connected to; its name goes into the ledger.
    """

    provider: FineTuneProvider
    ledger: Ledger
    config: Config
    profile: Profile
    clock: Clock

    def run(self, plan: Plan[T]) -> T:
        """Run a plan to its end in the calling thread."""
        return run(plan, self.clock)

    def iterate(self, plan: Plan[Any]) -> Iterator[Any]:
        """Run a plan in the calling thread and give each value that it emits."""
        return iterate(plan, self.clock)

    # -- launching ---------------------------------------------------------------------------

    def resolve(self, spec: FineTuneSpec) -> FineTuneSpec:
        """Replace a logical model name by what it is on this provider."""
        return spec.with_model(self.config.model(spec.model, self.provider.name))

    def check(self, spec: FineTuneSpec, train: Dataset, validation: Dataset | None) -> Report:
        """Find every problem of a launch; blocking, since it reads the data."""
        resolved = self.resolve(spec)
        report = preflight(self.provider, resolved, train, validation)
        over = self._over_budget(resolved, train, validation) if report.ok else None
        return Report.of(report, [over] if over else [])

    def _over_budget(
        self, spec: FineTuneSpec, train: Dataset, validation: Dataset | None
    ) -> Problem | None:
        limit = self.config.budget.max_usd_per_job
        if limit is None or not isinstance(self.provider, SupportsEstimate):
            return None
        usd = self.provider.estimate(spec, train, validation).usd
        if usd is None or usd <= limit:
            return None
        return Problem(
            code="budget-exceeded",
            message=f"The job would cost about ${usd:.2f}, more than `max_usd_per_job` allows "
            f"(${limit:.2f}).",
            fix="Use less data or fewer epochs, or raise the limit in `[budget]`.",
        )

    def estimate(self, spec: FineTuneSpec, train: Dataset, validation: Dataset | None) -> Estimate:
        """What a launch would take; blocking, since it reads the data."""
        provider = self._able(SupportsEstimate, Capability.ESTIMATE)
        return provider.estimate(self.resolve(spec), train, validation)

    def fine_tune(
        self, spec: FineTuneSpec, train: Dataset, validation: Dataset | None, run: str | None
    ) -> Plan[JobSnapshot]:
        """Submit once. See `tunekit.engine.submission`."""
        launch = submission.Submission(
            spec=self.resolve(spec),
            train=train,
            validation=validation,
            run=run,
            profile=self.profile.name,
            settings=public_settings(self.provider.settings),
        )

        def refuse_bad_launch() -> None:
            report = self.check(spec, train, validation)
            if any(problem.code == "budget-exceeded" for problem in report.errors):
                raise BudgetExceededError.of(report.problems)
            report.raise_on_error()

        return submission.submit(
            launch, self.provider, self.ledger, self.clock, preflight=refuse_bad_launch
        )

    # -- jobs --------------------------------------------------------------------------------

    def run_name(self, job_id: str) -> str | None:
        """The run that this job belongs to; blocking."""
        found = self.ledger.run_of_job(self.provider.account, job_id)
        return found.name if found else None

    def find_job(self, ref: str) -> Plan[JobSnapshot]:
        """The job with this run name or id; settles a run that was interrupted.

        Raises:
            NotFoundError: Neither the ledger nor the provider knows it.
        """
        known: Run | None = yield Call(partial(self.ledger.run, self.provider.account, ref))
        if known is not None and known.state is RunState.SUBMITTING:
            known = yield from submission.recover(known, self.provider, self.ledger, self.clock)
        if known is None:
            return (yield from self.fetch_job(ref))
        if known.job_id is None:
            reason = f": {known.detail}" if known.detail else ""
            raise NotFoundError(
                f"Run {known.name!r} was never submitted{reason}.",
                provider=self.provider.name,
                next_step="Call `fine_tune` again with the same run name to submit it.",
            )
        return (yield from self.fetch_job(known.job_id))

    def fetch_job(self, job_id: str) -> Plan[JobSnapshot]:
        """The job as it is now."""
        return retried(partial(self.provider.fetch, job_id), self.clock)

    def jobs_page(self, cursor: str | None, limit: int) -> Plan[Page[JobSnapshot]]:
        """One page of the provider's jobs, newest first."""
        return retried(partial(self.provider.list_jobs, cursor, limit), self.clock)

    def recover(self) -> Plan[list[Run]]:
        """Settle every run of this account that was interrupted while it was submitted."""
        runs: list[Run] = yield Call(partial(self.ledger.runs, self.provider.account))
        settled = []
        for line in runs:
            if line.state is RunState.SUBMITTING:
                done = yield from submission.recover(line, self.provider, self.ledger, self.clock)
                settled.append(done)
        return settled

    def wait_job(self, job_id: str, timeout: float | None) -> Plan[JobSnapshot]:
        """Wait until the job is over; emits each snapshot."""
        return waiting.wait(
            partial(self.provider.fetch, job_id),
            waiting.job_is_over,
            what=f"Job {job_id!r}",
            clock=self.clock,
            poll=self.provider.poll,
            timeout=timeout,
        )

    def tuned_model(self, job: JobSnapshot) -> ModelRef:
        """The model of a job that has succeeded."""
        if job.fine_tuned_model is None:
            raise JobFailedError(
                f"Job {job.id!r} succeeded, but the provider names no tuned model.",
                snapshot=job,
                next_step="Look at its events; a safety check may have held the model back.",
            )
        return job.fine_tuned_model

    def events(self, job_id: str, *, follow: bool, after: str | None) -> Plan[None]:
        """Emit the job's events, oldest first."""
        return waiting.follow_events(
            self.provider, job_id, cursor=after, follow=follow, clock=self.clock
        )

    def metrics(self, job_id: str) -> Plan[list[dict[str, Any]]]:
        """The figures of all metric events, in the order of training."""
        rows: list[dict[str, Any]] = []
        cursor: str | None = None
        while True:
            list_events = partial(self.provider.list_events, job_id, cursor)
            page: Page[JobEvent] = yield from retried(list_events, self.clock)
            rows += [dict(event.data) for event in page.data if event.type == "metrics"]
            cursor = page.cursor
            if not page.has_more:
                return rows

    def checkpoints(self, job_id: str) -> Plan[Sequence[Checkpoint]]:
        """Complete checkpoints, oldest first."""
        provider = self._able(SupportsCheckpoints, Capability.CHECKPOINTS)
        return retried(partial(provider.list_checkpoints, job_id), self.clock)

    def cancel(self, job_id: str) -> Plan[JobSnapshot]:
        """Ask for the job to be cancelled."""
        self._need(Capability.CANCEL)
        return retried(partial(self.provider.cancel, job_id), self.clock, WAITS)

    def pause(self, job_id: str) -> Plan[JobSnapshot]:
        """Ask the job to save a checkpoint and stop."""
        provider = self._able(SupportsPause, Capability.PAUSE)
        return retried(partial(provider.pause, job_id), self.clock, WAITS)

    def resume(self, job_id: str) -> Plan[JobSnapshot]:
        """Let a paused job go on."""
        provider = self._able(SupportsPause, Capability.PAUSE)
        return retried(partial(provider.resume, job_id), self.clock, WAITS)

    # -- models ------------------------------------------------------------------------------

    def artifacts(self, model: ModelRef) -> Plan[Sequence[Artifact]]:
        """The files of the model."""
        provider = self._able(SupportsArtifacts, Capability.DOWNLOAD)
        return retried(partial(provider.list_artifacts, model), self.clock)

    def download(self, model: ModelRef, to: Path) -> Plan[Path]:
        """Copy the model's files."""
        provider = self._able(SupportsArtifacts, Capability.DOWNLOAD)
        return retried(partial(provider.download, model, to), self.clock)

    def merge(self, model: ModelRef, to: Path | None) -> Plan[ModelRef]:
        """Merge an adapter into its base, in a folder of its own."""
        self._need(Capability.MERGE)
        provider = self._able(SupportsArtifacts, Capability.MERGE)
        return retried(partial(provider.merge, model, to), self.clock)

    def push(self, model: ModelRef, repo_id: str, *, private: bool) -> Plan[str]:
        """Send the model to the Hub."""
        self._need(Capability.PUSH)
        provider = self._able(SupportsArtifacts, Capability.PUSH)
        return retried(partial(provider.push, model, repo_id, private=private), self.clock)

    def delete_model(self, model: ModelRef) -> Plan[None]:
        """Delete the model."""
        provider = self._able(SupportsModelDeletion, Capability.DELETE_MODEL)
        return retried(partial(provider.delete_model, model), self.clock)

    # -- deployments -------------------------------------------------------------------------

    def deploy(
        self,
        model: ModelRef,
        *,
        name: str | None,
        ttl: float | None,
        options: Mapping[str, Any],
    ) -> Plan[DeploymentSnapshot]:
        """Start a deployment that is written down first. The same name is never started twice."""
        provider = self._able(SupportsDeployment, Capability.DEPLOY)

        def start() -> DeploymentSnapshot:
            chosen = name or self._deployment_name(model)
            now = self.clock.now()
            line = KnownDeployment(
                account=self.provider.account,
                name=chosen,
                provider=self.provider.name,
                profile=self.profile.name,
                settings=public_settings(self.provider.settings),
                model=model,
                created_at=now,
                expires_at=None if ttl is None else now + timedelta(seconds=ttl),
            )
            is_new = self.ledger.note_deployment(line)
            try:
                started = provider.deploy(model, name=chosen, ttl=ttl, options=options)
            except UnclearReplyError:
                raise  # it may stand
            except (ProviderError, UnsupportedError):
                if is_new:
                    self.ledger.forget_deployment(self.provider.account, chosen)
                raise
            if started.model.id != model.id:
                raise ConflictError(
                    f"Deployment {chosen!r} already serves another model, {started.model.id!r}.",
                    provider=self.provider.name,
                    next_step="Choose another `name`, or delete that deployment first.",
                )
            self.ledger.add_deployment(line)
            return started

        # Starting is idempotent by name, so an unclear answer is settled by asking again.
        return retried(start, self.clock, WAITS, atomic=True)

    def _deployment_name(self, model: ModelRef) -> str:
        """The same name whenever the same model is deployed, so that nothing runs twice.

        It is the run's name where there is one and nothing of it is lost.
        """
        run_name = self.run_name(model.job_id) if model.job_id and model.step is None else None
        if run_name is not None and slug(run_name) == run_name:
            return run_name
        readable = run_name or model.id.rstrip("/").rpartition("/")[2]
        digest = hashlib.sha256(model.id.encode()).hexdigest()[:8]
        return f"{slug(readable, limit=24)}-{digest}"

    def fetch_deployment(self, name: str) -> Plan[DeploymentSnapshot]:
        """The deployment as it is now."""
        provider = self._able(SupportsDeployment, Capability.DEPLOY)
        return retried(partial(provider.fetch_deployment, name), self.clock)

    def wait_deployment(
        self, name: str, timeout: float | None, probe: Probe
    ) -> Plan[DeploymentSnapshot]:
        """Wait until a real chat call is answered; emits each snapshot."""
        provider = self._able(SupportsDeployment, Capability.DEPLOY)
        until = None if timeout is None else self.clock.monotonic() + timeout
        snapshot: DeploymentSnapshot = yield from waiting.wait(
            partial(provider.fetch_deployment, name),
            waiting.deployment_is_ready,
            what=f"Deployment {name!r}",
            clock=self.clock,
            poll=self.provider.poll,
            timeout=timeout,
        )
        endpoint: Endpoint = yield from retried(
            partial(provider.endpoint, snapshot), self.clock, WAITS, until=until
        )
        ready_since = self.clock.monotonic()
        pause = self.provider.poll.initial
        while True:
            try:
                yield Call(partial(probe, endpoint))
            except ProviderError as error:
                now = self.clock.monotonic()
                silent = f"Deployment {name!r} calls itself ready but answers no chat call: {error}"
                if now - ready_since >= PROBE_PATIENCE:
                    raise DeploymentFailedError(
                        silent, snapshot=snapshot, next_step="Delete it and deploy again."
                    ) from error
                if until is not None and now >= until:
                    raise WaitTimeoutError(
                        silent,
                        snapshot=snapshot,
                        next_step="It stands, and may still come up; wait again, or delete it.",
                    ) from error
                left = ready_since + PROBE_PATIENCE - now
                left = left if until is None else min(left, until - now)
                yield Sleep(min(pause, left))
                pause = min(pause * self.provider.poll.factor, self.provider.poll.maximum)
            else:
                return snapshot

    def endpoint(self, deployment: DeploymentSnapshot) -> Endpoint:
        """How to talk to it; blocking."""
        return self._able(SupportsDeployment, Capability.DEPLOY).endpoint(deployment)

    def adopt(self, name: str) -> None:
        """Let the deployment end with this process, where the provider can do that; blocking."""
        self._able(SupportsDeployment, Capability.DEPLOY).adopt(name)

    def delete_deployment(self, name: str) -> Plan[None]:
        """End the deployment, then strike it from the ledger."""
        provider = self._able(SupportsDeployment, Capability.DEPLOY)
        yield from retried(partial(provider.delete_deployment, name), self.clock, WAITS)
        yield Call(partial(self.ledger.forget_deployment, self.provider.account, name))

    def deployments(self) -> Plan[list[DeploymentSnapshot]]:
        """Every deployment of the account, started from here or not."""
        if not isinstance(self.provider, SupportsDeployment):
            return []
        found: Sequence[DeploymentSnapshot] = yield from retried(
            self.provider.list_deployments, self.clock, READS
        )
        return list(found)

    # -- support -----------------------------------------------------------------------------

    def _need(self, capability: Capability) -> None:
        support = self.provider.capabilities[capability]
        if not support:
            raise UnsupportedError(
                f"Provider {self.provider.name!r} cannot do this ({capability.value}): "
                f"{support.note}."
            )

    def _able(self, mixin: type[M], capability: Capability) -> M:
        self._need(capability)
        if not isinstance(self.provider, mixin):
            raise UnsupportedError(
                f"Provider {self.provider.name!r} does not implement {mixin.__name__}."
            )
        return self.provider


def is_resting(job: JobSnapshot) -> bool:
    """Whether nothing will happen to the job by itself any more."""
    return job.is_terminal or job.status is JobStatus.PAUSED

"""Deployments: started once, ready when they answer, ended and struck off."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

from tunekit._text import slug
from tunekit.capabilities import Capability
from tunekit.engine import waiting
from tunekit.engine.core import Core, public_settings
from tunekit.engine.plans import Call, Plan, Sleep
from tunekit.engine.retrying import READS, WAITS, retried
from tunekit.errors import (
    ConflictError,
    DeploymentFailedError,
    ProviderError,
    UnclearReplyError,
    UnsupportedError,
    WaitTimeoutError,
)
from tunekit.ledger import KnownDeployment
from tunekit.providers.base import DeploymentSnapshot, Endpoint, ModelRef, SupportsDeployment

PROBE_PATIENCE = 300.0
"""Seconds for which a deployment that calls itself ready may still refuse to answer."""

Probe = Callable[[Endpoint], None]
"""Makes one real chat call; raises `ProviderError` when it is not answered."""


@dataclass(frozen=True)
class Deploying(Core):
    """The verbs on deployments."""

    def deploy(
        self,
        model: ModelRef,
        *,
        name: str | None,
        ttl: float | None,
        options: Mapping[str, Any],
    ) -> Plan[DeploymentSnapshot]:
        """Start a deployment that is written down first. The same name is never started twice."""
        provider = self.able(SupportsDeployment, Capability.DEPLOY)

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
        run_name = self._run_of(model)
        if run_name is not None and slug(run_name) == run_name:
            return run_name
        readable = run_name or model.id.rstrip("/").rpartition("/")[2]
        digest = hashlib.sha256(model.id.encode()).hexdigest()[:8]
        return f"{slug(readable, limit=24)}-{digest}"

    def _run_of(self, model: ModelRef) -> str | None:
        if model.job_id is None or model.step is not None:
            return None
        found = self.ledger.run_of_job(self.provider.account, model.job_id)
        return found.name if found else None

    def fetch_deployment(self, name: str) -> Plan[DeploymentSnapshot]:
        """The deployment as it is now."""
        provider = self.able(SupportsDeployment, Capability.DEPLOY)
        return retried(partial(provider.fetch_deployment, name), self.clock)

    def wait_deployment(
        self, name: str, timeout: float | None, probe: Probe
    ) -> Plan[DeploymentSnapshot]:
        """Wait until a real chat call is answered; emits each snapshot."""
        provider = self.able(SupportsDeployment, Capability.DEPLOY)
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
        return self.able(SupportsDeployment, Capability.DEPLOY).endpoint(deployment)

    def adopt(self, name: str) -> None:
        """Let the deployment end with this process, where the provider can do that; blocking."""
        self.able(SupportsDeployment, Capability.DEPLOY).adopt(name)

    def delete_deployment(self, name: str) -> Plan[None]:
        """End the deployment, then strike it from the ledger."""
        provider = self.able(SupportsDeployment, Capability.DEPLOY)
        yield from retried(partial(provider.delete_deployment, name), self.clock, WAITS)
        yield Call(partial(self.ledger.forget_deployment, self.provider.account, name))

    def deployments(self) -> Plan[list[DeploymentSnapshot]]:
        """Every deployment of the account, started from here or not."""
        if not isinstance(self.provider, SupportsDeployment):
            return []
        found: Sequence[DeploymentSnapshot] = yield from retried(
            self.provider.list_deployments, self.clock, READS
        )
        standing = {deployment.name for deployment in found}

        def forget_what_ended() -> None:
            for line in self.ledger.deployments(self.provider.account):
                if line.name not in standing:
                    self.ledger.forget_deployment(self.provider.account, line.name)

        yield Call(forget_what_ended)
        return list(found)

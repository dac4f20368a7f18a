"""Launching: check, estimate, submit once."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass

from tunekit.capabilities import Capability
from tunekit.data import Dataset
from tunekit.engine import submission
from tunekit.engine.core import Core, public_settings
from tunekit.engine.plans import Plan
from tunekit.engine.preflight import check_options, preflight
from tunekit.errors import BudgetExceededError
from tunekit.problems import Problem, Report, Severity
from tunekit.providers.base import Estimate, JobSnapshot, Progress, SupportsEstimate
from tunekit.spec import FineTuneSpec

OVER_BUDGET = "budget-exceeded"


@dataclass(frozen=True)
class Launching(Core):
    """The verbs before a job exists."""

    def resolve(self, spec: FineTuneSpec) -> FineTuneSpec:
        """Replace a logical model name by what it is on this provider."""
        return spec.with_model(self.config.model(spec.model, self.provider.name))

    def check(self, spec: FineTuneSpec, train: Dataset, validation: Dataset | None) -> Report:
        """Find every problem of a launch; blocking, since it reads the data."""
        resolved = self.resolve(spec)
        found = preflight(self.provider, resolved, train, validation)
        report = Report.of(found, self._check_model_name(spec))
        if not report.ok:
            return report
        return Report.of(report, self._check_budget(resolved, train, validation))

    def _check_model_name(self, spec: FineTuneSpec) -> list[Problem]:
        """Suspect a slip where a model's name is nearly a logical one."""
        known = self.config.file.models
        near = difflib.get_close_matches(spec.model, known, n=1, cutoff=0.8)
        if spec.model in known or not near:
            return []
        return [
            Problem(
                code="nearly-a-logical-model",
                severity=Severity.WARNING,
                message=f"{spec.model!r} is not in `[models]`, so it is taken for a model id of "
                f"provider {self.provider.name!r}.",
                fix=f"Did you mean {near[0]!r}?",
                path="spec.model",
            )
        ]

    def _check_budget(
        self, spec: FineTuneSpec, train: Dataset, validation: Dataset | None
    ) -> list[Problem]:
        limit = self.config.budget.max_usd_per_job
        if limit is None:
            return []
        usd = (
            self.provider.estimate(spec, train, validation).usd
            if isinstance(self.provider, SupportsEstimate)
            else None
        )
        if usd is None:
            return [
                Problem(
                    code="budget-unchecked",
                    severity=Severity.WARNING,
                    message=f"`max_usd_per_job` is ${limit:.2f}, and provider "
                    f"{self.provider.name!r} cannot say what this job will cost.",
                )
            ]
        if usd <= limit:
            return []
        return [
            Problem(
                code=OVER_BUDGET,
                message=f"The job would cost about ${usd:.2f}, more than `max_usd_per_job` allows "
                f"(${limit:.2f}).",
                fix="Use less data or fewer epochs, or raise the limit in `[budget]`.",
            )
        ]

    def estimate(self, spec: FineTuneSpec, train: Dataset, validation: Dataset | None) -> Estimate:
        """What a launch would take; blocking, since it reads the data."""
        provider = self.able(SupportsEstimate, Capability.ESTIMATE)
        resolved = self.resolve(spec)
        Report.of(check_options(self.provider, resolved)).raise_on_error()
        return provider.estimate(resolved, train, validation)

    def fine_tune(
        self,
        spec: FineTuneSpec,
        train: Dataset,
        validation: Dataset | None,
        run: str | None,
        *,
        on_report: Callable[[Report], None] | None = None,
        on_upload: Progress | None = None,
    ) -> Plan[JobSnapshot]:
        """Submit once. See `tunekit.engine.submission`."""
        launch = submission.Submission(
            spec=self.resolve(spec),
            train=train,
            validation=validation,
            run=run,
            profile=self.profile.name,
            settings=public_settings(self.provider.settings),
            progress=on_upload or submission.no_progress,
        )

        def refuse_bad_launch() -> None:
            report = self.check(spec, train, validation)
            if on_report is not None:
                on_report(report)
            if any(problem.code == OVER_BUDGET for problem in report.errors):
                raise BudgetExceededError.of(report.problems)
            report.raise_on_error()

        return submission.submit(
            launch, self.provider, self.ledger, self.clock, preflight=refuse_bad_launch
        )

"""The client: a provider, ready to be asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

from typing_extensions import override

from tunekit.config import Config
from tunekit.data import Dataset
from tunekit.deployments import Deployment
from tunekit.engine.plans import Clock, SystemClock
from tunekit.engine.session import Session
from tunekit.errors import ConfigError
from tunekit.jobs import Job
from tunekit.ledger import Ledger, Run
from tunekit.models import TunedModel
from tunekit.problems import Report
from tunekit.providers import registry
from tunekit.providers.base import Estimate, FineTuneProvider, ModelRef, Progress
from tunekit.spec import FineTuneSpec


def open_session(
    profile: str | None = None,
    *,
    provider: str | FineTuneProvider | None = None,
    config: Config | str | Path | None = None,
    clock: Clock | None = None,
    settings: dict[str, Any],
) -> Session:
    """Resolve the settings and make the provider; shared by the two clients."""
    if profile is not None and provider is not None:
        named = provider if isinstance(provider, str) else provider.name
        raise ConfigError(
            f"Both a profile ({profile!r}) and a provider ({named!r}) were named.",
            next_step="Name one of them; a profile names its provider.",
        )
    if isinstance(provider, FineTuneProvider) and settings:
        raise ConfigError(
            f"A ready provider takes no settings, but got `{'`, `'.join(settings)}`.",
            next_step="Give them to the provider when you make it.",
        )
    loaded = config if isinstance(config, Config) else Config(config)
    home: Path = loaded.home.value
    if isinstance(provider, FineTuneProvider):
        resolved = loaded.explicit(provider.name, settings)
        made = provider
        home = provider.home
    else:
        if provider is not None:
            resolved = loaded.explicit(provider, settings)
        else:
            resolved = loaded.with_arguments(loaded.profile(profile), settings)
        made = registry.create(resolved, home=home)
    return Session(
        provider=made,
        ledger=Ledger(home / "ledger.sqlite3"),
        config=loaded,
        profile=resolved,
        clock=clock or SystemClock(),
    )


def connect(
    profile: str | None = None,
    *,
    provider: str | FineTuneProvider | None = None,
    config: Config | str | Path | None = None,
    clock: Clock | None = None,
    **settings: Any,
) -> Client:
    """Connect to a profile of `tunekit.toml`, or to a provider by name. Does no network I/O.

    Args:
        profile: Name of a profile; without one and without `provider`, the default profile.
        provider: Name of a provider, or a ready `FineTuneProvider`.
        config: A `tunekit.toml`, instead of the one that is found.
        clock: The time, for tests.
        **settings: The provider's settings; they win over environment and file.

    Raises:
        ConfigError: A setting is missing, unknown or contradictory.
        MissingExtraError: A package that the provider needs is not installed.
    """
    return Client(
        open_session(profile, provider=provider, config=config, clock=clock, settings=settings)
    )


class Client:
    """A provider, ready to be asked. Make one with `tunekit.connect`; threads may share it."""

    def __init__(self, session: Session) -> None:
        self._session = session

    @property
    def provider(self) -> FineTuneProvider:
        """The provider underneath."""
        return self._session.provider

    @property
    def session(self) -> Session:
        """Provider, ledger, configuration and clock, for code that builds on the handles."""
        return self._session

    def check(
        self, spec: FineTuneSpec, train: Dataset, validation: Dataset | None = None
    ) -> Report:
        """Find every fault of data, spec, options, capabilities and budget. Sends nothing."""
        return self._session.check(spec, train, validation)

    def estimate(
        self, spec: FineTuneSpec, train: Dataset, validation: Dataset | None = None
    ) -> Estimate:
        """Say what the job would take: tokens, steps, time, memory, money, as far as known.

        Raises:
            UnsupportedError: The provider cannot say.
        """
        return self._session.estimate(spec, train, validation)

    def fine_tune(
        self,
        spec: FineTuneSpec,
        train: Dataset,
        validation: Dataset | None = None,
        *,
        run: str | None = None,
        on_report: Callable[[Report], None] | None = None,
        on_upload: Progress | None = None,
    ) -> Job:
        """Start the job, or return the one that this run already has.

        At most one job comes of it, however often the line runs, in whatever process, and wherever
        an earlier attempt was cut off. Without a `run` name one is derived from the request, so the
        same request is the same run; give a name to train the same thing twice.

        Args:
            spec: What to train.
            train: Training data.
            validation: Validation data.
            run: Name of the run; unique per account.
            on_report: Called with what `check` found before anything is sent, warnings included.
                Not called for a run whose job exists.
            on_upload: Called with (bytes sent, bytes in all) while a data file travels.

        Raises:
            PreflightError: Everything that is wrong, at once; nothing was sent.
            RunConflictError: The run name belongs to a different request.
            UnclearReplyError: The provider could not be asked whether the job exists; call again.
            ProviderError: The provider refused; there is no job.
        """
        plan = self._session.fine_tune(
            spec, train, validation, run, on_report=on_report, on_upload=on_upload
        )
        return Job(self._session, self._session.run(plan))

    def job(self, ref: str) -> Job:
        """The job with this run name or job id, whichever process started it.

        Raises:
            NotFoundError: Neither the ledger nor the provider knows it.
        """
        return Job(self._session, self._session.run(self._session.find_job(ref)))

    def jobs(self, *, limit: int | None = None) -> Iterator[Job]:
        """The account's jobs, newest first; pages are fetched as they are needed."""
        cursor: str | None = None
        given = 0
        while True:
            page = self._session.run(self._session.jobs_page(cursor, 20))
            for snapshot in page.data:
                if limit is not None and given >= limit:
                    return
                given += 1
                yield Job(self._session, snapshot)
            cursor = page.cursor
            if not page.has_more or cursor is None:
                return

    def recover(self) -> list[Run]:
        """Settle runs that were interrupted while they were submitted. Creates nothing."""
        return self._session.run(self._session.recover())

    def model(self, model: str | ModelRef) -> TunedModel:
        """A handle on any model of the provider: a tuned one, a base, a folder. No I/O."""
        if isinstance(model, str):
            resolved = self._session.config.model(model, self.provider.name)
            model = ModelRef(id=resolved, provider=self.provider.name)
        return TunedModel(self._session, model)

    def deployments(self) -> list[Deployment]:
        """Everything of this account that stands now, and may cost money."""
        found = self._session.run(self._session.deployments())
        return [Deployment(self._session, snapshot) for snapshot in found]

    def deployment(self, name: str) -> Deployment:
        """The deployment of this name.

        Raises:
            NotFoundError: There is none.
        """
        snapshot = self._session.run(self._session.fetch_deployment(name))
        return Deployment(self._session, snapshot)

    def close(self) -> None:
        """Free connections. Jobs and deployments go on."""
        self.provider.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    @override
    def __repr__(self) -> str:
        return f"<Client {self.provider.account!r}>"

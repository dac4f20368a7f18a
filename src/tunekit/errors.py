"""Every error that tunekit raises.

::

    TunekitError
    ├── ConfigError (ValueError)             a setting is missing, unknown or contradictory
    │   ├── UnknownProfileError              no such profile in tunekit.toml
    │   ├── UnknownProviderError             no such provider is installed
    │   └── UnknownModelError                a model name that means nothing to this provider
    ├── MissingExtraError (ImportError)      an optional dependency is not installed
    ├── DataError (ValueError)               a data file or record cannot be used
    │   └── TokenizerUnavailableError        what counts a model's tokens is not on this machine
    ├── PreflightError (ValueError)          everything that is wrong with a launch, at once
    │   └── BudgetExceededError              the launch would cost more than allowed
    ├── UnsupportedError                     the provider cannot do this, and says why
    ├── RunConflictError                     this run name belongs to another request
    ├── LedgerError
    │   ├── LedgerVersionError               written by a newer tunekit
    │   └── LedgerUnavailableError (OSError) the file cannot be opened or written
    ├── ProviderError                        a provider refused or did not answer
    │   ├── AuthenticationError
    │   ├── PermissionDeniedError
    │   ├── NotFoundError
    │   ├── InvalidRequestError
    │   ├── ConflictError
    │   ├── RateLimitError                   wait, then try again
    │   ├── QuotaExceededError               waiting does not help
    │   └── UnclearReplyError                nobody knows yet whether the request took effect
    ├── LocalRunError                        this machine cannot do it
    │   ├── DiskSpaceError (OSError)
    │   ├── OutOfMemoryError (MemoryError)
    │   ├── PortInUseError (OSError)
    │   └── CorruptModelError                a model folder is not whole
    ├── JobError                             carries the job's last snapshot
    │   ├── JobFailedError
    │   ├── JobCancelledError
    │   ├── JobPausedError
    │   └── UnknownStatusError               a status word that stayed unknown for too long
    ├── DeploymentError                      carries the deployment's last snapshot
    │   └── DeploymentFailedError
    └── WaitTimeoutError (TimeoutError)      the deadline of a wait; the job goes on
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

from typing_extensions import override

if TYPE_CHECKING:
    from tunekit.problems import Problem
    from tunekit.providers.base import DeploymentSnapshot, JobSnapshot


class TunekitError(Exception):
    """Base of all errors of this library.

    The message says what happened and to what; `next_step` says what to do now. Errors pickle, so
    that they cross processes whole.
    """

    next_step: str = ""

    def __init__(self, message: str, *, next_step: str = "") -> None:
        super().__init__(message)
        if next_step:
            self.next_step = next_step

    @property
    def message(self) -> str:
        """What happened, without the next step."""
        return str(self.args[0])

    @override
    def __str__(self) -> str:
        return f"{self.message} {self.next_step}".strip()


class ConfigError(TunekitError, ValueError):
    """A setting is missing, unknown or contradictory."""


class UnknownProfileError(ConfigError):
    """`tunekit.toml` has no profile of this name."""


class UnknownProviderError(ConfigError):
    """No installed package offers a provider of this name."""


class UnknownModelError(ConfigError):
    """The model name means nothing to this provider."""


class MissingExtraError(TunekitError, ImportError):
    """An optional dependency is not installed; the message carries the exact install line."""


class DataError(TunekitError, ValueError):
    """A data file or record cannot be used.

    Attributes:
        problems: Every fault that was found, in file order.
    """

    problems: tuple[Problem, ...] = ()

    def __init__(
        self, message: str, *, problems: Sequence[Problem] = (), next_step: str = ""
    ) -> None:
        super().__init__(message, next_step=next_step)
        self.problems = tuple(problems)


class TokenizerUnavailableError(DataError):
    """The tokenizer that counts a model's tokens is not on this machine and cannot be fetched."""


class PreflightError(TunekitError, ValueError):
    """The launch was refused before anything was sent.

    Attributes:
        problems: Every reason at once, errors first.
    """

    problems: tuple[Problem, ...] = ()
    shown = 20

    @classmethod
    def of(cls, problems: Sequence[Problem]) -> Self:
        """Build the error whose message lists the problems that stop the launch."""
        stopping = [p for p in problems if p.severity.value == "error"]
        lines = [f"  - {p}" for p in stopping[: cls.shown]]
        if len(stopping) > cls.shown:
            lines.append(f"  - and {len(stopping) - cls.shown} more; see `error.problems`")
        count = f"{len(stopping)} problem" + ("" if len(stopping) == 1 else "s")
        error = cls(f"Nothing was sent; {count} must be mended first:\n" + "\n".join(lines))
        error.problems = tuple(problems)
        return error


class BudgetExceededError(PreflightError):
    """The launch would cost more than the budget of the profile allows."""


class UnsupportedError(TunekitError):
    """The provider cannot do this; the message gives its reason."""


class RunConflictError(TunekitError):
    """This run name already belongs to a different request.

    Attributes:
        run: The name.
        differences: What differs between the two requests, for example `spec.method.n_epochs`.
    """

    run: str = ""
    differences: tuple[str, ...] = ()

    def __init__(
        self,
        message: str,
        *,
        run: str = "",
        differences: Sequence[str] = (),
        next_step: str = "",
    ) -> None:
        super().__init__(message, next_step=next_step)
        self.run = run
        self.differences = tuple(differences)


class LedgerError(TunekitError):
    """The ledger of runs cannot be used."""


class LedgerVersionError(LedgerError):
    """The ledger was written by a newer tunekit."""


class LedgerUnavailableError(LedgerError, OSError):
    """The ledger file cannot be opened or written."""


class ProviderError(TunekitError):
    """A provider refused a request or did not answer it.

    Attributes:
        provider: Name of the provider.
        status_code: HTTP status, where there was one.
        code: The provider's own error code, where it gave one.
        request_id: The provider's id of the request, for its support.
        retry_after: Seconds the provider asked to wait, where it did.
        retryable: Whether the same *read* may simply be tried again.
    """

    provider: str = ""
    status_code: int | None = None
    code: str | None = None
    request_id: str | None = None
    retry_after: float | None = None
    retryable = False

    def __init__(
        self,
        message: str,
        *,
        provider: str = "",
        status_code: int | None = None,
        code: str | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
        next_step: str = "",
    ) -> None:
        super().__init__(message, next_step=next_step)
        self.provider = provider
        self.status_code = status_code
        self.code = code
        self.request_id = request_id
        self.retry_after = retry_after


class AuthenticationError(ProviderError):
    """The credential is missing, wrong or expired."""


class PermissionDeniedError(ProviderError):
    """The credential is good, but may not do this."""


class NotFoundError(ProviderError):
    """The provider has no such job, file, model or deployment."""


class InvalidRequestError(ProviderError):
    """The provider understood the request and refused it."""


class ConflictError(ProviderError):
    """The thing is in a state in which this cannot be done."""


class RateLimitError(ProviderError):
    """Too many requests for now; `retry_after` says how long to wait, when it is known."""

    retryable = True


class QuotaExceededError(ProviderError):
    """A quota or balance is used up; waiting does not help."""


class UnclearReplyError(ProviderError):
    """The request was sent, but no clear answer came back.

    A timeout, a dropped connection or a 5xx: nobody knows yet whether it took effect. A read may
    be tried again. A create is settled by looking for the job's tag, never by sending it again.
    """

    retryable = True


class LocalRunError(TunekitError):
    """This machine cannot do what was asked."""


class DiskSpaceError(LocalRunError, OSError):
    """There is not enough free disk space."""


class OutOfMemoryError(LocalRunError, MemoryError):
    """There is not enough memory for this model and batch."""


class PortInUseError(LocalRunError, OSError):
    """Another process listens on the port."""


class CorruptModelError(LocalRunError):
    """A model folder is incomplete or cannot be read."""


class JobError(TunekitError):
    """A job did not end as asked.

    Attributes:
        snapshot: The job as it was last seen.
    """

    snapshot: JobSnapshot | None = None

    def __init__(
        self, message: str, *, snapshot: JobSnapshot | None = None, next_step: str = ""
    ) -> None:
        super().__init__(message, next_step=next_step)
        self.snapshot = snapshot


class JobFailedError(JobError):
    """The job failed; the message carries the provider's reason."""


class JobCancelledError(JobError):
    """The job was cancelled."""


class JobPausedError(JobError):
    """The job is paused and will not go on by itself."""


class UnknownStatusError(JobError):
    """The provider kept reporting a status that this version does not know."""


class DeploymentError(TunekitError):
    """A deployment is not in the state that was asked for.

    Attributes:
        snapshot: The deployment as it was last seen.
    """

    snapshot: DeploymentSnapshot | None = None

    def __init__(
        self, message: str, *, snapshot: DeploymentSnapshot | None = None, next_step: str = ""
    ) -> None:
        super().__init__(message, next_step=next_step)
        self.snapshot = snapshot


class DeploymentFailedError(DeploymentError):
    """The deployment could not be brought up, or went down."""


class WaitTimeoutError(TunekitError, TimeoutError):
    """The deadline of a wait passed. What was waited for goes on.

    Attributes:
        snapshot: What was waited for, as it was last seen.
    """

    snapshot: Any = None

    def __init__(self, message: str, *, snapshot: Any = None, next_step: str = "") -> None:
        super().__init__(message, next_step=next_step)
        self.snapshot = snapshot


def missing_extra(extra: str, packages: str, *, needed_for: str) -> MissingExtraError:
    """Build the error for a missing optional dependency.

    The install line names third-party packages or this project's own extra. It never names a bare
    `tunekit`, which belongs to an unrelated project on the package index.
    """
    return MissingExtraError(
        f"{needed_for} needs packages that are not installed.",
        next_step=(
            f"Run `pip install {packages}`, or install the `{extra}` extra from your checkout "
            f"with `pip install '.[{extra}]'`."
        ),
    )

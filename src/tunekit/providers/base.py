"""The contract `FineTuneProvider`.

Each method is synchronous, safe to call from several threads, one short round trip; it never
sleeps, never prints, and never starts anything that costs money except `submit` and `deploy`.
Everything with a loop (waiting, retrying, settling) lives in `tunekit.engine`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict
from typing_extensions import override

from tunekit.capabilities import Capability, Support, missing_answers
from tunekit.data.limits import DataLimits, published_limits
from tunekit.providers.snapshots import (
    Checkpoint,
    DeploymentSnapshot,
    DeploymentStatus,
    Endpoint,
    Estimate,
    JobEvent,
    JobFault,
    JobProgress,
    JobSnapshot,
    JobStatus,
    ModelRef,
    Page,
)

if TYPE_CHECKING:
    from tunekit.data import Dataset, DataSummary
    from tunekit.data.preview import PreviewRow
    from tunekit.data.records import Row
    from tunekit.data.tokens.counting import TokenCounter
    from tunekit.problems import Problem
    from tunekit.spec import FineTuneSpec

__all__ = [
    "Artifact",
    "Checkpoint",
    "DeploymentSnapshot",
    "DeploymentStatus",
    "Endpoint",
    "Estimate",
    "FileRef",
    "FineTuneProvider",
    "JobEvent",
    "JobFault",
    "JobProgress",
    "JobSnapshot",
    "JobStatus",
    "ModelRef",
    "Page",
    "PollPolicy",
    "PreparedFile",
    "Progress",
    "ProviderOptions",
    "ProviderSettings",
    "Stop",
    "SupportsArtifacts",
    "SupportsCheckpoints",
    "SupportsDataCheck",
    "SupportsDeployment",
    "SupportsEstimate",
    "SupportsModelDeletion",
    "SupportsPause",
    "SupportsTokens",
]

Progress = Callable[[int, int], None]
"""Called with (bytes done, bytes in all) while a file travels."""

Stop = Callable[[], bool]
"""Asked now and then; true means: give up at the next safe point."""


@dataclass(frozen=True, slots=True)
class PreparedFile:
    """A data file in a provider's own format, ready to be sent.

    Attributes:
        path: Where it lies.
        rows: Records in it.
        bytes: Its size.
        sha256: Hex digest of its content; the same digest is not sent twice to one account.
    """

    path: Path
    rows: int
    bytes: int
    sha256: str


class FileRef(BaseModel):
    """A file that the provider holds."""

    model_config = ConfigDict(frozen=True)

    id: str
    sha256: str
    bytes: int


class Artifact(BaseModel):
    """One file that a job left: its name, its size, and what it is."""

    model_config = ConfigDict(frozen=True)

    name: str
    bytes: int | None = None
    kind: str = "file"


@dataclass(frozen=True, slots=True)
class PollPolicy:
    """How often a wait asks: from `initial` seconds, growing by `factor`, up to `maximum`.

    `unknown_for` bounds how long a status word that this version does not know is tolerated.
    """

    initial: float = 2.0
    factor: float = 1.5
    maximum: float = 30.0
    unknown_for: float = 3600.0


class ProviderSettings(BaseModel):
    """What a profile may set for a provider. Subclass it; unknown keys are refused."""

    # A fault in one setting must not print the credential beside it.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class ProviderOptions(BaseModel):
    """What `spec.options[<provider>]` may hold. Subclass it; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class FineTuneProvider(ABC):
    """One place where fine-tunes run.

    Constructors do no I/O. `settings` is an instance of the class's own `Settings`, `home` is the
    folder where tunekit keeps its state (`~/.local/share/tunekit` on Linux).
    """

    name: ClassVar[str]
    capabilities: ClassVar[Mapping[Capability, Support]]
    Settings: ClassVar[type[ProviderSettings]] = ProviderSettings
    Options: ClassVar[type[ProviderOptions]] = ProviderOptions
    poll: ClassVar[PollPolicy] = PollPolicy()
    settle_delays: ClassVar[Sequence[float]] = (2, 4, 8, 16, 30)
    """Pauses between the looks for a job whose create call went unanswered. When the last look has
    found nothing either, the job is taken not to exist. Empty where `find` is certain at once."""

    @override
    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not hasattr(cls, "name"):
            return  # an abstract step on the way to a provider
        missing = missing_answers(getattr(cls, "capabilities", {}))
        if missing:
            raise TypeError(
                f"{cls.__name__}.capabilities must answer for every capability; "
                f"missing: {', '.join(missing)}"
            )

    def __init__(self, settings: ProviderSettings, *, home: Path) -> None:
        self.settings = settings
        self.home = home

    @property
    @abstractmethod
    def account(self) -> str:
        """Who pays and owns: the same string means the same account. Never a secret. No I/O."""

    def options(self, spec: FineTuneSpec) -> ProviderOptions:
        """Read this provider's own options from a spec.

        Raises:
            pydantic.ValidationError: A key is unknown or a value is out of bounds.
        """
        return self.Options.model_validate(dict(spec.options.get(self.name, {})))

    def check(self, spec: FineTuneSpec, data: DataSummary) -> list[Problem]:
        """This provider's own rules about the spec and the data. No I/O."""
        return []

    def data_limits(self, spec: FineTuneSpec) -> DataLimits:
        """How much data of which kind this provider takes for the request. No I/O.

        By default what the service of this name publishes, and no limits where none is known.
        """
        known = published_limits(self.name, model=spec.model, method=spec.method.type)
        return known or DataLimits()

    @abstractmethod
    def prepare(self, dataset: Dataset, to: Path) -> PreparedFile:
        """Write the dataset to the file `to` in this provider's format. Streams; no network."""

    @abstractmethod
    def upload(self, file: PreparedFile, *, progress: Progress, stop: Stop) -> FileRef:
        """Hand the file to the provider. Sending the same file again must be harmless."""

    @abstractmethod
    def submit(
        self, spec: FineTuneSpec, train: FileRef, validation: FileRef | None, *, tag: str
    ) -> JobSnapshot:
        """Create the job with exactly one create call, and no retry underneath.

        Raises:
            UnclearReplyError: Nobody knows yet whether the job exists; `find(tag)` settles it.
            ProviderError: The provider clearly refused; there is no job.
        """

    @abstractmethod
    def find(self, tag: str) -> JobSnapshot | None:
        """The job that carries this tag, or None when the provider is sure to have none."""

    @abstractmethod
    def fetch(self, job_id: str) -> JobSnapshot:
        """The job as it is now.

        Raises:
            NotFoundError: There is no such job.
        """

    @abstractmethod
    def cancel(self, job_id: str) -> JobSnapshot:
        """Ask for the job to be cancelled. Cancelling twice, or a finished job, is harmless."""

    @abstractmethod
    def list_jobs(self, cursor: str | None = None, limit: int = 20) -> Page[JobSnapshot]:
        """One page of jobs, newest first."""

    @abstractmethod
    def list_events(self, job_id: str, cursor: str | None = None) -> Page[JobEvent]:
        """Events after `cursor`, **oldest first**, whatever the wire does.

        The page's `cursor` is never None here: it resumes after the last event that was given.
        """

    def close(self) -> None:  # noqa: B027 - a provider without connections has nothing to do
        """Free connections. Jobs and deployments go on."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


class SupportsPause(ABC):
    """A provider whose jobs can stop at a checkpoint and go on from it."""

    @abstractmethod
    def pause(self, job_id: str) -> JobSnapshot:
        """Ask the job to save a checkpoint and stop. Idempotent."""

    @abstractmethod
    def resume(self, job_id: str) -> JobSnapshot:
        """Let a paused job go on from its checkpoint. Idempotent."""


class SupportsCheckpoints(ABC):
    """A provider that shows a job's checkpoints."""

    @abstractmethod
    def list_checkpoints(self, job_id: str) -> Sequence[Checkpoint]:
        """Complete checkpoints, oldest first."""


class SupportsArtifacts(ABC):
    """A provider that hands out what a job left."""

    @abstractmethod
    def list_artifacts(self, model: ModelRef) -> Sequence[Artifact]:
        """The files of the model."""

    @abstractmethod
    def download(self, model: ModelRef, to: Path) -> Path:
        """Copy the model's files into the folder `to` and return it.

        The folder appears whole or not at all.
        """

    def merge(self, model: ModelRef, to: Path | None = None) -> ModelRef:
        """Merge an adapter into its base, in a folder of its own."""
        raise NotImplementedError

    def push(self, model: ModelRef, repo_id: str, *, private: bool = True) -> str:
        """Send the model to a repository of the Hugging Face Hub and return its URL."""
        raise NotImplementedError


class SupportsModelDeletion(ABC):
    """A provider that can delete a tuned model."""

    @abstractmethod
    def delete_model(self, model: ModelRef) -> None:
        """Delete the model. Deleting it twice is harmless."""


class SupportsDeployment(ABC):
    """A provider that brings a model up behind an OpenAI-compatible endpoint."""

    @abstractmethod
    def deploy(
        self, model: ModelRef, *, name: str, ttl: float | None, options: Mapping[str, Any]
    ) -> DeploymentSnapshot:
        """Start the deployment `name`, or return it when it is there already.

        Args:
            model: What to serve.
            name: Identity of the deployment; the same name is never started twice.
            ttl: Seconds after which it ends by itself, where the provider can do that.
            options: The provider's own settings.
        """

    @abstractmethod
    def fetch_deployment(self, name: str) -> DeploymentSnapshot:
        """The deployment as it is now.

        Raises:
            NotFoundError: There is no such deployment.
        """

    @abstractmethod
    def delete_deployment(self, name: str) -> None:
        """End the deployment. Deleting it twice is harmless."""

    @abstractmethod
    def list_deployments(self) -> Sequence[DeploymentSnapshot]:
        """Every deployment of the account that exists now."""

    @abstractmethod
    def endpoint(self, deployment: DeploymentSnapshot) -> Endpoint:
        """Where and how to talk to it. Holds the credential; never logged or stored."""

    def adopt(self, name: str) -> None:  # noqa: B027 - a hosted deployment cannot be tied
        """Tie the deployment to this process, where the provider can: it ends when we do."""


class SupportsDataCheck(ABC):
    """A provider that can look at each row as the model will see it."""

    @abstractmethod
    def check_data(
        self, spec: FineTuneSpec, train: Dataset, validation: Dataset | None
    ) -> list[Problem]:
        """Row by row faults that need the model's tokenizer and template. No network.

        Finds rows that are too long and rows that train on nothing. When the tokenizer is not at
        hand without the network, one warning says so, and the job itself checks.
        """


class SupportsEstimate(ABC):
    """A provider that can say beforehand what a job takes."""

    @abstractmethod
    def estimate(self, spec: FineTuneSpec, train: Dataset, validation: Dataset | None) -> Estimate:
        """Tokens, steps, time and memory. No network; may read the data and a local model."""


class SupportsTokens(ABC):
    """A provider that can count and show the tokens of a row as the model will see them."""

    @abstractmethod
    def token_counter(self, spec: FineTuneSpec) -> TokenCounter | None:
        """What counts the tokens of rows for the model. No network.

        None where the model's tokenizer is not on this machine.
        """

    @abstractmethod
    def preview(
        self, spec: FineTuneSpec, row: Row, *, line: int = 1, tokens: bool = False
    ) -> PreviewRow:
        """Show what the model will see of a row, and what of that is trained on. No network.

        Args:
            spec: The request; its model and options decide the picture.
            row: A row of the training data.
            line: Where the row stands in its file.
            tokens: Whether to give the text of each token.

        Raises:
            DataError: The row cannot be trained on, or the model's tokenizer is not on this
                machine.
        """

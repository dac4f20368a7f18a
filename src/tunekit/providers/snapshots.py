"""What a provider reports: jobs, events, checkpoints, models and deployments as they were.

Snapshots are frozen, go through JSON and back unchanged, and keep the provider's own answer in
`raw`.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, SecretStr
from typing_extensions import override

T = TypeVar("T")


class _Snapshot(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class JobStatus(StrEnum):
    """Where a job stands. A word that no provider table knows becomes `unknown`."""

    VALIDATING = "validating"
    QUEUED = "queued"
    RUNNING = "running"
    PAUSING = "pausing"
    PAUSED = "paused"
    RESUMING = "resuming"
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"

    @property
    def is_terminal(self) -> bool:
        """True when the job will never change again."""
        return self in (JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELLED)


class JobFault(_Snapshot):
    """Why a job failed. A job failed only when `code` says so, not when this object exists."""

    code: str
    message: str
    param: str | None = None


class JobProgress(_Snapshot):
    """How far training is."""

    step: int = 0
    total_steps: int | None = None
    epoch: float | None = None

    @property
    def fraction(self) -> float | None:
        """0 to 1, or None while the number of steps is unknown."""
        return min(1.0, self.step / self.total_steps) if self.total_steps else None


class ModelRef(_Snapshot):
    """A model by name: a tuned one, a base, or a checkpoint.

    Attributes:
        id: What the provider calls it; a folder for local ones.
        base_model: What it was tuned from; None for a base itself.
        job_id: The job that made it.
        step: For a checkpoint, the step at which it was saved; None for a job's final model.
        system_prompt: The system prompt that every training row began with, if they all did.
    """

    id: str
    provider: str
    base_model: str | None = None
    job_id: str | None = None
    step: int | None = None
    system_prompt: str | None = None


class JobSnapshot(_Snapshot):
    """A job as it was at one moment.

    Attributes:
        status: Our word for where it stands; `provider_status` keeps the provider's spelling.
        model: The base model.
        fine_tuned_model: The result, once there is one.
        trained_tokens: Tokens that were trained on (data tokens times epochs), once known.
        hyperparameters: What was really used, defaults filled in.
        error: Set when the job failed.
        tag: The mark by which tunekit finds the job again.
    """

    id: str
    provider: str
    status: JobStatus
    provider_status: str
    model: str
    fine_tuned_model: ModelRef | None = None
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    estimated_finish: datetime | None = None
    trained_tokens: int | None = None
    progress: JobProgress | None = None
    hyperparameters: dict[str, Any] = Field(default_factory=dict)
    metadata: dict[str, str] = Field(default_factory=dict)
    error: JobFault | None = None
    tag: str | None = None
    raw: dict[str, Any] = Field(default_factory=dict)

    @property
    def is_terminal(self) -> bool:
        """True when the job will never change again."""
        return self.status.is_terminal


class JobEvent(_Snapshot):
    """One thing that happened in a job.

    Attributes:
        id: Unique in the job; the same event always has the same id.
        type: `message`, `metrics`, `checkpoint` or `status`.
        data: For `metrics`: `step` and figures such as `train_loss`, `learning_rate`,
            `train_mean_token_accuracy`, `valid_loss`, `tokens_seen`, `tokens_per_second`.
    """

    id: str
    created_at: datetime
    level: Literal["info", "warning", "error"] = "info"
    type: str = "message"
    message: str
    data: dict[str, Any] = Field(default_factory=dict)

    @override
    def __str__(self) -> str:
        mark = "" if self.level == "info" else f"{self.level}: "
        return f"{self.created_at:%H:%M:%S} {mark}{self.message}"


class Checkpoint(_Snapshot):
    """A saved state of a job that can be deployed or resumed from."""

    id: str
    job_id: str
    step: int
    created_at: datetime
    metrics: dict[str, float] = Field(default_factory=dict)
    model: ModelRef


class Page(_Snapshot, Generic[T]):
    """One page of a list. `cursor` fetches what comes after it; None where that is the end."""

    data: tuple[T, ...] = ()
    cursor: str | None = None
    has_more: bool = False


class DeploymentStatus(StrEnum):
    """Where a deployment stands. `ready` means that a real chat call can be answered."""

    CREATING = "creating"
    READY = "ready"
    DELETING = "deleting"
    DELETED = "deleted"
    FAILED = "failed"
    UNKNOWN = "unknown"

    @property
    def is_terminal(self) -> bool:
        """True when it will never answer again."""
        return self in (DeploymentStatus.DELETED, DeploymentStatus.FAILED)


class DeploymentSnapshot(_Snapshot):
    """A deployment as it was at one moment.

    Attributes:
        name: Its identity at the provider.
        model: What it serves.
        base_url: Root of the OpenAI-compatible API, once it is known.
        expires_at: When it ends by itself, if it does.
        usd_per_hour: What it costs while it stands, as far as it is known; 0 on own machines.
    """

    name: str
    provider: str
    model: ModelRef
    status: DeploymentStatus
    provider_status: str
    base_url: str | None = None
    created_at: datetime
    expires_at: datetime | None = None
    usd_per_hour: float | None = None
    error: JobFault | None = None
    raw: dict[str, Any] = Field(default_factory=dict)


class Endpoint(_Snapshot):
    """How to talk to a deployment: an OpenAI-compatible base URL, a model name, a credential."""

    base_url: str
    model: str
    api_key: SecretStr
    headers: dict[str, str] = Field(default_factory=dict, repr=False)  # may hold a credential


class Estimate(_Snapshot):
    """What a job takes, as far as it can be said beforehand. None means: not known.

    Attributes:
        tokens: Tokens of the training file, counted once.
        trained_tokens: `tokens` times epochs.
        steps: Weight updates in all.
        seconds: Training time, `(low, high)`.
        memory_bytes: Peak memory of the training process.
        disk_bytes: What the run will leave on disk.
        usd: What the provider will charge for training.
        notes: How each figure was reached, and what is left out.
    """

    tokens: int | None = None
    trained_tokens: int | None = None
    steps: int | None = None
    seconds: tuple[float, float] | None = None
    memory_bytes: int | None = None
    disk_bytes: int | None = None
    usd: float | None = None
    notes: tuple[str, ...] = ()

"""The quickstart's steps, without a word of output: data, check, training, deployment, score."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunekit.client import Client
from tunekit.data import Dataset
from tunekit.jobs import Job
from tunekit.models import TunedModel
from tunekit.problems import Report
from tunekit.providers.base import Estimate, JobSnapshot, ModelRef
from tunekit.quickstart import BASE_MODEL, recipes, settings
from tunekit.quickstart.scoring import Score, score
from tunekit.spec import SFT, FineTuneSpec, LoRA

Rows = Sequence[dict[str, Any]]


@dataclass(frozen=True)
class Data:
    """The three splits; held-out rows share no sentence with training rows."""

    train: Dataset
    validation: Dataset
    test: Rows
    folder: Path


def make_data(folder: Path, *, test_rows: int) -> Data:
    """Write the rows of the story to JSONL files in `folder`.

    Raises:
        RuntimeError: A held-out row shares a sentence with a training row.
    """
    train, validation, test = recipes.quickstart_split(
        train=settings.TRAIN_ROWS,
        validation=settings.VALIDATION_ROWS,
        test=test_rows,
        seed=settings.SEED,
    )
    shared = recipes.shared_sentences(train, test)
    if shared:
        raise RuntimeError(f"{len(shared)} sentences are in both train and test data")
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in (("train", train), ("validation", validation), ("test", test)):
        Dataset.from_records(rows).write_jsonl(folder / f"{name}.jsonl")
    return Data(
        train=Dataset.from_jsonl(folder / "train.jsonl"),
        validation=Dataset.from_jsonl(folder / "validation.jsonl"),
        test=test,
        folder=folder,
    )


def make_spec(model: str | None) -> FineTuneSpec:
    """The fine-tune of the story; the small base has settings of its own, measured for it."""
    if model is not None:
        return FineTuneSpec(
            model=model, method=SFT(n_epochs=1), seed=settings.SEED, suffix="quickstart"
        )
    return FineTuneSpec(
        model=BASE_MODEL,
        method=SFT(n_epochs=settings.N_EPOCHS, batch_size=settings.BATCH_SIZE),
        adapter=LoRA(r=settings.LORA_R, alpha=settings.LORA_ALPHA),
        seed=settings.SEED,
        suffix="quickstart",
        options={
            "trl": {
                "learning_rate": settings.LEARNING_RATE,
                "lr_scheduler_type": settings.LR_SCHEDULER,
                "warmup_ratio": settings.WARMUP_SHARE,
                "max_length": settings.MAX_LENGTH,
                "logging_steps": settings.LOGGING_STEPS,
            }
        },
    )


@dataclass
class Story:
    """One telling. The steps are called in the order in which they stand here.

    Attributes:
        client: Where it runs.
        spec: The fine-tune.
        data: The three splits.
        run: Name of the run in the ledger.
    """

    client: Client
    spec: FineTuneSpec
    data: Data
    run: str

    def check(self) -> Report:
        """Check data and spec."""
        return self.client.check(self.spec, self.data.train, self.data.validation)

    def estimate(self) -> Estimate:
        """Say what it will take."""
        return self.client.estimate(self.spec, self.data.train, self.data.validation)

    def launch(self) -> Job:
        """Start the job."""
        return self.client.fine_tune(self.spec, self.data.train, self.data.validation, run=self.run)

    def base(self) -> TunedModel:
        """The untouched base, with the system prompt that the training rows begin with."""
        return self.client.model(
            ModelRef(
                id=self.spec.model,
                provider=self.client.provider.name,
                system_prompt=recipes.SYSTEM_PROMPT,
            )
        )

    def score(self, model: TunedModel, progress: Callable[[int, int], None]) -> Score:
        """Deploy the model for the length of the test and score it on the held-out rows."""
        with model.deploy(ttl="30m") as deployment:
            return score(
                deployment,
                self.data.test,
                recipes.exact_match,
                max_tokens=settings.MAX_NEW_TOKENS,
                progress=progress,
            )


def training_seconds(job: JobSnapshot) -> float:
    """Seconds from the start of the worker to the finished model."""
    if job.started_at is None or job.finished_at is None:
        raise ValueError(f"job {job.id!r} has not run to its end")
    return (job.finished_at - job.started_at).total_seconds()


def new_run_name() -> str:
    """A fresh name, so that each telling trains anew."""
    return time.strftime("quickstart-%Y%m%d-%H%M%S")

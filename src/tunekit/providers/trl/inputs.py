"""Everything that a training needs before any weight is loaded: tokenizer, rows and settings.

Runs in the worker. Free of torch; `transformers` is imported for its tokenizer and configuration.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunekit.providers.local.reporter import Reporter
from tunekit.providers.local.rundir import RunDir
from tunekit.providers.trl import modelfiles, recipe
from tunekit.providers.trl.faults import TrainingFault, cannot_load
from tunekit.providers.trl.masks import RowEncoder, stop_token_is_trained
from tunekit.providers.trl.rows import EncodedRows, SystemPromptWatch, encode_rows, read_rows

PACKED_LENGTH = 2048
"""Longest packed sequence when no `max_length` is set; more would only cost memory."""

Asked = Mapping[str, Any]
"""The content of `spec.json`."""


@dataclass(frozen=True)
class Inputs:
    """What was read and encoded for one training.

    Attributes:
        base: The folder or Hub id to load.
        tokenizer: With the chat template that this run uses.
        shape: The base model's shape.
        limit: The most tokens a row may have; None for no limit.
        train: The rows to train on.
        valid: The rows to evaluate on, if there are any.
    """

    run: RunDir
    asked: Asked
    reporter: Reporter
    base: str
    tokenizer: Any
    shape: recipe.ModelShape
    limit: int | None
    train: EncodedRows
    valid: EncodedRows | None

    @classmethod
    def load(
        cls,
        run: RunDir,
        asked: Asked,
        reporter: Reporter,
        *,
        merge: Callable[[Path, Path], None],
    ) -> Inputs:
        """Read everything, and refuse what cannot be trained on.

        Args:
            run: The run.
            asked: Its specification.
            reporter: Where to say what was noticed.
            merge: Merges an adapter (first argument) into a new folder (second).

        Raises:
            TrainingFault: The model is not there or not whole, or rows cannot be used.
        """
        base = find_base(run, asked, reporter, merge)
        tokenizer = load_tokenizer(base, asked)
        config = load_config(base, asked)
        folder = Path(base)
        parameters = modelfiles.count_parameters(folder) if folder.is_dir() else None
        shape = recipe.ModelShape.from_config(config, parameters=parameters)
        limit = longest_row(asked, shape)
        encoder = RowEncoder(tokenizer, loss_on=asked["options"]["loss_on"])
        watch = SystemPromptWatch()
        reader = _Reader(run, asked, reporter, encoder, limit)
        train = reader.encode("train", watch)
        valid = None if asked["validation"] is None else reader.encode("validation", watch)
        reporter.note(system_prompt=watch.prompt)
        largest = max(train.largest_id, valid.largest_id if valid else 0)
        if largest >= shape.vocabulary > 0:
            raise TrainingFault(
                "tokenizer-does-not-fit",
                f"The tokenizer gives ids up to {largest}, the model knows {shape.vocabulary}."
                " The model folder mixes files of two models.",
            )
        return cls(run, asked, reporter, base, tokenizer, shape, limit, train, valid)

    @property
    def packed_length(self) -> int:
        """Tokens of a packed sequence; no row is longer."""
        if self.asked["options"]["max_length"]:
            return int(self.asked["options"]["max_length"])
        return max(self.train.longest, min(self.limit or PACKED_LENGTH, PACKED_LENGTH))

    def choose(self, hardware: recipe.Hardware, *, rows: int) -> recipe.Recipe:
        """Choose every setting, check the disk against them, and write them down.

        Args:
            hardware: What the training runs on.
            rows: Sequences to train on; fewer than there are rows when they were packed.
        """
        options = self.asked["options"]
        packed = bool(options["packing"])
        chosen = recipe.resolve(
            self.asked["spec"],
            options,
            hardware=hardware,
            model=self.shape,
            data=recipe.DataShape(
                rows=rows,
                longest=self.packed_length if packed else self.train.longest,
                tokens=self.train.tokens,
                has_validation=self.valid is not None,
            ),
        )
        if packed:
            chosen.put("max_length", self.packed_length, "length of a packed sequence")
        else:
            why = "as asked" if options["max_length"] else "what the model was made for"
            chosen.put("max_length", self.limit, why)
        self._check_disk(chosen)
        settings = chosen.to_json()
        self.reporter.note(settings=settings, total_steps=chosen["total_steps"])
        kind = "an adapter" if chosen["adapter"] == "lora" else "all weights"
        self.reporter.message(
            f"Training {kind} on {len(self.train)} rows with {self.train.tokens} tokens,"
            f" {self.train.trained_tokens} of them trained on: {chosen['n_epochs']} epochs of"
            f" {chosen['steps_per_epoch']} updates, {chosen['batch_size']} rows each, learning rate"
            f" {chosen['learning_rate']:g}, {chosen['precision']} on {chosen['device']}. Every"
            " setting and its reason is in the data of this event.",
            data={"settings": settings, "rows": len(self.train), "tokens": self.train.tokens},
        )
        return chosen

    def _check_disk(self, chosen: recipe.Recipe) -> None:
        """Refuse to begin what the disk cannot hold in the end."""
        needed = recipe.disk_bytes(self.shape, chosen) + int(self.asked["min_free_bytes"])
        free = shutil.disk_usage(self.run.path).free
        if free < needed:
            raise TrainingFault(
                "disk-full",
                f"The run will need about {needed / 1e9:.1f} GB in {str(self.run.path)!r}, and"
                f" {free / 1e9:.1f} GB are free. Free some space, set `runs_dir` to another disk,"
                " or lower `options.trl.save_total_limit`.",
            )


def find_base(
    run: RunDir, asked: Asked, reporter: Reporter, merge: Callable[[Path, Path], None]
) -> str:
    """The folder or Hub id to load; an adapter is merged into a folder of the run first.

    Raises:
        TrainingFault: The model is not there or not whole.
    """
    name = str(asked["model"])
    folder = Path(name)
    if not folder.is_dir():
        if folder.is_absolute() or name.startswith("."):
            raise TrainingFault(
                "unknown-model",
                f"There is no model folder {name!r}. Give an existing folder or a Hub id.",
            )
        return name
    modelfiles.check_local_model(folder)
    if not modelfiles.is_adapter(folder):
        return str(folder)
    if not run.base.is_dir():
        reporter.message("The base is an adapter: merging it into its own base first.")
        merge(folder, run.base)
    return str(run.base)


def hub_arguments(asked: Asked) -> dict[str, Any]:
    """What every `from_pretrained` is given."""
    return {
        "revision": asked["options"]["revision"] or "main",
        "trust_remote_code": asked["trust_remote_code"],
    }


def load_tokenizer(base: str, asked: Asked) -> Any:
    """The tokenizer with the chat template that this run uses."""
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(base, **hub_arguments(asked))
    except (OSError, ValueError) as error:
        raise cannot_load(base, error, what="tokenizer") from error
    if asked.get("chat_template"):
        tokenizer.chat_template = asked["chat_template"]
    return tokenizer


def load_config(base: str, asked: Asked) -> dict[str, Any]:
    """The model's configuration as plain values."""
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(base, **hub_arguments(asked))
    except (OSError, ValueError) as error:
        raise cannot_load(base, error, what="configuration") from error
    return dict(config.to_dict())


def longest_row(asked: Asked, shape: recipe.ModelShape) -> int | None:
    """The most tokens a row may have."""
    wanted: int | None = asked["options"]["max_length"]
    if wanted and shape.context and wanted > shape.context:
        raise TrainingFault(
            "max-length-beyond-model",
            f"`options.trl.max_length` is {wanted}, and the model was made for at most"
            f" {shape.context} tokens.",
        )
    return wanted or shape.context


def base_record(name: str, base: str, config: Any) -> dict[str, Any]:
    """What pins the base: its name, and its commit on the Hub or the hash of its folder."""
    folder = Path(base)
    return {
        "base_model": name,
        "base_revision": None if folder.is_dir() else getattr(config, "_commit_hash", None),
        "base_hash": modelfiles.folder_hash(folder) if folder.is_dir() else None,
    }


@dataclass(frozen=True)
class _Reader:
    run: RunDir
    asked: Asked
    reporter: Reporter
    encoder: RowEncoder
    limit: int | None

    def encode(self, name: str, watch: SystemPromptWatch) -> EncodedRows:
        """Encode one of the two data files."""
        path = self.run.train_file if name == "train" else self.run.validation_file
        what = "training data" if name == "train" else "validation data"
        rows = read_rows(path, sha256=self.asked[name]["sha256"])
        table = encode_rows(
            watch.passing(rows) if name == "train" else rows,
            self.encoder,
            max_length=self.limit,
            over_long=self.asked["options"]["over_long"],
        )
        table.raise_on_fault(what)
        if not len(table):
            raise TrainingFault("no-rows", f"Nothing is left of the {what} to train on.")
        if table.dropped or table.truncated:
            self.reporter.message(
                f"{what.capitalize()}: {table.dropped} rows left out and {table.truncated} cut,"
                f" because they have more than {self.limit} tokens.",
                level="warning",
            )
        if name == "train":
            self._warn_of_no_stop(path)
        return table

    def _warn_of_no_stop(self, path: Path) -> None:
        if not self.encoder.by_markers or self.encoder.loss_on != "assistant":
            return
        _, row = next(iter(read_rows(path)))
        if "messages" in row and not stop_token_is_trained(self.encoder, row):
            self.reporter.message(
                "The chat template closes its {% generation %} marker before the token that ends a"
                " turn, so the model is not trained to stop.",
                level="warning",
            )

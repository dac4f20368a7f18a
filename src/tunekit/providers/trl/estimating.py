"""What a training will take, before it starts: exact where files are at hand, None elsewhere."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunekit.providers.base import Estimate
from tunekit.providers.local.rundir import RunDir
from tunekit.providers.trl import recipe
from tunekit.providers.trl.faults import TrainingFault
from tunekit.providers.trl.masks import RowEncoder
from tunekit.providers.trl.modelfiles import count_parameters
from tunekit.providers.trl.preflight import local_config, local_tokenizer, longest_allowed
from tunekit.providers.trl.rows import encode_rows

if TYPE_CHECKING:
    from tunekit.data import Dataset
    from tunekit.providers.trl.options import TrlOptions, TrlSettings
    from tunekit.spec import FineTuneSpec


def estimate(
    spec: FineTuneSpec,
    train: Dataset,
    *,
    has_validation: bool,
    options: TrlOptions,
    settings: TrlSettings,
    runs: Path,
) -> Estimate:
    """Say what can be said. No network."""
    notes: list[str] = []
    found = local_config(spec)
    config = found[0] if found else None
    limit = longest_allowed(options, config)
    tokenizer = local_tokenizer(spec, options, settings)
    if tokenizer is None:
        rows, tokens, longest = len(train), None, limit or 0
        notes.append("Tokens are unknown: the model's tokenizer is not on this machine.")
    else:
        table = encode_rows(
            train.numbered(),
            RowEncoder(tokenizer, loss_on=options.loss_on),
            max_length=limit,
            over_long=options.over_long,
        )
        rows, tokens, longest = len(table), table.tokens, table.longest
        notes.append("Tokens were counted with the model's own tokenizer and template.")
        if table.faults:
            notes.append(f"{len(table.faults)} rows cannot be trained on and were not counted.")
    if options.packing:
        notes.append("Packing makes fewer, fuller sequences, so there will be fewer steps.")
    shape = recipe.ModelShape.from_config(
        config or {}, parameters=count_parameters(found[1]) if found else 0
    )
    device = recipe.Hardware("cpu", memory_bytes=recipe.free_memory())
    try:
        chosen = recipe.resolve(
            spec.model_dump(mode="json") | {"quantization": None},
            options.model_dump(mode="json") | {"precision": "fp32", "attn_implementation": None},
            hardware=device,
            model=shape,
            data=recipe.DataShape(rows, longest, tokens or 0, has_validation),
        )
    except TrainingFault as fault:
        return Estimate(tokens=tokens, usd=0.0, notes=(*notes, fault.message))
    memory = disk = None
    if found:
        memory = memory_bytes(shape, chosen, longest)
        disk = recipe.disk_bytes(shape, chosen)
        notes.append(
            "Memory is worked out from the model's shape at 32 bits (weights, gradients, optimiser"
            " and activations); a GPU at 16 bits needs about half for frozen weights."
        )
    else:
        notes.append("Memory and disk are unknown: the model is not on this machine.")
    trained = None if tokens is None else tokens * chosen["n_epochs"]
    seconds = None
    if trained is not None:
        seconds = time_from(earlier_runs(runs, spec, chosen["adapter"]), trained)
    notes.append(
        "Time is unknown: no earlier run of this base model is on record."
        if seconds is None
        else "Time comes from earlier runs of this base model here; loading is not in it."
    )
    notes.append("Costs nothing but your own machine's time and power.")
    return Estimate(
        tokens=tokens,
        trained_tokens=trained,
        steps=chosen["total_steps"],
        seconds=seconds,
        memory_bytes=memory,
        disk_bytes=disk,
        usd=0.0,
        notes=tuple(notes),
    )


def memory_bytes(shape: recipe.ModelShape, chosen: recipe.Recipe, longest: int) -> int:
    """Peak memory of the training, with half a gibibyte for Python and torch themselves."""
    at_once = longest * chosen["per_device_batch_size"]
    work = recipe.activation_bytes(shape, at_once, checkpointing=chosen["gradient_checkpointing"])
    return recipe.weight_bytes(shape, chosen) + work + recipe.GIB // 2


def earlier_runs(runs: Path, spec: FineTuneSpec, adapter: str) -> Iterator[dict[str, Any]]:
    """Throughput records of runs of the same base and kind of adapter."""
    name = spec.model
    folder = Path(name).expanduser()
    wanted = str(folder.absolute()) if folder.is_dir() else name
    for path in runs.glob("[!.]*"):
        run = RunDir(path)
        if run.spec().get("model") != wanted:
            continue
        status = run.status()
        kind = ((status.get("settings") or {}).get("adapter") or {}).get("value")
        if kind == adapter and status.get("throughput"):
            yield status["throughput"]


def time_from(records: Iterator[dict[str, Any]], tokens: int) -> tuple[float, float] | None:
    """Seconds for so many tokens, from the quickest to the slowest run on record."""
    rates = [r["tokens"] / r["seconds"] for r in records if r["tokens"] and r["seconds"] > 0]
    rates = [rate for rate in rates if math.isfinite(rate)]
    if not rates:
        return None
    spread = 1.0 if len(rates) > 1 else 1.25  # one run alone says little about the next
    return tokens / (max(rates) * spread), tokens * spread / min(rates)

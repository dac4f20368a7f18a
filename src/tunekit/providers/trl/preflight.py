"""What can be said about a training before its worker starts. Reads; sends nothing."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunekit.errors import ConfigError
from tunekit.problems import Problem, Severity
from tunekit.providers.local.statefile import read_json
from tunekit.providers.trl.faults import TrainingFault, cannot_load, describe
from tunekit.providers.trl.masks import RowEncoder
from tunekit.providers.trl.modelfiles import adapter_base, check_local_model, is_adapter
from tunekit.providers.trl.requirements import INSTALL, missing_packages
from tunekit.providers.trl.rows import RowFault, encode_rows
from tunekit.spec import FineTuneSpec, LoRA

if TYPE_CHECKING:
    from tunekit.data import Dataset
    from tunekit.providers.trl.options import TrlOptions, TrlSettings


def same_interpreter(settings: TrlSettings) -> bool:
    """Whether workers run under the interpreter that we run under."""
    return settings.python == Path(sys.executable)


def check_spec(spec: FineTuneSpec, options: TrlOptions) -> Iterator[Problem]:
    """Rules that only look at what was asked for."""
    if spec.quantization is not None and spec.adapter == "none":
        yield Problem(
            code="quantization-needs-adapter",
            message="`quantization` keeps the base frozen, so without an adapter nothing trains.",
            fix="Set `adapter=LoRA()`, or leave `quantization` out.",
            path="spec.quantization",
        )
    if isinstance(spec.adapter, LoRA) and "lm_head" in spec.adapter.target_modules:
        yield Problem(
            code="adapter-on-output-head",
            message="TRL computes the loss from the output head's own weights and would never"
            " train an adapter on it.",
            fix="Take 'lm_head' out of `target_modules`; put it into `modules_to_save` instead.",
            path="spec.adapter.target_modules",
        )
    batch, pieces = spec.method.batch_size, options.gradient_accumulation_steps
    if pieces is not None and batch != "auto" and batch % pieces:
        yield Problem(
            code="batch-not-divisible",
            message=f"`batch_size` {batch} cannot be split into {pieces} equal pieces.",
            fix="Choose a divisor of the batch size.",
            path="spec.options.trl.gradient_accumulation_steps",
        )
    if options.learning_rate is not None and spec.method.learning_rate_multiplier != "auto":
        yield Problem(
            code="two-learning-rates",
            message="`options.trl.learning_rate` and `learning_rate_multiplier` are both set.",
            fix="Set one of them.",
            path="spec.options.trl.learning_rate",
        )


def check_place(
    spec: FineTuneSpec, options: TrlOptions, settings: TrlSettings, *, runs: Path
) -> Iterator[Problem]:
    """Whether interpreter, packages, model, template and disk space are there."""
    yield from _check_disk(settings, runs)
    if shutil.which(settings.python) is None:
        yield Problem(
            code="no-interpreter",
            message=f"There is no interpreter {str(settings.python)!r}.",
            fix="Set `python` in the profile to one that has torch, transformers, trl and peft.",
        )
    elif same_interpreter(settings) and (missing := missing_packages()):
        yield Problem(
            code="missing-packages",
            message=f"Training needs packages that are not here: {', '.join(missing)}.",
            fix=f"Run `pip install {INSTALL}`.",
        )
    if options.chat_template and not Path(options.chat_template).expanduser().is_file():
        yield Problem(
            code="no-chat-template",
            message=f"There is no file {options.chat_template!r}.",
            path="spec.options.trl.chat_template",
        )
    folder = Path(spec.model).expanduser()
    if folder.is_dir():
        try:
            check_local_model(folder)
        except TrainingFault as fault:
            yield Problem(code=fault.code, message=fault.message, path="spec.model")
    elif folder.is_absolute() or spec.model.startswith((".", "~")):
        yield Problem(
            code="unknown-model",
            message=f"There is no model folder {spec.model!r}.",
            fix="Give an existing folder or a Hub id such as 'owner/name'.",
            path="spec.model",
        )


def _check_disk(settings: TrlSettings, runs: Path) -> Iterator[Problem]:
    """The least that must be free. The worker looks again when it knows what it will save."""
    there = next((path for path in (runs, *runs.parents) if path.is_dir()), None)
    if there is None:
        return
    free, needed = shutil.disk_usage(there).free, settings.min_free_bytes
    if free < needed:
        yield Problem(
            code="disk-full",
            message=f"{free / 1e9:.1f} GB are free in {str(there)!r}, and at least"
            f" {needed / 1e9:.1f} GB must be (`min_free_bytes`).",
            fix="Free some space, or set `runs_dir` in the profile to another disk.",
        )


def local_tokenizer(spec: FineTuneSpec, options: TrlOptions, settings: TrlSettings) -> Any | None:
    """The model's tokenizer with the template that the job will use, if it is on this machine.

    None when transformers is not installed here, or the tokenizer would have to be fetched.

    Raises:
        TrainingFault: It lies in a folder of this machine and cannot be read.
    """
    if importlib.util.find_spec("transformers") is None:
        return None
    from transformers import AutoConfig, AutoTokenizer

    trusted = options.trust_remote_code
    base = str(Path(spec.model).expanduser()) if _is_folder(spec.model) else spec.model
    arguments = {
        "local_files_only": True,
        "revision": options.revision or "main",
        "trust_remote_code": settings.trust_remote_code if trusted is None else trusted,
    }
    try:
        tokenizer = AutoTokenizer.from_pretrained(base, **arguments)
        if _is_folder(spec.model) and not is_adapter(Path(base)):
            AutoConfig.from_pretrained(base, **arguments)
    except (OSError, ValueError) as error:
        if not _is_folder(spec.model):
            return None
        what = "tokenizer or configuration"
        fault = cannot_load(base, error, what=what)
        raise fault if isinstance(fault, TrainingFault) else describe(fault) from error
    if options.chat_template:
        tokenizer.chat_template = read_template(options.chat_template)
    return tokenizer


def read_template(path: str | None) -> str | None:
    """The text of a chat template file; None for none.

    Raises:
        ConfigError: It cannot be read.
    """
    if path is None:
        return None
    try:
        return Path(path).expanduser().read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"The chat template {path!r} cannot be read: {error.strerror or error}.",
            next_step="Set `options.trl.chat_template` to a Jinja file that exists.",
        ) from error


def local_config(spec: FineTuneSpec) -> tuple[dict[str, Any], Path] | None:
    """`config.json` of the base and the folder it lies in, if they are on this machine.

    Raises:
        TrainingFault: It is damaged.
    """
    folder = Path(spec.model).expanduser()
    if folder.is_dir() and is_adapter(folder):
        folder = Path(adapter_base(folder))
    if not folder.is_dir():
        name = str(folder) if Path(spec.model).expanduser().is_dir() else spec.model
        cached = _cached(name, spec)
        if cached is None:
            return None
        folder = cached
    try:
        config = read_json(folder / "config.json")
    except ValueError as error:
        raise TrainingFault(
            "corrupt-base",
            f"The base model {str(folder)!r} cannot be used: config.json is no JSON ({error})."
            " Copy or download it again.",
        ) from error
    return None if config is None else (config, folder)


def _cached(model: str, spec: FineTuneSpec) -> Path | None:
    """The folder of a Hub model in the local cache."""
    if importlib.util.find_spec("huggingface_hub") is None:
        return None
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    revision = spec.options.get("trl", {}).get("revision")
    try:
        found = try_to_load_from_cache(model, "config.json", revision=revision)
    except HFValidationError:
        return None
    return Path(found).parent if isinstance(found, str) else None


def _is_folder(model: str) -> bool:
    return Path(model).expanduser().is_dir()


def longest_allowed(options: TrlOptions, config: dict[str, Any] | None) -> int | None:
    """The most tokens a row may have, as far as it is known here."""
    if options.max_length is not None:
        return options.max_length
    context = (config or {}).get("max_position_embeddings")
    return int(context) if context else None


def check_rows(
    tokenizer: Any, options: TrlOptions, limit: int | None, dataset: Dataset
) -> list[Problem]:
    """Every row that the worker would refuse, as the worker sees it."""
    encoder = RowEncoder(tokenizer, loss_on=options.loss_on)
    table = encode_rows(dataset.numbered(), encoder, max_length=limit, over_long=options.over_long)
    found = [_problem(fault, dataset.source) for fault in table.faults]
    if table.truncated or table.dropped:
        found.append(
            Problem(
                code="rows-too-long",
                severity=Severity.WARNING,
                message=f"{table.dropped} rows will be left out and {table.truncated} cut, because"
                f" they have more than {limit} tokens.",
                file=dataset.source,
            )
        )
    return found


def _problem(fault: RowFault, source: str) -> Problem:
    return Problem(
        code=fault.code,
        message=fault.message,
        file=source,
        line=fault.line,
        path=fault.path or None,
    )


def no_tokenizer(model: str) -> Problem:
    """The warning that rows were not looked at, for want of the model's tokenizer."""
    return Problem(
        code="rows-not-checked",
        severity=Severity.WARNING,
        message=f"The model {model!r} is not on this machine, so the length of the rows and what is"
        " trained on were not checked.",
        fix="The job will fetch it from the Hugging Face Hub, and checks the rows before it"
        " trains.",
    )

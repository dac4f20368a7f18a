"""Everything that is wrong with a launch, found before anything is sent, and said at once."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import ValidationError

from tunekit._text import validation_faults
from tunekit.capabilities import Capability
from tunekit.data import DataKind, Dataset, DataSummary, summarize
from tunekit.data.checks import CheckOptions, Role, examine
from tunekit.errors import DataError
from tunekit.problems import Problem, Report, Severity
from tunekit.providers.base import FineTuneProvider, SupportsDataCheck, SupportsTokens
from tunekit.spec import DPO, RFT, SFT, FineTuneSpec, LoRA

_METHODS = {SFT: Capability.SFT, DPO: Capability.DPO, RFT: Capability.RFT}
_KINDS = {
    DataKind.PROMPT_COMPLETION: Capability.PROMPT_COMPLETION,
    DataKind.TEXT: Capability.PLAIN_TEXT,
    DataKind.PREFERENCE: Capability.DPO,
}


def preflight(
    provider: FineTuneProvider,
    spec: FineTuneSpec,
    train: Dataset,
    validation: Dataset | None = None,
) -> Report:
    """Check data, spec, options and capabilities. Reads the data; sends nothing."""
    parts: dict[Role, Dataset] = {"train": train}
    if validation is not None:
        parts["validation"] = validation
    with examine(parts, _data_options(provider, spec)) as examined:
        found = examined.listed()
    try:
        summary = summarize(train, validation)
    except DataError as error:
        # Data that cannot even be told apart has said so above, unless it changed since.
        if Report.of(found).ok:
            found.append(Problem(code="unreadable-data", message=error.message))
        return Report.of(found, check_options(provider, spec))
    found += check_capabilities(provider, spec, summary)
    options = check_options(provider, spec)
    found += options
    if not options:  # a provider may rely on its options being valid
        found += provider.check(spec, summary)
        if isinstance(provider, SupportsDataCheck) and Report.of(found).ok:
            found += provider.check_data(spec, train, validation)
    return Report.of(found)


def _data_options(provider: FineTuneProvider, spec: FineTuneSpec) -> CheckOptions:
    """What the data is held against: the method's kind of rows and the provider's limits."""
    limits = provider.data_limits(spec)
    epochs = spec.method.n_epochs
    counter = None
    if limits.max_row_tokens is not None or limits.max_job_tokens is not None:
        counter = provider.token_counter(spec) if isinstance(provider, SupportsTokens) else None
    return CheckOptions(
        method=spec.method.type,
        limits=limits,
        counter=counter,
        n_epochs=None if epochs == "auto" else epochs,
    )


def check_capabilities(
    provider: FineTuneProvider, spec: FineTuneSpec, data: DataSummary
) -> list[Problem]:
    """Hold the request against the provider's table: `no` is an error, `partial` a warning."""
    problems = []
    for capability, path in _asked_for(spec, data):
        support = provider.capabilities[capability]
        if support.level == "yes":
            continue
        refused = support.level == "no"
        prefix = "unsupported" if refused else "limited"
        problems.append(
            Problem(
                code=f"{prefix}-{capability.value.replace('_', '-')}",
                severity=Severity.ERROR if refused else Severity.WARNING,
                message=f"Provider {provider.name!r}, {capability.value}: {support.note}",
                path=path,
            )
        )
    return problems


def _asked_for(spec: FineTuneSpec, data: DataSummary) -> Iterator[tuple[Capability, str]]:
    """Name what the request needs, and which part of it needs that."""
    splits = [split for split in (data.train, data.validation) if split is not None]
    method = _METHODS[type(spec.method)]
    yield method, "spec.method"
    for kind in dict.fromkeys(split.kind for split in splits):
        if _KINDS.get(kind, method) is not method:
            yield _KINDS[kind], "data"
    needs = (
        (spec.suffix is not None, Capability.SUFFIX, "spec.suffix"),
        (spec.seed is not None, Capability.SEED, "spec.seed"),
        (bool(spec.metadata), Capability.METADATA, "spec.metadata"),
        (spec.adapter == "none", Capability.FULL_WEIGHTS, "spec.adapter"),
        (isinstance(spec.adapter, LoRA), Capability.LORA, "spec.adapter"),
        (spec.quantization is not None, Capability.QUANTIZATION, "spec.quantization"),
        (data.validation is not None, Capability.VALIDATION, "validation"),
        (any(split.has_tools for split in splits), Capability.TOOLS, "data"),
        (any(split.has_images for split in splits), Capability.IMAGES, "data"),
        (any(split.has_weights for split in splits), Capability.MESSAGE_WEIGHTS, "data"),
    )
    for needed, capability, path in needs:
        if needed:
            yield capability, path


def check_options(provider: FineTuneProvider, spec: FineTuneSpec) -> list[Problem]:
    """Refuse options that the provider does not know, or whose values are out of bounds."""
    try:
        provider.options(spec)
    except ValidationError as error:
        return [
            Problem(
                code="bad-option",
                message=what,
                fix=hint,
                path=f"spec.options.{provider.name}.{path}",
            )
            for path, what, hint in validation_faults(
                error, known=list(provider.Options.model_fields)
            )
        ]
    return []

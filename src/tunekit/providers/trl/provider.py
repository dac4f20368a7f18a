"""`TrlProvider`: supervised fine-tuning on this machine with TRL, transformers and PEFT."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from typing_extensions import override

from tunekit.capabilities import YES, Capability, Support, no, partial
from tunekit.errors import CorruptModelError, TokenizerUnavailableError, missing_extra
from tunekit.problems import Problem
from tunekit.providers.base import (
    Estimate,
    FileRef,
    JobSnapshot,
    ProviderOptions,
    ProviderSettings,
    SupportsDataCheck,
    SupportsEstimate,
    SupportsTokens,
)
from tunekit.providers.local.provider import LocalProvider
from tunekit.providers.local.rundir import RunDir
from tunekit.providers.local.serving import LocalDeployments
from tunekit.providers.trl import estimating, preflight
from tunekit.providers.trl.artifacts import ModelFolders
from tunekit.providers.trl.counting import TemplateCounter
from tunekit.providers.trl.faults import TrainingFault
from tunekit.providers.trl.options import TrlOptions, TrlSettings
from tunekit.providers.trl.previewing import preview_row
from tunekit.providers.trl.requirements import INSTALL, missing_packages

if TYPE_CHECKING:
    from tunekit.data import Dataset, DataSummary
    from tunekit.data.preview import PreviewRow
    from tunekit.data.records import Row
    from tunekit.spec import FineTuneSpec

WORKER = Path(__file__).with_name("worker.py")

CPU_TUNING: Mapping[str, str] = {
    # GNU OpenMP: how long a thread spins before it sleeps. The default is best on an idle machine
    # and stalls beside other work; not spinning at all is a third slower on an idle one. This is as
    # fast as the default on an idle machine (14.9 s and 14.7 s for 110 steps of the small base on
    # two cores).
    "GOMP_SPINCOUNT": "10000",
    # GNU libc: keep freed memory instead of handing each large tensor back to the system, which
    # was a fifth of the time (18.8 s and 14.7 s for the same steps).
    "MALLOC_MMAP_THRESHOLD_": "4294967296",
    "MALLOC_TRIM_THRESHOLD_": "4294967296",
    "MALLOC_TOP_PAD_": "268435456",
}
"""Environment of a worker where the user has set nothing else; measured with torch 2.13."""

_LATER = "arrives with a later release; until then use a provider that offers it"


class TrlProvider(
    LocalProvider,
    LocalDeployments,
    ModelFolders,
    SupportsDataCheck,
    SupportsEstimate,
    SupportsTokens,
):
    """Jobs that run on this machine, each in a process of its own that outlives its launcher."""

    name: ClassVar[str] = "trl"
    Settings: ClassVar[type[ProviderSettings]] = TrlSettings
    Options: ClassVar[type[ProviderOptions]] = TrlOptions
    capabilities: ClassVar[Mapping[Capability, Support]] = {
        Capability.SFT: YES,
        Capability.DPO: no(_LATER),
        Capability.RFT: no(_LATER),
        Capability.VALIDATION: YES,
        Capability.TOOLS: partial("as far as the model's chat template renders tools"),
        Capability.IMAGES: no("only text models are trained here"),
        Capability.MESSAGE_WEIGHTS: YES,
        Capability.PROMPT_COMPLETION: YES,
        Capability.PLAIN_TEXT: YES,
        Capability.SUFFIX: Support(
            "yes", "kept in the record; a local model is named by its folder"
        ),
        Capability.SEED: Support("yes", "the same numbers on the same machine and packages"),
        Capability.METADATA: YES,
        Capability.FULL_WEIGHTS: YES,
        Capability.LORA: YES,
        Capability.QUANTIZATION: partial("needs an NVIDIA GPU and the bitsandbytes package"),
        Capability.EVENTS: YES,
        Capability.METRICS: YES,
        Capability.CHECKPOINTS: YES,
        Capability.CANCEL: YES,
        Capability.PAUSE: YES,
        Capability.DEPLOY: YES,
        Capability.STREAM: YES,
        Capability.DOWNLOAD: YES,
        Capability.MERGE: YES,
        Capability.PUSH: YES,
        Capability.DELETE_MODEL: YES,
        Capability.ESTIMATE: partial("time is only known after a first run of the same base"),
    }

    settings: TrlSettings

    @override
    def options(self, spec: FineTuneSpec) -> TrlOptions:
        return TrlOptions.model_validate(dict(spec.options.get(self.name, {})))

    @override
    def check(self, spec: FineTuneSpec, data: DataSummary) -> list[Problem]:
        options = self.options(spec)
        return [
            *preflight.check_spec(spec, options),
            *preflight.check_place(spec, options, self.settings, runs=self.runs),
        ]

    @override
    def check_data(
        self, spec: FineTuneSpec, train: Dataset, validation: Dataset | None
    ) -> list[Problem]:
        options = self.options(spec)
        try:
            tokenizer = preflight.local_tokenizer(spec, options, self.settings)
            found = preflight.local_config(spec)
        except TrainingFault as fault:
            return [Problem(code=fault.code, message=fault.message, path="spec.model")]
        if tokenizer is None:
            return [preflight.no_tokenizer(spec.model)]
        limit = preflight.longest_allowed(options, found[0] if found else None)
        datasets = [train] if validation is None else [train, validation]
        return [
            problem
            for dataset in datasets
            for problem in preflight.check_rows(tokenizer, options, limit, dataset)
        ]

    @override
    def token_counter(self, spec: FineTuneSpec) -> TemplateCounter | None:
        options = self.options(spec)
        try:
            tokenizer = preflight.local_tokenizer(spec, options, self.settings)
        except TrainingFault as fault:
            raise CorruptModelError(fault.message) from fault
        if tokenizer is None:
            return None
        return TemplateCounter(tokenizer, loss_on=options.loss_on, name=spec.model)

    @override
    def preview(
        self, spec: FineTuneSpec, row: Row, *, line: int = 1, tokens: bool = False
    ) -> PreviewRow:
        counter = self.token_counter(spec)
        if counter is None:
            raise TokenizerUnavailableError(
                f"The tokenizer of {spec.model!r} is not on this machine.",
                next_step="Download the model, or name a folder that holds it.",
            )
        found = preflight.local_config(spec)
        options = self.options(spec)
        return preview_row(
            counter,
            row,
            line=line,
            limit=preflight.longest_allowed(options, found[0] if found else None),
            over_long=options.over_long,
            tokens=tokens,
        )

    @override
    def estimate(self, spec: FineTuneSpec, train: Dataset, validation: Dataset | None) -> Estimate:
        try:
            return estimating.estimate(
                spec,
                train,
                has_validation=validation is not None,
                options=self.options(spec),
                settings=self.settings,
                runs=self.runs,
            )
        except TrainingFault as fault:
            raise CorruptModelError(fault.message) from fault

    @override
    def submit(
        self, spec: FineTuneSpec, train: FileRef, validation: FileRef | None, *, tag: str
    ) -> JobSnapshot:
        if preflight.same_interpreter(self.settings) and missing_packages():
            raise missing_extra("trl", INSTALL, needed_for="Training with provider 'trl'")
        return super().submit(spec, train, validation, tag=tag)

    @override
    def worker_command(self, run: RunDir) -> Sequence[str]:
        return [str(self.settings.python), str(WORKER), str(run.path)]

    @override
    def worker_environment(self) -> Mapping[str, str]:
        environment = {
            **super().worker_environment(),
            "HF_HUB_DISABLE_TELEMETRY": "1",  # TRL reports each training otherwise
            "TOKENIZERS_PARALLELISM": "false",
        }
        for name, value in CPU_TUNING.items():
            environment.setdefault(name, value)
        if self.settings.hf_token is not None:
            environment["HF_TOKEN"] = self.settings.hf_token.get_secret_value()
        return environment

    @override
    def worker_spec(self, spec: FineTuneSpec) -> dict[str, Any]:
        options = self.options(spec)
        trusted = options.trust_remote_code
        folder = Path(spec.model).expanduser()
        model = str(folder.absolute()) if folder.is_dir() else spec.model
        return {
            "model": model,
            "options": options.model_dump(mode="json"),
            "chat_template": preflight.read_template(options.chat_template),
            "trust_remote_code": self.settings.trust_remote_code if trusted is None else trusted,
            "min_free_bytes": self.settings.min_free_bytes,
        }

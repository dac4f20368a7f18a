"""What is asked for: one fine-tune, in words that every provider shares.

Field names and bounds are those of OpenAI's `POST /fine_tuning/jobs` (official OpenAPI document of
2026-08-21) wherever it has them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

Auto = Literal["auto"]
AUTO: Auto = "auto"

Epochs = Auto | Annotated[int, Field(ge=1, le=50)]
BatchSize = Auto | Annotated[int, Field(ge=1, le=256)]
LearningRateMultiplier = Auto | Annotated[float, Field(gt=0)]


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class _Method(_Value):
    n_epochs: Epochs = AUTO
    batch_size: BatchSize = AUTO
    learning_rate_multiplier: LearningRateMultiplier = AUTO


class SFT(_Method):
    """Supervised fine-tuning: learn to give the answers that the data shows.

    Attributes:
        n_epochs: Passes over the training data, 1 to 50, or `"auto"`.
        batch_size: Examples per weight update, 1 to 256, or `"auto"`.
        learning_rate_multiplier: Factor on the provider's own base rate, above 0, or `"auto"`.
    """

    type: Literal["supervised"] = "supervised"


class DPO(_Method):
    """Direct preference optimisation: prefer one answer over another.

    Attributes:
        beta: How closely to stay with the base model, above 0 and at most 2, or `"auto"`.
    """

    type: Literal["dpo"] = "dpo"
    beta: Auto | Annotated[float, Field(gt=0, le=2)] = AUTO


class RFT(_Method):
    """Reinforcement fine-tuning: learn from a grader's score.

    Attributes:
        grader: The grader in OpenAI's JSON form.
        compute_multiplier: Factor on the exploration per step, above 1e-5 and at most 10.
        eval_interval: Steps between evaluations, at least 1.
        eval_samples: Samples per evaluated row, at least 1.
        reasoning_effort: How much the model may reason.
    """

    type: Literal["reinforcement"] = "reinforcement"
    grader: Mapping[str, Any]
    compute_multiplier: Auto | Annotated[float, Field(gt=1e-5, le=10)] = AUTO
    eval_interval: Auto | Annotated[int, Field(ge=1)] = AUTO
    eval_samples: Auto | Annotated[int, Field(ge=1)] = AUTO
    reasoning_effort: Literal["default", "low", "medium", "high"] = "default"


Method = Annotated[SFT | DPO | RFT, Field(discriminator="type")]


class LoRA(_Value):
    """Train low-rank adapters instead of all weights (Hu et al., 2021, arXiv:2106.09685).

    Attributes:
        r: Rank of the update matrices.
        alpha: Scale; the update is multiplied by `alpha / r`. `None` means `2 * r`.
        dropout: Dropout on the adapter's input, 0 up to 1.
        target_modules: Module names, or `"all-linear"` for every linear layer but the output head.
        modules_to_save: Modules trained whole beside the adapter, for example `lm_head`.
    """

    type: Literal["lora"] = "lora"
    r: Annotated[int, Field(ge=1, le=4096)] = 16
    alpha: Annotated[float, Field(gt=0)] | None = None
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    target_modules: Literal["all-linear"] | tuple[str, ...] = "all-linear"
    modules_to_save: tuple[str, ...] = ()

    @property
    def scale_alpha(self) -> float:
        """`alpha` with its default filled in."""
        return float(2 * self.r) if self.alpha is None else self.alpha


class Quantization(_Value):
    """Keep the frozen base weights in few bits while an adapter trains (QLoRA, arXiv:2305.14314).

    Attributes:
        bits: 4 or 8.
        type: The 4-bit code, `nf4` or `fp4`; ignored for 8 bits.
        double_quant: Also quantise the scales, for about 0.4 bits per weight less.
    """

    bits: Literal[4, 8] = 4
    type: Literal["nf4", "fp4"] = "nf4"
    double_quant: bool = True


class FineTuneSpec(_Value):
    """One fine-tune, the same for every provider.

    Attributes:
        model: A logical name from `[models]` of `tunekit.toml`, or a provider's own model id.
        method: `SFT(...)`, `DPO(...)` or `RFT(...)`.
        suffix: Ends up in the name of the tuned model.
        seed: 0 to 2147483647.
        metadata: At most 16 pairs; keys up to 64, values up to 512 characters.
        adapter: `LoRA(...)`, `"none"` for all weights, or `"auto"` for the provider's own choice.
        quantization: How frozen weights are kept; needs an adapter.
        options: Settings that only one provider knows, by provider name. A provider reads its own
            and refuses keys that it does not know; those of other providers are left alone, which
            is what keeps a spec portable.
    """

    model: Annotated[str, StringConstraints(min_length=1)]
    method: Method = SFT()
    suffix: Annotated[str, StringConstraints(min_length=1, max_length=64)] | None = None
    seed: Annotated[int, Field(ge=0, le=2147483647)] | None = None
    metadata: Mapping[
        Annotated[str, StringConstraints(min_length=1, max_length=64)],
        Annotated[str, StringConstraints(max_length=512)],
    ] = Field(default_factory=dict, max_length=16)
    adapter: LoRA | Literal["auto", "none"] = "auto"
    quantization: Quantization | None = None
    options: Mapping[str, Mapping[str, Any]] = Field(default_factory=dict)

    reserved_metadata: ClassVar[tuple[str, ...]] = ("tunekit_tag",)

    @field_validator("metadata")
    @classmethod
    def _leave_the_tag_to_tunekit(cls, metadata: Mapping[str, str]) -> Mapping[str, str]:
        taken = [key for key in cls.reserved_metadata if key in metadata]
        if taken:
            raise ValueError(f"{taken[0]!r} is written by tunekit itself; use another key")
        if len(metadata) > 16 - len(cls.reserved_metadata):
            raise ValueError("at most 15 pairs: tunekit adds one of its own to find the job again")
        return metadata

    def with_model(self, model: str) -> FineTuneSpec:
        """Return the same spec for another model."""
        return self.model_copy(update={"model": model})


def fingerprint(*parts: Any) -> str:
    """Hash JSON-able parts to 64 hex digits, independent of key order."""
    canonical = json.dumps(parts, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()

"""What a profile may set for the TRL provider, and what `spec.options["trl"]` may hold."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, SecretStr

from tunekit.providers.base import ProviderOptions
from tunekit.providers.local.provider import LocalSettings

Count = Annotated[int, Field(ge=1)]


class TrlSettings(LocalSettings):
    """Settings of a profile with `provider = "trl"`.

    Attributes:
        runs_dir: Where the run directories lie; None means `runs` in tunekit's home.
        python: The interpreter that has torch, transformers, trl and peft.
        hf_token: Handed to workers through their environment; never written to disk. Without it
            they use what `hf auth login` stored, if anything.
        trust_remote_code: Whether code that comes with a model may be run. False means that such
            models are refused.
        min_free_bytes: Disk space that must be left over when a training has saved everything.
    """

    hf_token: SecretStr | None = None
    trust_remote_code: bool = False
    min_free_bytes: Annotated[int, Field(ge=0)] = 256 * 1024 * 1024


class TrlOptions(ProviderOptions):
    """`spec.options["trl"]`: what only this provider knows. None means: choose for me.

    Attributes:
        max_length: Longest row in tokens; None means what the model was made for.
        over_long: What to do with longer rows: refuse the job, cut them, or leave them out.
        loss_on: Train on the assistant's messages only, or on the whole conversation.
        packing: `"bfd"` puts several rows into one sequence (best-fit decreasing).
        chat_template: A Jinja file that replaces the model's chat template.
        revision: Branch, tag or commit of a model from the Hub.
        learning_rate: The rate itself; overrules `learning_rate_multiplier`.
        lr_scheduler_type: How the rate falls after the warm-up.
        warmup_ratio: Share of the updates over which the rate rises to its full value.
        weight_decay: AdamW's decay.
        max_grad_norm: Gradients are scaled down to this norm; 0 switches that off.
        gradient_accumulation_steps: Pieces into which a batch is cut to save memory.
        gradient_checkpointing: Compute activations twice to save memory.
        precision: Number format of the computation.
        attn_implementation: For example `sdpa`, `eager` or `flash_attention_2`.
        device: `auto`, or where to train.
        torch_threads: CPU threads; None leaves it to torch.
        logging_steps: Updates between two metrics events.
        save_steps: Updates between two checkpoints.
        save_total_limit: Checkpoints that are kept.
        eval_steps: Updates between two evaluations, where there is validation data.
        trust_remote_code: Overrules the profile's setting for this job.
    """

    max_length: Annotated[int, Field(ge=8)] | None = None
    over_long: Literal["error", "truncate", "drop"] = "error"
    loss_on: Literal["assistant", "all"] = "assistant"
    packing: Literal[False, "bfd"] = False
    chat_template: str | None = None
    revision: str | None = None
    learning_rate: Annotated[float, Field(gt=0)] | None = None
    lr_scheduler_type: Literal[
        "linear", "cosine", "constant", "constant_with_warmup", "polynomial", "inverse_sqrt"
    ] = "linear"
    warmup_ratio: Annotated[float, Field(ge=0, lt=1)] = 0.03
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    max_grad_norm: Annotated[float, Field(ge=0)] = 1.0
    gradient_accumulation_steps: Count | None = None
    gradient_checkpointing: bool | None = None
    precision: Literal["auto", "bf16", "fp16", "fp32"] = "auto"
    attn_implementation: str | None = None
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    torch_threads: Count | None = None
    logging_steps: Count | None = None
    save_steps: Count | None = None
    save_total_limit: Count | None = None
    eval_steps: Count | None = None
    trust_remote_code: bool | None = None

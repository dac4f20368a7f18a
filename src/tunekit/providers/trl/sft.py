"""Our settings in the words of TRL 1.16 and PEFT 0.21. Runs in the worker; free of torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tunekit.providers.trl.recipe import Recipe


def sft_arguments(checkpoints: Path, chosen: Recipe) -> Any:
    """TRL's configuration for already encoded rows."""
    from trl import SFTConfig

    evaluate = chosen["eval_steps"] is not None
    return SFTConfig(
        output_dir=str(checkpoints),
        num_train_epochs=chosen["n_epochs"],
        per_device_train_batch_size=chosen["per_device_batch_size"],
        per_device_eval_batch_size=chosen["per_device_batch_size"],
        gradient_accumulation_steps=chosen["gradient_accumulation_steps"],
        activation_checkpointing=chosen["gradient_checkpointing"],
        gradient_checkpointing=chosen["gradient_checkpointing"],
        learning_rate=chosen["learning_rate"],
        lr_scheduler_type=chosen["lr_scheduler_type"],
        warmup_steps=chosen["warmup_steps"],
        weight_decay=chosen["weight_decay"],
        max_grad_norm=chosen["max_grad_norm"],
        bf16=chosen["precision"] == "bf16",
        fp16=chosen["precision"] == "fp16",
        use_cpu=chosen["device"] == "cpu",
        seed=chosen["seed"],
        data_seed=chosen["seed"],
        logging_steps=chosen["logging_steps"],
        logging_nan_inf_filter=False,
        save_strategy="steps",
        save_steps=chosen["save_steps"],
        save_total_limit=None,  # ours is kept after the new checkpoint is known to be whole
        eval_strategy="steps" if evaluate else "no",
        eval_steps=chosen["eval_steps"] if evaluate else None,
        packing=bool(chosen["packing"]),
        eval_packing=False,
        max_length=chosen["max_length"],
        dataset_kwargs={"skip_prepare_dataset": True},
        dataloader_pin_memory=chosen["device"] == "cuda",
        report_to="none",
        disable_tqdm=True,
    )


def lora_config(chosen: Recipe, config: Any) -> Any:
    """PEFT's configuration of the adapter, for a model with this configuration."""
    from peft import LoraConfig

    whole = chosen["lora_modules_to_save"] or None
    return LoraConfig(
        task_type="CAUSAL_LM",
        r=chosen["lora_r"],
        lora_alpha=chosen["lora_alpha"],
        lora_dropout=chosen["lora_dropout"],
        target_modules=chosen["lora_target_modules"],
        modules_to_save=whole,
        # A table that is also the output head must not become two different ones.
        ensure_weight_tying=bool(whole) and bool(getattr(config, "tie_word_embeddings", False)),
    )

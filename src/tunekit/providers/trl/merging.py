"""Merging an adapter into its base. Runs in the worker; free of torch."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from tunekit.providers.local.checkpoints import mark_complete, sync_folder
from tunekit.providers.local.rundir import MODEL_MARKER
from tunekit.providers.local.statefile import read_json
from tunekit.providers.trl.modelfiles import adapter_base


def merge(adapter: Path, to: Path) -> None:
    """Merge an adapter into its base; the folder `to` appears whole or not at all."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    base = adapter_base(adapter)
    model = AutoModelForCausalLM.from_pretrained(base, dtype="auto", use_safetensors=True)
    merged = PeftModel.from_pretrained(model, str(adapter)).merge_and_unload()
    temporary = to.parent / f".model-merge-{os.getpid()}"
    try:
        merged.save_pretrained(str(temporary))
        AutoTokenizer.from_pretrained(str(adapter)).save_pretrained(str(temporary))
        marker = read_json(adapter / MODEL_MARKER) or {"base_model": base}
        mark_complete(temporary, {**marker, "adapter": False, "merged_from": str(adapter)})
        sync_folder(temporary)
        temporary.rename(to)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)

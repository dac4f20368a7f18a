"""The training itself: the only file that imports torch.

Run as a script, `<python> worker.py RUN_DIR`, under the interpreter that the profile names; tunekit
need not be installed there. `worker.py merge MODEL_DIR OUT_DIR` merges an adapter into its base.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import sys
import time
import traceback
import types
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve()


def _make_tunekit_importable() -> None:
    """Let `import tunekit.…` find the package that this file belongs to, and nothing else new.

    No folder is added to `sys.path`: a site-packages of another environment would bring its own
    torch along. The top package stays bare, because what its `__init__` imports may be missing.
    """
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != HERE.parent]
    if "tunekit" not in sys.modules:
        package = types.ModuleType("tunekit")
        package.__path__ = [str(HERE.parents[2])]
        sys.modules["tunekit"] = package


if __name__ == "__main__":
    _make_tunekit_importable()

from tunekit._version import __version__  # noqa: E402
from tunekit.providers.local.checkpoints import (  # noqa: E402
    complete_checkpoints,
    keep_newest,
    mark_complete,
    remove_incomplete,
    sync_folder,
)
from tunekit.providers.local.reporter import Reporter  # noqa: E402
from tunekit.providers.local.rundir import RunDir  # noqa: E402
from tunekit.providers.trl import recipe  # noqa: E402
from tunekit.providers.trl.faults import (  # noqa: E402
    Stopped,
    TrainingFault,
    cannot_load,
    describe,
)
from tunekit.providers.trl.health import check_loss, check_weights  # noqa: E402
from tunekit.providers.trl.inputs import Inputs, base_record  # noqa: E402
from tunekit.providers.trl.merging import merge  # noqa: E402
from tunekit.providers.trl.progress import Meter  # noqa: E402
from tunekit.providers.trl.requirements import check_packages  # noqa: E402
from tunekit.providers.trl.rows import EncodedRows  # noqa: E402
from tunekit.providers.trl.sft import lora_config, sft_arguments  # noqa: E402


class Training:
    """One attempt at one run."""

    def __init__(self, run: RunDir, reporter: Reporter) -> None:
        self.run = run
        self.reporter = reporter
        self.asked = run.spec()
        self.spec: dict[str, Any] = self.asked["spec"]
        self.options: dict[str, Any] = self.asked["options"]
        self.learning = False
        self.committing = False
        self.stopping = False

    # Being asked to stop -------------------------------------------------------------------------

    def on_sigterm(self, number: int, frame: object) -> None:
        """Cancel at once; a SIGTERM that no user asked for (a shutdown) saves what there is."""
        if self.committing:
            return
        if self.run.request() != "cancel" and self.learning:
            self.stopping = True
            return
        raise Stopped

    def asked_to_pause(self) -> bool:
        """Whether to save and stop after this step. One `stat` when nothing was asked for."""
        if self.stopping:
            return True
        if not self.run.request_file.exists():
            return False
        action = self.run.request()
        if action == "cancel":
            raise Stopped
        self.stopping = action == "pause"
        return self.stopping

    # The steps -----------------------------------------------------------------------------------

    def go(self) -> None:
        """Train, and leave the run succeeded or paused."""
        check_packages()
        remove_incomplete(self.run.checkpoints)
        for leftover in self.run.path.glob(".model-*"):
            shutil.rmtree(leftover)
        self.set_threads()
        inputs = Inputs.load(self.run, self.asked, self.reporter, merge=merge)
        rows = _as_dataset(inputs.train)
        if self.options["packing"]:
            from trl.data_utils import pack_dataset

            rows = pack_dataset(rows, inputs.packed_length, "bfd")
        chosen = inputs.choose(_hardware(self.options["device"]), rows=len(rows))
        model = _load_model(inputs.base, self.asked, chosen)
        self.base_record = base_record(self.asked["model"], inputs.base, model.config)
        trainer = _make_trainer(self, chosen, model, inputs, rows)
        self.fit(trainer, chosen, inputs.tokenizer)

    def set_threads(self) -> None:
        """Give torch as many CPU threads as were asked for, and keep bars out of the log."""
        import torch
        from transformers.utils import logging

        logging.disable_progress_bar()
        if self.options["torch_threads"]:
            torch.set_num_threads(self.options["torch_threads"])

    def fit(self, trainer: Any, chosen: recipe.Recipe, tokenizer: Any) -> None:
        """Run the training loop from the newest checkpoint on, and keep the result."""
        states = complete_checkpoints(self.run.checkpoints)
        start = states[-1] if states else None
        if start is not None:
            seen = int(start.marker.get("tokens_seen") or 0)
            trainer._total_train_tokens = seen
            trainer.meter.resume(start.step, seen)
            self.reporter.message(
                f"Going on from {start.path.name}: step {start.step} of {chosen['total_steps']},"
                f" {seen} tokens seen.",
                data={"checkpoint": start.path.name, "step": start.step, "tokens_seen": seen},
            )
        self.reporter.change("running")
        self.learning = True
        trainer.train(resume_from_checkpoint=None if start is None else str(start.path))
        self.learning = False
        step = int(trainer.state.global_step)
        self.reporter.note(**trainer.meter.totals(step))
        if step < chosen["total_steps"]:
            self.reporter.finish("paused", f"Paused after step {step}; the checkpoint is whole.")
            return
        self.keep(trainer, tokenizer, step)
        self.reporter.finish("succeeded", f"The job succeeded after {step} steps.", step=step)

    def keep(self, trainer: Any, tokenizer: Any, step: int) -> None:
        """Make `model/` appear, whole."""
        check_weights(trainer.model, step=step)
        temporary = self.run.path / f".model-{os.getpid()}"
        trainer.model.save_pretrained(str(temporary))
        tokenizer.save_pretrained(str(temporary))
        mark_complete(temporary, self.describe_model(tokenizer, step))
        sync_folder(temporary)
        self.committing = True
        if self.run.request() == "cancel":
            raise Stopped
        temporary.rename(self.run.model)
        sync_folder(self.run.path)

    def describe_model(self, tokenizer: Any, step: int) -> dict[str, Any]:
        """What `tunekit.json` says of a model or checkpoint."""
        return {
            "format": 1,
            "tunekit": __version__,
            "at": time.time(),
            "job_id": self.run.tag,
            "step": step,
            **self.base_record,
            "adapter": recipe.uses_adapter(self.spec),
            "system_prompt": self.reporter.get("system_prompt"),
            "chat_template": tokenizer.chat_template,
            "spec": self.spec,
            "settings": self.reporter.get("settings"),
            "tokens_seen": self.reporter.get("tokens_seen"),
        }


def _hardware(asked: str) -> recipe.Hardware:
    import torch

    def there(package: str) -> bool:
        return importlib.util.find_spec(package) is not None

    cuda = torch.cuda.is_available()
    mps = torch.backends.mps.is_available()
    if asked != "auto" and not {"cpu": True, "cuda": cuda, "mps": mps}[asked]:
        raise TrainingFault(
            "device-unavailable", f"`options.trl.device` is {asked!r}, and torch sees none here."
        )
    device = asked if asked != "auto" else "cuda" if cuda else "mps" if mps else "cpu"
    if device == "cuda":
        return recipe.Hardware(
            "cuda",
            memory_bytes=int(torch.cuda.mem_get_info()[0]),
            bf16=bool(torch.cuda.is_bf16_supported(including_emulation=False)),
            flash_attention=there("flash_attn"),
            bitsandbytes=there("bitsandbytes"),
        )
    return recipe.Hardware(device, memory_bytes=recipe.free_memory())


def _as_dataset(table: EncodedRows) -> Any:
    """Hand the flat arrays over to `datasets` without copying them row by row."""
    import datasets
    import pyarrow as pa

    def flat(kind: Any, values: Any) -> Any:
        return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(values)])

    def column(values: Any) -> Any:
        offsets = flat(pa.int64(), table.offsets)
        return pa.LargeListArray.from_arrays(offsets, flat(pa.int32(), values))

    return datasets.Dataset(
        pa.table({"input_ids": column(table.ids), "labels": column(table.labels)})
    )


def _load_model(base: str, asked: dict[str, Any], chosen: recipe.Recipe) -> Any:
    """Load the weights, all of them.

    Raises:
        TrainingFault: They are not there, not whole, or do not fit the configuration.
    """
    import torch
    from transformers import AutoModelForCausalLM

    formats = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
    # Weights that are trained stay in 32 bits; frozen ones are kept in the computation's format.
    dtype = formats[chosen["precision"]] if chosen["adapter"] == "lora" else torch.float32
    arguments: dict[str, Any] = {
        "dtype": dtype,
        "attn_implementation": chosen["attn_implementation"],
        "revision": asked["options"]["revision"] or "main",
        "trust_remote_code": asked["trust_remote_code"],
        "use_safetensors": True,
        "ignore_mismatched_sizes": True,  # they are refused below, by name
        "output_loading_info": True,
    }
    if "quantization_bits" in chosen:
        arguments["quantization_config"] = _quantization(asked["spec"]["quantization"])
    try:
        model, info = AutoModelForCausalLM.from_pretrained(base, **arguments)
    except (OSError, ValueError) as error:
        raise cannot_load(base, error, what="model") from error
    missing = [f"{name} (missing)" for name in sorted(info.get("missing_keys") or ())]
    missing += sorted(f"{name} (another shape)" for name, *_ in info.get("mismatched_keys") or ())
    if missing:
        raise TrainingFault(
            "corrupt-base",
            f"The weights of {base!r} do not fit its config.json: {', '.join(missing[:5])}. They"
            " would have been filled with noise. Copy or download the model again.",
        )
    return model


def _quantization(asked: dict[str, Any]) -> Any:
    import torch
    from transformers import BitsAndBytesConfig

    if asked["bits"] == 8:
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type=asked["type"],
        bnb_4bit_use_double_quant=asked["double_quant"],
        bnb_4bit_compute_dtype=torch.bfloat16,
    )


def _make_trainer(
    training: Training, chosen: recipe.Recipe, model: Any, inputs: Inputs, rows: Any
) -> Any:
    from transformers import PrinterCallback, TrainerCallback
    from trl import SFTTrainer

    meter = Meter(training.reporter, total_steps=chosen["total_steps"])

    class Callback(TrainerCallback):  # type: ignore[misc]
        """Carries progress out and requests in."""

        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            meter.begin()

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
            meter.step(state.global_step, state.epoch, trainer._total_train_tokens)
            if training.asked_to_pause():
                control.should_save = True
                control.should_training_stop = True
            return control

        def on_prediction_step(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            training.asked_to_pause()  # a long evaluation must not outlast a cancel

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            meter.log(state.global_step, state.epoch, logs or {})

    class Trainer(SFTTrainer):  # type: ignore[misc]
        """SFTTrainer that stops at a loss that is no number, and keeps only whole checkpoints."""

        def training_step(self, *args: Any, **kwargs: Any) -> Any:
            loss = super().training_step(*args, **kwargs)
            check_loss(loss.item(), step=self.state.global_step + 1)
            return loss

        def create_model_card(self, *args: Any, **kwargs: Any) -> None:
            """Leave checkpoints without a README."""

        def _save_checkpoint(self, model: Any, trial: Any) -> None:
            step = int(self.state.global_step)
            check_weights(model, step=step)
            super()._save_checkpoint(model, trial)
            folder = training.run.checkpoints / f"checkpoint-{step}"
            record = training.describe_model(inputs.tokenizer, step)
            sync_folder(folder)
            mark_complete(
                folder,
                {
                    **record,
                    "epoch": self.state.epoch,
                    "metrics": dict(meter.latest),
                    "tokens_seen": self._total_train_tokens,
                },
            )
            keep_newest(training.run.checkpoints, chosen["save_total_limit"])
            training.reporter.event(
                "checkpoint",
                f"Checkpoint saved at step {step}.",
                data={"checkpoint": folder.name, "step": step},
            )

    trainer = Trainer(
        model=model,
        args=sft_arguments(training.run.checkpoints, chosen),
        train_dataset=rows,
        eval_dataset=None if inputs.valid is None else _as_dataset(inputs.valid),
        processing_class=inputs.tokenizer,
        peft_config=lora_config(chosen, model.config) if chosen["adapter"] == "lora" else None,
        callbacks=[Callback()],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.meter = meter
    return trainer


def train(run: RunDir) -> int:
    """Be the run's one worker, if it needs one, and give the exit code."""
    reporter = Reporter.begin(run)
    if reporter is None:
        return 0
    training = Training(run, reporter)
    signal.signal(signal.SIGTERM, training.on_sigterm)
    try:
        training.go()
    except Stopped:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if run.request() == "cancel":
            reporter.finish("cancelled", "The job was cancelled.")
        else:
            reporter.finish("paused", "Ended by a SIGTERM from outside; `resume` goes on.")
        return 0
    except BaseException as error:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        traceback.print_exc()
        free = shutil.disk_usage(run.path).free
        for leftover in run.path.glob(".model-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        remove_incomplete(run.checkpoints)
        fault = describe(error, free_bytes=free)
        reporter.finish(
            "failed", fault.message, error={"code": fault.code, "message": fault.message}
        )
        return 1
    return 0


def main(arguments: list[str]) -> int:
    """Run the sub-command."""
    os.umask(0o077)
    if arguments[:1] == ["merge"]:
        try:
            check_packages()
            merge(Path(arguments[1]), Path(arguments[2]))
        except Exception as error:
            traceback.print_exc()
            fault = describe(error)
            sys.stderr.write(json.dumps({"code": fault.code, "message": fault.message}) + "\n")
            return 1
        return 0
    return train(RunDir(Path(arguments[0]).absolute()))


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # torch's own clean-up at exit takes a second and has nothing to clean

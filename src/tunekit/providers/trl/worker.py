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
from tunekit.providers.trl import modelfiles, recipe  # noqa: E402
from tunekit.providers.trl.faults import (  # noqa: E402
    NOT_FINITE,
    Stopped,
    TrainingFault,
    describe,
)
from tunekit.providers.trl.masks import RowEncoder, stop_token_is_trained  # noqa: E402
from tunekit.providers.trl.progress import Meter  # noqa: E402
from tunekit.providers.trl.requirements import check_packages  # noqa: E402
from tunekit.providers.trl.rows import (  # noqa: E402
    EncodedRows,
    SystemPromptWatch,
    encode_rows,
    read_rows,
)


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
        threads = self.options.get("torch_threads")
        if threads:
            os.environ["OMP_NUM_THREADS"] = str(threads)
        import torch

        if threads:
            torch.set_num_threads(threads)
        base = self.find_base()
        tokenizer = self.load_tokenizer(base)
        watch = SystemPromptWatch()
        encoder = RowEncoder(tokenizer, loss_on=self.options["loss_on"])
        config = self.load_config(base)
        limit = self.longest_row(config)
        train = self.encode("train", encoder, limit, watch)
        valid = self.encode("validation", encoder, limit, None)
        self.reporter.note(system_prompt=watch.prompt)
        shape = recipe.ModelShape.from_config(
            config, parameters=modelfiles.count_parameters(Path(base)) if Path(base).is_dir() else None
        )
        if max(train.largest_id, valid.largest_id if valid else 0) >= shape.vocabulary > 0:
            raise TrainingFault(
                "tokenizer-does-not-fit",
                f"The tokenizer gives ids up to {train.largest_id}, the model knows"
                f" {shape.vocabulary}. The model folder mixes files of two models.",
            )
        train_set, rows = _as_dataset(train), len(train)
        if self.options["packing"]:
            train_set = _packed(train_set, limit or train.longest)
            rows = len(train_set)
        chosen = recipe.resolve(
            self.spec,
            self.options,
            hardware=_hardware(self.options["device"]),
            model=shape,
            data=recipe.DataShape(
                rows=rows,
                longest=(limit or train.longest) if self.options["packing"] else train.longest,
                tokens=train.tokens,
                has_validation=valid is not None,
            ),
        )
        chosen.put("max_length", limit, "as asked" if self.options["max_length"] else "the model's own")
        self.check_disk(shape, chosen)
        self.announce(chosen, train)
        model = _load_model(base, self.asked, chosen)
        self.base_record = _base_record(self.asked["model"], base, model)
        trainer = _make_trainer(self, chosen, model, tokenizer, train_set, valid)
        self.fit(trainer, chosen, tokenizer)

    def find_base(self) -> str:
        """The folder or Hub id to load; an adapter's model is merged into the run first.

        Raises:
            TrainingFault: The model is not there or not whole.
        """
        name = str(self.asked["model"])
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
        if not self.run.base.is_dir():
            self.reporter.message("The base is an adapter: merging it into its own base first.")
            merge(folder, self.run.base)
        return str(self.run.base)

    def load_tokenizer(self, base: str) -> Any:
        """The tokenizer with the chat template that this run uses."""
        from transformers import AutoTokenizer

        try:
            tokenizer = AutoTokenizer.from_pretrained(base, **self.hub_arguments())
        except (OSError, ValueError) as error:
            raise TrainingFault(
                "unknown-model", f"The tokenizer of {base!r} cannot be loaded: {error}"
            ) from error
        if self.asked.get("chat_template"):
            tokenizer.chat_template = self.asked["chat_template"]
        return tokenizer

    def load_config(self, base: str) -> dict[str, Any]:
        """The model's configuration as plain values."""
        from transformers import AutoConfig

        try:
            config = AutoConfig.from_pretrained(base, **self.hub_arguments())
        except (OSError, ValueError) as error:
            raise TrainingFault(
                "unknown-model", f"The model {base!r} cannot be loaded: {error}"
            ) from error
        return dict(config.to_dict())

    def hub_arguments(self) -> dict[str, Any]:
        """What every `from_pretrained` is given."""
        return {
            "revision": self.options["revision"] or "main",
            "trust_remote_code": self.asked["trust_remote_code"],
        }

    def longest_row(self, config: dict[str, Any]) -> int | None:
        """The most tokens a row may have."""
        shape = recipe.ModelShape.from_config(config, parameters=0)
        asked = self.options["max_length"]
        if asked and shape.context and asked > shape.context:
            raise TrainingFault(
                "max-length-beyond-model",
                f"`options.trl.max_length` is {asked}, and the model was made for at most"
                f" {shape.context} tokens.",
            )
        return asked or shape.context

    def encode(
        self, name: str, encoder: RowEncoder, limit: int | None, watch: SystemPromptWatch | None
    ) -> Any:
        """Encode one of the two data files; None when it is not there."""
        ref = self.asked[name]
        if ref is None:
            return None
        path = self.run.train_file if name == "train" else self.run.validation_file
        rows = read_rows(path, sha256=ref["sha256"])
        table = encode_rows(
            watch.passing(rows) if watch else rows,
            encoder,
            max_length=limit,
            over_long=self.options["over_long"],
        )
        what = "training data" if name == "train" else "validation data"
        table.raise_on_fault(what)
        if not len(table):
            raise TrainingFault("no-rows", f"Nothing is left of the {what} to train on.")
        if table.dropped or table.truncated:
            self.reporter.message(
                f"{what.capitalize()}: {table.dropped} rows left out and {table.truncated} cut,"
                f" because they have more than {limit} tokens.",
                level="warning",
            )
        if name == "train" and encoder.by_markers and encoder.loss_on == "assistant":
            _, row = next(iter(read_rows(path)))
            if "messages" in row and not stop_token_is_trained(encoder, row):
                self.reporter.message(
                    "The chat template closes its {% generation %} marker before the token that"
                    " ends a turn, so the model is not trained to stop.",
                    level="warning",
                )
        return table

    def check_disk(self, shape: recipe.ModelShape, chosen: recipe.Recipe) -> None:
        """Refuse to begin what the disk cannot hold in the end."""
        needed = recipe.disk_bytes(shape, chosen) + int(self.asked["min_free_bytes"])
        free = shutil.disk_usage(self.run.path).free
        if free < needed:
            raise TrainingFault(
                "disk-full",
                f"The run will need about {needed / 1e9:.1f} GB in {str(self.run.path)!r}, and"
                f" {free / 1e9:.1f} GB are free. Free some space, set `runs_dir` to another disk, or"
                " lower `options.trl.save_total_limit`.",
            )

    def announce(self, chosen: recipe.Recipe, train: EncodedRows) -> None:
        """Write down what was chosen, once."""
        settings = chosen.to_json()
        self.reporter.note(settings=settings, total_steps=chosen["total_steps"])
        listed = ", ".join(f"{name}={choice['value']}" for name, choice in settings.items())
        self.reporter.message(
            f"{len(train)} rows, {train.tokens} tokens, {train.trained_tokens} of them trained on."
            f" Settings: {listed}.",
            data={"settings": settings, "rows": len(train), "tokens": train.tokens},
        )

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
        temporary = self.run.path / f".model-{os.getpid()}"
        trainer.model.save_pretrained(str(temporary), safe_serialization=True)
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


def _packed(dataset: Any, length: int) -> Any:
    from trl.data_utils import pack_dataset

    return pack_dataset(dataset, length, "bfd")


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
        "output_loading_info": True,
    }
    if "quantization_bits" in chosen:
        arguments["quantization_config"] = _quantization(asked["spec"]["quantization"])
    try:
        model, info = AutoModelForCausalLM.from_pretrained(base, **arguments)
    except (OSError, ValueError) as error:
        raise TrainingFault(
            "unknown-model", f"The model {base!r} cannot be loaded: {error}"
        ) from error
    missing = sorted(info.get("missing_keys") or ())
    if missing or info.get("mismatched_keys"):
        named = ", ".join(missing[:5]) or "tensors of another shape"
        raise TrainingFault(
            "corrupt-base",
            f"The weights of {base!r} do not fit its config.json: {named}. They would have been"
            " filled with noise. Copy or download the model again.",
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


def _base_record(name: str, base: str, model: Any) -> dict[str, Any]:
    folder = Path(base)
    record: dict[str, Any] = {"base_model": name, "base_revision": None, "base_hash": None}
    if folder.is_dir():
        record["base_hash"] = modelfiles.folder_hash(folder)
    else:
        record["base_revision"] = getattr(model.config, "_commit_hash", None)
    return record


def _arguments(training: Training, chosen: recipe.Recipe, *, pads: bool) -> Any:
    from trl import SFTConfig

    evaluate = chosen["eval_steps"] is not None
    return SFTConfig(
        output_dir=str(training.run.checkpoints),
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
        packing=bool(training.options["packing"]),
        eval_packing=False,
        max_length=chosen["max_length"],
        dataset_kwargs={"skip_prepare_dataset": True},
        dataloader_pin_memory=chosen["device"] == "cuda",
        report_to="none",
        disable_tqdm=True,
    )


def _make_trainer(
    training: Training, chosen: recipe.Recipe, model: Any, tokenizer: Any, rows: Any, valid: Any
) -> Any:
    import torch
    from transformers import PrinterCallback, TrainerCallback
    from trl import SFTTrainer

    meter = Meter(training.reporter, total_steps=chosen["total_steps"])

    class Callback(TrainerCallback):  # type: ignore[misc]
        """Carries progress out and requests in."""

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
            if not torch.isfinite(loss).item():
                raise TrainingFault(
                    "loss-not-finite",
                    f"The loss became {loss.item()} at step {self.state.global_step + 1}."
                    f" {NOT_FINITE}",
                )
            return loss

        def create_model_card(self, *args: Any, **kwargs: Any) -> None:
            """Leave checkpoints without a README."""

        def _save_checkpoint(self, model: Any, trial: Any) -> None:
            super()._save_checkpoint(model, trial)
            step = int(self.state.global_step)
            folder = training.run.checkpoints / f"checkpoint-{step}"
            record = training.describe_model(tokenizer, step)
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
        args=_arguments(training, chosen, pads=not training.options["packing"]),
        train_dataset=rows,
        eval_dataset=None if valid is None else _as_dataset(valid),
        processing_class=tokenizer,
        peft_config=_adapter(chosen) if chosen["adapter"] == "lora" else None,
        callbacks=[Callback()],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.meter = meter
    return trainer


def _adapter(chosen: recipe.Recipe) -> Any:
    from peft import LoraConfig

    return LoraConfig(
        task_type="CAUSAL_LM",
        r=chosen["lora_r"],
        lora_alpha=chosen["lora_alpha"],
        lora_dropout=chosen["lora_dropout"],
        target_modules=chosen["lora_target_modules"],
        modules_to_save=chosen["lora_modules_to_save"] or None,
    )


def merge(adapter: Path, to: Path) -> None:
    """Merge an adapter into its base; the folder `to` appears whole or not at all."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    base = modelfiles.adapter_base(adapter)
    model = AutoModelForCausalLM.from_pretrained(base, dtype="auto", use_safetensors=True)
    merged = PeftModel.from_pretrained(model, str(adapter)).merge_and_unload()
    temporary = to.parent / f".model-merge-{os.getpid()}"
    try:
        with torch.no_grad():
            merged.save_pretrained(str(temporary), safe_serialization=True)
        AutoTokenizer.from_pretrained(str(adapter)).save_pretrained(str(temporary))
        marker = json.loads((adapter / "tunekit.json").read_text(encoding="utf-8"))
        mark_complete(temporary, {**marker, "adapter": False, "merged_from": str(adapter)})
        sync_folder(temporary)
        temporary.rename(to)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


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

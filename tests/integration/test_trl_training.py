"""Real trainings of a tiny model in real worker processes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from trl_world import (
    make_provider,
    metrics_of,
    rows,
    run_of,
    spec_of,
    submit,
    until,
    wait_for,
)

from helpers.tiny_model import make_model
from tunekit.data import Dataset
from tunekit.errors import ConfigError, CorruptModelError, NotFoundError
from tunekit.providers.base import JobSnapshot, JobStatus, ModelRef
from tunekit.providers.trl.provider import TrlProvider
from tunekit.spec import SFT, LoRA

pytestmark = [pytest.mark.torch, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def trl(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrlProvider]:
    provider = make_provider(tmp_path_factory.mktemp("home"))
    yield provider
    for path in provider.runs.glob("[!.]*"):
        identity = run_of(provider, path.name).identity()
        if identity is not None:
            identity.end_group(grace=0.1)


LORA = LoRA(r=4)


@pytest.fixture(scope="module")
def lora_job(trl: TrlProvider, base: Path) -> JobSnapshot:
    """A finished adapter: 12 steps over 24 rows, with validation."""
    submit(trl, "lora", spec_of(base, adapter=LORA, seed=3), validation=rows(4, first=50))
    return wait_for(trl, "lora", "succeeded")


@pytest.fixture(scope="module")
def full_job(trl: TrlProvider, base: Path) -> JobSnapshot:
    """A finished full training, quick enough to see the loss fall."""
    spec = spec_of(
        base,
        adapter="none",
        method=SFT(n_epochs=6, batch_size=8),
        trl={"learning_rate": 5e-3, "logging_steps": 1},
    )
    submit(trl, "full", spec)
    return wait_for(trl, "full", "succeeded")


def model_of(job: JobSnapshot) -> ModelRef:
    assert job.fine_tuned_model is not None
    return job.fine_tuned_model


def weights(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return {
        f"{path.name}:{name}": tensor
        for path in sorted(folder.glob("*.safetensors"))
        for name, tensor in load_file(path).items()
    }


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    import torch

    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


def logits(model: Any, text: str, folder: Path) -> Any:
    import torch
    from transformers import AutoTokenizer

    ids = AutoTokenizer.from_pretrained(folder)(text, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        return model(ids).logits


# What a finished job is ---------------------------------------------------------------------------


def test_an_adapter_is_trained_and_kept_as_safetensors(lora_job: JobSnapshot, base: Path) -> None:
    folder = Path(model_of(lora_job).id)
    names = {path.name for path in folder.iterdir()}
    assert {
        "adapter_model.safetensors",
        "adapter_config.json",
        "tokenizer.json",
        "chat_template.jinja",
        "tunekit.json",
    } <= names
    assert not [name for name in names if name.endswith((".bin", ".pt", ".pth"))]
    assert "model.safetensors" not in names, "an adapter and whole weights never share a folder"
    config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    assert config["base_model_name_or_path"] == str(base)
    assert (config["r"], config["lora_alpha"]) == (4, 8.0)
    assert any(
        float(tensor.abs().sum()) > 0 for key, tensor in weights(folder).items() if "_B" in key
    )


def test_the_record_beside_the_model_pins_what_it_came_from(
    lora_job: JobSnapshot, base: Path
) -> None:
    folder = Path(model_of(lora_job).id)
    record = json.loads((folder / "tunekit.json").read_text(encoding="utf-8"))
    assert record["base_model"] == str(base)
    assert len(record["base_hash"]) == 64
    assert record["system_prompt"] == "Add." == model_of(lora_job).system_prompt
    assert "{% generation %}" in record["chat_template"]
    assert record["spec"]["seed"] == 3
    assert record["job_id"] == "lora"
    assert record["step"] == 12
    assert record["adapter"] is True


def test_the_snapshot_says_what_was_done(lora_job: JobSnapshot, base: Path) -> None:
    assert lora_job.model == str(base)
    assert lora_job.progress is not None
    assert (lora_job.progress.step, lora_job.progress.total_steps) == (12, 12)
    chosen = lora_job.hyperparameters
    assert (chosen["n_epochs"], chosen["batch_size"], chosen["seed"]) == (2, 4, 3)
    assert chosen["learning_rate"] == 2e-4
    assert chosen["precision"] == "fp32"
    assert chosen["loss_on"] == "assistant"
    assert lora_job.finished_at is not None
    assert lora_job.started_at is not None
    assert JobSnapshot.model_validate_json(lora_job.model_dump_json()) == lora_job


def test_every_token_is_counted_once_per_epoch(
    trl: TrlProvider, lora_job: JobSnapshot, base: Path
) -> None:
    estimate = trl.estimate(spec_of(base, adapter=LORA), Dataset.from_records(rows()), None)
    assert estimate.trained_tokens == lora_job.trained_tokens
    assert estimate.steps == 12


def test_metrics_carry_the_names_of_the_contract(trl: TrlProvider, lora_job: JobSnapshot) -> None:
    metrics = metrics_of(trl, lora_job.id)
    train = [data for data in metrics if "train_loss" in data]
    assert [data["step"] for data in train] == list(range(1, 13))
    assert set(train[0]) == {
        "step",
        "total_steps",
        "epoch",
        "train_loss",
        "train_mean_token_accuracy",
        "learning_rate",
        "grad_norm",
        "tokens_seen",
        "tokens_per_second",
    }
    assert train[-1]["tokens_seen"] == lora_job.trained_tokens
    valid = [data for data in metrics if "valid_loss" in data]
    assert [data["step"] for data in valid] == [6, 12]
    assert "valid_mean_token_accuracy" in valid[0]


def test_the_settings_are_told_once_each_with_its_reason(
    trl: TrlProvider, lora_job: JobSnapshot
) -> None:
    told = [event for event in trl.list_events(lora_job.id).data if "settings" in event.data]
    assert len(told) == 1
    settings = told[0].data["settings"]
    assert all(choice["why"] for choice in settings.values())
    assert {name: choice["value"] for name, choice in settings.items()} == (
        lora_job.hyperparameters
    )


def test_events_tell_the_story_in_order(trl: TrlProvider, lora_job: JobSnapshot) -> None:
    words = [
        event.data["status"]
        for event in trl.list_events(lora_job.id).data
        if event.type == "status"
    ]
    assert words == ["validating", "running", "succeeded"]


def test_checkpoints_are_complete_and_say_where_they_stand(
    trl: TrlProvider, lora_job: JobSnapshot
) -> None:
    found = trl.list_checkpoints(lora_job.id)
    assert [checkpoint.step for checkpoint in found] == [6, 12]
    assert "train_loss" in found[0].metrics
    folder = Path(found[0].model.id)
    assert (folder / "adapter_model.safetensors").is_file()
    assert found[0].model.system_prompt == "Add."


def test_everything_in_the_run_is_private(trl: TrlProvider, lora_job: JobSnapshot) -> None:
    run = run_of(trl, lora_job.id)
    assert stat.S_IMODE(run.path.stat().st_mode) == 0o700
    assert stat.S_IMODE((run.model / "adapter_model.safetensors").stat().st_mode) & 0o077 == 0


def test_all_weights_are_trained_and_the_loss_falls(
    trl: TrlProvider, full_job: JobSnapshot
) -> None:
    losses = [data["train_loss"] for data in metrics_of(trl, "full") if "train_loss" in data]
    assert losses[-1] < 0.8 * losses[0]
    folder = Path(model_of(full_job).id)
    assert (folder / "model.safetensors").is_file()
    assert not (folder / "adapter_config.json").exists()
    from transformers import AutoModelForCausalLM

    _, info = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
    assert not info["missing_keys"]


# Stopping and going on ----------------------------------------------------------------------------


def test_a_paused_and_resumed_training_ends_with_the_very_same_weights(
    trl: TrlProvider, lora_job: JobSnapshot, base: Path
) -> None:
    """Step, data order, optimiser and random numbers all go on where they stopped."""
    submit(trl, "paused", spec_of(base, adapter=LORA, seed=3), validation=rows(4, first=50))
    assert trl.pause("paused").status in (JobStatus.PAUSING, JobStatus.QUEUED)
    paused = wait_for(trl, "paused", "paused")
    assert paused.progress is not None
    assert 0 < paused.progress.step < 12
    seen = paused.trained_tokens
    assert [c.step for c in trl.list_checkpoints("paused")] == [paused.progress.step]

    trl.resume("paused")
    done = wait_for(trl, "paused", "succeeded")
    assert done.trained_tokens == lora_job.trained_tokens
    steps = [d["step"] for d in metrics_of(trl, "paused") if "train_loss" in d]
    assert steps == list(range(1, 13)), "no step was done twice"
    told = [e.data for e in trl.list_events("paused").data if "checkpoint" in e.data]
    assert {"step": paused.progress.step, "tokens_seen": seen}.items() <= told[1].items()
    assert same(weights(Path(model_of(done).id)), weights(Path(model_of(lora_job).id)))


def long_spec(base: Path) -> Any:
    return spec_of(base, adapter=LORA, method=SFT(n_epochs=50, batch_size=1))


def test_a_sigterm_that_nobody_asked_for_saves_a_checkpoint_and_pauses(
    trl: TrlProvider, base: Path
) -> None:
    submit(trl, "shutdown", long_spec(base))
    until(lambda: metrics_of(trl, "shutdown"))
    identity = run_of(trl, "shutdown").identity()
    assert identity is not None
    os.kill(identity.pid, signal.SIGTERM)
    job = wait_for(trl, "shutdown", "paused")
    assert job.progress is not None
    assert [c.step for c in trl.list_checkpoints("shutdown")][-1] == job.progress.step

    # The same run, cancelled this time, and killed in the end: three ways to stop it.
    trl.resume("shutdown")
    until(lambda: trl.fetch("shutdown").status is JobStatus.RUNNING)
    before = run_of(trl, "shutdown").identity()
    trl.cancel("shutdown")
    wait_for(trl, "shutdown", "cancelled")
    assert before is not None
    until(lambda: not before.alive)
    assert not run_of(trl, "shutdown").model.exists()


def test_a_cancel_while_packages_are_still_loading_ends_it_at_once(
    trl: TrlProvider, base: Path
) -> None:
    submit(trl, "early", long_spec(base))
    until(lambda: trl.fetch("early").status is JobStatus.VALIDATING)
    trl.cancel("early")
    wait_for(trl, "early", "cancelled")
    assert metrics_of(trl, "early") == []


def test_a_killed_training_fails_with_its_reason_and_leaves_no_model(
    trl: TrlProvider, base: Path
) -> None:
    submit(trl, "killed", long_spec(base))
    until(lambda: metrics_of(trl, "killed"))
    identity = run_of(trl, "killed").identity()
    assert identity is not None
    os.kill(identity.pid, signal.SIGKILL)
    until(lambda: run_of(trl, "killed").exit_file.exists())
    job = wait_for(trl, "killed", "failed")
    assert job.error is not None
    assert job.error.code == "worker-died"
    assert "SIGKILL" in job.error.message
    assert job.fine_tuned_model is None
    assert not run_of(trl, "killed").model.exists()


# What goes wrong ----------------------------------------------------------------------------------


def failed(trl: TrlProvider, tag: str) -> tuple[str, str]:
    job = wait_for(trl, tag, "failed")
    assert job.error is not None
    assert not run_of(trl, tag).model.exists()
    assert list(run_of(trl, tag).path.glob(".model-*")) == []
    return job.error.code, job.error.message


def test_a_loss_that_is_no_number_stops_the_training(trl: TrlProvider, base: Path) -> None:
    spec = spec_of(base, adapter="none", trl={"learning_rate": 1e30, "max_grad_norm": 0.0})
    submit(trl, "nan", spec)
    code, message = failed(trl, "nan")
    assert code == "loss-not-finite"
    assert "Lower the learning rate" in message


def test_a_disk_that_fills_up_while_saving_leaves_nothing_half_made(
    base: Path, tmp_path: Path
) -> None:
    """The kernel refuses to let files grow beyond 100 kB, which the optimiser's state does."""
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nulimit -f 200\nexec {sys.executable} "$@"\n', encoding="utf-8")
    python.chmod(0o700)
    trl = make_provider(tmp_path / "home", python=python)
    submit(trl, "full-disk", spec_of(base, adapter="none"))
    code, message = failed(trl, "full-disk")
    assert code == "disk-full"
    assert "runs_dir" in message
    assert trl.list_checkpoints("full-disk") == []
    assert list(run_of(trl, "full-disk").checkpoints.glob("checkpoint-*")) == []


def test_rows_that_cannot_be_used_are_named_by_the_worker(trl: TrlProvider, base: Path) -> None:
    data = rows(8)
    data[3]["messages"][1]["content"] = "x" * 400
    data[6]["messages"][1]["content"] = "y" * 400
    submit(trl, "long", spec_of(base), data)
    code, message = failed(trl, "long")
    assert code == "row-too-long"
    assert "lines 4, 7 of the training data" in message


def test_a_base_whose_weights_do_not_fit_its_configuration_is_refused(
    trl: TrlProvider, base: Path, tmp_path: Path
) -> None:
    """Transformers would fill the missing tensors with noise and go on."""
    from safetensors.torch import load_file, save_file

    broken = tmp_path / "broken"
    shutil.copytree(base, broken)
    tensors = load_file(broken / "model.safetensors")
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, broken / "model.safetensors", metadata={"format": "pt"})
    submit(trl, "broken", spec_of(broken))
    code, message = failed(trl, "broken")
    assert code == "corrupt-base"
    assert "model.layers.1.mlp.up_proj.weight" in message


def test_an_interpreter_without_the_packages_says_how_to_install_them(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also shows that the worker starts where neither tunekit nor pydantic is installed."""
    monkeypatch.delenv("PYTHONPATH", raising=False)
    venv.create(tmp_path / "bare", with_pip=False)
    trl = make_provider(tmp_path / "home", python=tmp_path / "bare" / "bin" / "python")
    submit(trl, "bare", spec_of(base))
    code, message = failed(trl, "bare")
    assert code == "missing-packages"
    assert "pip install 'torch>=2.13'" in message
    assert "tunekit'" not in message


# What TRL does with our rows ----------------------------------------------------------------------


def test_rows_packed_into_one_sequence_do_not_see_each_other(base: Path) -> None:
    """Torch's own attention keeps them apart by their positions; no flash-attn is needed."""
    import torch
    from transformers import AutoModelForCausalLM
    from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

    model = AutoModelForCausalLM.from_pretrained(base, attn_implementation="sdpa").eval()
    one, two = [10, 11, 12, 13], [20, 21, 22, 23, 24]
    packed = {"input_ids": one + two, "labels": one + two, "seq_lengths": [len(one), len(two)]}
    batch = DataCollatorForLanguageModeling(pad_token_id=0, padding_free=True)([packed])
    batch.pop("labels")
    with torch.no_grad():
        together = model(**batch, use_cache=False).logits[0]  # as the trainer calls it
        alone = [model(torch.tensor([ids])).logits[0] for ids in (one, two)]
    assert torch.allclose(together, torch.cat(alone), atol=1e-5)
    mixed = model(torch.tensor([one + two])).logits[0]
    assert not torch.allclose(mixed[len(one) :], alone[1], atol=1e-3), "the test can tell"


# What can be done with a model --------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")  # peft 0.21
def test_a_merged_adapter_answers_like_the_adapter(trl: TrlProvider, lora_job: JobSnapshot) -> None:
    import torch
    from peft import AutoPeftModelForCausalLM
    from transformers import AutoModelForCausalLM

    adapter = model_of(lora_job)
    merged = trl.merge(adapter)
    assert Path(merged.id) == run_of(trl, "lora").merged
    assert (Path(merged.id) / "chat_template.jinja").is_file()
    assert not (Path(merged.id) / "adapter_config.json").exists()
    assert trl.merge(adapter) == merged, "merging twice is harmless"
    one = AutoPeftModelForCausalLM.from_pretrained(adapter.id)
    two = AutoModelForCausalLM.from_pretrained(merged.id)
    folder = Path(adapter.id)
    assert torch.allclose(logits(one, "3 and 3", folder), logits(two, "3 and 3", folder), atol=1e-5)
    assert list(run_of(trl, "lora").path.glob(".model-*")) == []


def test_a_tuned_adapter_can_be_the_base_of_another_run(
    trl: TrlProvider, lora_job: JobSnapshot
) -> None:
    spec = spec_of(
        model_of(lora_job).id,
        adapter=LORA,
        method=SFT(n_epochs=1, batch_size=8),
        trl={"packing": "bfd"},
    )
    submit(trl, "second", spec)
    job = wait_for(trl, "second", "succeeded")
    record = json.loads((Path(model_of(job).id) / "tunekit.json").read_text(encoding="utf-8"))
    assert record["base_model"] == model_of(lora_job).id
    config = json.loads(
        (Path(model_of(job).id) / "adapter_config.json").read_text(encoding="utf-8")
    )
    assert config["base_model_name_or_path"] == str(run_of(trl, "second").base)
    assert job.hyperparameters["packing"] == "bfd"
    assert job.progress is not None
    assert job.progress.step < 3, "24 short rows fit into a few packed sequences"


def test_download_copies_the_whole_model_or_nothing(
    trl: TrlProvider, lora_job: JobSnapshot, tmp_path: Path
) -> None:
    model = model_of(lora_job)
    to = trl.download(model, tmp_path / "out" / "mine")
    assert same(weights(to), weights(Path(model.id)))
    listed = {artifact.name: artifact.bytes for artifact in trl.list_artifacts(model)}
    assert {path.name: path.stat().st_size for path in to.iterdir()} == listed
    with pytest.raises(ConfigError, match="not an empty folder"):
        trl.download(model, to)
    (to / "adapter_model.safetensors").write_bytes(b"cut off")
    with pytest.raises(CorruptModelError):
        trl.download(model.model_copy(update={"id": str(to)}), tmp_path / "out" / "yours")
    assert not (tmp_path / "out" / "yours").exists()


def test_a_deleted_model_is_gone_and_its_record_stays(
    trl: TrlProvider, full_job: JobSnapshot
) -> None:
    shutil.copytree(run_of(trl, full_job.id).path, trl.runs / "doomed")
    before = trl.fetch("doomed")
    model = model_of(before)
    trl.delete_model(model)
    trl.delete_model(model)
    assert not Path(model.id).exists()
    assert Path(model_of(full_job).id).exists()
    job = trl.fetch("doomed")
    assert job.status is JobStatus.SUCCEEDED
    assert job.fine_tuned_model is None
    assert job.hyperparameters == full_job.hyperparameters
    with pytest.raises(NotFoundError):
        trl.list_artifacts(model)


def test_nothing_outside_the_runs_folder_is_deleted(trl: TrlProvider, base: Path) -> None:
    with pytest.raises(ConfigError, match="nothing else is deleted"):
        trl.delete_model(ModelRef(id=str(base), provider="trl"))
    assert (base / "config.json").is_file()


def test_time_is_estimated_from_earlier_runs_of_the_same_base(
    trl: TrlProvider, lora_job: JobSnapshot, base: Path
) -> None:
    data = Dataset.from_records(rows())
    known = trl.estimate(spec_of(base, adapter=LORA), data, None)
    assert known.seconds is not None
    assert 0 < known.seconds[0] < known.seconds[1]
    unknown = trl.estimate(spec_of(base, adapter="none", seed=1), data, None)
    assert unknown.memory_bytes is not None
    assert known.memory_bytes is not None
    assert known.disk_bytes is not None
    assert unknown.usd == 0.0


def test_importing_the_provider_package_loads_no_torch() -> None:
    code = (
        "import sys, tunekit.providers.trl as t; t.TrlProvider;"
        "print([m for m in ('torch', 'transformers', 'trl') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

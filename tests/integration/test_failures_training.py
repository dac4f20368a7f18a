"""What stops a worker: each job ends failed, in words, and leaves nothing that looks whole."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest
from failure_world import fill, mounted, with_own_code
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

from helpers.tiny_model import PLAIN, make_model, make_tokenizer
from tunekit.providers.base import DeploymentStatus, ModelRef
from tunekit.providers.local.statefile import read_json, write_json
from tunekit.providers.trl.options import TrlSettings
from tunekit.providers.trl.provider import TrlProvider
from tunekit.providers.trl.requirements import INSTALL
from tunekit.spec import SFT, LoRA

pytestmark = [pytest.mark.torch, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("base"))


@pytest.fixture
def trl(tmp_path: Path) -> Iterator[TrlProvider]:
    provider = make_provider(tmp_path / "home")
    yield provider
    end_workers(provider)


def end_workers(provider: TrlProvider) -> None:
    for path in provider.runs.glob("[!.]*"):
        identity = run_of(provider, path.name).identity()
        if identity is not None:
            identity.end_group(grace=0.1)


def failed(trl: TrlProvider, tag: str) -> tuple[str, str]:
    """Wait for the job to fail and give code and message of its fault."""
    job = wait_for(trl, tag, "failed")
    assert job.error is not None
    assert job.fine_tuned_model is None
    run = run_of(trl, tag)
    assert not run.model.exists()
    assert list(run.path.glob(".model-*")) == []
    whole = {Path(checkpoint.model.id) for checkpoint in trl.list_checkpoints(tag)}
    assert set(run.checkpoints.glob("*")) == whole, "what is left of checkpoints is whole"
    (last,) = [event for event in trl.list_events(tag).data if event.level == "error"]
    assert last.data == {"status": "failed", "code": job.error.code}
    return job.error.code, job.error.message


def wrapped_python(folder: Path, limit: str) -> Path:
    """The interpreter under a limit of the shell."""
    python = folder / "python"
    python.write_text(f'#!/bin/sh\n{limit}\nexec {sys.executable} "$@"\n', encoding="utf-8")
    python.chmod(0o700)
    return python


# Memory and disk ----------------------------------------------------------------------------------


def test_a_batch_that_does_not_fit_into_memory_is_named_with_what_to_lower(
    tmp_path: Path,
) -> None:
    """The process may map four gigabytes; the activations of this batch would take more."""
    large = make_model(tmp_path / "large", context=4096)
    trl = make_provider(tmp_path / "home", python=wrapped_python(tmp_path, "ulimit -v 4194304"))
    data = rows(256)
    for row in data:
        row["messages"][2]["content"] = "7" * 4000
    spec = spec_of(
        large, method=SFT(n_epochs=1, batch_size=256), trl={"gradient_accumulation_steps": 1}
    )
    submit(trl, "greedy", spec, data)
    code, message = failed(trl, "greedy")
    assert code == "out-of-memory", message
    assert "Lower `batch_size` or raise `options.trl.gradient_accumulation_steps`" in message
    told = [event.data.get("status") for event in trl.list_events("greedy").data]
    assert "running" in told, "the limit is meant for the first step, not for loading"


def test_a_disk_that_fills_up_while_saving_still_takes_the_last_word(
    base: Path, tmp_path: Path
) -> None:
    """A real file system without room: not even a status could be written without a reserve."""
    with mounted(tmp_path / "small", size="4m") as small:
        settings = TrlSettings(
            python=Path(sys.executable), runs_dir=small / "runs", min_free_bytes=0
        )
        trl = TrlProvider(settings, home=tmp_path)
        try:
            spec = spec_of(
                base, adapter="none", method=SFT(n_epochs=50, batch_size=1), trl={"save_steps": 40}
            )
            submit(trl, "full", spec)
            until(lambda: metrics_of(trl, "full"))
            fill(small, leave=65536)
            code, message = failed(trl, "full")
        finally:
            end_workers(trl)
    assert code == "disk-full", message
    assert "`runs_dir`" in message
    assert "launch again" in message


def test_too_little_space_for_what_will_be_saved_is_found_before_training(
    base: Path, tmp_path: Path
) -> None:
    settings = TrlSettings(python=Path(sys.executable), min_free_bytes=1 << 60)
    trl = TrlProvider(settings, home=tmp_path)
    submit(trl, "vast", spec_of(base))
    code, message = failed(trl, "vast")
    assert code == "disk-full"
    assert "`options.trl.save_total_limit`" in message
    assert metrics_of(trl, "vast") == []


# Numbers ------------------------------------------------------------------------------------------


def test_a_base_with_weights_that_are_no_numbers_is_told_from_a_rate_that_is_too_high(
    trl: TrlProvider, base: Path, tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    broken = shutil.copytree(base, tmp_path / "broken")
    tensors = load_file(broken / "model.safetensors")
    tensors["model.norm.weight"][:] = float("nan")
    save_file(tensors, broken / "model.safetensors", metadata={"format": "pt"})
    submit(trl, "nan", spec_of(broken))
    code, message = failed(trl, "nan")
    assert code == "loss-not-finite"
    assert "step 1" in message
    assert "the base model itself gives no number" in message


def test_weights_spoiled_by_the_last_step_are_not_kept(trl: TrlProvider, base: Path) -> None:
    """The loss of a step is computed before it changes anything, so here it looks perfect."""
    spec = spec_of(
        base,
        adapter="none",
        method=SFT(n_epochs=1, batch_size=24),
        trl={"learning_rate": 1e39, "warmup_ratio": 0.0, "lr_scheduler_type": "constant"},
    )
    submit(trl, "spoiled", spec)
    code, message = failed(trl, "spoiled")
    assert code == "weights-not-finite", message
    assert "Lower the learning rate" in message
    assert trl.list_checkpoints("spoiled") == []


# The base model -----------------------------------------------------------------------------------


def test_a_base_whose_tensors_have_another_shape_is_refused_by_name(
    trl: TrlProvider, base: Path, tmp_path: Path
) -> None:
    broken = shutil.copytree(base, tmp_path / "broken")
    config = json.loads((broken / "config.json").read_text(encoding="utf-8"))
    (broken / "config.json").write_text(json.dumps({**config, "intermediate_size": 96}))
    submit(trl, "misshapen", spec_of(broken))
    code, message = failed(trl, "misshapen")
    assert code == "corrupt-base", message
    assert "model.layers.0.mlp.down_proj.weight (another shape)" in message


def test_a_model_that_cannot_be_fetched_says_where_models_come_from(
    trl: TrlProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    submit(trl, "unknown", spec_of("nobody/no-such-model"))
    code, message = failed(trl, "unknown")
    assert code == "unknown-model"
    assert "'nobody/no-such-model'" in message
    assert "Give an existing folder, or a Hub id" in message


def test_the_worker_runs_no_code_of_a_model_either(
    trl: TrlProvider, base: Path, tmp_path: Path
) -> None:
    ran = tmp_path / "ran"
    submit(trl, "own", spec_of(with_own_code(shutil.copytree(base, tmp_path / "own"), ran=ran)))
    code, message = failed(trl, "own")
    assert code == "remote-code"
    assert "`trust_remote_code`" in message
    assert not ran.exists()


def test_a_template_without_markers_trains_on_the_same_tokens(
    trl: TrlProvider, base: Path, tmp_path: Path
) -> None:
    plain = shutil.copytree(base, tmp_path / "plain")
    make_tokenizer(PLAIN).save_pretrained(plain)
    for tag, folder in (("marked", base), ("plain", plain)):
        submit(trl, tag, spec_of(folder, method=SFT(n_epochs=1, batch_size=24)))
    told = []
    for tag in ("marked", "plain"):
        wait_for(trl, tag, "succeeded")
        told.append([e.message for e in trl.list_events(tag).data if "tokens" in e.data])
    assert told[0] == told[1]
    assert "of them trained on" in told[0][0]


# Processes ----------------------------------------------------------------------------------------


def test_a_restart_of_the_machine_is_named_with_the_checkpoint_that_is_whole(
    trl: TrlProvider, base: Path
) -> None:
    spec = spec_of(
        base,
        adapter=LoRA(r=4),
        method=SFT(n_epochs=50, batch_size=1),
        trl={"save_steps": 5},
    )
    submit(trl, "restart", spec)
    until(lambda: trl.list_checkpoints("restart"))
    run = run_of(trl, "restart")
    identity = run.identity()
    assert identity is not None
    os.kill(identity.pid, signal.SIGKILL)
    until(lambda: not identity.alive)
    for path in (run.launch_file, run.status_file):
        content = read_json(path) or {}
        write_json(path, {**content, "worker": {"pid": identity.pid, "started": "other-boot:1"}})
    job = wait_for(trl, "restart", "failed")
    assert job.error is not None
    assert job.error.code == "worker-died"
    newest = trl.list_checkpoints("restart")[-1]
    first_line = job.error.message.splitlines()[0]
    assert "the machine was restarted while it ran" in first_line
    assert "Launch it again under another run name" in first_line
    assert f"step {newest.step} is whole: {newest.model.id!r}" in first_line
    assert not run.model.exists()


# Serving ------------------------------------------------------------------------------------------


def test_a_server_names_what_it_lacks_and_what_it_will_not_run(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONPATH", raising=False)
    venv.create(tmp_path / "bare", with_pip=False)
    bare = make_provider(tmp_path / "home", python=tmp_path / "bare" / "bin" / "python")
    ran = tmp_path / "ran"
    own = with_own_code(shutil.copytree(base, tmp_path / "own"), ran=ran)
    usual = make_provider(tmp_path / "home")
    for provider, model, code, words in (
        (bare, base, "missing-package", INSTALL.split()[0]),
        (usual, own, "remote-code", "`trust_remote_code`"),
    ):
        ref = ModelRef(id=str(model), provider="trl")
        provider.deploy(ref, name=code, ttl=None, options={"threads": 1})

        def over(provider: TrlProvider = provider, code: str = code) -> bool:
            return provider.fetch_deployment(code).status.is_terminal

        until(over)
        snapshot = provider.fetch_deployment(code)
        assert snapshot.status is DeploymentStatus.FAILED
        assert snapshot.error is not None
        assert snapshot.error.code == code
        assert words in snapshot.error.message
        provider.delete_deployment(code)
    assert not ran.exists()
    assert usual.list_deployments() == ()

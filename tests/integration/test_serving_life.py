"""How deployments begin and end: real hosts and servers, killed for real."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import openai
import pytest
from serving_world import SOURCES, Server, Settings, eventually, make_model, processes_of

from tunekit.errors import (
    ConfigError,
    ConflictError,
    CorruptModelError,
    DeploymentError,
    InvalidRequestError,
    LocalRunError,
    NotFoundError,
    PortInUseError,
)
from tunekit.providers.base import DeploymentSnapshot, DeploymentStatus, Endpoint, ModelRef

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path / "state")
    yield made
    root = tmp_path / "state" / "deployments"
    for path in root.iterdir() if root.is_dir() else ():
        if not path.name.startswith("."):
            made.delete_deployment(path.name)
            assert processes_of(path) == []


def directory(snapshot: DeploymentSnapshot) -> Path:
    return Path(snapshot.raw["directory"])


def refused(endpoint: Endpoint) -> bool:
    """Whether nothing listens at this endpoint any more."""
    key = endpoint.api_key.get_secret_value()
    with openai.OpenAI(base_url=endpoint.base_url, api_key=key, max_retries=0) as client:
        try:
            client.models.list()
        except openai.APIConnectionError:
            return True
    return False


def elsewhere(code: str, provider: Server) -> subprocess.Popen[str]:
    """Run code in another process that has the same provider as `provider`."""
    start = (
        "import sys, time; from pathlib import Path; from serving_world import Server\n"
        f"provider = Server(Path({str(provider.home)!r}))\n"
    )
    path = os.pathsep.join([str(SOURCES), str(Path(__file__).parent)])
    return subprocess.Popen(
        [sys.executable, "-c", start + code],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        text=True,
    )


def test_deploy_returns_at_once_and_the_same_name_is_started_once(
    provider: Server, folder: Path
) -> None:
    first = provider.ask(folder, "soup")
    assert first.status is DeploymentStatus.CREATING
    with pytest.raises(DeploymentError, match="creating"):
        provider.endpoint(first)
    ready = provider.until("soup", DeploymentStatus.READY)
    again = provider.ask(folder, "soup")
    assert again == ready
    assert again.created_at == first.created_at
    assert len(processes_of(directory(ready))) == 2, "one host and one server"
    other = make_other_ref(folder)
    with pytest.raises(ConflictError, match="serves"):
        provider.deploy(other, name="soup", ttl=None, options={})

    # To a provider of another name it is not there, but its name is taken.
    stranger = Stranger(provider.home)
    assert stranger.list_deployments() == ()
    stranger.delete_deployment("soup")
    with pytest.raises(ConflictError, match="belongs to provider 'trl'"):
        stranger.ask(folder, "soup")

    # Another process sees it, and can end it.
    endpoint = provider.endpoint(ready)
    with elsewhere(
        "print(*[f'{d.name} {d.status}' for d in provider.list_deployments()])\n"
        "provider.delete_deployment('soup')",
        provider,
    ) as process:
        shown, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert shown.split() == ["soup", "ready"]
    assert not processes_of(directory(ready))
    assert refused(endpoint)
    assert provider.list_deployments() == ()
    with pytest.raises(NotFoundError):
        provider.fetch_deployment("soup")
    provider.delete_deployment("soup")


class Stranger(Server):
    name: ClassVar[str] = "autotrain"


def make_other_ref(folder: Path) -> ModelRef:
    other = folder.parent / "other-model"
    if not other.exists():
        shutil.copytree(folder, other)
    return ModelRef(id=str(other), provider="trl")


def test_deploys_of_the_same_name_at_the_same_moment_start_one(
    provider: Server, folder: Path
) -> None:
    code = f"print(provider.ask(Path({str(folder)!r}), 'soup').created_at.isoformat())"
    with contextlib.ExitStack() as stack:
        processes = [stack.enter_context(elsewhere(code, provider)) for _ in range(4)]
        shown = {process.communicate(timeout=60)[0] for process in processes}
    assert len(shown) == 1
    snapshot = provider.fetch_deployment("soup")
    # The launchers have ended; what they started has not.
    assert eventually(lambda: len(processes_of(directory(snapshot))) == 2)


def test_a_time_to_live_counts_from_ready_and_ends_it(provider: Server, folder: Path) -> None:
    snapshot, endpoint = provider.up(folder, "soup", ttl=1.0)
    assert snapshot.expires_at is not None
    ended = provider.until("soup", DeploymentStatus.DELETED)
    assert ended.raw["reason"] == "ttl"
    assert ended.base_url is None
    assert refused(endpoint)
    assert not (directory(ended) / "api-key").exists()
    assert provider.list_deployments() == ()
    with pytest.raises(DeploymentError):
        provider.endpoint(ended)
    assert eventually(lambda: not processes_of(directory(ended)))

    # The name can be used again.
    assert provider.ask(folder, "soup").status is DeploymentStatus.CREATING


def test_an_adopted_deployment_ends_when_its_owner_is_killed(
    provider: Server, folder: Path
) -> None:
    snapshot, endpoint = provider.up(folder, "soup")
    with elsewhere(
        "provider.adopt('soup'); print('adopted', flush=True); time.sleep(600)", provider
    ) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "adopted\n"
        assert provider.fetch_deployment("soup").status is DeploymentStatus.READY
        owner.send_signal(signal.SIGKILL)
    ended = provider.until("soup", DeploymentStatus.DELETED)
    assert ended.raw["reason"] == "owner-gone"
    assert eventually(lambda: not processes_of(directory(snapshot)))
    assert refused(endpoint)


def test_a_killed_host_leaves_no_server_behind_and_is_reported(
    provider: Server, folder: Path
) -> None:
    snapshot, endpoint = provider.up(folder, "soup")
    host = json.loads((directory(snapshot) / "host.json").read_text())["pid"]
    assert host in processes_of(directory(snapshot))
    os.kill(host, signal.SIGKILL)
    assert eventually(lambda: not processes_of(directory(snapshot)), patience=3.0)
    assert refused(endpoint)
    died = provider.fetch_deployment("soup")
    assert died.status is DeploymentStatus.FAILED
    assert died.error is not None
    assert died.error.code == "server-died"
    assert "ready at" in died.error.message, "the end of the log is in the message"
    assert [d.name for d in provider.list_deployments()] == ["soup"]
    with pytest.raises(DeploymentError, match="failed"):
        provider.endpoint(died)


def test_a_killed_server_is_reported_with_its_signal(provider: Server, folder: Path) -> None:
    snapshot = provider.ask(folder, "soup")
    assert eventually(lambda: len(processes_of(directory(snapshot))) == 2)
    host = json.loads((directory(snapshot) / "host.json").read_text())["pid"]
    (server,) = [pid for pid in processes_of(directory(snapshot)) if pid != host]
    os.kill(server, signal.SIGKILL)
    assert eventually(lambda: provider.fetch_deployment("soup").status.is_terminal)
    failed = provider.fetch_deployment("soup")
    assert failed.error is not None
    assert failed.error.code == "server-exited"
    assert "SIGKILL" in failed.error.message


def test_a_signal_from_outside_ends_it_with_a_last_word(provider: Server, folder: Path) -> None:
    snapshot = provider.ask(folder, "soup")
    assert eventually(lambda: len(processes_of(directory(snapshot))) == 2)
    host = json.loads((directory(snapshot) / "host.json").read_text())["pid"]
    os.killpg(host, signal.SIGTERM)
    ended = provider.until("soup", DeploymentStatus.DELETED)
    assert ended.raw["reason"] == "terminated"
    assert eventually(lambda: not processes_of(directory(snapshot)))


def test_a_host_that_does_not_react_is_killed_by_delete(
    provider: Server, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tunekit.providers.local.serving._GRACE_SECONDS", 0.3)
    snapshot = provider.ask(folder, "soup")
    assert eventually(lambda: len(processes_of(directory(snapshot))) == 2)
    for pid in processes_of(directory(snapshot)):
        os.kill(pid, signal.SIGSTOP)
    provider.delete_deployment("soup")
    assert eventually(lambda: not processes_of(directory(snapshot)))
    assert not directory(snapshot).exists()


def test_a_directory_that_somebody_removes_ends_its_processes(
    provider: Server, folder: Path
) -> None:
    snapshot = provider.ask(folder, "soup")
    assert eventually(lambda: len(processes_of(directory(snapshot))) == 2)
    directory(snapshot).rename(provider.home / "elsewhere")
    assert eventually(lambda: not processes_of(directory(snapshot)))


def test_a_hub_model_that_cannot_be_had_fails_with_the_reason(
    provider: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    provider.deploy(
        ModelRef(id="owner/no-such-model", provider="trl"), name="soup", ttl=None, options={}
    )
    assert eventually(lambda: provider.fetch_deployment("soup").status.is_terminal, patience=60)
    error = provider.fetch_deployment("soup").error
    assert error is not None
    assert error.code == "unknown-model"
    assert "owner/no-such-model" in error.message
    assert "Traceback" not in error.message, "what is explained needs no log"
    assert "server.log" in error.message


def test_a_start_that_takes_too_long_is_given_up(provider: Server, folder: Path) -> None:
    snapshot = provider.ask(folder, "soup", max_startup_seconds=0.2)
    assert eventually(lambda: provider.fetch_deployment("soup").status.is_terminal)
    failed = provider.fetch_deployment("soup")
    assert failed.error is not None
    assert failed.error.code == "startup-timeout"
    assert eventually(lambda: not processes_of(directory(snapshot)))


def test_weights_that_do_not_fill_the_model_fail_the_start(
    provider: Server, folder: Path, tmp_path: Path
) -> None:
    broken = shutil.copytree(folder, tmp_path / "broken")
    config = json.loads((broken / "config.json").read_text())
    (broken / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 3}))
    provider.ask(broken, "soup")
    assert eventually(lambda: provider.fetch_deployment("soup").status.is_terminal, patience=60)
    error = provider.fetch_deployment("soup").error
    assert error is not None
    assert error.code == "model-load-failed"
    assert "missing" in error.message


def test_an_interpreter_without_torch_says_what_it_lacks(folder: Path, tmp_path: Path) -> None:
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec "{sys.base_prefix}/bin/python3" -S "$@"\n')
    bare.chmod(0o755)
    provider = Server(tmp_path / "state", Settings(python=str(bare)))
    provider.ask(folder, "soup")
    assert eventually(lambda: provider.fetch_deployment("soup").status.is_terminal)
    error = provider.fetch_deployment("soup").error
    assert error is not None
    assert error.code == "missing-package"
    assert "torch" in error.message
    provider.delete_deployment("soup")


def test_a_taken_port_is_named_with_the_process_that_has_it(provider: Server, folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortInUseError, match=rf"Port {port} .* process {os.getpid()} "):
            provider.ask(folder, "soup", port=port)
    assert provider.list_deployments() == ()


def test_a_chosen_port_is_used(provider: Server, folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    snapshot = provider.ask(folder, "soup", port=port)
    assert eventually(
        lambda: (
            provider.fetch_deployment("soup").raw.get("port") == port
            and len(processes_of(directory(snapshot))) == 2
        )
    )
    with pytest.raises(PortInUseError):
        provider.ask(folder, "stew", port=port)


def test_settings_that_a_standing_deployment_does_not_have_are_never_dropped_in_silence(
    provider: Server, folder: Path
) -> None:
    first = provider.ask(folder, "soup", ttl=600, max_batch=2)
    assert provider.ask(folder, "soup", ttl=600, max_batch=2).created_at == first.created_at
    assert provider.ask(folder, "soup").created_at == first.created_at, "nothing else was asked for"
    for other in ({"ttl": 60}, {"max_batch": 3}):
        with pytest.raises(ConflictError, match="stands with `(ttl` 600|max_batch` 2)"):
            provider.ask(folder, "soup", **other)


def test_a_damaged_folder_is_refused_before_anything_starts(
    provider: Server, folder: Path, tmp_path: Path
) -> None:
    broken = shutil.copytree(folder, tmp_path / "broken")
    weights = broken / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(CorruptModelError, match="damaged"):
        provider.ask(broken, "soup")
    assert provider.list_deployments() == ()
    with pytest.raises(NotFoundError):
        provider.fetch_deployment("soup")


def test_a_home_that_cannot_be_written_is_named(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    provider = Server(tmp_path / "file")
    with pytest.raises(LocalRunError, match="cannot be written"):
        provider.ask(folder, "soup")
    assert provider.list_deployments() == ()


@pytest.mark.parametrize("name", ["", ".hidden", "../up", "a/b", "x" * 65])
def test_names_that_could_leave_the_folder_are_refused(
    provider: Server, folder: Path, name: str
) -> None:
    with pytest.raises(InvalidRequestError):
        provider.ask(folder, name)
    with pytest.raises(NotFoundError):
        provider.fetch_deployment(name)
    provider.delete_deployment(name)


def test_an_unknown_option_is_refused_with_the_nearest_name(provider: Server, folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"`thread`.*'threads'"):
        provider.ask(folder, "soup", thread=2)


def test_an_interpreter_that_is_not_there_is_named(folder: Path, tmp_path: Path) -> None:
    provider = Server(tmp_path / "state", Settings(python=str(tmp_path / "no-python")))
    with pytest.raises(ConfigError, match="no-python"):
        provider.ask(folder, "soup")
    assert provider.list_deployments() == ()

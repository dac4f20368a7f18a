from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cli_support import World, chat_server

from tunekit.cli.endpoints import converse
from tunekit.cli.exits import Exit
from tunekit.client import connect
from tunekit.providers.base import JobStatus


@pytest.fixture
def asked() -> list[dict[str, Any]]:
    return []


@pytest.fixture
def world(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: list[dict[str, Any]]
) -> Iterator[World]:
    made = World(tmp_path, monkeypatch)
    with chat_server() as (base_url, requests):
        made.serve_chat_at(base_url)
        made.requests = requests  # type: ignore[attr-defined]
        made.run_job()
        yield made


def _requests(world: World) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = world.requests  # type: ignore[attr-defined]
    return found


def test_deploy_waits_for_an_answer_and_says_how_to_talk_and_how_to_end(world: World) -> None:
    done = world.fake_call("deploy", "first", "--ttl", "1h")
    assert len(_requests(world)) == 1
    (name,) = world.fake.standing
    assert f"{name} is ready." in done.stdout
    assert world.fake.standing[name].base_url in done.stdout.split()
    assert f"tunekit chat {name} --provider fake" in done.stdout
    assert f"tunekit delete {name} --provider fake" in done.stdout
    assert "api_key" not in done.stdout


def test_the_key_is_shown_only_when_it_is_asked_for(world: World) -> None:
    hidden = json.loads(world.fake_call("deploy", "first", "--json").stdout)
    shown = json.loads(world.fake_call("deploy", "first", "--json", "--show-key").stdout)
    assert "api_key" not in hidden
    assert shown["api_key"] == "fake"
    assert shown["model_name"] == "tuned-job-0"


def test_deploy_detached_asks_nothing(world: World) -> None:
    world.fake_call("deploy", "job-0", "--name", "mine", "--detach")
    assert list(world.fake.standing) == ["mine"]
    assert _requests(world) == []


def test_deploy_takes_a_model_that_is_no_job(world: World) -> None:
    world.fake_call("deploy", "some-model", "--name", "mine")
    assert world.fake.standing["mine"].model.id == "some-model"


def test_deploy_refuses_a_job_that_has_no_model_yet(world: World) -> None:
    world.fake.script = [JobStatus.RUNNING]
    world.run_job("going", "--detach")
    done = world.fake_call("deploy", "going", code=Exit.FAILED)
    assert "no model yet" in done.stderr
    assert world.fake.standing == {}


def test_deploy_passes_the_providers_own_options(world: World) -> None:
    done = world.fake_call("deploy", "first", "--option", "sku=big", code=Exit.PROVIDER)
    assert "'sku'" in done.stderr
    taken = world.call("deploy", "first", "--provider", "fake", "--option", "ttl=1")
    assert taken.exit_code == Exit.USAGE


def test_deployments_lists_what_stands_with_its_url_whole(world: World) -> None:
    assert "Nothing stands." in world.fake_call("deployments").stdout
    world.fake_call("deploy", "first", "--name", "mine")
    lines = world.fake_call("deployments").stdout.splitlines()
    assert lines[0].split() == ["NAME", "STATUS", "CREATED", "ENDS", "$/H"]
    assert lines[1].split()[:2] == ["mine", "ready"]
    assert lines[1].split()[-2:] == ["never", "$0.00"]
    assert lines[2].split() == ["url", world.fake.standing["mine"].base_url]
    assert lines[3].split() == ["model", "tuned-job-0"]
    found = json.loads(world.fake_call("deployments", "--json").stdout)["deployments"]
    assert [one["name"] for one in found] == ["mine"]


def test_chat_gives_one_answer(world: World) -> None:
    world.fake_call("deploy", "first", "--name", "mine")
    assert world.fake_call("chat", "mine", "Hello there").stdout == "You said: Hello there\n"
    streamed = world.fake_call("chat", "mine", "Hello there", "--stream")
    assert streamed.stdout.split() == ["You", "said:", "Hello", "there"]
    assert [request["stream"] for request in _requests(world)[1:]] == [False, True]


def test_chat_passes_system_prompt_and_parameters(world: World) -> None:
    world.fake_call("deploy", "first", "--name", "mine")
    words = ("--system", "Be brief.", "--temperature", "0", "--max-tokens", "9", "--json")
    reply = json.loads(world.fake_call("chat", "mine", "Hi", *words).stdout)
    assert (reply["text"], reply["finish_reason"]) == ("You said: Hi", "stop")
    request = _requests(world)[-1]
    assert request["messages"][0] == {"role": "system", "content": "Be brief."}
    assert (request["temperature"], request["max_tokens"]) == (0, 9)


def test_chat_takes_the_prompt_from_a_pipe(world: World) -> None:
    world.fake_call("deploy", "first", "--name", "mine")
    assert "You said: piped" in world.fake_call("chat", "mine", stdin="piped\n").stdout
    empty = world.fake_call("chat", "mine", stdin="", code=Exit.USAGE)
    assert "stdin is empty" in empty.stderr


def test_chat_with_what_does_not_stand_is_not_found(world: World) -> None:
    world.fake_call("chat", "nobody", "Hi", code=Exit.NOT_FOUND)


def test_a_conversation_remembers_what_was_said_and_ends_with_the_input(world: World) -> None:
    world.fake_call("deploy", "first", "--name", "mine")
    lines = iter(["One", "", "Two"])

    def ask(prompt: str) -> str:
        try:
            return next(lines)
        except StopIteration:
            raise EOFError from None

    written: list[str] = []
    with connect(provider=world.fake) as client:
        deployment = client.deployment("mine")
        opening = [{"role": "system", "content": "Be kind."}]
        said = converse(deployment, opening, write=written.append, ask=ask)
        deployment.client.close()
    assert [message["role"] for message in said] == [
        "system",
        "user",
        "assistant",
        "user",
        "assistant",
    ]
    assert _requests(world)[-1]["messages"] == said[:-1]
    assert "".join(written).splitlines()[:2] == ["You said: One ", "You said: Two "]


def test_chat_without_a_prompt_is_a_conversation(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tunekit.cli.endpoints._somebody_is_here", lambda: True)
    world.fake_call("deploy", "first", "--name", "mine")
    done = world.fake_call("chat", "mine", stdin="One\nTwo\n")
    assert "You said: One" in done.stdout
    assert "You said: Two" in done.stdout
    assert "Ctrl-D ends" in done.stderr
    assert len(_requests(world)[-1]["messages"]) == 3
    world.fake_call("chat", "mine", "--json", code=Exit.USAGE)


@pytest.mark.parametrize(
    ("answer", "code", "deleted"), [("y\n", 0, 1), ("n\n", 130, 0), ("", 130, 0)]
)
def test_a_model_is_deleted_only_when_the_answer_is_yes(
    world: World, monkeypatch: pytest.MonkeyPatch, answer: str, code: int, deleted: int
) -> None:
    monkeypatch.setattr("tunekit.cli.endpoints._somebody_is_here", lambda: True)
    done = world.fake_call("delete", "--model", "first", stdin=answer, code=code)
    assert "'tuned-job-0'" in done.stderr
    assert world.fake.calls["delete_model"] == deleted


def test_delete_ends_a_deployment(world: World) -> None:
    world.fake_call("deploy", "first", "--name", "mine")
    assert "mine is deleted" in world.fake_call("delete", "mine").stdout
    assert world.fake.standing == {}
    world.fake_call("delete", "mine", code=Exit.NOT_FOUND)


def test_delete_of_a_model_asks_first_and_refuses_where_nobody_can_answer(world: World) -> None:
    done = world.fake_call("delete", "--model", "first", code=Exit.REFUSED)
    assert "--yes" in done.stderr
    assert world.fake.calls["delete_model"] == 0
    document = json.loads(world.fake_call("delete", "--model", "first", "-y", "--json").stdout)
    assert document == {"deleted": {"model": "tuned-job-0"}}
    assert world.fake.calls["delete_model"] == 1


def test_delete_needs_exactly_one_thing(world: World) -> None:
    assert world.call("delete").exit_code == Exit.USAGE
    assert world.call("delete", "a", "--model", "b").exit_code == Exit.USAGE

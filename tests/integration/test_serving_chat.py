"""One real server with a tiny model, spoken to by the official client."""

from __future__ import annotations

import json
import socket
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import openai
import pytest
from openai.types.chat import ChatCompletion
from serving_world import Server, make_adapter, make_model

from tunekit.providers.base import DeploymentSnapshot, Endpoint

pytestmark = pytest.mark.torch

MESSAGES: Any = [{"role": "user", "content": "What goes into a soup?"}]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Server:
    return Server(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def served(provider: Server, folder: Path) -> Iterator[tuple[DeploymentSnapshot, Endpoint]]:
    try:
        yield provider.up(folder, "soup", max_batch=8)
    finally:
        provider.delete_deployment("soup")


@pytest.fixture(scope="module")
def endpoint(served: tuple[DeploymentSnapshot, Endpoint]) -> Endpoint:
    return served[1]


@pytest.fixture(scope="module")
def client(endpoint: Endpoint) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(
        base_url=endpoint.base_url, api_key=endpoint.api_key.get_secret_value(), max_retries=0
    ) as client:
        yield client


def ask(client: openai.OpenAI, **parameters: Any) -> ChatCompletion:
    parameters = {"model": "soup", "messages": MESSAGES, "max_tokens": 20, **parameters}
    reply = client.chat.completions.create(**parameters)
    assert isinstance(reply, ChatCompletion)
    return reply


def said(client: openai.OpenAI, **parameters: Any) -> str:
    content = ask(client, **parameters).choices[0].message.content
    assert isinstance(content, str)
    return content


def streamed(client: openai.OpenAI, **parameters: Any) -> tuple[str, str | None, int]:
    """The text, the finish reason, and in how many pieces it came."""
    text, reason, pieces = "", None, 0
    parameters = {"model": "soup", "messages": MESSAGES, "max_tokens": 20, **parameters}
    for chunk in client.chat.completions.create(**parameters, stream=True):
        text += chunk.choices[0].delta.content or ""
        pieces += bool(chunk.choices[0].delta.content)
        reason = chunk.choices[0].finish_reason or reason
    return text, reason, pieces


def test_a_ready_deployment_says_what_it_serves(
    served: tuple[DeploymentSnapshot, Endpoint], folder: Path
) -> None:
    snapshot, endpoint = served
    assert snapshot.status == "ready"
    assert snapshot.model.id == str(folder)
    assert snapshot.model.system_prompt == "Be brief."
    assert snapshot.usd_per_hour == 0.0
    assert snapshot.expires_at is None
    assert snapshot.base_url == endpoint.base_url
    assert DeploymentSnapshot.model_validate_json(snapshot.model_dump_json()) == snapshot


def test_a_chat_call_is_answered_with_its_usage(client: openai.OpenAI) -> None:
    reply = ask(client, temperature=0)
    assert reply.model == "soup"
    assert reply.choices[0].message.role == "assistant"
    assert reply.choices[0].finish_reason in ("stop", "length")
    assert reply.usage is not None
    prompt = "<|start|>user\nWhat goes into a soup?<|end|>\n<|start|>assistant\n"
    bytes_and_specials = len(prompt.replace("<|start|>", "\0").replace("<|end|>", "\0").encode())
    assert reply.usage.prompt_tokens == bytes_and_specials
    assert 1 <= reply.usage.completion_tokens <= 20


def test_the_answer_is_that_of_the_model_itself(client: openai.OpenAI, folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    text = tokenizer.apply_chat_template(MESSAGES, add_generation_prompt=True, tokenize=False)
    inputs = tokenizer(text, add_special_tokens=False, return_tensors="pt")
    with torch.inference_mode():
        ids = model.generate(**inputs, do_sample=False, max_new_tokens=20)[0]
    expected = tokenizer.decode(ids[inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    assert said(client, temperature=0) == expected


def test_a_stream_gives_the_same_text_piece_by_piece(client: openai.OpenAI) -> None:
    whole = ask(client, seed=3, temperature=0.9).choices[0]
    text, reason, pieces = streamed(client, seed=3, temperature=0.9)
    assert text == whole.message.content
    assert reason == whole.finish_reason
    assert pieces > 1


def test_a_stream_ends_with_usage_when_it_is_asked_for(client: openai.OpenAI) -> None:
    chunks = list(
        client.chat.completions.create(
            model="soup",
            messages=MESSAGES,
            max_tokens=5,
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens <= 5


def test_the_folders_own_limit_holds_when_none_is_given(client: openai.OpenAI) -> None:
    usage = ask(client, max_tokens=None).usage
    assert usage is not None
    assert usage.completion_tokens <= 40


def test_without_a_temperature_the_folder_decides_and_it_says_greedy(
    client: openai.OpenAI,
) -> None:
    assert said(client) == said(client) == said(client, temperature=0)


def test_a_temperature_samples(client: openai.OpenAI) -> None:
    assert len({said(client, temperature=1.5) for _ in range(5)}) > 1


def test_a_seed_repeats_itself_whatever_else_is_going_on(client: openai.OpenAI) -> None:
    alone = said(client, temperature=1.2, seed=5)
    with ThreadPoolExecutor(8) as pool:
        crowd = [pool.submit(said, client, temperature=1.2, seed=seed) for seed in range(8)]
        texts = [future.result() for future in crowd]
    assert texts[5] == alone
    assert len(set(texts)) > 1


def test_callers_in_a_crowd_get_what_they_would_get_alone(client: openai.OpenAI) -> None:
    prompts: list[Any] = [[{"role": "user", "content": "soup " * n}] for n in range(1, 13)]
    alone = [said(client, messages=prompt, temperature=0) for prompt in prompts]
    with ThreadPoolExecutor(12) as pool:
        crowd = list(pool.map(lambda p: said(client, messages=p, temperature=0), prompts))
    assert crowd == alone


def test_a_latecomer_does_not_wait_for_a_long_answer(client: openai.OpenAI) -> None:
    long = {"max_tokens": 180, "temperature": 0, "logit_bias": {"2": -100}}
    alone = said(client, **long)
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(said, client, **long)
        time.sleep(0.05)
        said(client, max_tokens=2)
        assert not slow.done()
        assert slow.result() == alone


def test_text_before_a_stop_is_given_and_the_stop_is_not(client: openai.OpenAI) -> None:
    whole = said(client, temperature=0, max_tokens=30)
    stop = whole[3:5]
    expected = whole[: whole.index(stop)]
    reply = ask(client, temperature=0, max_tokens=30, stop=stop).choices[0]
    assert (reply.message.content, reply.finish_reason) == (expected, "stop")
    text, reason, _ = streamed(client, temperature=0, max_tokens=30, stop=[stop, "never"])
    assert (text, reason) == (expected, "stop")


def test_several_choices_differ(client: openai.OpenAI) -> None:
    reply = ask(client, n=3, temperature=1.5, seed=1)
    assert [choice.index for choice in reply.choices] == [0, 1, 2]
    assert len({choice.message.content for choice in reply.choices}) > 1


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({"logprobs": True}, "logprobs"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"temperature": 3}, "temperature"),
        ({"extra_body": {"frobnicate": 1}}, "frobnicate"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "forbidden", "content": "x"}]}, "messages"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(
    client: openai.OpenAI, parameters: dict[str, Any], named: str
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        ask(client, **parameters)
    assert caught.value.param == named


def test_messages_beyond_the_context_are_refused(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        ask(client, messages=[{"role": "user", "content": "soup " * 100}])
    assert caught.value.code == "context_length_exceeded"


def test_an_answer_ends_where_the_context_does(client: openai.OpenAI) -> None:
    reply = ask(client, max_tokens=100_000, logit_bias={"2": -100})
    assert reply.usage is not None
    assert reply.usage.total_tokens == 256
    assert reply.choices[0].finish_reason == "length"


def test_another_model_name_is_not_found(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        ask(client, model="stew")
    assert caught.value.code == "model_not_found"


@pytest.mark.parametrize("key", ["wrong", "", None])
def test_nothing_is_answered_without_the_key(endpoint: Endpoint, key: str | None) -> None:
    for path, body in (
        ("/v1/models", None),
        ("/v1/chat/completions", b"{}"),
        ("/tokenize", b"{}"),
    ):
        request = urllib.request.Request(  # noqa: S310 - our own server
            endpoint.base_url.removesuffix("/v1") + path, data=body
        )
        if key is not None:
            request.add_header("Authorization", f"Bearer {key}")
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(request)  # noqa: S310
        assert caught.value.code == 401
        caught.value.close()


def test_the_server_listens_on_loopback_only(endpoint: Endpoint) -> None:
    port = urlsplit(endpoint.base_url).port
    assert port is not None
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    local = [line.split()[1] for line in lines if line.split()[3] == "0A"]
    assert [address for address in local if int(address.rpartition(":")[2], 16) == port] == [
        f"0100007F:{port:04X}"
    ]


def test_the_models_list_and_health_answer(client: openai.OpenAI, endpoint: Endpoint) -> None:
    assert [model.id for model in client.models.list()] == ["soup"]
    assert client.models.retrieve("soup").id == "soup"
    url = endpoint.base_url.removesuffix("/v1") + "/health"
    with urllib.request.urlopen(url) as response:  # noqa: S310
        assert json.load(response) == {"status": "ok"}


def test_tokenize_shows_what_the_model_would_see(endpoint: Endpoint, folder: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    text = tokenizer.apply_chat_template(MESSAGES, add_generation_prompt=True, tokenize=False)
    request = urllib.request.Request(  # noqa: S310
        endpoint.base_url.removesuffix("/v1") + "/tokenize",
        data=json.dumps({"model": "soup", "messages": MESSAGES}).encode(),
        headers={"Authorization": f"Bearer {endpoint.api_key.get_secret_value()}"},
    )
    with urllib.request.urlopen(request) as response:  # noqa: S310
        shown = json.load(response)
    assert shown["tokens"] == tokenizer(text, add_special_tokens=False)["input_ids"]
    assert shown["count"] == len(shown["tokens"])


def test_the_key_stands_in_no_other_file_and_no_command_line(
    served: tuple[DeploymentSnapshot, Endpoint],
) -> None:
    snapshot, endpoint = served
    directory = Path(snapshot.raw["directory"])
    secret = endpoint.api_key.get_secret_value()
    assert directory.stat().st_mode & 0o777 == 0o700
    for file in directory.iterdir():
        if file.name == "api-key":
            assert file.stat().st_mode & 0o777 == 0o600
            assert file.read_text() == secret
        else:
            assert secret not in file.read_text(), file.name
    assert secret not in repr(endpoint) + repr(snapshot)
    for process in Path("/proc").glob("[0-9]*"):
        try:
            shown = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
        except OSError:
            continue
        assert secret.encode() not in shown


def test_a_caller_who_hangs_up_leaves_the_server_well(
    client: openai.OpenAI, endpoint: Endpoint
) -> None:
    stream = client.chat.completions.create(
        model="soup", messages=MESSAGES, max_tokens=150, stream=True, logit_bias={"2": -100}
    )
    next(iter(stream))
    stream.close()
    where = urlsplit(endpoint.base_url)
    with socket.create_connection((where.hostname, where.port)) as half:
        half.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: 100\r\n\r\n{")
    assert said(client, max_tokens=3) is not None


# peft 0.21 asks transformers 5.23 for a property that the latter has renamed.
@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")
def test_an_adapter_is_served_merged_and_its_folder_stays_as_it_was(
    provider: Server, folder: Path, tmp_path: Path
) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    adapter = make_adapter(tmp_path / "adapter", folder)
    before = sorted((path.name, path.stat().st_mtime_ns) for path in adapter.iterdir())
    tokenizer = AutoTokenizer.from_pretrained(folder)
    base = AutoModelForCausalLM.from_pretrained(folder)
    text = tokenizer.apply_chat_template(MESSAGES, add_generation_prompt=True, tokenize=False)
    inputs = tokenizer(text, add_special_tokens=False, return_tensors="pt")

    def greedy(model: Any) -> str:
        with torch.inference_mode():
            ids = model.generate(**inputs, do_sample=False, max_new_tokens=20)[0]
        decoded = tokenizer.decode(ids[inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        assert isinstance(decoded, str)
        return decoded

    plain = greedy(base)
    tuned = greedy(PeftModel.from_pretrained(base, adapter).merge_and_unload())
    assert tuned != plain
    try:
        _, endpoint = provider.up(adapter, "tuned-soup")
        key = endpoint.api_key.get_secret_value()
        with openai.OpenAI(base_url=endpoint.base_url, api_key=key) as client:
            assert said(client, model="tuned-soup", temperature=0) == tuned
    finally:
        provider.delete_deployment("tuned-soup")
    assert sorted((path.name, path.stat().st_mtime_ns) for path in adapter.iterdir()) == before

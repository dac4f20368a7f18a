"""Encodings of hosted models, where their files come from, and what counts in a row."""

from __future__ import annotations

import hashlib
import importlib
import os
import pickle
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typing_extensions import override

from helpers.vocabularies import FOLDER, vocabularies
from tunekit.data.tokens import encodings, fetching
from tunekit.data.tokens.batches import LONGEST_BLANK, token_lengths
from tunekit.data.tokens.counting import RowTokens, TokenCounter
from tunekit.data.tokens.encodings import (
    FILES,
    VocabularyFile,
    base_model,
    encoding_name,
    load_encoding,
)
from tunekit.data.tokens.hosted import HostedCounter, hosted_counter
from tunekit.data.tokens.rules import follows_guide
from tunekit.errors import DataError, TokenizerUnavailableError, UnknownModelError

pytestmark = pytest.mark.usefixtures(vocabularies.__name__)


# Which encoding a model has.


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("gpt-4o", "o200k_base"),
        ("gpt-4o-mini-2024-07-18", "o200k_base"),
        ("gpt-4.1", "o200k_base"),
        ("gpt-4.1-nano-2025-04-14", "o200k_base"),
        ("gpt-4.5", "o200k_base"),
        ("gpt-5-mini", "o200k_base"),
        ("o1-mini", "o200k_base"),
        ("o3", "o200k_base"),
        ("o4-mini-2025-04-16", "o200k_base"),
        ("gpt-oss-20b", "o200k_harmony"),
        ("gpt-4", "cl100k_base"),
        ("gpt-4-0613", "cl100k_base"),
        ("gpt-3.5-turbo-0125", "cl100k_base"),
        ("gpt-35-turbo-0613", "cl100k_base"),
        ("ft:gpt-4o-mini-2024-07-18:acme:recipes:AbC123", "o200k_base"),
        ("ft:gpt-4.1-mini-2025-04-14:acme::AbC123:ckpt-step-101", "o200k_base"),
        ("ft:gpt-3.5-turbo-0125:acme::x", "cl100k_base"),
        ("gpt-4o-mini-2024-07-18.ft-0e3aa3f2e81e49a5b8b96166ea214626", "o200k_base"),
        ("gpt-35-turbo-0613.ft-b044a9d3:ckpt-step-90", "cl100k_base"),
    ],
)
def test_a_model_or_a_model_tuned_from_it_has_a_known_encoding(model: str, name: str) -> None:
    assert encoding_name(model) == name


@pytest.mark.parametrize(
    ("model", "near"),
    [
        ("gtp-4o", "'gpt-4o'"),
        ("gpt4.1-mini", "'gpt-4.1-mini'"),
        ("ft:gpt4o-mini:acme::x", "'gpt-4o-mini'"),
        ("Qwen/Qwen3-0.6B", "Known: "),
        ("davinci", "'davinci-002'"),  # its vocabulary is of models that nobody can tune now
        ("", "Known: "),
    ],
)
def test_an_unknown_model_is_refused_and_the_nearest_is_named(model: str, near: str) -> None:
    with pytest.raises(UnknownModelError) as caught:
        encoding_name(model)
    assert repr(model) in caught.value.message
    assert near in caught.value.next_step


def test_the_base_of_a_tuned_model_is_in_its_name() -> None:
    assert base_model("ft:gpt-4.1:acme:x:1") == "gpt-4.1"
    assert base_model("gpt-4.1.ft-00ff") == "gpt-4.1"
    assert base_model("gpt-4.1") == "gpt-4.1"


# Where a vocabulary comes from.


def test_files_and_hashes_are_those_that_tiktoken_itself_expects(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    openai_public = importlib.import_module("tiktoken_ext.openai_public")

    asked: list[VocabularyFile] = []

    def load(url: str, expected_hash: str) -> dict[bytes, int]:
        asked.append(VocabularyFile(url, expected_hash))
        return {}

    monkeypatch.setattr(openai_public, "load_tiktoken_bpe", load)
    for name, file in FILES.items():
        openai_public.ENCODING_CONSTRUCTORS[name]()
        assert asked.pop() == file


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No vocabulary in any place, no network; give the folder of tunekit's own cache."""
    load_encoding.cache_clear()
    monkeypatch.delenv("TIKTOKEN_CACHE_DIR")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(encodings, "own_cache", lambda: tmp_path / "cache")
    return tmp_path / "cache"


def put(folder: Path, name: str = "o200k_base") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copy(FOLDER / FILES[name].name, folder))


@pytest.mark.parametrize("place", ["TIKTOKEN_CACHE_DIR", "DATA_GYM_CACHE_DIR", "temporary", "own"])
def test_a_vocabulary_is_found_in_each_of_four_places(
    place: str, nowhere: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = {"temporary": tmp_path / "temporary" / "data-gym-cache", "own": nowhere}.get(
        place, tmp_path / "named"
    )
    put(folder)
    if place.isupper():
        monkeypatch.setenv(place, str(folder))
    before = dict(os.environ)
    assert load_encoding("o200k_base").encode_ordinary("Hello") == [13225]
    assert dict(os.environ) == before


def test_without_a_network_the_missing_file_is_named_with_all_places(
    nowhere: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATA_GYM_CACHE_DIR", str(tmp_path / "gym"))
    with pytest.raises(TokenizerUnavailableError) as caught:
        load_encoding("cl100k_base")
    assert isinstance(caught.value, DataError)
    said = str(caught.value)
    assert "TUNEKIT_OFFLINE" in said
    for place in (tmp_path / "gym", tmp_path / "temporary" / "data-gym-cache", nowhere):
        assert str(place) in said
    assert "9b5ad71b2ce5302211f9c61530b329a4922fc6a4" in caught.value.next_step
    assert FILES["cl100k_base"].url in caught.value.next_step


def test_a_file_with_other_content_is_passed_over_and_left_alone(nowhere: Path) -> None:
    damaged = put(nowhere)
    damaged.write_bytes(damaged.read_bytes()[:-10])
    with pytest.raises(TokenizerUnavailableError, match="with the expected content"):
        load_encoding("o200k_base")
    assert damaged.exists()


@pytest.mark.parametrize(
    ("variable", "value", "forbidden"),
    [
        ("TUNEKIT_OFFLINE", "1", True),
        ("HF_HUB_OFFLINE", "true", True),
        ("HF_HUB_OFFLINE", "0", False),
        ("TUNEKIT_OFFLINE", "", False),
    ],
)
def test_either_variable_forbids_fetching(
    variable: str, value: str, forbidden: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TUNEKIT_OFFLINE")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv(variable, value)
    assert (encodings.forbidden_by() == variable) is forbidden


@contextmanager
def file_server(content: bytes, status: int = 200) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        @override
        def log_message(self, format: str, *args: Any) -> None:
            pass

        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/o200k_base.tiktoken"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def online(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("TUNEKIT_OFFLINE")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return nowhere


def test_a_fetched_vocabulary_is_kept_in_our_cache_under_tiktokens_name(
    online: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = FILES["o200k_base"]
    with file_server((FOLDER / file.name).read_bytes()) as url:
        monkeypatch.setattr(encodings, "fetch", lambda _: fetching.fetch(url))
        assert load_encoding("o200k_base").encode_ordinary("Hello") == [13225]
    assert [path.name for path in online.iterdir()] == [file.name]
    load_encoding.cache_clear()
    assert load_encoding("o200k_base").name == "o200k_base"


@pytest.mark.parametrize(
    ("content", "status", "why"),
    [(b"<html>", 200, "is not the expected file"), (b"", 404, "HTTP 404")],
)
def test_an_answer_that_is_not_the_file_is_not_kept(
    content: bytes, status: int, why: str, online: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with file_server(content, status) as url:
        monkeypatch.setattr(encodings, "fetch", lambda _: fetching.fetch(url))
        with pytest.raises(TokenizerUnavailableError, match=why):
            load_encoding("o200k_base")
    assert not online.exists() or not list(online.iterdir())


def test_a_host_that_refuses_is_an_error_with_the_way_out(
    online: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with file_server(b"") as url:
        closed = url
    monkeypatch.setattr(encodings, "fetch", lambda _: fetching.fetch(closed))
    with pytest.raises(TokenizerUnavailableError, match="could not be fetched") as caught:
        load_encoding("o200k_base")
    assert str(online) in caught.value.next_step


def test_an_answer_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(fetching, "LARGEST", 1000)
    with file_server(b"x" * 100_000) as url, pytest.raises(fetching.FetchError, match="too large"):
        fetching.fetch(url)


def test_the_name_in_the_cache_is_the_hash_of_the_address() -> None:
    for file in FILES.values():
        assert file.name == hashlib.sha1(file.url.encode(), usedforsecurity=False).hexdigest()


# Many texts at once.

texts = st.lists(
    st.one_of(
        st.text(max_size=30),
        st.sampled_from(["<|endoftext|>", "a<|endoftext|>b", "<|endofprompt|>", " ", "\n\n", ""]),
        st.text(alphabet=st.characters(min_codepoint=0xD7F0, max_codepoint=0xE010), max_size=3),
    ),
    max_size=20,
)


@pytest.mark.parametrize("encoding", ["o200k_base", "cl100k_base"])
def test_texts_counted_together_have_the_tokens_they_have_alone(encoding: str) -> None:
    loaded = load_encoding(encoding)

    @given(texts, st.integers(1, 4))
    @settings(max_examples=200, deadline=None)
    def holds(some: list[str], threads: int) -> None:
        alone = [len(loaded.encode_ordinary(text)) for text in some]
        assert token_lengths(loaded, some, threads=threads) == alone

    holds()


def test_long_and_short_texts_keep_their_order_on_several_threads() -> None:
    loaded = load_encoding("o200k_base")
    some = [f"{number} " + "word " * (number % 7) * 3000 for number in range(60)]
    alone = [len(loaded.encode_ordinary(text)) for text in some]
    assert token_lengths(loaded, some, threads=3) == alone


def test_a_text_of_nothing_but_blanks_is_counted_however_long_it_is() -> None:
    loaded = load_encoding("o200k_base")
    (counted,) = token_lengths(loaded, [" " * (12 * LONGEST_BLANK) + "end"])
    assert counted == pytest.approx(1.2e6 / 128, rel=0.01)


# What counts in a row.


def count(row: dict[str, Any], **options: Any) -> RowTokens:
    (found,) = HostedCounter("o200k_base", **options).count([row])
    assert found is not None
    return found


def length(text: str) -> int:
    return len(load_encoding("o200k_base").encode_ordinary(text))


def chat(*messages: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"messages": list(messages), **more}


USER = {"role": "user", "content": "What is the capital of Norway?"}
ANSWER = {"role": "assistant", "content": "It is Oslo."}


def guide_total(row: dict[str, Any]) -> int:
    """The published rule, written down a second time."""
    total = 3
    for message in row["messages"]:
        total += 3 + sum(length(value) for value in message.values()) + ("name" in message)
    return total


messages_of_text = st.fixed_dictionaries(
    {"role": st.sampled_from(["system", "user", "assistant"]), "content": st.text(max_size=40)},
    optional={"name": st.text(max_size=8)},
)


def test_chats_of_text_count_by_the_published_rule() -> None:
    @given(st.lists(messages_of_text, min_size=1, max_size=6))
    @settings(max_examples=100, deadline=None)
    def holds(messages: list[dict[str, str]]) -> None:
        row = chat(*messages)
        assert follows_guide(row)
        assert count(row).total == guide_total(row)
        said = [m["content"] for m in messages if m["role"] == "assistant"]
        assert count(row).trained == sum(length(text) for text in said)

    holds()


def test_a_name_costs_one_token_more_than_its_text() -> None:
    named = {**USER, "name": "ada"}
    assert count(chat(named, ANSWER)).total == count(chat(USER, ANSWER)).total + 1 + length("ada")


def test_what_only_looks_like_a_special_token_is_text() -> None:
    content = "<|endoftext|><|im_start|><|endofprompt|>"
    found = count(chat(USER, {"role": "assistant", "content": content}))
    assert found.trained == length(content) > 3


def test_a_message_of_weight_0_is_read_and_not_trained_on() -> None:
    plain = count(chat(USER, ANSWER, USER, ANSWER))
    silent = count(chat(USER, {**ANSWER, "weight": 0}, USER, {**ANSWER, "weight": 1}))
    assert silent.total == plain.total
    assert silent.trained == plain.trained // 2 == length(ANSWER["content"])
    assert silent.untrained_start is not None
    assert plain.untrained_start is not None
    assert silent.untrained_start > plain.untrained_start


def test_a_call_counts_its_name_and_arguments_and_is_trained_on() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "rain", "arguments": '{"in":1}'}}
    called = chat(USER, {"role": "assistant", "content": None, "tool_calls": [call]})
    said = 3 + length("rain") + length('{"in":1}')
    assert count(called).trained == said
    older = chat(USER, {"role": "assistant", "function_call": call["function"]})
    assert count(older) == count(called)
    assert not follows_guide(called)


def test_definitions_of_tools_count_as_their_json() -> None:
    tools = [{"type": "function", "function": {"name": "rain", "parameters": {"type": "object"}}}]
    more = count(chat(USER, ANSWER, tools=tools)).total - count(chat(USER, ANSWER)).total
    text = '[{"type":"function","function":{"name":"rain","parameters":{"type":"object"}}}]'
    assert more == length(text)


@pytest.mark.parametrize(("detail", "tokens"), [("low", 85), ("high", 765), (None, 765)])
def test_an_image_counts_by_its_detail(detail: str | None, tokens: int) -> None:
    image = {"url": "https://example.org/a.png"} | ({"detail": detail} if detail else {})
    parts = [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": image}]
    with_image = count(chat({"role": "user", "content": parts}, ANSWER))
    without = count(chat({"role": "user", "content": "What is it?"}, ANSWER))
    assert with_image.total - without.total == tokens


def test_a_preference_is_two_conversations_and_both_outputs_are_trained_on() -> None:
    other = {"role": "assistant", "content": "No idea at all, sorry."}
    row = {
        "input": {"messages": [USER]},
        "preferred_output": [ANSWER],
        "non_preferred_output": [other],
    }
    both = [count(chat(USER, answer)) for answer in (ANSWER, other)]
    found = count(row)
    assert found.total == sum(one.total for one in both)
    assert found.trained == sum(one.trained for one in both)
    assert found.length == max(one.total for one in both)


def test_a_reinforcement_prompt_trains_on_none_of_its_tokens() -> None:
    row = chat(USER, ANSWER, USER)
    assert count(row, method="reinforcement").trained == 0
    assert count(row, method="reinforcement").total == count(row).total


def test_prompt_completion_and_text_count_as_they_are() -> None:
    found = count({"prompt": "One two", "completion": " three"})
    assert (found.total, found.trained) == (length("One two") + length(" three"), length(" three"))
    assert count({"text": "One two three"}) == RowTokens(3, 3, None, 0)
    turns = count({"prompt": [USER], "completion": [ANSWER]})
    assert turns == count(chat(USER, ANSWER))


@pytest.mark.parametrize(
    "row",
    [
        {},
        {"messages": None},
        {"messages": "hello"},
        {"messages": [1]},
        {"messages": [{"content": "no role"}]},
        {"messages": [{"role": "user", "content": 7}]},
        {"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]},
        {"messages": [{"role": "assistant", "tool_calls": [{"id": "x"}]}]},
        {"messages": [{"role": "assistant", "tool_calls": "x"}]},
        {"input": [], "preferred_output": [], "non_preferred_output": []},
        {"prompt": "x", "completion": []},
        {"text": 1},
    ],
)
def test_a_row_without_its_kinds_shape_is_not_counted(row: dict[str, Any]) -> None:
    good = chat(USER, ANSWER)
    assert HostedCounter("o200k_base").count([good, row, good]) == [count(good), None, count(good)]


KEYS = """
messages input preferred_output non_preferred_output prompt completion text tools functions role
content name weight tool_calls function_call function arguments type image_url
"""
keys = st.sampled_from(KEYS.split())
plain_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(keys, plain_json, max_size=5), st.lists(plain_json, max_size=3))
@settings(max_examples=300, deadline=None)
def test_no_row_whatever_it_holds_raises(row: dict[str, Any], messages: list[Any]) -> None:
    rows = [row, {**row, "messages": messages}, {**row, "messages": [{"role": "user", **row}]}]
    found = HostedCounter("o200k_base").count(rows)
    assert len(found) == 3
    for one in found:
        assert one is None or 0 <= one.trained <= one.total


def test_the_counter_is_never_called_exact_and_crosses_processes() -> None:
    counter = hosted_counter("gpt-4o-mini", method="dpo")
    assert isinstance(counter, TokenCounter)
    assert not counter.exact
    again = pickle.loads(pickle.dumps(counter))  # noqa: S301
    row = chat(USER, ANSWER)
    assert (again.name, again.method) == ("o200k_base", "dpo")
    assert again.count([row]) == counter.count([row])
    assert counter.count([]) == []

"""What a chat request may hold; nothing here needs torch."""

from __future__ import annotations

from typing import Any

import pytest

from tunekit.providers.local.server.request import BadRequestError, read_chat

MINIMAL: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


def read(**fields: Any) -> Any:
    return read_chat({**MINIMAL, **fields}, model="m")


def fault(**fields: Any) -> BadRequestError:
    with pytest.raises(BadRequestError) as caught:
        read(**fields)
    return caught.value


def test_what_is_not_given_is_left_to_the_model() -> None:
    request = read()
    assert request.temperature is request.top_p is request.top_k is request.max_tokens is None
    assert (request.n, request.stop, request.stream, request.seed) == (1, (), False, None)


def test_null_means_not_given() -> None:
    assert read(temperature=None, stop=None, tools=None, frobnicate=None) == read()


def test_fields_without_effect_are_accepted() -> None:
    assert read(user="u", metadata={}, store=False, service_tier="auto") == read()
    assert read(logprobs=False, response_format={"type": "text"}) == read()


def test_text_parts_are_joined_and_anything_else_is_refused() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    assert read(messages=[{"role": "user", "content": parts}]).messages[0]["content"] == "ab"
    image = [{"type": "image_url", "image_url": {"url": "data:"}}]
    assert fault(messages=[{"role": "user", "content": image}]).param == "messages[0].content[0]"


def test_arguments_of_earlier_calls_reach_the_template_decoded() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}
    body = {"role": "assistant", "content": None, "tool_calls": [call]}
    (message,) = read(messages=[body]).messages
    assert message["tool_calls"][0]["function"]["arguments"] == {"x": 1}
    assert message["content"] == ""
    assert call["function"]["arguments"] == '{"x": 1}', "the caller's own object stays as it was"  # type: ignore[index]


def test_either_name_of_the_limit_is_read_but_not_two_different_ones() -> None:
    assert read(max_tokens=5).max_tokens == read(max_completion_tokens=5).max_tokens == 5
    assert fault(max_tokens=5, max_completion_tokens=6).param == "max_tokens"


def test_tools_are_dropped_when_the_choice_is_none_and_only_then() -> None:
    tool = {"type": "function", "function": {"name": "f"}}
    assert read(tools=[tool], tool_choice="none").tools is None
    assert read(tools=[tool], tool_choice="auto").tools == [tool]
    assert fault(tools=[tool], tool_choice="required").param == "tool_choice"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", -0.1),
        ("temperature", 2.1),
        ("temperature", "hot"),
        ("temperature", True),
        ("top_p", 0),
        ("top_p", 1.5),
        ("top_k", 0),
        ("max_tokens", 0),
        ("max_tokens", 1.5),
        ("n", 0),
        ("n", 99),
        ("stop", ["a"] * 5),
        ("stop", [""]),
        ("stop", [1]),
        ("seed", "x"),
        ("logit_bias", {"x": 1}),
        ("logit_bias", {"1": 101}),
        ("frequency_penalty", 3),
        ("messages", "hi"),
        ("messages", []),
        ("messages", ["hi"]),
        ("stream", "yes"),
        ("logprobs", True),
        ("top_logprobs", 2),
        ("response_format", {"type": "json_schema"}),
        ("audio", {}),
        ("frobnicate", 1),
    ],
)
def test_a_bad_or_unknown_field_is_named(name: str, value: Any) -> None:
    error = fault(**{name: value})
    assert error.status == 400
    assert str(error.param).startswith(name)


def test_another_model_is_not_found() -> None:
    assert (fault(model="other").status, fault(model=None).status) == (404, 404)


@pytest.mark.parametrize("body", [[], "x", None, 1])
def test_a_body_must_be_an_object(body: Any) -> None:
    with pytest.raises(BadRequestError):
        read_chat(body, model="m")

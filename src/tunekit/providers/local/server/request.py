"""Reads an OpenAI chat request. What the server cannot do is refused, never dropped in silence.

Field names and bounds are those of `POST /chat/completions` (official OpenAPI document of
2026-08-21); `top_k`, `repetition_penalty` and `chat_template_kwargs` are the usual extensions of
open servers. Needs only the standard library.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tunekit.providers.local.chat import ChatContentError, template_messages

MAX_CHOICES = 16
MAX_STOPS = 4

# Accepted because they change nothing in the answer of a server of one's own.
_WITHOUT_EFFECT = frozenset(
    (
        "metadata",
        "parallel_tool_calls",
        "prompt_cache_key",
        "prompt_cache_retention",
        "safety_identifier",
        "service_tier",
        "store",
        "user",
    )
)


class BadRequestError(Exception):
    """The request is refused.

    Attributes:
        status: HTTP status.
        param: The field at fault, if it is one.
        code: OpenAI's word for the fault.
    """

    def __init__(
        self, message: str, *, param: str | None = None, code: str | None = None, status: int = 400
    ) -> None:
        super().__init__(message)
        self.status = status
        self.param = param
        self.code = code


@dataclass(slots=True)
class ChatRequest:
    """A chat request whose every field is known to be good. None means: the model's own default."""

    messages: list[dict[str, Any]]
    tools: list[dict[str, Any]] | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    n: int = 1
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    repetition_penalty: float | None = None
    logit_bias: dict[int, float] = field(default_factory=dict)
    stream: bool = False
    include_usage: bool = False
    template_arguments: dict[str, Any] = field(default_factory=dict)


class _Fields:
    """The fields of a body, each taken out once, so that what is left over is unknown."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        self.rest = {name: value for name, value in body.items() if value is not None}

    def take(self, name: str, *kinds: type) -> Any:
        value = self.rest.pop(name, None)
        if value is None:
            return None
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            wanted = " or ".join(kind.__name__ for kind in kinds)
            raise BadRequestError(f"`{name}` must be {wanted}, not {value!r}.", param=name)
        return value

    def number(self, name: str, low: float, high: float, *, above: bool = False) -> float | None:
        value = self.take(name, int, float)
        if value is None:
            return None
        if not low <= value <= high or (above and value == low):
            bound = "above" if above else "from"
            raise BadRequestError(
                f"`{name}` must be {bound} {low:g} to {high:g}, not {value!r}.", param=name
            )
        return float(value)

    def whole(self, name: str, low: int, high: int) -> int | None:
        value = self.take(name, int)
        if value is not None and not low <= value <= high:
            raise BadRequestError(
                f"`{name}` must be from {low} to {high}, not {value!r}.", param=name
            )
        return value  # type: ignore[no-any-return]


def read_chat(body: Any, *, model: str) -> ChatRequest:
    """Read and check the JSON body of a chat call.

    Args:
        body: The decoded JSON.
        model: The only name that is answered to.

    Raises:
        BadRequestError: Something in it is wrong, unknown, or cannot be done here.
    """
    if not isinstance(body, dict):
        raise BadRequestError("The body must be a JSON object.")
    fields = _Fields(body)
    check_model(fields.take("model", str), model)
    request = ChatRequest(
        messages=read_messages(fields.take("messages", list)),
        tools=_tools(fields),
        temperature=fields.number("temperature", 0, 2),
        top_p=fields.number("top_p", 0, 1, above=True),
        top_k=fields.whole("top_k", 1, 2**31),
        max_tokens=_max_tokens(fields),
        stop=_stop(fields),
        seed=fields.whole("seed", -(2**63), 2**63 - 1),
        n=fields.whole("n", 1, MAX_CHOICES) or 1,
        frequency_penalty=fields.number("frequency_penalty", -2, 2) or 0.0,
        presence_penalty=fields.number("presence_penalty", -2, 2) or 0.0,
        repetition_penalty=fields.number("repetition_penalty", 0, 10, above=True),
        logit_bias=_logit_bias(fields),
        stream=bool(fields.take("stream", bool)),
        include_usage=bool((fields.take("stream_options", dict) or {}).get("include_usage")),
        template_arguments=fields.take("chat_template_kwargs", dict) or {},
    )
    _refuse_the_rest(fields)
    return request


def check_model(named: str | None, model: str) -> None:
    """Refuse a call for another model.

    Raises:
        BadRequestError: With HTTP status 404, as OpenAI does.
    """
    if named != model:
        raise BadRequestError(
            f"This server answers to the model {model!r}, not {named!r}.",
            param="model",
            code="model_not_found",
            status=404,
        )


def read_messages(messages: Any) -> list[dict[str, Any]]:
    """Check messages and bring them into the very form that rows are trained in.

    Raises:
        BadRequestError: There is none, or one is malformed or holds more than text.
    """
    if not isinstance(messages, list) or not messages:
        raise BadRequestError(
            "`messages` must be a list of at least one message.", param="messages"
        )
    for index, message in enumerate(messages):
        _check_message(message, f"messages[{index}]")
    try:
        return template_messages(messages)
    except ChatContentError as error:
        raise BadRequestError(
            f"`{error.path}` holds something other than text, which this server cannot read.",
            param=error.path,
        ) from None


def _check_message(message: Any, where: str) -> None:
    if not isinstance(message, dict) or not isinstance(message.get("role"), str):
        raise BadRequestError(f"`{where}` must be an object with a `role`.", param=where)
    if not isinstance(message.get("content"), str | list | None):
        raise BadRequestError(f"`{where}.content` must be text.", param=f"{where}.content")
    for index, call in enumerate(message.get("tool_calls") or ()):
        try:
            arguments = call["function"]["arguments"]
            if isinstance(arguments, str):
                json.loads(arguments)
        except (KeyError, TypeError, ValueError):
            raise BadRequestError(
                f"`{where}.tool_calls[{index}]` must hold a function with JSON arguments.",
                param=f"{where}.tool_calls",
            ) from None


def _tools(fields: _Fields) -> list[dict[str, Any]] | None:
    tools: list[dict[str, Any]] | None = fields.take("tools", list)
    choice = fields.take("tool_choice", str, dict)
    if choice not in (None, "auto", "none"):
        raise BadRequestError(
            f"`tool_choice` can be 'auto' or 'none' here, not {choice!r}.", param="tool_choice"
        )
    return None if choice == "none" else tools or None


def _max_tokens(fields: _Fields) -> int | None:
    older = fields.whole("max_tokens", 1, 2**31)
    newer = fields.whole("max_completion_tokens", 1, 2**31)
    if older is not None and newer is not None and older != newer:
        raise BadRequestError(
            "`max_tokens` and `max_completion_tokens` contradict each other.", param="max_tokens"
        )
    return older if newer is None else newer


def _stop(fields: _Fields) -> tuple[str, ...]:
    stop = fields.take("stop", str, list)
    if stop is None:
        return ()
    stops = [stop] if isinstance(stop, str) else stop
    if len(stops) > MAX_STOPS or not all(isinstance(text, str) and text for text in stops):
        raise BadRequestError(
            f"`stop` must be a text or a list of up to {MAX_STOPS} of them.", param="stop"
        )
    return tuple(stops)


def _logit_bias(fields: _Fields) -> dict[int, float]:
    bias = fields.take("logit_bias", dict) or {}
    try:
        made = {int(token): float(value) for token, value in bias.items()}
    except (TypeError, ValueError):
        made = {-1: 0.0}
    if any(token < 0 or not -100 <= value <= 100 for token, value in made.items()):
        raise BadRequestError(
            "`logit_bias` must map token ids to numbers from -100 to 100.", param="logit_bias"
        )
    return made


def _refuse_the_rest(fields: _Fields) -> None:
    form = fields.take("response_format", dict)
    if form is not None and form.get("type") != "text":
        raise BadRequestError(
            f"`response_format` {form.get('type')!r} is not supported by the local server.",
            param="response_format",
            code="unsupported_parameter",
        )
    if fields.take("logprobs", bool):
        fields.rest["logprobs"] = True
    for name in fields.rest:
        if name not in _WITHOUT_EFFECT:
            raise BadRequestError(
                f"`{name}` is not supported by the local server.",
                param=name,
                code="unsupported_parameter",
            )

"""From a row to token ids and the loss mask that goes with them.

The mask says for each token whether the model is trained to produce it. It is never guessed: where
the answers of a conversation cannot be told apart from the rest with certainty, a `MaskError` says
so, because a wrong mask trains a model on its users' questions and shows nowhere.

Free of torch; needs a `transformers` tokenizer and the standard library.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tunekit.providers.local.chat import ChatContentError, template_messages, template_tools

LossOn = Literal["assistant", "all"]
Span = tuple[int, int]

_MARKER = re.compile(r"\{%-?\s*generation\s*-?%\}")


class MaskError(ValueError):
    """A row cannot be turned into tokens with a sure mask.

    Attributes:
        code: Stable, kebab-case name.
        path: Where in the row.
    """

    def __init__(self, code: str, message: str, *, path: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.path = path


@dataclass(frozen=True, slots=True)
class Encoded:
    """A row as the model sees it: ids, and 1 for each token that is trained on."""

    input_ids: list[int]
    mask: list[int]

    @property
    def trained(self) -> int:
        """How many tokens are trained on."""
        return sum(self.mask)


def has_markers(template: str | None) -> bool:
    """Whether a chat template marks what the model says with `{% generation %}`."""
    return bool(template and _MARKER.search(template))


class RowEncoder:
    """Encodes the rows of one training with one tokenizer.

    Args:
        tokenizer: A `transformers` tokenizer, with its chat template if there is one.
        loss_on: `assistant` trains on answers only, `all` on the whole text of a conversation.
    """

    def __init__(self, tokenizer: Any, *, loss_on: LossOn = "assistant") -> None:
        self.tokenizer = tokenizer
        self.loss_on = loss_on
        self.template: str | None = _text_of(tokenizer.chat_template)
        self.by_markers = has_markers(self.template) and bool(getattr(tokenizer, "is_fast", False))

    def encode(self, row: Mapping[str, Any]) -> Encoded:
        """Encode one row of any supervised form.

        Raises:
            MaskError: The row has no supervised form, needs a template that is not there, or its
                answers cannot be told from the rest.
        """
        try:
            if "messages" in row:
                return self._conversation(row["messages"], template_tools(row))
            if "prompt" in row and "completion" in row:
                return self._prompt_completion(row)
            if isinstance(row.get("text"), str):
                ids = self._ids(row["text"], special=True)
                ids = self._ended(ids)
                return Encoded(ids, [1] * len(ids))
        except ChatContentError as error:
            raise MaskError("image-in-text-model", str(error), path=error.path) from error
        raise MaskError(
            "unknown-row-form", "The row has neither messages, nor prompt and completion, nor text."
        )

    def _prompt_completion(self, row: Mapping[str, Any]) -> Encoded:
        prompt, completion = row["prompt"], row["completion"]
        if isinstance(prompt, list) and isinstance(completion, list):
            silent = [{**message, "weight": 0} for message in prompt]
            return self._conversation([*silent, *completion], template_tools(row))
        # Tokenised apart, because at inference the prompt comes alone too: a token that would span
        # both could never be what the model is asked to go on from.
        before = self._ids(str(prompt), special=True)
        end = self.tokenizer.eos_token_id
        if before and before[-1] == end and not str(prompt).endswith(self.tokenizer.eos_token):
            before = before[:-1]  # a tokenizer that ends every text by itself
        after = self._ended(self._ids(str(completion), special=False))
        return Encoded(before + after, [0] * len(before) + [1] * len(after))

    def _conversation(
        self, messages: Sequence[Mapping[str, Any]], tools: list[Any] | None
    ) -> Encoded:
        if self.template is None:
            raise MaskError(
                "no-chat-template",
                "The model has no chat template, so a conversation cannot be turned into text. Set"
                " `options.trl.chat_template` to the template of the model family, or train on"
                " prompt/completion rows.",
            )
        turned = template_messages(messages)
        if self.loss_on == "all":
            ids = self._ids(self._render(turned, tools))
            return Encoded(ids, [1] * len(ids))
        weights = [
            0 if message.get("weight") == 0 else 1
            for message in messages
            if message.get("role") == "assistant"
        ]
        if self.by_markers:
            return self._by_markers(turned, tools, weights)
        return self._by_prefixes(turned, tools, weights)

    def _by_markers(
        self, messages: list[dict[str, Any]], tools: list[Any] | None, weights: list[int]
    ) -> Encoded:
        text, spans = self._render_with_spans(messages, tools)
        said = [message for message in messages if message.get("role") == "assistant"]
        if len(spans) != len(said):
            raise MaskError(
                "markers-do-not-match",
                f"The template marks {len(spans)} passages as generated for {len(said)} assistant"
                " messages, so it cannot be told which is which. Put one"
                " {% generation %} … {% endgeneration %} around each assistant message.",
            )
        for message, (start, end) in zip(said, spans, strict=True):
            content = message.get("content")
            if isinstance(content, str) and content.strip() not in text[start:end]:
                raise MaskError(
                    "markers-do-not-match",
                    "A passage that the template marks as generated does not hold the assistant's"
                    " text. Set the {% generation %} markers directly around it, outside any"
                    " macro.",
                )
        encoded = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        ids = list(encoded["input_ids"])
        wanted = [span for span, weight in zip(spans, weights, strict=True) if weight]
        return Encoded(ids, _mask_of(encoded["offset_mapping"], wanted))

    def _by_prefixes(
        self, messages: list[dict[str, Any]], tools: list[Any] | None, weights: list[int]
    ) -> Encoded:
        full = self._ids(self._render(messages, tools))
        mask = [0] * len(full)
        answers = [i for i, message in enumerate(messages) if message.get("role") == "assistant"]
        for index, weight in zip(answers, weights, strict=True):
            if not weight:
                continue
            before = self._ids(self._render(messages[:index], tools, prompt=True))
            last = index + 1 == len(messages)
            through = full if last else self._ids(self._render(messages[: index + 1], tools))
            if full[: len(before)] != before or full[: len(through)] != through:
                raise MaskError(
                    "template-not-stable",
                    "The model's chat template writes a message differently depending on what"
                    " follows it (or a token spans the border), so what the model will say cannot"
                    f" be told from the rest for messages[{index}]. Give that message weight 0, cut"
                    " the row after it, or set `options.trl.chat_template` to a template with"
                    " {% generation %} markers.",
                    path=f"messages[{index}]",
                )
            mask[len(before) : len(through)] = [1] * (len(through) - len(before))
        return Encoded(full, mask)

    def _render(
        self, messages: list[dict[str, Any]], tools: list[Any] | None, *, prompt: bool = False
    ) -> str:
        def call() -> Any:
            return self.tokenizer.apply_chat_template(
                messages, tools=tools, tokenize=False, add_generation_prompt=prompt
            )

        return str(_templated(call))

    def _render_with_spans(
        self, messages: list[dict[str, Any]], tools: list[Any] | None
    ) -> tuple[str, list[Span]]:
        from transformers.utils.chat_template_utils import render_jinja_template

        def call() -> Any:
            return render_jinja_template(
                conversations=[messages],
                tools=tools,
                chat_template=self.template,
                return_assistant_tokens_mask=True,
                add_generation_prompt=False,
                **self.tokenizer.special_tokens_map,
            )

        texts, spans = _templated(call)
        return texts[0], [(int(start), int(end)) for start, end in spans[0]]

    def _ids(self, text: str, *, special: bool = False) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=special)["input_ids"])

    def _ended(self, ids: list[int]) -> list[int]:
        end = self.tokenizer.eos_token_id
        return ids if end is None or (ids and ids[-1] == end) else [*ids, end]


def _mask_of(offsets: Sequence[Span], spans: Sequence[Span]) -> list[int]:
    """1 for each token of which at least one character lies in a span."""
    mask = [0] * len(offsets)
    position = 0
    for index, (start, end) in enumerate(offsets):
        while position < len(spans) and spans[position][1] <= start:
            position += 1
        if position < len(spans) and end > max(start, spans[position][0]):
            mask[index] = 1
    return mask


def _templated(call: Callable[[], Any]) -> Any:
    """Run a template; what goes wrong in it is the row's fault or the template's, not ours."""
    from jinja2 import TemplateError

    try:
        return call()
    except TemplateError as error:
        raise MaskError(
            "template-refused", f"The chat template refuses this row: {error}."
        ) from error


def _text_of(template: Any) -> str | None:
    """The default template of a tokenizer, which may hold several by name."""
    if isinstance(template, dict):
        template = template.get("default")
    return template if isinstance(template, str) else None


def stop_token_is_trained(encoder: RowEncoder, row: Mapping[str, Any]) -> bool:
    """Whether the end of the answer belongs to what is trained, judged by one encoded row.

    A template may close its markers before the token that ends a turn; a model trained that way
    does not learn to stop.
    """
    encoded = encoder.encode(row)
    ids = encoded.input_ids
    specials = set(encoder.tokenizer.all_special_ids)
    for index, flag in enumerate(encoded.mask):
        after = index + 1
        ends = flag and (after == len(ids) or not encoded.mask[after])
        if ends and ids[index] not in specials and after < len(ids) and ids[after] in specials:
            return False
    return True

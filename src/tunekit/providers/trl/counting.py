"""Counts the tokens of rows as a training here will have them: rendered, and with its loss mask."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from typing_extensions import override

from tunekit.data.records import Row
from tunekit.data.tokens.counting import RowTokens, TokenCounter
from tunekit.providers.local.chat import template_messages, template_tools
from tunekit.providers.trl.masks import LossOn, RowEncoder, Span

_NO_SHAPE = (AttributeError, KeyError, TypeError, ValueError)
"""What encoding a row raises that has not its kind's shape, or that the template refuses."""


@dataclass(frozen=True, slots=True)
class _Rendered:
    """A conversation as text, and what tells which of its tokens are trained on.

    Attributes:
        texts: The whole text first; then the texts up to the borders of answers.
        spans: The stretches of the text that are trained on, where the template marks them.
        answers: Where it does not: for each answer, which of `texts` ends before it and which
            with it.
    """

    texts: list[str]
    spans: list[Span] | None = None
    answers: Sequence[tuple[int, int]] = ()


class TemplateCounter(RowEncoder, TokenCounter):
    """Counts with a model's own tokenizer and chat template; exact.

    Conversations are rendered one by one, and then go through the tokenizer in one call, which uses
    all cores. A template whose `{% generation %}` markers tell what is trained on is rendered once
    for each row; any other once more for each border of an answer, which takes as many times as
    long. `totals` renders once in any case, and leaves the mask alone. Rows of other kinds, and
    those whose mask cannot be told, are left to `RowEncoder`, row by row.

    Args:
        tokenizer: A `transformers` tokenizer, with its chat template if there is one.
        loss_on: `assistant` trains on answers only, `all` on the whole text of a conversation.
        name: What reports call it; the model's name.
    """

    def __init__(self, tokenizer: Any, *, loss_on: LossOn = "assistant", name: str = "") -> None:
        super().__init__(tokenizer, loss_on=loss_on)
        self.name = name or str(getattr(tokenizer, "name_or_path", ""))
        self.exact = True

    @override
    def count(self, rows: Sequence[Row]) -> list[RowTokens | None]:
        """Count a batch of rows, in order; None where the training would refuse the row."""
        found: list[RowTokens | None] = [None] * len(rows)
        together: list[tuple[int, _Rendered]] = []
        for index, row in enumerate(rows):
            rendered = self._rendered(row)
            if rendered is None:
                found[index] = self._alone(row)
            else:
                together.append((index, rendered))
        texts = [text for _, rendered in together for text in rendered.texts]
        encodings = iter(self._tokenized(texts, offsets=self.by_markers))
        for index, rendered in together:
            own = [next(encodings) for _ in rendered.texts]
            found[index] = self._counted(rendered, own)
        return found

    def _counted(self, rendered: _Rendered, encodings: list[Any]) -> RowTokens | None:
        """Count a conversation; None where its mask cannot be told."""
        if self.loss_on == "all":
            total = len(encodings[0])
            return RowTokens(total, total, None, 0 if total else None)
        if rendered.spans is not None:
            if self._every_token_has_text:
                return _counted_in_spans(encodings[0], rendered.spans)
            return _counted_in_offsets(encodings[0].offsets, rendered.spans)
        return _counted_in_answers([encoding.ids for encoding in encodings], rendered.answers)

    def totals(self, rows: Sequence[Row]) -> list[int | None]:
        """Count all tokens of each row and leave the mask alone; fast with every template.

        None where the row cannot be rendered. A row whose mask cannot be told is counted here.
        """
        found: list[int | None] = [None] * len(rows)
        together: list[tuple[int, str]] = []
        for index, row in enumerate(rows):
            text = self._text(row)
            if text is None:
                alone = self._alone(row)
                found[index] = None if alone is None else alone.total
            else:
                together.append((index, text))
        encodings = self._tokenized([text for _, text in together], offsets=False)
        for (index, _), encoding in zip(together, encodings, strict=True):
            found[index] = len(encoding)
        return found

    @property
    def _every_token_has_text(self) -> bool:
        """Whether no token can lack a character, as normalizers that take characters apart make."""
        normalizer = self.tokenizer.backend_tokenizer.normalizer
        return normalizer is None or type(normalizer).__name__ == "NFC"

    def _tokenized(self, texts: list[str], *, offsets: bool) -> list[Any]:
        """Encode texts on all cores; `offsets` says whether it must be known where tokens lie.

        The tokenizer's own call makes a Python list of every id and offset, which takes longer than
        the encoding. It sets these three first, so they are set here as it does (transformers 5).
        """
        backend = self.tokenizer.backend_tokenizer
        backend.no_truncation()
        backend.no_padding()
        backend.encode_special_tokens = self.tokenizer.split_special_tokens
        encode = backend.encode_batch if offsets else backend.encode_batch_fast
        return list(encode(texts, add_special_tokens=False))

    def _text(self, row: Mapping[str, Any]) -> str | None:
        """A conversation as text; None where `encode` must make tokens of the row."""
        if not self._is_conversation(row):
            return None
        try:
            text = self._render(template_messages(row["messages"]), template_tools(row))
            text.encode()  # half a surrogate pair would fail the whole batch
        except _NO_SHAPE:
            return None
        return text

    def _is_conversation(self, row: Mapping[str, Any]) -> bool:
        fast = bool(getattr(self.tokenizer, "is_fast", False))
        return fast and self.template is not None and "messages" in row

    def _rendered(self, row: Mapping[str, Any]) -> _Rendered | None:
        """Render a conversation; None where `encode` must make tokens of the row."""
        if not self._is_conversation(row):
            return None
        try:
            turned = template_messages(row["messages"])
            tools = template_tools(row)
            if self.loss_on == "all":
                found = _Rendered([self._render(turned, tools)])
            elif self.by_markers:
                found = self._marked(row["messages"], turned, tools)
            else:
                found = self._bordered(row["messages"], turned, tools)
            "".join(found.texts).encode()  # half a surrogate pair would fail the whole batch
        except _NO_SHAPE:
            return None
        return found

    def _marked(
        self,
        messages: Sequence[Mapping[str, Any]],
        turned: list[dict[str, Any]],
        tools: list[Any] | None,
    ) -> _Rendered:
        text, spans = self._render_with_spans(turned, tools)
        pairs = zip(messages, turned, strict=True)
        said = [(row, made) for row, made in pairs if made.get("role") == "assistant"]
        wanted = []
        for (message, made), (start, end) in zip(said, spans, strict=True):
            if made["content"].strip() not in text[start:end]:
                raise ValueError("the markers stand around something else")
            if message.get("weight") != 0:
                wanted.append((start, end))
        return _Rendered([text], wanted)

    def _bordered(
        self,
        messages: Sequence[Mapping[str, Any]],
        turned: list[dict[str, Any]],
        tools: list[Any] | None,
    ) -> _Rendered:
        texts = [self._render(turned, tools)]
        answers = []
        for index, message in enumerate(messages):
            if message.get("role") != "assistant" or message.get("weight") == 0:
                continue
            texts.append(self._render(turned[:index], tools, prompt=True))
            before, through = len(texts) - 1, 0
            if index + 1 < len(turned):
                texts.append(self._render(turned[: index + 1], tools))
                through = before + 1
            answers.append((before, through))
        return _Rendered(texts, None, answers)

    def _alone(self, row: Mapping[str, Any]) -> RowTokens | None:
        try:
            mask = self.encode(row).mask
        except _NO_SHAPE:
            return None
        trained = sum(mask)
        return RowTokens(len(mask), trained, None, mask.index(1) if trained else None)


def _counted_in_spans(encoding: Any, spans: Sequence[Span]) -> RowTokens:
    """Count the tokens of which at least one character lies in a span.

    Tokens follow the text, so those of a span are neighbours, and only the borders are looked up:
    the list of all offsets takes longer than encoding does.
    """
    total = len(encoding)
    trained = after = 0
    begin: int | None = None
    for start, end in spans:
        first = encoding.char_to_token(start) if end > start else None
        last = encoding.char_to_token(end - 1) if end > start else None
        if first is None or last is None:
            return _counted_in_offsets(encoding.offsets, spans)
        first = max(first, after)
        after = last + 1
        while after < total and encoding.token_to_chars(after)[0] < end:
            after += 1  # another token of the same character
        trained += max(0, after - first)
        if begin is None and after > first:
            begin = first
    return RowTokens(total, trained, None, begin)


def _counted_in_offsets(offsets: Sequence[Span], spans: Sequence[Span]) -> RowTokens:
    """The same for tokens that may have no character of their own, which are not trained on."""
    trained = after = 0
    begin: int | None = None
    for start, end in spans:
        first = bisect_right(offsets, start, lo=after, key=_end)
        after = bisect_left(offsets, end, lo=first, key=_start)
        inside = [place for place in range(first, after) if offsets[place][1] > offsets[place][0]]
        trained += len(inside)
        if begin is None and inside:
            begin = inside[0]
    return RowTokens(len(offsets), trained, None, begin)


_start, _end = itemgetter(0), itemgetter(1)


def _counted_in_answers(
    ids: Sequence[list[int]], answers: Sequence[tuple[int, int]]
) -> RowTokens | None:
    """Count by the ids up to the borders of answers; None where they do not begin the whole."""
    whole = ids[0]
    trained = end = 0
    begin: int | None = None
    for before, through in answers:
        head, body = ids[before], ids[through]
        if whole[: len(head)] != head or whole[: len(body)] != body:
            return None
        start = max(end, len(head))
        if begin is None and len(body) > start:
            begin = start
        trained += max(0, len(body) - start)
        end = max(end, len(body))
    return RowTokens(len(whole), trained, None, begin)

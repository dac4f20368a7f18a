"""Counts the tokens of rows as a training here will have them: rendered, and with its loss mask."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any

from typing_extensions import override

from tunekit.data.records import Row
from tunekit.data.tokens.counting import RowTokens, TokenCounter
from tunekit.providers.local.chat import template_messages, template_tools
from tunekit.providers.trl.masks import LossOn, RowEncoder, Span

_NO_SHAPE = (AttributeError, KeyError, TypeError, ValueError)
"""What encoding a row raises that has not its kind's shape, or that the template refuses."""

Rendered = tuple[str, list[Span]]
"""The text of a conversation, and the stretches of it that are trained on."""


class TemplateCounter(RowEncoder, TokenCounter):
    """Counts with a model's own tokenizer and chat template; exact.

    Conversations are rendered one by one, and then go through the tokenizer in one call, which uses
    all cores. That needs a template whose `{% generation %}` markers tell what is trained on, or a
    loss on everything. Where a template has no markers, finding the mask takes several renderings
    of every row: `count` then does it row by row, and `totals`, which needs no mask, stays fast.

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
        together: list[tuple[int, Rendered]] = []
        for index, row in enumerate(rows):
            rendered = self._rendered(row)
            if rendered is None:
                found[index] = self._alone(row)
            else:
                together.append((index, rendered))
        encodings = self._tokenized([text for _, (text, _) in together], offsets=True)
        for (index, (_, spans)), encoding in zip(together, encodings, strict=True):
            if self.loss_on == "all":
                total = len(encoding)
                found[index] = RowTokens(total, total, None, 0 if total else None)
            else:
                found[index] = _counted(encoding.offsets, spans)
        return found

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

    def _rendered(self, row: Mapping[str, Any]) -> Rendered | None:
        """A conversation whose mask its rendering tells; None where `encode` must find it."""
        if self.loss_on == "all":
            whole = self._text(row)
            return None if whole is None else (whole, [(0, len(whole))])
        if not (self.by_markers and self._is_conversation(row)):
            return None
        try:
            turned = template_messages(row["messages"])
            text, spans = self._render_with_spans(turned, template_tools(row))
            text.encode()
        except _NO_SHAPE:
            return None
        said = [message for message in row["messages"] if message.get("role") == "assistant"]
        if len(spans) != len(said):
            return None
        wanted = []
        for message, (start, end) in zip(said, spans, strict=True):
            content = message.get("content")
            if (
                not isinstance(content, str | None)
                or (content or "").strip() not in text[start:end]
            ):
                return None
            if message.get("weight") != 0:
                wanted.append((start, end))
        return text, wanted

    def _alone(self, row: Mapping[str, Any]) -> RowTokens | None:
        try:
            mask = self.encode(row).mask
        except _NO_SHAPE:
            return None
        trained = sum(mask)
        return RowTokens(len(mask), trained, None, mask.index(1) if trained else None)


def _counted(offsets: Sequence[Span], spans: Sequence[Span]) -> RowTokens:
    """Count the tokens of which at least one character lies in a span, without making the mask.

    Both follow the text, so the tokens of a span are neighbours; one without a character is none.
    """
    trained = 0
    begin: int | None = None
    after = 0
    for start, end in spans:
        first = bisect_right(offsets, start, lo=after, key=_end)
        after = bisect_left(offsets, end, lo=first, key=_start)
        inside = [place for place in range(first, after) if offsets[place][1] > offsets[place][0]]
        trained += len(inside)
        if begin is None and inside:
            begin = inside[0]
    return RowTokens(len(offsets), trained, None, begin)


_start, _end = itemgetter(0), itemgetter(1)

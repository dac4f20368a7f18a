"""What a model will see of a row, and what of that it is trained on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel, ConfigDict

from tunekit.data.records import Row
from tunekit.data.tokens.batches import encode_text
from tunekit.data.tokens.encodings import load_encoding
from tunekit.data.tokens.rules import Span, follows_guide
from tunekit.errors import DataError

if TYPE_CHECKING:
    import tiktoken

    from tunekit.data.tokens.hosted import HostedCounter


class Piece(BaseModel):
    """A stretch of a row that is treated alike.

    Attributes:
        text: As the model sees it; an image is `[image]`, and tokens without a text are empty.
        role: Whose words they are; empty where a chat template does not tell.
        part: The key of the message that it comes from, of which `role` opens a message; empty for
            the text of a chat template.
        trained: Whether the model learns to produce it.
        count: Tokens, with those that stand around the text.
        cut: Whether it lies beyond the limit, so that the model never sees it.
        text_of: Which text of the row: 0, or 1 for the second of the two that a preference makes.
        tokens: The text of each token, where that was asked for; half a character shows as `�`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str
    role: str = ""
    part: str = ""
    trained: bool = False
    count: int
    cut: bool = False
    text_of: int = 0
    tokens: tuple[str, ...] | None = None


class PreviewRow(BaseModel):
    """A row as the model will see it.

    Attributes:
        line: Where the row stands in its file.
        pieces: All of it, in order; beyond the limit, too.
        tokens: Tokens of all pieces.
        trained: Tokens that are trained on, without those that are cut off.
        truncated_after: Tokens after which the row is cut; None where nothing is.
        note: How far this picture is to be believed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    line: int
    pieces: tuple[Piece, ...]
    tokens: int
    trained: int
    truncated_after: int | None = None
    note: str = ""

    @classmethod
    def of(
        cls, line: int, pieces: Sequence[Piece], *, limit: int | None = None, note: str = ""
    ) -> PreviewRow:
        """Add pieces up, after what lies beyond the limit was marked as cut."""
        return cls(
            line=line,
            pieces=tuple(pieces),
            tokens=sum(piece.count for piece in pieces),
            trained=sum(piece.count for piece in pieces if piece.trained and not piece.cut),
            truncated_after=limit if any(piece.cut for piece in pieces) else None,
            note=note,
        )


BY_THE_GUIDE: Final = "By the provider's published counting rule, not its own renderer."
BEYOND_THE_GUIDE: Final = (
    "By the provider's published counting rule, not its own renderer; parts of this row are beyond "
    "that rule and estimated."
)
_PLACEHOLDERS: Final = {"image": "[image]"}


def preview_hosted(
    row: Row,
    counter: HostedCounter,
    *,
    line: int = 1,
    limit: int | None = None,
    tokens: bool = False,
) -> PreviewRow:
    """Show a row as a hosted service is documented to treat it; see `tunekit.data.tokens.rules`.

    Args:
        row: A row of any kind.
        counter: Counts for the model.
        line: Where the row stands in its file.
        limit: The most tokens of a text; what follows is cut off, as OpenAI and Azure do.
        tokens: Whether to give the text of each token.

    Raises:
        DataError: The row has not the shape of its kind.
        TokenizerUnavailableError: The vocabulary is not here and cannot be fetched.
    """
    taken = counter.sequences(row)
    if not taken:
        raise DataError(
            f"The row of line {line} has not the shape of its kind, so it cannot be shown.",
            next_step="`tunekit check` says what is wrong with it.",
        )
    encoding = load_encoding(counter.name)
    pieces: list[Piece] = []
    for number, spans in enumerate(taken):
        left = limit
        for span in spans:
            for piece in _pieces(span, encoding, left, tokens):
                pieces.append(piece.model_copy(update={"text_of": number}))
                left = None if left is None else max(0, left - piece.count)
    note = BY_THE_GUIDE if follows_guide(row) else BEYOND_THE_GUIDE
    return PreviewRow.of(line, pieces, limit=limit, note=note)


def _pieces(
    span: Span, encoding: tiktoken.Encoding, left: int | None, tokens: bool
) -> Iterator[Piece]:
    """A span as one piece, or as two where the limit, `left` tokens away, lies within it."""
    ids = encode_text(encoding, span.text)
    kept = len(ids) if left is None else min(len(ids), max(0, left - span.fixed))
    gone_whole = left is not None and left < span.fixed
    for part, fixed, cut in ((ids[:kept], span.fixed, gone_whole), (ids[kept:], 0, True)):
        if not (part or fixed):
            continue
        whole = len(part) == len(ids)
        text = span.text if whole else encoding.decode(part, errors="replace")
        yield Piece(
            text=text or _PLACEHOLDERS.get(span.part, ""),
            role=span.role,
            part=span.part,
            trained=span.trained,
            count=len(part) + fixed,
            cut=cut,
            tokens=tuple(_words(encoding, part)) if tokens else None,
        )


def _words(encoding: tiktoken.Encoding, ids: Sequence[int]) -> Iterator[str]:
    return (encoding.decode_single_token_bytes(one).decode("utf-8", "replace") for one in ids)

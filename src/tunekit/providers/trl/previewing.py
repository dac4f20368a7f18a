"""Shows a row as a training here will have it: the rendered text with its loss mask."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any

from tunekit.data.preview import Piece, PreviewRow
from tunekit.data.records import Row
from tunekit.errors import DataError
from tunekit.providers.trl.masks import MaskError, RowEncoder
from tunekit.providers.trl.rows import OverLong

EXACT = "The text, tokens and loss mask of the training itself."
_TOO_LONG: Mapping[OverLong, str] = {
    "error": "It has more tokens than allowed, so the training refuses it.",
    "drop": "It has more tokens than allowed, so the training leaves it out.",
    "truncate": "It has more tokens than allowed, so the training cuts it.",
}


def preview_row(
    encoder: RowEncoder,
    row: Row,
    *,
    line: int,
    limit: int | None,
    over_long: OverLong = "error",
    tokens: bool = False,
) -> PreviewRow:
    """Render a row and take it apart where the mask changes.

    Args:
        encoder: Encodes the rows of the training.
        row: A row of any supervised form.
        line: Where it stands in its file.
        limit: The most tokens of a row; what follows is marked as cut.
        over_long: What the training does with longer rows.
        tokens: Whether to give the text of each token.

    Raises:
        DataError: The training would refuse the row, and why.
    """
    try:
        encoded = encoder.encode(row)
    except MaskError as error:
        raise DataError(f"The row of line {line} cannot be trained on: {error}") from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"The row of line {line} has not the shape of its kind, so it cannot be shown.",
            next_step="`tunekit check` says what is wrong with it.",
        ) from error
    ids, mask = encoded.input_ids, encoded.mask
    end = len(ids) if limit is None else limit
    marked = [
        (one, bool(flag), place >= end)
        for place, (one, flag) in enumerate(zip(ids, mask, strict=True))
    ]
    pieces = [
        _piece(encoder.tokenizer, [one for one, _, _ in run], trained, cut, tokens)
        for (trained, cut), run in groupby(marked, key=lambda one: one[1:])
    ]
    note = f"{EXACT} {_TOO_LONG[over_long]}" if len(ids) > end else EXACT
    return PreviewRow.of(line, pieces, limit=limit, note=note)


def _piece(tokenizer: Any, ids: list[int], trained: bool, cut: bool, tokens: bool) -> Piece:
    return Piece(
        text=_decoded(tokenizer, ids),
        role="assistant" if trained else "",
        trained=trained,
        count=len(ids),
        cut=cut,
        tokens=tuple(_words(tokenizer, ids)) if tokens else None,
    )


def _words(tokenizer: Any, ids: list[int]) -> Iterator[str]:
    return (_decoded(tokenizer, [one]) for one in ids)


def _decoded(tokenizer: Any, ids: list[int]) -> str:
    return str(tokenizer.decode(ids, clean_up_tokenization_spaces=False))

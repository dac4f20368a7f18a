"""Rows as bytes and back: one place that decides what a line of JSON is."""

from __future__ import annotations

import datetime
import decimal
import json
import math
from collections.abc import Mapping
from typing import Any, Final, NoReturn

import msgspec
import xxhash
from pydantic import BaseModel

from tunekit.data.records import Row

MAX_DEPTH: Final = 200
"""Objects and lists inside each other; deeper rows would overrun readers further on."""

BOM: Final = b"\xef\xbb\xbf"


_decoder: Final = msgspec.json.Decoder()
_encoder: Final = msgspec.json.Encoder()
_sorting: Final = msgspec.json.Encoder(order="sorted")


class RowError(ValueError):
    """A value is no row; `code` is the rule that it breaks."""

    def __init__(self, code: str, message: str, fix: str) -> None:
        super().__init__(message)
        self.code = code
        self.fix = fix


def decode(line: bytes) -> Row:
    """Read one line of JSON Lines: UTF-8, one object, no `NaN` or `Infinity` (RFC 8259).

    Raises:
        RowError: It is not that.
    """
    try:
        # Accepts less than `json` and gives the same; what it refuses is read again for the words.
        row = _decoder.decode(line)
    except (ValueError, RecursionError):
        return _decode_slowly(line)
    return _checked(row, brackets=line.count(b"[") + line.count(b"{"))


def _decode_slowly(line: bytes) -> Row:
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise RowError(
            "bad-utf8",
            f"The line is not UTF-8: byte {error.start + 1} is 0x{line[error.start]:02x}.",
            "Save the file as UTF-8.",
        ) from None
    try:
        row = strict_json(text)
    except json.JSONDecodeError as error:
        raise RowError(
            "invalid-json",
            f"The line is not JSON: {error.msg} at character {error.pos + 1}.",
            _ONE_OBJECT if text.lstrip().startswith("[") else "Write one JSON object on each line.",
        ) from None
    except ValueError as error:
        raise RowError("invalid-json", f"The line is not JSON: {error}.", _ONE_OBJECT) from None
    except RecursionError:
        raise _too_deep() from None
    return _checked(row, brackets=text.count("[") + text.count("{"))


_ONE_OBJECT = (
    "Write one JSON object on each line; `tunekit check --fix` makes lines of one big JSON array."
)


def strict_json(text: str, **hooks: Any) -> Any:
    """Read JSON by RFC 8259, without `NaN`, and no number that only infinity could stand for.

    Raises:
        ValueError: It is not that.
        RecursionError: It is nested too deep to be read.
    """
    return json.loads(text, parse_constant=_refuse_constant, parse_float=_finite, **hooks)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON value")


def _finite(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise ValueError(f"the number {digits:.40} is too large")
    return value


def _too_deep() -> RowError:
    return RowError(
        "too-deep", f"The row is nested more than {MAX_DEPTH} levels deep.", "Flatten it."
    )


def _checked(row: Any, *, brackets: int) -> Row:
    if not isinstance(row, dict):
        raise RowError("not-an-object", f"The row is {_name(row)}, not an object.", _ONE_OBJECT)
    if brackets > MAX_DEPTH and depth_of(row) > MAX_DEPTH:
        raise _too_deep()
    return row


def _name(value: Any) -> str:
    names = {list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number" if isinstance(value, int | float) else "no JSON value")


def depth_of(value: Any) -> int:
    """How many objects and lists of a value are inside each other, at most."""
    depth = 0
    level = [value]
    while level := [
        child
        for item in level
        if isinstance(item, dict | list)
        for child in (item.values() if isinstance(item, dict) else item)
    ]:
        depth += 1
    return depth


def plain(value: Any) -> Row:
    """Turn what a function or a caller gave into a plain JSON row that shares nothing with it.

    A mapping or a record is a row; a list or tuple is taken for the messages of one.

    Raises:
        RowError: It is neither, or holds values that JSON does not have.
    """
    if isinstance(value, list | tuple):
        value = {"messages": value}
    if not isinstance(value, Mapping | BaseModel):
        raise RowError(
            "not-an-object",
            f"The row is {type(value).__name__}, not an object.",
            "Give a dictionary, a record, or a list of messages.",
        )
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, default=_plain_value)
        row = json.loads(text)
    except RecursionError:
        raise _too_deep() from None
    except (TypeError, ValueError) as error:
        raise RowError(
            "not-json", f"The row cannot be written as JSON: {error}.", "Convert the value first."
        ) from None
    return _checked(row, brackets=text.count("[") + text.count("{"))


def _plain_value(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_none=True)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"it holds a value of type {type(value).__name__}")


def json_value(value: Any) -> Any:
    """Turn a value of Arrow into one of JSON, without the nulls that fill up structs.

    Arrow puts a null wherever *another* row of the column has a key. A message's null `content`
    stays: it means that the assistant only calls tools.
    """
    if isinstance(value, dict):
        return {
            key: json_value(item)
            for key, item in value.items()
            if item is not None or (key == "content" and "role" in value)
        }
    if isinstance(value, list):
        return [json_value(item) for item in value]
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return str(value) if isinstance(value, decimal.Decimal) else value


def printable(text: str) -> str:
    """Escape what has no UTF-8 form, so that text from anywhere can stand in a message."""
    return text.encode("utf-8", "backslashreplace").decode()


def encode(row: Row) -> bytes:
    r"""Write one line of JSON Lines, newline included; the order of keys is kept.

    Half of a surrogate pair has no UTF-8 form; a row that holds one is written with `\u` escapes,
    which reads back to the same row.

    Raises:
        ValueError: It holds NaN or an infinity.
    """
    try:
        line = _encoder.encode(row)
        if b"null" not in line:  # which is also how it writes what JSON has no number for
            return line + b"\n"
    except (ValueError, TypeError, RecursionError):
        pass
    try:
        return _dump(row, ascii_only=False).encode() + b"\n"
    except UnicodeEncodeError:
        return _dump(row, ascii_only=True).encode() + b"\n"


def _dump(row: Row, *, ascii_only: bool) -> str:
    return json.dumps(row, ensure_ascii=ascii_only, allow_nan=False, separators=(",", ":"))


def canonical(row: Row) -> bytes:
    """Write a row so that two rows with the same content give the same bytes."""
    try:
        return _sorting.encode(row)
    except (ValueError, RecursionError):  # half of a surrogate pair
        text = json.dumps(
            row, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")
        )
        return text.encode("utf-8", "surrogatepass")


DIGEST_SIZE: Final = 16


def digest(row: Row) -> bytes:
    """Shorten a row's canonical bytes to 16 bytes, to look for equal rows.

    XXH3 with 128 bits: of a billion different rows, two share a digest with odds below 1 in 10^20.
    It is no protection against someone who makes rows with equal digests on purpose.
    """
    return xxhash.xxh3_128_digest(canonical(row))

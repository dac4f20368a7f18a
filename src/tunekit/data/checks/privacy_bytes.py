"""A quick look for secrets and personal data in many rows at once, as bytes of JSON.

It says no only where no text can hold what `privacy` looks for. Three marks are enough, because
each kind has one: an `@` or a `+`; eight digits close together; or twenty or more characters
without a space, quote or bracket, with a digit not far behind the beginning of the key. Vectors
find such places; short searches around each then settle most of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Final

import numpy as np
import numpy.typing as npt

from tunekit.data.checks.texts import SMALL, scratch

_AT: Final = re.compile(rb"(?<=[A-Za-z0-9_-])@(?:[A-Za-z0-9-]{1,63}\.){1,5}[A-Za-z]{2}")
_PLUS: Final = re.compile(rb"\+[1-9][0-9 .()-]{8}")
_BEFORE: Final = 160
"""Bytes before an `@` within which the `://` of an address with a password stands."""

_UNDERSCORED: Final = (
    *(b"k_live_", b"k_test_", b"ghp_", b"gho_", b"ghu_", b"ghs_", b"ghr_", b"github_pat_"),
    *(b"hf_", b"npm_"),
)
_HYPHENED: Final = (b"sk-", b"glpat-", b"xox", b"pypi-", b"KEY-----")
_OTHERS: Final = (b"AKIA", b"ASIA", b"AIza", b"SG.", b"Key=", b"eyJ")

_ZERO: Final = bytes(ord("0") if 48 <= byte < 58 else byte for byte in range(256))
_SHAPES: Final = (
    *(b"000-00-0000", b"000-0000", b"000.0000", b"0" * 15, b"0000 0000 0000", b"0000-0000-0000"),
    *(b"0000 000000 00000", b"0000-000000-00000"),
)
"""What social security, phone and card numbers look like when each digit is written as 0."""
_IBAN: Final = re.compile(rb"[A-Z]{2}[0-9]{2} ?[A-Z0-9]{4} ?[A-Z0-9]{4}")


def may_hold(lines: bytes) -> bool:
    """Whether these lines, in which no ASCII character is escaped, may hold what is looked for."""
    if b"@" in lines and _at(lines):
        return True
    if b"+" in lines and any(_PLUS.match(lines, place) for place in _places(lines, b"+")):
        return True
    if len(lines) < SMALL:
        return _few(lines)
    return _many(lines)


def _places(lines: bytes, mark: bytes) -> Iterable[int]:
    place = lines.find(mark)
    while place >= 0:
        yield place
        place = lines.find(mark, place + 1)


def _at(lines: bytes) -> bool:
    for place in _places(lines, b"@"):
        before = lines[max(0, place - _BEFORE) : place]
        if b"://" in before or b":\\/" in before or _AT.match(lines, place):
            return True
    return False


def _few(lines: bytes) -> bool:
    return _has_key(lines) or _has_number(lines)


def _has_key(text: bytes) -> bool:
    return (
        _holds(text, _OTHERS)
        or (b"_" in text and _holds(text, _UNDERSCORED))
        or (b"-" in text and _holds(text, _HYPHENED))
    )


def _holds(text: bytes, marks: tuple[bytes, ...]) -> bool:
    for mark in marks:  # noqa: SIM110 - twice as fast as any()
        if mark in text:
            return True
    return False


def _has_number(text: bytes) -> bool:
    shape = text.translate(_ZERO)
    if b"000" not in shape:
        return False
    if _holds(shape, _SHAPES):
        return True
    # A bank account number may hold letters, but has eight digits together.
    return (b"00000000" in shape or b"0000 0000" in shape) and _IBAN.search(text) is not None


def _many(lines: bytes) -> bool:
    whole = len(lines) & ~7
    letters = np.frombuffer(lines, np.uint8, whole)
    digits = scratch(whole, 0)
    np.subtract(letters, ord("0"), out=digits)
    is_digit = digits.view(np.bool_)
    np.less(digits, 10, out=is_digit)
    count = np.bitwise_count(np.packbits(is_digit))
    # Of eight digits within nine characters, seven lie in two neighbouring words of eight bytes.
    dense = np.flatnonzero(count[1:] + count[:-1] >= 7)
    return (
        _near(dense, lines, _has_number)
        or _near(_solid(letters, count > 0), lines, _has_key)
        or _few(lines[-64:])
    )


def _solid(letters: npt.NDArray[np.uint8], digits: npt.NDArray[np.bool_]) -> npt.NDArray[np.intp]:
    """The words inside twenty or more characters in a row that may be a key, near a digit.

    Args:
        letters: The bytes.
        digits: For each word of eight bytes, whether it has a digit.
    """
    # From `+` on, which leaves out the space, the quote and most brackets, and keeps the backslash
    # of an escaped `/`. As signed numbers, bytes beyond ASCII are below.
    solid = scratch(len(letters), 1).view(np.bool_)
    np.greater(letters.view(np.int8), ord("+") - 1, out=solid)
    near = digits.copy()
    near[1:] |= digits[:-1]
    near[:-1] |= digits[1:]
    bits = np.zeros(len(near) + 2, np.uint8)
    bits[1:-1] = np.packbits(solid)
    words = np.flatnonzero((bits[1:-1] == 255) & near)
    behind, ahead = _TRAILING[bits[words]], _LEADING[bits[words + 2]]
    likely: npt.NDArray[np.intp] = words[(behind + ahead >= 12) | (behind == 8) | (ahead == 8)]
    return likely


_BITS: Final = [f"{byte:08b}0" for byte in range(256)]
_LEADING: Final = np.array([bits.index("0") for bits in _BITS], np.uint8)
_TRAILING: Final = np.array([(bits[7::-1] + "0").index("0") for bits in _BITS], np.uint8)
"""How many of the first or the last of a word's eight bytes may belong to a key."""


def _near(words: npt.NDArray[np.intp], lines: bytes, holds: Callable[[bytes], bool]) -> bool:
    """Whether the text around one of these words of eight bytes holds something."""
    if len(words) * 256 > len(lines):
        return holds(lines)
    return any(holds(lines[max(0, word * 8 - 88) : word * 8 + 48]) for word in words.tolist())

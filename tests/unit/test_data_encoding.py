"""Rows are written as one line of JSON, fast, and read back the same."""

from __future__ import annotations

import contextlib
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunekit.data.encoding import decode, encode

# Exponents are spelt in two ways, `1e16` and `1e+16`; these numbers have none.
NUMBERS = st.integers(-(10**6), 10**6).map(lambda number: number / 64)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | NUMBERS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), json_values, max_size=3))
def test_a_row_is_one_line_of_json_and_reads_back(row: dict[str, Any]) -> None:
    line = encode(row)
    assert line.count(b"\n") == 1
    assert decode(line.removesuffix(b"\n")) == row == json.loads(line)
    assert list(decode(line)) == list(row)


@given(st.dictionaries(st.text(), json_values, max_size=3))
def test_a_row_is_written_as_the_standard_library_writes_it(row: dict[str, Any]) -> None:
    for ascii_only in (False, True):  # escapes only where there is half of a surrogate pair
        expected = json.dumps(row, ensure_ascii=ascii_only, separators=(",", ":"))
        with contextlib.suppress(UnicodeEncodeError):
            assert encode(row) == expected.encode() + b"\n"
            return


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("beside", ["a", "\ud800"])
def test_what_json_has_no_number_for_is_not_written(number: float, beside: str) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        encode({"text": beside, "score": [number]})


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_number_reads_back_exactly(number: float) -> None:
    read = decode(encode({"score": number}))["score"]
    assert (type(read), math.copysign(1, read), read) == (
        float,
        math.copysign(1, number),
        number,
    )

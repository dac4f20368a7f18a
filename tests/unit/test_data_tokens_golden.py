"""The figures that the published guides print for their own files.

The rows here are our own, of the same lengths in tokens as the published ones, message by message.
The toy file is `examples/data/toy_chat_fine_tuning.jsonl` of openai/openai-cookbook; its figures
are the printed output of `examples/Chat_finetuning_data_prep.ipynb` there. The other files and
figures are those of the Azure OpenAI fine-tuning tutorial: for o200k_base in
MicrosoftDocs/azure-ai-docs, for cl100k_base in the older MicrosoftDocs/azure-docs.
"""

from __future__ import annotations

from typing import Any

import pytest

from helpers.vocabularies import vocabularies
from tunekit.data import Dataset
from tunekit.data.checks.rows import check_row
from tunekit.data.records import DataKind
from tunekit.data.tokens.encodings import load_encoding
from tunekit.data.tokens.hosted import HostedCounter
from tunekit.data.tokens.rules import follows_guide
from tunekit.data.tokens.statistics import TokenStatistics, token_statistics

pytestmark = pytest.mark.usefixtures(vocabularies.__name__)

Length = tuple[int, int]
"""Tokens of a text in cl100k_base and in o200k_base."""

SYSTEM: Length = (13, 12)
TRAINING: list[tuple[Length, Length]] = [
    ((4, 4), (30, 28)), ((6, 6), (16, 14)), ((6, 6), (15, 14)), ((6, 6), (18, 18)),
    ((8, 7), (21, 19)), ((6, 6), (13, 13)), ((7, 7), (20, 18)), ((7, 6), (15, 14)),
    ((5, 5), (15, 14)), ((10, 10), (13, 13)),
]  # fmt: skip
VALIDATION: list[tuple[Length, Length]] = [
    ((7, 6), (13, 12)), ((8, 7), (13, 13)), ((9, 8), (19, 17)), ((8, 8), (13, 12)),
    ((8, 8), (29, 29)), ((6, 6), (12, 11)), ((10, 9), (18, 17)), ((6, 5), (20, 19)),
    ((6, 6), (14, 12)), ((7, 6), (8, 8)),
]  # fmt: skip
"""Lengths of question and answer of each row."""

TOY: list[list[tuple[str, int]]] = [
    [("system", 13), ("user", 7), ("assistant", 10)],
    [
        ("system", 13), ("user", 7), ("assistant", 9), ("user", 6), ("assistant", 7),
        ("user", 8), ("assistant", 6), ("user", 10), ("assistant", 6),
    ],
    [("user", 6), ("assistant", 9)],
    [("system", 13), ("assistant", 4)],
    [("system", 13), ("user", 4), ("assistant", 8000)],
]  # fmt: skip
"""Who speaks in each row of the toy file, and how many tokens of cl100k_base."""


def said(older: int, newer: int | None = None) -> str:
    """A text of so many tokens in cl100k_base and in o200k_base.

    "salt" is one token in both, "paprika" two in the older one.
    """
    newer = older if newer is None else newer
    twice = older - newer
    return " ".join(["salt"] * (newer - twice) + ["paprika"] * twice)


def row(*turns: tuple[str, str]) -> dict[str, Any]:
    return {"messages": [{"role": role, "content": content} for role, content in turns]}


def toy_file() -> Dataset:
    rows = [row(*((role, said(length)) for role, length in turns)) for turns in TOY]
    return Dataset.from_records(rows, source="toy")


def tutorial(lengths: list[tuple[Length, Length]]) -> Dataset:
    return Dataset.from_records(
        [
            row(("system", said(*SYSTEM)), ("user", said(*asked)), ("assistant", said(*answered)))
            for asked, answered in lengths
        ]
    )


@pytest.mark.parametrize("encoding", ["cl100k_base", "o200k_base"])
def test_the_texts_have_the_lengths_that_they_are_made_for(encoding: str) -> None:
    lengths = [SYSTEM, *(one for pair in (*TRAINING, *VALIDATION) for one in pair)]
    found = load_encoding(encoding).encode_ordinary_batch([said(*length) for length in lengths])
    place = 0 if encoding == "cl100k_base" else 1
    assert [len(tokens) for tokens in found] == [length[place] for length in lengths]


def toy_statistics(limit: int | None = 4096) -> TokenStatistics:
    return token_statistics(toy_file(), HostedCounter("cl100k_base"), limit=limit)


def test_the_toy_file_has_the_published_figures() -> None:
    found = toy_statistics()
    assert found.rows == 5
    assert (found.tokens.min, found.tokens.max) == (26, 8032)
    assert (found.tokens.mean, found.tokens.median) == (1648.4, 45.0)
    assert (found.trained.min, found.trained.max) == (4, 8000)
    assert (found.trained.mean, found.trained.median) == (1610.2, 10.0)
    assert (found.messages.min, found.messages.max) == (2, 9)
    assert (found.messages.mean, found.messages.median) == (3.8, 3.0)
    assert found.over_limit == 1


def test_the_toy_file_is_billed_as_published() -> None:
    found = toy_statistics()
    assert (found.billed_tokens, found.n_epochs, found.job_tokens) == (4306, 20, 86120)


def test_the_newer_limit_of_the_guide_bills_all_of_the_toy_file() -> None:
    assert toy_statistics(16_385).billed_tokens == toy_statistics(None).billed_tokens == 8242


def test_what_the_guide_prints_as_p5_and_p95_are_other_percentiles_than_ours() -> None:
    """The guide's code asks for quantiles 0.1 and 0.9; the names say 0.05 and 0.95."""
    found = toy_statistics()
    printed = [
        (found.messages, 2.0, 6.6),
        (found.tokens, 26.8, 4863.6),
        (found.trained, 6.0, 4811.2),
    ]
    for distribution, p5, p95 in printed:
        assert (distribution.quantile(0.1), distribution.quantile(0.9)) == (p5, p95)
        assert distribution.p5 <= distribution.quantile(0.1)
        assert distribution.p95 > p95
    assert (found.tokens.p5, found.tokens.p95) == (26.4, 6447.8)
    assert (found.trained.p5, found.trained.p95) == (5.0, 6405.6)


@pytest.mark.parametrize(
    ("encoding", "talk", "tokens", "trained"),
    [
        # min, max, mean, median, and what is printed as p5 and p95
        (
            "o200k_base",
            TRAINING,
            (46, 59, 49.8, 48.5, 46.0, 53.6),
            (13, 28, 16.5, 14.0, 13.0, 19.9),
        ),
        ("o200k_base", VALIDATION, (41, 64, 48.9, 47.0, 43.7, 54.1), (8, 29, 15.0, 12.5, 10.7, 20)),
        (
            "cl100k_base",
            TRAINING,
            (47, 62, 52.1, 50.5, 47.9, 57.5),
            (13, 30, 17.6, 15.5, 13.0, 21.9),
        ),
        (
            "cl100k_base",
            VALIDATION,
            (43, 65, 51.4, 49.0, 45.7, 56.9),
            (8, 29, 15.9, 13.5, 11.6, 20.9),
        ),
    ],
)
def test_the_azure_tutorials_files_have_their_published_figures(
    encoding: str,
    talk: list[tuple[Length, Length]],
    tokens: tuple[float, ...],
    trained: tuple[float, ...],
) -> None:
    found = token_statistics(tutorial(talk), HostedCounter(encoding))
    for distribution, printed in ((found.tokens, tokens), (found.trained, trained)):
        ours = (
            distribution.min,
            distribution.max,
            distribution.mean,
            distribution.median,
            distribution.quantile(0.1),
            distribution.quantile(0.9),
        )
        assert ours == pytest.approx(printed)


def test_the_azure_tutorials_bill_is_ten_times_what_its_own_statistics_say() -> None:
    """It reports 4,800 training tokens in a pass over rows whose mean is 49.8 tokens."""
    found = token_statistics(tutorial(TRAINING), HostedCounter("o200k_base"), n_epochs=10)
    assert found.billed_tokens == 498
    assert found.job_tokens == 4980


def test_a_row_with_tool_calls_is_valid_and_counted_where_the_guide_rejects_it() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "rain", "arguments": "{}"}}
    rainy: dict[str, Any] = {
        "messages": [
            {"role": "user", "content": "Rain?"},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "1", "content": "yes"},
            {"role": "assistant", "content": "Yes."},
        ],
        "tools": [{"type": "function", "function": {"name": "rain", "parameters": {}}}],
    }
    guide_knows = {"role", "content", "name", "function_call", "weight"}
    assert any(set(message) - guide_knows for message in rainy["messages"])
    assert list(check_row(rainy, DataKind.CHAT)) == []
    assert not follows_guide(rainy)
    (found,) = HostedCounter("o200k_base").count([rainy])
    assert found is not None
    assert found.total > found.trained > 0


def test_the_first_hundred_rows_are_a_hundred() -> None:
    """The tutorial's `.loc[0:100]` takes 101 rows and calls them 100."""
    rows = Dataset.from_records([{"text": str(number)} for number in range(300)])
    assert len(rows.take(100)) == 100
    assert [len(part) for part in rows.split(100, 100, 100)] == [100, 100, 100]

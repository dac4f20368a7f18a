"""Counting and showing rows with a model's own tokenizer: always what the training itself does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers.tiny_model import MARKED, PLAIN, UNSTABLE, make_model, make_tokenizer
from tunekit.data.tokens.counting import RowTokens, TokenCounter
from tunekit.errors import CorruptModelError, DataError
from tunekit.providers.base import SupportsTokens
from tunekit.providers.trl import TrlProvider
from tunekit.providers.trl.counting import TemplateCounter
from tunekit.providers.trl.masks import RowEncoder
from tunekit.providers.trl.options import TrlSettings
from tunekit.spec import FineTuneSpec

pytestmark = pytest.mark.torch

texts = st.text(
    alphabet=st.one_of(
        st.characters(exclude_characters="<|>", exclude_categories=["Cs"]),
        st.sampled_from("🦒é\u0301\u00bd\ufb01\n or\ud83d"),
    ),
    max_size=12,
)
calls = st.just(
    [{"id": "1", "type": "function", "function": {"name": "rain", "arguments": '{"a": 1}'}}]
)
messages = st.one_of(
    st.fixed_dictionaries({"role": st.sampled_from(["system", "user", "tool"]), "content": texts}),
    st.fixed_dictionaries(
        {"role": st.just("assistant"), "content": texts},
        optional={"weight": st.sampled_from([0, 1]), "tool_calls": calls},
    ),
    st.fixed_dictionaries(
        {"role": st.just("assistant"), "content": st.none(), "tool_calls": calls}
    ),
)
rows = st.one_of(
    st.fixed_dictionaries({"messages": st.lists(messages, max_size=5)}),
    st.fixed_dictionaries({"prompt": texts, "completion": texts}),
    st.fixed_dictionaries(
        {"prompt": st.lists(messages, max_size=2), "completion": st.lists(messages, max_size=2)}
    ),
    st.fixed_dictionaries({"text": texts}),
    st.sampled_from([{}, {"messages": 1}, {"messages": [1]}, {"messages": [{}]}, {"text": None}]),
)


def alone(encoder: RowEncoder, row: dict[str, Any]) -> RowTokens | None:
    """What the training makes of the row."""
    try:
        encoded = encoder.encode(row)
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
    start = encoded.mask.index(1) if encoded.trained else None
    return RowTokens(len(encoded.input_ids), encoded.trained, None, start)


@pytest.mark.parametrize(
    ("template", "loss_on", "normalizer"),
    [
        (MARKED, "assistant", None),
        (MARKED, "assistant", "NFC"),
        (MARKED, "assistant", "NFKD"),
        (MARKED, "all", None),
        (PLAIN, "assistant", None),
        (UNSTABLE, "assistant", None),
        (None, "assistant", None),
    ],
)
def test_a_batch_is_counted_as_the_training_encodes_each_row(
    template: str | None, loss_on: Any, normalizer: str | None
) -> None:
    from tokenizers import normalizers

    tokenizer = make_tokenizer(template, merges=[("o", "r"), ("\u010a", "a")])
    if normalizer is not None:
        tokenizer.backend_tokenizer.normalizer = getattr(normalizers, normalizer)()
    counter = TemplateCounter(tokenizer, loss_on=loss_on)
    encoder = RowEncoder(tokenizer, loss_on=loss_on)

    @given(st.lists(rows, max_size=6))
    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    def holds(batch: list[dict[str, Any]]) -> None:
        wanted = [alone(encoder, row) for row in batch]
        assert counter.count(batch) == wanted
        for total, one in zip(counter.totals(batch), wanted, strict=True):
            assert one is None or total == one.total

    holds()


def test_totals_need_no_mask() -> None:
    counter = TemplateCounter(make_tokenizer(UNSTABLE))
    talk = [{"role": role, "content": "x"} for role in ("user", "assistant") * 2]
    assert counter.count([{"messages": talk}]) == [None]
    (total,) = counter.totals([{"messages": talk}])
    assert total == 4 * 3 + len("hm ")


def test_a_template_without_markers_is_counted_by_the_borders_of_answers() -> None:
    tokenizer = make_tokenizer(PLAIN)
    talk = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    (found,) = TemplateCounter(tokenizer, name="tiny").count([{"messages": talk}])
    assert found == RowTokens(total=6, trained=2, untrained_start=4)


def test_the_counter_keeps_the_protocol_and_is_exact() -> None:
    counter = TemplateCounter(make_tokenizer(), name="tiny")
    assert isinstance(counter, TokenCounter)
    assert (counter.name, counter.exact) == ("tiny", True)
    assert counter.count([]) == []


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("model"), context=16)


@pytest.fixture
def trl(tmp_path: Path) -> TrlProvider:
    return TrlProvider(TrlSettings(), home=tmp_path)


TALK = {
    "messages": [
        {"role": "user", "content": "ask"},
        {"role": "assistant", "content": "answer"},
        {"role": "user", "content": "ask"},
        {"role": "assistant", "content": "more"},
    ]
}


def spec_of(model: Path | str, **options: Any) -> FineTuneSpec:
    return FineTuneSpec(model=str(model), options={"trl": options})


def test_the_provider_counts_with_the_models_own_tokenizer(trl: TrlProvider, model: Path) -> None:
    assert isinstance(trl, SupportsTokens)
    counter = trl.token_counter(spec_of(model))
    assert counter is not None
    assert counter.name == str(model)
    (found,) = counter.count([TALK])
    assert found == RowTokens(total=24, trained=12, untrained_start=6)


def test_options_of_the_request_decide_what_is_trained_on(trl: TrlProvider, model: Path) -> None:
    counter = trl.token_counter(spec_of(model, loss_on="all"))
    assert counter is not None
    assert counter.count([TALK]) == [RowTokens(total=24, trained=24, untrained_start=0)]


def test_a_model_that_is_not_here_has_no_counter_and_no_picture(
    trl: TrlProvider, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    spec = spec_of("nobody/no-such-model")
    assert trl.token_counter(spec) is None
    with pytest.raises(DataError, match="nobody/no-such-model"):
        trl.preview(spec, TALK)


def test_a_damaged_tokenizer_is_named(trl: TrlProvider, tmp_path: Path) -> None:
    folder = make_model(tmp_path / "damaged")
    (folder / "tokenizer.json").write_text("{")
    with pytest.raises(CorruptModelError, match="damaged"):
        trl.token_counter(spec_of(folder))


def test_the_picture_is_the_rendered_text_with_its_mask(trl: TrlProvider, model: Path) -> None:
    found = trl.preview(spec_of(model, max_length=40), TALK, line=4)
    assert found.line == 4
    assert [(piece.text, piece.trained) for piece in found.pieces] == [
        ("<|user|>ask<|end|><|assistant|>", False),
        ("answer<|end|>", True),
        ("<|user|>ask<|end|><|assistant|>", False),
        ("more<|end|>", True),
    ]
    assert (found.tokens, found.trained, found.truncated_after) == (24, 12, None)


@pytest.mark.parametrize(
    ("policy", "word"), [("error", "refuses"), ("drop", "leaves"), ("truncate", "cuts")]
)
def test_what_lies_beyond_the_limit_is_marked(
    policy: str, word: str, trl: TrlProvider, model: Path
) -> None:
    """The model was made for 16 tokens; the row has 24."""
    found = trl.preview(spec_of(model, over_long=policy), TALK)
    assert found.truncated_after == 16
    assert sum(piece.count for piece in found.pieces if not piece.cut) == 16
    assert "".join(piece.text for piece in found.pieces if piece.cut) == (
        "k<|end|><|assistant|>more<|end|>"
    )
    assert found.trained == 7
    assert f"{word} it" in found.note


def test_tokens_of_a_picture_are_text(trl: TrlProvider, model: Path) -> None:
    found = trl.preview(spec_of(model), {"text": "hé"}, tokens=True)
    assert json.loads(found.model_dump_json())["pieces"][0]["tokens"] == ["h", "�", "�", "<|end|>"]


@pytest.mark.parametrize("row", [{"messages": [{"role": "user"}, 1]}, {}, {"text": 1}])
def test_a_row_that_cannot_be_trained_on_is_refused_with_its_line(
    row: dict[str, Any], trl: TrlProvider, model: Path
) -> None:
    with pytest.raises(DataError, match="line 3"):
        trl.preview(spec_of(model), row, line=3)

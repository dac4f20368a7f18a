"""Which tokens are trained on: always the answers, never the questions, or a clear refusal."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers.tiny_model import MARKED, PLAIN, UNSTABLE, make_tokenizer
from tunekit.providers.trl.masks import (
    Encoded,
    MaskError,
    RowEncoder,
    has_markers,
    stop_token_is_trained,
)

pytestmark = pytest.mark.torch

# Without the special tokens' own spelling, which would be read as special tokens.
texts = st.text(
    alphabet=st.characters(exclude_characters="<|>", exclude_categories=["Cs"]), max_size=12
)
answers = texts.filter(lambda text: text.strip() == text and text != "")


@st.composite
def conversations(draw: Any) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    if draw(st.booleans()):
        messages.append({"role": "system", "content": draw(texts)})
    for _ in range(draw(st.integers(1, 4))):
        messages.append({"role": "user", "content": draw(texts)})
        message = {"role": "assistant", "content": draw(answers)}
        weight = draw(st.sampled_from([None, 0, 1]))
        if weight is not None:
            message["weight"] = weight
        messages.append(message)
    return messages


@pytest.fixture(scope="module")
def marked() -> RowEncoder:
    return RowEncoder(make_tokenizer(MARKED))


@pytest.fixture(scope="module")
def plain() -> RowEncoder:
    return RowEncoder(make_tokenizer(PLAIN))


def trained_text(encoder: RowEncoder, encoded: Encoded) -> str:
    pairs = zip(encoded.input_ids, encoded.mask, strict=True)
    return str(encoder.tokenizer.decode([token for token, flag in pairs if flag]))


def whole_text(encoder: RowEncoder, encoded: Encoded) -> str:
    return str(encoder.tokenizer.decode(encoded.input_ids))


@given(messages=conversations())
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_exactly_the_answers_and_their_end_are_trained_on(
    marked: RowEncoder, plain: RowEncoder, messages: list[dict[str, Any]]
) -> None:
    wanted = "".join(
        message["content"] + "<|end|>"
        for message in messages
        if message["role"] == "assistant" and message.get("weight") != 0
    )
    for encoder in (marked, plain):
        encoded = encoder.encode({"messages": messages})
        assert trained_text(encoder, encoded) == wanted
        assert len(encoded.mask) == len(encoded.input_ids)


@given(messages=conversations())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_markers_and_prefixes_lead_to_the_same_mask(
    marked: RowEncoder, plain: RowEncoder, messages: list[dict[str, Any]]
) -> None:
    assert marked.by_markers
    assert not plain.by_markers
    row = {"messages": messages}
    assert marked.encode(row) == plain.encode(row)


@given(messages=conversations())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_the_tokens_are_those_of_the_whole_rendering(
    plain: RowEncoder, messages: list[dict[str, Any]]
) -> None:
    turned = [{"role": m["role"], "content": m["content"]} for m in messages]
    text = plain.tokenizer.apply_chat_template(turned, tokenize=False)
    ids = plain.tokenizer(text, add_special_tokens=False)["input_ids"]
    assert plain.encode({"messages": messages}).input_ids == ids


def test_a_template_that_writes_the_same_message_in_two_ways_is_refused() -> None:
    encoder = RowEncoder(make_tokenizer(UNSTABLE))
    one = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    two = [*one, {"role": "user", "content": "c"}, {"role": "assistant", "content": "d"}]
    assert trained_text(encoder, encoder.encode({"messages": one})) == "hm b<|end|>"
    with pytest.raises(MaskError, match="differently depending on what follows") as caught:
        encoder.encode({"messages": two})
    assert caught.value.code == "template-not-stable"
    assert caught.value.path == "messages[1]"


def test_a_conversation_without_a_template_is_refused() -> None:
    encoder = RowEncoder(make_tokenizer(None))
    with pytest.raises(MaskError) as caught:
        encoder.encode({"messages": [{"role": "assistant", "content": "b"}]})
    assert caught.value.code == "no-chat-template"


def test_markers_around_the_wrong_passage_are_refused() -> None:
    wrong = (
        "{% for m in messages %}{% if m['role'] == 'user' %}{% generation %}{{ m['content'] }}"
        "{% endgeneration %}{% else %}{{ m['content'] }}{% endif %}{% endfor %}"
    )
    encoder = RowEncoder(make_tokenizer(wrong))
    messages = [{"role": "user", "content": "ask"}, {"role": "assistant", "content": "answer"}]
    with pytest.raises(MaskError) as caught:
        encoder.encode({"messages": messages})
    assert caught.value.code == "markers-do-not-match"


def test_a_template_that_refuses_the_row_is_named_as_the_cause() -> None:
    encoder = RowEncoder(make_tokenizer("{{ raise_exception('only two turns') }}"))
    with pytest.raises(MaskError, match="only two turns") as caught:
        encoder.encode({"messages": [{"role": "user", "content": "a"}]})
    assert caught.value.code == "template-refused"


def test_tools_reach_the_template_and_calls_are_trained_on(marked: RowEncoder) -> None:
    tool = {"type": "function", "function": {"name": "weather", "parameters": {}}}
    call = {"id": "1", "type": "function", "function": {"name": "weather", "arguments": '{"a": 1}'}}
    row = {
        "messages": [
            {"role": "user", "content": "rain?"},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "content": "yes", "tool_call_id": "1"},
            {"role": "assistant", "content": "Yes."},
        ],
        "tools": [tool],
    }
    encoded = marked.encode(row)
    assert '"name": "weather"' in whole_text(marked, encoded)
    assert trained_text(marked, encoded) == 'weather{"a": 1}<|end|>Yes.<|end|>'


def test_an_image_is_refused_with_its_place(marked: RowEncoder) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    with pytest.raises(MaskError) as caught:
        marked.encode({"messages": [{"role": "user", "content": [image]}]})
    assert caught.value.code == "image-in-text-model"
    assert caught.value.path == "messages[0].content[0]"


def test_only_the_completion_is_trained_on(plain: RowEncoder) -> None:
    encoded = plain.encode({"prompt": "one two", "completion": " three"})
    assert trained_text(plain, encoded) == " three<|end|>"
    assert whole_text(plain, encoded) == "one two three<|end|>"


def test_a_conversational_completion_leaves_earlier_answers_out(marked: RowEncoder) -> None:
    row = {
        "prompt": [
            {"role": "user", "content": "a"},
            {"role": "assistant", "content": "b"},
            {"role": "user", "content": "c"},
        ],
        "completion": [{"role": "assistant", "content": "d"}],
    }
    assert trained_text(marked, marked.encode(row)) == "d<|end|>"


def test_plain_text_is_trained_on_whole_and_ends(plain: RowEncoder) -> None:
    encoded = plain.encode({"text": "all of it"})
    assert trained_text(plain, encoded) == "all of it<|end|>"


def test_loss_on_all_trains_on_the_whole_conversation() -> None:
    encoder = RowEncoder(make_tokenizer(MARKED), loss_on="all")
    encoded = encoder.encode({"messages": [{"role": "user", "content": "a"}]})
    assert encoded.mask == [1] * len(encoded.input_ids)


def test_a_row_of_no_known_form_is_refused(plain: RowEncoder) -> None:
    with pytest.raises(MaskError) as caught:
        plain.encode({"question": "?"})
    assert caught.value.code == "unknown-row-form"


def test_markers_are_found_with_and_without_white_space_control() -> None:
    assert has_markers("{% generation %}x{% endgeneration %}")
    assert has_markers("{%- generation -%}x{%- endgeneration -%}")
    assert not has_markers(PLAIN)
    assert not has_markers(None)


def test_a_template_that_does_not_train_the_end_of_a_turn_is_noticed(marked: RowEncoder) -> None:
    row = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}
    assert stop_token_is_trained(marked, row)
    early = MARKED.replace(
        "{{- '<|end|>' }}{% endgeneration %}", "{% endgeneration %}{{- '<|end|>' }}"
    )
    assert not stop_token_is_trained(RowEncoder(make_tokenizer(early)), row)


@given(messages=conversations())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_the_mask_is_the_one_that_transformers_finds_by_the_markers(
    marked: RowEncoder, messages: list[dict[str, Any]]
) -> None:
    """An independent reading of the same markers; transformers knows no weights."""
    turned = [{"role": m["role"], "content": m["content"]} for m in messages]
    theirs = marked.tokenizer.apply_chat_template(
        turned, return_dict=True, return_assistant_tokens_mask=True
    )
    ours = marked.encode({"messages": turned})
    assert ours.input_ids == theirs["input_ids"]
    assert ours.mask == theirs["assistant_masks"]


LOOSE = (
    "{% for m in messages %}{{ m['role'] + ':' + m['content'] + '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'assistant:' }}{% endif %}"
)
"""No special token stands between the header and the answer."""


def test_a_token_that_spans_the_border_of_an_answer_is_not_guessed_about() -> None:
    messages = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "no"}]
    apart = RowEncoder(make_tokenizer(LOOSE))
    assert trained_text(apart, apart.encode({"messages": messages})) == "no\n"
    merged = RowEncoder(make_tokenizer(LOOSE, merges=[(":", "n")]))
    with pytest.raises(MaskError, match="a token spans the border") as caught:
        merged.encode({"messages": messages})
    assert caught.value.code == "template-not-stable"


def test_a_completion_never_shares_a_token_with_its_prompt() -> None:
    encoder = RowEncoder(make_tokenizer(None, merges=[("a", "b")]))
    encoded = encoder.encode({"prompt": "xa", "completion": "by"})
    assert trained_text(encoder, encoded) == "by<|end|>"
    assert encoded.mask == [0, 0, 1, 1, 1]

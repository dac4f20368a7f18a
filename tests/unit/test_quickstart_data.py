"""The quickstart's rows and the base model that ships with them."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunekit.quickstart import recipe_words
from tunekit.quickstart.recipes import (
    SYSTEM_PROMPT,
    Row,
    exact_match,
    generate,
    part_of,
    quickstart_split,
    sentences,
    shared_sentences,
)

BASE = Path(str(resources.files("tunekit.quickstart") / "base"))
seeds = st.integers(min_value=0, max_value=2**32)
names = st.lists(st.text(max_size=12), max_size=6)


def texts(row: Row) -> tuple[str, str, str]:
    system, user, assistant = (message["content"] for message in row["messages"])
    return system, user, assistant


def test_a_row_is_a_system_a_user_and_an_assistant_message() -> None:
    row = generate(1)[0]
    assert [message["role"] for message in row["messages"]] == ["system", "user", "assistant"]
    system, user, assistant = texts(row)
    assert system == SYSTEM_PROMPT
    assert user.startswith("Title: ")
    assert user.endswith("\n\nGeneric ingredients:")
    assert isinstance(json.loads(assistant), list)


def test_several_thousand_rows_are_distinct() -> None:
    rows = generate(4000)
    assert len({texts(row)[1] for row in rows}) == len(rows) == 4000


@settings(max_examples=20, deadline=None)
@given(seed=seeds)
def test_the_same_seed_gives_the_same_rows_and_more_rows_only_add_to_them(seed: int) -> None:
    assert generate(5, seed=seed) == generate(8, seed=seed)[:5]


def test_another_seed_gives_other_rows() -> None:
    assert generate(20, seed=1) != generate(20, seed=2)


@settings(max_examples=20, deadline=None)
@given(seed=seeds)
def test_the_answer_names_different_ingredients_in_the_order_of_the_lines(seed: int) -> None:
    for row in generate(10, seed=seed):
        _, user, assistant = texts(row)
        answer = json.loads(assistant)
        assert len(set(answer)) == len(answer) >= 2
        lines = user.split("Ingredients:\n")[1]
        place = 0
        for name in answer:
            place = lines.index(name, place) + len(name)


@settings(max_examples=5, deadline=None)
@given(seed=seeds)
def test_no_two_parts_of_a_split_share_a_sentence(seed: int) -> None:
    train, validation, test = quickstart_split(60, 20, 30, seed=seed)
    assert (len(train), len(validation), len(test)) == (60, 20, 30)
    assert not shared_sentences(train, test)
    assert not shared_sentences(train, validation)
    assert not shared_sentences(validation, test)


def test_no_sentence_of_the_quickstarts_own_split_is_shared() -> None:
    train, validation, test = quickstart_split()
    assert not shared_sentences(train, [*validation, *test])
    assert len(test) >= 200


@settings(max_examples=5, deadline=None)
@given(first=seeds, second=seeds)
def test_parts_of_different_seeds_share_no_sentence_either(first: int, second: int) -> None:
    train, _, _ = quickstart_split(40, 1, 1, seed=first)
    _, _, test = quickstart_split(1, 1, 40, seed=second)
    assert not shared_sentences(train, test)


def test_the_sentences_of_a_row_are_its_title_lines_and_answer() -> None:
    row = {
        "messages": [
            {"role": "system", "content": SYSTEM_PROMPT},
            {
                "role": "user",
                "content": "Title: Plain Soup\n\nIngredients:\n2 c. water\nsalt to taste\n\n"
                "Generic ingredients:",
            },
            {"role": "assistant", "content": '["water", "salt"]'},
        ]
    }
    assert sentences(row) == {"Plain Soup", "2 c. water", "salt to taste", '["water", "salt"]'}


def test_a_sentence_that_two_lists_of_rows_share_is_named() -> None:
    rows = generate(10)
    assert shared_sentences(rows[:6], rows[5:]) >= sentences(rows[5])


@given(sentence=st.text())
def test_every_sentence_belongs_to_one_part(sentence: str) -> None:
    assert part_of(sentence) in {"train", "validation", "test"}


def test_every_ingredient_of_the_held_out_rows_is_taught() -> None:
    """The task asks for known ingredients in unknown sentences."""
    train, _, test = quickstart_split()
    taught, asked = (
        {name for row in rows for name in json.loads(texts(row)[2])} for rows in (train, test)
    )
    assert len(taught) > 400
    assert asked <= taught


def test_no_dropped_word_before_a_name_makes_another_ingredient() -> None:
    """Else the same line would have two right answers."""
    groups = recipe_words.GROUPS.values()
    known = {form for group in groups for name in group.names for form in name.split("|")}
    for group in groups:
        forms = [form for name in group.names for form in name.split("|")]
        for form in forms:
            for word in group.before:
                assert f"{word} {form}" not in known
                assert not {f"{word} {other} {form}" for other in group.before} & known


def test_every_dish_is_made_of_known_groups() -> None:
    assert {group for _, used in recipe_words.DISHES.values() for group in used} == set(
        recipe_words.GROUPS
    )


@given(answer=names)
def test_a_list_matches_itself_however_it_is_spaced(answer: list[str]) -> None:
    assert exact_match(json.dumps(answer, indent=1), json.dumps(answer))


@given(answer=names, expected=names)
def test_two_lists_match_only_when_equal(answer: list[str], expected: list[str]) -> None:
    assert exact_match(json.dumps(answer), json.dumps(expected)) == (answer == expected)


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "salt, pepper",
        '["salt", "pepper"',
        '["salt", "pepper"] and more',
        '["pepper", "salt"]',
        '["salt"]',
        '["Salt", "pepper"]',
        '{"salt": "pepper"}',
        '"salt"',
        "null",
    ],
)
def test_anything_but_the_same_json_list_is_a_miss(answer: str) -> None:
    assert not exact_match(answer, '["salt", "pepper"]')


@pytest.mark.parametrize("expected", ["salt", '{"salt": 1}', ""])
def test_an_expected_answer_that_is_no_json_list_is_refused(expected: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - json's own error or ours, both ValueError
        exact_match('["salt"]', expected)


def test_the_base_is_a_small_folder_of_data_files() -> None:
    files = {path.name: path.stat().st_size for path in BASE.iterdir()}
    assert {
        "README.md",
        "chat_template.jinja",
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    } == set(files)
    assert sum(files.values()) < 6_000_000


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    transformers = pytest.importorskip("transformers")
    return transformers.AutoTokenizer.from_pretrained(BASE, local_files_only=True)


@pytest.mark.torch
def test_the_base_loads_from_safetensors_alone_in_single_precision() -> None:
    transformers = pytest.importorskip("transformers")
    torch = pytest.importorskip("torch")
    model = transformers.AutoModelForCausalLM.from_pretrained(
        BASE, local_files_only=True, use_safetensors=True, trust_remote_code=False
    )
    assert 1_000_000 <= model.num_parameters() <= 4_000_000
    assert model.dtype == torch.float32


@pytest.mark.torch
def test_the_template_marks_what_the_assistant_writes(tokenizer: Any) -> None:
    for row in generate(20):
        out = tokenizer.apply_chat_template(
            row["messages"], return_dict=True, return_assistant_tokens_mask=True
        )
        marked = [
            token
            for token, mask in zip(out["input_ids"], out["assistant_masks"], strict=True)
            if mask
        ]
        assert tokenizer.decode(marked) == texts(row)[2] + tokenizer.eos_token


@pytest.mark.torch
def test_the_prompt_is_the_beginning_of_the_whole_chat(tokenizer: Any) -> None:
    for row in generate(20):
        prompt = tokenizer.apply_chat_template(
            row["messages"][:-1], tokenize=False, add_generation_prompt=True
        )
        whole = tokenizer.apply_chat_template(row["messages"], tokenize=False)
        assert whole == f"{prompt}{texts(row)[2]}{tokenizer.eos_token}\n"


@pytest.mark.torch
@settings(max_examples=100, deadline=None)
@given(text=st.text(max_size=60))
def test_any_text_survives_the_tokenizer(tokenizer: Any, text: str) -> None:
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert tokenizer.decode(ids, skip_special_tokens=False) == text

"""What the hosted services accept, and the rules about whole files that follow from it."""

from __future__ import annotations

from typing import Any

import pytest

from tunekit.data.checks.bounds import Figures, check_bounds, validation_is_given
from tunekit.data.checks.options import CheckOptions
from tunekit.data.limits import ROW_TOKENS, DataLimits, published_limits
from tunekit.problems import Severity


def limits(service: str, **more: str) -> DataLimits:
    found = published_limits(service, **more)
    assert found is not None
    return found


def found(figures: Figures, **options: Any) -> list[str]:
    return [problem.code for problem in check_bounds(figures, CheckOptions(**options))]


@pytest.mark.parametrize("service", ["openai", "azure"])
@pytest.mark.parametrize("method", [None, "supervised", "dpo", "reinforcement"])
def test_every_figure_has_its_source_and_date(service: str, method: str | None) -> None:
    published = published_limits(service, method=method)
    assert published is not None
    assert published.service
    assert published.source
    assert published.as_of == "2026-11-23"
    assert (published.min_rows, published.max_bytes) == (10, 512 * 1024 * 1024)
    assert published.images == (method != "dpo")


def test_a_service_that_is_not_known_has_no_limits() -> None:
    assert published_limits("nobody") is None


def test_services_differ_where_their_pages_do() -> None:
    assert (limits("openai").max_row_images, limits("azure").max_row_images) == (10, 64)
    assert (limits("openai").max_job_tokens, limits("azure").max_job_tokens) == (None, 2 * 10**9)
    prompts = limits("azure", method="reinforcement")
    assert (prompts.max_rows, prompts.max_validation_rows) == (50_000, 1_000)
    assert prompts.validation_required
    assert not prompts.system_messages
    assert limits("openai", method="reinforcement").system_messages
    assert limits("azure", method="supervised").system_messages


@pytest.mark.parametrize(
    ("model", "tokens"),
    [
        ("gpt-4.1-mini-2025-04-14", 65_536),
        ("ft:gpt-4.1-2025-04-14:acme:soup:abc", 65_536),
        ("gpt-4o-mini-2024-07-18.ft-0a1b", 65_536),
        ("gpt-4o-2024-08-06", 65_536),
        ("gpt-35-turbo-0613", 4_096),
        ("gpt-3.5-turbo-0125", 16_385),
        ("gpt-4o-2024-11-20", None),
        ("gpt-4.15", None),
        ("my-own", None),
    ],
)
def test_bound_on_tokens_of_a_row_follows_the_base_model(model: str, tokens: int | None) -> None:
    published = limits("openai", model=model)
    assert published.max_row_tokens == tokens
    assert published.row_tokens_unknown == ("" if tokens else model)
    unknown = [] if tokens else ["token-limit-unknown"]
    assert found(Figures(rows=10), limits=published) == unknown


def test_every_model_of_the_table_is_found_by_its_own_name() -> None:
    assert {name: limits("azure", model=name).max_row_tokens for name in ROW_TOKENS} == ROW_TOKENS


def test_no_rows_are_an_error_for_everybody() -> None:
    assert found(Figures(rows=0)) == ["no-rows"]
    assert found(Figures(rows=0), limits=limits("openai"), role="validation") == ["no-rows"]


def test_few_rows_are_a_warning_unless_a_service_refuses_them() -> None:
    (problem,) = check_bounds(Figures(rows=9), CheckOptions())
    assert (problem.code, problem.severity) == ("few-rows", Severity.WARNING)
    (problem,) = check_bounds(Figures(rows=9), CheckOptions(limits=limits("openai")))
    assert (problem.code, problem.severity) == ("too-few-rows", Severity.ERROR)
    assert found(Figures(rows=10), limits=limits("openai")) == []


@pytest.mark.parametrize("role", ["validation", "test"])
def test_only_training_data_has_a_least_number_of_rows(role: str) -> None:
    assert found(Figures(rows=1), role=role) == []
    assert found(Figures(rows=1), role=role, limits=limits("openai")) == []


def test_too_many_rows_are_refused_for_each_use() -> None:
    prompts = limits("azure", method="reinforcement")
    assert found(Figures(rows=50_000), limits=prompts) == []
    assert found(Figures(rows=50_001), limits=prompts) == ["too-many-rows"]
    assert found(Figures(rows=1_001), limits=prompts, role="validation") == ["too-many-rows"]
    assert found(Figures(rows=1_001), limits=prompts, role="test") == []


def test_bytes_and_rows_with_images_have_their_bounds() -> None:
    azure = limits("azure")
    most = 512 * 1024 * 1024
    assert found(Figures(rows=10, bytes=most), limits=azure) == []
    assert found(Figures(rows=10, bytes=most + 1), limits=azure) == ["file-too-large"]
    assert found(Figures(rows=60_000, image_rows=50_001), limits=azure) == ["too-many-image-rows"]


def test_validation_data_is_missed_only_where_it_is_wanted() -> None:
    prompts = CheckOptions(limits=limits("openai", method="reinforcement"))
    assert [p.code for p in validation_is_given(False, prompts)] == ["validation-missing"]
    assert list(validation_is_given(True, prompts)) == []
    assert list(validation_is_given(False, CheckOptions(limits=limits("openai")))) == []

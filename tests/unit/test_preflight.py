"""Everything that is wrong with a launch, at once, before anything is sent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest
from pydantic import Field
from typing_extensions import override

from tunekit.capabilities import Capability, Support, no, partial
from tunekit.client import Client, connect
from tunekit.config import Config
from tunekit.data import Dataset, DataSummary
from tunekit.engine.preflight import check_capabilities, preflight
from tunekit.errors import BudgetExceededError, DataError, PreflightError
from tunekit.problems import Problem, Report, Severity
from tunekit.providers.base import Estimate, ProviderOptions, SupportsDataCheck
from tunekit.spec import DPO, RFT, SFT, FineTuneSpec, LoRA, Quantization
from tunekit.testing import FakeProvider, VirtualClock

GRADER = {"type": "string_check"}
TEXT = [{"text": f"Salt number {n}."} for n in range(12)]
PAIRS = [{"prompt": f"Salt {n}?", "completion": "Yes."} for n in range(12)]
PREFERENCES = [
    {
        "input": {"messages": [{"role": "user", "content": f"Salt {n}?"}]},
        "preferred_output": [{"role": "assistant", "content": "Yes."}],
        "non_preferred_output": [{"role": "assistant", "content": "No."}],
    }
    for n in range(12)
]
TOOL = {"type": "function", "function": {"name": "weigh", "parameters": {"type": "object"}}}


def chat(**message: Any) -> list[dict[str, Any]]:
    return [
        {
            "messages": [
                {"role": "user", "content": f"Salt {n}?"},
                {"role": "assistant", "content": "Yes.", **message},
            ]
        }
        for n in range(12)
    ]


IMAGE = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
IMAGES = [
    {
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": f"What is {n}?"}, IMAGE]},
            {"role": "assistant", "content": "Salt."},
        ]
    }
    for n in range(12)
]

PROMPTS = [
    {"messages": [{"role": "user", "content": f"Salt {n}?"}], "answer": "yes"} for n in range(12)
]

Answers = Callable[..., FakeProvider]


class Options(ProviderOptions):
    packing: bool = False
    rank: int = Field(default=8, ge=1)


@pytest.fixture
def answering(home: Path, clock: VirtualClock) -> Answers:
    """Make a provider that answers as told for some capabilities."""

    def make(answers: Mapping[Capability, Support] | None = None) -> FakeProvider:
        class Answering(FakeProvider):
            capabilities: ClassVar[Mapping[Capability, Support]] = {
                **FakeProvider.capabilities,
                **(answers or {}),
            }
            Options: ClassVar[type[ProviderOptions]] = Options

        return Answering(home=home, clock=clock)

    return make


ASKING: dict[Capability, tuple[dict[str, Any], list[dict[str, Any]]]] = {
    Capability.SFT: ({}, chat()),
    Capability.DPO: ({"method": DPO()}, PREFERENCES),
    Capability.RFT: ({"method": RFT(grader=GRADER)}, PROMPTS),
    Capability.TOOLS: ({}, [{**row, "tools": [TOOL]} for row in chat()]),
    Capability.IMAGES: ({}, IMAGES),
    Capability.MESSAGE_WEIGHTS: ({}, chat(weight=1)),
    Capability.PROMPT_COMPLETION: ({}, PAIRS),
    Capability.PLAIN_TEXT: ({}, TEXT),
    Capability.SUFFIX: ({"suffix": "s"}, chat()),
    Capability.SEED: ({"seed": 0}, chat()),
    Capability.METADATA: ({"metadata": {"a": "b"}}, chat()),
    Capability.FULL_WEIGHTS: ({"adapter": "none"}, chat()),
    Capability.LORA: ({"adapter": LoRA()}, chat()),
    Capability.QUANTIZATION: ({"quantization": Quantization()}, chat()),
}


@pytest.mark.parametrize("level", ["no", "partial"])
@pytest.mark.parametrize("capability", ASKING)
def test_what_a_provider_cannot_do_is_refused_and_what_it_does_in_part_is_a_warning(
    answering: Answers, capability: Capability, level: Literal["no", "partial"]
) -> None:
    values, rows = ASKING[capability]
    answer = (no if level == "no" else partial)("it is Tuesday")
    report = preflight(
        answering({Capability.RFT: Support("yes"), capability: answer}),
        FineTuneSpec(model="m", **values),
        Dataset.from_records(rows),
    )
    prefix = "unsupported" if level == "no" else "limited"
    code = f"{prefix}-{capability.value.replace('_', '-')}"
    (found,) = (problem for problem in report if problem.code == code)
    assert found.severity is (Severity.ERROR if level == "no" else Severity.WARNING)
    assert "it is Tuesday" in found.message
    assert found.path
    assert report.ok is (level == "partial")


@pytest.mark.parametrize("capability", ASKING)
def test_what_is_not_asked_for_is_not_refused(answering: Answers, capability: Capability) -> None:
    others = {other: no("never") for other in ASKING if other is not capability}
    if capability is not Capability.SFT:
        others.pop(Capability.SFT)  # what most of these requests train with
    values, rows = ASKING[capability]
    report = preflight(
        answering({**others, Capability.RFT: Support("yes")}),
        FineTuneSpec(model="m", **values),
        Dataset.from_records(rows),
    )
    assert not [p for p in report if p.code.startswith("unsupported")], str(report)


def test_validation_data_must_be_possible(
    answering: Answers, spec: FineTuneSpec, train: Dataset, validation: Dataset
) -> None:
    provider = answering({Capability.VALIDATION: no("it never looks")})
    assert preflight(provider, spec, train).ok
    report = preflight(provider, spec, train, validation)
    assert [problem.code for problem in report.errors] == ["unsupported-validation"]


def test_every_problem_of_data_spec_options_and_capabilities_comes_at_once(
    answering: Answers, tmp_path: Path
) -> None:
    path = tmp_path / "broken.jsonl"
    good = '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}'
    path.write_text(f'{good}\nnonsense\n{{"messages": []}}\n')

    class Strict(type(answering({Capability.SEED: no("there is no dice")}))):  # type: ignore[misc]
        @override
        def check(self, spec: FineTuneSpec, data: DataSummary) -> list[Problem]:
            return [Problem(code="too-few", message="At least ten rows.")]

    provider = Strict(home=tmp_path)
    bad_options = {"fake": {"pakcing": True, "rank": 0}}
    spec = FineTuneSpec(model="m", seed=1, options=bad_options)
    report = preflight(provider, spec, Dataset.from_jsonl(path))
    assert {problem.line for problem in report if problem.line} == {2, 3}
    codes = [problem.code for problem in report.errors]
    assert codes.count("bad-option") == 2
    assert "unsupported-seed" in codes
    assert "too-few" not in codes  # a provider may rely on its options being valid

    report = preflight(provider, spec.model_copy(update={"options": {}}), Dataset.from_jsonl(path))
    assert {"too-few", "unsupported-seed"} <= {problem.code for problem in report.errors}
    assert {problem.line for problem in report if problem.line} == {2, 3}


def test_a_bad_option_names_its_path_and_the_nearest(answering: Answers, train: Dataset) -> None:
    spec = FineTuneSpec(model="m", options={"fake": {"pakcing": True}})
    (problem,) = preflight(answering(), spec, train).errors
    assert problem.path == "spec.options.fake.pakcing"
    assert str(problem).endswith("Unknown setting 'pakcing'. Did you mean 'packing'? [bad-option]")


def test_options_of_other_providers_are_left_alone(answering: Answers, train: Dataset) -> None:
    spec = FineTuneSpec(model="m", options={"azure": {"no-such": 1}, "fake": {"rank": 4}})
    assert preflight(answering(), spec, train).ok


def test_data_that_cannot_be_told_apart_is_a_problem_and_not_an_exception(
    answering: Answers, spec: FineTuneSpec
) -> None:
    for rows in ([], [{"question": "a"}]):
        report = preflight(answering(), spec, Dataset.from_records(rows))
        assert not report.ok


def test_data_that_is_gone_after_a_check_with_warnings_is_refused(
    answering: Answers, spec: FineTuneSpec, train: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    twice = Dataset.from_records([*train, *train])  # equal rows are a warning

    def gone(self: Dataset) -> None:
        raise DataError("There is nothing left.")

    monkeypatch.setattr(Dataset, "summary", gone)
    report = preflight(answering(), spec, twice)
    assert report.warnings
    assert [problem.code for problem in report.errors] == ["unreadable-data"]


def test_rows_that_stand_in_both_files_are_found(
    answering: Answers, spec: FineTuneSpec, train: Dataset
) -> None:
    report = preflight(answering(), spec, train, train.take(2))
    assert any("valid" in str(problem) for problem in report), str(report)


def test_a_provider_that_sees_rows_as_the_model_does_is_asked_last(
    home: Path, spec: FineTuneSpec, train: Dataset
) -> None:
    class Looking(FakeProvider, SupportsDataCheck):
        @override
        def check_data(
            self, spec: FineTuneSpec, train: Dataset, validation: Dataset | None
        ) -> list[Problem]:
            return [Problem(code="too-long", message="Row 3 is too long.")]

    codes = [p.code for p in preflight(Looking(home=home), spec, train)]
    assert codes == ["too-long"]
    broken = Dataset.from_records([{"messages": []}])
    assert "too-long" not in [p.code for p in preflight(Looking(home=home), spec, broken)]


def test_one_capability_is_named_once_however_many_splits_need_it(
    answering: Answers, spec: FineTuneSpec
) -> None:
    provider = answering({Capability.PLAIN_TEXT: no("only chats")})
    data = Dataset.from_records(TEXT)
    report = preflight(provider, spec, data, Dataset.from_records([{"text": "Pepper."}]))
    assert [p.code for p in report.errors].count("unsupported-plain-text") == 1


def test_capabilities_can_be_checked_from_a_summary_alone(
    answering: Answers, train: Dataset
) -> None:
    summary = DataSummary(train=train.summary(), validation=None)
    spec = FineTuneSpec(model="m", method=SFT(), seed=3)
    provider = answering({Capability.SEED: partial("the order of rows only")})
    assert Report.of(check_capabilities(provider, spec, summary)).warnings


# -- budget ------------------------------------------------------------------------------------


@pytest.fixture
def on_a_budget(provider: FakeProvider, clock: VirtualClock, tmp_path: Path) -> Client:
    path = tmp_path / "tunekit.toml"
    path.write_text("[budget]\nmax_usd_per_job = 0.01\n")
    return connect(provider=provider, config=Config(path, environ={}), clock=clock)


def test_a_launch_over_budget_is_refused_before_anything_is_sent(
    on_a_budget: Client, provider: FakeProvider, spec: FineTuneSpec, train: Dataset
) -> None:
    with pytest.raises(BudgetExceededError, match="more than `max_usd_per_job` allows") as caught:
        on_a_budget.fine_tune(spec, train)
    assert isinstance(caught.value, PreflightError)
    assert not provider.calls
    assert on_a_budget.session.ledger.runs() == []


def test_a_launch_within_the_budget_goes_on(
    on_a_budget: Client, provider: FakeProvider, spec: FineTuneSpec, train: Dataset
) -> None:
    provider.estimate = lambda *_: Estimate(usd=0.01)  # type: ignore[method-assign]
    assert on_a_budget.check(spec, train).ok
    assert on_a_budget.fine_tune(spec, train).id in provider.jobs


def test_a_check_says_what_the_budget_says(
    on_a_budget: Client, spec: FineTuneSpec, train: Dataset
) -> None:
    report = on_a_budget.check(spec, train)
    assert [problem.code for problem in report.errors] == ["budget-exceeded"]


def test_a_run_that_exists_is_returned_whatever_the_budget_says_now(
    on_a_budget: Client,
    client: Client,
    provider: FakeProvider,
    spec: FineTuneSpec,
    train: Dataset,
) -> None:
    job = client.fine_tune(spec, train, run="r")
    assert on_a_budget.fine_tune(spec, train, run="r").id == job.id


def test_a_check_sends_nothing(
    client: Client, provider: FakeProvider, spec: FineTuneSpec, train: Dataset
) -> None:
    assert client.check(spec, train)
    assert not provider.calls
    assert not provider.home.exists()

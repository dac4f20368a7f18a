"""Every provider answers for every capability."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import pytest

from tunekit.capabilities import YES, Capability, Support, missing_answers, no, partial
from tunekit.providers.base import FineTuneProvider

COMPLETE = dict.fromkeys(Capability, YES)


def provider_class(**members: Any) -> type:
    return type("Made", (FineTuneProvider,), {"name": "made", **members})


@pytest.mark.parametrize("left_out", list(Capability))
def test_a_provider_that_leaves_a_capability_out_is_refused(left_out: Capability) -> None:
    answers = {key: value for key, value in COMPLETE.items() if key is not left_out}
    with pytest.raises(TypeError, match=rf"Made.capabilities .* missing: {left_out.value}$"):
        provider_class(capabilities=answers)


@pytest.mark.parametrize("unexplained", [no(""), partial(""), Support("no")])
def test_a_no_or_partial_without_a_reason_is_refused(unexplained: Support) -> None:
    with pytest.raises(TypeError, match=r"pause \(no reason given\)"):
        provider_class(capabilities={**COMPLETE, Capability.PAUSE: unexplained})


def test_a_provider_without_any_answer_is_refused() -> None:
    with pytest.raises(TypeError, match="must answer for every capability"):
        provider_class()


def test_a_complete_provider_is_accepted() -> None:
    answers = {**COMPLETE, Capability.RFT: no("no graders"), Capability.SEED: partial("often")}
    assert provider_class(capabilities=answers)


def test_an_abstract_step_on_the_way_needs_no_answers() -> None:
    class Step(FineTuneProvider):
        @abstractmethod
        def command(self) -> str: ...

    assert not hasattr(Step, "name")
    with pytest.raises(TypeError, match="capabilities must answer"):
        type("Concrete", (Step,), {"name": "concrete"})


def test_answers_are_inherited() -> None:
    base = provider_class(capabilities=COMPLETE)
    assert type("Child", (base,), {"name": "child"})


def test_support_is_true_unless_it_is_no() -> None:
    assert YES
    assert partial("sometimes")
    assert not no("never")
    assert str(YES) == "yes"
    assert str(no("never")) == "no: never"


def test_all_missing_answers_are_named_at_once() -> None:
    assert missing_answers({}) == [capability.value for capability in Capability]

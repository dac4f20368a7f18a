"""What may be asked for, and that it stays the same on its way."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tunekit.spec import DPO, RFT, SFT, FineTuneSpec, LoRA, Quantization, fingerprint

GRADER = {"type": "string_check", "name": "g", "input": "a", "reference": "b", "operation": "eq"}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
methods = st.one_of(
    st.builds(SFT, n_epochs=st.just("auto") | st.integers(1, 50)),
    st.builds(DPO, beta=st.just("auto") | st.floats(0.001, 2)),
    st.builds(RFT, grader=st.just(GRADER), eval_interval=st.just("auto") | st.integers(1, 9)),
)
specs = st.builds(
    FineTuneSpec,
    model=st.text(min_size=1, max_size=20),
    method=methods,
    suffix=st.none() | st.text(min_size=1, max_size=64),
    seed=st.none() | st.integers(0, 2147483647),
    metadata=st.dictionaries(
        st.text(min_size=1, max_size=64).filter(lambda key: key != "tunekit_tag"),
        st.text(max_size=30),
        max_size=15,
    ),
    adapter=st.sampled_from(["auto", "none"]) | st.builds(LoRA, r=st.integers(1, 4096)),
    quantization=st.none() | st.builds(Quantization, bits=st.sampled_from([4, 8])),
    options=st.dictionaries(st.text(min_size=1), st.dictionaries(st.text(), json_values)),
)


@given(specs)
def test_a_spec_goes_through_json_unchanged(spec: FineTuneSpec) -> None:
    assert FineTuneSpec.model_validate_json(spec.model_dump_json()) == spec


@pytest.mark.parametrize(
    ("cls", "values"),
    [
        (SFT, {"n_epochs": 0}),
        (SFT, {"n_epochs": 51}),
        (SFT, {"n_epochs": "some"}),
        (SFT, {"batch_size": 257}),
        (SFT, {"learning_rate_multiplier": 0}),
        (SFT, {"learning_rate_multiplier": float("inf")}),
        (SFT, {"learning_rate_multiplier": float("nan")}),
        (SFT, {"epochs": 3}),
        (DPO, {"beta": 2.1}),
        (DPO, {"beta": 0}),
        (RFT, {}),
        (RFT, {"grader": GRADER, "compute_multiplier": 11}),
        (LoRA, {"r": 0}),
        (LoRA, {"dropout": 1.0}),
        (LoRA, {"alpha": float("inf")}),
        (Quantization, {"bits": 3}),
        (FineTuneSpec, {"model": ""}),
        (FineTuneSpec, {"model": "m", "suffix": "x" * 65}),
        (FineTuneSpec, {"model": "m", "seed": -1}),
        (FineTuneSpec, {"model": "m", "seed": 2**31}),
        (FineTuneSpec, {"model": "m", "metadata": {"k" * 65: "v"}}),
        (FineTuneSpec, {"model": "m", "metadata": {"k": "v" * 513}}),
        (FineTuneSpec, {"model": "m", "learning_rate": 1}),
    ],
)
def test_what_is_out_of_bounds_or_unknown_is_refused(cls: Any, values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        cls(**values)


def test_the_tag_belongs_to_tunekit_and_takes_one_of_sixteen_places() -> None:
    with pytest.raises(ValidationError, match="written by tunekit itself"):
        FineTuneSpec(model="m", metadata={"tunekit_tag": "x"})
    with pytest.raises(ValidationError, match="at most 15 pairs"):
        FineTuneSpec(model="m", metadata={str(n): "" for n in range(16)})
    assert FineTuneSpec(model="m", metadata={str(n): "" for n in range(15)})


def test_a_spec_does_not_change() -> None:
    spec = FineTuneSpec(model="m")
    with pytest.raises(ValidationError, match="frozen"):
        spec.model = "other"  # type: ignore[misc]
    assert spec.with_model("other").model == "other"
    assert spec.model == "m"


def test_alpha_is_twice_the_rank_unless_it_is_given() -> None:
    assert LoRA(r=8).scale_alpha == 16.0
    assert LoRA(r=8, alpha=4).scale_alpha == 4.0


@given(st.dictionaries(st.text(), json_values))
def test_a_fingerprint_does_not_depend_on_the_order_of_keys(value: dict[str, Any]) -> None:
    shuffled = dict(reversed(value.items()))
    assert fingerprint("a", value) == fingerprint("a", shuffled)
    assert len(fingerprint(value)) == 64


def test_a_fingerprint_tells_values_and_their_order_apart() -> None:
    marks = {fingerprint(1, 2), fingerprint(2, 1), fingerprint([1, 2]), fingerprint("1", "2")}
    assert len(marks) == 4


def test_the_fingerprint_of_a_spec_is_that_of_its_json() -> None:
    spec = FineTuneSpec(model="m", method=DPO(beta=0.1))
    again = FineTuneSpec.model_validate(json.loads(spec.model_dump_json()))
    assert fingerprint(spec.model_dump(mode="json")) == fingerprint(again.model_dump(mode="json"))

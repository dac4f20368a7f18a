"""What "auto" becomes, and that each choice has its reason."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunekit.providers.trl.faults import TrainingFault
from tunekit.providers.trl.options import TrlOptions
from tunekit.providers.trl.recipe import (
    GIB,
    DataShape,
    Hardware,
    ModelShape,
    Recipe,
    activation_bytes,
    disk_bytes,
    lora_of,
    resolve,
)
from tunekit.spec import SFT, FineTuneSpec, LoRA, Quantization

CPU = Hardware("cpu", memory_bytes=16 * GIB)
A100 = Hardware("cuda", memory_bytes=40 * GIB, bf16=True)
SMALL = ModelShape(600_000_000, 28, 1024, 151_936, 32_768)
LARGE = ModelShape(8_000_000_000, 32, 4096, 128_256, 8_192)


def choose(
    spec: FineTuneSpec | None = None,
    *,
    hardware: Hardware = CPU,
    model: ModelShape = SMALL,
    rows: int = 200,
    longest: int = 100,
    validation: bool = False,
    **options: Any,
) -> Recipe:
    return resolve(
        (spec or FineTuneSpec(model="m")).model_dump(mode="json"),
        TrlOptions(**options).model_dump(mode="json"),
        hardware=hardware,
        model=model,
        data=DataShape(rows, longest, rows * longest, validation),
    )


def test_auto_is_three_epochs_of_an_adapter_at_the_base_rate() -> None:
    recipe = choose()
    assert recipe["n_epochs"] == 3
    assert recipe["adapter"] == "lora"
    assert recipe["learning_rate"] == 2e-4
    assert recipe["lora_target_modules"] == "all-linear"
    assert recipe["lora_alpha"] == 2 * recipe["lora_r"]


def test_all_weights_have_a_tenth_of_the_adapters_base_rate() -> None:
    assert choose(FineTuneSpec(model="m", adapter="none"))["learning_rate"] == 2e-5


def test_the_multiplier_multiplies_the_base_and_the_option_overrules_it() -> None:
    spec = FineTuneSpec(model="m", method=SFT(learning_rate_multiplier=0.5))
    assert choose(spec)["learning_rate"] == pytest.approx(1e-4)
    assert choose(learning_rate=3e-3)["learning_rate"] == 3e-3


def test_what_was_asked_for_is_what_is_done() -> None:
    spec = FineTuneSpec(
        model="m",
        method=SFT(n_epochs=5, batch_size=6),
        seed=0,
        adapter=LoRA(r=8, alpha=4, dropout=0.1, target_modules=("q_proj",)),
    )
    recipe = choose(spec, gradient_accumulation_steps=3, save_steps=7, logging_steps=2)
    assert (recipe["n_epochs"], recipe["batch_size"], recipe["seed"]) == (5, 6, 0)
    assert recipe["per_device_batch_size"] == 2
    assert (recipe["save_steps"], recipe["logging_steps"]) == (7, 2)
    lora = lora_of(spec.model_dump(mode="json"))
    assert lora == {
        "r": 8,
        "alpha": 4.0,
        "dropout": 0.1,
        "target_modules": ["q_proj"],
        "modules_to_save": [],
    }


@given(
    rows=st.integers(1, 5000),
    longest=st.integers(8, 4096),
    batch=st.one_of(st.just("auto"), st.integers(1, 256)),
    epochs=st.integers(1, 50),
    adapter=st.sampled_from(["auto", "none"]),
    hardware=st.sampled_from([CPU, A100, Hardware("cpu"), Hardware("cuda", GIB, bf16=False)]),
    model=st.sampled_from([SMALL, LARGE]),
)
def test_the_pieces_make_up_the_batch_and_every_choice_has_a_reason(
    rows: int,
    longest: int,
    batch: Any,
    epochs: int,
    adapter: Any,
    hardware: Hardware,
    model: ModelShape,
) -> None:
    spec = FineTuneSpec(model="m", adapter=adapter, method=SFT(n_epochs=epochs, batch_size=batch))
    recipe = choose(spec, hardware=hardware, model=model, rows=rows, longest=longest)
    pieces = recipe["per_device_batch_size"] * recipe["gradient_accumulation_steps"]
    assert pieces == recipe["batch_size"] >= 1
    steps = -(-rows // recipe["batch_size"])
    assert recipe["total_steps"] == steps * epochs
    assert 0 <= recipe["warmup_steps"] <= recipe["total_steps"]
    assert recipe["logging_steps"] >= 1
    assert all(choice.why for choice in recipe.choices.values())


def test_a_batch_that_does_not_fit_is_cut_into_pieces() -> None:
    spec = FineTuneSpec(model="m", method=SFT(batch_size=64))
    tight = Hardware("cuda", memory_bytes=24 * GIB, bf16=True)
    recipe = choose(spec, hardware=tight, model=LARGE, longest=4096)
    assert recipe["gradient_accumulation_steps"] > 1
    assert recipe["gradient_checkpointing"] is True
    roomy = choose(spec, hardware=Hardware("cuda", 640 * GIB, bf16=True), longest=100)
    assert roomy["gradient_accumulation_steps"] == 1
    assert roomy["gradient_checkpointing"] is False


@pytest.mark.parametrize(
    ("hardware", "precision"),
    [(CPU, "fp32"), (A100, "bf16"), (Hardware("cuda", GIB, bf16=False), "fp16")],
)
def test_the_precision_is_what_the_device_computes_best(hardware: Hardware, precision: str) -> None:
    assert choose(hardware=hardware)["precision"] == precision


@pytest.mark.parametrize(
    ("code", "spec", "options"),
    [
        ("quantization-unavailable", {"quantization": Quantization()}, {}),
        ("precision-unavailable", {}, {"precision": "fp16"}),
        ("missing-packages", {}, {"attn_implementation": "flash_attention_2"}),
        ("batch-not-divisible", {"method": SFT(batch_size=5)}, {"gradient_accumulation_steps": 2}),
    ],
)
def test_what_this_machine_cannot_do_is_refused_by_name(
    code: str, spec: dict[str, Any], options: dict[str, Any]
) -> None:
    with pytest.raises(TrainingFault) as caught:
        choose(FineTuneSpec(model="m", **spec), **options)
    assert caught.value.code == code


def test_quantised_weights_are_allowed_on_a_gpu_with_the_package() -> None:
    gpu = Hardware("cuda", 8 * GIB, bf16=True, bitsandbytes=True)
    recipe = choose(FineTuneSpec(model="m", quantization=Quantization()), hardware=gpu)
    assert recipe["quantization_bits"] == 4


def test_without_validation_data_there_is_no_evaluation() -> None:
    assert choose()["eval_steps"] is None
    assert choose(validation=True)["eval_steps"] == choose()["steps_per_epoch"]


def test_whole_models_keep_fewer_checkpoints_and_need_more_disk() -> None:
    lora, full = choose(), choose(FineTuneSpec(model="m", adapter="none"))
    assert (lora["save_total_limit"], full["save_total_limit"]) == (3, 1)
    assert disk_bytes(SMALL, full) > 10 * disk_bytes(SMALL, lora)


def test_computing_activations_twice_saves_memory() -> None:
    kept = activation_bytes(SMALL, 10_000, checkpointing=False)
    assert activation_bytes(SMALL, 10_000, checkpointing=True) < kept / 3


def test_the_size_of_a_model_is_estimated_when_no_weights_are_at_hand() -> None:
    config = {
        "hidden_size": 1024,
        "num_hidden_layers": 28,
        "intermediate_size": 3072,
        "vocab_size": 151_936,
        "tie_word_embeddings": True,
        "max_position_embeddings": 40_960,
    }
    shape = ModelShape.from_config(config, parameters=None)
    assert shape.parameters == pytest.approx(596_000_000, rel=0.15)
    assert shape.context == 40_960
    nested = ModelShape.from_config({"text_config": config}, parameters=7)
    assert (nested.parameters, nested.layers) == (7, 28)

"""From what was asked for to the settings of a training, each with the reason for its value.

A pure function of the spec, the data's size, the machine and the shape of the model; free of torch,
standard library only. What is chosen here is written into the job's record, so that a result can be
explained and made again.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tunekit.providers.trl.faults import TrainingFault

BASE_RATE_LORA = 2e-4
BASE_RATE_FULL = 2e-5
SEED = 42
LARGEST_AUTO_BATCH = 16
GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Hardware:
    """What the training runs on.

    Attributes:
        device: `cpu`, `cuda` or `mps`.
        memory_bytes: Memory that is free for it; None when unknown.
        bf16: Whether bfloat16 is computed natively.
        flash_attention: Whether the flash-attn package can be imported.
        bitsandbytes: Whether the bitsandbytes package can be imported.
    """

    device: str
    memory_bytes: int | None = None
    bf16: bool = False
    flash_attention: bool = False
    bitsandbytes: bool = False


@dataclass(frozen=True, slots=True)
class ModelShape:
    """What the memory of a training depends on."""

    parameters: int
    layers: int
    hidden_size: int
    vocabulary: int
    context: int | None

    @classmethod
    def from_config(cls, config: Mapping[str, Any], *, parameters: int | None) -> ModelShape:
        """Read a model's `config.json`; the parameters are estimated when they are not known."""
        inner = config.get("text_config")
        if isinstance(inner, Mapping):
            config = {**config, **inner}
        hidden = int(config.get("hidden_size") or config.get("n_embd") or 0)
        layers = int(config.get("num_hidden_layers") or config.get("n_layer") or 0)
        vocabulary = int(config.get("vocab_size") or 0)
        context = config.get("max_position_embeddings") or config.get("n_positions")
        if parameters is None:
            between = int(config.get("intermediate_size") or 4 * hidden)
            experts = int(config.get("num_experts") or config.get("num_local_experts") or 1)
            per_layer = 4 * hidden * hidden + 3 * hidden * between * experts
            tables = 1 if config.get("tie_word_embeddings") else 2
            parameters = layers * per_layer + tables * vocabulary * hidden
        return cls(parameters, layers, hidden, vocabulary, int(context) if context else None)


@dataclass(frozen=True, slots=True)
class DataShape:
    """What is known of the rows once they are encoded (or guessed before)."""

    rows: int
    longest: int
    tokens: int
    has_validation: bool = False


@dataclass(frozen=True, slots=True)
class Choice:
    """One setting and why it has its value."""

    value: Any
    why: str


@dataclass
class Recipe:
    """Every setting of a training by name."""

    choices: dict[str, Choice] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Any:
        return self.choices[name].value

    def __iter__(self) -> Iterator[str]:
        return iter(self.choices)

    def put(self, name: str, value: Any, why: str) -> Any:
        """Record a setting and give its value back."""
        self.choices[name] = Choice(value, why)
        return value

    def to_json(self) -> dict[str, dict[str, Any]]:
        """`{name: {"value": ..., "why": ...}}`."""
        return {name: {"value": c.value, "why": c.why} for name, c in self.choices.items()}


def resolve(
    spec: Mapping[str, Any],
    options: Mapping[str, Any],
    *,
    hardware: Hardware,
    model: ModelShape,
    data: DataShape,
) -> Recipe:
    """Choose every setting.

    Args:
        spec: `FineTuneSpec.model_dump()`.
        options: `TrlOptions.model_dump()`.
        hardware: The machine.
        model: The base model.
        data: The encoded rows.

    Raises:
        TrainingFault: What was asked for cannot be had on this machine.
    """
    recipe = Recipe()
    _choose_weights(recipe, spec, hardware)
    _choose_numbers(recipe, options, hardware)
    _choose_batch(recipe, spec, options, hardware, model, data)
    _choose_schedule(recipe, spec, options, data)
    _choose_rhythm(recipe, options, data)
    return recipe


def uses_adapter(spec: Mapping[str, Any]) -> bool:
    """Whether an adapter is trained; "auto" means yes."""
    return spec.get("adapter") != "none"


def lora_of(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The adapter's settings with their defaults filled in."""
    chosen = spec.get("adapter")
    lora = dict(chosen) if isinstance(chosen, Mapping) else {}
    rank = int(lora.get("r", 16))
    return {
        "r": rank,
        "alpha": lora.get("alpha") or 2.0 * rank,
        "dropout": lora.get("dropout", 0.0),
        "target_modules": lora.get("target_modules", "all-linear"),
        "modules_to_save": list(lora.get("modules_to_save", ())),
    }


def _choose_weights(recipe: Recipe, spec: Mapping[str, Any], hardware: Hardware) -> None:
    if uses_adapter(spec):
        asked = isinstance(spec.get("adapter"), Mapping)
        why = "as asked" if asked else "an adapter is the default: small, quick, hard to spoil"
        recipe.put("adapter", "lora", why)
        for name, value in lora_of(spec).items():
            recipe.put(f"lora_{name}", value, "as asked" if asked else "default")
    else:
        recipe.put("adapter", "none", "as asked: all weights are trained")
    quantization = spec.get("quantization")
    if quantization is None:
        return
    if hardware.device != "cuda" or not hardware.bitsandbytes:
        raise TrainingFault(
            "quantization-unavailable",
            "`quantization` needs an NVIDIA GPU and the bitsandbytes package; this machine has"
            f" device {hardware.device!r}, bitsandbytes"
            f" {'installed' if hardware.bitsandbytes else 'not installed'}. Leave `quantization`"
            " out, or run `pip install 'bitsandbytes>=0.48'` on a machine with a GPU.",
        )
    recipe.put("quantization_bits", quantization["bits"], "as asked")


def _choose_numbers(recipe: Recipe, options: Mapping[str, Any], hardware: Hardware) -> None:
    recipe.put("device", hardware.device, "the best that torch can use here")
    asked = options.get("precision", "auto")
    if asked != "auto":
        if asked == "fp16" and hardware.device == "cpu":
            raise TrainingFault(
                "precision-unavailable",
                "`options.trl.precision` 'fp16' needs a GPU. Use 'auto', 'bf16' or 'fp32'.",
            )
        recipe.put("precision", asked, "as asked")
    elif hardware.device == "cuda" and hardware.bf16:
        recipe.put("precision", "bf16", "the GPU computes bfloat16 natively")
    elif hardware.device == "cuda":
        recipe.put("precision", "fp16", "the GPU has no native bfloat16")
    else:
        recipe.put("precision", "fp32", f"mixed precision gains nothing on {hardware.device}")
    attention = options.get("attn_implementation")
    if attention == "flash_attention_2" and not hardware.flash_attention:
        raise TrainingFault(
            "missing-packages",
            "`attn_implementation` 'flash_attention_2' needs the flash-attn package and an NVIDIA"
            " GPU. Leave it out: torch's own attention is used then.",
        )
    recipe.put("attn_implementation", attention or "sdpa", "as asked" if attention else "default")


def activation_bytes(model: ModelShape, tokens: int, *, checkpointing: bool) -> int:
    """Rough memory of the activations for so many tokens at once.

    About 34 bytes per token, layer and hidden unit at 16 bits (Korthikanti et al., 2022,
    arXiv:2205.05198, without the attention scores, which fused attention never stores), twice
    that at 32 bits; two hidden states per layer when the rest is computed again. The output head
    works in chunks and adds one table row of logits per token for a few thousand tokens at most.
    """
    per_layer = 4 * 2 if checkpointing else 68
    logits = 8 * model.vocabulary * min(tokens, 4096)
    return tokens * model.layers * model.hidden_size * per_layer + logits


def weight_bytes(model: ModelShape, recipe: Recipe) -> int:
    """Memory of weights, gradients and optimiser state; 16 bytes per trained 32-bit weight."""
    if recipe["adapter"] == "none":
        return 16 * model.parameters
    bits = 32 if recipe["precision"] == "fp32" else 16
    if "quantization_bits" in recipe.choices:
        bits = int(recipe["quantization_bits"]) + 1
    adapter: int = adapter_parameters(model, int(recipe["lora_r"]))
    return model.parameters * bits // 8 + 16 * adapter


def adapter_parameters(model: ModelShape, rank: int) -> int:
    """Roughly how many weights an adapter on every linear layer has.

    Seven linear maps per layer, each with `r * (in + out)`; the inner ones are about three times
    as wide as the hidden size.
    """
    return model.layers * rank * model.hidden_size * (4 * 2 + 3 * 4)


def disk_bytes(model: ModelShape, recipe: Recipe) -> int:
    """Roughly what a run leaves on disk: the result and the checkpoints that are kept.

    A checkpoint holds the trained weights and two optimiser values for each, all in 32 bits; one
    more than are kept exists while the newest is being written.
    """
    full = recipe["adapter"] == "none"
    trained = model.parameters if full else adapter_parameters(model, recipe["lora_r"])
    kept = int(recipe["save_total_limit"]) + 1
    return 4 * trained + 12 * trained * kept


def free_memory() -> int | None:
    """Memory that is available on this machine (Linux), or None."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            for line in file:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        return None
    return None


def _choose_batch(
    recipe: Recipe,
    spec: Mapping[str, Any],
    options: Mapping[str, Any],
    hardware: Hardware,
    model: ModelShape,
    data: DataShape,
) -> None:
    asked = spec["method"].get("batch_size", "auto")
    if asked == "auto":
        batch = max(1, min(LARGEST_AUTO_BATCH, data.rows // 8))
        why = (
            f"{data.rows} rows: at least eight updates an epoch, at most {LARGEST_AUTO_BATCH} rows"
        )
    else:
        batch, why = int(asked), "as asked"
    recipe.put("batch_size", batch, why)

    checkpointing = options.get("gradient_checkpointing")
    fits = _rows_that_fit(recipe, hardware, model, data, checkpointing=bool(checkpointing))
    if checkpointing is None and hardware.device != "cpu" and fits < min(batch, 4):
        checkpointing, note = True, "activations would not fit into the GPU's memory otherwise"
        fits = _rows_that_fit(recipe, hardware, model, data, checkpointing=True)
    elif checkpointing is None:
        checkpointing, note = False, "memory suffices without computing activations twice"
    else:
        note = "as asked"
    recipe.put("gradient_checkpointing", checkpointing, note)

    pieces = options.get("gradient_accumulation_steps")
    if pieces is not None:
        if batch % pieces:
            raise TrainingFault(
                "batch-not-divisible",
                f"`batch_size` {batch} cannot be split into `gradient_accumulation_steps` {pieces}"
                " equal pieces. Choose a divisor of the batch size.",
            )
        why = "as asked"
    else:
        divisors = [n for n in range(1, batch + 1) if batch % n == 0]
        pieces = next((n for n in divisors if batch // n <= max(1, fits)), batch)
        why = f"about {max(1, fits)} rows of {data.longest} tokens fit into memory at once"
    recipe.put("gradient_accumulation_steps", pieces, why)
    recipe.put("per_device_batch_size", batch // pieces, "batch_size / accumulation steps")


def _rows_that_fit(
    recipe: Recipe, hardware: Hardware, model: ModelShape, data: DataShape, *, checkpointing: bool
) -> int:
    if hardware.memory_bytes is None or not data.longest:
        return LARGEST_AUTO_BATCH
    room = 0.85 * hardware.memory_bytes - weight_bytes(model, recipe)
    per_row = activation_bytes(model, data.longest, checkpointing=checkpointing)
    return max(0, int(room // max(1, per_row)))


def _choose_schedule(
    recipe: Recipe, spec: Mapping[str, Any], options: Mapping[str, Any], data: DataShape
) -> None:
    method = spec["method"]
    epochs = method.get("n_epochs", "auto")
    if epochs == "auto":
        epochs = recipe.put("n_epochs", 3, "default")
    else:
        recipe.put("n_epochs", epochs, "as asked")
    per_epoch = math.ceil(data.rows / recipe["batch_size"])
    total = recipe.put("total_steps", per_epoch * epochs, f"{per_epoch} updates an epoch")
    recipe.put("steps_per_epoch", per_epoch, f"{data.rows} rows / {recipe['batch_size']} a batch")

    factor = method.get("learning_rate_multiplier", "auto")
    if options.get("learning_rate") is not None:
        recipe.put("learning_rate", options["learning_rate"], "as asked in `options.trl`")
    else:
        lora = recipe["adapter"] == "lora"
        base = BASE_RATE_LORA if lora else BASE_RATE_FULL
        times = 1.0 if factor == "auto" else float(factor)
        kind = "an adapter" if lora else "all weights"
        recipe.put("learning_rate", base * times, f"{base:g}, the base for {kind}, times {times:g}")
    for name in ("lr_scheduler_type", "weight_decay", "max_grad_norm"):
        recipe.put(name, options[name], "option or its default")
    ratio = options["warmup_ratio"]
    recipe.put("warmup_steps", math.ceil(ratio * total), f"{ratio:g} of {total} updates")
    seed = spec.get("seed")
    recipe.put("seed", SEED if seed is None else seed, "default" if seed is None else "as asked")


def _choose_rhythm(recipe: Recipe, options: Mapping[str, Any], data: DataShape) -> None:
    total, per_epoch = recipe["total_steps"], recipe["steps_per_epoch"]

    def pick(name: str, auto: int | None, why: str) -> None:
        asked = options.get(name)
        recipe.put(name, auto if asked is None else asked, why if asked is None else "as asked")

    pick("logging_steps", max(1, min(50, total // 100)), "about a hundred points, or each update")
    pick("save_steps", per_epoch, "a checkpoint after each epoch")
    keep = 3 if recipe["adapter"] == "lora" else 1
    pick("save_total_limit", keep, "adapters are small, whole models are not")
    if data.has_validation:
        pick("eval_steps", per_epoch, "after each epoch")
    else:
        recipe.put("eval_steps", None, "there is no validation data")
    recipe.put("packing", options["packing"], "option or its default")
    recipe.put("loss_on", options["loss_on"], "option or its default")

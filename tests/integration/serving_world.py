"""A tiny model on disk and a provider that serves it: what the serving tests share."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from tunekit.providers.base import DeploymentSnapshot, DeploymentStatus, Endpoint, ModelRef
from tunekit.providers.local.serving import LocalDeployments

SOURCES = Path(__file__).resolve().parents[2] / "src"
PATIENCE = 120.0

TEMPLATE = (
    "{% for m in messages %}{{ '<|start|>' + m['role'] + '\n' }}"
    "{% if m['role'] == 'assistant' %}"
    "{% generation %}{{ m['content'] + '<|end|>' }}{% endgeneration %}"
    "{% elif m['role'] == 'forbidden' %}{{ raise_exception('no such role') }}"
    "{% else %}{{ m['content'] + '<|end|>' }}{% endif %}{{ '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start|>assistant\n' }}{% endif %}"
)


@dataclass(frozen=True)
class Settings:
    python: str = sys.executable
    trust_remote_code: bool = False


class Server(LocalDeployments):
    """The mixin with the little that a provider adds to it."""

    name: ClassVar[str] = "trl"

    def __init__(self, home: Path, settings: Settings | None = None) -> None:
        self.home = home
        self.settings = settings or Settings()

    def ask(self, model: Path, name: str, **options: Any) -> DeploymentSnapshot:
        """Deploy with the settings that suit a tiny model and two cores."""
        ttl = options.pop("ttl", None)
        return self.deploy(
            ModelRef(id=str(model), provider="trl", system_prompt="Be brief."),
            name=name,
            ttl=ttl,
            options={"threads": 1, "device": "cpu", **options},
        )

    def until(self, name: str, *wanted: DeploymentStatus) -> DeploymentSnapshot:
        """Wait for one of these states; fails at another end state or after two minutes."""
        deadline = time.monotonic() + PATIENCE
        while (snapshot := self.fetch_deployment(name)).status not in wanted:
            assert not snapshot.status.is_terminal, snapshot
            assert time.monotonic() < deadline, snapshot
            time.sleep(0.05)
        return snapshot

    def up(self, model: Path, name: str, **options: Any) -> tuple[DeploymentSnapshot, Endpoint]:
        """Deploy and wait until it is ready."""
        self.ask(model, name, **options)
        snapshot = self.until(name, DeploymentStatus.READY)
        return snapshot, self.endpoint(snapshot)


def eventually(question: Callable[[], bool], *, patience: float = 15.0) -> bool:
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        if question():
            return True
        time.sleep(0.02)
    return False


def processes_of(directory: Path) -> list[int]:
    """Ids of the live processes whose command line names this directory."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            command = (path / "cmdline").read_bytes()
            state = (path / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if os.fsencode(directory) in command.split(b"\0") and state not in "ZX":
            found.append(int(path.name))
    return sorted(found)


def make_model(folder: Path) -> Path:
    """A Llama of some ten thousand random weights with a tokenizer of single bytes."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    specials = ["<|pad|>", "<|start|>", "<|end|>"]
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = Tokenizer(models.BPE(vocab={t: i for i, t in enumerate(specials + letters)}, merges=[]))
    words.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words.decoder = decoders.ByteLevel()
    words.add_special_tokens(specials)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words)
    tokenizer.pad_token, _, tokenizer.eos_token = specials
    tokenizer.chat_template = TEMPLATE
    torch.manual_seed(11)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=256,
            pad_token_id=0,
            bos_token_id=None,
            eos_token_id=2,
            initializer_range=0.4,
        )
    )
    model.generation_config.max_new_tokens = 40
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def make_adapter(folder: Path, base: Path) -> Path:
    """A low-rank adapter that changes what the base says."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(12)
    config = LoraConfig(
        r=4, target_modules="all-linear", task_type="CAUSAL_LM", init_lora_weights=False
    )
    get_peft_model(AutoModelForCausalLM.from_pretrained(base), config).save_pretrained(folder)
    return folder

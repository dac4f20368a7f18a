"""A Llama of a few thousand parameters with a byte-level tokenizer, made on the spot."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

SPECIAL = ["<|pad|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>", "<|tool|>"]

MARKED = (
    "{%- if tools %}{{- '<|system|>' + (tools | tojson) + '<|end|>' }}{%- endif %}"
    "{%- for message in messages %}"
    "{%- if message['role'] == 'assistant' %}"
    "{{- '<|assistant|>' }}{% generation %}{{- message['content'] }}"
    "{%- for call in message.get('tool_calls', []) %}"
    "{{- call['function']['name'] + (call['function']['arguments'] | tojson) }}{%- endfor %}"
    "{{- '<|end|>' }}{% endgeneration %}"
    "{%- else %}{{- '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}{%- endif %}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|assistant|>' }}{%- endif %}"
)
"""A chat template that marks what the model says."""

PLAIN = MARKED.replace("{% generation %}", "").replace("{% endgeneration %}", "")
"""The same text without markers."""

UNSTABLE = PLAIN.replace(
    "{{- '<|assistant|>' }}{{- message['content'] }}",
    "{{- '<|assistant|>' }}{%- if loop.last %}{{- 'hm ' }}{%- endif %}{{- message['content'] }}",
)
"""Writes a message differently when it is the last, as templates of reasoning models do."""


def make_tokenizer(template: str | None = MARKED, *, merges: Sequence[tuple[str, str]] = ()) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: index for index, token in enumerate([*SPECIAL, *alphabet])}
    for pair in merges:
        vocabulary["".join(pair)] = len(vocabulary)
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=list(merges)))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=SPECIAL[0],
        eos_token=SPECIAL[1],
        additional_special_tokens=SPECIAL[2:],
    )
    fast.chat_template = template
    return fast


def make_model(folder: Path, *, template: str | None = MARKED, context: int = 256) -> Path:
    """Save model and tokenizer into the folder."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = make_tokenizer(template)
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=context,
            tie_word_embeddings=True,
            pad_token_id=0,
            eos_token_id=1,
            bos_token_id=None,
        )
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder

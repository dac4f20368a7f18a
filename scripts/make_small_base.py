"""Make the quickstart's base model: a tokenizer and a Llama of a few million parameters.

Both are trained from scratch on the text of `small_base_text.py`; nothing is downloaded:

    python scripts/make_small_base.py --steps 2200 --out first
    python scripts/make_small_base.py --start first --mix lists --seed 21 --steps 1800 --out second

The same seed and number of steps give the same text and the same order; weights agree up to the
arithmetic of the machine.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, Final

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from torch.nn import functional
from transformers import (
    GenerationConfig,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from small_base_text import MIXES, Document, documents

if TYPE_CHECKING:
    from collections.abc import Callable

PAD: Final = "<|endoftext|>"
START: Final = "<|im_start|>"
END: Final = "<|im_end|>"

#: ChatML. The markers tell TRL which tokens an assistant writes, its end mark among them.
CHAT_TEMPLATE: Final = (
    "{%- for message in messages -%}"
    "{%- if message['role'] == 'assistant' -%}"
    "{{- '<|im_start|>assistant\\n' -}}"
    "{%- generation -%}{{- message['content'] + '<|im_end|>' -}}{%- endgeneration -%}"
    "{{- '\\n' -}}"
    "{%- else -%}"
    "{{- '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' -}}"
    "{%- endif -%}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}"
)

#: A space belongs to the word before it, and only where another word follows; "and", "or", "to"
#: and "for" bring their own. So a phrase is the same tokens at the end of a line, before a comma,
#: before "or ..." and inside the quotes of a JSON list, and can be copied as it is.
WORDS: Final = (
    r" ?(?:and|or|to|for) "
    r"|[A-Za-z]+(?: (?=[A-Za-z0-9])(?!(?:and|or|to|for) ))?"
    r"|\d+(?:/\d+)?(?: (?=[A-Za-z0-9]))?"
    r"| ?[^\sA-Za-z0-9]+(?: [^\sA-Za-z0-9]*)?"
    r"|\n+|\s"
)

LENGTHS: Final = (48, 96, 160, 256)
OTHER_TOKENS_WEIGHT: Final = 0.15

#: Documents about copying alone at the beginning of a run from scratch.
COPYING_FIRST: Final = 30_000


def word_splitter() -> pre_tokenizers.PreTokenizer:
    """Cuts text by `WORDS`; no token crosses a cut."""
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORDS), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )


def make_tokenizer(seed: int, vocabulary: int, sample: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer learned from `sample` documents."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = word_splitter()
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[PAD, START, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    texts = (
        text if isinstance(text, str) else "\n".join(message["content"] for message in text)
        for text in islice(documents(seed + 1, "broad"), sample)
    )
    tokenizer.train_from_iterator([*texts, "system user assistant"], trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=END,
        pad_token=PAD,
        model_max_length=1024,
        clean_up_tokenization_spaces=False,
    )
    fast.chat_template = CHAT_TEMPLATE
    return fast


def make_model(args: argparse.Namespace, tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """An untrained Llama of the size asked for."""
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=args.width,
        num_hidden_layers=args.layers,
        num_attention_heads=args.width // args.head,
        num_key_value_heads=args.width // args.head,
        head_dim=args.head,
        intermediate_size=args.inner,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = LlamaForCausalLM(config)
    start_attentive(model)
    model.generation_config = GenerationConfig(
        do_sample=False,
        max_new_tokens=128,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return model


@torch.no_grad()
def start_attentive(model: LlamaForCausalLM) -> None:
    """Begin with heads that look for what resembles the present token and pass it on as it is.

    After Trockman and Kolter, "Mimetic initialization of self-attention layers" (2023): query and
    key weights alike, output weights the transpose of the value weights. A model of this size finds
    out how to copy from its context many times sooner than from an independent start.
    """
    for layer in model.model.layers:
        attention = layer.self_attn
        for first, second, size in (
            (attention.q_proj.weight, attention.k_proj.weight, 1.0),
            (attention.v_proj.weight, attention.o_proj.weight, 0.5),
        ):
            torch.nn.init.orthogonal_(first)
            second.copy_(first if second is attention.k_proj.weight else first.T)
            first.mul_(size)
            second.mul_(size)


def encode(tokenizer: PreTrainedTokenizerFast, document: Document) -> tuple[list[int], list[float]]:
    """Token ids and the weight of the loss on each: 1 in replies, less elsewhere, 0 in markers."""
    if isinstance(document, str):
        ids = [*tokenizer.encode(document, add_special_tokens=False), tokenizer.pad_token_id]
        return ids, [2 * OTHER_TOKENS_WEIGHT] * len(ids)
    ids, weights = [], []
    for message in document:
        head = tokenizer.encode(f"{START}{message['role']}\n", add_special_tokens=False)
        body = tokenizer.encode(f"{message['content']}{END}", add_special_tokens=False)
        tail = tokenizer.encode("\n", add_special_tokens=False)
        weight = 1.0 if message["role"] == "assistant" else OTHER_TOKENS_WEIGHT
        ids += head + body + tail
        weights += [0.0] * len(head) + [weight] * len(body) + [0.0] * len(tail)
    return ids, weights


def batches(
    tokenizer: PreTrainedTokenizerFast, source: Iterator[Document], seed: int, tokens: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Ids and loss weights, each (rows, length) with about `tokens` places, by length."""
    rng = Random(seed)
    shelves: dict[int, list[tuple[list[int], list[float]]]] = {n: [] for n in LENGTHS}
    ready: list[tuple[torch.Tensor, torch.Tensor]] = []
    while True:
        ids, weights = encode(tokenizer, next(source))
        length = next((n for n in LENGTHS if len(ids) <= n), None)
        if length is None:
            continue
        shelf = shelves[length]
        shelf.append((ids, weights))
        if len(shelf) == tokens // length:
            fill = tokenizer.pad_token_id
            ready.append(
                (
                    torch.tensor([i + [fill] * (length - len(i)) for i, _ in shelf]),
                    torch.tensor([w + [0.0] * (length - len(w)) for _, w in shelf]),
                )
            )
            shelf.clear()
        if len(ready) == 16:
            rng.shuffle(ready)
            yield from ready
            ready.clear()


def weighted_loss(
    model: Callable[..., Any], ids: torch.Tensor, weights: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean next-token loss over the batch, each token by its weight; and that of replies alone."""
    logits = model(input_ids=ids, use_cache=False).logits[:, :-1].float()
    losses = functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), reduction="none")
    flat = weights[:, 1:].flatten()
    replies = flat == 1
    return (losses * flat).sum() / flat.sum(), (losses * replies).sum().detach() / replies.sum()


def train(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, args: argparse.Namespace
) -> int:
    """Train in place; returns the tokens seen, padding included."""
    loss_of = torch.compile(weighted_loss, dynamic=False) if args.compile else weighted_loss
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=args.rate, betas=(0.9, 0.98), weight_decay=0.05, fused=True
    )
    source = documents(args.seed, args.mix)
    if not args.start:  # what everything else is built on comes first
        source = chain(islice(documents(args.seed, "copying"), COPYING_FIRST), source)
    started = time.monotonic()
    seen, shown = 0, 0.0
    for step, (ids, weights) in enumerate(batches(tokenizer, source, args.seed, args.batch_tokens)):
        elapsed = time.monotonic() - started
        done = step / args.steps if args.steps else elapsed / args.seconds
        if done >= 1:
            break
        warm = min(1.0, (step + 1) / 100)
        rate = args.rate * warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done)))
        for group in optimizer.param_groups:
            group["lr"] = rate
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=args.bf16):
            loss, replies = loss_of(model, ids, weights)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        seen += ids.numel()
        if math.isfinite(of_replies := replies.item()):
            shown = of_replies if not shown else 0.97 * shown + 0.03 * of_replies
        if step % 100 == 0:
            print(
                f"step {step:5d}  loss on replies {shown:.3f}  {elapsed:5.0f} s  "
                f"{seen / 1e6:.1f}M tokens",
                flush=True,
            )
    return seen


@torch.no_grad()
def score(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, seed: int, rows: int
) -> float:
    """Share of `rows` unseen chats of the base's own kinds that it answers to the letter."""
    chats = [
        chat for chat in islice(documents(seed + 2, "broad"), 2 * rows) if not isinstance(chat, str)
    ]
    chats = sorted(chats[:rows], key=lambda chat: len(str(chat)))
    tokenizer.padding_side = "left"
    right = 0
    for start in range(0, len(chats), 50):
        part = chats[start : start + 50]
        prompts = [
            tokenizer.apply_chat_template(chat[:-1], tokenize=False, add_generation_prompt=True)
            for chat in part
        ]
        inputs = tokenizer(prompts, return_tensors="pt", padding=True, add_special_tokens=False)
        inputs.pop("token_type_ids", None)
        output = model.generate(**inputs)
        texts = tokenizer.batch_decode(
            output[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True
        )
        right += sum(text == chat[-1]["content"] for text, chat in zip(texts, part, strict=True))
    tokenizer.padding_side = "right"
    return right / len(chats)


def save(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, out: Path) -> None:
    """Write a Hugging Face folder with weights in bfloat16 that load as float32."""
    tokenizer.save_pretrained(out)
    model.to(torch.bfloat16).save_pretrained(out)
    (out / "model.safetensors").chmod(0o644)
    path = out / "config.json"
    config = json.loads(path.read_text())
    config["dtype"] = "float32"
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def main() -> None:
    """Make the base as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--start", type=Path, help="go on from this folder, not from scratch")
    parser.add_argument("--mix", choices=sorted(MIXES), default="broad")
    parser.add_argument("--seed", type=int, default=11)
    length = parser.add_mutually_exclusive_group(required=True)
    length.add_argument("--steps", type=int, help="optimizer steps")
    length.add_argument("--seconds", type=float, help="stop, with a finished schedule, after this")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--vocabulary", type=int, default=3072)
    parser.add_argument("--width", type=int, default=192)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--inner", type=int, default=512)

    parser.add_argument("--head", type=int, default=32, help="width of a head")
    parser.add_argument("--rate", type=float, default=3e-3)
    parser.add_argument("--batch-tokens", type=int, default=4096)
    parser.add_argument("--compile", action="store_true", help="needs a C++ compiler")
    parser.add_argument("--bf16", action="store_true", help="faster where the CPU has AMX")
    args = parser.parse_args()

    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    started = time.monotonic()
    if args.start:
        tokenizer = PreTrainedTokenizerFast.from_pretrained(args.start)
        tokenizer.backend_tokenizer.pre_tokenizer = word_splitter()
        model = LlamaForCausalLM.from_pretrained(args.start, dtype=torch.float32)
    else:
        tokenizer = make_tokenizer(args.seed, args.vocabulary, 40_000)
        model = make_model(args, tokenizer)
    print(f"{model.num_parameters() / 1e6:.2f}M parameters, {len(tokenizer)} tokens", flush=True)
    seen = train(model, tokenizer, args)
    print(f"trained on {seen / 1e6:.1f}M tokens in {time.monotonic() - started:.0f} s", flush=True)
    save(model, tokenizer, args.out)
    reloaded = LlamaForCausalLM.from_pretrained(args.out, dtype=torch.float32)
    print(f"general chats, exact: {score(reloaded, tokenizer, args.seed, 300):.1%}")
    size = sum(path.stat().st_size for path in args.out.iterdir())
    print(f"{args.out}: {size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()

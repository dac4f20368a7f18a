"""Loads the model of a deployment. Runs under the profile's interpreter; needs torch."""

from __future__ import annotations

import contextlib
import sys
import threading
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer

from tunekit.providers.local.server.batch import Batcher, SequenceRun, Settings
from tunekit.providers.local.server.request import BadRequestError, ChatRequest

DEFAULT_MAX_TOKENS = 1024


class IncompleteWeightsError(Exception):
    """Some weights are not in the folder; transformers would fill them with random numbers."""


@dataclass(frozen=True, slots=True)
class Defaults:
    """What the model's own generation_config.json says."""

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int | None = None
    repetition_penalty: float = 1.0
    max_tokens: int | None = None

    @classmethod
    def of(cls, config: Any) -> Defaults:
        """Read them, leaving out what is only transformers' general default."""
        said = config.to_diff_dict()
        if not said.get("do_sample"):
            return cls(
                repetition_penalty=float(said.get("repetition_penalty") or 1.0),
                max_tokens=said.get("max_new_tokens"),
            )
        return cls(
            temperature=float(said.get("temperature") or 1.0),
            top_p=float(said.get("top_p") or 1.0),
            top_k=said.get("top_k") or None,
            repetition_penalty=float(said.get("repetition_penalty") or 1.0),
            max_tokens=said.get("max_new_tokens"),
        )


class ServedModel:
    """A loaded model with its tokenizer, ready to answer."""

    def __init__(self, model: Any, tokenizer: Any, *, max_batch: int) -> None:
        config = model.generation_config
        ends = config.eos_token_id
        found = ends if isinstance(ends, list) else [ends]
        self.ends = frozenset(
            int(end) for end in [*found, tokenizer.eos_token_id] if end is not None
        )
        pad = tokenizer.pad_token_id
        self.defaults = Defaults.of(config)
        self.context = _context(model.config)
        self._tokenizer = tokenizer
        self._lock = threading.Lock()
        self._batcher = Batcher(
            model,
            pad_token=int(min(self.ends, default=0) if pad is None else pad),
            max_batch=max_batch,
        )

    def render(
        self,
        messages: list[dict[str, Any]],
        *,
        tools: list[dict[str, Any]] | None = None,
        add_generation_prompt: bool = True,
        arguments: Mapping[str, Any] | None = None,
    ) -> list[int]:
        """Tokens of a conversation, through the model's own chat template.

        Raises:
            BadRequestError: The template refuses the conversation.
        """
        with self._lock:
            try:
                text = self._tokenizer.apply_chat_template(
                    messages,
                    tools=tools,
                    add_generation_prompt=add_generation_prompt,
                    tokenize=False,
                    **dict(arguments or {}),
                )
            except Exception as error:  # templates raise whatever they like
                raise BadRequestError(
                    f"The chat template refuses these messages: {error}", param="messages"
                ) from error
            return self.tokens(text, locked=True)

    def tokens(self, text: str, *, locked: bool = False) -> list[int]:
        """Tokens of a text as it stands, without any special token added."""
        with contextlib.nullcontext() if locked else self._lock:
            ids: list[int] = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def decode(self, ids: list[int]) -> str:
        """The text of tokens, without special ones."""
        text: str = self._tokenizer.decode(ids, skip_special_tokens=True)
        return text

    def start(self, request: ChatRequest) -> list[SequenceRun]:
        """Begin to answer; one sequence for each choice.

        Raises:
            BadRequestError: The messages are refused or too long.
        """
        prompt = self.render(
            request.messages, tools=request.tools, arguments=request.template_arguments
        )
        room = self.context - len(prompt)
        if room < 1:
            raise BadRequestError(
                f"The messages take {len(prompt)} tokens; the model can hold {self.context}.",
                param="messages",
                code="context_length_exceeded",
            )
        runs = [
            SequenceRun(
                prompt,
                self._settings(request, room, choice),
                decode=self.decode,
                ends=self.ends,
                live=request.stream,
            )
            for choice in range(request.n)
        ]
        for run in runs:
            self._batcher.submit(run)
        return runs

    def _settings(self, request: ChatRequest, room: int, choice: int) -> Settings:
        own = self.defaults
        default_max = own.max_tokens or DEFAULT_MAX_TOKENS
        return Settings(
            max_tokens=min(room, request.max_tokens or default_max),
            temperature=own.temperature if request.temperature is None else request.temperature,
            top_p=own.top_p if request.top_p is None else request.top_p,
            top_k=own.top_k if request.top_k is None else request.top_k,
            seed=None if request.seed is None else (request.seed + choice) % 2**63,
            frequency_penalty=request.frequency_penalty,
            presence_penalty=request.presence_penalty,
            repetition_penalty=request.repetition_penalty or own.repetition_penalty,
            logit_bias=request.logit_bias,
            stop=request.stop,
        )


def _context(config: Any) -> int:
    """How many tokens prompt and answer may have together."""
    text = config.get_text_config() if hasattr(config, "get_text_config") else config
    for name in ("max_position_embeddings", "n_positions", "max_seq_len"):
        value = getattr(text, name, None)
        if isinstance(value, int) and value > 0:
            return value
    return 1 << 20


def load(asked: Mapping[str, Any]) -> ServedModel:
    """Load what `deployment.json` asks for.

    Raises:
        IncompleteWeightsError: The weights do not fill the model.
    """
    source, options = asked["source"], asked["options"]
    trust = bool(asked["trust_remote_code"])
    tokenizer = AutoTokenizer.from_pretrained(source["tokenizer"], trust_remote_code=trust)
    if not tokenizer.chat_template:
        raise ValueError(f"{source['tokenizer']!r} has no chat template.")
    model = _weights(source["base"] or source["model"], options["dtype"], trust=trust)
    if source["base"]:
        model = _with_adapter(model, source["model"], len(tokenizer))
    device = _device(options["device"])
    model = model.to(device).eval()
    print(  # noqa: T201 - standard error is the deployment's log
        f"model on {device}, {model.num_parameters():,} parameters, {model.dtype}", file=sys.stderr
    )
    return ServedModel(model, tokenizer, max_batch=int(options["max_batch"]))


def _weights(name: str, dtype: str, *, trust: bool) -> Any:
    # transformers 5 calls `dtype` what was `torch_dtype` before.
    word = "dtype" if int(transformers.__version__.split(".")[0]) >= 5 else "torch_dtype"
    model, info = AutoModelForCausalLM.from_pretrained(
        name,
        use_safetensors=True,
        trust_remote_code=trust,
        output_loading_info=True,
        **{word: dtype if dtype == "auto" else getattr(torch, dtype)},
    )
    missing = sorted(info["missing_keys"]) + [str(key) for key in info["mismatched_keys"]]
    if missing:
        raise IncompleteWeightsError(
            f"{len(missing)} weights of {name!r} are missing or misshapen, "
            f"among them {', '.join(missing[:5])}."
        )
    return model


def _with_adapter(model: Any, adapter: str, vocabulary: int) -> Any:
    """Merge the adapter into the loaded base, in memory only."""
    from peft import PeftModel

    if vocabulary > model.get_input_embeddings().weight.shape[0]:
        model.resize_token_embeddings(vocabulary)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*missing adapter keys.*")
        return PeftModel.from_pretrained(model, adapter).merge_and_unload()


def _device(wanted: str) -> str:
    if wanted != "auto":
        return wanted
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"

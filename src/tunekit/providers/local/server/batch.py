"""Generates for many requests at once. Runs under the profile's interpreter; needs torch.

Requests that wait are put into one batch of `model.generate`. A request that comes later joins as
soon as that pays: the running batch is left at a step boundary, and its unfinished sequences start
the next batch together with the newcomers, from their prompt and what they have said so far. Only
public interfaces of transformers are used, so every model that can generate can be served.

Each sequence has its own settings and its own random numbers: what it gives for a seed does not
depend on its neighbours, up to the rounding of floating-point numbers.
"""

from __future__ import annotations

import queue
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from transformers import GenerationConfig, LogitsProcessor, StoppingCriteria

from tunekit.providers.local.server.text import TextStream

GATHER_SECONDS = 0.004
PATIENCE = 4.0
MAX_BATCH_TOKENS = 32768

FinishReason = Literal["stop", "length"]


@dataclass(frozen=True, slots=True)
class Settings:
    """How one sequence is generated. A temperature of 0 means: always the likeliest token."""

    max_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int | None = None
    seed: int | None = None
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    repetition_penalty: float = 1.0
    logit_bias: dict[int, float] = field(default_factory=dict)
    stop: tuple[str, ...] = ()

    @property
    def untouched(self) -> bool:
        """Whether the likeliest token of the bare scores is wanted."""
        return not (
            self.temperature
            or self.frequency_penalty
            or self.presence_penalty
            or self.logit_bias
            or self.repetition_penalty != 1.0
        )


@dataclass(frozen=True, slots=True)
class Piece:
    """News of a sequence: some text, or its end, or the fault that ended it."""

    text: str = ""
    finish_reason: FinishReason | None = None
    fault: str | None = None

    @property
    def is_last(self) -> bool:
        """Whether nothing comes after it."""
        return self.finish_reason is not None or self.fault is not None


class SequenceRun:
    """One sequence on its way: its prompt, what it has said so far, and who listens."""

    def __init__(
        self,
        prompt: list[int],
        settings: Settings,
        *,
        decode: Callable[[list[int]], str],
        ends: frozenset[int],
        live: bool,
    ) -> None:
        self.prompt = prompt
        self.settings = settings
        self.said: list[int] = []
        self.generated = 0
        self.pieces: queue.SimpleQueue[Piece] = queue.SimpleQueue()
        self.cancelled = False
        self.done = False
        self._decode = decode
        self._ends = ends
        self._text = TextStream(decode, settings.stop) if live or settings.stop else None
        self._random: torch.Generator | None = None

    @property
    def ids(self) -> list[int]:
        """Prompt and answer so far."""
        return self.prompt + self.said

    def take(self, token: int) -> bool:
        """Take the next token; True when the sequence is at its end."""
        if self.done:
            return True
        self.generated += 1
        if self.cancelled or token in self._ends:
            return self._finish("stop")
        self.said.append(token)
        if self._text is not None:
            text = self._text.feed(token)
            if text:
                self.pieces.put(Piece(text))
            if self._text.stopped:
                return self._finish("stop")
        if self.generated >= self.settings.max_tokens:
            return self._finish("length")
        return False

    def _finish(self, reason: FinishReason) -> bool:
        self.done = True
        rest = self._decode(self.said) if self._text is None else self._text.flush()
        self.pieces.put(Piece(rest, finish_reason=reason))
        return True

    def fail(self, fault: str) -> None:
        """End it because of a fault."""
        if not self.done:
            self.done = True
            self.pieces.put(Piece(fault=fault))

    def shape(self, scores: torch.Tensor) -> torch.Tensor:
        """Apply the settings to the scores of the next token; its largest entry is the choice.

        Args:
            scores: Shape (vocabulary,), float32.
        """
        wanted = self.settings
        scores = self._penalise(scores)
        if not wanted.temperature:
            return scores
        scores = scores / wanted.temperature
        if wanted.top_k is not None and wanted.top_k < len(scores):
            floor = torch.topk(scores, wanted.top_k).values[-1]
            scores = scores.masked_fill(scores < floor, -torch.inf)
        if wanted.top_p < 1.0:
            ordered, order = torch.sort(scores, descending=True)
            chances = torch.softmax(ordered, dim=-1)
            outside = torch.cumsum(chances, dim=-1) - chances >= wanted.top_p
            scores = scores.index_fill(0, order[outside], -torch.inf)
        # Adding Gumbel noise and taking the largest draws from the softmax (Gumbel, 1954).
        noise = torch.empty(len(scores)).exponential_(generator=self._generator())
        return scores - torch.log(noise).to(scores.device)

    def _penalise(self, scores: torch.Tensor) -> torch.Tensor:
        wanted = self.settings
        if wanted.repetition_penalty != 1.0:
            seen = torch.tensor(sorted(set(self.ids)), device=scores.device)
            values = scores[seen]
            factor = wanted.repetition_penalty
            scores = scores.index_copy(
                0, seen, torch.where(values < 0, values * factor, values / factor)
            )
        if (wanted.frequency_penalty or wanted.presence_penalty) and self.said:
            counts = torch.bincount(torch.tensor(self.said), minlength=len(scores))
            counts = counts[: len(scores)].to(scores.device)
            scores = scores - counts * wanted.frequency_penalty
            scores = scores - (counts > 0) * wanted.presence_penalty
        if wanted.logit_bias:
            scores = scores.clone()
            for token, bias in wanted.logit_bias.items():
                if token < len(scores):
                    scores[token] += bias
        return scores

    def _generator(self) -> torch.Generator:
        if self._random is None:
            self._random = torch.Generator()
            if self.settings.seed is None:
                self._random.seed()
            else:
                self._random.manual_seed(self.settings.seed)
        return self._random


class _Shaper(LogitsProcessor):  # type: ignore[misc,unused-ignore]
    """Gives every row of the batch its own sampling."""

    def __init__(self, runs: Sequence[SequenceRun]) -> None:
        self._runs = [(row, run) for row, run in enumerate(runs) if not run.settings.untouched]

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        for row, run in self._runs:
            if not run.done:
                scores[row] = run.shape(scores[row])
        return scores


class _Listener(StoppingCriteria):  # type: ignore[misc,unused-ignore]
    """Hands every new token to its sequence, and leaves the batch when that pays.

    Leaving costs reading all prompts again, which took as long as the first token did. So a batch
    that newcomers wait for is left once it has run `PATIENCE` times as long as that.
    """

    def __init__(self, runs: Sequence[SequenceRun], wanted: Callable[[int], bool]) -> None:
        self._runs = runs
        self._wanted = wanted
        self._begin = time.monotonic()
        self._until: float | None = None

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        now = time.monotonic()
        if self._until is None:
            self._until = now + PATIENCE * (now - self._begin)
        tokens = input_ids[:, -1].tolist()
        ended = [run.take(token) for run, token in zip(self._runs, tokens, strict=True)]
        if now >= self._until and self._wanted(ended.count(False)):
            ended = [True] * len(ended)
        return torch.tensor(ended, device=input_ids.device)


class Batcher:
    """One thread that generates for everybody."""

    def __init__(self, model: Any, *, pad_token: int, max_batch: int) -> None:
        self._model = model
        self._pad = pad_token
        self._max_batch = max_batch
        self._waiting: queue.Queue[SequenceRun] = queue.Queue()
        # The model's own defaults are in each sequence's settings; here they would count twice.
        model.generation_config = GenerationConfig(pad_token_id=pad_token)
        threading.Thread(target=self._work, name="batcher", daemon=True).start()

    def submit(self, run: SequenceRun) -> None:
        """Let the sequence take part from the next batch on."""
        self._waiting.put(run)

    def _work(self) -> None:
        active: list[SequenceRun] = []
        while True:
            active = [run for run in active if not run.done]
            active += self._newcomers(active)
            self._generate(active)

    def _newcomers(self, active: Sequence[SequenceRun]) -> list[SequenceRun]:
        """Those who may join now; waits for one when nobody is active."""
        joined: list[SequenceRun] = []
        if not active:
            joined.append(self._waiting.get())
        until = time.monotonic() + GATHER_SECONDS
        while len(active) + len(joined) < self._max_batch:
            if not self._fits([*active, *joined]):
                break
            try:
                joined.append(self._waiting.get(timeout=max(0.0, until - time.monotonic())))
            except queue.Empty:
                break
        return joined

    def _fits(self, runs: Sequence[SequenceRun]) -> bool:
        """Whether one more sequence as long as the longest still fits into a batch."""
        longest = max((len(run.prompt) + run.settings.max_tokens for run in runs), default=0)
        return longest * (len(runs) + 1) <= MAX_BATCH_TOKENS

    def _generate(self, runs: Sequence[SequenceRun]) -> None:
        try:
            self._run(runs)
        except Exception as error:
            traceback.print_exc(file=sys.stderr)
            if len(runs) == 1:
                runs[0].fail(f"{type(error).__name__}: {error}")
                return
            # One of them may be at fault, or they are too many: each gets its chance alone.
            for run in runs:
                if not run.done:
                    self._generate([run])

    def _run(self, runs: Sequence[SequenceRun]) -> None:
        rows = [run.ids for run in runs]
        longest = max(map(len, rows))

        def room_for_newcomers(unfinished: int) -> bool:
            return unfinished < self._max_batch and not self._waiting.empty()

        device = self._model.device
        ids = [[self._pad] * (longest - len(row)) + row for row in rows]
        mask = [[0] * (longest - len(row)) + [1] * len(row) for row in rows]
        most = max(run.settings.max_tokens - run.generated for run in runs)
        with torch.inference_mode():
            self._model.generate(
                input_ids=torch.tensor(ids, device=device),
                attention_mask=torch.tensor(mask, device=device),
                generation_config=GenerationConfig(
                    do_sample=False, max_new_tokens=most, pad_token_id=self._pad, use_cache=True
                ),
                logits_processor=[_Shaper(runs)],
                stopping_criteria=[_Listener(runs, room_for_newcomers)],
            )

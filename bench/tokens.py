"""How fast rows are counted, beside the batch calls of the tokenizers themselves.

Generates chat rows and counts them in turn in every way, several times; prints the best times and
their ratios. For a hosted model the bare call is tiktoken's own batch over the contents of all
messages, which it gets ready made; for a local one it is the rendering of all rows and then the
tokenizer's own batch. Ours begin with rows and end with counts.

Run: python bench/tokens.py [--rows N] [--rounds N]
"""

from __future__ import annotations

import argparse
import os
import random
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tunekit.data.tokens.encodings import load_encoding
from tunekit.data.tokens.hosted import HostedCounter
from tunekit.quickstart import BASE_MODEL

BOUND = 0.9
ENCODING = "o200k_base"
UNMARKED = "TemplateCounter.count, template without marks"
"""Renders and encodes several times as much, so nothing is promised of it."""
CORES = os.cpu_count() or 1

Row = dict[str, Any]


def make_rows(count: int, words_of_answer: int) -> list[Row]:
    """Chat rows of words that no vocabulary holds whole, each unlike the others."""
    draw = random.Random(count)
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["".join(draw.choices(letters, k=draw.randint(2, 9))) for _ in range(3000)]

    def text(most: int) -> str:
        return " ".join(draw.choices(words, k=draw.randint(most // 2, most))).capitalize() + "."

    return [
        {
            "messages": [
                {"role": "system", "content": f"You are cook {number}."},
                {"role": "user", "content": text(30)},
                {"role": "assistant", "content": text(words_of_answer)},
            ]
        }
        for number in range(count)
    ]


def best(ways: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Seconds of the quickest round of each way; the ways take turns."""
    times = {name: float("inf") for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            started = time.perf_counter()
            way()
            times[name] = min(times[name], time.perf_counter() - started)
    return times


def report(title: str, times: dict[str, float], bare: str) -> float:
    """Print the times of one table and give the worst ratio to the bare call that is promised."""
    print(title)
    ratios = {name: times[bare] / seconds for name, seconds in times.items()}
    for name, seconds in times.items():
        print(f"  {name:<46} {seconds:7.3f} s   {ratios[name]:5.2f} times its speed")
    return min(ratio for name, ratio in ratios.items() if name != UNMARKED)


def hosted(rows: list[Row], rounds: int) -> float:
    """Count as for a hosted model, in batches of a thousand rows as a check does."""
    encoding = load_encoding(ENCODING)
    counter = HostedCounter(ENCODING)
    texts = [message["content"] for row in rows for message in row["messages"]]
    bare = "tiktoken's batch call, texts ready made"
    ways: dict[str, Callable[[], Any]] = {
        bare: lambda: encoding.encode_ordinary_batch(texts, num_threads=CORES),
        "HostedCounter.count, from rows": lambda: [
            counter.count(rows[start : start + 1000]) for start in range(0, len(rows), 1000)
        ],
    }
    characters = sum(map(len, texts)) // len(rows)
    title = f"{ENCODING}, {len(rows):,} rows of {characters:,} characters, {CORES} cores"
    return report(title, best(ways, rounds), bare)


def local(rows: list[Row], rounds: int) -> float:
    """Count with the tokenizer and the template of the small base."""
    from transformers import AutoTokenizer

    from tunekit.providers.trl.counting import TemplateCounter

    tokenizer = AutoTokenizer.from_pretrained(str(BASE_MODEL))
    counter = TemplateCounter(tokenizer)
    other = AutoTokenizer.from_pretrained(str(BASE_MODEL))
    other.chat_template = re.sub(r"\{%-? *(end)?generation *-?%\}", "", tokenizer.chat_template)
    unmarked = TemplateCounter(other)
    talks = [row["messages"] for row in rows]

    def bare() -> None:
        texts = tokenizer.apply_chat_template(talks, tokenize=False)
        tokenizer(texts, add_special_tokens=False)

    def batches(count: Callable[[list[Row]], Any]) -> None:
        for start in range(0, len(rows), 1000):
            count(rows[start : start + 1000])

    name = "rendering, then the tokenizer's batch call"
    ways: dict[str, Callable[[], Any]] = {
        name: bare,
        "TemplateCounter.count, with the loss mask": lambda: batches(counter.count),
        "TemplateCounter.totals": lambda: batches(counter.totals),
        UNMARKED: lambda: batches(unmarked.count),
    }
    title = f"the small base's own tokenizer, {len(rows):,} rows, {CORES} cores"
    return report(title, best(ways, rounds), name)


def main() -> None:
    """Measure, and say whether the promise is kept."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    os.environ.setdefault("TIKTOKEN_CACHE_DIR", str(Path(sys.prefix) / "vocabularies"))
    short = make_rows(asked.rows, 60)
    ratios = [
        hosted(short, asked.rounds),
        hosted(make_rows(asked.rows // 10, 2000), asked.rounds),
        local(short, asked.rounds),
    ]
    worst = min(ratios)
    print(f"worst ratio {worst:.2f}, promised {BOUND}: {'kept' if worst >= BOUND else 'BROKEN'}")


if __name__ == "__main__":
    main()

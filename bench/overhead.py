"""The same training as a plain TRL script and through tunekit, in turns.

Both train the same LoRA on the same rows of the small base that ships with the package, with the
same settings, and keep the adapter. Measured is wall time from the start of the script, or from
`client.fine_tune`, to the finished model: interpreter and import times of the worker included.

Run: python bench/overhead.py [--epochs N] [--pairs N]
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import tunekit
from tunekit import SFT, Dataset, FineTuneSpec, LoRA
from tunekit.quickstart import BASE_MODEL, recipes

ROWS = 2000
BATCH = 16
RANK = 16
RATE = 1e-3
WARMUP = 0.03
BOUND = 1.05

PLAIN = textwrap.dedent(
    """
    import json, sys
    from datasets import load_dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    base, data, out, epochs, batch, rank, rate, warmup = json.loads(sys.argv[1])
    trainer = SFTTrainer(
        model=AutoModelForCausalLM.from_pretrained(base, dtype="float32"),
        processing_class=AutoTokenizer.from_pretrained(base),
        train_dataset=load_dataset("json", data_files=data, split="train",
                                   cache_dir=out + "/cache"),
        args=SFTConfig(
            output_dir=out + "/checkpoints", num_train_epochs=epochs,
            per_device_train_batch_size=batch, learning_rate=rate, lr_scheduler_type="linear",
            warmup_steps=warmup, assistant_only_loss=True, max_length=1024, packing=False,
            bf16=False, use_cpu=True, gradient_checkpointing=False, activation_checkpointing=False,
            logging_steps=10, save_strategy="epoch", seed=7, report_to="none",
        ),
        peft_config=LoraConfig(task_type="CAUSAL_LM", r=rank, lora_alpha=2 * rank,
                               lora_dropout=0.0, target_modules="all-linear"),
    )
    trainer.train()
    trainer.save_model(out + "/model")
    print(json.dumps({"steps": trainer.state.global_step,
                      "loss": trainer.state.log_history[-1]["train_loss"],
                      "train_s": trainer.state.log_history[-1]["train_runtime"]}))
    """
)


def plain(data: Path, folder: Path, epochs: int) -> tuple[float, dict[str, float]]:
    """Seconds of the plain script, and what it says of itself."""
    warmup = math.ceil(WARMUP * epochs * math.ceil(ROWS / BATCH))
    asked = [BASE_MODEL, str(data), str(folder), epochs, BATCH, RANK, RATE, warmup]
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", PLAIN, json.dumps(asked)],
        check=False,
        capture_output=True,
        text=True,
    )
    seconds = time.perf_counter() - started
    if done.returncode != 0:
        raise SystemExit(f"The plain script failed:\n{done.stderr[-2000:]}")
    said: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return seconds, said


def through_tunekit(data: Path, home: Path, epochs: int, run: str) -> tuple[float, int]:
    """Seconds from `fine_tune` to the finished model, and the steps that were made."""
    steps_per_epoch = math.ceil(ROWS / BATCH)
    spec = FineTuneSpec(
        model=BASE_MODEL,
        method=SFT(n_epochs=epochs, batch_size=BATCH),
        adapter=LoRA(r=RANK),
        seed=7,
        options={
            "trl": {
                "learning_rate": RATE,
                "precision": "fp32",
                "warmup_ratio": WARMUP,
                "logging_steps": 10,
                "save_steps": steps_per_epoch,
                "gradient_accumulation_steps": 1,
            }
        },
    )
    with tunekit.connect(provider="trl", runs_dir=str(home / "runs")) as client:
        started = time.perf_counter()
        job = client.fine_tune(spec, Dataset.from_jsonl(data), run=run)
        job.result()
        seconds = time.perf_counter() - started
        progress = job.refresh().snapshot.progress
    return seconds, progress.step if progress else 0


def main() -> None:
    """Measure in turns and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--pairs", type=int, default=2)
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="tunekit-overhead-"))
    data = folder / "train.jsonl"
    Dataset.from_records(recipes.generate(ROWS, seed=7)).write_jsonl(data)
    print(f"{ROWS} rows, {asked.epochs} epochs, batch {BATCH}, LoRA r={RANK}; seconds:")
    ratios = []
    for pair in range(asked.pairs):
        times: dict[str, float] = {}
        for which in ("plain", "tunekit") if pair % 2 == 0 else ("tunekit", "plain"):
            if which == "plain":
                times[which], said = plain(data, folder / f"plain-{pair}", asked.epochs)
                print(
                    f"  plain TRL  {times[which]:7.1f}  ({said['steps']:.0f} steps, "
                    f"{said['train_s']:.1f} s of it in train(), mean loss {said['loss']:.3f})"
                )
            else:
                times[which], steps = through_tunekit(data, folder, asked.epochs, f"bench-{pair}")
                print(f"  tunekit    {times[which]:7.1f}  ({steps} steps)")
        ratios.append(times["tunekit"] / times["plain"])
    print(
        f"tunekit / plain TRL: {statistics.median(ratios):.3f}, the bound is {BOUND} "
        f"(each pair: {', '.join(f'{ratio:.3f}' for ratio in ratios)})"
    )


if __name__ == "__main__":
    main()

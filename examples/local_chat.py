"""Tune a model on this machine, deploy it, and talk to it.

Run it from a checkout after `make quickstart` has made `.venv`:

    .venv/bin/python examples/local_chat.py

It trains the small base model that ships with the package on rows made on the spot. Give a folder
or Hub id as its argument to tune another model. Nothing here names the local provider but the one
word in `connect`.
"""

from __future__ import annotations

import sys

import tunekit
from tunekit import SFT, Dataset, FineTuneSpec, LoRA
from tunekit.quickstart import BASE_MODEL, recipes


def main(model: str = BASE_MODEL) -> None:
    """Check, estimate, train, deploy, chat."""
    data = Dataset.from_records(recipes.generate(600, seed=7))
    train, validation, test = data.split(0.8, 0.1, 0.1, seed=7)
    spec = FineTuneSpec(
        model=model,
        method=SFT(n_epochs=2, batch_size=8),
        adapter=LoRA(r=16),
        suffix="recipes",
        seed=7,
    )

    with tunekit.connect(provider="trl") as client:
        client.check(spec, train, validation).raise_on_error()
        print(client.estimate(spec, train, validation))

        # Running this script again finds the same job instead of training a second time.
        job = client.fine_tune(spec, train, validation)
        for event in job.events(follow=True):
            print(event)

        *question, expected = next(iter(test))["messages"]
        with job.result().deploy(ttl="10m") as endpoint:
            print("asked:   ", question[-1]["content"])
            print("answered:", endpoint.chat(question, temperature=0, max_tokens=120).text)
            print("expected:", expected["content"])


if __name__ == "__main__":
    main(*sys.argv[1:2])

"""How scores of the next token are shaped, and what becomes of a batch that fails."""

from __future__ import annotations

import collections
import queue
from typing import Any

import pytest

pytestmark = pytest.mark.torch

torch = pytest.importorskip("torch")

from tunekit.providers.local.server.batch import (  # noqa: E402 - torch must be there first
    Batcher,
    Piece,
    SequenceRun,
    Settings,
)

END = 9


def run(prompt: list[int] | None = None, **settings: Any) -> SequenceRun:
    return SequenceRun(
        prompt or [1, 2],
        Settings(**{"max_tokens": 5, **settings}),
        decode=lambda ids: "".join(chr(97 + i) for i in ids),
        ends=frozenset({END}),
        live=False,
    )


def drawn(scores: list[float], count: int = 4000, **settings: Any) -> dict[int, float]:
    """How often each token comes out."""
    one = run(temperature=1.0, seed=0, **settings)
    values = torch.tensor(scores)
    found = collections.Counter(int(one.shape(values).argmax()) for _ in range(count))
    return {token: times / count for token, times in found.items()}


def test_sampling_follows_the_softmax() -> None:
    scores = [0.0, 1.0, 2.0]
    expected = torch.softmax(torch.tensor(scores), -1).tolist()
    found = drawn(scores)
    assert [found[i] for i in range(3)] == pytest.approx(expected, abs=0.03)


def test_a_low_temperature_sharpens() -> None:
    one = run(temperature=0.05, seed=0)
    values = torch.tensor([0.0, 1.0, 2.0])
    assert {int(one.shape(values).argmax()) for _ in range(200)} == {2}


def test_top_k_and_top_p_leave_only_the_likeliest() -> None:
    scores = torch.tensor([0.5, 0.3, 0.15, 0.05]).log().tolist()
    assert set(drawn(scores, top_k=2)) == {0, 1}
    assert set(drawn(scores, top_p=0.75)) == {0, 1}
    assert set(drawn(scores, top_p=0.01)) == {0}
    assert set(drawn(scores, top_p=0.81)) == {0, 1, 2}


def test_penalties_and_bias_change_the_greedy_choice() -> None:
    values = torch.tensor([1.0, 0.9, 0.0])
    said = run(frequency_penalty=0.2)
    said.take(0)
    assert int(said.shape(values).argmax()) == 1
    assert int(run(logit_bias={2: 5.0}).shape(values).argmax()) == 2
    assert int(run(prompt=[0], repetition_penalty=2.0).shape(values).argmax()) == 1
    assert int(run().shape(values).argmax()) == 0
    assert values.tolist() == pytest.approx([1.0, 0.9, 0.0]), "the scores of others stay"


def test_a_sequence_ends_at_its_end_token_which_is_no_text() -> None:
    one = run()
    assert [one.take(token) for token in (0, 1, END, 3)] == [False, False, True, True]
    assert one.pieces.get_nowait() == Piece("ab", finish_reason="stop")
    assert one.generated == 3
    with pytest.raises(queue.Empty):
        one.pieces.get_nowait()


def test_a_sequence_ends_at_its_limit() -> None:
    one = run(max_tokens=2)
    assert [one.take(0), one.take(1)] == [False, True]
    assert one.pieces.get_nowait() == Piece("ab", finish_reason="length")


class Broken:
    """A model that fails whenever a certain token is in the batch, or the batch is too large."""

    device = "cpu"
    generation_config: Any = None

    def __init__(self, limit: int) -> None:
        self.limit = limit

    def generate(self, *, input_ids: Any, stopping_criteria: Any, **_: Any) -> None:
        if 7 in input_ids or len(input_ids) > self.limit:
            raise RuntimeError("cannot do that")
        ids = input_ids
        while True:
            ids = torch.cat([ids, torch.full((len(ids), 1), 3)], dim=1)
            if bool(stopping_criteria[0](ids, None).all()):
                return


@pytest.mark.parametrize("limit", [8, 1])
def test_one_sequence_that_fails_does_not_take_the_others_with_it(
    limit: int, capfd: pytest.CaptureFixture[str]
) -> None:
    batcher = Batcher(Broken(limit), pad_token=0, max_batch=8)
    runs = [run(prompt=[4]), run(prompt=[7]), run(prompt=[5, 5])]
    for one in runs:
        batcher.submit(one)
    ends = [one.pieces.get(timeout=10) for one in runs]
    assert ends[0] == ends[2] == Piece("ddddd", finish_reason="length")
    assert ends[1] == Piece(fault="RuntimeError: cannot do that")
    assert "cannot do that" in capfd.readouterr().err


def test_a_cancelled_sequence_leaves_the_batch() -> None:
    one = run(max_tokens=1000)
    one.cancelled = True
    Batcher(Broken(8), pad_token=0, max_batch=8).submit(one)
    assert one.pieces.get(timeout=10).finish_reason == "stop"
    assert one.generated == 1

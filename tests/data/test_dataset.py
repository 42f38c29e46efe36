"""Batches: every item once an epoch, the order a function of the seed, resumed and shared out bit
for bit.
"""

import json
from typing import Any

import numpy as np
import pytest
import torch

from allegory.data import Batches, Dataset, DataSpec, Items, load


def arrays(n: int = 10) -> Items:
    return Items(torch.arange(2 * n, dtype=torch.float32).reshape(n, 2), torch.arange(n))


def order(batches: Batches, count: int) -> list[int]:
    return [i for _ in range(count) for i in next(batches)[1].tolist()]  # type: ignore[union-attr]


def test_items_and_labels_stay_together() -> None:
    x, labels = next(Batches(arrays(), batch_size=6, seed=0))
    assert labels is not None
    assert torch.equal(x[:, 0], 2.0 * labels)


@pytest.mark.parametrize("batch_size", [1, 3, 10, 25])
def test_each_epoch_is_a_permutation_and_drops_nothing(batch_size: int) -> None:
    seen = order(Batches(arrays(), batch_size, seed=5), count=30)
    epochs = [seen[i : i + 10] for i in range(0, len(seen) - 9, 10)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 1  # a new order each epoch


def test_the_order_does_not_depend_on_the_batch_size() -> None:
    assert order(Batches(arrays(), 3, seed=5), 20) == order(Batches(arrays(), 4, seed=5), 15)


def test_the_seed_and_the_epoch_both_count() -> None:
    a, b, c = (order(Batches(arrays(50), 100, seed), 1) for seed in (0, 1, 2))
    assert a != b and b != c
    # Seed 0 in epoch 1 is not seed 1 in epoch 0, as it would be if the two were added.
    assert a[50:] != b[:50]


@pytest.mark.parametrize("after", [0, 1, 3, 4, 7])
def test_a_resumed_order_goes_on_bit_for_bit(after: int) -> None:
    straight = Batches(arrays(), batch_size=5, seed=9)
    order(straight, after)
    state = json.loads(json.dumps(straight.state_dict()))
    assert all(type(value) is int for value in state.values())
    resumed = Batches(arrays(), batch_size=5, seed=9)
    resumed.load_state_dict(state)
    assert order(resumed, 11) == order(straight, 11)


@pytest.mark.parametrize("world", [2, 3, 6])
def test_ranks_share_the_global_batch(world: int) -> None:
    alone = Batches(arrays(), batch_size=6, seed=2)
    ranks = [
        Batches(arrays(), batch_size=6, seed=2, process=(rank, world)) for rank in range(world)
    ]
    for _ in range(7):
        x, labels = next(alone)
        shares = [next(rank) for rank in ranks]
        assert torch.equal(torch.cat([share[0] for share in shares]), x)
        assert torch.equal(torch.cat([share[1] for share in shares]), labels)
    assert all(rank.state_dict() == alone.state_dict() for rank in ranks)


def test_unlabelled_data_give_none() -> None:
    x, labels = next(iter(Batches(Items(torch.zeros(4, 3)), batch_size=2, seed=0)))
    assert x.shape == (2, 3) and labels is None


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"batch_size": 0}, "batch_size=0"),
        ({"seed": -1}, "seed=-1"),
        ({"process": (2, 2)}, "process=\\(2, 2\\)"),
        ({"process": (0, 0)}, "process=\\(0, 0\\)"),
        ({"batch_size": 5, "process": (0, 2)}, "multiple of the 2"),
    ],
)
def test_impossible_batches_are_refused(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        Batches(arrays(), **{"batch_size": 4, "seed": 0, **settings})


def test_no_items_are_refused() -> None:
    with pytest.raises(ValueError, match="none to draw"):
        Batches(Items(torch.zeros(0, 2)), 4, 0)


@pytest.mark.parametrize(
    "state", [{}, {"epoch": 0}, {"epoch": -1, "position": 0}, {"epoch": 0, "position": 11}]
)
def test_a_foreign_state_is_refused(state: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="same data"):
        Batches(arrays(), 4, 0).load_state_dict(state)


def test_a_dataset_names_the_set_that_is_wrong() -> None:
    spec = DataSpec(shape=(2,), low=0.0, high=100.0, classes=10, bounded=True)
    good, bad = arrays(), Items(torch.full((1, 2), -1.0))
    assert len(Dataset("fine", spec, good, good, good).train) == 10
    with pytest.raises(ValueError, match="broken, test: x: values in"):
        Dataset("broken", spec, good, good, bad)


def test_a_dataset_is_printed_without_its_numbers() -> None:
    spec = DataSpec(shape=(2,), low=0.0, high=100.0, classes=10)
    text = repr(Dataset("some", spec, arrays(), arrays(), Items(torch.zeros(3, 2))))
    assert "train=Items(10 of shape (2,), float32, labelled)" in text
    assert "test=Items(3 of shape (2,), float32)" in text and "tensor" not in text


def test_all_items_of_a_file_are_its_test_items_unless_it_has_a_test_set(tmp_path):
    x = np.random.default_rng(0).integers(0, 256, (60, 1, 2, 2)).astype(np.uint8)
    np.save(tmp_path / "plain.npy", x)
    np.savez(tmp_path / "named.npz", x=x[:40], x_test=x[40:])
    plain, named = load(str(tmp_path / "plain.npy")), load(str(tmp_path / "named.npz"))
    assert not plain.has_own_test and named.has_own_test
    assert plain.all_as_test().test.x.equal(torch.from_numpy(x))
    assert plain.test.x.equal(torch.from_numpy(x)[plain.test.index])
    assert named.all_as_test().test.x.equal(torch.from_numpy(x[40:]))

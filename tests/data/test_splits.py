"""Held-out sets: fixed, disjoint, together everything."""

import numpy as np
import pytest
import torch

from allegory.data import Items
from allegory.data.splits import complete, count_classes, split, subset, together


def numbered(n: int, start: int = 0) -> Items:
    return Items(torch.arange(start, start + n, dtype=torch.float32)[:, None], torch.arange(n))


def items(arrays: Items) -> list[int]:
    return [int(value) for value in arrays.x.flatten()]


def test_the_sets_are_runs_of_the_frozen_permutation() -> None:
    sets = split(numbered(100), validation=10, test=20)
    expected = np.random.RandomState(0).permutation(100).tolist()
    assert [len(part) for part in sets] == [70, 10, 20]
    assert [i for part in sets for i in items(part)] == expected


@pytest.mark.parametrize(("n", "held_out"), [(3, 1), (19, 1), (40, 2), (1000, 50)])
def test_one_in_twenty_is_held_out_and_at_least_one(n: int, held_out: int) -> None:
    train, validation, test = complete({"train": numbered(n)})
    assert (len(train), len(validation), len(test)) == (n - 2 * held_out, held_out, held_out)
    assert sorted(items(train) + items(validation) + items(test)) == list(range(n))


def test_sets_that_exist_are_kept_as_they_are() -> None:
    test = numbered(5, start=1000)
    train, validation, kept = complete({"train": numbered(40), "test": test})
    assert kept is test
    assert sorted(items(train) + items(validation)) == list(range(40)) and len(validation) == 2
    train, validation, kept = complete(
        {"train": numbered(40), "test": test, "validation": numbered(7, 500)}
    )
    assert sorted(items(train)) == list(range(40)) and items(validation) == list(range(500, 507))


def test_too_few_items_are_refused() -> None:
    with pytest.raises(ValueError, match="2 items, 2 of them held out"):
        complete({"train": numbered(2)})


def test_a_training_set_is_needed() -> None:
    with pytest.raises(ValueError, match="found test"):
        complete({"test": numbered(5)})


def test_classes_are_counted_over_all_sets() -> None:
    assert count_classes([numbered(3), numbered(7)]) == 7
    assert count_classes([Items(torch.zeros(2, 1))] * 2) is None
    with pytest.raises(ValueError, match="label all sets or none"):
        count_classes([numbered(3), Items(torch.zeros(2, 1))])


def test_the_parts_of_one_set_are_put_together_in_its_order():
    x, labels = torch.arange(50)[:, None], torch.arange(50) % 3
    whole = together(complete({"train": Items(x, labels)}))
    assert whole.x.equal(x) and whole.labels.equal(labels) and whole.index.equal(torch.arange(50))
    named = complete({"train": Items(x[:40], labels[:40]), "test": Items(x[40:], labels[40:])})
    assert named[2].index is None and together(named).x.equal(x[:40])


def test_a_subset_is_the_same_every_time_and_of_all_classes():
    items = Items(torch.arange(500)[:, None], torch.arange(500) // 250)
    some = subset(items, 200)
    assert some.index.equal(some.x[:, 0]) and some.index.diff().min() > 0
    assert some.x.equal(subset(items, 200).x) and 80 <= int(some.labels.sum()) <= 120
    assert some.index[:3].tolist() == sorted(np.random.RandomState(0).permutation(500)[:200])[:3]
    assert subset(items, 500).x.equal(items.x)
